//! Which sources do not answer at the moment, and the gaps that follow from it.

use std::collections::BTreeMap;

use crate::model::{Gap, GapReason, Source, TimeRange, Timestamp};

/// A long outage is written in segments of this length, so that a crash of the recorder loses
/// the end of an outage and not the knowledge of it.
const SEGMENT_MS: i64 = 60_000;

/// Sources that are failing.
#[derive(Clone, Debug, Default)]
pub struct Outages {
    failing: BTreeMap<Source, Failing>,
}

#[derive(Clone, Debug)]
struct Failing {
    written_to: Timestamp,
    reason: GapReason,
    detail: String,
}

impl Outages {
    /// Notes that `source` did not answer at `now`, having last been covered up to `since`.
    /// Returns the gap to write now: the first failure is written at once, later ones as
    /// adjoining segments.
    pub fn failed(
        &mut self,
        source: Source,
        (reason, detail): (GapReason, String),
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Gap> {
        let known = self.failing.get(&source);
        let start = known.map_or(since, |failing| failing.written_to);
        let same = known.is_some_and(|failing| failing.reason == reason);
        if now <= start || (same && now - start < SEGMENT_MS) {
            return None;
        }
        let failing = Failing { written_to: now, reason, detail: detail.clone() };
        self.failing.insert(source.clone(), failing);
        let range = TimeRange::new(start, now);
        Some(Gap { range, source, reason, detail, healed_at: None })
    }

    /// Notes that `source` answers again. Returns the outage's last segment.
    pub fn recovered(&mut self, source: &Source, now: Timestamp) -> Option<Gap> {
        let failing = self.failing.remove(source)?;
        let range = TimeRange::new(failing.written_to, now);
        (!range.is_empty()).then(|| Gap {
            range,
            source: source.clone(),
            reason: failing.reason,
            detail: failing.detail,
            healed_at: None,
        })
    }

    /// The last segments of everything that still fails when the recording ends.
    pub fn close(&mut self, now: Timestamp) -> Vec<Gap> {
        let sources: Vec<Source> = self.failing.keys().cloned().collect();
        sources.iter().filter_map(|source| self.recovered(source, now)).collect()
    }

    /// How many sources fail at the moment.
    pub fn count(&self) -> usize {
        self.failing.len()
    }
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
                && !matches!(
                    gap.reason,
                    GapReason::NativeHistogram | GapReason::TooLarge | GapReason::NotRetained
                )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn an_outage_is_written_at_once_then_in_adjoining_segments() {
        let mut outages = Outages::default();
        let fail = |outages: &mut Outages, now| {
            let cause = (GapReason::Connect, "refused".to_owned());
            outages.failed(Source::Prometheus, cause, at(0), at(now)).map(|gap| gap.range)
        };
        assert_eq!(fail(&mut outages, 15), Some(TimeRange::new(at(0), at(15))));
        assert_eq!(fail(&mut outages, 30), None);
        assert_eq!(fail(&mut outages, 75), Some(TimeRange::new(at(15), at(75))));
        let last = outages.recovered(&Source::Prometheus, at(90)).map(|gap| gap.range);
        assert_eq!(last, Some(TimeRange::new(at(75), at(90))));
        assert_eq!(outages.count(), 0);
    }

    #[test]
    fn a_copy_that_never_began_reaches_back_to_the_first_failure() {
        let gap = |source, start| Gap {
            range: TimeRange::new(at(start), at(start + 1)),
            source,
            reason: GapReason::Connect,
            detail: String::new(),
            healed_at: None,
        };
        let member = Source::PdMember("pd0".to_owned());
        let open = [gap(member, 1), gap(Source::Prometheus, 9), gap(Source::Prometheus, 5)];
        assert_eq!(copy_from(None, &open, at(60)), at(5));
        assert_eq!(copy_from(None, &open[..1], at(60)), at(60));
        assert_eq!(copy_from(Some(at(30)), &open, at(60)), at(30));
    }

    #[test]
    fn only_outages_that_were_copied_over_are_healed() {
        let gap = |reason, end| Gap {
            range: TimeRange::new(at(0), at(end)),
            source: Source::Prometheus,
            reason,
            detail: String::new(),
            healed_at: None,
        };
        let open = vec![
            gap(GapReason::Connect, 10),
            gap(GapReason::Connect, 30),
            gap(GapReason::TooLarge, 10),
        ];
        assert_eq!(healed(open, TimeRange::new(at(0), at(20))), [gap(GapReason::Connect, 10)]);
    }
}
