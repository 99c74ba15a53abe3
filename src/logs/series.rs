//! Series of the counts of an extract, as PromQL sees them.

use super::counts::{Counted, OTHER};
use super::extract::Extract;
use super::parse::Level;
use crate::model::{Labels, Sample, Series, Timestamp};

/// The lines of one message in the interval before each sample, by `component`, `node`, `level`, `file` and
/// `message`.
pub const LOG_LINES: &str = "operator_log_lines";
/// The bytes of lines of one level in the interval before each sample, by `component`, `node` and `level`.
pub const LOG_BYTES: &str = "operator_log_bytes";

/// Messages that have a series of their own, listed ones not counted.
const MOST_SERIES: usize = 150;

/// The series of an extract, ascending by labels. Each has a sample for every interval from the first line
/// to the last, zeros included: an interval without lines was observed. The last sample lies inside the
/// window.
pub fn log_series(extract: &Extract) -> Vec<Series> {
    if extract.covered.is_empty() {
        return Vec::new();
    }
    let step = |at: Timestamp| (at - extract.window.start) / extract.interval_ms;
    let last = extract.covered.end.saturating_add_millis(-1);
    let steps = Steps { first: step(extract.covered.start), last: step(last), extract };
    let (own, joined) = chosen(extract.counts.keys());
    let own = own.into_iter().map(|counted| {
        let labels = [("file", &*counted.key.file), ("message", &*counted.key.message)];
        steps.series(LOG_LINES, counted.key.level, &labels, &counted.steps())
    });
    let mut series: Vec<Series> = own.collect();
    for level in Level::ALL {
        let of_level = joined.iter().filter(|counted| counted.key.level == level);
        let mut counts: Vec<(u32, u32)> = of_level.flat_map(|counted| counted.steps()).collect();
        counts.sort_unstable();
        if !counts.is_empty() {
            let labels = [("file", ""), ("message", OTHER)];
            series.push(steps.series(LOG_LINES, level, &labels, &counts));
        }
    }
    let bytes = extract.counts.bytes();
    series.extend(
        bytes.map(|counted| steps.series(LOG_BYTES, counted.key.level, &[], &counted.steps())),
    );
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}

/// The keys with a series of their own, and those that are joined: listed and grave messages come first,
/// then frequent ones.
fn chosen(keys: &[Counted]) -> (Vec<&Counted>, Vec<&Counted>) {
    let mut keys: Vec<&Counted> = keys.iter().collect();
    keys.sort_by_key(|counted| {
        let is_grave = matches!(counted.key.level, Level::Warn | Level::Error | Level::Fatal);
        (
            counted.key.message == OTHER,
            counted.listed.is_none(),
            !is_grave,
            std::cmp::Reverse(counted.total),
            counted.key.clone(),
        )
    });
    let listed = keys.iter().filter(|counted| counted.listed.is_some()).count();
    let mut own = keys;
    let other = own.iter().position(|counted| counted.key.message == OTHER).unwrap_or(own.len());
    let joined = own.split_off((listed + MOST_SERIES).min(other));
    (own, joined)
}

/// The intervals that a log covers.
struct Steps<'a> {
    first: i64,
    last: i64,
    extract: &'a Extract,
}

impl Steps<'_> {
    /// The series of one level; `counts` are ascending by interval.
    fn series(
        &self,
        metric: &str,
        level: Level,
        labels: &[(&str, &str)],
        counts: &[(u32, u32)],
    ) -> Series {
        let extract = self.extract;
        let job = format!("operator-log-{}", extract.component);
        let mut pairs = vec![
            ("__name__", metric),
            ("job", &job),
            ("instance", &extract.node),
            ("component", &extract.component),
            ("node", &extract.node),
            ("level", level.name()),
        ];
        pairs.extend_from_slice(labels);
        let inside = extract.window.end.saturating_add_millis(-1);
        let mut counts = counts.iter().peekable();
        let samples = (self.first..=self.last).map(|step| {
            let mut sum = 0.0;
            while let Some((_, count)) = counts.next_if(|(at, _)| i64::from(*at) <= step) {
                sum += f64::from(*count);
            }
            let end = extract.window.start.saturating_add_millis((step + 1) * extract.interval_ms);
            Sample { at: end.min(inside), value: sum }
        });
        let samples = samples.collect();
        Series { labels: Labels::from_pairs(&pairs), samples }
    }
}
