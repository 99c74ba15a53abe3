//! Whether each rule can be evaluated over all instants at once.
//!
//! A rule that reads only what rules before it record may be: at each instant their samples are
//! there already. Where one reads what itself or a later rule records, all rules have to be walked
//! instant by instant.

use std::collections::BTreeSet;

use super::file::{Group, Rule, RuleFile, RuleKind};
use crate::promql::{Dialect, MatcherCache, Selector};

/// How rules are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Rule by rule, each over all instants.
    RuleByRule,
    /// Instant by instant, all rules at each.
    InstantByInstant,
}

/// Metrics that alerts record.
pub const ALERT_METRICS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// All rules, in the order of evaluation at one instant.
pub fn all(files: &[RuleFile]) -> impl Iterator<Item = (&RuleFile, &Group, &Rule)> {
    files.iter().flat_map(|file| {
        let groups = file.groups.iter();
        groups.flat_map(move |group| group.rules.iter().map(move |rule| (file, group, rule)))
    })
}

/// The metrics that a rule records.
pub fn records(rule: &Rule) -> Vec<&str> {
    match rule.kind {
        RuleKind::Recording => vec![&rule.name],
        RuleKind::Alert { .. } => ALERT_METRICS.to_vec(),
    }
}

/// The metrics that expressions of rules name, in the order in which the rules are evaluated.
pub fn reads(files: &[RuleFile]) -> Vec<&str> {
    let selectors = all(files).flat_map(|(_, _, rule)| rule.expression.selectors());
    let mut metrics: Vec<&str> = selectors.filter_map(Selector::metric).collect();
    metrics.dedup();
    metrics
}

/// The order that these rules need.
pub fn order(files: &[RuleFile], cache: &MatcherCache, dialect: Dialect) -> Order {
    let rules: Vec<&Rule> = all(files).map(|(_, _, rule)| rule).collect();
    let mut later: BTreeSet<&str> = BTreeSet::new();
    for rule in rules.iter().rev() {
        later.extend(records(rule));
        let selectors = rule.expression.selectors();
        let reads = |name: &&str| selectors.iter().any(|s| may_read(s, name, cache, dialect));
        if later.iter().any(reads) {
            return Order::InstantByInstant;
        }
    }
    Order::RuleByRule
}

fn may_read(selector: &Selector, name: &str, cache: &MatcherCache, dialect: Dialect) -> bool {
    if let Some(metric) = selector.metric() {
        return metric == name;
    }
    // What cannot be compiled fails when it is evaluated.
    let Ok(matchers) = cache.matchers(&selector.matchers, dialect) else { return false };
    matchers.iter().filter(|matcher| matcher.name == "__name__").all(|m| m.accepts(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(rules: &str) -> Order {
        let text = format!("groups: [{{name: g, rules: [{rules}]}}]");
        let file = RuleFile::parse("r", &text).expect("it is a rule file");
        order(&[file], &MatcherCache::default(), Dialect::V3)
    }

    #[test]
    fn only_what_reads_itself_or_later_rules_is_walked_instant_by_instant() {
        let (first, second) = ("{record: a, expr: up}", "{alert: B, expr: a > 0}");
        assert_eq!(order_of(&format!("{first}, {second}")), Order::RuleByRule);
        assert_eq!(order_of(&format!("{second}, {first}")), Order::InstantByInstant);
        assert_eq!(order_of("{record: n, expr: n offset 1m + 1 or up}"), Order::InstantByInstant);
        assert_eq!(order_of("{alert: A, expr: count(ALERTS) > 3}"), Order::InstantByInstant);
        assert_eq!(order_of("{alert: A, expr: 'count({job=\"x\"}) > 3'}"), Order::InstantByInstant);
        assert_eq!(order_of("{alert: A, expr: '{__name__=~\"u.*\"} > 3'}"), Order::RuleByRule);
    }
}
