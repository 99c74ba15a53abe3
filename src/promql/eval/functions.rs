//! How each function is evaluated: one row for each [`Function`], or this file does not compile.
//!
//! What a function takes and returns is listed in `syntax::functions`. The functions that the rows
//! name are in the other files of this folder, by subject.

use super::calendar::Date;
use super::call::Call;
use super::column::Column;
use super::over_time::{first, last, time};
use super::rate::RateKind;
use super::window::Window;
use super::{Query, math, over_time, rate};
use crate::model::Sample;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::go_compat::number::{max, min};
use crate::promql::go_compat::transcendental;
use crate::promql::syntax::functions::Function;

/// How a function is evaluated.
pub(super) enum Implementation<'q> {
    /// Maps each value of an instant vector alone.
    PerValue(fn(f64) -> f64),
    /// Maps each value of an instant vector alone, by a function that depends on the dialect.
    PerValueOf(fn(Dialect) -> fn(f64) -> f64),
    /// Reads a part of the date of each value in seconds since the Unix epoch; without an
    /// argument, of each step's instant.
    Calendar(fn(&Date) -> f64),
    /// Makes a scalar, one number for each step.
    Scalar(fn(&Query<'q>, &Call<'_>) -> Result<Vec<f64>, EvalError>),
    /// Makes an instant vector of arguments that are no range vectors.
    Vector(fn(&Query<'q>, &Call<'_>) -> Result<Vec<Column>, EvalError>),
    /// Makes an instant vector of the windows of a range vector.
    OverWindow(OverWindow),
    /// Is defined for native histograms only, which are not supported.
    NativeHistogram,
}

