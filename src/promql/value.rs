//! The result of a query: a value and the remarks on it.

use crate::model::{Labels, Sample, Series};
use crate::promql::annotations::Annotations;

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number at the instant of evaluation.
    Scalar(Sample),
    /// A string at an instant.
    String {
        /// The instant of evaluation.
        at: crate::model::Timestamp,
        /// The text of the string.
        text: String,
    },
    /// At most one value for each label set, all at the instant of evaluation, in the order in
    /// which Prometheus returns them: the order of `sort` and `topk` where they are the outermost
    /// call.
    Vector(Vec<VectorSample>),
    /// Series, ascending by labels, none of them empty.
    Matrix(Vec<Series>),
}

impl Value {
    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Vector(samples) => samples.is_empty(),
            Self::Matrix(series) => series.is_empty(),
            Self::Scalar(_) | Self::String { .. } => false,
        }
    }
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The labels that identify the element.
    pub labels: Labels,
    /// The value at the instant of evaluation.
    pub sample: Sample,
}

/// A result with what the user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result of the query.
    pub value: Value,
    /// The warnings and infos that Prometheus adds to the result.
    pub annotations: Annotations,
}
