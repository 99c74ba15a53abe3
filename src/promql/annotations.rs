//! Warnings and infos on a result, with the texts of Prometheus.

use std::collections::BTreeSet;

use super::error::place;
use crate::promql::syntax::ast::Span;

/// What a user should know about a result. Each text once, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

/// Annotations kept of each kind; more would only repeat the same remark for other series.
const KEPT: usize = 10;

impl Annotations {
    /// Remarks on a result that is likely not what was meant.
    pub fn warnings(&self) -> impl ExactSizeIterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }

    /// Remarks on an expression that may not be what was meant.
    pub fn infos(&self) -> impl ExactSizeIterator<Item = &str> {
        self.infos.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.infos.is_empty()
    }

    /// Adds an info of the caller's own, such as what the storage lacks.
    pub fn inform(&mut self, info: String) {
        self.infos.insert(info);
    }

    pub(super) fn add(&mut self, text: &str, remark: &Remark, span: Span) {
        let (line, column) = place(text, span.start);
        let message = format!("{} ({line}:{column})", remark.message());
        let set = if remark.is_warning() { &mut self.warnings } else { &mut self.infos };
        set.insert(message);
        if set.len() > KEPT {
            set.pop_last();
        }
    }
}

/// A warning or an info that a query over float samples can cause.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Remark {
    InvalidQuantile(f64),
    InvalidRatio { found: f64, used: f64 },
    BadBucketLabel { value: String, metric: String },
    PossibleNonCounter(String),
    SortInRangeQuery,
    ForcedMonotonicity { from: f64, to: f64, largest: f64 },
}

impl Remark {
    fn is_warning(&self) -> bool {
        !matches!(self, Self::PossibleNonCounter(_) | Self::ForcedMonotonicity { .. })
    }

    fn message(&self) -> String {
        match self {
            Self::InvalidQuantile(found) => format!(
                "PromQL warning: quantile value should be between 0 and 1, got {}",
                crate::promql::go_compat::number::short(*found)
            ),
            Self::InvalidRatio { found, used } => format!(
                "PromQL warning: ratio value should be between -1 and 1, got {}, capping to {}",
                crate::promql::go_compat::number::short(*found),
                crate::promql::go_compat::number::short(*used)
            ),
            Self::BadBucketLabel { value, metric } => {
                let of = if metric.is_empty() {
                    String::new()
                } else {
                    format!(" for metric name {metric:?}")
                };
                format!(
                    "PromQL warning: bucket label \"le\" is missing or has a malformed value of {value:?}{of}"
                )
            }
            Self::PossibleNonCounter(metric) => format!(
                "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
            ),
            Self::SortInRangeQuery => {
                "PromQL warning: sort is ineffective for range queries since results are always ordered by labels"
                    .to_owned()
            }
            Self::ForcedMonotonicity { from, to, largest } => format!(
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets {} to {}, with a max diff of {}",
                crate::promql::go_compat::number::short(*from),
                crate::promql::go_compat::number::short(*to),
                crate::promql::go_compat::number::short(*largest)
            ),
        }
    }
}
