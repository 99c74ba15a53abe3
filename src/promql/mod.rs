//! Evaluates PromQL over series, with the same answers as Prometheus.
//!
//! Knows nothing of where series live: a [`Storage`] hands them out, so that a capture, a live tick
//! and a test share the evaluator. Covers float samples; native histograms are refused by name.

mod annotations;
mod api;
mod dialect;
mod error;
mod eval;
mod go_compat;
mod reach;
mod storage;
mod syntax;
mod value;

pub use annotations::Annotations;
pub use dialect::Dialect;
pub use error::{EvalError, ParseError, StorageError};
pub use eval::engine::{Engine, EngineOptions, Limits, NameRemoval};
pub use eval::matchers::MatcherCache;
pub use eval::statistics::almost_equal;
pub use go_compat::number::{api as format_value, short as format_short};
pub use go_compat::regexp::go_regex;
pub use reach::Reach;
pub use storage::{MemoryStorage, SeriesSet, Storage};
pub use syntax::ast::{
    Aggregate, At, Binary, Cardinality, Expr, ExprKind, Grouping, Matching, RangeExtension,
    Selector, Span, Subquery, ValueType,
};
pub use syntax::expression::Expression;
pub use syntax::functions::{FUNCTIONS, Function, Signature};
pub use syntax::operators::{AggregateOp, BinaryOp};
pub use syntax::parser::{MAX_BYTES, MAX_DEPTH, parse_selector};
pub use syntax::series_notation::{
    parse_labels, parse_series, parse_values as parse_series_values,
};
pub use value::{Answer, Value, VectorSample};
