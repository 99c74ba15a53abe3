//! The notation of promtool's test files, and how its parts are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{AlertTest, Expectation, ExprTest, Test};
use crate::model::{Labels, Sample, Series, Timestamp};
use crate::promql::{Expression, parse_labels, parse_series_values};
use crate::rules::rule_file::duration_ms;
use crate::rules::yaml::{Number, or_default};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) group_eval_order: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) fuzzy_compare: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tests: Vec<RawTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTest {
    pub(super) name: Option<String>,
    interval: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    input_series: Vec<RawSeries>,
    #[serde(default, deserialize_with = "or_default")]
    alert_rule_test: Vec<RawAlertTest>,
    #[serde(default, deserialize_with = "or_default")]
    promql_expr_test: Vec<RawExprTest>,
    #[serde(default, deserialize_with = "or_default")]
    external_labels: Pairs,
    #[serde(default, deserialize_with = "or_default")]
    external_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeries {
    #[serde(default, deserialize_with = "or_default")]
    series: String,
    #[serde(default, deserialize_with = "or_default")]
    values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlertTest {
    eval_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    alertname: String,
    #[serde(default, deserialize_with = "or_default")]
    exp_alerts: Vec<RawAlert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlert {
    #[serde(default, deserialize_with = "or_default")]
    exp_labels: Pairs,
    #[serde(default, deserialize_with = "or_default")]
    exp_annotations: Pairs,
}

type Pairs = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExprTest {
    #[serde(default, deserialize_with = "or_default")]
    expr: String,
    eval_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    exp_samples: Vec<RawSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    #[serde(default, deserialize_with = "or_default")]
    labels: String,
    #[serde(default)]
    value: Number,
}

impl RawTest {
    pub(super) fn read(self, name: String, interval_ms: i64) -> Result<Test, String> {
        let step = duration(&self.interval)?.filter(|step| *step > 0).unwrap_or(interval_ms);
        // Of a series that stands twice, the last one counts.
        let mut series = BTreeMap::new();
        for one in self.input_series {
            let one = one.read(step)?;
            series.insert(one.labels.clone(), one);
        }
        let alerts = self.alert_rule_test.into_iter().map(RawAlertTest::read);
        let expressions = self.promql_expr_test.into_iter().map(RawExprTest::read);
        Ok(Test {
            name,
            series: series.into_values().collect(),
            alerts: alerts.collect::<Result<_, _>>()?,
            expressions: expressions.collect::<Result<_, _>>()?,
            external_labels: texts(self.external_labels).collect(),
            external_url: self.external_url,
        })
    }
}

impl RawSeries {
    fn read(self, step_ms: i64) -> Result<Arc<Series>, String> {
        let bad = |error| format!("series {}: {error}", self.series);
        let labels = parse_labels(&self.series).map_err(bad)?;
        let values = parse_series_values(&self.values).map_err(bad)?;
        let samples = (0..).zip(values).filter_map(|(number, value)| {
            Some(Sample { at: Timestamp::from_millis(number * step_ms), value: value? })
        });
        Ok(Arc::new(Series { labels, samples: samples.collect() }))
    }
}

impl RawAlertTest {
    fn read(self) -> Result<AlertTest, String> {
        let at = instant(&self.eval_time)?;
        if self.alertname.is_empty() {
            return Err("an item of alert_rule_test has no alertname".to_owned());
        }
        let mut expected = Vec::new();
        for alert in self.exp_alerts {
            let mut labels: BTreeMap<_, _> = texts(alert.exp_labels).collect();
            labels.insert("alertname".to_owned(), self.alertname.clone());
            let labels = Labels::new(labels.into_iter().collect()).map_err(|e| e.to_string())?;
            expected.push((labels, texts(alert.exp_annotations).collect()));
        }
        expected.sort();
        Ok(AlertTest { at, name: self.alertname, expected })
    }
}

impl RawExprTest {
    fn read(self) -> Result<ExprTest, String> {
        let at = instant(&self.eval_time)?;
        let expectation = expectation(&self.expr, self.exp_samples);
        Ok(ExprTest { at, text: self.expr, expectation })
    }
}

fn expectation(expr: &str, samples: Vec<RawSample>) -> Result<Expectation, String> {
    let expression = Expression::parse(expr).map_err(|error| error.to_string())?;
    let sample = |sample: RawSample| {
        let labels = parse_labels(&sample.labels);
        let labels = labels.map_err(|error| format!("labels {:?}: {error}", sample.labels))?;
        Ok((labels, sample.value.0))
    };
    let mut expected = samples.into_iter().map(sample).collect::<Result<Vec<_>, String>>()?;
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Expectation { expression, expected })
}

/// Names and texts; what is null is the empty text.
fn texts(pairs: Pairs) -> impl Iterator<Item = (String, String)> {
    pairs.into_iter().map(|(name, text)| (name, text.unwrap_or_default()))
}

pub(super) fn duration(text: &Option<String>) -> Result<Option<i64>, String> {
    text.as_deref().map(duration_ms).transpose()
}

fn instant(text: &Option<String>) -> Result<Timestamp, String> {
    Ok(Timestamp::from_millis(duration(text)?.unwrap_or(0)))
}
