//! How far an expression looks into the past: the time over which each of its selectors takes samples.

use super::syntax::ast::{At, Expr, ExprKind, Selector};
use super::syntax::expression::Expression;
use crate::model::Timestamp;

/// The time over which a selector of an expression takes samples, without the lookback of instant selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach<'a> {
    /// The text of the selector with its window.
    pub text: &'a str,
    /// The metric, where an equality fixes it.
    pub metric: Option<&'a str>,
    /// The earliest instant.
    pub from: Timestamp,
    /// The latest instant.
    pub to: Timestamp,
    /// Whether it has a window of its own, so that no lookback is added to it.
    pub is_window: bool,
}

/// The steps of a query, and the stretch in which an expression within it is evaluated.
#[derive(Clone, Copy)]
struct Times {
    query: (i64, i64),
    from: i64,
    to: i64,
}

impl Times {
    /// The stretch under an `@` and an `offset`, which begins earlier by a window.
    fn moved(self, at: Option<At>, offset_ms: i64, range_ms: i64) -> Self {
        let (from, to) = match at {
            None => (self.from, self.to),
            Some(At::Millis(at)) => (at, at),
            Some(At::Start) => (self.query.0, self.query.0),
            Some(At::End) => (self.query.1, self.query.1),
        };
        let from = from.saturating_sub(offset_ms).saturating_sub(range_ms);
        Self { from, to: to.saturating_sub(offset_ms), ..self }
    }
}

impl Expression {
    /// The time over which each selector takes samples in a query from its first step to its last, from left to right.
    pub fn reaches(&self, start: Timestamp, end: Timestamp) -> Vec<Reach<'_>> {
        let (start, end) = (start.as_millis(), end.as_millis());
        let mut found = Vec::new();
        self.reach(self.root(), Times { query: (start, end), from: start, to: end }, &mut found);
        found
    }

    /// How far it looks back from an instant, in milliseconds; `lookback_ms` is that of instant selectors. An `@` is
    /// left out, since it names a time of its own.
    pub fn looks_back_ms(&self, lookback_ms: i64) -> i64 {
        let zero = Timestamp::from_millis(0);
        let reaches = self.reaches(zero, zero).into_iter();
        let back = reaches.map(|reach| {
            let own = if reach.is_window { 0 } else { lookback_ms };
            own.saturating_sub(reach.from.as_millis())
        });
        back.max().unwrap_or(0).max(0)
    }

    fn reach<'a>(&'a self, node: &'a Expr, times: Times, found: &mut Vec<Reach<'a>>) {
        let mut add = |selector: &'a Selector, range_ms: Option<i64>| {
            let window = range_ms.unwrap_or(0);
            let times = times.moved(selector.at, selector.offset_ms, window);
            found.push(Reach {
                text: self.text().get(node.span.start..node.span.end).unwrap_or_default(),
                metric: selector.metric(),
                from: Timestamp::from_millis(times.from),
                to: Timestamp::from_millis(times.to),
                is_window: range_ms.is_some(),
            });
        };
        match &node.kind {
            ExprKind::Selector(selector) => add(selector, None),
            ExprKind::Range { selector, range_ms } => add(selector, Some(*range_ms)),
            ExprKind::Subquery(subquery) => {
                let times = times.moved(subquery.at, subquery.offset_ms, subquery.range_ms);
                self.reach(&subquery.expr, times, found);
            }
            _ => node.children().into_iter().for_each(|child| self.reach(child, times, found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(text: &str) -> Vec<(String, i64, i64)> {
        let expression = Expression::parse(text).expect("it is PromQL");
        let at = Timestamp::from_millis;
        let found = expression.reaches(at(1_000_000), at(2_000_000)).into_iter();
        found.map(|one| (one.text.to_owned(), one.from.as_millis(), one.to.as_millis())).collect()
    }

    #[test]
    fn windows_offsets_and_subqueries_add_up() {
        let one = |text: &str, from, to| vec![(text.to_owned(), from, to)];
        assert_eq!(reaches("up"), one("up", 1_000_000, 2_000_000));
        assert_eq!(reaches("rate(x[5m])"), one("x[5m]", 700_000, 2_000_000));
        assert_eq!(reaches("x[5m] offset 1m"), one("x[5m] offset 1m", 640_000, 1_940_000));
        assert_eq!(reaches("max_over_time(rate(x[1m])[5m:])"), one("x[1m]", 640_000, 2_000_000));
        assert_eq!(reaches("x @ 60"), one("x @ 60", 60_000, 60_000));
        assert_eq!(reaches("rate(x[1m] @ start())"), one("x[1m] @ start()", 940_000, 1_000_000));
        assert_eq!(reaches("a + sum_over_time(b[1m:]) > 1").len(), 2);
        assert_eq!(reaches("1 + 2"), []);
    }

    #[test]
    fn an_expression_looks_back_by_its_longest_window_or_the_lookback() {
        let back = |text: &str| Expression::parse(text).expect("PromQL").looks_back_ms(300_000);
        assert_eq!(back("up"), 300_000);
        assert_eq!(back("rate(x[1m])"), 60_000);
        assert_eq!(back("x offset 5m"), 600_000);
        assert_eq!(back("rate(x[10m]) > up"), 600_000);
        assert_eq!((back("1"), back("x offset -1h")), (0, 0));
    }
}
