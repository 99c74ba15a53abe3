//! A failure mode as a declaration, and the claim that it makes about an observed window.
//!
//! Nothing here judges: which claim explains which is decided in `ranking`, and the modes themselves
//! stand in `failure_modes`.

use serde::Serialize;

use crate::diagnose::findings::finding::{Finding, FindingRef, Target};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::Timestamp;

/// Whether something is broken or was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// Something in the cluster broke.
    Fault,
    /// Somebody decided it, or only the scraping failed.
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
    /// Something departs from normal, and nobody knows why.
    Unexplained,
}

/// Every depth of a mode that says what something is.
pub const KNOWN_DEPTHS: [Depth; 5] =
    [Depth::Presence, Depth::Resource, Depth::Workload, Depth::Saturation, Depth::Consequence];

impl Depth {
    /// Every depth, from the deepest to the shallowest.
    pub const ALL: [Self; 6] = [
        Self::Presence,
        Self::Resource,
        Self::Workload,
        Self::Saturation,
        Self::Consequence,
        Self::Unexplained,
    ];
}

/// A source that a mode reads. Where the source is missing, the verdict says so instead of taking
/// the silence for health.
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

/// What a person does about a mode: a first check, the usual remedy and its risk, and where TiKV's and TiDB's
/// own documentation is about it. Each text is one line of at most [`Advice::LINE`] characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The first check, on the machine or in PD. It changes nothing.
    pub check: &'static str,
    /// The usual remedy. Where it changes something, it says `(a change)`.
    pub remedy: &'static str,
    /// What the remedy risks, or what waiting does.
    pub risk: &'static str,
    /// The address of a page of the documentation.
    pub documentation: &'static str,
    /// The number of the section of that page; `None` where all of it is about the mode.
    pub section: Option<&'static str>,
}

impl Advice {
    /// The most characters of a text, so that it fits a terminal of 80 columns behind its name.
    pub const LINE: usize = 68;

    /// The page, followed by the section where there is one: `https://… (4.3)`.
    pub fn reference(&self) -> String {
        match self.section {
            Some(section) => format!("{} ({section})", self.documentation),
            None => self.documentation.to_owned(),
        }
    }
}

/// A failure mode, or a kind of planned change: all that judging needs to know of it. Code outside
/// the mode's own file compares these properties and never the mode's name.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// The name that stands in verdicts and in the truth of a chaos run.
    pub name: &'static str,
    /// Whether it is something broken or something decided.
    pub nature: Nature,
    /// How deep in the chain of causes it stands.
    pub depth: Depth,
    /// What the mode means, in a clause for a person, without a full stop.
    pub says: &'static str,
    /// The same once it is over, where `says` is no longer true then; `None` where it is.
    pub said: Option<&'static str>,
    /// Modes that describe a part of the same fault; they give way at the same place and time.
    pub subsumes: &'static [&'static Self],
    /// Depths of which no mode ever follows from this one, although it stands deeper; usually none.
    pub never_explains: &'static [Depth],
    /// Sources without which the mode cannot be found.
    pub needs: &'static [Need],
    /// Metrics that it reads; only these are loaded.
    pub metrics: &'static [&'static str],
    /// The most confidence that one of its claims has, from 0 to 1.
    pub surest: f64,
    /// What a person does about it.
    pub advice: Advice,
    /// Returns a claim for each time that the mode is found in the window.
    pub judge: fn(&ObservedWindow<'_>) -> Vec<Claim>,
}

impl Mode {
    /// Whether it is something that somebody decided about the cluster, which follows from no fault. That
    /// clients ask for less may.
    pub fn is_decided(&self) -> bool {
        self.nature == Nature::Change && self.depth == Depth::Presence
    }

    /// What it means of a claim that ended or lasts, in a clause.
    pub fn meaning(&self, end: Option<Timestamp>) -> &'static str {
        self.said.filter(|_| end.is_some()).unwrap_or(self.says)
    }

    /// Whether `other` describes a part of the same fault and gives way to this mode.
    pub fn subsumes(&self, other: &Self) -> bool {
        self.subsumes.iter().any(|mode| mode.name == other.name)
    }
}