/// Makes a number of a window and of scalars.
type ByScalars = fn(&Window<'_>, &[f64], Dialect) -> Result<Option<f64>, EvalError>;

/// What a function makes of the window of a series at one step.
#[derive(Clone, Copy)]
pub(super) enum OverWindow {
    /// The change over the window; the range vector may be `anchored` or `smoothed`.
    Change(RateKind),
    /// How often something happens between two samples; the range vector may be `anchored`.
    Count(fn(&Window<'_>) -> f64),
    /// The value of one of the samples; the series keeps its metric's name.
    Sample(fn(&[Sample]) -> Sample),
    /// A number, which every window has.
    Always(fn(&Window<'_>, Dialect) -> f64),
    /// A number, which only windows of two samples or more have.
    FromTwo(fn(&Window<'_>, Dialect) -> Option<f64>),
    /// A number that also depends on the scalar arguments at the step, in the order in which they
    /// are written.
    WithScalars(ByScalars),
    /// The quantile of the samples that the scalar argument asks for.
    Quantile,
    /// One where no series has a sample in the window.
    Absent,
}

use Implementation::{
    Calendar, NativeHistogram, OverWindow as Over, PerValue, PerValueOf, Scalar, Vector,
};
use OverWindow::{
    Absent, Always, Change, Count, FromTwo, Quantile, Sample as OneSample, WithScalars,
};

/// Makes the function [`implementation`] of its rows.
macro_rules! implementations {
    ($($($function:ident)|+ => $implementation:expr;)+) => {
        /// How a function is evaluated.
        pub(super) fn implementation<'q>(function: Function) -> Implementation<'q> {
            match function {
                $($(Function::$function)|+ => $implementation,)+
            }
        }
    };
}

implementations! {
    // Each value alone.
    Abs => PerValue(f64::abs);
    Acos => PerValue(transcendental::acos);
    Acosh => PerValue(transcendental::acosh);
    Asin => PerValue(transcendental::asin);
    Asinh => PerValue(transcendental::asinh);
    Atan => PerValue(transcendental::atan);
    Atanh => PerValue(transcendental::atanh);
    Ceil => PerValue(f64::ceil);
    Cos => PerValue(transcendental::cos);
    Cosh => PerValue(transcendental::cosh);
    Deg => PerValueOf(math::degrees);
    Exp => PerValue(transcendental::exp);
    Floor => PerValue(f64::floor);
    Ln => PerValue(transcendental::ln);
    Log10 => PerValue(transcendental::log10);
    Log2 => PerValue(transcendental::log2);
    Rad => PerValueOf(math::radians);
    Sgn => PerValue(math::sign);
    Sin => PerValue(transcendental::sin);
    Sinh => PerValue(transcendental::sinh);
    Sqrt => PerValue(f64::sqrt);
    Tan => PerValue(transcendental::tan);
    Tanh => PerValue(transcendental::tanh);

    // The calendar.
    DayOfMonth => Calendar(|date| date.day as f64);
    DayOfWeek => Calendar(|date| date.weekday as f64);
    DayOfYear => Calendar(|date| date.day_of_year as f64);
    DaysInMonth => Calendar(|date| date.days_in_month as f64);
    Hour => Calendar(|date| date.hour as f64);
    Minute => Calendar(|date| date.minute as f64);
    Month => Calendar(|date| date.month as f64);
    Year => Calendar(|date| date.year as f64);

    // Scalars.
    End => Scalar(Query::query_end);
    MaxOf => Scalar(|query, call| query.scalar_pairs(call, max));
    MinOf => Scalar(|query, call| query.scalar_pairs(call, min));
    Pi => Scalar(|_, call| Ok(vec![std::f64::consts::PI; call.steps.count]));
    Range => Scalar(Query::query_range);
    Scalar => Scalar(Query::scalar_of_vector);
    Start => Scalar(Query::query_start);
    Step => Scalar(Query::query_step);
    Time => Scalar(Query::time);

    // Instant vectors.
    Absent => Vector(Query::absent);
    Clamp => Vector(|query, call| query.bounded(call, math::clamp));
    ClampMax => Vector(|query, call| query.bounded(call, |value, [most, _]| min(most, value)));
    ClampMin => Vector(|query, call| query.bounded(call, |value, [least, _]| max(least, value)));
    HistogramAvg | HistogramCount | HistogramStddev | HistogramStdvar | HistogramSum =>
        NativeHistogram;
    HistogramFraction => Vector(Query::histogram_fraction);
    HistogramQuantile => Vector(Query::histogram_quantile);
    HistogramQuantiles => Vector(Query::histogram_quantiles);
    Info => Vector(Query::info);
    LabelJoin => Vector(Query::label_join);
    LabelReplace => Vector(Query::label_replace);
    Round => Vector(|query, call| query.bounded(call, |value, [to, _]| math::round(value, to)));
    Sort => Vector(Query::sort_ascending);
    SortByLabel => Vector(Query::sort_by_label);
    SortByLabelDesc => Vector(Query::sort_by_label_desc);
    SortDesc => Vector(Query::sort_descending);
    Timestamp => Vector(Query::timestamps);
    Vector => Vector(Query::vector_of_scalar);

    // Windows of range vectors.
    AbsentOverTime => Over(Absent);
    AvgOverTime => Over(Always(over_time::average));
    Changes => Over(Count(rate::changes));
    CountOverTime => Over(Always(|window, _| window.samples.len() as f64));
    Delta => Over(Change(RateKind::Delta));
    Deriv => Over(FromTwo(rate::derivative));
    DoubleExponentialSmoothing | HoltWinters => Over(WithScalars(rate::smoothed_by));
    FirstOverTime => Over(OneSample(first));
    Idelta => Over(FromTwo(|window, _| rate::instantaneous(window, RateKind::Delta)));
    Increase => Over(Change(RateKind::Increase));
    Integral => Over(WithScalars(over_time::integral_by));
    Irate => Over(FromTwo(|window, _| rate::instantaneous(window, RateKind::Rate)));
    LastOverTime => Over(OneSample(last));
    MadOverTime => Over(Always(|window, _| over_time::median_deviation(window)));
    MaxOverTime => Over(Always(|window, _| over_time::maximum(window)));
    MinOverTime => Over(Always(|window, _| over_time::minimum(window)));
    PredictLinear => Over(WithScalars(|window, ahead, dialect| {
        Ok(rate::prediction(window, ahead[0], dialect))
    }));
    PresentOverTime => Over(Always(|_, _| 1.0));
    QuantileOverTime => Over(Quantile);
    Rate => Over(Change(RateKind::Rate));
    Resets => Over(Count(rate::resets));
    StddevOverTime => Over(Always(|window, dialect| over_time::variance(window, dialect).sqrt()));
    StdvarOverTime => Over(Always(over_time::variance));
    SumOverTime => Over(Always(over_time::sum));
    TsOfFirstOverTime => Over(Always(|window, _| time(&first(window.samples))));
    TsOfLastOverTime => Over(Always(|window, _| time(&last(window.samples))));
    TsOfMaxOverTime => Over(Always(|window, _| over_time::time_of_maximum(window)));
    TsOfMinOverTime => Over(Always(|window, _| over_time::time_of_minimum(window)));
}
