//! The functions of PromQL: one row of one table for each, from which the type [`Function`] is
//! made.
//!
//! How a function is evaluated is the subject of `eval::functions`, where the compiler demands an
//! entry for every row of this table.

use std::fmt;

use crate::promql::dialect::Dialect;
use crate::promql::syntax::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// What a function takes and returns, and where it is available.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name as it is written in an expression.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats where more are allowed.
    pub args: &'static [ValueType],
    /// How many of `args`, from the first, must be given.
    pub required: usize,
    /// How many arguments may be given; `usize::MAX` where the last one repeats without bound.
    pub most: usize,
    /// The type of the result.
    pub returns: ValueType,
    /// Whether Prometheus hides it behind the flag `promql-experimental-functions`.
    pub experimental: bool,
    /// The oldest dialect for which it is evaluated. Functions that a late release of Prometheus 2
    /// or Prometheus 3 added are evaluated for both, unless their result depends on the dialect.
    pub since: Dialect,
    /// Whether the value depends on the step even where no argument does, so that a call is not
    /// evaluated once for all steps. As Prometheus's list `AtModifierUnsafeFunctions`.
    pub depends_on_step: bool,
}

impl Signature {
    /// The last argument may be left out.
    const fn last_optional(self) -> Self {
        Self { required: self.args.len() - 1, ..self }
    }

    /// The last argument repeats; `required` arguments must be given.
    const fn last_repeats(self, required: usize) -> Self {
        Self { required, most: usize::MAX, ..self }
    }

    const fn experimental(self) -> Self {
        Self { experimental: true, ..self }
    }

    const fn since_v3(self) -> Self {
        Self { since: Dialect::V3, ..self }
    }

    const fn depends_on_step(self) -> Self {
        Self { depends_on_step: true, ..self }
    }
}

const fn returns(returns: ValueType, name: &'static str, args: &'static [ValueType]) -> Signature {
    Signature {
        name,
        args,
        required: args.len(),
        most: args.len(),
        returns,
        experimental: false,
        since: Dialect::V2,
        depends_on_step: false,
    }
}

/// A function that returns an instant vector.
const fn vector(name: &'static str, args: &'static [ValueType]) -> Signature {
    returns(Vector, name, args)
}

/// A function that returns a scalar.
const fn scalar(name: &'static str, args: &'static [ValueType]) -> Signature {
    returns(Scalar, name, args)
}

