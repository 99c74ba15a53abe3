//! How long before a window samples are needed, so that rules are right from its first instant on.

use super::bundled::bundled;
use super::evaluation_order::all_rules;
use super::rule_file::{Rule, RuleKind};

/// The lookback of instant selectors, as in Prometheus by default, in milliseconds.
const LOOKBACK_MS: i64 = 300_000;
/// The longest run-in, in milliseconds: rules that look back over a day would take a day's samples with every hour.
const LONGEST_MS: i64 = 3_600_000;

/// How long before a window the bundled rules look back, in milliseconds: over the longest window and as long as an
/// alert is pending, but for rules that look back for longer than an hour. Dashboards look back for less.
pub fn run_in_ms() -> i64 {
    let files = bundled();
    let back = all_rules(&files).map(|(.., rule)| looks_back_ms(rule));
    back.filter(|back| *back <= LONGEST_MS).max().unwrap_or(LOOKBACK_MS)
}

/// How long before an instant a rule looks back, with the time for which its alert is pending.
fn looks_back_ms(rule: &Rule) -> i64 {
    rule.expression.looks_back_ms(LOOKBACK_MS) + pending_ms(rule)
}

/// How long the alert of a rule is pending, in milliseconds.
pub(super) fn pending_ms(rule: &Rule) -> i64 {
    match rule.kind {
        RuleKind::Recording => 0,
        RuleKind::Alert { for_ms, .. } => for_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_rules_look_back_for_minutes() {
        let minutes = run_in_ms() / 60_000;
        assert!((11..=30).contains(&minutes), "{minutes} min");
    }
}
