//! The offset over a window, and instants of one clock by another.

use std::collections::{BTreeMap, BTreeSet};

use super::restarts::{ShownByRestarts, by_restarts};
use super::timestamps::{
    AROUND_STEP, Reading, is_step_of_prometheus, jump, readings, step_of, usual,
};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::pd_history::PdHistory;
use crate::model::{ClockOffset, Gap, Series, Source, TimeRange, Timestamp};

/// Offsets below this, in milliseconds, change no verdict and are left as they are: PD is asked every 5 s.
const LEAST_MS: i64 = 1_500;
/// How far outside the window a measurement may lie, in milliseconds, and still be about it: a recording of the
/// past is measured when it is made.
const NEAR_MS: i64 = 600_000;
/// By how much a measured and an inferred offset may differ, in milliseconds, and mean the same.
const AGREE_MS: i64 = 10_000;

/// How an offset is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Measured,
    Inferred,
}

/// An offset, from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// From when on, by Prometheus's clock.
    since: Timestamp,
    /// Prometheus's clock minus the recorder's, in milliseconds.
    offset_ms: i64,
    /// Prometheus's clock minus that of the nodes, PD among them, in milliseconds.
    nodes_ms: i64,
    /// How far off that may be, either way, in milliseconds.
    uncertainty_ms: i64,
    how: How,
}

impl Stretch {
    /// The offset nearest to none, over the whole window.
    fn of_restarts(shown: ShownByRestarts) -> Self {
        let (low, high) = shown.offset_ms;
        let nodes_ms = 0.clamp(shown.nodes_ms.0, shown.nodes_ms.1);
        Self {
            since: Timestamp::MIN,
            offset_ms: 0.clamp(low, high),
            nodes_ms,
            uncertainty_ms: high - low,
            how: How::Inferred,
        }
    }
}

/// Prometheus's clock against the recorder's, over a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Ascending in time; empty where the two agree as far as is known.
    stretches: Vec<Stretch>,
    /// Where Prometheus's clock was stepped: the last sample before and the first after.
    step: Option<TimeRange>,
    /// Instants of the recorder's clock after a step back, with their dates by Prometheus's, which had them before.
    held: BTreeMap<Timestamp, Timestamp>,
}

