//! Evaluates an expression node by node, each node over all steps.
//!
//! A node's result is a column for each series, with one slot for each step, so that labels are
//! processed once for each series and not once for each step. Columns keep the order of the
//! storage, ascending by labels, and every sum runs in that order.

mod aggregate;
mod binary;
mod budget;
mod calendar;
mod call;
mod column;
pub(in crate::promql) mod engine;
#[cfg(test)]
mod engine_tests;
mod extended;
mod fill;
mod fold;
mod functions;
mod histogram;
mod info;
mod labels;
pub(in crate::promql) mod matchers;
mod matching;
mod math;
mod over_time;
mod prepare;
mod range_call;
mod rate;
mod sampling;
mod select;
pub(in crate::promql) mod statistics;
mod top;
mod window;

use std::collections::HashMap;
use std::sync::Mutex;

use self::budget::Budget;
use self::call::Call;
use self::column::{ABSENT, is_absent};
pub(super) use self::column::{Column, samples};
use crate::model::LabelMatcher;
use crate::promql::annotations::{Annotations, Remark};
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::eval::engine::{EngineOptions, NameRemoval};
use crate::promql::storage::SeriesSet;
use crate::promql::syntax::ast::{Binary, Expr, ExprKind, Span};

/// The instants of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The first instant, in milliseconds since the Unix epoch.
    pub start: i64,
    /// Milliseconds between two instants.
    pub interval: i64,
    /// The number of instants.
    pub count: usize,
}

/// The time that a query covers.
#[derive(Clone, Copy)]
pub struct Period {
    /// The steps at which it is evaluated.
    pub steps: Steps,
    /// Milliseconds from its start to its end, which need not be a step; zero at one instant.
    pub span_ms: i64,
}

impl Steps {
    /// The instant of a step, in milliseconds since the Unix epoch; the first step is 0.
    pub fn at(self, step: usize) -> i64 {
        self.start.saturating_add(self.interval.saturating_mul(step as i64))
    }

    /// The instants of all steps in ascending order, in milliseconds since the Unix epoch.
    pub fn instants(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.at(step))
    }

    /// The last instant, in milliseconds since the Unix epoch.
    fn end(self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// These steps without all but the first one.
    fn first(self) -> Self {
        Self { count: self.count.min(1), ..self }
    }
}

/// The value of a node at each step of an evaluation. Not [`Value`](crate::promql::Value), which is
/// the result of a whole query.
pub enum StepValues {
    /// A number for each step.
    Scalar(Vec<f64>),
    /// Columns with a value at one step or more.
    Vector(Vec<Column>),
    /// The text of a string, which is the same at every step.
    Text(String),
}

impl StepValues {
    fn size(&self) -> usize {
        match self {
            Self::Scalar(values) => values.len(),
            Self::Vector(columns) => columns.iter().map(|column| column.values.len()).sum(),
            Self::Text(_) => 0,
        }
    }
}

/// One evaluation of one expression, with the series that it needs.
pub struct Query<'a> {
    options: &'a EngineOptions,
    text: &'a str,
    steps: Steps,
    span_ms: i64,
    /// The series of each selector, by its position in the text in bytes.
    series: HashMap<usize, SeriesSet>,
    /// The matchers of the names of info metrics, by the position of each call of `info` in the
    /// text.
    infos: HashMap<usize, Vec<LabelMatcher>>,
    annotations: Mutex<Annotations>,
    budget: Budget<'a>,
}

/// What the lock of the annotations relies on.
const UNPOISONED: &str = "nothing panics while it adds a remark";

/// What happens when two series have the same labels after the metric's name is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collision {
    /// They become one series, unless both have a value at the same step.
    Merges,
    /// The query fails.
    Fails,
}

