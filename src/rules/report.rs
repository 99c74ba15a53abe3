//! The report of a replay of rules; its fields are the JSON of `operator rules`.

use serde::Serialize;

use super::alerts::AlertState;
use super::unmatched_selectors::UnmatchedSelector;
use crate::model::{Labels, TimeRange, Timestamp};

/// Result of all rules over one window.
#[derive(Clone, Debug, Serialize)]
pub struct RulesReport {
    /// Window of the replay.
    pub window: TimeRange,
    /// The first minutes of the cluster, where the window shows them: no process of its is older than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting: Option<TimeRange>,
    /// Groups in the order of the rule files.
    pub groups: Vec<GroupReport>,
}

/// Result of the rules of one group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// Name of the rule file.
    pub file: String,
    /// Name of the group.
    pub name: String,
    /// Interval between evaluations, in milliseconds.
    pub interval_ms: i64,
    /// Number of instants at which it was evaluated.
    pub evaluations: usize,
    /// Its rules in the order of the file.
    pub rules: Vec<RuleReport>,
}

/// Overall result of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one alert fired.
    Fired,
    /// Alerts fired, all of them [while the cluster started](AlertHistory::at_start), and were resolved.
    FiredAtStart,
    /// A recording rule recorded at least one series.
    Recorded,
    /// No alert fired, and at least one is pending when the window ends.
    Pending,
    /// The rule was evaluated; it recorded nothing and no alert fired.
    Quiet,
    /// The series that it reads are absent, so it could not yield anything.
    CannotFire,
    /// Evaluation failed at one instant or more, and no alert fired at the others.
    Error,
}

/// Result of one rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    /// Name of the alert or of the recorded metric.
    pub name: String,
    /// `alert` or `record`.
    pub kind: &'static str,
    /// Text of the PromQL expression.
    pub expr: String,
    /// How long an element has to stay before its alert fires, in milliseconds.
    pub for_ms: i64,
    /// Overall result of the rule.
    pub outcome: Outcome,
    /// Selectors that match no series. Not empty where the rule cannot fire; possible with other
    /// results too.
    pub missing: Vec<UnmatchedSelector>,
    /// Evaluations that failed, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<EvaluationFailures>,
    /// Alerts of the rule, ascending by labels.
    pub alerts: Vec<AlertHistory>,
    /// Number of series that a recording rule recorded.
    pub recorded_series: usize,
    /// How near it came, by each comparison with a number in its expression; only where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearMiss>,
}

/// How near a comparison of a rule with a number came to being true, at the one instant and of the one series
/// that came nearest; beyond the number where it was true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearMiss {
    /// Text of what is compared.
    pub compared: String,
    /// The comparison, as it stands with the number on its right.
    pub operator: &'static str,
    /// The number, as Prometheus prints it.
    pub threshold: String,
    /// The value that came nearest, as Prometheus prints it.
    pub value: String,
    /// The first instant at which some series had it.
    pub at: Timestamp,
    /// Labels of that series.
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
    /// What the cluster calls the target of that series, such as `store 4`; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How long that series stayed within a tenth of the value around that instant, in milliseconds; 0 where
    /// it did so at that instant alone.
    pub lasted_ms: i64,
    /// The longest time for which the comparison was true of one series without a pause, in milliseconds;
    /// absent where it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<i64>,
}

/// Evaluations that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvaluationFailures {
    /// Number of failed evaluations.
    pub count: usize,
    /// Instant of the first failure.
    pub first_at: Timestamp,
    /// Error message of the first failure.
    pub first: String,
}

/// One alert over time.
#[derive(Clone, Debug, Serialize)]
pub struct AlertHistory {
    /// Labels that identify the alert.
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
    /// Its annotations, as expanded when it last became pending or firing.
    pub annotations: Vec<(String, String)>,
    /// Total time of firing in milliseconds, until the end of the window if it still fires.
    pub fired_ms: i64,
    /// Whether its element was there as soon as the series that it reads began, within the first minutes of
    /// the cluster, and at no other time: what it misses had not been there before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_start: bool,
    /// All changes of its state, in order of time.
    pub changes: Vec<AlertChange>,
}

impl AlertHistory {
    /// Since when it is pending at the end of the replay; `None` where it is not.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let last = self.changes.last()?;
        (last.to == AlertState::Pending).then_some(last.at)
    }

    /// From when to when it fired, once for each time; without an end where it fires at the end of the replay.
    pub fn firings(&self) -> Vec<(Timestamp, Option<Timestamp>)> {
        let mut found = Vec::new();
        let mut since = None;
        for change in &self.changes {
            match (change.to, since) {
                (AlertState::Firing, None) => since = Some(change.at),
                (AlertState::Firing, Some(_)) | (_, None) => {}
                (_, Some(from)) => {
                    found.push((from, Some(change.at)));
                    since = None;
                }
            }
        }
        found.extend(since.map(|from| (from, None)));
        found
    }
}

/// A change of an alert's state.
#[derive(Clone, Debug, Serialize)]
pub struct AlertChange {
    /// Instant of the evaluation.
    pub at: Timestamp,
    /// State before the change.
    pub from: AlertState,
    /// State after the change.
    pub to: AlertState,
    /// Last value of the element, as Prometheus prints it.
    pub value: String,
    /// Samples that each selector of the expression read for this alert.
    pub behind: Vec<SelectorEvidence>,
}

/// Samples that a selector read for one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SelectorEvidence {
    /// Text of the selector in the expression.
    pub selector: String,
    /// Number of series that it matched for this alert.
    pub series: usize,
    /// Samples of the first few series: the newest of each, and for a range selector also the
    /// oldest.
    pub samples: Vec<EvidenceSample>,
}

/// A sample that a selector read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceSample {
    /// Metric name and labels of the series.
    pub series: String,
    /// Timestamp of the sample.
    pub at: Timestamp,
    /// Value of the sample, as Prometheus prints it.
    pub value: String,
}

impl RulesReport {
    /// All rules in the order of files and groups.
    pub fn rules(&self) -> impl Iterator<Item = &RuleReport> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// Leaves only the rules of this name, and the groups that have one.
    pub fn retain(&mut self, name: &str) {
        for group in &mut self.groups {
            group.rules.retain(|rule| rule.name == name);
        }
        self.groups.retain(|group| !group.rules.is_empty());
    }

    /// Says of the series that came nearest which node's they are, given what the cluster calls a target by the
    /// label `instance`.
    pub fn name_nodes(&mut self, name: impl Fn(&str) -> Option<String>) {
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        for near in rules.flat_map(|rule| &mut rule.near) {
            near.node = near.labels.get("instance").and_then(&name);
        }
    }

    /// Number of rules with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rules().filter(|rule| rule.outcome == outcome).count()
    }
}

fn as_map<S: serde::Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter())
}