impl Clocks {
    /// What was measured, and what series and PD's answers show.
    pub fn new<'o>(
        series: &[Series],
        pd: &PdHistory,
        measured: impl IntoIterator<Item = &'o ClockOffset>,
        window: TimeRange,
    ) -> Self {
        let leads = readings(series);
        let split = step_of(&leads);
        let mut stretches = inferred_all(&leads, split, series, pd);
        let near = TimeRange::new(
            window.start.saturating_add_millis(-NEAR_MS),
            window.end.saturating_add_millis(NEAR_MS),
        );
        let of_prometheus = Source::Prometheus.to_string();
        let is_about = |one: &&ClockOffset| one.source == of_prometheus && near.contains(one.at);
        for one in measured.into_iter().filter(is_about) {
            take_measured(&mut stretches, one);
        }
        if let Some(first) = stretches.first_mut() {
            first.since = Timestamp::MIN;
        }
        let step = split.map(|place| TimeRange::new(leads[place - 1].at, leads[place].at));
        let step = step.filter(|step| is_step_of_prometheus(series, *step, jump(&leads, split)));
        if stretches.iter().all(|one| one.offset_ms.saturating_abs() < LEAST_MS) {
            stretches.clear();
        }
        Self { stretches, step, held: BTreeMap::new() }
    }

    /// Whether the two clocks agree, as far as is known.
    pub fn agree(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Whether Prometheus's clock was stepped inside `range`, so that every other clock moves against it.
    pub fn prometheus_stepped(&self, range: TimeRange) -> bool {
        self.step.is_some_and(|step| step.start <= range.end && range.start <= step.end)
    }

    /// An instant of the recorder's clock, by Prometheus's. A later one has no earlier date: after a step back, the
    /// last date before it stands until Prometheus's clock has passed it.
    pub fn by_prometheus(&self, at: Timestamp) -> Timestamp {
        let known = self.held.get(&at).copied();
        known.unwrap_or_else(|| self.moved(at).max(self.reached(at)))
    }

    fn moved(&self, at: Timestamp) -> Timestamp {
        let moved = |one: &Stretch| at.saturating_add_millis(one.offset_ms);
        let mut found = self.stretches.iter().rev();
        let own = found.find(|one| moved(one) >= one.since).or(self.stretches.first());
        own.map_or(at, moved)
    }

    /// The latest date that a stretch before the one of a recorder's instant has.
    fn reached(&self, at: Timestamp) -> Timestamp {
        let ends = (1..self.stretches.len()).filter_map(|place| {
            let (begins, end) = self.change(place);
            (begins <= at).then_some(end)
        });
        ends.max().unwrap_or(Timestamp::MIN)
    }

    /// When the stretch at a place that is not the first begins by the recorder's clock, and what date that is by
    /// the stretch before.
    fn change(&self, place: usize) -> (Timestamp, Timestamp) {
        let (before, own) = (&self.stretches[place - 1], &self.stretches[place]);
        let begins = own.since.saturating_add_millis(own.offset_ms.saturating_neg());
        (begins, begins.saturating_add_millis(before.offset_ms))
    }

    /// Gives each of the recorder's instants after a step back a date of its own, so that
    /// [`by_recorder`](Self::by_recorder) leads back to it.
    pub fn tell_apart(&mut self, instants: &BTreeSet<Timestamp>) {
        let mut last = Timestamp::MIN;
        for &at in instants {
            let date = self.by_prometheus(at);
            let own = date.max(last.saturating_add_millis(1));
            if own != self.moved(at) {
                self.held.insert(at, own);
            }
            last = own;
        }
    }

    /// An instant of Prometheus's clock, by the recorder's: where [`by_prometheus`](Self::by_prometheus) came
    /// from.
    pub fn by_recorder(&self, at: Timestamp) -> Timestamp {
        if let Some((known, _)) = self.held.iter().find(|(_, date)| **date == at) {
            return *known;
        }
        let begins = |place: usize| match place {
            0 => Timestamp::MIN,
            _ => self.stretches[place].since.max(self.change(place).1),
        };
        let own = (0..self.stretches.len()).rev().find(|place| at >= begins(*place));
        own.map_or(at, |place| {
            at.saturating_add_millis(self.stretches[place].offset_ms.saturating_neg())
        })
    }

    /// An instant of a node's clock, such as the start of its process, by Prometheus's.
    pub fn node_by_prometheus(&self, at: Timestamp) -> Timestamp {
        let moved = |one: &Stretch| at.saturating_add_millis(one.nodes_ms);
        let mut found = self.stretches.iter().rev();
        let own = found.find(|one| moved(one) >= one.since).or(self.stretches.first());
        own.map_or(at, moved)
    }

    /// By how much Prometheus's clock was moved between two instants of its own, in milliseconds.
    pub fn moved_between(&self, from: Timestamp, to: Timestamp) -> i64 {
        let pairs = self.stretches.windows(2);
        let within = pairs.filter(|pair| from < pair[1].since && pair[1].since <= to);
        let moved = within.map(|pair| pair[1].offset_ms.saturating_sub(pair[0].offset_ms));
        moved.fold(0, i64::saturating_add)
    }

    /// How far an instant by Prometheus's clock may be off, in milliseconds. Where the offset was inferred,
    /// nobody knows which of the clocks is right.
    pub fn uncertainty_at(&self, at: Timestamp) -> i64 {
        let own = self.stretches.iter().rev().find(|one| at >= one.since);
        own.map_or(0, |one| match one.how {
            How::Measured => one.uncertainty_ms,
            How::Inferred => one.uncertainty_ms.saturating_add(one.offset_ms.saturating_abs()),
        })
    }

    /// What a reader has to know; `None` where the clocks agree.
    pub fn text(&self) -> Option<String> {
        let stretches = self.stretches.iter().map(|one| {
            let seconds = (one.offset_ms.unsigned_abs() as f64 / 1000.0).round();
            let side = if one.offset_ms < 0 { "behind" } else { "ahead of" };
            let how = match one.how {
                How::Measured => "measured",
                How::Inferred => "inferred from what both saw of PD and of restarts",
            };
            format!("{seconds} s {side} the recorder's ({how})")
        });
        let said: Vec<String> = stretches.collect();
        (!said.is_empty()).then(|| {
            let said = said.join(", then ");
            format!("Prometheus's clock is {said}: instants are by Prometheus's clock")
        })
    }

    /// The gaps by Prometheus's clock. Those of Prometheus itself are dated by it already.
    pub fn gaps_by_prometheus(&self, gaps: &mut [Gap]) {
        for gap in gaps.iter_mut().filter(|gap| gap.source != Source::Prometheus) {
            let (start, end) = (gap.range.start, gap.range.end);
            gap.range = TimeRange::new(self.by_prometheus(start), self.by_prometheus(end));
        }
    }
}

