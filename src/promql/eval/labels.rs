//! Functions that read or set labels, and the order in which labels sort.

use std::cmp::Ordering;

use super::call::Call;
use super::column::{Column, Metric, is_metadata};
use super::{Collision, Query};
use crate::model::{Comparison, Labels, is_label_name};
use crate::promql::error::EvalError;
use crate::promql::go_compat::{pdqsort, regexp};
use crate::promql::syntax::ast::{Expr, ExprKind};

/// The text of an argument that is a string literal.
pub fn text(expr: &Expr) -> &str {
    match &expr.unwrapped().kind {
        ExprKind::String(text) => text,
        _ => "",
    }
}

impl Query<'_> {
    pub(super) fn label_replace(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [vector, target, template, source, pattern] = call.first();
        let (target, template) = (text(target), text(template));
        let regex = regexp::anchored(text(pattern), self.options.dialect).map_err(|_| {
            let pattern = text(pattern);
            EvalError::Expression(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        self.check_label(target, "destination", "label_replace")?;
        let mut columns = self.vector(vector, call.steps)?;
        for column in &mut columns {
            let Some(found) = regex.captures(column.metric.get(text(source))) else { continue };
            let mut value = String::new();
            found.expand(template, &mut value);
            set_label(column, target, value);
        }
        self.merge(columns, Collision::Merges)
    }

    pub(super) fn label_join(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let ([vector, target, separator], sources) = call.first_and_rest();
        for source in sources {
            self.check_label(text(source), "source", "label_join")?;
        }
        self.check_label(text(target), "destination", "label_join")?;
        let mut columns = self.vector(vector, call.steps)?;
        for column in &mut columns {
            let values: Vec<&str> =
                sources.iter().map(|source| column.metric.get(text(source))).collect();
            let joined = values.join(text(separator));
            set_label(column, text(target), joined);
        }
        self.merge(columns, Collision::Merges)
    }

    /// Prometheus 3 takes any UTF-8 as a label's name, Prometheus 2 identifiers only.
    pub(super) fn check_label(&self, name: &str, role: &str, call: &str) -> Result<(), EvalError> {
        if self.allows_label(name) {
            return Ok(());
        }
        Err(EvalError::Expression(format!("invalid {role} label name in {call}(): {name}")))
    }

    pub(super) fn allows_label(&self, name: &str) -> bool {
        !name.is_empty() && (self.is_v3() || is_label_name(name))
    }
}

fn set_label(column: &mut Column, name: &str, value: String) {
    let mut pairs = column.metric.pairs(|known| known != name);
    if !value.is_empty() {
        pairs.push((name.to_owned(), value));
    }
    column.metric = Metric::from_pairs(pairs);
    if name == "__name__" {
        column.drop_name = false;
    }
}

/// The labels of the result of `absent`: those for which the selector has one equality matcher, and
/// no other matcher after it.
///
/// Prometheus 3 sorts the matchers, equalities first, where it selects from its head block, and then
/// takes them in that order; that is not imitated.
pub fn of_absent(expr: &Expr) -> Labels {
    let matchers = match &expr.unwrapped().kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => &selector.matchers,
        _ => return Labels::default(),
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| !is_metadata(&matcher.name)) {
        let known = seen.contains(&matcher.name.as_str());
        pairs.retain(|(name, _)| *name != matcher.name);
        if matcher.comparison == Comparison::Equal && !known {
            seen.push(&matcher.name);
            pairs.push((matcher.name.clone(), matcher.value.clone()));
        }
    }
    Labels::new(pairs).unwrap_or_default()
}

/// The direction in which labels are sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first label value to the last one.
    Ascending,
    /// From the last label value to the first one.
    Descending,
}

/// Sorts columns by the values of labels, digits by their number, then by all labels.
///
/// Prometheus's order contradicts itself on labels that are absent and on numbers with leading
/// zeros: there the steps of sorting decide.
pub fn sort_by_labels(columns: &mut [Column], names: &[&str], direction: Direction) {
    pdqsort::sort(columns, |a, b| stands_before(a, b, names, direction));
}

fn stands_before(a: &Column, b: &Column, names: &[&str], direction: Direction) -> bool {
    let texts = names.iter().map(|name| (a.metric.get(name), b.metric.get(name)));
    let ascending = direction == Direction::Ascending;
    match texts.into_iter().find(|(a, b)| a != b) {
        Some((a, b)) => precedes(a, b) == ascending,
        None => {
            let order = a.metric.iter().cmp(b.metric.iter());
            order == if ascending { Ordering::Less } else { Ordering::Greater }
        }
    }
}

/// Whether a text is before another one in natural order, as Prometheus's library `facette/natsort`
/// decides.
fn precedes(a: &str, b: &str) -> bool {
    let (left, right) = (chunks(a), chunks(b));
    for (place, x) in left.iter().enumerate() {
        let Some(y) = right.get(place) else { return false };
        let same = match (x.parse::<i64>(), y.parse::<i64>()) {
            (Ok(x), Ok(y)) if x != y => return x < y,
            (Ok(_), Ok(_)) => true,
            _ => x == y,
        };
        if !same {
            return x < y;
        }
        if place == left.len() - 1 {
            return true;
        }
    }
    false
}

fn chunks(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        found.push(&rest[..end]);
        rest = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_label_neither_precedes_nor_follows() {
        assert!(!precedes("", "1") && !precedes("1", ""));
        assert!(precedes("a2", "a10") && !precedes("a10", "a2"));
        assert!(precedes("01", "1") && precedes("1", "01"));
    }

    #[test]
    fn digits_precede_by_their_number() {
        assert!(precedes("tikv-9", "tikv-10") && !precedes("tikv-10", "tikv-9"));
        assert!(precedes("1.5", "1.10") && precedes("a", "b") && !precedes("b", "a"));
    }
}
