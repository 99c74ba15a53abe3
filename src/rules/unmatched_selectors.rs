//! Finds selectors of an expression that match no series, and whether the expression can yield
//! anything without them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Comparison, MatcherText};
use crate::model::{LabelMatcher, TimeRange, similar_names};
use crate::promql::{
    Binary, BinaryOp, Dialect, Expr, ExprKind, Function, MatcherCache, Selector, SeriesSet,
    Storage, StorageError,
};

/// Most names that are suggested for an unknown one.
const SUGGESTIONS: usize = 3;
/// What names of counters, and of the parts of a histogram, end with.
const COUNTERS: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];
/// Why a counter may be absent although nothing is wrong.
const FIRST_EVENT: &str = "it appears with its first event, so none came, or the release lacks it";
/// Least similarity of a suggestion (normalized Damerau–Levenshtein, 0 to 1).
const LIKENESS: f64 = 0.8;

/// A selector that matches no series, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnmatchedSelector {
    /// Text of the selector in the expression.
    pub selector: String,
    /// What is absent, for people to read: a metric, a label, or a value of a label.
    pub why: String,
    /// A suggestion of what may have been meant, if there is a similar name.
    pub hint: Option<String>,
}

/// The series against which selectors are checked.
pub struct AvailableSeries<'a> {
    /// Storage that is searched for series.
    pub storage: &'a dyn Storage,
    /// Names of all metrics, from which suggestions are made.
    pub metrics: &'a [String],
    /// Range of time in which a series needs a sample.
    pub window: TimeRange,
    /// Cache of compiled matchers.
    pub cache: &'a MatcherCache,
    /// Version of Prometheus whose regular expressions are used.
    pub dialect: Dialect,
}

/// Selectors that match no series, by the byte offset at which each begins in `text`.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read.
pub fn find_unmatched(
    root: &Expr,
    text: &str,
    known: &AvailableSeries<'_>,
) -> Result<BTreeMap<usize, UnmatchedSelector>, StorageError> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root];
    while let Some(node) = waiting.pop() {
        waiting.extend(node.children());
        let (ExprKind::Selector(selector) | ExprKind::Range { selector, .. }) = &node.kind else {
            continue;
        };
        let written = &text[node.span.start..node.span.end];
        if let Some(missing) = known.missing(selector, written)? {
            found.insert(node.span.start, missing);
        }
    }
    Ok(found)
}

/// Whether an expression yields nothing at all instants, given the selectors that match nothing.
///
/// Only presence is considered: a comparison that is never true is not detected.
pub fn cannot_yield(node: &Expr, missing: &BTreeMap<usize, UnmatchedSelector>) -> bool {
    let cannot = |node: &Expr| cannot_yield(node, missing);
    match &node.kind {
        ExprKind::Number(_) | ExprKind::String(_) => false,
        ExprKind::Selector(_) | ExprKind::Range { .. } => missing.contains_key(&node.span.start),
        ExprKind::Subquery(subquery) => cannot(&subquery.expr),
        ExprKind::Negate(inner) | ExprKind::Paren(inner) => cannot(inner),
        // These yield something just where their operand does not, or always.
        ExprKind::Call {
            function:
                Function::Absent | Function::AbsentOverTime | Function::Scalar | Function::Vector,
            ..
        } => false,
        ExprKind::Call { args, .. } => args.iter().any(cannot),
        ExprKind::Aggregate(aggregate) => cannot(&aggregate.expr),
        ExprKind::Binary(binary) => binary_cannot(binary, cannot),
    }
}

fn binary_cannot(binary: &Binary, cannot: impl Fn(&Expr) -> bool) -> bool {
    let (left, right) = (cannot(&binary.left), cannot(&binary.right));
    match binary.op {
        BinaryOp::Or => left && right,
        BinaryOp::Unless => left,
        _ => {
            let matching = &binary.matching;
            let left_filled = matching.fill_left.is_some() && !right;
            let right_filled = matching.fill_right.is_some() && !left;
            (left && !left_filled) || (right && !right_filled)
        }
    }
}

