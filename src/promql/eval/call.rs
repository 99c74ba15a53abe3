//! Function calls.

use super::super::error::EvalError;
use super::column::{Column, Metric};
use super::labels::Direction;
use super::over_time::Quadrature;
use super::rate::RateKind;
use super::select::Taken;
use super::window::{Window, WindowFunction};
use super::{Computed, Query, Steps, empty, extended, is_value, labels, over_time, rate, simple};
use crate::model::Labels;
use crate::promql::annotations::Remark;
use crate::promql::go_compat::number::{ABSENT, is_absent};
use crate::promql::go_compat::pdqsort;
use crate::promql::syntax::ast::{Expr, ExprKind, Reach, Span, ValueType};
use crate::promql::syntax::functions::Signature;

impl Query<'_> {
    pub(super) fn call(
        &self,
        function: &Signature,
        args: &[Expr],
        span: Span,
        steps: Steps,
    ) -> Result<Computed, EvalError> {
        if args.iter().any(|arg| arg.value_type() == ValueType::Matrix) {
            return self.range_call(function.name, args, steps).map(Computed::Vector);
        }
        match function.returns {
            ValueType::Scalar => self.scalar_call(function.name, args, steps).map(Computed::Scalar),
            _ => self.vector_call(function.name, args, span, steps).map(Computed::Vector),
        }
    }

    fn scalar_call(&self, name: &str, args: &[Expr], steps: Steps) -> Result<Vec<f64>, EvalError> {
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let constant = |value: f64| Ok(vec![value; steps.count]);
        match (name, args) {
            ("time", _) => Ok(steps.instants().map(seconds).collect()),
            ("pi", _) => constant(std::f64::consts::PI),
            ("start", _) => constant(seconds(self.steps.start)),
            ("end", _) => constant(seconds(self.steps.start.saturating_add(self.span_ms))),
            ("range", _) => constant(seconds(self.span_ms)),
            ("step", _) if self.span_ms == 0 => constant(0.0),
            ("step", _) => constant(seconds(self.steps.interval)),
            ("scalar", [vector]) => Ok(only_value(&self.vector(vector, steps)?, steps)),
            ("min_of" | "max_of", [a, b]) => {
                let pick = if name == "min_of" { simple::least } else { simple::most };
                let (a, b) = (self.scalar(a, steps)?, self.scalar(b, steps)?);
                Ok(a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect())
            }
            _ => Err(unknown(name)),
        }
    }

    fn vector_call(
        &self,
        name: &str,
        args: &[Expr],
        span: Span,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        if let (Some(f), [vector]) = (simple::of_value(name, self.options.dialect), args) {
            let columns = self.map(self.vector(vector, steps)?, f);
            return self.merge_dropped(columns, super::Collision::Merges);
        }
        if let Some(f) = simple::of_calendar(name) {
            let [vector] = args else {
                let values = steps.instants().map(|at| f((at / 1000) as f64));
                return Ok(vec![nameless(values.collect())]);
            };
            let columns = self.map(self.vector(vector, steps)?, f);
            return self.merge_dropped(columns, super::Collision::Merges);
        }
        match (name, args) {
            ("vector", [scalar]) => Ok(vec![nameless(self.scalar(scalar, steps)?)]),
            ("absent", [vector]) => {
                let columns = self.vector(vector, steps)?;
                Ok(absent(&columns, labels::of_absent(vector), steps))
            }
            ("timestamp", [vector]) => self.timestamps(vector, steps),
            ("info", _) => self.info(span.start, args, steps),
            ("round" | "clamp" | "clamp_min" | "clamp_max", [vector, bounds @ ..]) => {
                self.bounded(name, vector, bounds, steps)
            }
            (
                "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc",
                [vector, names @ ..],
            ) => {
                if self.steps.count > 1 {
                    self.remark(span, &Remark::SortInRangeQuery);
                }
                let names: Vec<&str> = names.iter().map(labels::text).collect();
                Ok(sorted(name, self.vector(vector, steps)?, &names))
            }
            ("label_replace", _) => self.label_replace(args, steps),
            ("label_join", _) => self.label_join(args, steps),
            ("histogram_quantile", [q, vector]) => {
                let quantiles = self.scalar(q, steps)?;
                let columns = self.vector(vector, steps)?;
                self.histogram_quantile(&quantiles, columns, (q.span, vector.span), steps)
            }
            ("histogram_quantiles", [vector, label, quantiles @ ..]) => {
                let columns = (self.vector(vector, steps)?, vector.span);
                let quantiles: Vec<(Span, Vec<f64>)> = quantiles
                    .iter()
                    .map(|q| Ok((q.span, self.scalar(q, steps)?)))
                    .collect::<Result<_, EvalError>>()?;
                self.histogram_quantiles(labels::text(label), &quantiles, columns, steps)
            }
            ("histogram_fraction", [lower, upper, vector]) => {
                let bounds = (self.scalar(lower, steps)?, self.scalar(upper, steps)?);
                let columns = self.vector(vector, steps)?;
                self.histogram_fraction((&bounds.0, &bounds.1), columns, vector.span, steps)
            }
            _ => Err(unknown(name)),
        }
    }

    fn timestamps(&self, vector: &Expr, steps: Steps) -> Result<Vec<Column>, EvalError> {
        let inner = vector.unwrapped();
        let mut columns = match &inner.kind {
            ExprKind::Selector(selector) => {
                self.select_taking(inner.span.start, selector, steps, Taken::Time)?
            }
            _ => {
                let mut columns = self.vector(vector, steps)?;
                for column in &mut columns {
                    for (value, at) in column.values.iter_mut().zip(steps.instants()) {
                        if !is_absent(*value) {
                            *value = at as f64 / 1000.0;
                        }
                    }
                }
                columns
            }
        };
        columns.iter_mut().for_each(|column| self.drop_name(column));
        self.merge_dropped(columns, super::Collision::Merges)
    }

    fn bounded(
        &self,
        name: &str,
        vector: &Expr,
        bounds: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let mut columns = self.vector(vector, steps)?;
        let bounds: Vec<Vec<f64>> =
            bounds.iter().map(|bound| self.scalar(bound, steps)).collect::<Result<_, _>>()?;
        let bound = |index: usize, step: usize| bounds.get(index).map_or(1.0, |held| held[step]);
        for column in &mut columns {
            for (step, value) in column.values.iter_mut().enumerate() {
                if is_absent(*value) {
                    continue;
                }
                let (first, second) = (bound(0, step), bound(1, step));
                *value = match name {
                    "round" => simple::round(*value, first),
                    "clamp_min" => simple::most(first, *value),
                    "clamp_max" => simple::least(first, *value),
                    _ if second < first => ABSENT,
                    _ => simple::most(first, simple::least(second, *value)),
                };
            }
            self.drop_name(column);
        }
        self.merge_dropped(super::present(columns), super::Collision::Merges)
    }

    fn range_call(
        &self,
        name: &str,
        args: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let is_range = |arg: &&Expr| arg.value_type() == ValueType::Matrix;
        let Some(range) = args.iter().find(is_range) else { return Err(unknown(name)) };
        let others = args.iter().filter(|arg| !is_range(arg) && is_value(arg));
        let scalars: Vec<Vec<f64>> =
            others.clone().map(|arg| self.scalar(arg, steps)).collect::<Result<_, _>>()?;
        if name == "quantile_over_time" {
            let odd = |q: &&f64| q.is_nan() || **q < 0.0 || **q > 1.0;
            for (arg, values) in others.zip(&scalars) {
                for q in values.iter().filter(odd) {
                    self.remark(arg.span, &Remark::InvalidQuantile(*q));
                }
            }
        }
        let reach = match &range.unwrapped().kind {
            ExprKind::Range { selector, .. } => selector.reach,
            _ => Reach::Plain,
        };
        extended::check(reach, name)?;
        let function = match reach {
            Reach::Plain => self.window_function(name, &scalars)?,
            reach => extended_function(name, reach)?,
        };
        let windows = self.windows(range, steps)?;
        let mut columns = self.over(&windows, steps, &*function)?;
        if name == "absent_over_time" {
            return Ok(absent(&columns, labels::of_absent(range), steps));
        }
        if matches!(name, "rate" | "increase") {
            self.remark_gauges(&columns, range.span);
        }
        if matches!(name, "last_over_time" | "first_over_time") {
            return Ok(columns);
        }
        columns.iter_mut().for_each(|column| self.drop_name(column));
        self.merge_dropped(columns, self.collision())
    }

    fn remark_gauges(&self, columns: &[Column], span: Span) {
        const COUNTERS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        let mut last = String::new();
        for column in columns {
            let metric = column.metric.get("__name__");
            if metric.is_empty() || metric == last || COUNTERS.iter().any(|c| metric.ends_with(c)) {
                continue;
            }
            last = metric.to_owned();
            self.remark(span, &Remark::PossibleNonCounter(metric.to_owned()));
        }
    }

    /// What a function does with each window.
    fn window_function<'f>(
        &self,
        name: &str,
        scalars: &'f [Vec<f64>],
    ) -> Result<Box<WindowFunction<'f>>, EvalError> {
        let dialect = self.options.dialect;
        fn always<'f>(
            f: impl Fn(&Window<'_>) -> f64 + Sync + 'f,
        ) -> Result<Box<WindowFunction<'f>>, EvalError> {
            Ok(Box::new(move |_, window: &Window<'_>| Ok(Some(f(window)))))
        }
        fn sometimes<'f>(
            f: impl Fn(&Window<'_>) -> Option<f64> + Sync + 'f,
        ) -> Result<Box<WindowFunction<'f>>, EvalError> {
            Ok(Box::new(move |_, window: &Window<'_>| Ok(f(window))))
        }
        let rate_of = |kind| sometimes(move |window| rate::extrapolated(window, kind, dialect));
        match (name, scalars) {
            ("rate", _) => rate_of(RateKind::Rate),
            ("increase", _) => rate_of(RateKind::Increase),
            ("delta", _) => rate_of(RateKind::Delta),
            ("irate", _) => sometimes(|window| rate::instantaneous(window, true)),
            ("idelta", _) => sometimes(|window| rate::instantaneous(window, false)),
            ("deriv", _) => sometimes(move |window| rate::derivative(window, dialect)),
            ("resets", _) => always(rate::resets),
            ("changes", _) => always(rate::changes),
            ("sum_over_time", _) => always(move |window| over_time::sum(window, dialect)),
            ("avg_over_time", _) => always(move |window| over_time::average(window, dialect)),
            ("count_over_time", _) => always(|window| window.samples.len() as f64),
            ("min_over_time", _) => always(over_time::minimum),
            ("max_over_time", _) => always(over_time::maximum),
            ("stdvar_over_time", _) => always(move |window| over_time::variance(window, dialect)),
            ("stddev_over_time", _) => {
                always(move |window| over_time::variance(window, dialect).sqrt())
            }
            ("mad_over_time", _) => always(over_time::median_deviation),
            ("present_over_time" | "absent_over_time", _) => always(|_| 1.0),
            ("last_over_time", _) => {
                always(|window| window.samples[window.samples.len() - 1].value)
            }
            ("first_over_time", _) => always(|window| window.samples[0].value),
            ("ts_of_last_over_time", _) => {
                always(|window| over_time::time(&window.samples[window.samples.len() - 1]))
            }
            ("ts_of_first_over_time", _) => always(|window| over_time::time(&window.samples[0])),
            ("ts_of_max_over_time", _) => always(over_time::time_of_maximum),
            ("ts_of_min_over_time", _) => always(over_time::time_of_minimum),
            ("quantile_over_time", [q]) => Ok(Box::new(move |step, window| {
                Ok(Some(over_time::quantile_of(window, q[step], dialect)))
            })),
            ("integral", []) => always(|window| over_time::integral(window, Quadrature::Trapezoid)),
            ("integral", [strategy]) => Ok(Box::new(move |step, window| {
                let quadrature = match strategy[step] {
                    0.0 => Quadrature::Left,
                    1.0 => Quadrature::Right,
                    _ => Quadrature::Trapezoid,
                };
                Ok(Some(over_time::integral(window, quadrature)))
            })),
            ("predict_linear", [ahead]) => {
                Ok(Box::new(move |step, window| Ok(rate::prediction(window, ahead[step], dialect))))
            }
            ("double_exponential_smoothing" | "holt_winters", [smoothing, trend]) => {
                Ok(Box::new(move |step, window| {
                    check_factor("smoothing", "sf", smoothing[step])?;
                    check_factor("trend", "tf", trend[step])?;
                    Ok(rate::smoothed(window, smoothing[step], trend[step]))
                }))
            }
            _ => Err(unknown(name)),
        }
    }
}

