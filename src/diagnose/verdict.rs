//! The verdict: ranked causes, what followed from each, what was planned, what could not be told.

use serde::Serialize;

use crate::diagnose::findings::finding::{Finding, Target};
use crate::diagnose::hypotheses::mode::Unchecked;
use crate::model::{Loss, Timestamp};

/// Version of the verdict's JSON.
pub const SCHEMA: &str = "operator.verdict/1";

/// Whether something broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one cause was found.
    Fault,
    /// Nothing departs from normal that a plan does not explain.
    NoFault,
    /// What would have to be seen was not.
    CannotTell,
}

/// The answer to a observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether something broke.
    pub outcome: Outcome,
    /// The instant that everything was seen from.
    pub as_of_ms: Timestamp,
    /// In a sentence.
    pub summary: String,
    /// What the capture has lost; absent where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damaged>,
    /// What broke, likeliest first. Several at once are several causes.
    pub causes: Vec<Cause>,
    /// What was planned, by onset.
    pub changes: Vec<Cause>,
    /// What was considered and lost, with the reason.
    pub alternatives: Vec<Alternative>,
    /// What could not be checked at all.
    pub unchecked: Vec<Unchecked>,
    /// Everything that departed from normal, by onset.
    pub findings: Vec<Finding>,
}

/// What the capture that was judged has lost. What is missing is unknown: it is no sign of anything,
/// and what was observed beside it is less sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// `damaged: 43 % of the samples are missing, from … to …, at …`.
    pub summary: String,
    /// In figures.
    #[serde(flatten)]
    pub loss: Loss,
}

impl Damaged {
    /// Tells a loss.
    pub fn new(loss: &Loss) -> Self {
        Self { summary: format!("damaged: {loss}"), loss: loss.clone() }
    }
}

/// A cause, or a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The name of its mode.
    pub mode: &'static str,
    /// What that says.
    pub says: &'static str,
    /// What it is at.
    pub target: Target,
    /// When it began.
    pub onset_ms: Timestamp,
    /// How far that may be off, either way.
    pub onset_uncertainty_ms: i64,
    /// When it was over; `None` where it lasts.
    pub end_ms: Option<Timestamp>,
    /// From 0 to 1.
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<Reason>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// What could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// What only followed from it.
    pub explains: Vec<Consequence>,
}

/// A finding that speaks for a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The finding's id.
    pub finding: String,
    /// What it says.
    pub text: String,
}

/// Something that followed from a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consequence {
    /// The mode that it would be by itself, or the kind of finding.
    pub what: String,
    /// Where.
    pub target: Target,
    /// When it began.
    pub onset_ms: Timestamp,
    /// What happened, for a person.
    pub text: String,
}

/// A mode that fitted in part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// Its name.
    pub mode: &'static str,
    /// Where.
    pub target: Target,
    /// From 0 to 1.
    pub confidence: f64,
    /// Why it lost.
    pub lost: String,
}
