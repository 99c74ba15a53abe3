//! Evaluates what a rule compares with numbers, to find out how near it came.

use super::running_rule::RunningRule;
use super::{Near, Replay, STEPS_AT_ONCE};
use crate::model::Timestamp;
use crate::promql::{Expression, Value, format_value};
use crate::rules::near_miss::{Approach, Nearest, Threshold, lasted_ms, thresholds};
use crate::rules::report::{NearMiss, Outcome};
use crate::rules::rule_file::RuleKind;

impl Replay<'_> {
    /// How near a rule came, by each of its comparisons; nothing where that was not asked for. A comparison
    /// that cannot be evaluated is left out: the rule's failures tell of it.
    pub(super) fn near_misses(&self, rule: &RunningRule<'_>, outcome: Outcome) -> Vec<NearMiss> {
        let wanted = match self.settings.near {
            Near::None => false,
            Near::Quiet => outcome == Outcome::Quiet,
            Near::All => matches!(outcome, Outcome::Quiet | Outcome::Fired),
        };
        if !wanted || !matches!(rule.rule.kind, RuleKind::Alert { .. }) {
            return Vec::new();
        }
        let found = thresholds(&rule.rule.expression);
        found.iter().filter_map(|threshold| self.near_miss(rule, threshold)).collect()
    }

    fn near_miss(&self, rule: &RunningRule<'_>, threshold: &Threshold) -> Option<NearMiss> {
        let (interval, operator) = (self.interval(rule.group), threshold.operator);
        let start = self.settings.window.start;
        let number = self.engine.instant(&threshold.number, &self.overlay, start).ok()?.value;
        let Value::Scalar(number) = number else { return None };
        let mut approach = Approach::new(operator, number.value, interval);
        let ticks: Vec<Timestamp> = self.ticks(rule.group).collect();
        for together in ticks.chunks(STEPS_AT_ONCE) {
            approach.add(&self.values(rule, &threshold.compared, together)?);
        }
        let nearest = approach.nearest()?;
        // Hours on both sides of the instant are enough to say how long it stayed as near.
        let tick = ticks.partition_point(|tick| *tick < nearest.at);
        let around =
            tick.saturating_sub(STEPS_AT_ONCE / 2)..ticks.len().min(tick + STEPS_AT_ONCE / 2);
        let values = self.values(rule, &threshold.compared, &ticks[around])?;
        let lasted_ms = lasted_ms(&values, &nearest, operator, interval);
        let Nearest { value, at, labels, held_ms } = nearest;
        Some(NearMiss {
            compared: threshold.compared.text().to_owned(),
            operator: operator.symbol(),
            threshold: format_value(number.value),
            value: format_value(value),
            at,
            labels: labels.without(&["__name__"]),
            lasted_ms,
            held_ms,
        })
    }

    /// The values of an expression at instants of a group, each stamped with its instant.
    fn values(
        &self,
        rule: &RunningRule<'_>,
        expression: &Expression,
        ticks: &[Timestamp],
    ) -> Option<Value> {
        let (first, last) = (*ticks.first()?, *ticks.last()?);
        let offset_ms = rule.group.query_offset_ms;
        let range =
            (first.saturating_add_millis(-offset_ms), last.saturating_add_millis(-offset_ms));
        let interval = self.interval(rule.group);
        let mut value = self.engine.range(expression, &self.overlay, range, interval).ok()?.value;
        if let Value::Matrix(matrix) = &mut value {
            for sample in matrix.iter_mut().flat_map(|series| &mut series.samples) {
                sample.at = sample.at.saturating_add_millis(offset_ms);
            }
        }
        Some(value)
    }
}