impl AvailableSeries<'_> {
    fn missing(
        &self,
        selector: &Selector,
        written: &str,
    ) -> Result<Option<UnmatchedSelector>, StorageError> {
        let matchers = self.cache.matchers(&selector.matchers, self.dialect)?;
        if !self.present(&matchers)?.is_empty() {
            return Ok(None);
        }
        let (why, hint) = match selector.metric() {
            None => ("no series matches".to_owned(), None),
            Some(metric) => {
                let series = self.present(&[LabelMatcher::equal("__name__", metric)])?;
                if series.is_empty() {
                    let why = match self.may_appear(metric) {
                        true => format!("no metric {metric}: {FIRST_EVENT}"),
                        false => format!("no metric {metric}"),
                    };
                    (why, self.metric_hint(metric))
                } else {
                    self.label(metric, &series, &selector.matchers)?
                }
            }
        };
        Ok(Some(UnmatchedSelector { selector: written.to_owned(), why, hint }))
    }

    fn present(&self, matchers: &[LabelMatcher]) -> Result<SeriesSet, StorageError> {
        let mut series = self.storage.select(matchers, self.window)?;
        series.retain(|series| series.samples.iter().any(|s| self.window.contains(s.at)));
        Ok(series)
    }

    /// Whether a metric counts, by its name, and others of the same program are there: of a counter with labels, no
    /// series is there before its first event.
    fn may_appear(&self, metric: &str) -> bool {
        let program = metric.split_inclusive('_').next().unwrap_or(metric);
        COUNTERS.iter().any(|end| metric.ends_with(end))
            && self.metrics.iter().any(|known| known.starts_with(program))
    }

    fn metric_hint(&self, metric: &str) -> Option<String> {
        suggestion(metric, self.metrics.iter().map(String::as_str))
    }

    /// Explains which condition on a label is met by no series of the metric.
    fn label(
        &self,
        metric: &str,
        series: &SeriesSet,
        conditions: &[MatcherText],
    ) -> Result<(String, Option<String>), StorageError> {
        for condition in conditions.iter().filter(|condition| condition.name != "__name__") {
            let name = &condition.name;
            let values: BTreeSet<&str> =
                series.iter().filter_map(|series| series.labels.get(name)).collect();
            let matchers = self.cache.matchers(std::slice::from_ref(condition), self.dialect)?;
            if series.iter().any(|series| matchers.iter().all(|m| m.matches(&series.labels))) {
                continue;
            }
            if values.is_empty() {
                return Ok((format!("{metric} has no label {name}"), None));
            }
            let hint = self.value_hint(condition, &values);
            return Ok((format!("{metric} has no {condition}"), hint));
        }
        Ok((format!("no series of {metric} meets all conditions at once"), None))
    }

    fn value_hint(&self, condition: &MatcherText, values: &BTreeSet<&str>) -> Option<String> {
        if condition.comparison == Comparison::Equal {
            let meant = MatcherText { comparison: Comparison::Regex, ..condition.clone() };
            let matchers = self.cache.matchers(&[meant], self.dialect).ok()?;
            let matched = values.iter().find(|value| matchers.iter().all(|m| m.accepts(value)));
            if let Some(matched) = matched {
                return Some(format!("= compares whole texts; =~ would match {matched:?}"));
            }
        }
        suggestion(&condition.value, values.iter().copied())
    }
}

fn suggestion<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let names = similar_names(wanted, known, |_| LIKENESS, SUGGESTIONS);
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Labels, Sample, Series, Timestamp};
    use crate::promql::{Expression, MemoryStorage};

    fn judged(text: &str) -> (bool, Vec<String>) {
        let at = Timestamp::from_millis(1_000);
        let series = |pairs: &[(&str, &str)]| {
            let labels = Labels::from_pairs(pairs);
            Arc::new(Series { labels, samples: vec![Sample { at, value: 1.0 }] })
        };
        let storage = MemoryStorage::new([
            series(&[("__name__", "threads"), ("name", "apply_0")]),
            series(&[("__name__", "regions"), ("type", "miss-peer-region-count")]),
        ]);
        let known = AvailableSeries {
            storage: &storage,
            metrics: &["regions", "threads", "tikv_uptime"].map(str::to_owned),
            window: TimeRange::ALL,
            cache: &MatcherCache::default(),
            dialect: Dialect::V3,
        };
        let expression = Expression::parse(text).expect("it parses");
        let found = find_unmatched(expression.root(), text, &known).expect("memory never fails");
        let told = |missing: &UnmatchedSelector| match &missing.hint {
            Some(hint) => format!("{}; {hint}", missing.why),
            None => missing.why.clone(),
        };
        let told = found.values().map(told).collect();
        (cannot_yield(expression.root(), &found), told)
    }

    #[test]
    fn what_is_missing_is_named_and_what_was_meant() {
        for (text, expected) in [
            ("rate(thread[1m])", "no metric thread; did you mean threads?"),
            (
                "regions{type=\"miss_peer_region_count\"} > 0",
                "regions has no type=\"miss_peer_region_count\"; did you mean miss-peer-region-count?",
            ),
            (
                "threads{name=\"apply_.*\"} > 0.9",
                "threads has no name=\"apply_.*\"; = compares whole texts; =~ would match \"apply_0\"",
            ),
            ("threads{pool=\"a\"} > 0", "threads has no label pool"),
            // Of a program that is there, a counter may only have counted nothing.
            ("rate(region_errors_total[1m]) > 0", "no metric region_errors_total"),
            (
                "rate(tikv_errors_total[1m]) > 0",
                "no metric tikv_errors_total: it appears with its first event, so none came, \
                 or the release lacks it",
            ),
            ("tikv_errors > 0", "no metric tikv_errors"),
        ] {
            assert_eq!(judged(text), (true, vec![expected.to_owned()]), "{text}");
        }
    }

    #[test]
    fn an_expression_yields_nothing_only_where_it_needs_what_is_missing() {
        for (text, cannot) in [
            ("threads or nothing", false),
            ("nothing or threads", false),
            ("nothing or none", true),
            ("threads unless nothing", false),
            ("nothing unless threads", true),
            ("threads and nothing", true),
            ("threads / on () nothing", true),
            ("absent(nothing)", false),
            ("sum(absent_over_time(nothing[5m])) > 0", false),
            ("scalar(nothing) > bool 0", false),
            ("vector(1) > 0", false),
            ("max_over_time(rate(nothing[1m])[5m:1m]) > 0", true),
            ("histogram_quantile(0.9, sum by (le) (rate(nothing[1m]))) > 1", true),
            ("-(nothing)", true),
            ("threads > 5", false),
        ] {
            assert_eq!(judged(text).0, cannot, "{text}");
        }
    }
}
