//! The virtual clock: at instant *t*, only what had been observed by *t* is visible.
//!
//! A sample counts as observed at its own time, since a capture does not keep when it was
//! fetched; a gap, when it begins.

use crate::model::{
    Event, Gap, LabelMatcher, Labels, PdAnswer, PdDocumentError, Sample, Series, TimeRange,
    Timestamp, Topology,
};

use super::order::{Evaluation, Ordered, ordered_pd};
use super::recording::Recording;

/// What rules and diagnosis may look at: the past as known at [`now`](Self::now).
pub trait AsOf {
    /// The instant that everything is seen from.
    fn now(&self) -> Timestamp;

    /// PD's state as known now.
    fn topology(&self) -> &Topology;

    /// Series that match all of `matchers`, with their samples in `range` up to and including
    /// now, ascending by labels. Series without such a sample are left out.
    fn select(&self, matchers: &[LabelMatcher], range: TimeRange) -> Vec<SeriesView<'_>>;
}

/// A series as far as it is visible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesView<'a> {
    /// What identifies the series.
    pub labels: &'a Labels,
    /// Its visible samples, ascending in time.
    pub samples: &'a [Sample],
}

/// One thing that was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation<'a> {
    /// A gap begins.
    GapBegan(&'a Gap),
    /// A gap ends.
    GapEnded(&'a Gap),
    /// Somebody marked the timeline.
    Event(&'a Event),
    /// PD answered, or did not.
    Pd(&'a PdAnswer),
    /// Prometheus scraped.
    Sample {
        /// The series.
        labels: &'a Labels,
        /// The sample.
        sample: Sample,
    },
}

/// Walks a recording forward in the order in which things were observed.
///
/// Ties are broken by kind, in the order of [`Observation`]'s variants, then by content, so the
/// order does not depend on that of the recording.
pub struct Replay<'a> {
    series: Vec<&'a Series>,
    observations: Vec<(Timestamp, Observation<'a>)>,
    next: usize,
    now: Timestamp,
    topology: Topology,
    errors: Vec<PdDocumentError>,
}

impl<'a> Replay<'a> {
    /// A clock that stands before the first observation.
    pub fn new(recording: &'a Recording) -> Self {
        let ordered = Ordered::new(recording, Evaluation::Sequential);
        let mut observations = Vec::new();
        for gap in &ordered.gaps {
            observations.push((gap.range.start, Observation::GapBegan(gap)));
        }
        for gap in &ordered.gaps {
            observations.push((gap.range.end, Observation::GapEnded(gap)));
        }
        for event in &ordered.events {
            observations.push((event.at, Observation::Event(event)));
        }
        for answer in ordered_pd(&recording.pd, Evaluation::Sequential) {
            observations.push((answer.observed(), Observation::Pd(answer)));
        }
        for series in &ordered.series {
            for &sample in &series.samples {
                let observation = Observation::Sample { labels: &series.labels, sample };
                observations.push((sample.at, observation));
            }
        }
        // Stable, so that ties keep the order in which they were pushed, which is total.
        observations.sort_by_key(|(at, _)| *at);
        Self {
            series: ordered.series,
            observations,
            next: 0,
            now: Timestamp::MIN,
            topology: Topology::default(),
            errors: Vec::new(),
        }
    }

    /// Takes in the next observation and moves the clock to it; `None` at the end.
    pub fn advance(&mut self) -> Option<Observation<'a>> {
        let (at, observation) = *self.observations.get(self.next)?;
        self.next += 1;
        self.now = self.now.max(at);
        if let Observation::Pd(answer) = observation
            && let Err(error) = self.topology.apply(answer)
        {
            self.errors.push(error);
        }
        Some(observation)
    }

    /// Takes in everything observed up to and including `instant` and sets the clock there. An
    /// instant in the past changes nothing: the clock only runs forward.
    pub fn advance_to(&mut self, instant: Timestamp) {
        while self.observations.get(self.next).is_some_and(|(at, _)| *at <= instant) {
            self.advance();
        }
        self.now = self.now.max(instant);
    }

    /// Bodies of PD that could not be read so far.
    pub fn errors(&self) -> &[PdDocumentError] {
        &self.errors
    }
}

impl<'a> AsOf for Replay<'a> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn select(&self, matchers: &[LabelMatcher], range: TimeRange) -> Vec<SeriesView<'_>> {
        let end = range.end.min(self.now.saturating_add_millis(1));
        let visible = |series: &&'a Series| {
            let from = series.samples.partition_point(|sample| sample.at < range.start);
            let to = series.samples.partition_point(|sample| sample.at < end);
            series.samples.get(from..to).unwrap_or_default()
        };
        self.series
            .iter()
            .filter(|series| matchers.iter().all(|matcher| matcher.matches(&series.labels)))
            .map(|series| SeriesView { labels: &series.labels, samples: visible(series) })
            .filter(|view| !view.samples.is_empty())
            .collect()
    }
}

/// PD's state as known at `instant`.
pub fn topology_at(recording: &Recording, instant: Timestamp) -> Topology {
    let mut topology = Topology::default();
    for answer in ordered_pd(&recording.pd, Evaluation::Sequential) {
        if answer.observed() > instant {
            break;
        }
        // What cannot be read stands on the timeline; the state does without.
        let _ = topology.apply(answer);
    }
    topology
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::timeline::tests::{answer, recording};

    #[test]
    fn the_future_is_invisible() {
        let at = Timestamp::from_millis;
        let mut recording = recording();
        recording.pd.push(answer(2_000, "pd0", "status", r#"{"start_timestamp":2}"#));
        recording.pd.push(answer(1_000, "pd0", "status", r#"{"start_timestamp":1}"#));
        recording.series.push(Series {
            labels: Labels::from_pairs(&[("__name__", "up"), ("job", "tikv")]),
            samples: vec![
                Sample { at: at(1_500), value: 1.0 },
                Sample { at: at(2_500), value: 0.0 },
            ],
        });
        let mut replay = Replay::new(&recording);
        replay.advance_to(at(1_500));
        let status = replay.topology().views["pd0"].status.clone().unwrap();
        assert_eq!(status.started_unix_s, Some(1));
        assert_eq!(replay.select(&[], TimeRange::ALL)[0].samples.len(), 1);
        replay.advance_to(at(1_000));
        assert_eq!(replay.now(), at(1_500));
        while replay.advance().is_some() {}
        assert_eq!(replay.now(), at(2_500));
        assert_eq!(
            topology_at(&recording, at(1_999)).views,
            topology_at(&recording, at(1_001)).views
        );
    }
}
