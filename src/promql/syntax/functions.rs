//! The functions of the language and the types of their arguments.

use crate::promql::syntax::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// What a function takes and returns.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats where more are allowed.
    pub args: &'static [ValueType],
    /// How many of `args`, from the first, must be given.
    pub required: usize,
    /// How many may be given.
    pub most: usize,
    /// What it returns.
    pub returns: ValueType,
    /// Whether Prometheus hides it behind a feature flag.
    pub experimental: bool,
}

const ANY: usize = usize::MAX;

const fn takes(name: &'static str, args: &'static [ValueType]) -> Signature {
    let count = args.len();
    Signature { name, args, required: count, most: count, returns: Vector, experimental: false }
}

const fn optional(name: &'static str, args: &'static [ValueType]) -> Signature {
    let most = args.len();
    Signature { name, args, required: most - 1, most, returns: Vector, experimental: false }
}

const fn variadic(name: &'static str, args: &'static [ValueType], required: usize) -> Signature {
    Signature { name, args, required, most: ANY, returns: Vector, experimental: false }
}

const fn scalar(name: &'static str, args: &'static [ValueType]) -> Signature {
    let count = args.len();
    Signature { name, args, required: count, most: count, returns: Scalar, experimental: false }
}

const fn experimental(signature: Signature) -> Signature {
    Signature { experimental: true, ..signature }
}

/// Every function, by name in ascending order.
pub static FUNCTIONS: [Signature; 91] = [
    takes("abs", &[Vector]),
    takes("absent", &[Vector]),
    takes("absent_over_time", &[Matrix]),
    takes("acos", &[Vector]),
    takes("acosh", &[Vector]),
    takes("asin", &[Vector]),
    takes("asinh", &[Vector]),
    takes("atan", &[Vector]),
    takes("atanh", &[Vector]),
    takes("avg_over_time", &[Matrix]),
    takes("ceil", &[Vector]),
    takes("changes", &[Matrix]),
    takes("clamp", &[Vector, Scalar, Scalar]),
    takes("clamp_max", &[Vector, Scalar]),
    takes("clamp_min", &[Vector, Scalar]),
    takes("cos", &[Vector]),
    takes("cosh", &[Vector]),
    takes("count_over_time", &[Matrix]),
    optional("day_of_month", &[Vector]),
    optional("day_of_week", &[Vector]),
    optional("day_of_year", &[Vector]),
    optional("days_in_month", &[Vector]),
    takes("deg", &[Vector]),
    takes("delta", &[Matrix]),
    takes("deriv", &[Matrix]),
    experimental(takes("double_exponential_smoothing", &[Matrix, Scalar, Scalar])),
    experimental(scalar("end", &[])),
    takes("exp", &[Vector]),
    experimental(takes("first_over_time", &[Matrix])),
    takes("floor", &[Vector]),
    takes("histogram_avg", &[Vector]),
    takes("histogram_count", &[Vector]),
    takes("histogram_fraction", &[Scalar, Scalar, Vector]),
    takes("histogram_quantile", &[Scalar, Vector]),
    experimental(variadic("histogram_quantiles", &[Vector, String, Scalar], 3)),
    takes("histogram_stddev", &[Vector]),
    takes("histogram_stdvar", &[Vector]),
    takes("histogram_sum", &[Vector]),
    takes("holt_winters", &[Matrix, Scalar, Scalar]),
    optional("hour", &[Vector]),
    takes("idelta", &[Matrix]),
    takes("increase", &[Matrix]),
    experimental(optional("info", &[Vector, Vector])),
    takes("irate", &[Matrix]),
    variadic("label_join", &[Vector, String, String, String], 3),
    takes("label_replace", &[Vector, String, String, String, String]),
    takes("last_over_time", &[Matrix]),
    takes("ln", &[Vector]),
    takes("log10", &[Vector]),
    takes("log2", &[Vector]),
    experimental(takes("mad_over_time", &[Matrix])),
    experimental(scalar("max_of", &[Scalar, Scalar])),
    takes("max_over_time", &[Matrix]),
    experimental(scalar("min_of", &[Scalar, Scalar])),
    takes("min_over_time", &[Matrix]),
    optional("minute", &[Vector]),
    optional("month", &[Vector]),
    scalar("pi", &[]),
    takes("predict_linear", &[Matrix, Scalar]),
    takes("present_over_time", &[Matrix]),
    takes("quantile_over_time", &[Scalar, Matrix]),
    takes("rad", &[Vector]),
    experimental(scalar("range", &[])),
    takes("rate", &[Matrix]),
    takes("resets", &[Matrix]),
    optional("round", &[Vector, Scalar]),
    scalar("scalar", &[Vector]),
    takes("sgn", &[Vector]),
    takes("sin", &[Vector]),
    takes("sinh", &[Vector]),
    takes("sort", &[Vector]),
    experimental(variadic("sort_by_label", &[Vector, String], 1)),
    experimental(variadic("sort_by_label_desc", &[Vector, String], 1)),
    takes("sort_desc", &[Vector]),
    takes("sqrt", &[Vector]),
    experimental(scalar("start", &[])),
    takes("stddev_over_time", &[Matrix]),
    takes("stdvar_over_time", &[Matrix]),
    experimental(scalar("step", &[])),
    takes("sum_over_time", &[Matrix]),
    takes("tan", &[Vector]),
    takes("tanh", &[Vector]),
    scalar("time", &[]),
    takes("timestamp", &[Vector]),
    experimental(takes("ts_of_first_over_time", &[Matrix])),
    experimental(takes("ts_of_last_over_time", &[Matrix])),
    experimental(takes("ts_of_max_over_time", &[Matrix])),
    experimental(takes("ts_of_min_over_time", &[Matrix])),
    takes("vector", &[Scalar]),
    optional("year", &[Vector]),
    experimental(optional("integral", &[Matrix, Scalar])),
];

/// The function of that name.
pub fn function(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name == name)
}