/// Makes the enum [`Function`] and the table [`FUNCTIONS`] of the same rows in the same order.
macro_rules! functions {
    ($($(#[doc = $doc:literal])+ $function:ident: $signature:expr;)+) => {
        /// A function of PromQL.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Function {
            $($(#[doc = $doc])+ $function,)+
        }

        impl Function {
            /// All functions in ascending order of name.
            pub const ALL: &[Self] = &[$(Self::$function,)+];
        }

        /// The signature of each function of [`Function::ALL`], in the same order.
        pub static FUNCTIONS: [Signature; Function::ALL.len()] = [$($signature,)+];
    };
}

functions! {
    /// The absolute value of each sample.
    Abs: vector("abs", &[Vector]);
    /// One where an instant vector has no element.
    Absent: vector("absent", &[Vector]);
    /// One where no series has a sample in the window.
    AbsentOverTime: vector("absent_over_time", &[Matrix]);
    /// The arccosine in radians.
    Acos: vector("acos", &[Vector]);
    /// The inverse hyperbolic cosine.
    Acosh: vector("acosh", &[Vector]);
    /// The arcsine in radians.
    Asin: vector("asin", &[Vector]);
    /// The inverse hyperbolic sine.
    Asinh: vector("asinh", &[Vector]);
    /// The arctangent in radians.
    Atan: vector("atan", &[Vector]);
    /// The inverse hyperbolic tangent.
    Atanh: vector("atanh", &[Vector]);
    /// The mean of a window's samples.
    AvgOverTime: vector("avg_over_time", &[Matrix]);
    /// Rounds up to a whole number.
    Ceil: vector("ceil", &[Vector]);
    /// How often the value changes within a window.
    Changes: vector("changes", &[Matrix]);
    /// Limits values to between a minimum and a maximum.
    Clamp: vector("clamp", &[Vector, Scalar, Scalar]);
    /// Limits values to a maximum.
    ClampMax: vector("clamp_max", &[Vector, Scalar]);
    /// Limits values to a minimum.
    ClampMin: vector("clamp_min", &[Vector, Scalar]);
    /// The cosine of an angle in radians.
    Cos: vector("cos", &[Vector]);
    /// The hyperbolic cosine.
    Cosh: vector("cosh", &[Vector]);
    /// How many samples a window holds.
    CountOverTime: vector("count_over_time", &[Matrix]);
    /// The day of the month in UTC, from 1 to 31.
    DayOfMonth: vector("day_of_month", &[Vector]).last_optional().depends_on_step();
    /// The day of the week in UTC, from 0 for Sunday to 6.
    DayOfWeek: vector("day_of_week", &[Vector]).last_optional().depends_on_step();
    /// The day of the year in UTC, from 1 to 366.
    DayOfYear: vector("day_of_year", &[Vector]).last_optional().depends_on_step();
    /// The number of days of the month in UTC, from 28 to 31.
    DaysInMonth: vector("days_in_month", &[Vector]).last_optional().depends_on_step();
    /// Radians to degrees.
    Deg: vector("deg", &[Vector]);
    /// The difference between a window's ends, extrapolated; for gauges.
    Delta: vector("delta", &[Matrix]);
    /// The slope per second by linear regression.
    Deriv: vector("deriv", &[Matrix]);
    /// The value smoothed by two factors, one for the level and one for the trend.
    DoubleExponentialSmoothing:
        vector("double_exponential_smoothing", &[Matrix, Scalar, Scalar]).experimental();
    /// The end of the query in seconds since the Unix epoch.
    End: scalar("end", &[]).experimental();
    /// The exponential function of each sample.
    Exp: vector("exp", &[Vector]);
    /// The oldest sample of a window.
    FirstOverTime: vector("first_over_time", &[Matrix]).experimental();
    /// Rounds down to a whole number.
    Floor: vector("floor", &[Vector]);
    /// The mean of a native histogram's observations; refused.
    HistogramAvg: vector("histogram_avg", &[Vector]);
    /// The number of a native histogram's observations; refused.
    HistogramCount: vector("histogram_count", &[Vector]);
    /// The share of observations between two values.
    HistogramFraction: vector("histogram_fraction", &[Scalar, Scalar, Vector]);
    /// A quantile of a histogram's observations.
    HistogramQuantile: vector("histogram_quantile", &[Scalar, Vector]);
    /// Several quantiles of a histogram's observations, one series for each.
    HistogramQuantiles: vector("histogram_quantiles", &[Vector, String, Scalar])
        .last_repeats(3).experimental().since_v3();
    /// The standard deviation of a native histogram's observations; refused.
    HistogramStddev: vector("histogram_stddev", &[Vector]);
    /// The variance of a native histogram's observations; refused.
    HistogramStdvar: vector("histogram_stdvar", &[Vector]);
    /// The sum of a native histogram's observations; refused.
    HistogramSum: vector("histogram_sum", &[Vector]);
    /// Prometheus 2's name of `double_exponential_smoothing`.
    HoltWinters: vector("holt_winters", &[Matrix, Scalar, Scalar]);
    /// The hour of the day in UTC, from 0 to 23.
    Hour: vector("hour", &[Vector]).last_optional().depends_on_step();
    /// The difference between the last two samples of a window.
    Idelta: vector("idelta", &[Matrix]);
    /// By how much a counter grew over a window, extrapolated.
    Increase: vector("increase", &[Matrix]);
    /// Adds the labels of the info metrics of the same instance and job.
    Info: vector("info", &[Vector, Vector])
        .last_optional().experimental().since_v3().depends_on_step();
    /// The area under a window's samples in value times seconds.
    Integral: vector("integral", &[Matrix, Scalar]).last_optional().experimental();
    /// By how much a counter grew per second between the last two samples of a window.
    Irate: vector("irate", &[Matrix]);
    /// Sets a label to the values of others with a separator between them.
    LabelJoin: vector("label_join", &[Vector, String, String, String]).last_repeats(3);
    /// Sets a label by a regular expression on another label's value.
    LabelReplace: vector("label_replace", &[Vector, String, String, String, String]);
    /// The newest sample of a window.
    LastOverTime: vector("last_over_time", &[Matrix]);
    /// The natural logarithm.
    Ln: vector("ln", &[Vector]);
    /// The logarithm to base 10.
    Log10: vector("log10", &[Vector]);
    /// The logarithm to base 2.
    Log2: vector("log2", &[Vector]);
    /// The median absolute deviation of a window's samples.
    MadOverTime: vector("mad_over_time", &[Matrix]).experimental();
    /// The larger of two scalars.
    MaxOf: scalar("max_of", &[Scalar, Scalar]).experimental();
    /// The largest sample of a window.
    MaxOverTime: vector("max_over_time", &[Matrix]);
    /// The smaller of two scalars.
    MinOf: scalar("min_of", &[Scalar, Scalar]).experimental();
    /// The smallest sample of a window.
    MinOverTime: vector("min_over_time", &[Matrix]);
    /// The minute of the hour in UTC, from 0 to 59.
    Minute: vector("minute", &[Vector]).last_optional().depends_on_step();
    /// The month of the year in UTC, from 1 to 12.
    Month: vector("month", &[Vector]).last_optional().depends_on_step();
    /// The number π.
    Pi: scalar("pi", &[]);
    /// The value that linear regression expects some seconds ahead.
    PredictLinear: vector("predict_linear", &[Matrix, Scalar]).depends_on_step();
    /// One where a series has a sample in the window.
    PresentOverTime: vector("present_over_time", &[Matrix]);
    /// A quantile of a window's samples.
    QuantileOverTime: vector("quantile_over_time", &[Scalar, Matrix]);
    /// Degrees to radians.
    Rad: vector("rad", &[Vector]);
    /// Seconds from the query's first step to its last one.
    Range: scalar("range", &[]).experimental();
    /// By how much a counter grew per second over a window, extrapolated.
    Rate: vector("rate", &[Matrix]);
    /// How often a counter was reset within a window.
    Resets: vector("resets", &[Matrix]);
    /// Rounds to the nearest multiple of a scalar, or of 1.
    Round: vector("round", &[Vector, Scalar]).last_optional();
    /// The value of a vector's only element, else NaN.
    Scalar: scalar("scalar", &[Vector]);
    /// The sign of each sample: -1, 0 or 1.
    Sgn: vector("sgn", &[Vector]);
    /// The sine of an angle in radians.
    Sin: vector("sin", &[Vector]);
    /// The hyperbolic sine.
    Sinh: vector("sinh", &[Vector]);
    /// Sorts an instant query's elements by value, ascending.
    Sort: vector("sort", &[Vector]);
    /// Sorts an instant query's elements by the values of labels, ascending.
    SortByLabel: vector("sort_by_label", &[Vector, String]).last_repeats(1).experimental();
    /// Sorts an instant query's elements by the values of labels, descending.
    SortByLabelDesc:
        vector("sort_by_label_desc", &[Vector, String]).last_repeats(1).experimental();
    /// Sorts an instant query's elements by value, descending.
    SortDesc: vector("sort_desc", &[Vector]);
    /// The square root.
    Sqrt: vector("sqrt", &[Vector]);
    /// The start of the query in seconds since the Unix epoch.
    Start: scalar("start", &[]).experimental();
    /// The population standard deviation of a window's samples.
    StddevOverTime: vector("stddev_over_time", &[Matrix]);
    /// The population variance of a window's samples.
    StdvarOverTime: vector("stdvar_over_time", &[Matrix]);
    /// The query's step in seconds; zero for an instant query.
    Step: scalar("step", &[]).experimental();
    /// The sum of a window's samples.
    SumOverTime: vector("sum_over_time", &[Matrix]);
    /// The tangent of an angle in radians.
    Tan: vector("tan", &[Vector]);
    /// The hyperbolic tangent.
    Tanh: vector("tanh", &[Vector]);
    /// The instant of evaluation in seconds since the Unix epoch.
    Time: scalar("time", &[]).depends_on_step();
    /// The time of each sample in seconds since the Unix epoch.
    Timestamp: vector("timestamp", &[Vector]).depends_on_step();
    /// The time of the oldest sample of a window in seconds since the Unix epoch.
    TsOfFirstOverTime: vector("ts_of_first_over_time", &[Matrix]).experimental();
    /// The time of the newest sample of a window in seconds since the Unix epoch.
    TsOfLastOverTime: vector("ts_of_last_over_time", &[Matrix]).experimental();
    /// The time of the largest sample of a window in seconds since the Unix epoch.
    TsOfMaxOverTime: vector("ts_of_max_over_time", &[Matrix]).experimental();
    /// The time of the smallest sample of a window in seconds since the Unix epoch.
    TsOfMinOverTime: vector("ts_of_min_over_time", &[Matrix]).experimental();
    /// An instant vector of one element without labels, whose value is the scalar.
    Vector: vector("vector", &[Scalar]);
    /// The year in UTC.
    Year: vector("year", &[Vector]).last_optional().depends_on_step();
}

impl Function {
    /// The function with this name, in the case in which it is written; names are lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// What it takes and returns.
    pub fn signature(self) -> &'static Signature {
        &FUNCTIONS[self as usize]
    }

    /// The name as it is written in an expression.
    pub fn name(self) -> &'static str {
        self.signature().name
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        assert!(FUNCTIONS.is_sorted_by_key(|signature| signature.name));
        for function in Function::ALL {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("Rate"), None);
    }

    #[test]
    fn no_signature_asks_for_more_arguments_than_it_has() {
        for Signature { name, args, required, most, .. } in &FUNCTIONS {
            assert!(required <= &args.len() && args.len() <= *most, "{name}");
        }
    }
}
