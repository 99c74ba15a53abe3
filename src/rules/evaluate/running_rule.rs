//! State of one rule during a replay.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Labels, Timestamp};
use crate::rules::alerts::RuleAlerts;
use crate::rules::report::{AlertHistory, EvaluationFailures};
use crate::rules::rule_file::{Rule, RuleGroup, RuleKind};

/// A rule with its state during a replay.
pub(super) struct RunningRule<'a> {
    pub(super) group: &'a RuleGroup,
    pub(super) rule: &'a Rule,
    pub(super) alerts: RuleAlerts,
    /// Labels of the element behind each alert, by the labels of the alert.
    pub(super) elements: BTreeMap<Labels, Labels>,
    pub(super) histories: BTreeMap<Labels, AlertHistory>,
    pub(super) changes: usize,
    /// Series recorded at the last evaluation, and at all evaluations.
    pub(super) current: BTreeSet<Labels>,
    pub(super) recorded: BTreeSet<Labels>,
    pub(super) failures: Option<EvaluationFailures>,
}

impl<'a> RunningRule<'a> {
    pub(super) fn new(group: &'a RuleGroup, rule: &'a Rule) -> Self {
        let alerts = match rule.kind {
            RuleKind::Recording => RuleAlerts::new(0, 0),
            RuleKind::Alert { for_ms, keep_firing_for_ms, .. } => {
                RuleAlerts::new(for_ms, keep_firing_for_ms)
            }
        };
        Self {
            group,
            rule,
            alerts,
            elements: BTreeMap::new(),
            histories: BTreeMap::new(),
            changes: 0,
            current: BTreeSet::new(),
            recorded: BTreeSet::new(),
            failures: None,
        }
    }

    pub(super) fn fail(&mut self, at: Timestamp, why: String) {
        let first = EvaluationFailures { count: 0, first_at: at, first: why };
        self.failures.get_or_insert(first).count += 1;
    }
}
