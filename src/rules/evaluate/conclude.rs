//! Builds the report of a rule after all its evaluations.

use super::running_rule::RunningRule;
use super::{Replay, chain};
use crate::model::{TimeRange, Timestamp};
use crate::promql::StorageError;
use crate::rules::alerts::AlertState;
use crate::rules::report::{AlertHistory, Outcome, RuleReport};
use crate::rules::rule_file::RuleKind;
use crate::rules::unmatched_selectors::{AvailableSeries, cannot_yield, find_unmatched};

impl Replay<'_> {
    pub(super) fn report(&self, mut rule: RunningRule<'_>) -> Result<RuleReport, StorageError> {
        let expression = &rule.rule.expression;
        let known = AvailableSeries {
            storage: &self.overlay,
            metrics: self.settings.metrics,
            window: self.settings.window,
            cache: self.engine.matchers(),
            dialect: self.engine.options().dialect,
        };
        let missing = find_unmatched(expression.root(), expression.text(), &known)?;
        let cannot = cannot_yield(expression.root(), &missing);
        let histories = std::mem::take(&mut rule.histories);
        let alerts = within(self.settings.window, histories.into_values());
        let fired =
            |alert: &&AlertHistory| alert.changes.iter().any(|c| c.to == AlertState::Firing);
        let is_over = |alert: &AlertHistory| {
            alert.changes.last().is_some_and(|change| change.to == AlertState::Resolved)
        };
        let at_start = |alert: &AlertHistory| alert.at_start && is_over(alert);
        let outcome = match (alerts.iter().any(|alert| fired(&alert)), rule.failures.is_some()) {
            (true, _) if alerts.iter().filter(fired).all(at_start) => Outcome::FiredAtStart,
            (true, _) => Outcome::Fired,
            (false, true) => Outcome::Error,
            _ if alerts.iter().any(|alert| alert.pending_since().is_some()) => Outcome::Pending,
            _ if !rule.recorded.is_empty() => Outcome::Recorded,
            _ if cannot => Outcome::CannotFire,
            _ => Outcome::Quiet,
        };
        let (near, unknown) = self.near_misses(&rule, outcome);
        for error in &unknown {
            let why = format!("how near it came cannot be told: {}", chain(error));
            rule.fail(self.settings.window.start, why);
        }
        // A rule of which that is asked and not known must not look like one that compares nothing.
        let outcome = match outcome {
            Outcome::Quiet | Outcome::Pending if !unknown.is_empty() => Outcome::Error,
            known => known,
        };
        let (kind, for_ms) = match rule.rule.kind {
            RuleKind::Recording => ("record", 0),
            RuleKind::Alert { for_ms, .. } => ("alert", for_ms),
        };
        Ok(RuleReport {
            name: rule.rule.name.clone(),
            kind,
            expr: expression.text().to_owned(),
            for_ms,
            outcome,
            missing: missing.into_values().collect(),
            recorded_series: rule.recorded.len(),
            near,
            failures: rule.failures,
            alerts,
        })
    }
}

/// The alerts of a window, each with what it did there and how long it fired.
fn within(window: TimeRange, histories: impl Iterator<Item = AlertHistory>) -> Vec<AlertHistory> {
    let mut alerts: Vec<AlertHistory> = histories.collect();
    for alert in &mut alerts {
        forget_before(alert, window.start);
        let firings = alert.firings().into_iter();
        let within =
            firings.map(|(since, until)| until.unwrap_or(window.end) - since.max(window.start));
        alert.fired_ms = within.sum();
    }
    alerts.retain(|alert| !alert.changes.is_empty());
    alerts
}

/// Leaves out what an alert did before an instant, but for how it came to be pending or firing then.
fn forget_before(alert: &mut AlertHistory, start: Timestamp) {
    let is_active = |state: AlertState| matches!(state, AlertState::Pending | AlertState::Firing);
    let earlier = alert.changes.partition_point(|change| change.at < start);
    let earlier_changes = &alert.changes[..earlier];
    let lasts = earlier_changes.last().is_some_and(|change| is_active(change.to));
    let began = earlier_changes.iter().rposition(|change| !is_active(change.from));
    let from = if lasts { began.unwrap_or(0) } else { earlier };
    alert.changes.drain(..from);
}
