//! The samples that diagnosis reads, and what is derived from them: rates, means, increments.
//!
//! A rate belongs to the interval between two samples, never to an instant, and is not
//! extrapolated: the onset of a change is known to that interval and no better.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::observations::scrapes::{
    Intervals, Scrape, UnreadableSamples, scrapes_by_traces,
};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::thresholds::HORIZON_MS;
use crate::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale};

/// The increase of a counter over `(since, at]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Increment {
    /// When the sample before was taken.
    pub since: Timestamp,
    /// When the sample was taken.
    pub at: Timestamp,
    /// By how much the counter rose, in the counter's unit.
    pub by: f64,
    /// Whether the counter had begun anew since the sample before.
    pub is_reset: bool,
}

/// Selected series by metric, and when each target was scraped.
#[derive(Clone, Debug)]
pub struct SeriesTable {
    metrics: BTreeMap<String, Vec<Series>>,
    /// By metric and target, the places of its series among those of the metric, ascending.
    of_targets: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    scrapes: BTreeMap<String, Vec<Scrape>>,
    intervals: BTreeMap<String, Intervals>,
    /// The median of the typical intervals of all targets, for a target that was scraped only once.
    usual_interval_ms: i64,
    unreadable: UnreadableSamples,
}

/// The places of each target's series in a list, by the target's name.
fn by_target(list: &[Series]) -> BTreeMap<String, Vec<usize>> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, one) in list.iter().enumerate() {
        let Some(instance) = one.labels.get("instance") else { continue };
        match places.get_mut(instance) {
            Some(known) => known.push(place),
            None => {
                places.insert(instance.to_owned(), vec![place]);
            }
        }
    }
    places
}

impl SeriesTable {
    /// A table of series in any order, of which the label `instance` is the name of the target.
    /// `unreadable` is what was recorded besides and cannot be read.
    pub fn new(series: Vec<Series>, unreadable: UnreadableSamples) -> Self {
        let mut metrics: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for one in series {
            if !one.samples.is_empty() {
                metrics.entry(one.labels.metric().to_owned()).or_default().push(one);
            }
        }
        let mut scrapes: BTreeMap<String, Vec<Scrape>> = BTreeMap::new();
        let mut of_targets = BTreeMap::new();
        for (name, list) in &mut metrics {
            list.sort_by(|a, b| a.labels.cmp(&b.labels));
            of_targets.insert(name.clone(), by_target(list));
        }
        for one in metrics.get("up").into_iter().flatten() {
            let scrape = |sample: &Sample| Scrape { at: sample.at, up: sample.value > 0.0 };
            let live = one.samples.iter().filter(|sample| !is_stale(sample.value));
            let instance = one.labels.get("instance").unwrap_or_default().to_owned();
            scrapes.entry(instance).or_default().extend(live.map(scrape));
        }
        let names: BTreeSet<&String> = of_targets.values().flat_map(BTreeMap::keys).collect();
        for instance in names {
            // What is unreadable looks like what did not come, and so like a scrape that failed.
            if !scrapes.contains_key(instance) && !unreadable.overlap(instance, TimeRange::ALL) {
                let own = metrics.iter().flat_map(|(name, list)| {
                    let places = of_targets[name].get(instance).into_iter().flatten();
                    places.map(|place| &list[*place])
                });
                let found = scrapes_by_traces(own);
                if !found.is_empty() {
                    scrapes.insert(instance.clone(), found);
                }
            }
        }
        for list in scrapes.values_mut() {
            list.sort_by_key(|scrape| scrape.at);
            list.dedup_by_key(|scrape| scrape.at);
        }
        let of_target = |(name, list): (&String, &Vec<Scrape>)| {
            Intervals::new(list).map(|intervals| (name.clone(), intervals))
        };
        let intervals: BTreeMap<String, Intervals> = scrapes.iter().filter_map(of_target).collect();
        let mut typical: Vec<i64> = intervals.values().map(Intervals::typical_ms).collect();
        typical.sort_unstable();
        let usual_interval_ms = typical.get(typical.len() / 2).copied().unwrap_or(15_000);
        Self { metrics, of_targets, scrapes, intervals, usual_interval_ms, unreadable }
    }

    /// Whether samples of a target were recorded in `range` that cannot be read any more: samples that
    /// are missing there say nothing about the target.
    pub fn is_unreadable(&self, instance: &str, range: TimeRange) -> bool {
        self.unreadable.overlap(instance, range)
    }

