//! What a report says of PD's answers, gathered answer by answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{PdAnswer, PdOutcome, Series, Source, TimeRange, Timestamp};
use crate::pd::{ParsedBody, PdDocument, Topology};
use crate::timeline::cluster_summary::{End, StateSummary, summary};
use crate::timeline::entry::Entry;
use crate::timeline::ordering::{Evaluation, map_split, ordered_pd};
use crate::timeline::pd_changes::PdChanges;

/// What there is to tell of PD's answers, without the answers.
#[derive(Default)]
pub struct PdSummary {
    changes: PdChanges,
    /// Whom was asked for what, until the first round is over.
    asked: BTreeSet<(String, String)>,
    initial: Option<(Timestamp, Topology)>,
    last: Option<Timestamp>,
    good: usize,
    failed: usize,
    members: BTreeSet<String>,
    /// When each member was last heard to answer, with a success or an error.
    answered: BTreeMap<String, Timestamp>,
}

impl PdSummary {
    /// The summary of answers that are held in memory, in any order.
    pub fn of(answers: &[PdAnswer], evaluation: Evaluation) -> Self {
        let ordered = ordered_pd(answers, evaluation);
        let bodies = map_split(&ordered, evaluation.threads(), |answer| PdDocument::of(answer));
        let mut summary = Self::default();
        ordered.iter().zip(&bodies).for_each(|(answer, body)| summary.observe(answer, body));
        summary
    }

    /// Takes the next answer, in the order in which they were known.
    pub fn observe(&mut self, answer: &PdAnswer, body: &ParsedBody) {
        // The first state is taken once some member has answered the same path twice: then the
        // first round is over.
        if self.initial.is_none()
            && !self.asked.insert((answer.member.clone(), answer.path.clone()))
        {
            let at = self.last.unwrap_or_default();
            self.initial = Some((at, self.changes.topology().clone()));
            self.asked.clear();
        }
        self.last = Some(answer.observed());
        if !self.members.contains(&answer.member) {
            self.members.insert(answer.member.clone());
        }
        if let PdOutcome::Answered { .. } = answer.outcome {
            match self.answered.get_mut(&answer.member) {
                Some(last) => *last = answer.observed().max(*last),
                None => {
                    self.answered.insert(answer.member.clone(), answer.observed());
                }
            }
        }
        match answer.success() {
            Some(_) => self.good += 1,
            None => self.failed += 1,
        }
        self.changes.observe(answer, body);
    }

    /// Answers with a success status.
    pub(crate) fn good(&self) -> usize {
        self.good
    }

    /// Requests that failed or were answered with an error.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// Members that were asked.
    pub(crate) fn members(&self) -> Vec<String> {
        self.members.iter().cloned().collect()
    }

    /// Whether a source answered at `at` or later; of a source that is no member, that is not known here.
    pub(crate) fn has_answered_since(&self, source: &Source, at: Timestamp) -> bool {
        match source {
            Source::PdMember(name) => self.answered.get(name).is_some_and(|last| *last >= at),
            Source::Prometheus | Source::Recorder => true,
        }
    }

    /// The cluster at the first complete round of answers and at the end.
    pub(crate) fn ends(&self, series: &[&Series], window: TimeRange) -> [StateSummary; 2] {
        let topology = self.changes.topology();
        let (at, first) = match &self.initial {
            Some((at, first)) => (*at, first),
            None => (window.start, topology),
        };
        let last = self.last.unwrap_or(window.end);
        [summary(first, series, End::First, at), summary(topology, series, End::Last, last)]
    }

    /// The entries of the timeline that the answers made.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.changes.into_entries()
    }
}
