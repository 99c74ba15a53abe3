//! Reduces samples to quantities while they stream by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Survey;
use super::attempts::{is_outcome, unsuccessful};
use super::grid::Grid;
use super::histograms::{Histograms, means, slow};
use super::quantity::{Quantity, SurveyedTarget};
use super::sign::{SurveyFilter, is_asked, sign_of};
use super::sums::{Counts, Key, Steps, Sums, rates};
use super::tail::{BOUND, BUCKET};
use crate::model::{Labels, Sample, Timestamp, is_stale};
use crate::nodes::target_identity;

/// The most values of a label that count anything at one target, for each to be a quantity of its own: kinds
/// of requests and reasons of errors are few.
const MOST_VALUES: usize = 16;

/// The most values of a label at one target, of which most count nothing: TiKV exports some fifty kinds of
/// requests. Addresses, threads and regions are more.
const MOST_ANNOUNCED: usize = 64;

/// The most steps between two samples over which a counter's increase is spread: after a longer silence
/// nobody knows when it rose.
const MOST_APART: i64 = 3;

/// A series that a surveyor was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesNumber(usize);

/// Reduces samples to quantities.
#[derive(Debug)]
pub struct Surveyor {
    grid: Grid,
    series: Vec<SeriesState>,
    targets: Vec<TargetSums>,
    by_identity: HashMap<Vec<(String, String)>, usize>,
}

/// What a surveyor keeps of a series between two samples.
#[derive(Debug)]
struct SeriesState {
    target: usize,
    /// The sums that its samples are added to.
    sums: Vec<usize>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Timestamp,
    value: f64,
    step: usize,
    step_end: Timestamp,
    /// How much of the step of `at` its samples cover, in milliseconds.
    covered_ms: i64,
}

/// The sums of one target while samples come.
#[derive(Debug)]
struct TargetSums {
    example: Labels,
    sums: Vec<Sums>,
    by_key: HashMap<Key, usize>,
    /// How many values each label of each metric has so far.
    values: HashMap<(String, String), usize>,
    /// The bound of the buckets of each metric that were announced; `None` where they have several.
    bounds: HashMap<String, Option<String>>,
    /// The labels of each bucket's metric that tell requests which take as long as was asked for from others.
    asked: BTreeSet<(String, String)>,
    /// How much of each step lies between two samples of a series, in milliseconds.
    covered_ms: Vec<i64>,
    /// Whether any series has a sample, for each step.
    seen: Vec<bool>,
    first: Option<Timestamp>,
}

impl Surveyor {
    /// A surveyor of samples on a grid.
    pub fn new(grid: Grid) -> Self {
        Self { grid, series: Vec::new(), targets: Vec::new(), by_identity: HashMap::new() }
    }

    /// Announces a series that is [accepted](super::SurveyFilter).
    pub fn announce(&mut self, labels: &Labels) -> SeriesNumber {
        let identity = target_identity(labels);
        let (targets, grid) = (&mut self.targets, self.grid);
        let target = *self.by_identity.entry(identity).or_insert_with(|| {
            targets.push(TargetSums::new(labels.clone(), grid));
            targets.len() - 1
        });
        let sums = self.targets[target].sums_of(labels);
        self.series.push(SeriesState { target, sums, last: None });
        SeriesNumber(self.series.len() - 1)
    }

    /// Adds the next samples of a series, which come ascending in time; one that does not is left out.
    pub fn add(&mut self, series: SeriesNumber, samples: impl IntoIterator<Item = Sample>) {
        let state = &mut self.series[series.0];
        let target = &mut self.targets[state.target];
        for sample in samples {
            // Most samples of a long window are as the one before in the same step, and show only that time passed.
            match state.last.as_mut().filter(|last| last.is_repeated_by(sample)) {
                Some(last) => {
                    last.covered_ms += sample.at - last.at;
                    last.at = sample.at;
                    let covered_ms = &mut target.covered_ms[last.step];
                    *covered_ms = last.covered_ms.max(*covered_ms);
                }
                None => target.add(self.grid, state, sample),
            }
        }
    }

    /// All that was surveyed, of the series that `filter` accepted.
    pub fn finish(self, filter: &SurveyFilter) -> Survey {
        let grid = self.grid;
        let targets = self.targets.into_iter();
        let mut targets: Vec<SurveyedTarget> =
            targets.map(|one| one.finish(grid, filter)).collect();
        targets.sort_by(|a, b| a.example.cmp(&b.example));
        Survey { grid, targets: Arc::new(targets), ..Survey::default() }
    }
}

