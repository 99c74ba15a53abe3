//! A quantity of a target, and how its samples were reduced.

use super::tail::is_of_seconds;
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
    /// The attempts that did not succeed, per second, where many did not.
    Unsuccessful,
    /// The observations of a histogram that took longer than a second, per second.
    Slow,
    /// The share of all observations of a step that took longer than a second, 0 to 1.
    SlowShare,
}

/// A quantity of a target over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// The metric; of a mean and of slow observations, the histogram's name without `_sum` and `_count`.
    pub metric: String,
    /// How samples became values.
    pub reading: Reading,
    /// The label and the value that its series share; `None` where it is the sum over all of them.
    pub label: Option<(String, String)>,
    /// The bound from which on an observation is slow, as the buckets' label has it; empty where none is meant.
    pub bound: String,
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
            Reading::Rate | Reading::Unsuccessful | Reading::Slow => "1/s",
            Reading::SlowShare => "",
            _ if self.is_in_seconds() => "seconds",
            _ => "",
        }
    }

    /// Whether its values are seconds.
    pub fn is_in_seconds(&self) -> bool {
        is_of_seconds(&self.metric) && matches!(self.reading, Reading::Level | Reading::Mean)
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
            Reading::Unsuccessful => {
                let succeeded = of.replacen("\"all\"", "\"success\"", 1);
                format!("sum(rate({metric}{of}{range})) - sum(rate({metric}{succeeded}{range}))")
            }
            Reading::Slow => self.slow_expression(&of, &range),
            Reading::SlowShare => {
                let all = format!("sum(rate({metric}_count{of}{range}))");
                format!("({}) / {all}", self.slow_expression(&of, &range))
            }
        }
    }

    /// The expression for the observations a second beyond its bound, of the series with the labels `of`.
    fn slow_expression(&self, of: &str, range: &str) -> String {
        let (metric, bound) = (&self.metric, &self.bound);
        let within = of.replacen('{', &format!("{{le={bound:?},"), 1);
        format!("sum(rate({metric}_count{of}{range})) - sum(rate({metric}_bucket{within}{range}))")
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
