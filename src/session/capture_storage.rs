//! A capture as a storage of series for PromQL.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{AsOf, LabelMatcher, Labels, MatchOp, SCRAPED_BY, Series, TimeRange, Timestamp};
use crate::promql::{Dialect, MemoryStorage, SeriesSet, Storage, StorageError};
use crate::session::own_scrapes::OwnScrapes;
use crate::session::pd_bodies::PdSource;
use crate::session::pd_series::{PD_METRICS, series_of};

/// Samples that are kept decoded; past that everything is forgotten.
const KEPT_SAMPLES: u64 = 16 << 20;
/// Lists of matchers whose series are kept.
const KEPT_PICKS: usize = 4096;
/// Series in all of these lists.
const KEPT_PICKED_SERIES: usize = 4 << 20;
/// Bytes of names from which on no more metrics are decoded in one pass.
const LONGEST_PATTERN: usize = 1 << 16;
const NAME: &str = "__name__";

/// Series of a capture for PromQL. What has been decoded of a metric is kept, so that further
/// expressions over it share the samples. PD's answers are there as series too
/// ([`pd_series`](crate::session::pd_series())), for selectors that name them.
///
/// What the recorder scraped itself while Prometheus was away fills the holes of Prometheus's series. A selector that
/// names the label [`SCRAPED_BY`] finds these samples as they were recorded, as series of their own.
pub struct CaptureStorage<'a> {
    reader: &'a CaptureReader,
    kept: RefCell<Kept>,
    /// Series made of PD's answers, by metric; without one, all.
    pd: RefCell<HashMap<Option<&'static str>, Rc<MemoryStorage>>>,
    /// What the recorder scraped in Prometheus's place; empty until it is asked for.
    own: OnceCell<Option<OwnScrapes>>,
    /// What others had made the reader decode before.
    decoded_before: u64,
}

#[derive(Default)]
struct Kept {
    metrics: HashMap<String, (TimeRange, SeriesSet)>,
    samples: u64,
    /// What selectors picked of the metrics, as long as these stay.
    picked: HashMap<String, SeriesSet>,
    /// How many series `picked` lists.
    picked_series: usize,
    /// Metrics that are going to be asked for, in that order.
    announced: VecDeque<String>,
    /// Whether all metrics are there.
    whole: bool,
}

impl<'a> CaptureStorage<'a> {
    /// A storage over an open capture.
    pub fn new(reader: &'a CaptureReader) -> Self {
        let decoded_before = reader.decoded_samples();
        Self {
            reader,
            kept: RefCell::default(),
            pd: RefCell::default(),
            own: OnceCell::new(),
            decoded_before,
        }
    }

    /// Series of the capture. What the recorder scraped while Prometheus was away stands in Prometheus's series.
    fn read(&self, matchers: &[LabelMatcher], range: TimeRange) -> Result<SeriesSet, CaptureError> {
        let series = self.reader.select(matchers, range)?;
        if self.own.get().is_none() {
            // What was set meanwhile is the same.
            let _ = self.own.set(OwnScrapes::of(self.reader)?);
        }
        Ok(shared(match self.own.get() {
            Some(Some(own)) => own.filled_in(series, range),
            _ => series,
        }))
    }

    /// Whose answers expressions over this capture should give: those of the Prometheus that it
    /// was copied from, or of the newest where that is not known.
    pub fn dialect(&self) -> Dialect {
        let version = self.reader.meta().versions.prometheus.as_deref();
        version.map_or(Dialect::V3, Dialect::of_version)
    }

