//! Durations that are computed: arithmetic in brackets and after `offset`.

use crate::promql::error::EvalError;
use crate::promql::go_compat::number::power;
use crate::promql::syntax::ast::{Expr, ExprKind};

/// An expression whose value is a duration in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number or a duration as written.
    Seconds(f64),
    /// `step()`: the query's step; zero at an instant.
    Step,
    /// `range()`: from the query's first step to its last one.
    Range,
    /// An operation on two durations.
    Binary(DurationOp, Box<Self>, Box<Self>),
}

/// An operator on two durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationOp {
    /// `+`: the sum.
    Add,
    /// `-`: the difference.
    Sub,
    /// `*`: the product.
    Mul,
    /// `/`: the quotient.
    Div,
    /// `%`: the remainder, with the sign of the dividend.
    Mod,
    /// `^`: the power.
    Pow,
    /// `min_of`: the smaller one of two durations.
    Least,
    /// `max_of`: the larger one of two durations.
    Most,
}

impl DurationOp {
    /// How strongly the operator binds: from 1, the weakest, to 4.
    pub(in crate::promql) fn precedence(self) -> u8 {
        match self {
            Self::Add | Self::Sub => 1,
            Self::Mul | Self::Div | Self::Mod => 2,
            Self::Pow => 3,
            Self::Least | Self::Most => 4,
        }
    }
}

/// The times of a query on which durations may depend, in milliseconds.
#[derive(Clone, Copy)]
pub(in crate::promql) struct QueryTimes {
    pub step: i64,
    pub range: i64,
}

/// Which durations are allowed in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::promql) enum AllowedSign {
    /// Durations above zero only: windows and steps.
    Positive,
    /// Durations of any sign: offsets.
    Any,
}

impl DurationExpr {
    /// Whether it depends on the query.
    pub(in crate::promql) fn depends_on_query(&self) -> bool {
        match self {
            Self::Seconds(_) => false,
            Self::Step | Self::Range => true,
            Self::Binary(_, left, right) => left.depends_on_query() || right.depends_on_query(),
        }
    }

    fn seconds(&self, times: QueryTimes) -> Result<f64, &'static str> {
        use DurationOp as Op;
        let (op, left, right) = match self {
            Self::Seconds(seconds) => return Ok(*seconds),
            Self::Step => return Ok(times.step as f64 / 1000.0),
            Self::Range => return Ok(times.range as f64 / 1000.0),
            Self::Binary(op, left, right) => (*op, left.seconds(times)?, right.seconds(times)?),
        };
        Ok(match op {
            Op::Add => left + right,
            Op::Sub => left - right,
            Op::Mul => left * right,
            Op::Div if right == 0.0 => return Err("division by zero"),
            Op::Div => left / right,
            Op::Mod if right == 0.0 => return Err("modulo by zero"),
            Op::Mod => left % right,
            Op::Pow => power(left, right),
            Op::Least if left.is_nan() || right.is_nan() => f64::NAN,
            Op::Most if left.is_nan() || right.is_nan() => f64::NAN,
            Op::Least => left.min(right),
            Op::Most => left.max(right),
        })
    }

    /// The duration in whole milliseconds, truncated as in Go: a written one is first rounded to
    /// nanoseconds, a computed one is not.
    pub(in crate::promql) fn millis(
        &self,
        times: QueryTimes,
        sign: AllowedSign,
    ) -> Result<i64, &'static str> {
        // The largest duration of Go, 2^63 - 1 nanoseconds.
        const MOST: f64 = 9_223_372_036.854_775;
        let seconds = self.seconds(times)?;
        if !seconds.is_finite() {
            return Err("duration is NaN or infinite");
        }
        if sign == AllowedSign::Positive && seconds <= 0.0 {
            return Err("duration must be greater than 0");
        }
        if seconds.abs() > MOST {
            return Err("duration out of range");
        }
        Ok(match self {
            Self::Seconds(_) => (seconds * 1e9).round() as i64 / 1_000_000,
            _ => (seconds * 1000.0) as i64,
        })
    }
}

/// The durations of a node that are computed rather than written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::promql) struct ComputedDurations {
    pub range: Option<DurationExpr>,
    pub step: Option<DurationExpr>,
    pub offset: Option<DurationExpr>,
}

/// Replaces every computed duration of a tree by its value in a query.
///
/// # Errors
///
/// [`EvalError::Expression`] where a duration is not a number, out of range, or not positive where
/// it must be.
pub(in crate::promql) fn resolve(expr: &mut Expr, times: QueryTimes) -> Result<(), EvalError> {
    let fixed = |computed: &Option<DurationExpr>, sign: AllowedSign| match computed {
        Some(duration) => {
            let millis = duration.millis(times, sign);
            millis.map(Some).map_err(|why| EvalError::Expression(why.to_owned()))
        }
        None => Ok(None),
    };
    if let Some(computed) = &expr.computed_durations {
        let range = fixed(&computed.range, AllowedSign::Positive)?;
        let step = fixed(&computed.step, AllowedSign::Positive)?;
        let offset = fixed(&computed.offset, AllowedSign::Any)?;
        match &mut expr.kind {
            ExprKind::Selector(selector) => {
                selector.offset_ms = offset.unwrap_or(selector.offset_ms);
            }
            ExprKind::Range { selector, range_ms } => {
                selector.offset_ms = offset.unwrap_or(selector.offset_ms);
                *range_ms = range.unwrap_or(*range_ms);
            }
            ExprKind::Subquery(subquery) => {
                subquery.offset_ms = offset.unwrap_or(subquery.offset_ms);
                subquery.range_ms = range.unwrap_or(subquery.range_ms);
                subquery.step_ms = step.or(subquery.step_ms);
            }
            _ => {}
        }
    }
    expr.children_mut().into_iter().try_for_each(|child| resolve(child, times))
}
