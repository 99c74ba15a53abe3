//! Conditions on labels: as text, and compiled.

use std::fmt;

use super::labels::{Labels, is_label_name};

/// How a matcher compares, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `=`: the label has this value.
    Equal,
    /// `!=`: the label has another value.
    NotEqual,
    /// `=~`: the regular expression matches the whole value.
    Regex,
    /// `!~`: the regular expression does not match the whole value.
    NotRegex,
}

impl Comparison {
    /// The operator in PromQL, such as `=~`.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One condition on one label as it is written in a selector: what is sent to a server, and what
/// PromQL's parser reads.
///
/// It is no [`LabelMatcher`], which is evaluated here and holds a compiled regular expression. Which
/// expression the text stands for depends on who reads it: a server may accept what this program
/// cannot compile, and the two generations of Prometheus differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatcherText {
    /// The name of the label; `__name__` for the metric.
    pub name: String,
    /// How the label's value is compared with `value`.
    pub comparison: Comparison,
    /// A value, or a regular expression without anchors, in RE2's notation.
    pub value: String,
}

impl fmt::Display for MatcherText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = self.comparison.operator();
        if is_label_name(&self.name) {
            write!(f, "{}{comparison}{:?}", self.name, self.value)
        } else {
            write!(f, "{:?}{comparison}{:?}", self.name, self.value)
        }
    }
}

/// How a compiled matcher compares.
#[derive(Clone, Debug)]
pub enum MatchOp {
    /// The value is the same: `=`.
    Equal,
    /// The value is another one: `!=`.
    NotEqual,
    /// `=~`, anchored by whoever built the expression
    Regex(regex::Regex),
    /// `!~`, anchored by whoever built the expression
    NotRegex(regex::Regex),
}

/// One condition on a label, ready to be evaluated; an absent label has the empty value.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    /// The label's name.
    pub name: String,
    /// How the value is compared.
    pub op: MatchOp,
    /// The operand of `=` and `!=`.
    pub value: String,
}

impl LabelMatcher {
    /// The matcher `name="value"`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned() }
    }

    /// Whether the label set meets the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.name).unwrap_or_default())
    }

    /// Whether a label of this value meets the condition.
    pub fn accepts(&self, value: &str) -> bool {
        match &self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex(pattern) => pattern.is_match(value),
            MatchOp::NotRegex(pattern) => !pattern.is_match(value),
        }
    }
}