/// What is inferred of a window, ascending: from readings on either side of a step, within what restarts allow.
fn inferred_all(
    readings: &[Reading],
    split: Option<usize>,
    series: &[Series],
    pd: &PdHistory,
) -> Vec<Stretch> {
    let parts = match split {
        None => vec![readings],
        Some(place) => vec![&readings[..place], &readings[place..]],
    };
    let mut stretches: Vec<Stretch> = parts.iter().filter_map(|part| inferred(part, pd)).collect();
    let restarts = by_restarts(series, pd);
    match (stretches.as_mut_slice(), restarts) {
        ([], Some(shown)) => stretches.push(Stretch::of_restarts(shown)),
        ([only], Some(shown)) => {
            only.offset_ms = only.offset_ms.clamp(shown.offset_ms.0, shown.offset_ms.1);
        }
        _ => {}
    }
    stretches
}

/// The offset that some readings and the heartbeats of the same time show; `None` without readings. The
/// youngest heartbeat that PD ever lists was received between two listings, so it tells PD's clock to within
/// one; inside of that, two clocks are taken to agree.
fn inferred(readings: &[Reading], pd: &PdHistory) -> Option<Stretch> {
    if readings.len() < AROUND_STEP {
        return None;
    }
    let (since, until) = (readings.first()?.at, readings.last()?.at);
    let (low, high) = recorder_ahead(pd, TimeRange::new(since, until))?;
    let ahead = usual(readings) as i64;
    let offset_ms = if (low..=high).contains(&ahead) { 0 } else { ahead - 0.clamp(low, high) };
    let uncertainty_ms = high - low;
    Some(Stretch { since, offset_ms, nodes_ms: ahead, uncertainty_ms, how: How::Inferred })
}

/// Between what the recorder's clock is ahead of PD's, in milliseconds, by the heartbeats that PD listed
/// around a stretch; `None` where it listed too few.
fn recorder_ahead(pd: &PdHistory, range: TimeRange) -> Option<(i64, i64)> {
    let steps: Vec<f64> = pd.listings.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let between = median(steps)? as i64;
    let ages = |within: &dyn Fn(Timestamp) -> bool| -> Vec<i64> {
        let beats = pd.stores.values().flat_map(|store| &store.heartbeats);
        let meant = beats.filter(|(seen, _)| within(*seen));
        meant.map(|(seen, sent)| *seen - *sent).collect()
    };
    let own = ages(&|seen| range.contains(seen));
    let known = if own.len() >= LEAST_BEATS { own } else { ages(&|_| true) };
    let youngest = *known.iter().min()?;
    (known.len() >= LEAST_BEATS).then_some((youngest - between, youngest + PROMPT_MS))
}

/// How many heartbeats must have been listed.
const LEAST_BEATS: usize = 6;
/// How long an answer of PD's takes at most to be read, in milliseconds.
const PROMPT_MS: i64 = 500;

