//! What `up` and `process_start_time_seconds` put on the timeline.

use std::collections::BTreeMap;

use crate::model::{
    Gap, Observed, ScrapedBy, Series, Source, Stretches, TargetKey, TimeRange, Timestamp,
    Unreadable, duration_text, is_stale,
};
use crate::timeline::entry::{Entry, EntryKind, Evidence, clock_text};

/// A target counts as absent once it missed this many scrapes without a recorded gap.
const MISSED_SCRAPES: i64 = 3;

/// When samples may be missing without anything being absent.
pub(crate) struct UnobservedTime {
    /// Nobody looked, or what was recorded may be anybody's and cannot be read.
    anybody: Stretches,
    /// What was recorded of a target cannot be read.
    of: BTreeMap<TargetKey, Stretches>,
}

impl UnobservedTime {
    pub(crate) fn new(gaps: &[&Gap], unreadable: &[Unreadable]) -> Self {
        let blind = |gap: &&&Gap| matches!(gap.source, Source::Prometheus | Source::Recorder);
        let blind = gaps.iter().filter(blind).map(|gap| gap.range);
        let anything = unreadable.iter().filter(|part| part.of == Observed::Anything);
        let mut of: BTreeMap<TargetKey, Vec<TimeRange>> = BTreeMap::new();
        for part in unreadable {
            if let Observed::Target(key) = &part.of {
                of.entry(key.clone()).or_default().push(part.range);
            }
        }
        Self {
            anybody: blind.chain(anything.map(|part| part.range)).collect(),
            of: of.into_iter().map(|(key, ranges)| (key, ranges.into_iter().collect())).collect(),
        }
    }
}

/// Entries out of one series; nothing where it is not one of the two.
pub(crate) fn series_entries(
    series: &Series,
    unseen: &UnobservedTime,
    window: TimeRange,
    scraped_by: ScrapedBy,
) -> Vec<Entry> {
    let mut changes = TargetChanges { series, unseen, scraped_by, entries: Vec::new() };
    match series.labels.metric() {
        "up" => changes.up(window),
        "process_start_time_seconds" => changes.process_start(),
        _ => {}
    }
    changes.entries
}

/// How a target is named everywhere: `tikv/10.77.0.20:20180`.
pub(crate) fn target(series: &Series) -> String {
    series.labels.target().to_string()
}

struct TargetChanges<'a> {
    series: &'a Series,
    unseen: &'a UnobservedTime,
    scraped_by: ScrapedBy,
    entries: Vec<Entry>,
}

/// What the samples of `up` so far say.
#[derive(Default)]
struct UpState {
    up: Option<bool>,
    down_since: Option<Timestamp>,
    previous: Option<Timestamp>,
}

impl UpState {
    /// Takes the next sample, and tells what turned with it. `is_late` says that a target which is
    /// seen for the first time was not there when the window began.
    fn turn(&mut self, at: Timestamp, now: bool, is_late: bool) -> Option<(EntryKind, String)> {
        let turned = match (self.up, now) {
            (None, _) if is_late => {
                let state = if now { "up" } else { "down" };
                Some((EntryKind::TargetAppeared, format!("appeared, {state}")))
            }
            (Some(true), false) => {
                let last = self.previous.map_or_else(String::new, |last| {
                    format!(", last scraped {} before", duration_text(at - last))
                });
                Some((EntryKind::TargetDown, format!("up 1 -> 0{last}")))
            }
            (Some(false), true) => {
                let lasted = self.down_since.map_or_else(String::new, |since| {
                    format!(" after {}", duration_text(at - since))
                });
                Some((EntryKind::TargetUp, format!("up 0 -> 1{lasted}")))
            }
            _ => None,
        };
        self.down_since = if now { None } else { Some(self.down_since.unwrap_or(at)) };
        (self.up, self.previous) = (Some(now), Some(at));
        turned
    }
}

impl TargetChanges<'_> {
    /// Down and up as Prometheus says it; absent where it ended the series, or where samples are
    /// missing for more than three scrape intervals that no gap of Prometheus and no damage touches.
    fn up(&mut self, window: TimeRange) {
        let interval = median_interval(self.series);
        let mut state = UpState::default();
        for sample in &self.series.samples {
            let (at, value) = (sample.at, sample.value);
            let text = value.to_string();
            if let Some(before) = state.previous
                && self.missing(before, at, interval)
            {
                self.absent(before, interval);
                let lasted = duration_text(at - before);
                let again = format!("there again after {lasted}");
                self.push(at, EntryKind::TargetAppeared, again, &text);
            }
            if is_stale(value) {
                if state.previous.is_some() {
                    let ended = "is no longer scraped".to_owned();
                    self.push(at, EntryKind::TargetAbsent, ended, "stale");
                }
                (state.up, state.previous) = (None, None);
                continue;
            }
            let is_late = at - window.start > interval.saturating_mul(MISSED_SCRAPES);
            if let Some((kind, turned)) = state.turn(at, value != 0.0, is_late) {
                self.push(at, kind, turned, &text);
            }
        }
        if let Some(last) = state.previous
            && window.end != Timestamp::MAX
            && self.missing(last, window.end, interval)
        {
            self.absent(last, interval);
        }
    }

    fn process_start(&mut self) {
        let mut before: Option<f64> = None;
        for sample in &self.series.samples {
            if sample.value.is_nan() {
                continue;
            }
            // Client libraries compute the start from ticks since boot, so it may wander by
            // less than a second.
            if let Some(old) = before
                && (sample.value - old).abs() >= 1.0
            {
                let text =
                    format!("process restarted, started {}", clock_text(sample.value as i64));
                let value = sample.value.to_string();
                self.push(sample.at, EntryKind::ProcessRestarted, text, &value);
            }
            before = Some(sample.value);
        }
    }

    fn missing(&self, from: Timestamp, to: Timestamp, interval: i64) -> bool {
        let hole = TimeRange::new(from, to);
        let of = self.unseen.of.get(&self.series.labels.target());
        to - from > interval.saturating_mul(MISSED_SCRAPES)
            && !self.unseen.anybody.overlap(hole)
            && !of.is_some_and(|stretches| stretches.overlap(hole))
    }

    fn absent(&mut self, last: Timestamp, interval: i64) {
        let text = "no samples from here on".to_owned();
        self.push(last + interval, EntryKind::TargetAbsent, text, "absent");
    }

    fn push(&mut self, at: Timestamp, kind: EntryKind, text: String, value: &str) {
        self.entries.push(Entry {
            at,
            source: self.scraped_by.name().to_owned(),
            kind,
            subject: target(self.series),
            text,
            evidence: Evidence {
                reference: self.series.labels.to_string(),
                at,
                value: value.to_owned(),
            },
        });
    }
}

/// The median distance of samples; a minute where there are fewer than two.
fn median_interval(series: &Series) -> i64 {
    let mut deltas: Vec<i64> =
        series.samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    deltas.sort_unstable();
    deltas.get(deltas.len() / 2).copied().unwrap_or(60_000).max(1)
}
