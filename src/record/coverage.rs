//! The end of what has been observed of each source, and the gaps that follow from what was due.
//!
//! A gap is the time for which an observation was due and did not arrive. A failed request, one that
//! hangs and one that was never sent because the recorder did not run leave the same gap: they differ
//! in its reason only. When requests are sent is decided in `recorder`.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Reading;
use crate::model::{Gap, GapReason, Source, TimeRange, Timestamp};

/// A long outage is written as adjoining gaps of this length, so that a crash of the recorder loses
/// only the end of the outage.
const SEGMENT_MS: i64 = 60_000;
/// Where the two clocks advanced by amounts that differ by more than this, the wall clock was stepped.
const STEP_MS: i64 = 1_000;

/// Why no observation arrived: the reason, and the error's text.
pub type Cause = (GapReason, String);

/// The present, by each clock whose instants stamp observations.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The reading with the recorder's wall clock, which stamps PD's answers.
    pub recorder: Reading,
    /// The reading with Prometheus's clock, which stamps its samples.
    pub prometheus: Reading,
}

impl Now {
    fn of(&self, source: &Source) -> Reading {
        if *source == Source::Prometheus { self.prometheus } else { self.recorder }
    }
}

/// The end of what has been observed of each source.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    sources: BTreeMap<Source, SourceCoverage>,
    /// When the recorder itself did not run, in steady time.
    pauses: Vec<TimeRange>,
}

#[derive(Clone, Debug)]
struct SourceCoverage {
    /// The next observation is overdue when the last one is older than this.
    allowance_ms: i64,
    /// When the source last answered, or was first due, in steady time.
    last_answer: Timestamp,
    /// Everything before this reading has been observed or is written as a gap.
    accounted: Reading,
    /// The value of `accounted` before the last observation, in case that cannot be stored.
    accounted_before: Reading,
    request_is_running: bool,
    /// The cause of the last gap of an outage that lasts; `None` where there is no outage.
    outage: Option<Cause>,
    /// The last failure since the last observation.
    failure: Option<Cause>,
    /// Why it did not answer before the recording began, as long as it has never been observed.
    before: Option<Cause>,
}

impl Coverage {
    /// Declares that from `since` on an observation of `source` is due every `allowance_ms` of steady
    /// time. Where the source is known already, nothing changes.
    pub fn expect(&mut self, source: Source, allowance_ms: i64, since: Reading) {
        self.sources.entry(source).or_insert_with(|| SourceCoverage {
            allowance_ms,
            last_answer: since.steady,
            accounted: since,
            accounted_before: since,
            request_is_running: false,
            outage: None,
            failure: None,
            before: None,
        });
    }

