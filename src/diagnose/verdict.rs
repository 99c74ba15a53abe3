//! The verdict: ranked causes, what followed from each, what was planned and what is still unknown.
//!
//! Only its shape, as it stands in JSON; how it is reached is decided in `hypotheses`.

use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::clients::Clients;
use crate::diagnose::findings::finding::{Finding, Target};
use crate::diagnose::hypotheses::mode::{Advice, Unchecked};
use crate::diagnose::observations::SilentNode;
use crate::model::{Loss, Timestamp, canonical_json};

/// The name and version of the verdict's JSON format.
pub const SCHEMA: &str = "operator.verdict/1";

/// Whether the verdict found a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one cause was found.
    Fault,
    /// Nothing departs from normal, except what a planned change explains.
    NoFault,
    /// No cause was found, but something that a fault would show in was not observed, or a node has just stopped
    /// answering.
    CannotTell,
}

/// The judgement of one window of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The format of this JSON: [`SCHEMA`].
    pub schema: &'static str,
    /// Whether a fault was found.
    pub outcome: Outcome,
    /// The instant up to which everything known was used.
    pub as_of_ms: Timestamp,
    /// The verdict in one sentence without a full stop.
    pub summary: String,
    /// What the capture has lost by damage; absent where it is undamaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damaged>,
    /// By which clock instants are, where Prometheus's is not the recorder's; absent where they agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clocks: Option<String>,
    /// The labels of other clusters in the same Prometheus, whose targets were left out; absent where
    /// there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_clusters: Vec<String>,
    /// Causes, by descending confidence. Independent faults at the same time are several causes.
    pub causes: Vec<Cause>,
    /// Planned changes and failures of the observer, ascending by onset.
    pub changes: Vec<Cause>,
    /// What clients had of the first cause, or of the first change; absent where no store's requests were
    /// recorded and nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Claims that were considered and discarded, each with the reason; after them the modes that look like the
    /// first cause, or the first change, and made no claim, the nearest first, three in all at most.
    pub alternatives: Vec<Alternative>,
    /// What could not be checked for any cause.
    pub unchecked: Vec<Unchecked>,
    /// Nodes that do not answer at the end, for too short a time to be an outage, where they alone are why nobody
    /// can tell whether there is a fault; absent where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<SilentNode>,
    /// Everything that departed from normal, ascending by onset.
    pub findings: Vec<Finding>,
}

/// What the judged capture has lost by damage. What is missing is unknown: it is a sign of nothing,
/// and causes beside it are less sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// The loss in words: `damaged: 43 % of the samples are missing, from … to …, at …`.
    pub summary: String,
    /// The same loss in figures.
    #[serde(flatten)]
    pub loss: Loss,
}

impl Damaged {
    /// A loss, with its description.
    pub fn new(loss: &Loss) -> Self {
        Self { summary: format!("damaged: {loss}"), loss: loss.clone() }
    }
}

/// A cause of a fault, or a planned change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The name of its failure mode.
    pub mode: &'static str,
    /// What the mode means, in a clause; followed by what is known of this case, where anything is.
    pub says: Cow<'static, str>,
    /// The node, link or workload that is affected.
    pub target: Target,
    /// When it began.
    pub onset_ms: Timestamp,
    /// How far the onset may be off, in milliseconds: either way, or towards earlier instants alone.
    pub onset_uncertainty_ms: i64,
    /// Whether it had begun by the onset: something that was due then was already missing.
    pub began_by_onset: bool,
    /// When it was over; `None` where it lasts.
    pub end_ms: Option<Timestamp>,
    /// From 0 to 1, in hundredths.
    pub confidence: f64,
    /// Findings that speak for it.
    pub evidence: Vec<Reason>,
    /// Sentences about what speaks against it.
    pub against: Vec<String>,
    /// What could not be checked of this cause.
    pub unchecked: Vec<Unchecked>,
    /// What followed from it and is no cause of its own.
    pub explains: Vec<Consequence>,
    /// What a person does about it, as its failure mode declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// A finding that speaks for a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The id of the finding, such as `F3`.
    pub finding: String,
    /// The sentence of the finding.
    pub text: String,
}

/// Something that followed from a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consequence {
    /// The mode that it would be by itself, or the id of the finding.
    pub what: String,
    /// The node, link or workload that is affected.
    pub target: Target,
    /// When the consequence began.
    pub onset_ms: Timestamp,
    /// What happened, in a clause for a person.
    pub text: String,
    /// The finding that shows it; absent where it is what another mode claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// A claim of a failure mode that was discarded, or a mode that was not even claimed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The name of the failure mode.
    pub mode: &'static str,
    /// The node, link or workload that it would affect.
    pub target: Target,
    /// From 0 to 1, in hundredths; 0 where it was not claimed.
    pub confidence: f64,
    /// Why it was discarded, or what tells the cause from it.
    pub lost: String,
}

impl Alternative {
    /// Its confidence in brackets, after a space; empty where it was not claimed.
    pub fn sure_text(&self) -> String {
        match self.confidence > 0.0 {
            true => format!(" ({})", self.confidence),
            false => String::new(),
        }
    }
}

#[cfg(test)]
impl Cause {
    /// A cause without evidence, as tests need it.
    pub(crate) fn bare(
        mode: &'static str,
        target: Target,
        onset_ms: Timestamp,
        end_ms: Option<Timestamp>,
    ) -> Self {
        Self {
            mode,
            says: "it broke".into(),
            target,
            onset_ms,
            onset_uncertainty_ms: 5_000,
            began_by_onset: false,
            end_ms,
            confidence: 0.9,
            evidence: Vec::new(),
            against: Vec::new(),
            unchecked: Vec::new(),
            explains: Vec::new(),
            advice: None,
        }
    }
}

impl Verdict {
    /// The first cause, or else change, of which a finding is evidence.
    pub fn cause_of(&self, finding: &str) -> Option<&Cause> {
        let mut all = self.causes.iter().chain(&self.changes);
        all.find(|one| one.evidence.iter().any(|reason| reason.finding == finding))
    }

    /// SHA-256 of its canonical JSON without advice, which is no result of judging, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut verdict = self.clone();
        for cause in verdict.causes.iter_mut().chain(&mut verdict.changes) {
            cause.advice = None;
        }
        let digest = Sha256::digest(canonical_json(&verdict).as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is about faults all of which ended.
    pub fn is_over(&self) -> bool {
        self.outcome == Outcome::Fault && self.causes.iter().all(|cause| cause.end_ms.is_some())
    }
}

#[cfg(test)]
impl Verdict {
    /// A verdict with nothing but causes, as tests need it.
    pub(crate) fn bare(as_of_ms: Timestamp, causes: Vec<Cause>) -> Self {
        Self {
            schema: SCHEMA,
            outcome: if causes.is_empty() { Outcome::NoFault } else { Outcome::Fault },
            as_of_ms,
            summary: String::new(),
            damage: None,
            clocks: None,
            other_clusters: Vec::new(),
            causes,
            changes: Vec::new(),
            clients: None,
            alternatives: Vec::new(),
            unchecked: Vec::new(),
            silent: Vec::new(),
            findings: Vec::new(),
        }
    }
}
