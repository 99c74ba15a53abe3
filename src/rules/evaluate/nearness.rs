//! Evaluates what a rule compares with numbers, to find out how near it came.

use super::running_rule::RunningRule;
use super::{Near, Replay, STEPS_AT_ONCE};
use crate::model::Timestamp;
use crate::promql::{EvalError, Expression, Value, format_value};
use crate::rules::near_miss::{Approach, Nearest, Threshold, lasted_ms, thresholds};
use crate::rules::report::{NearMiss, Outcome};
use crate::rules::rule_file::RuleKind;

impl Replay<'_> {
    /// How near a rule came, by each of its comparisons, and why that is not known of others; nothing where it
    /// was not asked for.
    pub(super) fn near_misses(
        &self,
        rule: &RunningRule<'_>,
        outcome: Outcome,
    ) -> (Vec<NearMiss>, Vec<EvalError>) {
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        let wanted = match self.settings.near {
            Near::None => false,
            Near::Quiet => matches!(outcome, Outcome::Quiet | Outcome::Pending),
            Near::All => {
                matches!(outcome, Outcome::Quiet | Outcome::Pending | Outcome::Fired)
            }
            Near::Of(name) => rule.rule.name == name,
        };
        if !wanted || !matches!(rule.rule.kind, RuleKind::Alert { .. }) {
            return (found, failed);
        }
        for threshold in &thresholds(&rule.rule.expression) {
            match self.near_miss(rule, threshold) {
                Ok(near) => found.extend(near),
                Err(error) => failed.push(error),
            }
        }
        (found, failed)
    }

    /// `None` where there is nothing to compare, or what it is compared with is no number.
    fn near_miss(
        &self,
        rule: &RunningRule<'_>,
        threshold: &Threshold,
    ) -> Result<Option<NearMiss>, EvalError> {
        let (interval, operator) = (self.interval(rule.group), threshold.operator);
        let start = self.settings.window.start;
        let number = self.engine.instant(&threshold.number, &self.overlay, start)?.value;
        let Value::Scalar(number) = number else { return Ok(None) };
        let mut approach = Approach::new(operator, number.value, interval);
        let ticks: Vec<Timestamp> = self.ticks(rule.group).collect();
        for together in ticks.chunks(STEPS_AT_ONCE) {
            approach.add(&self.values(rule, &threshold.compared, together)?);
        }
        let Some(nearest) = approach.nearest() else { return Ok(None) };
        // Hours on both sides of the instant are enough to say how long it stayed as near.
        let tick = ticks.partition_point(|tick| *tick < nearest.at);
        let around =
            tick.saturating_sub(STEPS_AT_ONCE / 2)..ticks.len().min(tick + STEPS_AT_ONCE / 2);
        let values = self.values(rule, &threshold.compared, &ticks[around])?;
        let lasted_ms = lasted_ms(&values, &nearest, operator, interval);
        let Nearest { value, at, labels, held_ms } = nearest;
        Ok(Some(NearMiss {
            compared: threshold.compared.text().to_owned(),
            operator: operator.symbol(),
            threshold: format_value(number.value),
            value: format_value(value),
            at,
            labels: labels.without(&["__name__"]),
            node: None,
            lasted_ms,
            held_ms,
        }))
    }

    /// The values of an expression at instants of a group, each stamped with its instant.
    fn values(
        &self,
        rule: &RunningRule<'_>,
        expression: &Expression,
        ticks: &[Timestamp],
    ) -> Result<Value, EvalError> {
        let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else {
            return Ok(Value::Matrix(Vec::new()));
        };
        let offset_ms = rule.group.query_offset_ms;
        let range =
            (first.saturating_add_millis(-offset_ms), last.saturating_add_millis(-offset_ms));
        let interval = self.interval(rule.group);
        let mut value = self.engine.range(expression, &self.overlay, range, interval)?.value;
        if let Value::Matrix(matrix) = &mut value {
            for sample in matrix.iter_mut().flat_map(|series| &mut series.samples) {
                sample.at = sample.at.saturating_add_millis(offset_ms);
            }
        }
        Ok(value)
    }
}
