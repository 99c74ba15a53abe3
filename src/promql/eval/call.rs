//! Calls of functions whose arguments are scalars and instant vectors.
//!
//! Functions of range vectors are in `range_call`; those with a subject of their own (labels,
//! histograms, info metrics) are in files of that name.

use super::calendar::Date;
use super::column::{ABSENT, Column, Metric, is_absent};
use super::functions::{Implementation, implementation};
use super::labels::{self, Direction};
use super::select::SampleField;
use super::{Collision, Query, StepValues, Steps, empty, present};
use crate::model::Labels;
use crate::promql::annotations::Remark;
use crate::promql::error::EvalError;
use crate::promql::go_compat::pdqsort;
use crate::promql::syntax::ast::{Expr, ExprKind, Span};
use crate::promql::syntax::functions::Function;

/// A call of a function, to be evaluated at some steps. The parser has checked how many arguments
/// there are, and their types.
#[derive(Clone, Copy)]
pub struct Call<'e> {
    /// The function that is called.
    pub function: Function,
    /// The arguments as written.
    pub args: &'e [Expr],
    /// The place of the whole call in the text.
    pub span: Span,
    /// The steps at which it is evaluated.
    pub steps: Steps,
}

impl<'e> Call<'e> {
    /// The first arguments, as many as the function requires at least.
    pub fn first<const N: usize>(&self) -> &'e [Expr; N] {
        self.first_and_rest().0
    }

    /// The first arguments, as many as the function requires at least, and those after them.
    pub fn first_and_rest<const N: usize>(&self) -> (&'e [Expr; N], &'e [Expr]) {
        self.args.split_first_chunk().expect("the parser checks the number of arguments")
    }
}

impl<'q> Query<'q> {
    pub(super) fn call(&self, call: &Call<'_>) -> Result<StepValues, EvalError> {
        match implementation::<'q>(call.function) {
            Implementation::PerValue(f) => self.map_argument(call, f).map(StepValues::Vector),
            Implementation::PerValueOf(f) => {
                self.map_argument(call, f(self.options.dialect)).map(StepValues::Vector)
            }
            Implementation::Calendar(f) => self.calendar(call, f).map(StepValues::Vector),
            Implementation::Scalar(f) => f(self, call).map(StepValues::Scalar),
            Implementation::Vector(f) => f(self, call).map(StepValues::Vector),
            Implementation::OverWindow(f) => self.range_call(call, f).map(StepValues::Vector),
            Implementation::NativeHistogram => Err(EvalError::Unsupported(format!(
                "{}(), which is for native histograms,",
                call.function
            ))),
        }
    }

    fn map_argument(
        &self,
        call: &Call<'_>,
        f: impl Fn(f64) -> f64,
    ) -> Result<Vec<Column>, EvalError> {
        let [vector] = call.first();
        let columns = self.map(self.vector(vector, call.steps)?, f);
        self.merge_dropped(columns, Collision::Merges)
    }

    fn calendar(&self, call: &Call<'_>, f: fn(&Date) -> f64) -> Result<Vec<Column>, EvalError> {
        let of = |seconds: f64| f(&Date::of(seconds));
        if call.args.is_empty() {
            let values = call.steps.instants().map(|at| of((at / 1000) as f64));
            return Ok(vec![nameless(values.collect())]);
        }
        self.map_argument(call, of)
    }
}

/// Functions that return a scalar.
impl Query<'_> {
    pub(super) fn time(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        Ok(call.steps.instants().map(seconds).collect())
    }

    pub(super) fn query_start(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        Ok(vec![seconds(self.steps.start); call.steps.count])
    }

    pub(super) fn query_end(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        let end = self.steps.start.saturating_add(self.span_ms);
        Ok(vec![seconds(end); call.steps.count])
    }

    pub(super) fn query_range(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        Ok(vec![seconds(self.span_ms); call.steps.count])
    }

    pub(super) fn query_step(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        let step = if self.span_ms == 0 { 0.0 } else { seconds(self.steps.interval) };
        Ok(vec![step; call.steps.count])
    }

    pub(super) fn scalar_of_vector(&self, call: &Call<'_>) -> Result<Vec<f64>, EvalError> {
        let [vector] = call.first();
        Ok(only_value(&self.vector(vector, call.steps)?, call.steps))
    }

    /// Makes one scalar of two, step by step.
    pub(super) fn scalar_pairs(
        &self,
        call: &Call<'_>,
        f: fn(f64, f64) -> f64,
    ) -> Result<Vec<f64>, EvalError> {
        let [a, b] = call.first();
        let (a, b) = (self.scalar(a, call.steps)?, self.scalar(b, call.steps)?);
        Ok(a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect())
    }
}