/// Takes in a measurement: it is better than what was inferred of the same stretch, unless the two contradict
/// each other.
fn take_measured(stretches: &mut Vec<Stretch>, one: &ClockOffset) {
    let since = one.at.saturating_add_millis(one.offset_ms);
    let measured = Stretch {
        since,
        offset_ms: one.offset_ms,
        nodes_ms: one.offset_ms,
        uncertainty_ms: one.uncertainty_ms,
        how: How::Measured,
    };
    let by = stretches.partition_point(|known| known.since <= since).saturating_sub(1);
    match stretches.get_mut(by) {
        Some(known) if known.how == How::Inferred => {
            if known.offset_ms.saturating_sub(one.offset_ms).saturating_abs() <= AGREE_MS {
                *known = Stretch { since: known.since, nodes_ms: known.nodes_ms, ..measured };
            }
        }
        Some(known) => {
            if known.offset_ms.saturating_sub(one.offset_ms).saturating_abs() >= LEAST_MS {
                stretches.insert(by + 1, measured);
            }
        }
        None => stretches.push(measured),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::observations::pd_history::StoreHistory;
    use crate::model::{Labels, Sample, StoreId};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn series(pairs: &[(&str, &str)], samples: Vec<(i64, f64)>) -> Series {
        let sample = |(second, value)| Sample { at: at(second), value };
        let samples = samples.into_iter().map(sample).collect();
        Series { labels: Labels::from_pairs(pairs), samples }
    }

    /// PD's timestamps at every quarter of a minute of its clock, which Prometheus dates by another.
    fn timestamps(ahead_s: impl Fn(i64) -> i64) -> Series {
        let samples = (0..40)
            .map(|step| 1000 + step * 15)
            .map(|second| (second + ahead_s(second), (second * 1000) as f64));
        series(&[("__name__", "pd_cluster_tso"), ("type", "tso")], samples.collect())
    }

    /// A store that sent a heartbeat every ten seconds, which PD listed two seconds later.
    fn heartbeats(recorder_ahead_s: i64) -> PdHistory {
        let beats = (0..60).map(|step| {
            let sent = 1000 + step * 10;
            (at(sent + 2 + recorder_ahead_s), at(sent))
        });
        let store = StoreHistory { heartbeats: beats.collect(), ..StoreHistory::default() };
        let listings = (0..120).map(|step| at(1000 + step * 5 + recorder_ahead_s));
        PdHistory {
            stores: [(StoreId(1), store)].into(),
            listings: listings.collect(),
            ..PdHistory::default()
        }
    }

    fn window() -> TimeRange {
        TimeRange::new(at(1000), at(1600))
    }

    fn measured(second: i64, offset_ms: i64) -> ClockOffset {
        let source = Source::Prometheus.to_string();
        ClockOffset { source, at: at(second), offset_ms, uncertainty_ms: 3 }
    }

    #[test]
    fn clocks_that_agree_move_nothing() {
        let clocks = Clocks::new(&[timestamps(|_| 0)], &heartbeats(0), &[], window());
        assert!(clocks.agree() && clocks.text().is_none());
        assert_eq!(clocks.by_prometheus(at(1200)), at(1200));
    }

    #[test]
    fn an_offset_is_inferred_from_what_both_see_of_pd() {
        let clocks = Clocks::new(&[timestamps(|_| -60)], &heartbeats(0), &[], window());
        assert_eq!(clocks.by_prometheus(at(1200)), at(1140));
        assert_eq!(clocks.by_recorder(at(1140)), at(1200));
        assert_eq!(clocks.node_by_prometheus(at(1200)), at(1140));
        assert!(clocks.uncertainty_at(at(1140)) >= 60_000);
        // PD's clock is another: the two that are compared agree.
        let of_pd = Clocks::new(&[timestamps(|_| 20)], &heartbeats(20), &[], window());
        assert!(of_pd.agree());
        let of_recorder = Clocks::new(&[timestamps(|_| 0)], &heartbeats(30), &[], window());
        let moved = of_recorder.by_prometheus(at(1230)) - at(1200);
        assert!((0..=5_000).contains(&moved), "{moved}");
        assert_eq!(of_recorder.node_by_prometheus(at(1200)), at(1200));
    }

    #[test]
    fn a_measurement_is_better_if_it_is_of_the_run_and_contradicts_nothing() {
        let series = [timestamps(|_| -60)];
        let told = |second, offset| {
            Clocks::new(&series, &heartbeats(0), &[measured(second, offset)], window())
        };
        assert_eq!(told(1300, -61_000).uncertainty_at(at(1200)), 3);
        assert_eq!(told(1300, -61_000).by_prometheus(at(1200)), at(1139));
        assert_eq!(told(1300, 0).by_prometheus(at(1200)), at(1140));
        assert_eq!(told(90_000, -61_000).by_prometheus(at(1200)), at(1140));
        let alone = Clocks::new(&[], &PdHistory::default(), &[measured(1300, 9_000)], window());
        assert_eq!(alone.by_prometheus(at(1200)), at(1209));
    }

    #[test]
    fn after_a_step_back_dates_rise_and_lead_back_to_what_they_came_from() {
        let measured = [measured(1100, 0), measured(1300, -60_000)];
        let mut clocks = Clocks::new(&[], &PdHistory::default(), &measured, window());
        let instants: BTreeSet<Timestamp> = (1200..1500).map(at).collect();
        clocks.tell_apart(&instants);
        let dates: Vec<Timestamp> = instants.iter().map(|one| clocks.by_prometheus(*one)).collect();
        assert!(dates.is_sorted_by(|a, b| a < b), "{dates:?}");
        assert_eq!((dates[0], dates[299]), (at(1200), at(1439)));
        let back: BTreeSet<Timestamp> = dates.iter().map(|one| clocks.by_recorder(*one)).collect();
        assert_eq!(back, instants);
        assert!(clocks.by_prometheus(at(1300)) <= clocks.by_prometheus(at(1301) + 500));
    }

    #[test]
    fn offsets_of_a_damaged_file_overflow_nothing() {
        let measured =
            [measured(1100, i64::MIN), measured(1200, i64::MAX), measured(1300, i64::MIN)];
        let clocks = Clocks::new(&[], &PdHistory::default(), &measured, window());
        let date = clocks.by_prometheus(at(1200));
        clocks.by_recorder(date);
        clocks.uncertainty_at(date);
        clocks.moved_between(Timestamp::MIN, Timestamp::MAX);
        assert!(clocks.text().is_some());
    }

    #[test]
    fn a_step_of_prometheus_shifts_the_scrapes_of_every_target() {
        let ahead = |second: i64| if second < 1300 { 0 } else { 20 };
        let up = |instance, phase: i64| {
            let samples = (0..40).map(|step| 1000 + phase + step * 15);
            let samples = samples.map(|second| (second + ahead(second), 1.0)).collect();
            series(&[("__name__", "up"), ("instance", instance)], samples)
        };
        let all = [timestamps(ahead), up("a", 0), up("b", 7), up("c", 12)];
        let clocks = Clocks::new(&all, &heartbeats(0), &[], window());
        assert_eq!(clocks.by_prometheus(at(1100)), at(1100));
        assert_eq!(clocks.by_prometheus(at(1400)), at(1420));
        assert_eq!(clocks.moved_between(at(1200), at(1400)), 20_000);
        assert!(clocks.prometheus_stepped(TimeRange::new(at(1290), at(1325))));
        // Where only PD's timestamps move, it is PD's clock.
        let up = |instance| {
            let samples = (0..42).map(|step| (1000 + step * 15, 1.0)).collect();
            series(&[("__name__", "up"), ("instance", instance)], samples)
        };
        let all = [timestamps(ahead), up("a"), up("b")];
        let clocks = Clocks::new(&all, &heartbeats(0), &[], window());
        assert!(!clocks.prometheus_stepped(TimeRange::new(at(1290), at(1325))));
    }

    #[test]
    fn restarts_bound_the_offset_where_pd_gives_no_timestamps() {
        let start = |second: i64| if second < 1300 { 500.0 } else { 1300.0 };
        let scrapes = || (0..40).map(|step| 1000 + step * 15);
        let named = |name| [("__name__", name), ("instance", "a")];
        let starts = scrapes().map(|second| (second - 60, start(second))).collect();
        let up = scrapes().map(|second| (second - 60, 1.0)).collect();
        let mut pd = heartbeats(0);
        if let Some(store) = pd.stores.get_mut(&StoreId(1)) {
            store.starts = vec![(at(1000), 500), (at(1305), 1300)];
        }
        let all = [series(&named("process_start_time_seconds"), starts), series(&named("up"), up)];
        let clocks = Clocks::new(&all, &pd, &[], window());
        let moved = clocks.by_prometheus(at(1300)) - at(1300);
        assert!((-75_000..=-45_000).contains(&moved), "{moved}");
    }
}