    /// The series of a metric, ascending by labels; none where the metric was not recorded.
    pub fn metric(&self, name: &str) -> &[Series] {
        self.metrics.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every series, ascending by metric and labels.
    pub fn all(&self) -> impl Iterator<Item = &Series> {
        self.metrics.values().flatten()
    }

    /// The series of a metric of one target, ascending by labels.
    pub fn of<'a>(
        &'a self,
        name: &str,
        instance: &str,
    ) -> impl Iterator<Item = &'a Series> + use<'a> {
        let list = self.metric(name);
        let places = self.of_targets.get(name).and_then(|targets| targets.get(instance));
        places.into_iter().flatten().map(move |place| &list[*place])
    }

    /// Whether the metric has any sample.
    pub fn has(&self, name: &str) -> bool {
        self.metrics.contains_key(name)
    }

    /// The scrapes of each target, ascending in time, by the target's name.
    pub fn scrapes(&self) -> &BTreeMap<String, Vec<Scrape>> {
        &self.scrapes
    }

    /// The typical distance between two scrapes of a target in milliseconds, at least a second; that of
    /// the other targets where it was not scraped twice, and 15 s where none was. Stretches of time are
    /// counted in scrapes, so that another interval changes no result.
    pub fn interval_of(&self, instance: &str) -> i64 {
        self.intervals.get(instance).map_or(self.usual_interval_ms, Intervals::typical_ms)
    }

