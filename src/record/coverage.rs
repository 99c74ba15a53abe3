//! What each source has been observed through, and the gaps that follow from what was due.
//!
//! A gap is what was due and did not come. Whether a request failed, hangs, or was never sent because
//! the recorder did not run makes no difference to its extent: that only supplies the reason.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Reading;
use crate::model::{Gap, GapReason, Source, TimeRange, Timestamp};

/// A long outage is written in segments of this length, so that a crash of the recorder loses
/// the end of an outage and not the knowledge of it.
const SEGMENT_MS: i64 = 60_000;
/// Readings whose two clocks differ by more than this have a step of the wall clock between them.
const STEP_MS: i64 = 1_000;

/// Why nothing came, and what was asked and said.
pub type Cause = (GapReason, String);

/// The present, by the clocks by which sources are stamped.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the recorder's wall clock.
    pub recorder: Reading,
    /// By Prometheus's.
    pub prometheus: Reading,
}

impl Now {
    fn of(&self, source: &Source) -> Reading {
        if *source == Source::Prometheus { self.prometheus } else { self.recorder }
    }
}

/// Up to where each source has been observed.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    sources: BTreeMap<Source, Covered>,
    /// When the recorder itself did not run, by steady time.
    pauses: Vec<TimeRange>,
}

#[derive(Clone, Debug)]
struct Covered {
    /// So long after the last observation the next one is overdue.
    allowance_ms: i64,
    /// When the source was last heard, or first due, by steady time.
    heard: Timestamp,
    /// Everything before is observed or written as a gap.
    accounted: Reading,
    /// The same before the last observation, should that not be stored.
    accounted_before: Reading,
    /// A request is under way.
    asked: bool,
    /// Of the silence that lasts, a gap has been written, for this reason.
    written: Option<Cause>,
    failure: Option<Cause>,
}

impl Coverage {
    /// From `since` on, `source` has to be heard every `allowance_ms` of steady time.
    pub fn expect(&mut self, source: Source, allowance_ms: i64, since: Reading) {
        self.sources.entry(source).or_insert_with(|| Covered {
            allowance_ms,
            heard: since.steady,
            accounted: since,
            accounted_before: since,
            asked: false,
            written: None,
            failure: None,
        });
    }

    /// Nothing is due any more of members that are not among `members`. Returns the last segments
    /// of those that were silent.
    pub fn keep_members(&mut self, members: &BTreeSet<Source>, now: Now) -> Vec<Gap> {
        let gone =
            |source: &&Source| matches!(source, Source::PdMember(_)) && !members.contains(*source);
        let gone: Vec<Source> = self.sources.keys().filter(gone).cloned().collect();
        let mut gaps = Vec::new();
        for source in gone {
            let silent = self.sources.get(&source).is_some_and(|covered| covered.written.is_some());
            gaps.extend(silent.then(|| self.write(&source, now.of(&source))).flatten());
            self.sources.remove(&source);
        }
        gaps
    }

