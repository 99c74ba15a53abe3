//! What a query returns.

use crate::model::{Labels, Sample, Series};

use crate::promql::annotations::Annotations;

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Scalar(Sample),
    /// A string at an instant.
    String {
        /// The instant of evaluation.
        at: crate::model::Timestamp,
        /// The text.
        text: String,
    },
    /// At most one value for each label set, all at the instant of evaluation, in the order in
    /// which Prometheus returns them: that of `sort` and `topk` where they stand outermost.
    Vector(Vec<VectorSample>),
    /// Series, ascending by labels, none of them empty.
    Matrix(Vec<Series>),
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// What identifies it.
    pub labels: Labels,
    /// Its value.
    pub sample: Sample,
}

/// A result with what the user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// Warnings and infos.
    pub annotations: Annotations,
}