/// What a function does with a window that reaches further than its ends.
fn extended_function(name: &str, reach: Reach) -> Result<Box<WindowFunction<'static>>, EvalError> {
    type Count = fn(&Window<'_>) -> f64;
    let counted = |count: Count| -> Box<WindowFunction<'static>> {
        Box::new(move |_, window| Ok(extended::from_anchor(window).as_ref().map(count)))
    };
    let kind = match name {
        "rate" => RateKind::Rate,
        "increase" => RateKind::Increase,
        "delta" => RateKind::Delta,
        "changes" => return Ok(counted(rate::changes)),
        "resets" => return Ok(counted(rate::resets)),
        _ => return Err(unknown(name)),
    };
    Ok(Box::new(move |_, window| Ok(extended::change(window, kind, reach))))
}

fn check_factor(name: &str, short: &str, factor: f64) -> Result<(), EvalError> {
    if factor <= 0.0 || factor >= 1.0 {
        return Err(EvalError::Expression(format!(
            "invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
        )));
    }
    Ok(())
}

fn unknown(name: &str) -> EvalError {
    EvalError::Unsupported(match name {
        "histogram_avg" | "histogram_count" | "histogram_stddev" | "histogram_stdvar"
        | "histogram_sum" => format!("{name}(), which is for native histograms,"),
        _ => format!("{name}()"),
    })
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

/// One where no column has a value.
fn absent(columns: &[Column], labels: Labels, steps: Steps) -> Vec<Column> {
    let mut values = vec![1.0; steps.count];
    for column in columns {
        for (slot, value) in values.iter_mut().zip(&column.values) {
            if !is_absent(*value) {
                *slot = ABSENT;
            }
        }
    }
    super::present(vec![Column::new(Metric::made(labels), values)])
}

/// Sorted for an instant query; a range query's result is sorted by labels at the end.
fn sorted(name: &str, mut columns: Vec<Column>, names: &[&str]) -> Vec<Column> {
    let first = |column: &Column| column.values.first().copied().unwrap_or(f64::NAN);
    match name {
        // NaN goes to the end, whichever way.
        "sort" => pdqsort::sort(&mut columns, |a, b| first(b).is_nan() || first(b) > first(a)),
        "sort_desc" => {
            pdqsort::sort(&mut columns, |a, b| first(b).is_nan() || first(b) < first(a));
        }
        "sort_by_label" => labels::sort_by_labels(&mut columns, names, Direction::Ascending),
        _ => labels::sort_by_labels(&mut columns, names, Direction::Descending),
    }
    columns
}