    /// Tells in which order metrics are going to be asked for. As many as can be kept are then
    /// decoded in one pass, from the one that is asked for on; one by one, each would decode the
    /// blocks of its targets anew.
    pub fn announce<'m>(&self, metrics: impl IntoIterator<Item = &'m str>) {
        self.kept.borrow_mut().announced = metrics.into_iter().map(str::to_owned).collect();
    }

    /// Decodes the announced metrics from `name` on, as many as can be kept; nothing where it is
    /// not announced, or too large itself.
    fn keep_announced(&self, kept: &mut Kept, name: &str) -> Result<(), CaptureError> {
        let Some(place) = kept.announced.iter().position(|announced| announced == name) else {
            return Ok(());
        };
        // Those before it are still to come: something else was looked up ahead of its turn.
        kept.announced.rotate_left(place);
        let mut batch: BTreeSet<&str> = BTreeSet::new();
        let (mut samples, mut pattern) = (0, String::new());
        for metric in &kept.announced {
            if batch.contains(metric.as_str()) {
                continue;
            }
            let estimated = self.reader.estimated_samples(metric, TimeRange::ALL);
            samples += estimated;
            if samples > KEPT_SAMPLES || pattern.len() > LONGEST_PATTERN {
                break;
            }
            batch.insert(metric);
            // Rules name many metrics that no target of this cluster has.
            if estimated > 0 {
                if !pattern.is_empty() {
                    pattern.push('|');
                }
                pattern.push_str(&regex::escape(metric));
            }
        }
        let Ok(regex) = regex::Regex::new(&format!("^(?:{pattern})$")) else { return Ok(()) };
        if batch.is_empty() {
            return Ok(());
        }
        let op = MatchOp::Regex(regex);
        let matcher = LabelMatcher { name: NAME.to_owned(), op, value: String::new() };
        let mut metrics: HashMap<String, (TimeRange, SeriesSet)> = batch
            .iter()
            .map(|name| ((*name).to_owned(), (TimeRange::ALL, SeriesSet::new())))
            .collect();
        // What was kept makes room before its place is taken.
        let taken = kept.announced.iter().take_while(|metric| batch.contains(metric.as_str()));
        let taken = taken.count();
        let announced = kept.announced.split_off(taken);
        *kept = Kept { announced, ..Kept::default() };
        let present = if pattern.is_empty() {
            SeriesSet::new()
        } else {
            self.read(&[matcher], TimeRange::ALL)?
        };
        for series in present {
            if let Some((_, held)) = metrics.get_mut(series.labels.metric()) {
                kept.samples += series.samples.len() as u64;
                held.push(series);
            }
        }
        kept.metrics = metrics;
        Ok(())
    }

    /// The series made of PD's answers.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn pd(&self) -> Result<Rc<MemoryStorage>, CaptureError> {
        self.pd_of(None)
    }

    /// The series of one metric made of PD's answers, of all where none is named.
    fn pd_of(&self, metric: Option<&'static str>) -> Result<Rc<MemoryStorage>, CaptureError> {
        if let Some(known) = self.pd.borrow().get(&metric) {
            return Ok(Rc::clone(known));
        }
        let (range, as_of) = (TimeRange::ALL, AsOf::END);
        let source = PdSource::Stored { reader: self.reader, range, as_of };
        let made = Rc::new(series_of(source, self.reader.window().end, metric)?);
        let samples = |made: &MemoryStorage| -> u64 {
            made.series().iter().map(|series| series.samples.len() as u64).sum()
        };
        let mut kept = self.pd.borrow_mut();
        let held: u64 = kept.values().map(|one| samples(one)).sum();
        if held + samples(&made) > KEPT_SAMPLES {
            kept.clear();
        }
        kept.insert(metric, Rc::clone(&made));
        Ok(made)
    }

    /// Holds the samples of a metric in `range`.
    fn keep(&self, kept: &mut Kept, name: &str, range: TimeRange) -> Result<(), CaptureError> {
        if kept.covers(name, range) {
            return Ok(());
        }
        self.keep_announced(kept, name)?;
        if !kept.covers(name, range) && self.is_worth_all() {
            self.keep_all(kept)?;
        }
        if kept.covers(name, range) {
            return Ok(());
        }
        let wanted = self.slice(kept, name, range);
        let count = |series: &SeriesSet| series.iter().map(|s| s.samples.len() as u64).sum::<u64>();
        if kept.samples + self.reader.estimated_samples(name, wanted) > KEPT_SAMPLES {
            let announced = std::mem::take(&mut kept.announced);
            *kept = Kept { announced, ..Kept::default() };
        }
        let series = self.read(&[LabelMatcher::equal(NAME, name)], wanted)?;
        kept.samples += count(&series);
        if let Some((_, replaced)) = kept.metrics.insert(name.to_owned(), (wanted, series)) {
            kept.samples -= count(&replaced);
            kept.forget_picked();
        }
        Ok(())
    }

    /// Whether decoding metric by metric has taken as long as all at once would have, and all may
    /// be kept.
    fn is_worth_all(&self) -> bool {
        let all = self.reader.samples();
        let decoded = self.reader.decoded_samples() - self.decoded_before;
        all <= KEPT_SAMPLES && decoded >= all
    }

    /// The series of any metric that match. Where they are asked for again and again, as by a rule
    /// that is evaluated instant by instant, all series are kept.
    fn select_unnamed(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, CaptureError> {
        let mut kept = self.kept.borrow_mut();
        if !kept.whole && self.is_worth_all() {
            self.keep_all(&mut kept)?;
        }
        if kept.whole {
            return Ok(kept.pick(None, matchers));
        }
        self.read(matchers, range)
    }

    fn keep_all(&self, kept: &mut Kept) -> Result<(), CaptureError> {
        // What is held goes first, so that both are never in memory; what cannot be read is not taken for empty.
        *kept = Kept::default();
        let all = self.read(&[], TimeRange::ALL)?;
        kept.whole = true;
        for series in all {
            kept.samples += series.samples.len() as u64;
            let name = series.labels.metric();
            match kept.metrics.get_mut(name) {
                Some((_, held)) => held.push(series),
                None => {
                    kept.metrics.insert(name.to_owned(), (TimeRange::ALL, vec![series]));
                }
            }
        }
        Ok(())
    }

    /// The stretch of a metric that is decoded where `range` is asked for: together with what is
    /// held of it, or, where that is too much, from there on as far as can be kept.
    fn slice(&self, kept: &Kept, name: &str, range: TimeRange) -> TimeRange {
        let mut wanted = by_hours(range);
        let samples = |range| self.reader.estimated_samples(name, range);
        if let Some((held, _)) = kept.metrics.get(name) {
            let start = wanted.start.min(held.start);
            let hull = TimeRange::new(start, wanted.end.max(held.end));
            if samples(hull) <= KEPT_SAMPLES {
                return hull;
            }
        }
        let window = self.reader.recorded();
        if samples(window) > KEPT_SAMPLES {
            let length = (window.millis() as u128 * u128::from(KEPT_SAMPLES)
                / u128::from(samples(window))) as i64;
            wanted.end =
                wanted.end.max(wanted.start.max(window.start).saturating_add_millis(length));
        }
        wanted
    }
}

