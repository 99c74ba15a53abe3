//! A capture as a storage of series for PromQL.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{LabelMatcher, Labels, MatchOp, Series, TimeRange, Timestamp};
use crate::promql::{Dialect, MemoryStorage, SeriesSet, Storage, StorageError};

use super::pd_series::{PD_METRICS, pd_series};

/// Samples that are kept decoded; past that everything is forgotten.
const KEPT_SAMPLES: usize = 32 << 20;
/// Lists of matchers whose series are kept.
const KEPT_PICKS: usize = 4096;
const NAME: &str = "__name__";

/// Series of a capture for PromQL. What has been decoded of a metric is kept, so that further
/// expressions over it share the samples. PD's answers are there as series too ([`pd_series`]),
/// for selectors that name them.
pub struct CaptureStorage<'a> {
    reader: &'a CaptureReader,
    kept: RefCell<Kept>,
    pd: OnceCell<MemoryStorage>,
}

#[derive(Default)]
struct Kept {
    metrics: HashMap<String, (TimeRange, SeriesSet)>,
    samples: usize,
    /// What selectors picked of the metrics, as long as these stay.
    picked: HashMap<String, SeriesSet>,
}

impl<'a> CaptureStorage<'a> {
    /// A storage over an open capture.
    pub fn new(reader: &'a CaptureReader) -> Self {
        Self { reader, kept: RefCell::default(), pd: OnceCell::new() }
    }

    /// Whose answers expressions over this capture should give: those of the Prometheus that it
    /// was copied from, or of the newest where that is not known.
    pub fn dialect(&self) -> Dialect {
        let version = self.reader.meta().versions.prometheus.as_deref();
        version.map_or(Dialect::V3, Dialect::of_version)
    }

    /// Decodes all samples of these metrics in one pass. Asked for one by one, each metric would
    /// decode the blocks of its targets anew.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn preload(&self, metrics: &BTreeSet<&str>) -> Result<(), CaptureError> {
        let names: Vec<String> = metrics.iter().map(|name| regex::escape(name)).collect();
        // What is too large for one expression is read metric by metric.
        let Ok(pattern) = regex::Regex::new(&format!("^(?:{})$", names.join("|"))) else {
            return Ok(());
        };
        let op = MatchOp::Regex(pattern);
        let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
        let series = shared(self.reader.select(&[matcher], TimeRange::ALL)?);
        let samples = series.iter().map(|series| series.samples.len()).sum::<usize>();
        if samples > KEPT_SAMPLES {
            return Ok(());
        }
        let mut loaded: HashMap<String, (TimeRange, SeriesSet)> = metrics
            .iter()
            .map(|name| ((*name).to_owned(), (TimeRange::ALL, SeriesSet::new())))
            .collect();
        for series in series {
            if let Some((_, held)) = loaded.get_mut(series.labels.metric()) {
                held.push(series);
            }
        }
        *self.kept.borrow_mut() = Kept { metrics: loaded, samples, ..Kept::default() };
        Ok(())
    }

    /// The series made of PD's answers.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn pd(&self) -> Result<&MemoryStorage, CaptureError> {
        if let Some(known) = self.pd.get() {
            return Ok(known);
        }
        let answers = self.reader.pd_answers(TimeRange::ALL)?;
        Ok(self.pd.get_or_init(|| pd_series(&answers, self.reader.window().end)))
    }

    /// Holds the samples of a metric in `range`.
    fn keep(&self, kept: &mut Kept, name: &str, range: TimeRange) -> Result<(), CaptureError> {
        let mut wanted = by_hours(range);
        if let Some((held, _)) = kept.metrics.get(name) {
            if held.start <= range.start && range.end <= held.end {
                return Ok(());
            }
            wanted.start = wanted.start.min(held.start);
            wanted.end = wanted.end.max(held.end);
        }
        let series = shared(self.reader.select(&[LabelMatcher::equal(NAME, name)], wanted)?);
        let samples = |series: &SeriesSet| series.iter().map(|s| s.samples.len()).sum::<usize>();
        let count = samples(&series);
        if kept.samples + count > KEPT_SAMPLES {
            *kept = Kept::default();
        }
        if let Some((_, replaced)) = kept.metrics.insert(name.to_owned(), (wanted, series)) {
            kept.samples -= samples(&replaced);
            kept.picked.clear();
        }
        kept.samples += count;
        Ok(())
    }
}

