//! PromQL over series, with Prometheus's own answers.
//!
//! Knows nothing of where series live: a [`Storage`] hands them out, so that a capture, a live tick
//! and a test share the evaluator. Covers float samples; native histograms are refused by name.

mod annotation;
#[cfg(test)]
mod answers;
mod api;
mod ast;
mod check;
mod duration;
mod engine;
mod error;
mod eval;
mod lexer;
mod newer;
mod notation;
mod number;
mod parser;
mod pattern;
mod signature;
mod storage;
mod transcendental;
mod value;

pub use annotation::Annotations;
pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Cardinality, Comparison, Condition, Expr,
    ExprKind, Grouping, Matching, Reach, Selector, Span, Subquery, ValueType,
};
pub use engine::{Dialect, Engine, EngineOptions, Expression, Limits, NameRemoval};
pub use error::{EvalError, ParseError, StorageError};
pub use notation::{parse_labels, parse_series, parse_values as parse_series_values};
pub use number::{almost_equal, api as format_value, short as format_short};
pub use parser::{MAX_BYTES, MAX_DEPTH, parse_selector};
pub use pattern::MatcherCache;
pub use signature::{FUNCTIONS, Signature, function};
pub use storage::{MemoryStorage, SeriesSet, Storage};
pub use value::{Answer, Value, VectorSample};
