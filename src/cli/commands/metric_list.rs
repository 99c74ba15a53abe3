//! The metrics of a capture: a list of them, and which one a misspelt name may mean.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::capture::CaptureReader;
use crate::cli::Global;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, AnyFormat};
use crate::model::{Series, TimeRange, escape};
use crate::promql::{Comparison, Dialect, MatcherCache, ParsedMatcher};
use crate::report;
use crate::session::{CaptureStorage, PD_METRICS};

/// Suggestions for a name that does not exist.
const SUGGESTIONS: usize = 5;

/// A metric: how many series it has, and which values each label takes.
#[derive(Default)]
struct Metric {
    series: usize,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Lists the metrics whose whole name `pattern` matches.
///
/// # Errors
///
/// Where `pattern` is no regular expression or the capture cannot be read.
pub fn list(
    global: &Global,
    (reader, storage): (&CaptureReader, &CaptureStorage<'_>),
    pattern: &str,
    dialect: Dialect,
) -> anyhow::Result<()> {
    let condition = ParsedMatcher {
        name: "__name__".to_owned(),
        comparison: Comparison::Regex,
        value: pattern.to_owned(),
    };
    let matchers =
        MatcherCache::default().matchers(&[condition], dialect).map_err(CliError::Usage)?;
    let mut series = reader.select(&matchers, TimeRange::ALL)?;
    let pd = storage.pd()?;
    let pd = pd
        .series()
        .iter()
        .filter(|series| matchers.iter().all(|matcher| matcher.matches(&series.labels)));
    series.extend(pd.map(|series| Series::clone(series)));
    let metrics = metrics(&series);
    match global.wide_format {
        AnyFormat::Json => {
            let metrics: BTreeMap<_, _> = metrics
                .iter()
                .map(|(name, metric)| {
                    let labels: BTreeMap<_, _> =
                        metric.labels.iter().map(|(name, values)| (name, values.len())).collect();
                    (name, json!({ "series": metric.series, "labels": labels }))
                })
                .collect();
            Ok(output::json(&json!({ "schema": 1, "metrics": metrics }))?)
        }
        AnyFormat::Text => Ok(output::write(text(&metrics).as_bytes())?),
        _ => Err(CliError::Usage("a list of metrics comes as text or json".to_owned()).into()),
    }
}

fn metrics(series: &[Series]) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for series in series {
        let metric = metrics.entry(series.labels.metric().to_owned()).or_default();
        metric.series += 1;
        for (name, value) in series.labels.iter().filter(|(name, _)| *name != "__name__") {
            let values = match metric.labels.get_mut(name) {
                Some(values) => values,
                None => metric.labels.entry(name.to_owned()).or_default(),
            };
            if !values.contains(value) {
                values.insert(value.to_owned());
            }
        }
    }
    metrics
}

fn text(metrics: &BTreeMap<String, Metric>) -> String {
    if metrics.is_empty() {
        return "no metric matches\n".to_owned();
    }
    let mut rows = vec![vec!["metric".to_owned(), "series".to_owned(), "labels".to_owned()]];
    rows.extend(metrics.iter().map(|(name, metric)| {
        let labels = metric.labels.iter();
        let labels = labels.map(|(name, values)| format!("{}({})", escape(name), values.len()));
        vec![escape(name), metric.series.to_string(), labels.collect::<Vec<_>>().join(" ")]
    }));
    report::table(&rows)
}

/// The names of all metrics that expressions may read, ascending.
pub fn names(reader: &CaptureReader) -> Vec<String> {
    let mut names = reader.metrics();
    names.extend(PD_METRICS.iter().map(|metric| metric.name.to_owned()));
    names.sort();
    names
}

/// What to tell of a metric that the capture does not have.
pub fn missing(reader: &CaptureReader, name: &str) -> String {
    let names = names(reader);
    let mut ranked: Vec<(f64, &str)> = names
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known.as_str()))
        .filter(|(likeness, known)| *likeness >= 0.6 || (name.len() > 3 && known.contains(name)))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let names: Vec<&str> = ranked.into_iter().take(SUGGESTIONS).map(|(_, known)| known).collect();
    let name = escape(name);
    if names.is_empty() {
        format!("note: the capture has no series {name}; --metrics lists what it has")
    } else {
        format!("note: the capture has no series {name}; did you mean {}?", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_listed_with_how_many_values_each_label_takes() {
        let mut metric = Metric { series: 2, ..Metric::default() };
        let values = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        metric.labels.insert("job".to_owned(), values);
        let text = text(&BTreeMap::from([("up".to_owned(), metric)]));
        assert_eq!(text, "metric  series  labels\nup      2       job(2)\n");
    }
}