impl Storage for CaptureStorage<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, StorageError> {
        let names_one =
            |matcher: &&LabelMatcher| matcher.name == NAME && matches!(matcher.op, MatchOp::Equal);
        let Some(name) = matchers.iter().find(names_one) else {
            let mut series = shared(self.reader.select(matchers, range)?);
            if matchers.iter().any(speaks_of_pd) {
                series.extend(self.pd()?.select(matchers, range)?);
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
            }
            return Ok(series);
        };
        if PD_METRICS.iter().any(|metric| metric.name == name.value) {
            return self.pd()?.select(matchers, range);
        }
        let mut kept = self.kept.borrow_mut();
        self.keep(&mut kept, &name.value, range)?;
        let Kept { metrics, picked, .. } = &mut *kept;
        let key = key(matchers);
        if let Some(series) = picked.get(&key) {
            return Ok(series.clone());
        }
        let all = metrics.get(&name.value).map_or(&[][..], |(_, series)| series.as_slice());
        let mut conditions: Vec<Condition<'_>> = matchers.iter().map(Condition::new).collect();
        let accepted =
            |series: &&Arc<Series>| conditions.iter_mut().all(|one| one.accepts(&series.labels));
        let series: SeriesSet = all.iter().filter(accepted).cloned().collect();
        if picked.len() >= KEPT_PICKS {
            picked.clear();
        }
        picked.insert(key, series.clone());
        Ok(series)
    }
}

/// Whether a regular expression on the metric's name is meant for PD's series; one that matches
/// any name is not, so that it gives what Prometheus would.
fn speaks_of_pd(matcher: &LabelMatcher) -> bool {
    let MatchOp::Regex(regex) = &matcher.op else { return false };
    matcher.name == NAME && regex.as_str().contains("operator_pd_")
}

/// Tells one list of matchers from another.
fn key(matchers: &[LabelMatcher]) -> String {
    let mut key = String::new();
    for LabelMatcher { name, op, value } in matchers {
        let (sign, operand) = match op {
            MatchOp::Equal => ("=", value.as_str()),
            MatchOp::NotEqual => ("!=", value.as_str()),
            MatchOp::Regex(pattern) => ("=~", pattern.as_str()),
            MatchOp::NotRegex(pattern) => ("!~", pattern.as_str()),
        };
        key.push_str(&format!("{name:?}{sign}{operand:?},"));
    }
    key
}

/// A matcher that remembers its last value: neighbours often share it.
struct Condition<'m> {
    matcher: &'m LabelMatcher,
    last: Option<(String, bool)>,
}

impl<'m> Condition<'m> {
    fn new(matcher: &'m LabelMatcher) -> Self {
        Self { matcher, last: None }
    }

    fn accepts(&mut self, labels: &Labels) -> bool {
        let value = labels.get(&self.matcher.name).unwrap_or_default();
        match &mut self.last {
            Some((last, accepted)) if last == value => *accepted,
            Some((last, accepted)) => {
                last.clear();
                last.push_str(value);
                *accepted = self.matcher.accepts(value);
                *accepted
            }
            None => {
                let accepted = self.matcher.accepts(value);
                self.last = Some((value.to_owned(), accepted));
                accepted
            }
        }
    }
}

/// A range grown to whole hours, so that queries at many instants find the series decoded.
fn by_hours(range: TimeRange) -> TimeRange {
    const HOUR: i64 = 3_600_000;
    let start = range.start.as_millis().div_euclid(HOUR).saturating_mul(HOUR);
    let end = range.end.as_millis().saturating_add(HOUR - 1).div_euclid(HOUR).saturating_mul(HOUR);
    TimeRange::new(
        Timestamp::from_millis(start).min(range.start),
        Timestamp::from_millis(end).max(range.end),
    )
}

fn shared(series: Vec<Series>) -> SeriesSet {
    series.into_iter().map(Arc::new).collect()
}