impl Last {
    /// Whether a sample has the same value in the same step.
    fn is_repeated_by(&self, sample: Sample) -> bool {
        self.value == sample.value && self.at < sample.at && sample.at < self.step_end
    }
}

impl TargetSums {
    fn new(example: Labels, grid: Grid) -> Self {
        Self {
            example,
            sums: Vec::new(),
            by_key: HashMap::new(),
            values: HashMap::new(),
            bounds: HashMap::new(),
            asked: BTreeSet::new(),
            covered_ms: vec![0; grid.steps()],
            seen: vec![false; grid.steps()],
            first: None,
        }
    }

    /// Adds the next sample of one of the target's series.
    fn add(&mut self, grid: Grid, state: &mut SeriesState, sample: Sample) {
        let Some(step) = grid.step_of(sample.at) else { return };
        if is_stale(sample.value) || !sample.value.is_finite() {
            state.last = None;
            return;
        }
        if state.last.is_some_and(|last| last.at >= sample.at) {
            return;
        }
        let first = *self.first.get_or_insert(sample.at);
        self.seen[step] = true;
        let last = state.last.filter(|last| sample.at - last.at <= MOST_APART * grid.step_ms());
        let same_step = last.filter(|last| last.step == step);
        let is_zero = sample.value == 0.0 && state.last.is_none_or(|last| last.value == 0.0);
        for &place in &state.sums {
            let sums = &mut self.sums[place];
            let since = *sums.first.get_or_insert(step);
            if is_zero && sums.steps.is_none() {
                continue;
            }
            let steps = sums.steps.get_or_insert_with(|| Steps::new(&self.seen, since));
            steps.level[step] += sample.value - same_step.map_or(0.0, |last| last.value);
            steps.seen[step] = true;
            sums.rises += u32::from(last.is_some_and(|last| sample.value > last.value));
            sums.falls += u32::from(last.is_some_and(|last| sample.value < last.value));
        }
        let mut covered_ms = 0;
        match last {
            Some(last) => {
                // A counter that fell was reset, and has counted from zero since.
                let by = sample.value - if sample.value >= last.value { last.value } else { 0.0 };
                for (within, millis) in grid.parts(last.at, sample.at) {
                    let increase = by * millis as f64 / (sample.at - last.at) as f64;
                    for &place in &state.sums {
                        self.sums[place].add(within, increase);
                    }
                    let before = if within == last.step { last.covered_ms } else { 0 };
                    covered_ms = before + millis;
                    self.covered_ms[within] = self.covered_ms[within].max(covered_ms);
                }
            }
            // One that appears while its target is scraped begins at its first event.
            None if sample.at - first > 2 * grid.step_ms() && state.last.is_none() => {
                for &place in &state.sums {
                    self.sums[place].add(step, sample.value);
                }
            }
            None => {}
        }
        let step_end = grid.end_of(step);
        state.last = Some(Last { at: sample.at, value: sample.value, step, step_end, covered_ms });
    }

