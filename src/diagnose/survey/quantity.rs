//! A quantity of a target, and how its samples were reduced.

use crate::diagnose::observations::tracks::Point;
use crate::model::{Labels, TimeRange};

/// How samples became a value of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// The sum over the series of the last value in the step.
    Level,
    /// The increase of the counters, per second.
    Rate,
    /// The increase of a histogram's sum divided by that of its count.
    Mean,
}

/// A quantity of a target over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// The metric; of a mean, the histogram's name without `_sum` and `_count`.
    pub metric: String,
    /// How samples became values.
    pub reading: Reading,
    /// The label and the value that its series share; `None` where it is the sum over all of them.
    pub label: Option<(String, String)>,
    /// A value for each step of the grid, NaN where there is none; empty where it was zero from first to last.
    pub values: Vec<f64>,
}

impl Quantity {
    /// Whether every sample was zero.
    pub fn is_zero(&self) -> bool {
        self.values.is_empty()
    }

    /// The metric with the label that its series share, as a selector of PromQL without the target.
    pub fn name(&self) -> String {
        match &self.label {
            Some((name, value)) => format!("{}{{{name}={value:?}}}", self.metric),
            None => self.metric.clone(),
        }
    }

    /// The unit of its values, as far as its name and its reading say it.
    pub fn unit(&self) -> &'static str {
        match self.reading {
            Reading::Rate => "1/s",
            _ if self.is_in_seconds() => "seconds",
            _ => "",
        }
    }

    /// Whether its values are seconds.
    pub fn is_in_seconds(&self) -> bool {
        let named = ["seconds", "secs"].iter().any(|unit| self.metric.contains(unit));
        named && self.reading != Reading::Rate
    }

    /// The expression of PromQL that shows it at one target.
    pub fn expression(&self, instance: &str, step_ms: i64) -> String {
        let label = self.label.as_ref().map(|(name, value)| format!("{name}={value:?},"));
        let of = format!("{{{}instance={instance:?}}}", label.unwrap_or_default());
        let (metric, range) = (&self.metric, format!("[{}s]", 2 * step_ms / 1000));
        match self.reading {
            Reading::Level => format!("sum({metric}{of})"),
            Reading::Rate => format!("sum(rate({metric}{of}{range}))"),
            Reading::Mean => {
                format!("sum(rate({metric}_sum{of}{range})) / sum(rate({metric}_count{of}{range}))")
            }
        }
    }
}

/// The quantities of one target.
#[derive(Clone, Debug)]
pub struct SurveyedTarget {
    /// The labels of one of its series, which include those of the target.
    pub example: Labels,
    /// Ascending by metric, reading and label.
    pub quantities: Vec<Quantity>,
}

/// A value that holds over a step.
pub(super) fn point(range: TimeRange, value: f64) -> Point {
    Point { since: range.start, at: range.end, value }
}
