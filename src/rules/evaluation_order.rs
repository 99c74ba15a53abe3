//! Decides whether each rule can be evaluated over all instants at once.
//!
//! A rule that reads only what earlier rules record can be evaluated over all instants, because
//! their samples are complete. If a rule reads what itself or a later rule records, and these
//! record anything, all rules have to be evaluated instant by instant.

use std::collections::BTreeSet;

use super::rule_file::{Rule, RuleFile, RuleGroup, RuleKind};
use crate::promql::{Dialect, MatcherCache, Selector};

/// Order of the evaluations of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationOrder {
    /// Rule by rule: each rule at all its instants, then the next rule.
    RuleByRule,
    /// Instant by instant: all rules at one instant, then the next instant.
    InstantByInstant,
}

/// Metrics that Prometheus records for alerts.
pub const ALERT_METRICS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// All rules, in the order of evaluation at one instant.
pub fn all_rules(files: &[RuleFile]) -> impl Iterator<Item = (&RuleFile, &RuleGroup, &Rule)> {
    files.iter().flat_map(|file| {
        let groups = file.groups.iter();
        groups.flat_map(move |group| group.rules.iter().map(move |rule| (file, group, rule)))
    })
}

/// Names of the metrics that a rule records.
pub fn recorded_metrics(rule: &Rule) -> Vec<&str> {
    match rule.kind {
        RuleKind::Recording => vec![&rule.name],
        RuleKind::Alert { .. } => ALERT_METRICS.to_vec(),
    }
}

/// Names of the metrics that the expressions of rules read, in the order of evaluation; a name may
/// be repeated.
pub fn metrics_read(files: &[RuleFile]) -> Vec<&str> {
    let selectors = all_rules(files).flat_map(|(_, _, rule)| rule.expression.selectors());
    let mut metrics: Vec<&str> = selectors.filter_map(Selector::metric).collect();
    metrics.dedup();
    metrics
}

/// The metrics that a rule may read although itself or a later rule records them. As long as these
/// have no series, rules can be evaluated rule by rule: a selector such as `{job="tikv"}` reads
/// `ALERTS` only where an alert is active.
pub fn fed_back<'f>(
    files: &'f [RuleFile],
    cache: &MatcherCache,
    dialect: Dialect,
) -> BTreeSet<&'f str> {
    let rules: Vec<&Rule> = all_rules(files).map(|(_, _, rule)| rule).collect();
    let (mut later, mut fed_back) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules.iter().rev() {
        later.extend(recorded_metrics(rule));
        let selectors = rule.expression.selectors();
        let reads = |name: &&&str| selectors.iter().any(|s| may_read(s, name, cache, dialect));
        fed_back.extend(later.iter().filter(reads));
    }
    fed_back
}

fn may_read(selector: &Selector, name: &str, cache: &MatcherCache, dialect: Dialect) -> bool {
    if let Some(metric) = selector.metric() {
        return metric == name;
    }
    // A selector that cannot be compiled fails later, when it is evaluated.
    let Ok(matchers) = cache.matchers(&selector.matchers, dialect) else { return false };
    matchers.iter().filter(|matcher| matcher.name == "__name__").all(|m| m.accepts(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(rules: &str) -> EvaluationOrder {
        let text = format!("groups: [{{name: g, rules: [{rules}]}}]");
        let files = [RuleFile::parse("r", &text).expect("it is a rule file")];
        match fed_back(&files, &MatcherCache::default(), Dialect::V3).is_empty() {
            true => EvaluationOrder::RuleByRule,
            false => EvaluationOrder::InstantByInstant,
        }
    }

    #[test]
    fn only_what_reads_itself_or_later_rules_is_walked_instant_by_instant() {
        let (first, second) = ("{record: a, expr: up}", "{alert: B, expr: a > 0}");
        assert_eq!(order_of(&format!("{first}, {second}")), EvaluationOrder::RuleByRule);
        assert_eq!(order_of(&format!("{second}, {first}")), EvaluationOrder::InstantByInstant);
        assert_eq!(
            order_of("{record: n, expr: n offset 1m + 1 or up}"),
            EvaluationOrder::InstantByInstant
        );
        assert_eq!(
            order_of("{alert: A, expr: count(ALERTS) > 3}"),
            EvaluationOrder::InstantByInstant
        );
        assert_eq!(
            order_of("{alert: A, expr: 'count({job=\"x\"}) > 3'}"),
            EvaluationOrder::InstantByInstant
        );
        assert_eq!(
            order_of("{alert: A, expr: '{__name__=~\"u.*\"} > 3'}"),
            EvaluationOrder::RuleByRule
        );
    }
}