/// A question that metrics and PD's answers leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// How the process of the claim's node ended.
    ProcessEnded,
    /// Why the leadership of PD left the claim's member.
    LeadershipLeft,
}

/// What a mode claims of an observed window: that it happened, at this target and time.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The node, link or workload that is affected.
    pub target: Target,
    /// Stores that it takes out or slows down, by index; their other troubles follow from it.
    pub stores: Vec<usize>,
    /// When it began.
    pub onset: Timestamp,
    /// How far the onset may be off, either way, in milliseconds.
    pub onset_uncertainty_ms: i64,
    /// Whether it had begun by the onset, which is then off towards earlier instants alone.
    pub began_by_onset: bool,
    /// When it was over; `None` where it lasts to the end of what was observed.
    pub end: Option<Timestamp>,
    /// When it was last seen to act, where it lasts and is not over as soon as it is decided.
    pub acted: Option<Timestamp>,
    /// From 0 to 1; a cause needs at least 0.5, the threshold `confident`.
    pub confidence: f64,
    /// What it says in place of what the mode says, where that would say too much.
    pub says: Option<String>,
    /// What is known of it beyond what the mode means, in a clause, such as how a process ended.
    pub detail: Option<String>,
    /// What it leaves open and a log may say.
    pub asks: Option<Why>,
    /// Findings of the window that speak for it.
    pub evidence: Vec<FindingRef>,
    /// Readings that the mode made itself; each becomes a finding that speaks for it.
    pub readings: Vec<Finding>,
    /// Sentences about what speaks against it.
    pub against: Vec<String>,
    /// What could not be checked, and how it could be.
    pub unchecked: Vec<Unchecked>,
    /// What would have to be observed to decide whether the claim holds. Where there is no other
    /// cause, the verdict says that this cannot be decided.
    pub depends_on: Option<Unchecked>,
    /// What a person does about it, where that is not what the mode says.
    pub advice: Option<Advice>,
}

impl Claim {
    /// A claim without evidence yet. The uncertainty is in milliseconds, the confidence from 0 to 1.
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
            began_by_onset: false,
            end: None,
            acted: None,
            confidence,
            says: None,
            detail: None,
            asks: None,
            evidence: Vec::new(),
            readings: Vec::new(),
            against: Vec::new(),
            unchecked: Vec::new(),
            depends_on: None,
            advice: None,
        }
    }

    /// Names what is missing to confirm or to rule out the claim. Its confidence falls below what a
    /// cause needs.
    #[must_use]
    pub fn depends_on(mut self, what: &str, command: &str) -> Self {
        self.confidence = self.confidence.min(0.45);
        self.depends_on = Some(Unchecked::new(what, command));
        self
    }

    /// Adds a sentence about what speaks against it.
    #[must_use]
    pub fn but(mut self, against: &str) -> Self {
        self.against.push(against.to_owned());
        self
    }

    /// Adds something that could not be checked, with the command that would check it, also once it is over.
    #[must_use]
    pub fn unchecked(mut self, what: &str, command: &str) -> Self {
        self.unchecked.push(Unchecked::new(what, command));
        self
    }

    /// Adds something that could not be checked, with the command that shows it as long as it lasts.
    #[must_use]
    pub fn unchecked_now(mut self, what: &str, command: &str) -> Self {
        self.unchecked.push(Unchecked { is_now: true, ..Unchecked::new(what, command) });
        self
    }
}

/// An observation that is missing and would have made the verdict surer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unchecked {
    /// What is missing, in words.
    pub what: String,
    /// The command that would get it; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The source that is missing, where it is one that failure modes need.
    #[serde(skip)]
    pub source: Option<Need>,
    /// Whether the command shows how things are now, which says nothing of what is over.
    #[serde(skip)]
    pub is_now: bool,
}

impl Unchecked {
    /// What is missing, and the command that would get it; an empty `command` means that there is
    /// none.
    pub fn new(what: &str, command: &str) -> Self {
        let command = Some(command.to_owned()).filter(|command| !command.is_empty());
        Self { what: what.to_owned(), command, source: None, is_now: false }
    }
}