    /// Notes why `source` did not answer before the recording began. Until it is observed, this is the cause of its
    /// gaps unless a request tells another one than that it took too long.
    pub fn know_failure(&mut self, source: &Source, cause: Cause) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.before = Some(cause);
        }
    }

    /// Forgets the PD members that are not among `members`. Returns the last gaps of those that were in
    /// an outage.
    pub fn keep_members(&mut self, members: &BTreeSet<Source>, now: Now) -> Vec<Gap> {
        let gone =
            |source: &&Source| matches!(source, Source::PdMember(_)) && !members.contains(*source);
        let gone: Vec<Source> = self.sources.keys().filter(gone).cloned().collect();
        let mut gaps = Vec::new();
        for source in gone {
            let is_out = self.sources.get(&source).is_some_and(|covered| covered.outage.is_some());
            gaps.extend(is_out.then(|| self.close_gap(&source, now.of(&source))).flatten());
            self.sources.remove(&source);
        }
        gaps
    }

    /// Notes that a request to `source` has been sent.
    pub fn start_request(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.request_is_running = true;
        }
    }

    /// Notes that a request to every PD member is being sent.
    pub fn start_member_requests(&mut self) {
        for (source, covered) in &mut self.sources {
            covered.request_is_running |= matches!(source, Source::PdMember(_));
        }
    }

    /// Notes that the request to `source` has ended, with or without an answer.
    pub fn end_request(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.request_is_running = false;
        }
    }

    /// Notes a time in which the recorder did not run, in steady time.
    pub fn add_pause(&mut self, pause: TimeRange) {
        let needed = self.sources.values().map(|covered| covered.accounted.steady).min();
        self.pauses.retain(|pause| needed.is_some_and(|needed| pause.end > needed));
        self.pauses.push(pause);
    }

    /// Notes that a request to `source` failed. Returns the gap to write now: the first failure is
    /// written at once, later ones at most once a minute as adjoining gaps.
    pub fn record_failure(&mut self, source: &Source, cause: Cause, now: Reading) -> Option<Gap> {
        let covered = self.sources.get_mut(source)?;
        covered.request_is_running = false;
        let before = covered.failure.replace(cause.clone());
        let same = covered.outage.is_some() && before.is_some_and(|before| before.0 == cause.0);
        if same && now.steady - covered.accounted.steady < SEGMENT_MS {
            return None;
        }
        self.close_gap(source, now)
    }

    /// Notes that `source` was observed from `from` up to `through`, as known at `now`. Returns the last
    /// gap of the outage before, which may be all of it.
    ///
    /// Where a copy of Prometheus still lags by more than its allowance, the outage goes on.
    pub fn observe(
        &mut self,
        source: &Source,
        from: Reading,
        through: Reading,
        now: Reading,
    ) -> Option<Gap> {
        let covered = self.sources.get(source)?;
        let is_out = covered.outage.is_some() || covered.is_overdue(from);
        let gap = is_out.then(|| self.close_gap(source, from)).flatten();
        let covered = self.sources.get_mut(source)?;
        (covered.failure, covered.before) = (None, None);
        covered.last_answer = covered.last_answer.max(through.steady);
        if !covered.is_overdue(now) {
            covered.outage = None;
        }
        covered.accounted_before = covered.accounted;
        // While a copy catches up, the time that it has not reached is written as a gap already.
        if *source != Source::Prometheus || covered.accounted.at < through.at {
            covered.accounted = through;
        }
        gap
    }

    /// Undoes the last observation of `source`, which could not be stored: it is due again.
    pub fn undo_observation(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.accounted = covered.accounted_before;
            covered.last_answer = covered.last_answer.min(covered.accounted.steady);
        }
    }

    /// The gaps of sources that are overdue at `now`, each at most once a minute.
    pub fn overdue(&mut self, now: Now) -> Vec<Gap> {
        let sources: Vec<Source> = self
            .sources
            .iter()
            .filter(|(source, covered)| {
                let now = now.of(source);
                let segment = now.steady - covered.accounted.steady >= SEGMENT_MS;
                covered.is_overdue(now) && (covered.outage.is_none() || segment)
            })
            .map(|(source, _)| source.clone())
            .collect();
        sources.iter().filter_map(|source| self.close_gap(source, now.of(source))).collect()
    }

    /// The gaps at the end of a recording: the last part of every outage, and what is overdue or was
    /// requested and has not arrived.
    pub fn end(&mut self, now: Now) -> Vec<Gap> {
        let sources: Vec<Source> = self
            .sources
            .iter()
            .filter(|(source, covered)| {
                covered.outage.is_some()
                    || covered.request_is_running
                    || covered.is_overdue(now.of(source))
            })
            .map(|(source, _)| source.clone())
            .collect();
        sources.iter().filter_map(|source| self.close_gap(source, now.of(source))).collect()
    }

    /// The number of sources that are in an outage.
    pub fn outages(&self) -> usize {
        self.sources.values().filter(|covered| covered.outage.is_some()).count()
    }

    /// Whether the source is in an outage.
    pub fn is_out(&self, source: &Source) -> bool {
        self.sources.get(source).is_some_and(|covered| covered.outage.is_some())
    }

    /// Accounts for the time up to `now` as a gap; `None` where that time is empty.
    fn close_gap(&mut self, source: &Source, now: Reading) -> Option<Gap> {
        let covered = self.sources.get(source)?;
        let range = match source {
            // The copy ended at an instant of the samples' clock, and continues from there.
            Source::Prometheus => TimeRange::new(covered.accounted.at, now.at),
            _ => range_between(covered.accounted, now),
        };
        let passed = TimeRange::new(covered.accounted.steady, now.steady);
        let (reason, detail) = self.cause(covered, passed);
        let covered = self.sources.get_mut(source)?;
        covered.outage = Some((reason, detail.clone()));
        if range.is_empty() {
            return None;
        }
        covered.accounted = now;
        Some(Gap { range, source: source.clone(), reason, detail, healed_at: None })
    }

    /// Why no observation arrived in a range of steady time. A recorder that did not run for most of it
    /// sent no request, and its running requests timed out without any fault of the source.
    fn cause(&self, covered: &SourceCoverage, passed: TimeRange) -> Cause {
        let within = |pause: &TimeRange| pause.end.min(passed.end) - pause.start.max(passed.start);
        let paused_ms: i64 = self.pauses.iter().map(|pause| within(pause).max(0)).sum();
        if 2 * paused_ms > passed.millis() {
            let seconds = paused_ms / 1000;
            let detail = format!("the recorder was stopped or suspended for {seconds} s");
            return (GapReason::RecorderDown, detail);
        }
        let seen = covered.failure.as_ref().or(covered.outage.as_ref());
        let told = seen.filter(|cause| covered.before.is_none() || cause.0 != GapReason::Timeout);
        if let Some(cause) = told.or(covered.before.as_ref()) {
            return cause.clone();
        }
        let detail = match covered.request_is_running {
            true => "it was asked and has not answered",
            false => "what was due did not come in time",
        };
        (GapReason::Timeout, detail.to_owned())
    }
}