    /// The sums that a series belongs to: that of its metric, and one for each label of its own.
    fn sums_of(&mut self, labels: &Labels) -> Vec<usize> {
        let metric = labels.metric();
        if let Some(bound) = labels.get(BOUND).filter(|_| metric.ends_with(BUCKET)) {
            let known = self.bounds.entry(metric.to_owned());
            let known = known.or_insert_with(|| Some(bound.to_owned()));
            if known.as_deref() != Some(bound) {
                *known = None;
            }
        }
        let of_target = target_identity(labels);
        let is_own = |name: &str| {
            !["__name__", BOUND].contains(&name)
                && !of_target.iter().any(|(of_target, _)| of_target == name)
        };
        let own: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| is_own(name)).collect();
        if metric.ends_with(BUCKET) {
            let asked = own.iter().filter(|(_, value)| is_asked(value));
            self.asked.extend(asked.map(|(name, _)| (metric.to_owned(), (*name).to_owned())));
        }
        let told_apart = own.iter().filter(|(name, value)| !is_outcome(name, value));
        let identity = told_apart.map(|(name, value)| format!("{name}={value:?},"));
        let identity = xxhash_rust::xxh3::xxh3_64(identity.collect::<String>().as_bytes());
        let own = own.into_iter().map(|(name, value)| Some((name.to_owned(), value.to_owned())));
        let keys: Vec<Key> =
            std::iter::once(None).chain(own).map(|label| (metric.to_owned(), label)).collect();
        let places: Vec<usize> = keys.into_iter().filter_map(|key| self.place_of(key)).collect();
        for place in &places {
            let series = &mut self.sums[*place].series;
            *series = series.wrapping_add(identity);
        }
        places
    }

    /// The place of the sums of a key; `None` where its label has too many values for quantities of their
    /// own, so that a cluster of many stores takes no more memory for each.
    fn place_of(&mut self, key: Key) -> Option<usize> {
        if let Some(known) = self.by_key.get(&key) {
            return Some(*known);
        }
        if let (metric, Some((name, _))) = &key {
            let values = self.values.entry((metric.clone(), name.clone())).or_default();
            *values += 1;
            if *values > MOST_ANNOUNCED {
                return None;
            }
        }
        self.sums.push(Sums::default());
        self.by_key.insert(key, self.sums.len() - 1);
        Some(self.sums.len() - 1)
    }

    fn finish(self, grid: Grid, filter: &SurveyFilter) -> SurveyedTarget {
        let mut counting: HashMap<(&str, &str), usize> = HashMap::new();
        for ((metric, label), place) in &self.by_key {
            if let Some((name, _)) = label.as_ref().filter(|_| self.sums[*place].counted(metric)) {
                *counting.entry((metric, name)).or_default() += 1;
            }
        }
        let is_kept = |(metric, label): &Key| {
            label.as_ref().is_none_or(|(name, _)| {
                let values = self.values.get(&(metric.clone(), name.clone()));
                let counting = counting.get(&(metric.as_str(), name.as_str())).copied();
                values.is_some_and(|values| *values <= MOST_ANNOUNCED)
                    && counting.unwrap_or(0) <= MOST_VALUES
            })
        };
        let kept: BTreeMap<&Key, &Sums> = self
            .by_key
            .iter()
            .filter(|(key, _)| is_kept(key))
            .map(|(key, place)| (key, &self.sums[*place]))
            .collect();
        let mut quantities: Vec<Quantity> = kept
            .iter()
            .flat_map(|((metric, label), sums)| {
                let counts = match filter.counts_things(metric) {
                    true => Counts::Things,
                    false => Counts::ByName,
                };
                let readings = sums.values(metric, counts, (&self.covered_ms, grid)).into_iter();
                readings.map(|(reading, values)| Quantity {
                    metric: metric.clone(),
                    reading,
                    label: label.clone(),
                    bound: String::new(),
                    values,
                })
            })
            .collect();
        quantities.extend(means(&kept));
        let by_increase = |increase: &[f64]| rates(increase, &self.covered_ms, grid);
        quantities.extend(unsuccessful(&kept, &by_increase));
        let histograms = Histograms {
            sums: &kept,
            bounds: &self.bounds,
            asked: &self.asked,
            rates: &by_increase,
        };
        quantities.extend(slow(&histograms));
        let is_alone = |one: &Quantity| {
            one.label.as_ref().is_some_and(|(name, _)| {
                self.values.get(&(one.metric.clone(), name.clone())) == Some(&1)
            })
        };
        let by_metric =
            |one: &Quantity| sign_of(&Quantity { label: None, values: Vec::new(), ..one.clone() });
        // A label with one value says what its metric says, unless the value is what makes it a sign.
        quantities
            .retain(|one| sign_of(one).is_some() && !(is_alone(one) && by_metric(one).is_some()));
        quantities.sort_by(|a, b| {
            (&a.metric, a.reading, &a.label).cmp(&(&b.metric, b.reading, &b.label))
        });
        SurveyedTarget { example: self.example, quantities }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::survey::Reading;
    use crate::model::{Series, TimeRange};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// Scrapes every 15 s over three minutes.
    fn series(pairs: &[(&str, &str)], value: impl Fn(i64) -> f64) -> Series {
        let sample = |step: i64| Sample { at: at(step * 15 + 7), value: value(step) };
        Series { labels: Labels::from_pairs(pairs), samples: (0..12).map(sample).collect() }
    }

    fn surveyed(series: &[Series]) -> Survey {
        Survey::of(series, TimeRange::new(at(0), at(180)))
    }

    fn values(survey: &Survey, metric: &str, reading: Reading) -> Vec<f64> {
        let mut all = survey.targets.iter().flat_map(|target| &target.quantities);
        let found = all.find(|one| one.metric == metric && one.reading == reading);
        found.map(|one| survey.track(one).values().collect()).unwrap_or_default()
    }

    #[test]
    fn a_counter_is_a_rate_also_where_a_step_holds_another_number_of_scrapes() {
        let errors = [("__name__", "tikv_error_total"), ("instance", "a")];
        let survey = surveyed(&[series(&errors, |step| 30.0 * step as f64)]);
        let rates = values(&survey, "tikv_error_total", Reading::Rate);
        assert!(
            rates.len() >= 5 && rates.iter().all(|rate| (rate - 2.0).abs() < 1e-9),
            "{rates:?}"
        );
    }

    #[test]
    fn a_counter_that_fell_was_reset() {
        let errors = [("__name__", "tikv_error_total"), ("instance", "a")];
        let counted = |step: i64| if step < 6 { 1000.0 } else { 15.0 * (step - 6) as f64 };
        let survey = surveyed(&[series(&errors, counted)]);
        let rates = values(&survey, "tikv_error_total", Reading::Rate);
        assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)), "{rates:?}");
    }

    #[test]
    fn a_level_is_the_sum_over_its_series_and_a_few_values_of_a_label_are_quantities() {
        let tasks = |kind| [("__name__", "tikv_pending_tasks"), ("instance", "a"), ("type", kind)];
        let both =
            [series(&tasks("x"), |_| 5.0), series(&tasks("y"), |step| 7.0 + (step % 2) as f64)];
        let survey = surveyed(&both);
        let sums = values(&survey, "tikv_pending_tasks", Reading::Level);
        assert!(sums.iter().all(|sum| (12.0..=13.0).contains(sum)), "{sums:?}");
        let labels = survey.targets[0].quantities.iter().filter_map(|one| one.label.clone());
        let labels: Vec<String> = labels.map(|(_, value)| value).collect();
        assert_eq!(labels, ["x", "y"]);
    }

    #[test]
    fn attempts_that_do_not_succeed_are_counted_where_they_are_many() {
        let of = |status| {
            let metric = "tikv_raftstore_snapshot_total";
            [("__name__", metric), ("instance", "a"), ("type", "generate"), ("status", status)]
        };
        let unsuccessful = |all: f64, succeeded: f64| {
            let survey = surveyed(&[
                series(&of("all"), |step| all * step as f64),
                series(&of("success"), |step| succeeded * step as f64),
            ]);
            values(&survey, "tikv_raftstore_snapshot_total", Reading::Unsuccessful)
        };
        let all = |values: &[f64], rate: f64| {
            !values.is_empty() && values.iter().all(|value| (value - rate).abs() < 1e-9)
        };
        assert!(all(&unsuccessful(30.0, 15.0), 1.0));
        assert!(all(&unsuccessful(30.0, 0.0), 2.0), "none ever succeeded");
        assert!(all(&unsuccessful(30.0, 25.0), 0.0), "most succeed");
    }

    #[test]
    fn no_attempt_is_without_success_where_successes_of_some_series_were_not_recorded() {
        let of = |kind, status| {
            let metric = "tikv_storage_engine_async_request_total";
            [("__name__", metric), ("instance", "a"), ("type", kind), ("status", status)]
        };
        let rising = |labels: &[(&str, &str)]| series(labels, |step| 30.0 * step as f64);
        let (all, of_writes) =
            (["snapshot", "write"].map(|kind| of(kind, "all")), of("write", "success"));
        let recorded = [rising(&all[0]), rising(&all[1]), rising(&of_writes)];
        let survey = surveyed(&recorded);
        let metric = "tikv_storage_engine_async_request_total";
        assert!(values(&survey, metric, Reading::Unsuccessful).is_empty());
    }

    #[test]
    fn a_count_of_things_is_a_level_and_one_of_observations_is_none() {
        let files = [("__name__", "raft_engine_log_file_count"), ("instance", "a")];
        let sizes = |part| [("__name__", part), ("instance", "a")];
        let survey = surveyed(&[
            series(&files, |_| 4_000.0),
            series(&sizes("tikv_snapshot_size_count"), |_| 4_000.0),
            series(&sizes("tikv_snapshot_size_sum"), |_| 4e9),
        ]);
        let levels = values(&survey, files[0].1, Reading::Level);
        assert!(!levels.is_empty() && levels.iter().all(|level| *level == 4_000.0), "{levels:?}");
        assert_eq!(values(&survey, "tikv_snapshot_size_count", Reading::Level), [0.0; 0]);
    }

    #[test]
    fn a_label_of_many_values_makes_no_quantities() {
        let names: Vec<String> =
            (0..=MOST_VALUES).map(|number| format!("10.0.0.{number}")).collect();
        let of = |address| {
            let labels = [("__name__", "tikv_pending_tasks"), ("instance", "a"), ("to", address)];
            series(&labels, |_| 1.0)
        };
        let all: Vec<Series> = names.iter().map(|name| of(name.as_str())).collect();
        let survey = surveyed(&all);
        assert!(survey.targets[0].quantities.iter().all(|one| one.label.is_none()));
        let sums = values(&survey, "tikv_pending_tasks", Reading::Level);
        assert!(sums.iter().all(|sum| *sum == names.len() as f64), "{sums:?}");
    }

    #[test]
    fn values_of_a_label_that_count_nothing_any_more_leave_room_for_others() {
        let names: Vec<String> = (0..=MOST_VALUES).map(|number| format!("kind-{number}")).collect();
        let of = |place: usize| {
            let kind = names[place].as_str();
            let labels = [("__name__", "tikv_request_count"), ("instance", "a"), ("type", kind)];
            series(&labels, move |step| 7.0 + if place == 0 { 0.0 } else { step as f64 })
        };
        let all: Vec<Series> = (0..names.len()).map(of).collect();
        let survey = surveyed(&all);
        let labels = survey.targets[0].quantities.iter().filter(|one| one.label.is_some());
        assert!(labels.count() >= MOST_VALUES);
    }

    #[test]
    fn a_histogram_is_read_as_a_mean() {
        let named = |name| [("__name__", name), ("instance", "a")];
        let survey = surveyed(&[
            series(&named("tikv_wait_seconds_sum"), |step| 3.0 * step as f64),
            series(&named("tikv_wait_seconds_count"), |step| 12.0 * step as f64),
        ]);
        let means = values(&survey, "tikv_wait_seconds", Reading::Mean);
        assert!(
            !means.is_empty() && means.iter().all(|mean| (mean - 0.25).abs() < 1e-9),
            "{means:?}"
        );
        assert_eq!(values(&survey, "tikv_wait_seconds_sum", Reading::Rate), [0.0; 0]);
    }

    #[test]
    fn no_mean_is_read_where_counts_of_some_series_were_not_recorded() {
        let named = |name, kind| [("__name__", name), ("instance", "a"), ("type", kind)];
        let survey = surveyed(&[
            series(&named("tikv_wait_seconds_sum", "read"), |step| 3.0 * step as f64),
            series(&named("tikv_wait_seconds_sum", "write"), |step| 50.0 * step as f64),
            series(&named("tikv_wait_seconds_count", "read"), |step| 12.0 * step as f64),
        ]);
        let means = survey.targets[0].quantities.iter().filter(|one| one.reading == Reading::Mean);
        let labels: Vec<Option<(String, String)>> = means.map(|one| one.label.clone()).collect();
        assert_eq!(labels, [Some(("type".to_owned(), "read".to_owned()))]);
    }

    #[test]
    fn observations_beyond_one_bucket_are_counted_and_two_bounds_tell_nothing() {
        let of = |name: &'static str, bound: Option<&'static str>| {
            let mut pairs = vec![("__name__", name), ("instance", "a"), ("type", "write")];
            pairs.extend(bound.map(|bound| (BOUND, bound)));
            pairs
        };
        let count = "tikv_write_duration_seconds_count";
        let bucket = "tikv_write_duration_seconds_bucket";
        // Ten a scrape, of which four are slow.
        let all = series(&of(count, None), |step| 10.0 * step as f64);
        let fast = series(&of(bucket, Some("1.024")), |step| 6.0 * step as f64);
        let other = series(&of(bucket, Some("1.5")), |step| 7.0 * step as f64);
        let metric = "tikv_write_duration_seconds";
        let survey = surveyed(&[all.clone(), fast.clone()]);
        let rates = values(&survey, metric, Reading::Slow);
        assert!(!rates.is_empty(), "{survey:?}");
        assert!(rates.iter().all(|rate| (rate - 4.0 / 15.0).abs() < 1e-9), "{rates:?}");
        let shares = values(&survey, metric, Reading::SlowShare);
        assert!(shares.iter().all(|share| (share - 0.4).abs() < 1e-9), "{shares:?}");
        let bounds: Vec<&str> = survey.targets[0]
            .quantities
            .iter()
            .filter(|one| one.reading == Reading::Slow)
            .map(|one| one.bound.as_str())
            .collect();
        assert_eq!(bounds, ["1.024"; 2], "of all, and of the kind");
        for both in [[all.clone(), fast.clone(), other.clone()], [all, other, fast]] {
            let survey = surveyed(&both);
            assert_eq!(values(&survey, metric, Reading::Slow), [0.0; 0]);
        }
    }

    #[test]
    fn slow_observations_are_counted_beside_none_of_what_takes_as_long_as_was_asked_for() {
        let of = |name: &'static str, kind: &'static str, bound: Option<&'static str>| {
            let mut pairs = vec![("__name__", name), ("instance", "a"), ("type", kind)];
            pairs.extend([("priority", "normal")]);
            pairs.extend(bound.map(|bound| (BOUND, bound)));
            series(&pairs, move |step| if bound.is_none() { 10.0 } else { 6.0 } * step as f64)
        };
        let count = "tikv_grpc_msg_duration_seconds_count";
        let bucket = "tikv_grpc_msg_duration_seconds_bucket";
        let kinds = ["coprocessor", "kv_get", "kv_prewrite"];
        let all = kinds.map(|kind| [of(count, kind, None), of(bucket, kind, Some("1.6384"))]);
        let survey = surveyed(&all.concat());
        let slow = survey.targets[0].quantities.iter().filter(|one| one.reading == Reading::Slow);
        let labels: Vec<Option<(String, String)>> = slow.map(|one| one.label.clone()).collect();
        let of_type = |kind: &str| Some(("type".to_owned(), kind.to_owned()));
        assert_eq!(labels, [of_type("kv_get"), of_type("kv_prewrite")]);
        // The buckets of writes were not recorded, nor how many reads of a coprocessor there were.
        let [[_, fast_reads], [all_gets, fast_gets], [all_writes, _]] = all;
        let fast_reads =
            Series { labels: fast_reads.labels.with(&[("type", "raw")]), ..fast_reads };
        let survey = surveyed(&[fast_reads, all_gets, fast_gets, all_writes]);
        let slow = survey.targets[0].quantities.iter().filter(|one| one.reading == Reading::Slow);
        let labels: Vec<Option<(String, String)>> = slow.map(|one| one.label.clone()).collect();
        assert_eq!(labels, [of_type("kv_get")]);
    }

    #[test]
    fn a_level_that_rested_and_then_only_rises_is_not_taken_for_a_counter() {
        let tasks = [("__name__", "tikv_running_tasks"), ("instance", "a")];
        let window = TimeRange::new(at(0), at(600));
        let sample = |step: i64| Sample { at: at(step * 15), value: (step.max(20) - 20) as f64 };
        let samples = (0..40).map(sample).collect();
        let survey = Survey::of(&[Series { labels: Labels::from_pairs(&tasks), samples }], window);
        let levels = values(&survey, "tikv_running_tasks", Reading::Level);
        assert_eq!(levels.last(), Some(&19.0));
    }

    #[test]
    fn samples_alike_in_one_step_cover_it_and_count_nothing() {
        // A day has steps of four minutes, with sixteen scrapes each.
        let series = |metric: &str, value: fn(i64) -> f64| {
            let sample = |step: i64| Sample { at: at(step * 15 + 7), value: value(step) };
            let labels = Labels::from_pairs(&[("__name__", metric), ("instance", "a")]);
            Series { labels, samples: (0..5_760).map(sample).collect() }
        };
        let errors = series("tikv_error_total", |step| 16.0 * (step / 160) as f64);
        let tasks = series("tikv_pending_tasks", |_| 5.0);
        let survey = Survey::of(&[errors, tasks], TimeRange::new(at(0), at(86_400)));
        let rates = values(&survey, "tikv_error_total", Reading::Rate);
        assert!((rates.iter().sum::<f64>() * 240.0 - 16.0 * 35.0).abs() < 1e-6, "{rates:?}");
        assert_eq!(values(&survey, "tikv_pending_tasks", Reading::Level), [5.0; 360]);
    }

    #[test]
    fn nothing_later_than_the_instant_is_known() {
        let errors = [("__name__", "tikv_error_total"), ("instance", "a")];
        let survey = surveyed(&[series(&errors, |step| step as f64)]);
        let known = survey.as_of(at(95), crate::model::Stretches::default());
        let all = known.targets[0].quantities.iter().map(|one| known.track(one));
        assert!(all.flat_map(|track| track.0).all(|point| point.at <= at(90)));
    }
}
