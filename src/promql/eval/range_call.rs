//! Calls of functions that make a value of each window of a range vector.

use super::call::{Call, absent};
use super::column::Column;
use super::functions::{Implementation, OverWindow, implementation};
use super::window::Windows;
use super::{Query, extended, labels, over_time, rate};
use crate::promql::annotations::Remark;
use crate::promql::error::EvalError;
use crate::promql::eval::rate::RateKind;
use crate::promql::syntax::ast::{Expr, ExprKind, RangeExtension, Span, ValueType};
use crate::promql::syntax::functions::Function;

/// Endings of the names of counters; a rate of another metric gets an info.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

impl OverWindow {
    /// Whether the function may take a range vector with this modifier.
    fn accepts(self, extension: RangeExtension) -> bool {
        match extension {
            RangeExtension::None => true,
            RangeExtension::Anchored => matches!(self, Self::Change(_) | Self::Count(_)),
            RangeExtension::Smoothed => matches!(self, Self::Change(_)),
        }
    }
}

impl Query<'_> {
    pub(super) fn range_call(
        &self,
        call: &Call<'_>,
        implementation: OverWindow,
    ) -> Result<Vec<Column>, EvalError> {
        let of_type = |wanted: ValueType| {
            call.args.iter().filter(move |arg: &&Expr| arg.value_type() == wanted)
        };
        let range = of_type(ValueType::Matrix).next().expect("the parser asks for a range vector");
        let scalars: Vec<Vec<f64>> = of_type(ValueType::Scalar)
            .map(|arg| self.scalar(arg, call.steps))
            .collect::<Result<_, _>>()?;
        if let OverWindow::Quantile = implementation {
            for (arg, values) in of_type(ValueType::Scalar).zip(&scalars) {
                self.remark_quantiles(values, arg.span);
            }
        }
        let extension = match &range.unwrapped().kind {
            ExprKind::Range { selector, .. } => selector.extension,
            _ => RangeExtension::None,
        };
        if !implementation.accepts(extension) {
            return Err(refused(call.function, extension));
        }
        let windows = self.windows(range, call.steps)?;
        let mut columns = self.over_windows(call, implementation, &windows, &scalars)?;
        match implementation {
            OverWindow::Absent => {
                return Ok(absent(&columns, labels::of_absent(range), call.steps));
            }
            OverWindow::Sample(_) => return Ok(columns),
            OverWindow::Change(RateKind::Rate | RateKind::Increase) => {
                self.remark_gauges(&columns, range.span);
            }
            OverWindow::Change(RateKind::Delta)
            | OverWindow::Count(_)
            | OverWindow::Always(_)
            | OverWindow::FromTwo(_)
            | OverWindow::WithScalars(_)
            | OverWindow::Quantile => {}
        }
        columns.iter_mut().for_each(|column| self.drop_name(column));
        self.merge_dropped(columns, self.collision())
    }

    /// The columns that a function makes of windows; `scalars` are its scalar arguments, each over
    /// all steps.
    fn over_windows(
        &self,
        call: &Call<'_>,
        implementation: OverWindow,
        windows: &Windows,
        scalars: &[Vec<f64>],
    ) -> Result<Vec<Column>, EvalError> {
        let (steps, dialect) = (call.steps, self.options.dialect);
        match (implementation, windows.extension) {
            (OverWindow::Change(kind), RangeExtension::None) => {
                self.over(windows, steps, &|_, window| {
                    Ok(rate::extrapolated(window, kind, dialect))
                })
            }
            (OverWindow::Change(kind), extension) => self
                .over(windows, steps, &|_, window| Ok(extended::change(window, kind, extension))),
            (OverWindow::Count(count), RangeExtension::None) => {
                self.over(windows, steps, &|_, window| Ok(Some(count(window))))
            }
            (OverWindow::Count(count), _) => self.over(windows, steps, &|_, window| {
                Ok(extended::from_anchor(window).as_ref().map(count))
            }),
            (OverWindow::Sample(choose), _) => {
                self.over(windows, steps, &|_, window| Ok(Some(choose(window.samples).value)))
            }
            (OverWindow::Always(f), _) => {
                self.over(windows, steps, &|_, window| Ok(Some(f(window, dialect))))
            }
            (OverWindow::FromTwo(f), _) => {
                self.over(windows, steps, &|_, window| Ok(f(window, dialect)))
            }
            (OverWindow::WithScalars(f), _) => {
                let at = |step: usize| scalars.iter().map(|values| values[step]).collect();
                let by_step: Vec<Vec<f64>> = (0..steps.count).map(at).collect();
                self.over(windows, steps, &|step, window| f(window, &by_step[step], dialect))
            }
            (OverWindow::Quantile, _) => self.over(windows, steps, &|step, window| {
                Ok(Some(over_time::quantile_of(window, scalars[0][step], dialect)))
            }),
            (OverWindow::Absent, _) => self.over(windows, steps, &|_, _| Ok(Some(1.0))),
        }
    }

    /// Warns of quantiles that are not between 0 and 1.
    pub(super) fn remark_quantiles(&self, quantiles: &[f64], span: Span) {
        for q in quantiles.iter().filter(|q| q.is_nan() || **q < 0.0 || **q > 1.0) {
            self.remark(span, &Remark::InvalidQuantile(*q));
        }
    }

    /// Remarks on metrics whose names are not those of counters.
    fn remark_gauges(&self, columns: &[Column], span: Span) {
        let mut last = String::new();
        for column in columns {
            let metric = column.metric.get("__name__");
            let is_counter = COUNTER_ENDINGS.iter().any(|ending| metric.ends_with(ending));
            if metric.is_empty() || metric == last || is_counter {
                continue;
            }
            last = metric.to_owned();
            self.remark(span, &Remark::PossibleNonCounter(metric.to_owned()));
        }
    }
}

/// Names the functions that may take a range vector with this modifier.
fn refused(function: Function, extension: RangeExtension) -> EvalError {
    let accepts = |function: &&Function| matches!(implementation(**function), Implementation::OverWindow(f) if f.accepts(extension));
    let known: Vec<&str> =
        Function::ALL.iter().filter(accepts).map(|function| function.name()).collect();
    EvalError::Expression(format!(
        "{} modifier can only be used with: {} - not with {function}",
        extension.keyword(),
        known.join(", ")
    ))
}
