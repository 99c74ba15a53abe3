//! Why an expression could not be read or evaluated.

use crate::model::Timestamp;

/// An expression's text is not PromQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// Line of the text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there, in the words of Prometheus.
    pub message: String,
}

impl ParseError {
    pub(super) fn at(text: &str, position: usize, message: impl Into<String>) -> Self {
        let (line, column) = place(text, position);
        Self { line, column, message: message.into() }
    }
}

/// Line and column, both from 1, of a byte of the text.
pub(super) fn place(text: &str, position: usize) -> (usize, usize) {
    let mut end = position.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// An expression could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The series could not be read.
    #[error("cannot read series")]
    Storage(#[from] StorageError),
    /// The expression does not suit the data or the query.
    #[error("{0}")]
    Expression(String),
    /// More samples than [`Limits::samples`](super::Limits) at once.
    #[error(
        "query processing would load too many samples into memory in query execution (limit {0})"
    )]
    TooManySamples(usize),
    /// More samples looked at than [`Limits::work`](super::Limits) allows.
    #[error("the query would look at more than {0} samples: narrow its windows, steps or series")]
    TooMuchWork(u64),
    /// More steps than [`Limits::steps`](super::Limits).
    #[error(
        "exceeded maximum resolution of {limit} points per timeseries: {steps} steps from {start} to {end}; use a longer step"
    )]
    TooManySteps {
        /// How many steps the query asks for.
        steps: u64,
        /// How many steps [`Limits::steps`](super::Limits) allows.
        limit: usize,
        /// The instant of the first step.
        start: Timestamp,
        /// The end of the queried range, inclusive.
        end: Timestamp,
    },
    /// The query's deadline passed.
    #[error("query timed out in expression evaluation")]
    Interrupted,
    /// A range query with an end before its start, or a step that is not positive.
    #[error("{0}")]
    BadRange(&'static str),
    /// A part of PromQL that is known and not supported, such as native histograms.
    #[error("{0} is not supported")]
    Unsupported(String),
}

/// Why a storage could not return series.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;