    /// The longest of the typical intervals of these targets, in milliseconds.
    pub fn longest_interval<'a>(&self, instances: impl IntoIterator<Item = &'a str>) -> i64 {
        let intervals = instances.into_iter().map(|instance| self.interval_of(instance));
        intervals.max().unwrap_or(self.usual_interval_ms)
    }

    /// The distance between two scrapes of a target around an instant, in milliseconds.
    pub fn interval_at(&self, instance: &str, instant: Timestamp) -> i64 {
        self.intervals_of(instance)(instant)
    }

    /// As [`interval_at`](Self::interval_at) for many instants of one target, which is looked up once.
    fn intervals_of(&self, instance: &str) -> impl Fn(Timestamp) -> i64 + use<'_> {
        let own = self.intervals.get(instance);
        move |instant| own.map_or(self.usual_interval_ms, |intervals| intervals.at(instant))
    }

    /// How much each counter rose, sample by sample. A drop is a reset: what the counter shows
    /// after it has been counted since. A series that begins while its target was already being
    /// scraped begins at zero: TiKV creates the series of a label value at its first event.
    pub fn increments(&self, series: &Series) -> Vec<Increment> {
        self.increments_after(&series.labels, None, &series.samples)
    }

    /// Those of the [increments](Self::increments) of a counter that overlap `range`. No other samples than
    /// theirs are looked at.
    pub fn increments_within(&self, series: &Series, range: TimeRange) -> Vec<Increment> {
        let is_live = |sample: &Sample| !is_stale(sample.value);
        let samples = &series.samples;
        let from = samples.partition_point(|sample| sample.at <= range.start);
        let before = samples[..from].iter().rev().copied().find(is_live);
        let inside = samples.partition_point(|sample| sample.at < range.end).max(from);
        let beyond = samples[inside..].iter().position(is_live);
        let to = beyond.map_or(samples.len(), |distance| inside + distance + 1);
        self.increments_after(&series.labels, before, &samples[from..to])
    }

    fn increments_after(
        &self,
        labels: &Labels,
        mut before: Option<Sample>,
        samples: &[Sample],
    ) -> Vec<Increment> {
        let mut found = Vec::new();
        for &sample in samples.iter().filter(|sample| !is_stale(sample.value)) {
            if let Some(last) = before {
                let is_reset = sample.value < last.value;
                let by = if is_reset { sample.value } else { sample.value - last.value };
                found.push(Increment { since: last.at, at: sample.at, by, is_reset });
            } else if let Some(since) = self.scrape_before(labels, sample.at) {
                let by = sample.value;
                found.push(Increment { since, at: sample.at, by, is_reset: false });
            }
            before = Some(sample);
        }
        found
    }

    /// The successful scrape of the same target just before `at`, if all of its samples can be read.
    fn scrape_before(&self, labels: &Labels, at: Timestamp) -> Option<Timestamp> {
        let instance = labels.get("instance")?;
        let list = self.scrapes.get(instance)?;
        let earlier = list[..list.partition_point(|scrape| scrape.at < at)].last()?;
        let known = !self.is_unreadable(instance, TimeRange::new(earlier.at, at));
        (earlier.up && known).then_some(earlier.at)
    }

    /// The increase per second, summed over those of a target's series whose labels `keep` accepts.
    /// Intervals of more than three and a half scrapes are left out: what happened inside is unknown.
    pub fn rate(&self, name: &str, instance: &str, keep: impl Fn(&Labels) -> bool) -> Track {
        let interval_at = self.intervals_of(instance);
        let longest = |at: Timestamp| interval_at(at).saturating_mul(7) / 2;
        self.sum_rates(self.of(name, instance).filter(|one| keep(&one.labels)), longest)
    }

    /// Rates over intervals of at most `longest` milliseconds, which depends on where they end.
    fn sum_rates<'a>(
        &self,
        series: impl Iterator<Item = &'a Series>,
        longest: impl Fn(Timestamp) -> i64,
    ) -> Track {
        let mut sums: Vec<Point> = Vec::new();
        for one in series {
            let rates = self.increments(one).into_iter().filter_map(|increment| {
                let millis = increment.at - increment.since;
                (millis > 0 && millis <= longest(increment.at)).then(|| Point {
                    since: increment.since,
                    at: increment.at,
                    value: increment.by * 1000.0 / millis as f64,
                })
            });
            sums = added(sums, rates);
        }
        Track(sums)
    }

    /// The mean of a histogram or summary per interval: the increase of `<name>_sum` divided by that of
    /// `<name>_count`. Intervals with fewer than `least` observations have no mean. A scrape gap has one
    /// mean, which stands for each scrape that is missing.
    pub fn mean(
        &self,
        name: &str,
        instance: &str,
        least: f64,
        keep: impl Fn(&Labels) -> bool,
    ) -> Track {
        let rates = |suffix: &str| {
            let name = format!("{name}{suffix}");
            self.sum_rates(self.of(&name, instance).filter(|one| keep(&one.labels)), |_| i64::MAX)
        };
        let (sums, counts) = (rates("_sum"), rates("_count"));
        let counts: BTreeMap<Timestamp, f64> =
            counts.0.iter().map(|point| (point.at, point.value)).collect();
        let mean = |point: &Point| {
            let count = *counts.get(&point.at)?;
            let observations = count * (point.at - point.since) as f64 / 1000.0;
            (observations >= least && observations > 0.0)
                .then(|| Point { value: point.value / count, ..*point })
        };
        let interval_at = self.intervals_of(instance);
        let split = |point: Point| parts(point, interval_at(point.at));
        Track(sums.0.iter().filter_map(mean).flat_map(split).collect())
    }

    /// As [`mean`](Self::mean) for each value of `label`, and of these means the least at each instant.
    pub fn least_mean(&self, name: &str, instance: &str, label: &str) -> Track {
        let count = format!("{name}_count");
        let values: BTreeSet<&str> =
            self.of(&count, instance).filter_map(|one| one.labels.get(label)).collect();
        let mut least: BTreeMap<Timestamp, Point> = BTreeMap::new();
        for value in values {
            let keep = |labels: &Labels| labels.get(label) == Some(value);
            for point in self.mean(name, instance, 1.0, keep).0 {
                let known = least.entry(point.at).or_insert(point);
                if point.value < known.value {
                    *known = point;
                }
            }
        }
        Track(least.into_values().collect())
    }

    /// The gauge, summed over those of a target's series whose labels `keep` accepts.
    pub fn gauge(&self, name: &str, instance: &str, keep: impl Fn(&Labels) -> bool) -> Track {
        let mut sums: BTreeMap<Timestamp, f64> = BTreeMap::new();
        for one in self.of(name, instance).filter(|one| keep(&one.labels)) {
            for sample in one.samples.iter().filter(|sample| !is_stale(sample.value)) {
                *sums.entry(sample.at).or_default() += sample.value;
            }
        }
        let mut before = None;
        let point = |(at, value)| {
            let since = before.replace(at).unwrap_or(at);
            Point { since, at, value }
        };
        Track(sums.into_iter().map(point).collect())
    }

    /// How much a target's counters rose across a scrape gap: from the last sample at or before
    /// `gap.start` to the first at or after `gap.end`. `None` where either is missing or the counter was
    /// reset in between.
    pub fn across(&self, name: &str, instance: &str, gap: TimeRange) -> Option<Increment> {
        let mut total: Option<Increment> = None;
        for one in self.of(name, instance) {
            let live: Vec<&Sample> =
                one.samples.iter().filter(|sample| !is_stale(sample.value)).collect();
            let before = live.iter().rev().find(|sample| sample.at <= gap.start)?;
            let after = live.iter().find(|sample| sample.at >= gap.end)?;
            if after.value < before.value {
                return None;
            }
            let by = after.value - before.value + total.map_or(0.0, |total| total.by);
            total = Some(Increment { since: before.at, at: after.at, by, is_reset: false });
        }
        total
    }
}