impl Kept {
    /// Whether all samples of a metric in `range` are there.
    fn covers(&self, name: &str, range: TimeRange) -> bool {
        let held = self.metrics.get(name).map(|(held, _)| held);
        self.whole || held.is_some_and(|held| held.start <= range.start && range.end <= held.end)
    }

    fn forget_picked(&mut self) {
        self.picked.clear();
        self.picked_series = 0;
    }

    /// The held series that match, of one metric or of all, ascending by labels.
    fn pick(&mut self, name: Option<&str>, matchers: &[LabelMatcher]) -> SeriesSet {
        let key = key(matchers);
        if let Some(series) = self.picked.get(&key) {
            return series.clone();
        }
        let mut conditions: Vec<Condition<'_>> = matchers.iter().map(Condition::new).collect();
        let accepted =
            |series: &&Arc<Series>| conditions.iter_mut().all(|one| one.accepts(&series.labels));
        let series: SeriesSet = match name {
            Some(name) => {
                let held = self.metrics.get(name).map_or(&[][..], |(_, series)| series);
                held.iter().filter(accepted).cloned().collect()
            }
            None => {
                let held = self.metrics.values().flat_map(|(_, series)| series);
                let mut series: SeriesSet = held.filter(accepted).cloned().collect();
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                series
            }
        };
        if self.picked.len() >= KEPT_PICKS || self.picked_series > KEPT_PICKED_SERIES {
            self.forget_picked();
        }
        self.picked_series += series.len();
        self.picked.insert(key, series.clone());
        series
    }
}

impl Storage for CaptureStorage<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, StorageError> {
        if matchers.iter().any(|matcher| matcher.name == SCRAPED_BY.0) {
            return Ok(shared(self.reader.select(matchers, range)?));
        }
        let names_one =
            |matcher: &&LabelMatcher| matcher.name == NAME && matches!(matcher.op, MatchOp::Equal);
        let Some(name) = matchers.iter().find(names_one) else {
            let mut series = self.select_unnamed(matchers, range)?;
            if matchers.iter().any(speaks_of_pd) {
                series.extend(self.pd()?.select(matchers, range)?);
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
            }
            return Ok(series);
        };
        if let Some(metric) = PD_METRICS.iter().find(|metric| metric.name == name.value) {
            return self.pd_of(Some(metric.name))?.select(matchers, range);
        }
        let mut kept = self.kept.borrow_mut();
        self.keep(&mut kept, &name.value, range)?;
        Ok(kept.pick(Some(&name.value), matchers))
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