impl SourceCoverage {
    fn is_overdue(&self, now: Reading) -> bool {
        now.steady - self.last_answer > self.allowance_ms
    }
}

/// Partial gaps: parts of Prometheus's windows that are left out each time, such as native histograms.
/// The windows overlap; their gaps are written as adjoining ones, at most once a minute.
#[derive(Clone, Debug, Default)]
pub struct PartialGaps {
    /// By reason and detail: the end of what is written, and the gap to write next.
    parts: BTreeMap<Cause, (Timestamp, Option<Gap>)>,
}

impl PartialGaps {
    /// Takes in the partial gaps of the window that was copied. Returns those to write now; the first of each
    /// cause is written at once, and so is what a cause left when it ended before this window.
    pub fn add_window(&mut self, copied: TimeRange, window: Vec<Gap>) -> Vec<Gap> {
        let ended = |written_to: Timestamp, next: &Option<Gap>| {
            next.as_ref().map_or(written_to, |next| next.range.end) < copied.start
        };
        let over = self.parts.extract_if(.., |_, (written_to, next)| ended(*written_to, next));
        let mut gaps: Vec<Gap> = over.filter_map(|(_, (_, next))| next).collect();
        for gap in window {
            let cause = (gap.reason, gap.detail.clone());
            let Some((written_to, next)) = self.parts.get_mut(&cause) else {
                self.parts.insert(cause, (gap.range.end, None));
                gaps.push(gap);
                continue;
            };
            let start = gap.range.start.max(*written_to);
            let start = next.as_ref().map_or(start, |next| next.range.start);
            let whole = Gap { range: TimeRange::new(start, gap.range.end), ..gap };
            if whole.range.millis() >= SEGMENT_MS {
                *written_to = whole.range.end;
                *next = None;
                gaps.push(whole);
            } else {
                *next = Some(whole);
            }
        }
        gaps
    }

    /// The gaps that are left to write when the recording ends.
    pub fn end(&mut self) -> Vec<Gap> {
        let parts = std::mem::take(&mut self.parts).into_values();
        parts.filter_map(|(_, next)| next).filter(|gap| !gap.range.is_empty()).collect()
    }
}

/// The time from one reading to another, by the clock that stamps. Where that clock was stepped in
/// between, the range is as long as the time that passed and ends at the clock's present.
fn range_between(from: Reading, to: Reading) -> TimeRange {
    let passed_ms = to.steady - from.steady;
    let stepped = ((to.at - from.at) - passed_ms).abs() > STEP_MS;
    let start = if stepped { to.at.saturating_add_millis(-passed_ms) } else { from.at };
    TimeRange::new(start, to.at)
}

/// The instant from which a recording that starts at `started` copies Prometheus: the end of the last
/// copy; without one, the first failure of an earlier recorder; without that, `started`.
pub fn copy_from<'g>(
    copied_through: Option<Timestamp>,
    open: impl Iterator<Item = &'g Gap>,
    started: Timestamp,
) -> Timestamp {
    let failed = open.filter(|gap| gap.source == Source::Prometheus);
    let first = failed.map(|gap| gap.range.start).min();
    copied_through.unwrap_or_else(|| first.map_or(started, |first| first.min(started)))
}

/// The start of the range that is copied without a gap by a recording that goes on copying at `from`. It is the
/// start of an outage in which `from` lies: the clocks are compared anew at each copy, which may date the start of
/// an outage before the end of the copy that it followed.
pub fn contiguous_from<'g>(from: Timestamp, open: impl Iterator<Item = &'g Gap>) -> Timestamp {
    let around = open.filter(|gap| gap.source == Source::Prometheus && gap.range.contains(from));
    around.map(|gap| gap.range.start).min().unwrap_or(from)
}

/// The open gaps that are healed once all of `copied` has been copied out of Prometheus: those of
/// outages inside it. What the server refuses to send stays missing.
pub fn healed<'g>(
    open: impl Iterator<Item = &'g Gap>,
    copied: TimeRange,
) -> impl Iterator<Item = &'g Gap> {
    open.filter(move |gap| {
        gap.source == Source::Prometheus
            && copied.start <= gap.range.start
            && gap.range.end <= copied.end
            && !gap.is_partial()
    })
}

#[cfg(test)]
mod tests;
