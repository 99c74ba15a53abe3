//! The cut "as of an instant": which observations of a run were known then. It is decided here and
//! nowhere else, so that a live judgement and a replayed one see the same.

use super::gap::{Gap, Source};
use super::pd_answer::PdAnswer;
use super::series::{SETTLE_MS, Series};
use super::stretches::Stretches;
use super::time::{TimeRange, Timestamp};

/// An instant from which a run is seen: what was observed later does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf(Timestamp);

impl AsOf {
    /// Later than every observation, so that everything is seen.
    pub const END: Self = Self(Timestamp::MAX);

    /// As of `at`, which is seen itself.
    pub fn new(at: Timestamp) -> Self {
        Self(at)
    }

    /// The instant itself.
    pub fn instant(self) -> Timestamp {
        self.0
    }

    /// The part of `window` that had passed: up to and including the instant.
    pub fn within(self, window: TimeRange) -> TimeRange {
        TimeRange::new(window.start, window.end.min(self.0.saturating_add_millis(1)))
    }

    /// The window that a judgement looks at: back to the first observation of the run, and no
    /// further than `horizon_ms` milliseconds.
    pub fn recent(self, first: Timestamp, horizon_ms: i64) -> TimeRange {
        let start = first.max(self.0.saturating_add_millis(-horizon_ms));
        TimeRange::new(start, self.0.saturating_add_millis(1))
    }

    /// Whether the recorder had received this answer of PD.
    pub fn knows_answer(self, answer: &PdAnswer) -> bool {
        answer.observed() <= self.0
    }

    /// Whether this gap had begun.
    pub fn knows_gap(self, gap: &Gap) -> bool {
        gap.range.start <= self.0
    }

    /// Removes the samples that were not known: later ones, and those that an outage of Prometheus
    /// hid at that instant although they were fetched after it. What the recorder scraped meanwhile was known.
    /// Series may become empty.
    pub fn cut_samples<'a>(self, series: &mut [Series], gaps: impl IntoIterator<Item = &'a Gap>) {
        let hidden = self.hidden(gaps);
        for one in series {
            one.samples.truncate(one.samples.partition_point(|sample| sample.at <= self.0));
            if !hidden.is_empty() && !one.labels.is_scraped_by_recorder() {
                one.samples.retain(|sample| !hidden.contains(sample.at));
            }
        }
    }

    /// Times whose samples an outage of Prometheus hid at that instant.
    pub fn hidden<'a>(self, gaps: impl IntoIterator<Item = &'a Gap>) -> Stretches {
        gaps.into_iter().filter_map(|gap| self.hidden_by(gap)).collect()
    }

    /// From the last sample that had settled before an outage of Prometheus to the end of the
    /// outage, where that was still going on; a partial gap leaves out single metrics and hides
    /// nothing.
    fn hidden_by(self, gap: &Gap) -> Option<TimeRange> {
        let hides = gap.source == Source::Prometheus && !gap.is_partial() && gap.is_open(self.0);
        let start = gap.range.start.saturating_add_millis(-SETTLE_MS);
        hides.then(|| TimeRange::new(start, gap.range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Labels, SCRAPED_BY, Sample};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn later_samples_and_those_of_an_open_outage_are_not_known() {
        let samples = |seconds: &[i64]| -> Vec<Sample> {
            seconds.iter().map(|&second| Sample { at: at(second), value: 1.0 }).collect()
        };
        let series = Series { labels: Labels::default(), samples: samples(&[0, 15, 30, 45, 60]) };
        let outage = Gap {
            source: Source::Prometheus,
            reason: GapReason::Connect,
            range: TimeRange::new(at(30), at(50)),
            detail: String::new(),
            healed_at: Some(at(55)),
        };
        let known = |instant: i64| {
            let own = Series { labels: series.labels.with(&[SCRAPED_BY]), ..series.clone() };
            let mut both = [series.clone(), own];
            AsOf::new(at(instant)).cut_samples(&mut both, [&outage]);
            let [series, own] = both;
            assert_eq!(own.samples.len(), 1 + (instant / 15) as usize, "the recorder knew its own");
            series.samples
        };
        assert_eq!(known(30), samples(&[0, 15]));
        assert_eq!(known(54), samples(&[0, 15]));
        assert_eq!(known(60), samples(&[0, 15, 30, 45, 60]));
        assert_eq!(known(15), samples(&[0, 15]));
    }

    #[test]
    fn a_judgement_looks_back_to_the_first_observation_and_no_further_than_the_horizon() {
        let seen = AsOf::new(at(100));
        assert_eq!(seen.recent(at(90), 60_000).start, at(90));
        assert_eq!(seen.recent(at(10), 60_000).start, at(40));
        assert!(seen.within(TimeRange::new(at(0), at(200))).contains(at(100)));
    }
}
