//! Operators on numbers, on a vector and a scalar, and on sets of series.

use std::collections::HashMap;

use super::column::{ABSENT, Column, is_absent};
use super::{Collision, Query, Steps, empty, present};
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::go_compat::number::power;
use crate::promql::go_compat::transcendental;
use crate::promql::syntax::ast::Binary;
use crate::promql::syntax::operators::BinaryOp;

/// The side of the operator on which the vector is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the left.
    Left,
    /// On the right.
    Right,
}

/// The result of an operator on two scalars; comparisons give 0 or 1.
pub fn of_scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op.is_comparison() {
        return if compare(op, left, right) { 1.0 } else { 0.0 };
    }
    arithmetic(op)(left, right)
}

/// The function of an arithmetic operator.
pub fn arithmetic(op: BinaryOp) -> fn(f64, f64) -> f64 {
    match op {
        BinaryOp::Add => |left, right| left + right,
        BinaryOp::Sub => |left, right| left - right,
        BinaryOp::Mul => |left, right| left * right,
        BinaryOp::Div => |left, right| left / right,
        BinaryOp::Mod => |left, right| left % right,
        BinaryOp::Pow => power,
        BinaryOp::Atan2 => transcendental::atan2,
        _ => |left, _| left,
    }
}

/// Whether a comparison holds.
pub fn compare(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Gt => left > right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        _ => left <= right,
    }
}

/// Whether the result is no longer of the left side's metric. Prometheus 2 forgot `atan2`.
pub fn changes_metric(op: BinaryOp, dialect: Dialect) -> bool {
    let forgotten = op == BinaryOp::Atan2 && dialect == Dialect::V2;
    !op.is_comparison() && !op.is_set() && !forgotten
}

impl Query<'_> {
    pub(super) fn with_scalar(
        &self,
        binary: &Binary,
        mut columns: Vec<Column>,
        scalars: &[f64],
        side: Side,
    ) -> Result<Vec<Column>, EvalError> {
        let (op, f) = (binary.op, arithmetic(binary.op));
        for column in &mut columns {
            for (value, scalar) in column.values.iter_mut().zip(scalars) {
                if is_absent(*value) {
                    continue;
                }
                let (left, right) = match side {
                    Side::Left => (*value, *scalar),
                    Side::Right => (*scalar, *value),
                };
                *value = if !op.is_comparison() {
                    f(left, right)
                } else {
                    match (compare(op, left, right), binary.returns_bool) {
                        (holds, true) => f64::from(u8::from(holds)),
                        (true, false) => *value,
                        (false, false) => ABSENT,
                    }
                };
            }
            if changes_metric(op, self.options.dialect) || binary.returns_bool {
                self.drop_name(column);
            }
        }
        self.merge_dropped(present(columns), Collision::Merges)
    }

    pub(super) fn set_operation(
        &self,
        binary: &Binary,
        mut left: Vec<Column>,
        mut right: Vec<Column>,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let signature = self.signature(&binary.matching);
        let deciding = if binary.op == BinaryOp::Or { &left } else { &right };
        let mut there: HashMap<u128, Vec<bool>> = HashMap::new();
        for column in deciding {
            let seen =
                there.entry(signature(&column.metric)).or_insert_with(|| vec![false; steps.count]);
            for (seen, value) in seen.iter_mut().zip(&column.values) {
                *seen |= !is_absent(*value);
            }
        }
        let nowhere = vec![false; steps.count];
        let keep_where = |columns: &mut Vec<Column>, wanted: bool| {
            for column in columns {
                let seen = there.get(&signature(&column.metric)).unwrap_or(&nowhere);
                for (value, seen) in column.values.iter_mut().zip(seen) {
                    if *seen != wanted {
                        *value = ABSENT;
                    }
                }
            }
        };
        match binary.op {
            BinaryOp::And => keep_where(&mut left, true),
            BinaryOp::Unless => keep_where(&mut left, false),
            _ => {
                keep_where(&mut right, false);
                // The same series may come from both sides.
                right.iter_mut().for_each(|column| column.metric.detach());
                left.append(&mut right);
                return self.merge(present(left), Collision::Merges);
            }
        }
        Ok(present(left))
    }

    /// Values of an operation between two columns; where it filters, those of the left one.
    pub(super) fn combine(
        &self,
        binary: &Binary,
        left: &[f64],
        right: &[f64],
        steps: Steps,
    ) -> Vec<f64> {
        let (op, f) = (binary.op, arithmetic(binary.op));
        let mut values = empty(steps);
        for ((slot, left), right) in values.iter_mut().zip(left).zip(right) {
            if is_absent(*left) || is_absent(*right) {
                continue;
            }
            *slot = if !op.is_comparison() {
                f(*left, *right)
            } else {
                match (compare(op, *left, *right), binary.returns_bool) {
                    (holds, true) => f64::from(u8::from(holds)),
                    (true, false) => *left,
                    (false, false) => ABSENT,
                }
            };
        }
        values
    }
}
