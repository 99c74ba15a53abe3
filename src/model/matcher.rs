//! Conditions on labels.

use super::labels::Labels;

/// How a matcher compares.
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

/// One condition on a label; an absent label has the empty value.
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