impl Query<'_> {
    /// Warnings and infos so far.
    pub fn annotations(&self) -> Annotations {
        self.annotations.lock().expect(UNPOISONED).clone()
    }

    /// Evaluates the outermost node and removes names that are removed at the end.
    pub fn evaluate(&self, root: &Expr) -> Result<StepValues, EvalError> {
        match self.eval(root, self.steps)? {
            StepValues::Vector(mut columns) if self.delayed() => {
                for column in &mut columns {
                    if column.drop_name {
                        column.metric.hide_name();
                    }
                }
                Ok(StepValues::Vector(self.merge(columns, Collision::Merges)?))
            }
            other => Ok(other),
        }
    }

    fn eval(&self, expr: &Expr, steps: Steps) -> Result<StepValues, EvalError> {
        let held = self.budget.held();
        let computed = if steps.count > 1
            && prepare::worth_evaluating_once(expr)
            && prepare::is_step_invariant(expr)
        {
            self.repeat(self.node(expr, steps.first())?, steps)?
        } else {
            self.node(expr, steps)?
        };
        self.budget.settle(held, computed.size())?;
        Ok(computed)
    }

    fn node(&self, expr: &Expr, steps: Steps) -> Result<StepValues, EvalError> {
        match &expr.kind {
            ExprKind::Number(value) => Ok(StepValues::Scalar(vec![*value; steps.count])),
            ExprKind::String(text) => Ok(StepValues::Text(text.clone())),
            ExprKind::Paren(inner) => self.node(inner, steps),
            ExprKind::Selector(selector) => {
                self.select(expr.span.start, selector, steps).map(StepValues::Vector)
            }
            ExprKind::Negate(inner) => self.negate(inner, steps),
            ExprKind::Aggregate(aggregate) => {
                self.aggregate(aggregate, steps).map(StepValues::Vector)
            }
            ExprKind::Binary(binary) => self.binary(binary, steps),
            ExprKind::Call { function, args } => {
                self.call(&Call { function: *function, args, span: expr.span, steps })
            }
            ExprKind::Range { .. } | ExprKind::Subquery(_) => Err(EvalError::Expression(
                "a range vector stands where an instant vector is expected".to_owned(),
            )),
        }
    }

    /// The same value at every step.
    fn repeat(&self, once: StepValues, steps: Steps) -> Result<StepValues, EvalError> {
        self.budget.hold(once.size().saturating_mul(steps.count))?;
        Ok(match once {
            StepValues::Scalar(values) => StepValues::Scalar(vec![values[0]; steps.count]),
            StepValues::Vector(mut columns) => {
                for column in &mut columns {
                    column.values = vec![column.values[0]; steps.count];
                }
                StepValues::Vector(columns)
            }
            text @ StepValues::Text(_) => text,
        })
    }

    fn negate(&self, inner: &Expr, steps: Steps) -> Result<StepValues, EvalError> {
        match self.eval(inner, steps)? {
            StepValues::Scalar(values) => {
                Ok(StepValues::Scalar(values.iter().map(|v| -v).collect()))
            }
            StepValues::Vector(columns) => {
                let columns = self.map(columns, |value| -value);
                self.merge_dropped(columns, self.collision()).map(StepValues::Vector)
            }
            text @ StepValues::Text(_) => Ok(text),
        }
    }

    fn binary(&self, binary: &Binary, steps: Steps) -> Result<StepValues, EvalError> {
        let left = self.eval(&binary.left, steps)?;
        let right = self.eval(&binary.right, steps)?;
        match (left, right) {
            (StepValues::Scalar(left), StepValues::Scalar(right)) => {
                let values = left.iter().zip(&right);
                let values = values.map(|(l, r)| binary::of_scalars(binary.op, *l, *r));
                Ok(StepValues::Scalar(values.collect()))
            }
            (StepValues::Vector(left), StepValues::Scalar(right)) => {
                self.with_scalar(binary, left, &right, binary::Side::Left).map(StepValues::Vector)
            }
            (StepValues::Scalar(left), StepValues::Vector(right)) => {
                self.with_scalar(binary, right, &left, binary::Side::Right).map(StepValues::Vector)
            }
            (StepValues::Vector(left), StepValues::Vector(right)) if binary.op.is_set() => {
                self.set_operation(binary, left, right, steps).map(StepValues::Vector)
            }
            (StepValues::Vector(left), StepValues::Vector(right)) => {
                self.match_vectors(binary, left, right, steps).map(StepValues::Vector)
            }
            _ => Err(EvalError::Expression("an operand is a string".to_owned())),
        }
    }

    /// The columns of an expression whose type is an instant vector.
    fn vector(&self, expr: &Expr, steps: Steps) -> Result<Vec<Column>, EvalError> {
        match self.eval(expr, steps)? {
            StepValues::Vector(columns) => Ok(columns),
            _ => Err(EvalError::Expression("expected an instant vector".to_owned())),
        }
    }

    /// The values of an expression whose type is scalar, one for each step.
    fn scalar(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, EvalError> {
        match self.eval(expr, steps)? {
            StepValues::Scalar(values) => Ok(values),
            _ => Err(EvalError::Expression("expected a scalar".to_owned())),
        }
    }

    /// Applies `f` to every value and drops the metric's name.
    fn map(&self, mut columns: Vec<Column>, f: impl Fn(f64) -> f64) -> Vec<Column> {
        for column in &mut columns {
            for value in &mut column.values {
                if !is_absent(*value) {
                    *value = f(*value);
                }
            }
            self.drop_name(column);
        }
        columns
    }

    fn drop_name(&self, column: &mut Column) {
        if !self.delayed() {
            column.metric.hide_name();
        }
        column.drop_name = true;
    }

    fn delayed(&self) -> bool {
        self.options.name_removal == NameRemoval::Delayed
    }

    fn is_v3(&self) -> bool {
        self.options.dialect == Dialect::V3
    }

    /// Prometheus 2 refuses equal labels whatever the steps, where it works series by series.
    fn collision(&self) -> Collision {
        if self.is_v3() { Collision::Merges } else { Collision::Fails }
    }

    /// Merges columns whose names were just dropped. Where all had the same name, none collide.
    fn merge_dropped(
        &self,
        columns: Vec<Column>,
        collision: Collision,
    ) -> Result<Vec<Column>, EvalError> {
        if self.delayed() || column::share_a_name(&columns) {
            return Ok(columns);
        }
        self.merge(columns, collision)
    }

    /// Makes one column of those with equal labels.
    fn merge(&self, columns: Vec<Column>, collision: Collision) -> Result<Vec<Column>, EvalError> {
        let mut places: HashMap<u128, usize> = HashMap::with_capacity(columns.len());
        let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
        for column in columns {
            let next = merged.len();
            let place = *places.entry(column.metric.key()).or_insert(next);
            if place == next {
                merged.push(column);
                continue;
            }
            for (held, value) in merged[place].values.iter_mut().zip(column.values) {
                if is_absent(value) && collision == Collision::Merges {
                    continue;
                }
                if !is_absent(*held) || collision == Collision::Fails {
                    return Err(EvalError::Expression(
                        "vector cannot contain metrics with the same labelset".to_owned(),
                    ));
                }
                *held = value;
            }
        }
        Ok(merged)
    }

    fn remark(&self, span: Span, remark: &Remark) {
        // Prometheus 2 does not know these remarks.
        if self.is_v3() {
            let mut annotations = self.annotations.lock().expect(UNPOISONED);
            annotations.add(self.text, remark, span);
        }
    }
}

/// Leaves out columns that have no value at any step.
fn present(mut columns: Vec<Column>) -> Vec<Column> {
    columns.retain(|column| column.values.iter().any(|value| !is_absent(*value)));
    columns
}

/// The values of a column that has none yet.
fn empty(steps: Steps) -> Vec<f64> {
    vec![ABSENT; steps.count]
}