/// Adds the points of one more series to sums over the same intervals; both ascend in time. Series
/// of one target share its scrapes, so that the sums rarely grow.
fn added(mut sums: Vec<Point>, more: impl Iterator<Item = Point>) -> Vec<Point> {
    let key = |point: &Point| (point.at, point.since);
    let mut place = 0;
    let mut others = Vec::new();
    for point in more {
        while sums.get(place).is_some_and(|sum| key(sum) < key(&point)) {
            place += 1;
        }
        match sums.get_mut(place).filter(|sum| key(sum) == key(&point)) {
            Some(sum) => sum.value += point.value,
            None => others.push(point),
        }
    }
    if !others.is_empty() {
        sums.extend(others);
        sums.sort_by_key(key);
    }
    sums
}

/// The longest gap whose mean stands for its missing scrapes: as far as a judgement looks back.
const LONGEST_GAP_MS: i64 = HORIZON_MS;

/// A value that holds over several intervals, repeated for each of them; the value itself over fewer
/// than two, and nothing over a gap of more than [`LONGEST_GAP_MS`].
fn parts(point: Point, interval: i64) -> impl Iterator<Item = Point> {
    let span = point.at - point.since;
    let count = match span > LONGEST_GAP_MS {
        true => 0,
        false => ((span + interval / 2) / interval).max(1),
    };
    let edge = move |number: i64| point.since.saturating_add_millis(span * number / count);
    (0..count).map(move |number| Point { since: edge(number), at: edge(number + 1), ..point })
}

