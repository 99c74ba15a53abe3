//! Functions on labels.

use std::cmp::Ordering;

use super::super::ast::{Comparison, Expr, ExprKind};
use super::super::engine::Dialect;
use super::super::error::EvalError;
use super::super::pattern;
use super::column::{Column, Metric, is_metadata};
use super::{Collision, Query, Steps};
use crate::model::Labels;

/// The text of an argument that is a string literal.
pub fn text(expr: &Expr) -> &str {
    match &expr.unwrapped().kind {
        ExprKind::String(text) => text,
        _ => "",
    }
}

impl Query<'_> {
    pub(super) fn label_replace(
        &self,
        args: &[Expr],
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let [vector, target, template, source, pattern] = args else {
            return Err(EvalError::Expression("label_replace() takes five arguments".to_owned()));
        };
        let (target, template) = (text(target), text(template));
        let regex = pattern::anchored(text(pattern), self.options.dialect).map_err(|_| {
            let pattern = text(pattern);
            EvalError::Expression(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        self.check_label(target, "destination", "label_replace")?;
        let mut columns = self.vector(vector, steps)?;
        for column in &mut columns {
            let Some(found) = regex.captures(column.metric.get(text(source))) else { continue };
            let mut value = String::new();
            found.expand(template, &mut value);
            set_label(column, target, value);
        }
        self.merge(columns, Collision::Merges)
    }

    pub(super) fn label_join(&self, args: &[Expr], steps: Steps) -> Result<Vec<Column>, EvalError> {
        let [vector, target, separator, sources @ ..] = args else {
            return Err(EvalError::Expression("label_join() takes three arguments".to_owned()));
        };
        for source in sources {
            self.check_label(text(source), "source", "label_join")?;
        }
        self.check_label(text(target), "destination", "label_join")?;
        let mut columns = self.vector(vector, steps)?;
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
        if self.is_label_name(name) {
            return Ok(());
        }
        Err(EvalError::Expression(format!("invalid {role} label name in {call}(): {name}")))
    }

    pub(super) fn is_label_name(&self, name: &str) -> bool {
        let starts = |c: char| c == '_' || c.is_ascii_alphabetic();
        !name.is_empty()
            && (self.is_v3()
                || (name.starts_with(starts)
                    && name.chars().all(|c| starts(c) || c.is_ascii_digit())))
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

/// Labels of what `absent` found missing: those that its selector fixes by one equality. Prometheus 3
/// leaves out those that it asks anything else of, 2 only where that comes after the equality.
pub fn of_absent(expr: &Expr, dialect: Dialect) -> Labels {
    let conditions = match &expr.unwrapped().kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => &selector.conditions,
        _ => return Labels::default(),
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for condition in conditions.iter().filter(|condition| !is_metadata(&condition.name)) {
        let known = seen.contains(&condition.name.as_str());
        let equal = condition.comparison == Comparison::Equal;
        pairs.retain(|(name, _)| *name != condition.name);
        if equal && !known {
            pairs.push((condition.name.clone(), condition.value.clone()));
        }
        if equal || dialect == Dialect::V3 {
            seen.push(&condition.name);
        }
    }
    Labels::new(pairs).unwrap_or_default()
}

/// Orders metrics by the values of labels, digits by their number, then by all labels.
pub fn by_labels(a: &Column, b: &Column, names: &[&str]) -> Ordering {
    for name in names {
        match natural(a.metric.get(name), b.metric.get(name)) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    a.metric.iter().cmp(b.metric.iter())
}

/// Compares texts chunk by chunk, runs of digits by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (chunks(a).into_iter(), chunks(b).into_iter());
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                _ => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
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
    fn digits_sort_by_their_number() {
        assert_eq!(natural("tikv-9", "tikv-10"), Ordering::Less);
        assert_eq!(natural("1.5", "1.10"), Ordering::Less);
        assert_eq!(natural("a", "b"), Ordering::Less);
    }
}
