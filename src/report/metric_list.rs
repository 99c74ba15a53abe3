//! The metrics of a capture: a list of them, and suggestions for a name that does not exist.

use std::collections::{BTreeMap, BTreeSet};

use super::table::table;
use crate::capture::CaptureReader;
use crate::model::{Labels, did_you_mean, escape, similar_names};
use crate::session::PD_METRICS;

/// The most suggestions for a name that does not exist.
const SUGGESTIONS: usize = 5;
/// Least similarity of a suggestion that does not contain the name (normalized Damerau–Levenshtein).
const LIKENESS: f64 = 0.6;

/// The series of a metric, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// The number of series.
    pub series: usize,
    /// The values of each label but `__name__`, by the label's name.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

/// Metrics by name.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub BTreeMap<String, Metric>);

impl Metrics {
    /// Counts a series.
    pub fn add(&mut self, labels: &Labels) {
        let metric = self.0.entry(labels.metric().to_owned()).or_default();
        metric.series += 1;
        for (name, value) in labels.iter().filter(|(name, _)| *name != "__name__") {
            let values = match metric.labels.get_mut(name) {
                Some(values) => values,
                None => metric.labels.entry(name.to_owned()).or_default(),
            };
            if !values.contains(value) {
                values.insert(value.to_owned());
            }
        }
    }
}

/// That no metric has a name that matches `pattern` as a whole, with what would find those that have it inside, or
/// else with the nearest names.
pub fn no_metric(pattern: &str, names: &[String]) -> String {
    let inside = pattern.trim_matches(['.', '*', '^', '$', '+']);
    let found = names.iter().filter(|name| name.contains(inside)).count();
    if !inside.is_empty() && found > 0 {
        let inside = escape(inside);
        return format!(
            "no metric has such a name, since a pattern stands for all of it: '.*{inside}.*' finds {found}"
        );
    }
    format!("no metric has such a name{}", did_you_mean(&suggested(inside, names)))
}

/// The metrics as a table: name, number of series, and each label with the number of its values.
pub fn metrics_text(metrics: &BTreeMap<String, Metric>) -> String {
    let mut rows = vec![vec!["metric".to_owned(), "series".to_owned(), "labels".to_owned()]];
    rows.extend(metrics.iter().map(|(name, metric)| {
        let labels = metric.labels.iter();
        let labels = labels.map(|(name, values)| format!("{}({})", escape(name), values.len()));
        vec![escape(name), metric.series.to_string(), labels.collect::<Vec<_>>().join(" ")]
    }));
    table(&rows)
}

/// The names of all metrics that expressions may read, ascending.
pub fn metric_names(reader: &CaptureReader) -> Vec<String> {
    let mut names = reader.metrics();
    names.extend(PD_METRICS.iter().map(|metric| metric.name.to_owned()));
    names.sort();
    names
}

/// A note that the capture does not have the metric `name`, with similar names that it has.
pub fn missing_metric(reader: &CaptureReader, name: &str) -> String {
    let names = metric_names(reader);
    let advice = match did_you_mean(&suggested(name, &names)) {
        none if none.is_empty() => "; --metrics lists what it has".to_owned(),
        near => near,
    };
    format!("note: the capture has no series {}{advice}", escape(name))
}

/// The metrics that may be meant by a name that does not exist.
fn suggested<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
    let least = |known: &str| {
        if name.len() > 3 && known.contains(name) { 0.0 } else { LIKENESS }
    };
    similar_names(name, names.iter().map(String::as_str), least, SUGGESTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_listed_with_how_many_values_each_label_takes() {
        let mut metric = Metric { series: 2, ..Metric::default() };
        let values = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        metric.labels.insert("job".to_owned(), values);
        let text = metrics_text(&BTreeMap::from([("up".to_owned(), metric)]));
        assert_eq!(text, "metric  series  labels\nup      2       job(2)\n");
    }
}