    /// A request to `source` is under way.
    pub fn asked(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.asked = true;
        }
    }

    /// Every PD member is about to be asked.
    pub fn members_asked(&mut self) {
        for (source, covered) in &mut self.sources {
            covered.asked |= matches!(source, Source::PdMember(_));
        }
    }

    /// No request to `source` is under way any more.
    pub fn settled(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.asked = false;
        }
    }

    /// The recorder did not run for this long, by steady time.
    pub fn paused(&mut self, pause: TimeRange) {
        let needed = self.sources.values().map(|covered| covered.accounted.steady).min();
        self.pauses.retain(|pause| needed.is_some_and(|needed| pause.end > needed));
        self.pauses.push(pause);
    }

    /// A request to `source` failed. Returns the gap to write now: the first failure is written at
    /// once, later ones as adjoining segments.
    pub fn failed(&mut self, source: &Source, cause: Cause, now: Reading) -> Option<Gap> {
        let covered = self.sources.get_mut(source)?;
        covered.asked = false;
        let before = covered.failure.replace(cause.clone());
        let same = covered.written.is_some() && before.is_some_and(|before| before.0 == cause.0);
        if same && now.steady - covered.accounted.steady < SEGMENT_MS {
            return None;
        }
        self.write(source, now)
    }

    /// `source` was observed from `from` up to `through`, which is known at `now`. Returns the last
    /// segment of a silence before, which may be all of it.
    ///
    /// Where a copy of Prometheus still lags by more than its allowance, the silence goes on.
    pub fn observed(
        &mut self,
        source: &Source,
        from: Reading,
        through: Reading,
        now: Reading,
    ) -> Option<Gap> {
        let covered = self.sources.get(source)?;
        let silent = covered.written.is_some() || covered.is_overdue(from);
        let gap = silent.then(|| self.write(source, from)).flatten();
        let covered = self.sources.get_mut(source)?;
        covered.failure = None;
        covered.heard = covered.heard.max(through.steady);
        if !covered.is_overdue(now) {
            covered.written = None;
        }
        covered.accounted_before = covered.accounted;
        // What a catching up copy has not reached is accounted for already.
        if *source != Source::Prometheus || covered.accounted.at < through.at {
            covered.accounted = through;
        }
        gap
    }

    /// The last observation of `source` could not be stored: what it covered is due again.
    pub fn lost(&mut self, source: &Source) {
        if let Some(covered) = self.sources.get_mut(source) {
            covered.accounted = covered.accounted_before;
            covered.heard = covered.heard.min(covered.accounted.steady);
        }
    }

    /// The gaps of sources that are overdue at `now`, in segments.
    pub fn overdue(&mut self, now: Now) -> Vec<Gap> {
        let sources: Vec<Source> = self
            .sources
            .iter()
            .filter(|(source, covered)| {
                let now = now.of(source);
                let segment = now.steady - covered.accounted.steady >= SEGMENT_MS;
                covered.is_overdue(now) && (covered.written.is_none() || segment)
            })
            .map(|(source, _)| source.clone())
            .collect();
        sources.iter().filter_map(|source| self.write(source, now.of(source))).collect()
    }

    /// What is missing when the recording ends: the last segments of what is silent, and what is
    /// overdue, or was asked for and has not come.
    pub fn end(&mut self, now: Now) -> Vec<Gap> {
        let sources: Vec<Source> = self
            .sources
            .iter()
            .filter(|(source, covered)| {
                covered.written.is_some() || covered.asked || covered.is_overdue(now.of(source))
            })
            .map(|(source, _)| source.clone())
            .collect();
        sources.iter().filter_map(|source| self.write(source, now.of(source))).collect()
    }

    /// How many sources are silent at the moment.
    pub fn silent(&self) -> usize {
        self.sources.values().filter(|covered| covered.written.is_some()).count()
    }

    /// Accounts for the time up to `now` as a gap.
    fn write(&mut self, source: &Source, now: Reading) -> Option<Gap> {
        let covered = self.sources.get(source)?;
        let range = match source {
            // Where its copying ended is an instant of the samples', and it goes on from there.
            Source::Prometheus => TimeRange::new(covered.accounted.at, now.at),
            _ => stretch(covered.accounted, now),
        };
        let passed = TimeRange::new(covered.accounted.steady, now.steady);
        let (reason, detail) = self.cause(covered, passed);
        let covered = self.sources.get_mut(source)?;
        covered.written = Some((reason, detail.clone()));
        if range.is_empty() {
            return None;
        }
        covered.accounted = now;
        Some(Gap { range, source: source.clone(), reason, detail, healed_at: None })
    }

    /// Why nothing came in a stretch of steady time. A recorder that did not run for most of it asked
    /// nothing, and what was under way timed out without any fault of the source's.
    fn cause(&self, covered: &Covered, passed: TimeRange) -> Cause {
        let within = |pause: &TimeRange| pause.end.min(passed.end) - pause.start.max(passed.start);
        let paused_ms: i64 = self.pauses.iter().map(|pause| within(pause).max(0)).sum();
        if 2 * paused_ms > passed.millis() {
            let seconds = paused_ms / 1000;
            let detail = format!("the recorder was stopped or suspended for {seconds} s");
            return (GapReason::RecorderDown, detail);
        }
        match (&covered.failure, &covered.written) {
            (Some(cause), _) | (None, Some(cause)) => cause.clone(),
            (None, None) if covered.asked => {
                (GapReason::Timeout, "it was asked and has not answered".to_owned())
            }
            (None, None) => (GapReason::Timeout, "what was due did not come in time".to_owned()),
        }
    }
}

impl Covered {
    fn is_overdue(&self, now: Reading) -> bool {
        now.steady - self.heard > self.allowance_ms
    }
}

/// Parts of Prometheus's windows that are left out again and again, such as native histograms. Windows
/// overlap; their gaps are written as adjoining segments.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// By reason and detail: up to where it is written, and what comes next.
    parts: BTreeMap<Cause, (Timestamp, Option<Gap>)>,
}

impl LeftOut {
    /// Takes the gaps of one window. Returns those to write now: a first one at once.
    pub fn seen(&mut self, window: Vec<Gap>) -> Vec<Gap> {
        let mut gaps = Vec::new();
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

    /// What is left to write when the recording ends.
    pub fn end(&mut self) -> Vec<Gap> {
        let parts = std::mem::take(&mut self.parts).into_values();
        parts.filter_map(|(_, next)| next).filter(|gap| !gap.range.is_empty()).collect()
    }
}

/// The stretch from one reading to another, by the clock that stamps. Where that was stepped
/// meanwhile, it is as long as the time that passed, and ends where the clock now stands.
fn stretch(from: Reading, to: Reading) -> TimeRange {
    let passed_ms = to.steady - from.steady;
    let stepped = ((to.at - from.at) - passed_ms).abs() > STEP_MS;
    let start = if stepped { to.at.saturating_add_millis(-passed_ms) } else { from.at };
    TimeRange::new(start, to.at)
}

/// From where on a recording that starts at `started` copies Prometheus: where the copy stopped; or
/// where a recorder before this one first failed to begin it.
pub fn copy_from(copied_through: Option<Timestamp>, open: &[Gap], started: Timestamp) -> Timestamp {
    let failed = open.iter().filter(|gap| gap.source == Source::Prometheus);
    let first = failed.map(|gap| gap.range.start).min();
    copied_through.unwrap_or_else(|| first.map_or(started, |first| first.min(started)))
}

/// Which open gaps are healed once all of `copied` has been copied out of Prometheus: those of
/// outages inside. What the server refuses to send stays missing.
pub fn healed(open: Vec<Gap>, copied: TimeRange) -> Vec<Gap> {
    open.into_iter()
        .filter(|gap| {
            gap.source == Source::Prometheus
                && copied.start <= gap.range.start
                && gap.range.end <= copied.end
                && !gap.is_partial()
        })
        .collect()
}

#[cfg(test)]
mod tests;