/// Functions that return an instant vector.
impl Query<'_> {
    pub(super) fn vector_of_scalar(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [scalar] = call.first();
        Ok(vec![nameless(self.scalar(scalar, call.steps)?)])
    }

    pub(super) fn absent(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [vector] = call.first();
        let columns = self.vector(vector, call.steps)?;
        Ok(absent(&columns, labels::of_absent(vector), call.steps))
    }

    pub(super) fn timestamps(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [vector] = call.first();
        let (inner, steps) = (vector.unwrapped(), call.steps);
        let mut columns = match &inner.kind {
            ExprKind::Selector(selector) => {
                self.select_field(inner.span.start, selector, steps, SampleField::Time)?
            }
            _ => {
                let mut columns = self.vector(vector, steps)?;
                for column in &mut columns {
                    for (value, at) in column.values.iter_mut().zip(steps.instants()) {
                        if !is_absent(*value) {
                            *value = seconds(at);
                        }
                    }
                }
                columns
            }
        };
        columns.iter_mut().for_each(|column| self.drop_name(column));
        self.merge_dropped(columns, Collision::Merges)
    }

    /// Maps each value by a function that also depends on up to two scalar arguments after the
    /// vector; one that is not given is 1.
    pub(super) fn bounded(
        &self,
        call: &Call<'_>,
        f: fn(f64, [f64; 2]) -> f64,
    ) -> Result<Vec<Column>, EvalError> {
        let ([vector], bounds) = call.first_and_rest();
        let mut columns = self.vector(vector, call.steps)?;
        let bounds: Vec<Vec<f64>> =
            bounds.iter().map(|bound| self.scalar(bound, call.steps)).collect::<Result<_, _>>()?;
        for column in &mut columns {
            for (step, value) in column.values.iter_mut().enumerate() {
                if !is_absent(*value) {
                    let bound = |place: usize| bounds.get(place).map_or(1.0, |held| held[step]);
                    *value = f(*value, [bound(0), bound(1)]);
                }
            }
            self.drop_name(column);
        }
        self.merge_dropped(present(columns), Collision::Merges)
    }

    pub(super) fn sort_ascending(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        // NaN comes last in both directions.
        self.sorted(call, |columns, _| {
            pdqsort::sort(columns, |a, b| first(b).is_nan() || first(b) > first(a));
        })
    }

    pub(super) fn sort_descending(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        self.sorted(call, |columns, _| {
            pdqsort::sort(columns, |a, b| first(b).is_nan() || first(b) < first(a));
        })
    }

    pub(super) fn sort_by_label(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        self.sorted(call, |columns, names| {
            labels::sort_by_labels(columns, names, Direction::Ascending);
        })
    }

    pub(super) fn sort_by_label_desc(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        self.sorted(call, |columns, names| {
            labels::sort_by_labels(columns, names, Direction::Descending);
        })
    }

    /// Sorts the columns of an instant query, by the labels that the arguments after the vector
    /// name. The series of a range query are sorted by labels at the end.
    fn sorted(
        &self,
        call: &Call<'_>,
        sort: fn(&mut [Column], &[&str]),
    ) -> Result<Vec<Column>, EvalError> {
        let ([vector], names) = call.first_and_rest();
        if self.steps.count > 1 {
            self.remark(call.span, &Remark::SortInRangeQuery);
        }
        let names: Vec<&str> = names.iter().map(labels::text).collect();
        let mut columns = self.vector(vector, call.steps)?;
        sort(&mut columns, &names);
        Ok(columns)
    }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// A column's value at the first step.
fn first(column: &Column) -> f64 {
    column.values.first().copied().unwrap_or(f64::NAN)
}

fn nameless(values: Vec<f64>) -> Column {
    Column::new(Metric::made(Labels::default()), values)
}

/// The value of the only column at a step; NaN where there is none or several.
fn only_value(columns: &[Column], steps: Steps) -> Vec<f64> {
    let mut values = empty(steps);
    let mut counts = vec![0_usize; steps.count];
    for column in columns {
        for (step, value) in column.values.iter().enumerate() {
            if !is_absent(*value) {
                counts[step] += 1;
                values[step] = *value;
            }
        }
    }
    let found = values.into_iter().zip(counts);
    found.map(|(value, count)| if count == 1 { value } else { f64::NAN }).collect()
}

/// A column of these labels with the value one at the steps at which no column has a value.
pub fn absent(columns: &[Column], labels: Labels, steps: Steps) -> Vec<Column> {
    let mut values = vec![1.0; steps.count];
    for column in columns {
        for (slot, value) in values.iter_mut().zip(&column.values) {
            if !is_absent(*value) {
                *slot = ABSENT;
            }
        }
    }
    present(vec![Column::new(Metric::made(labels), values)])
}