#[cfg(test)]
pub(in crate::diagnose) mod tests {
    use super::*;
    use crate::model::{Observed, Unreadable};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// A series of one target, with samples at whole seconds.
    pub(crate) fn series(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> Series {
        let sample = |&(seconds, value): &(i64, f64)| Sample { at: at(seconds), value };
        Series { labels: Labels::from_pairs(pairs), samples: samples.iter().map(sample).collect() }
    }

    fn table(extra: Vec<Series>) -> SeriesTable {
        let up: Vec<(i64, f64)> = (0..10).map(|k| (k * 15, 1.0)).collect();
        let mut all = vec![series(&[("__name__", "up"), ("job", "t"), ("instance", "a")], &up)];
        all.extend(extra);
        SeriesTable::new(all, UnreadableSamples::default())
    }

    const C: [(&str, &str); 2] = [("__name__", "c"), ("instance", "a")];

    #[test]
    fn a_drop_is_a_reset() {
        let table = table(vec![series(&C, &[(0, 100.0), (15, 130.0), (30, 30.0)])]);
        let rates: Vec<f64> = table.rate("c", "a", |_| true).values().collect();
        assert_eq!(rates, [2.0, 2.0]);
    }

    #[test]
    fn a_series_that_begins_late_starts_at_zero_and_one_at_the_start_does_not() {
        let table = table(vec![series(&C, &[(45, 30.0), (60, 60.0)])]);
        let rates: Vec<f64> = table.rate("c", "a", |_| true).values().collect();
        assert_eq!(rates, [2.0, 2.0]);
        let early = series(&C, &[(0, 30.0), (15, 60.0)]);
        assert_eq!(table.increments(&early).len(), 1);
    }

    #[test]
    fn the_increments_of_a_stretch_are_those_that_overlap_it() {
        let mut counter = series(&C, &[(45, 30.0), (60, 60.0), (75, 0.0), (90, 80.0), (105, 90.0)]);
        counter.samples[2].value = crate::model::stale_marker();
        let table = table(vec![counter.clone()]);
        let all = table.increments(&counter);
        for from in 0..120 {
            for to in from + 1..=120 {
                let range = TimeRange::new(at(from), at(to));
                let overlaps = |one: &&Increment| one.since < range.end && one.at > range.start;
                let wanted: Vec<Increment> = all.iter().filter(overlaps).copied().collect();
                let found = table.increments_within(&counter, range);
                let found: Vec<Increment> = found.iter().filter(overlaps).copied().collect();
                assert_eq!(found, wanted, "{from} to {to}");
            }
        }
    }

    #[test]
    fn a_series_that_begins_beside_unreadable_samples_has_no_known_beginning() {
        let counter = series(&C, &[(45, 30.0), (60, 60.0)]);
        let part =
            |of: Observed, from, to| Unreadable { of, range: TimeRange::new(at(from), at(to)) };
        let target = |instance: &str| {
            let (job, instance) = ("t".to_owned(), instance.to_owned());
            Observed::Target(crate::model::TargetKey { job, instance })
        };
        let unreadable = |part| UnreadableSamples::new(&[part], |key| vec![key.instance.clone()]);
        let increments = |part: Unreadable| {
            let up: Vec<(i64, f64)> = (0..10).map(|k| (k * 15, 1.0)).collect();
            let up = series(&[("__name__", "up"), ("job", "t"), ("instance", "a")], &up);
            let table = SeriesTable::new(vec![up, counter.clone()], unreadable(part));
            table.increments(&counter).len()
        };
        assert_eq!(increments(part(target("a"), 0, 31)), 1);
        assert_eq!(increments(part(Observed::Anything, 0, 31)), 1);
        assert_eq!(increments(part(target("a"), 0, 30)), 2);
        assert_eq!(increments(part(target("b"), 0, 31)), 2);
    }

    #[test]
    fn a_long_gap_has_no_rate_but_an_increase_across() {
        let table = table(vec![series(&C, &[(0, 0.0), (15, 15.0), (135, 20.0)])]);
        assert_eq!(table.rate("c", "a", |_| true).0.len(), 1);
        let across = table.across("c", "a", TimeRange::new(at(15), at(135))).unwrap();
        assert_eq!((across.by, across.at - across.since), (5.0, 120_000));
    }

    #[test]
    fn a_mean_across_a_gap_stands_for_each_missing_scrape() {
        let sum = series(&[("__name__", "h_sum"), ("instance", "a")], &[(0, 0.0), (60, 8.0)]);
        let count = series(&[("__name__", "h_count"), ("instance", "a")], &[(0, 0.0), (60, 4.0)]);
        let mean = table(vec![sum, count]).mean("h", "a", 1.0, |_| true);
        let spans: Vec<(i64, i64, f64)> = mean
            .0
            .iter()
            .map(|p| (p.since.as_millis() / 1000, p.at.as_millis() / 1000, p.value))
            .collect();
        assert_eq!(spans, [(0, 15, 2.0), (15, 30, 2.0), (30, 45, 2.0), (45, 60, 2.0)]);
    }

    #[test]
    fn a_mean_needs_observations() {
        let sum =
            series(&[("__name__", "h_sum"), ("instance", "a")], &[(0, 0.0), (15, 3.0), (30, 3.0)]);
        let count = series(
            &[("__name__", "h_count"), ("instance", "a")],
            &[(0, 0.0), (15, 6.0), (30, 6.0)],
        );
        let mean = table(vec![sum, count]).mean("h", "a", 1.0, |_| true);
        assert_eq!(mean.values().collect::<Vec<_>>(), [0.5]);
    }

    #[test]
    fn without_up_a_scrape_is_known_by_its_other_samples() {
        let own = series(&C, &[(0, 1.0), (15, 2.0), (60, 3.0)]);
        let took = [("__name__", "scrape_duration_seconds"), ("instance", "a")];
        let took = series(&took, &[(0, 0.1), (15, 0.1), (30, 10.0), (45, 10.0), (60, 0.1)]);
        let up = |all: Vec<Series>| -> Vec<(i64, bool)> {
            let table = SeriesTable::new(all, UnreadableSamples::default());
            table.scrapes()["a"].iter().map(|one| (one.at.as_millis() / 1000, one.up)).collect()
        };
        let seen = [(0, true), (15, true), (30, false), (45, false), (60, true)];
        assert_eq!(up(vec![own.clone(), took]), seen);
        let mut marked = own;
        let marker = Sample { at: at(30), value: crate::model::stale_marker() };
        marked.samples.insert(2, marker);
        assert_eq!(up(vec![marked]), [(0, true), (15, true), (30, false), (60, true)]);
    }

    #[test]
    fn the_scrape_interval_is_measured() {
        assert_eq!(table(Vec::new()).interval_of("a"), 15_000);
    }
}
