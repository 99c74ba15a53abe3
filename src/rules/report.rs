//! What comes out of a replay of rules.

use serde::Serialize;

use super::alerts::AlertState;
use super::unmatched_selectors::UnmatchedSelector;
use crate::model::{Labels, TimeRange, Timestamp};

/// How all rules did over one window.
#[derive(Clone, Debug, Serialize)]
pub struct RulesReport {
    /// The window.
    pub window: TimeRange,
    /// Groups, in the order of files.
    pub groups: Vec<GroupReport>,
}

/// How one group did.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// The rule file.
    pub file: String,
    /// The group.
    pub name: String,
    /// How often it was evaluated.
    pub interval_ms: i64,
    /// At how many instants.
    pub evaluations: usize,
    /// Its rules, in the file's order.
    pub rules: Vec<RuleReport>,
}

/// How a rule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An alert fired.
    Fired,
    /// A recording rule recorded something.
    Recorded,
    /// It was evaluated, and nothing came of it.
    Quiet,
    /// What it reads is not there, so nothing could come of it.
    CannotFire,
    /// It could not be evaluated at one instant at least, and did not fire at the others.
    Error,
}

/// How one rule did.
#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    /// The alert's or the recorded metric's name.
    pub name: String,
    /// `alert` or `record`.
    pub kind: &'static str,
    /// The expression.
    pub expr: String,
    /// How long an element has to stay.
    pub for_ms: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What it reads and the storage lacks; not empty where it cannot fire, and possible elsewhere.
    pub missing: Vec<UnmatchedSelector>,
    /// Instants at which it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<EvaluationFailures>,
    /// Its alerts, ascending by labels.
    pub alerts: Vec<AlertHistory>,
    /// Series that a recording rule recorded.
    pub recorded_series: usize,
}

/// Evaluations that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvaluationFailures {
    /// How many.
    pub count: usize,
    /// When the first one.
    pub first_at: Timestamp,
    /// Why.
    pub first: String,
}

/// One alert over time.
#[derive(Clone, Debug, Serialize)]
pub struct AlertHistory {
    /// What identifies it.
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
    /// Its annotations, as expanded when it last became pending or firing.
    pub annotations: Vec<(String, String)>,
    /// How long it fired in all; until the end of the window where it still does.
    pub fired_ms: i64,
    /// Every change of its state, in order.
    pub changes: Vec<AlertChange>,
}

/// A change of an alert's state.
#[derive(Clone, Debug, Serialize)]
pub struct AlertChange {
    /// When it was evaluated.
    pub at: Timestamp,
    /// The state before.
    pub from: AlertState,
    /// The state since.
    pub to: AlertState,
    /// What the expression yielded last, as Prometheus prints it.
    pub value: String,
    /// What each selector of the expression saw of this alert.
    pub behind: Vec<SelectorEvidence>,
}

/// What a selector saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SelectorEvidence {
    /// The selector's text.
    pub selector: String,
    /// How many series it saw of this alert.
    pub series: usize,
    /// Samples of the first ones: the newest of each, and of a window the oldest as well.
    pub samples: Vec<EvidenceSample>,
}

/// A sample that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceSample {
    /// The series.
    pub series: String,
    /// When it was scraped.
    pub at: Timestamp,
    /// Its value, as Prometheus prints it.
    pub value: String,
}

impl RulesReport {
    /// All rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = &RuleReport> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// How many rules ended like this.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rules().filter(|rule| rule.outcome == outcome).count()
    }
}

fn as_map<S: serde::Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter())
}
