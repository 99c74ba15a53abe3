//! A failure mode as a declarative unit, and what it claims about a observed.

use serde::Serialize;

use crate::diagnose::findings::finding::{Finding, FindingRef, Target};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::Timestamp;

/// Whether something is broken or was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// Something broke.
    Fault,
    /// Somebody decided it, or only the observer went blind.
    Change,
}

/// How deep in the chain of causes a mode stands. A deeper one explains what follows from it
/// further up; the order of variants is the order of explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// A process or a connection is gone.
    Presence,
    /// A resource of a node fails it: disk, CPU, network, memory.
    Resource,
    /// Clients ask for more, or of one place.
    Workload,
    /// A stage inside a node is at its limit.
    Saturation,
    /// The cluster is in a state that something else brought about.
    Consequence,
}

/// What a mode reads, so that its absence is told instead of taken for health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// PD's list of stores.
    PdStores,
    /// Answers of PD members.
    PdMembers,
    /// Scrapes of TiKV.
    TikvMetrics,
    /// Scrapes of PD.
    PdMetrics,
}

/// A failure mode, or a kind of change.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// The name that stands in verdicts and in the truth of a chaos run.
    pub name: &'static str,
    /// Its row in the catalogue of failure modes.
    pub row: u8,
    /// Broken or decided.
    pub nature: Nature,
    /// Where in the chain of causes.
    pub depth: Depth,
    /// What it says, for a person.
    pub says: &'static str,
    /// Modes that say less of the same and give way where it holds.
    pub subsumes: &'static [&'static str],
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// Metrics that it reads; only these are loaded.
    pub metrics: &'static [&'static str],
    /// Looks at a observed.
    pub judge: fn(&ObservedWindow<'_>) -> Vec<Claim>,
}

/// What a mode says of a observed: that it happened, there and then.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What it is at.
    pub target: Target,
    /// Stores that it takes out or slows down, by index; their other troubles follow from it.
    pub stores: Vec<usize>,
    /// When it began.
    pub onset: Timestamp,
    /// How far that may be off, either way.
    pub onset_uncertainty_ms: i64,
    /// When it was over; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// From 0 to 1; a half is needed to name a cause.
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<FindingRef>,
    /// What else it read for this, told as findings of its own.
    pub readings: Vec<Finding>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// What could not be checked, and how it could be.
    pub unchecked: Vec<Unchecked>,
    /// What would have to be seen for anybody to tell whether it holds. Where nothing else is told,
    /// the verdict is that this cannot be told.
    pub hangs_on: Option<Unchecked>,
}

impl Claim {
    /// A claim without evidence yet.
    pub fn new(
        target: Target,
        onset: Timestamp,
        onset_uncertainty_ms: i64,
        confidence: f64,
    ) -> Self {
        Self {
            target,
            stores: Vec::new(),
            onset,
            onset_uncertainty_ms,
            end: None,
            confidence,
            evidence: Vec::new(),
            readings: Vec::new(),
            against: Vec::new(),
            unchecked: Vec::new(),
            hangs_on: None,
        }
    }

    /// Something without which it can neither be told nor ruled out: it is no cause.
    #[must_use]
    pub fn hangs_on(mut self, what: &str, command: &str) -> Self {
        self.confidence = self.confidence.min(0.45);
        self.hangs_on = Some(Unchecked::new(what, command));
        self
    }

    /// Something that speaks against it.
    #[must_use]
    pub fn but(mut self, against: &str) -> Self {
        self.against.push(against.to_owned());
        self
    }

    /// Something that could not be checked.
    #[must_use]
    pub fn unchecked(mut self, what: &str, command: &str) -> Self {
        self.unchecked.push(Unchecked::new(what, command));
        self
    }
}

/// Something that would have told more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unchecked {
    /// What is missing.
    pub what: String,
    /// The command that would get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Unchecked {
    /// What is missing, and the command that would get it.
    pub fn new(what: &str, command: &str) -> Self {
        let command = Some(command.to_owned()).filter(|command| !command.is_empty());
        Self { what: what.to_owned(), command }
    }
}
