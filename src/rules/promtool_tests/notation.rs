//! The notation of promtool's test files, and how its parts are read.

use std::sync::Arc;

use serde::Deserialize;

use super::{AlertTest, ExprTest, Test};
use crate::model::{Labels, Sample, Series, Timestamp};
use crate::promql::{Expression, parse_labels, parse_series_values};
use crate::rules::rule_file::duration_ms;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval: Option<String>,
    #[serde(default)]
    pub(super) group_eval_order: Vec<String>,
    #[serde(default)]
    pub(super) fuzzy_compare: bool,
    #[serde(default)]
    pub(super) tests: Vec<RawTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTest {
    pub(super) name: Option<String>,
    pub(super) interval: Option<String>,
    #[serde(default)]
    pub(super) input_series: Vec<RawSeries>,
    #[serde(default)]
    pub(super) alert_rule_test: Vec<RawAlertTest>,
    #[serde(default)]
    pub(super) promql_expr_test: Vec<RawExprTest>,
    pub(super) external_labels: Option<serde_json::Value>,
    pub(super) external_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSeries {
    pub(super) series: String,
    pub(super) values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlertTest {
    pub(super) eval_time: String,
    pub(super) alertname: String,
    #[serde(default)]
    pub(super) exp_alerts: Vec<RawAlert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlert {
    #[serde(default)]
    pub(super) exp_labels: Pairs,
    #[serde(default)]
    pub(super) exp_annotations: Pairs,
}

type Pairs = std::collections::BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExprTest {
    pub(super) expr: String,
    pub(super) eval_time: String,
    #[serde(default)]
    pub(super) exp_samples: Vec<RawSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSample {
    #[serde(default)]
    pub(super) labels: String,
    pub(super) value: f64,
}

impl RawTest {
    pub(super) fn read(self, name: String, interval_ms: i64) -> Result<Test, String> {
        if self.external_labels.is_some_and(|labels| labels != serde_json::json!({})) {
            return Err("external_labels is not supported".to_owned());
        }
        if self.external_url.is_some_and(|url| !url.is_empty()) {
            return Err("external_url is not supported".to_owned());
        }
        let step = duration(&self.interval)?.filter(|step| *step > 0).unwrap_or(interval_ms);
        let series = self.input_series.into_iter().map(|series| series.read(step));
        let alerts = self.alert_rule_test.into_iter().map(RawAlertTest::read);
        let expressions = self.promql_expr_test.into_iter().map(RawExprTest::read);
        Ok(Test {
            name,
            series: series.collect::<Result<_, _>>()?,
            alerts: alerts.collect::<Result<_, _>>()?,
            expressions: expressions.collect::<Result<_, _>>()?,
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
        let mut expected = Vec::new();
        for alert in self.exp_alerts {
            let mut labels = alert.exp_labels;
            labels.insert("alertname".to_owned(), self.alertname.clone());
            let labels = Labels::new(labels.into_iter().collect()).map_err(|e| e.to_string())?;
            expected.push((labels, alert.exp_annotations.into_iter().collect()));
        }
        expected.sort();
        Ok(AlertTest { at: instant(&self.eval_time)?, name: self.alertname, expected })
    }
}

impl RawExprTest {
    fn read(self) -> Result<ExprTest, String> {
        let expression =
            Expression::parse(&self.expr).map_err(|error| format!("{}: {error}", self.expr))?;
        let sample = |sample: RawSample| {
            let labels = parse_labels(&sample.labels);
            Ok((labels.map_err(|error| format!("{}: {error}", sample.labels))?, sample.value))
        };
        let mut expected =
            self.exp_samples.into_iter().map(sample).collect::<Result<Vec<_>, String>>()?;
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(ExprTest { at: instant(&self.eval_time)?, expression, expected })
    }
}

pub(super) fn duration(text: &Option<String>) -> Result<Option<i64>, String> {
    text.as_deref().map(duration_ms).transpose()
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Ok(Timestamp::from_millis(duration_ms(text)?))
}
