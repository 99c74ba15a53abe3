//! Applies the result of one evaluation: recorded series, states of alerts, and their histories.

use std::collections::BTreeMap;

use super::running_rule::RunningRule;
use super::{Replay, vector};
use crate::model::{Labels, Timestamp};
use crate::promql::{Expression, StorageError, format_value};
use crate::rules::alerts::{AlertState, AlertTransition};
use crate::rules::evidence::EvidenceFinder;
use crate::rules::report::{AlertChange, AlertHistory, SelectorEvidence};
use crate::rules::rule_file::RuleKind;
use crate::rules::template::{Template, TemplateData, VectorElements};

/// How many intervals ago a series must not have been there yet to count as new.
const NEW_INTERVALS: i64 = 2;
/// Most changes of one rule that are reported with their evidence.
const EVIDENCED: usize = 200;

impl Replay<'_> {
    /// Applies what the expression of a rule yields at one instant.
    pub(super) fn advance(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: Result<VectorElements, String>,
    ) -> Result<(), StorageError> {
        let done = found.and_then(|found| match rule.rule.kind {
            RuleKind::Recording => self.record(rule, at, found).map(|()| Vec::new()),
            RuleKind::Alert { .. } => self.alert(rule, at, found),
        });
        match done {
            Ok(steps) => {
                for step in steps {
                    self.note(rule, at, step)?;
                }
            }
            Err(why) => rule.fail(at, why),
        }
        Ok(())
    }

    fn record(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: VectorElements,
    ) -> Result<(), String> {
        let mut set = vec![("__name__", rule.rule.name.as_str())];
        set.extend(rule.rule.labels.iter().map(|(name, text)| (name.as_str(), text.text())));
        let mut elements = BTreeMap::new();
        for (labels, value) in found {
            if elements.insert(labels.with(&set), value).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying rule labels"
                        .to_owned(),
                );
            }
        }
        let limit = rule.group.limit;
        if limit > 0 && elements.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", elements.len()));
        }
        rule.recorded.extend(elements.keys().cloned());
        let elements: VectorElements = elements.into_iter().collect();
        let stamped = at.saturating_add_millis(-rule.group.query_offset_ms);
        self.overlay.record(stamped, &elements, &mut rule.current)
    }

    fn alert(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: VectorElements,
    ) -> Result<Vec<AlertTransition>, String> {
        let mut alerts = BTreeMap::new();
        for (labels, value) in found {
            let identity = self.identity(rule, at, &labels, value);
            rule.elements.insert(identity.clone(), labels);
            if alerts.insert(identity, value).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying alert labels"
                        .to_owned(),
                );
            }
        }
        let mut steps = rule.alerts.advance(at, &alerts);
        let (limit, count) = (rule.group.limit, rule.alerts.active().len());
        if limit > 0 && count > limit {
            rule.fail(at, format!("exceeded limit of {limit} with {count} alerts"));
            // An alert that began at this instant never existed for Prometheus.
            steps.retain(|step| step.from != AlertState::Inactive);
            let begun = rule.alerts.clear();
            let was =
                |step: &AlertTransition| rule.histories.get(&step.labels).is_some_and(is_active);
            steps.extend(begun.into_iter().filter(was));
        }
        if let Err(why) = self.record_alerts(rule, at) {
            rule.fail(at, why);
        }
        Ok(steps)
    }

    /// The labels of an alert: those of its element without the metric name, those of the rule, and
    /// `alertname`.
    fn identity(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        labels: &Labels,
        value: f64,
    ) -> Labels {
        let mut set = Vec::with_capacity(rule.rule.labels.len() + 2);
        for (name, template) in &rule.rule.labels {
            set.push((name.as_str(), self.expanded(rule, at, template, labels, value)));
        }
        set.push(("__name__", String::new()));
        set.push(("alertname", rule.rule.name.clone()));
        let set: Vec<(&str, &str)> =
            set.iter().map(|(name, text)| (*name, text.as_str())).collect();
        labels.with(&set)
    }

    pub(super) fn expanded(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        template: &Template,
        labels: &Labels,
        value: f64,
    ) -> String {
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        let query = |text: &str| {
            let expression = Expression::parse(text).map_err(|error| error.to_string())?;
            vector(self.engine.instant(&expression, &self.overlay, at))
        };
        let external = self.settings.external;
        let data = TemplateData { labels, value, at, external, query: &query };
        // Prometheus writes the error into the text in the same way.
        template
            .expand(&data)
            .unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    fn record_alerts(&mut self, rule: &mut RunningRule<'_>, at: Timestamp) -> Result<(), String> {
        let mut elements = VectorElements::new();
        for (labels, alert) in rule.alerts.active() {
            let state = if alert.fires { AlertState::Firing } else { AlertState::Pending };
            let set = [("__name__", "ALERTS"), ("alertstate", state.name())];
            elements.push((labels.with(&set), 1.0));
            let since = alert.since.as_millis().div_euclid(1000) as f64;
            elements.push((labels.with(&[("__name__", "ALERTS_FOR_STATE")]), since));
        }
        let stamped = at.saturating_add_millis(-rule.group.query_offset_ms);
        self.overlay.record(stamped, &elements, &mut rule.current)
    }

    /// Adds a change to the history of an alert, with its evidence.
    fn note(
        &self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        step: AlertTransition,
    ) -> Result<(), StorageError> {
        rule.changes += 1;
        let element = rule.elements.get(&step.labels).cloned().unwrap_or_default();
        let behind = self.evidence(rule, at, &element)?;
        let annotations = match (&rule.rule.kind, step.to) {
            (RuleKind::Alert { annotations, .. }, AlertState::Pending | AlertState::Firing) => {
                let expand = |(name, template): &(String, Template)| {
                    (name.clone(), self.expanded(rule, at, template, &element, step.value))
                };
                Some(annotations.iter().map(expand).collect())
            }
            _ => None,
        };
        let began = step.from == AlertState::Inactive;
        let at_start = began && self.only_just_began(rule, at, &element)?;
        let labels = step.labels.clone();
        let history = rule.histories.entry(step.labels).or_insert_with(|| AlertHistory {
            labels,
            annotations: Vec::new(),
            fired_ms: 0,
            at_start,
            changes: Vec::new(),
        });
        history.at_start &= at_start || !began;
        if let Some(annotations) = annotations {
            history.annotations = annotations;
        }
        let value = format_value(step.value);
        history.changes.push(AlertChange { at, from: step.from, to: step.to, value, behind });
        Ok(())
    }

    /// Whether the cluster only just began, and with it a series that led to this element.
    fn only_just_began(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        element: &Labels,
    ) -> Result<bool, StorageError> {
        if !self.starting.is_some_and(|starting| starting.contains(at)) {
            return Ok(false);
        }
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        let before = at.saturating_add_millis(-NEW_INTERVALS * self.interval(rule.group));
        self.finder().reads_what_is_new(&rule.rule.expression, element, (before, at))
    }

    fn finder(&self) -> EvidenceFinder<'_> {
        let options = self.engine.options();
        EvidenceFinder {
            storage: &self.overlay,
            cache: self.engine.matchers(),
            dialect: options.dialect,
            lookback_ms: options.lookback_ms,
        }
    }

    fn evidence(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        element: &Labels,
    ) -> Result<Vec<SelectorEvidence>, StorageError> {
        if rule.changes > EVIDENCED {
            return Ok(Vec::new());
        }
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        self.finder().find(&rule.rule.expression, element, at)
    }
}

fn is_active(history: &AlertHistory) -> bool {
    let last = history.changes.last();
    last.is_some_and(|change| matches!(change.to, AlertState::Pending | AlertState::Firing))
}
