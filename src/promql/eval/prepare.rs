//! Preparation of a query: which nodes do not depend on the step, and which series are needed.

use std::collections::HashMap;
use std::sync::Mutex;

use super::budget::Budget;
use super::{Period, Query, info};
use crate::model::{MatcherText, TimeRange, Timestamp};
use crate::promql::annotations::Annotations;
use crate::promql::error::EvalError;
use crate::promql::eval::engine::Engine;
use crate::promql::storage::Storage;
use crate::promql::syntax::ast::{At, Expr, ExprKind, RangeExtension, Selector};
use crate::promql::syntax::expression::Expression;
use crate::promql::syntax::functions::Function;

/// Whether evaluating a node once for all steps saves work.
pub fn worth_evaluating_once(expr: &Expr) -> bool {
    !matches!(expr.kind, ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Paren(_))
}

/// Whether a node has the same value at every step, because an `@` modifier fixes its instant.
pub fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => selector.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
        ExprKind::Negate(inner) | ExprKind::Paren(inner) => is_step_invariant(inner),
        // As in Prometheus, the parameter does not count.
        ExprKind::Aggregate(aggregate) => is_step_invariant(&aggregate.expr),
        ExprKind::Binary(binary) => {
            is_step_invariant(&binary.left) && is_step_invariant(&binary.right)
        }
        ExprKind::Call { function, args } if *function == Function::Timestamp => {
            let selects = |arg: &Expr| matches!(arg.unwrapped().kind, ExprKind::Selector(_));
            args.iter().all(|arg| selects(arg) && is_step_invariant(arg))
        }
        ExprKind::Call { function, args } => {
            !function.signature().depends_on_step && args.iter().all(is_step_invariant)
        }
    }
}

impl<'a> Query<'a> {
    /// Selects the series of every selector, each set of matchers once.
    pub fn prepare(
        engine: &'a Engine,
        expression: &'a Expression,
        storage: &dyn Storage,
        Period { steps, span_ms }: Period,
    ) -> Result<Self, EvalError> {
        let (options, cache) = (engine.options(), engine.matchers());
        let mut query = Self {
            options,
            text: expression.text(),
            steps,
            span_ms,
            series: HashMap::new(),
            infos: HashMap::new(),
            annotations: Mutex::new(Annotations::default()),
            budget: Budget::new(options),
        };
        let mut needs = Vec::new();
        query.needs(expression.root(), (steps.start, steps.end()), &mut needs);
        let mut ranges: Vec<(Vec<MatcherText>, TimeRange, Vec<usize>)> = Vec::new();
        for Need { place, mut parsed, names, range } in needs {
            if !names.is_empty() {
                let matchers = cache.matchers(&names, options.dialect);
                query.infos.insert(place, matchers.map_err(EvalError::Expression)?);
                parsed.extend(names);
            }
            match ranges.iter_mut().find(|(known, _, _)| *known == parsed) {
                Some((_, hull, places)) => {
                    hull.start = hull.start.min(range.start);
                    hull.end = hull.end.max(range.end);
                    places.push(place);
                }
                None => ranges.push((parsed, range, vec![place])),
            }
        }
        for (parsed, range, places) in ranges {
            let matchers =
                cache.matchers(&parsed, options.dialect).map_err(EvalError::Expression)?;
            query.budget.work(0)?;
            let series = storage.select(&matchers, range)?;
            for place in places {
                query.series.insert(place, series.clone());
            }
        }
        Ok(query)
    }

    /// The instant of an `@` modifier in this query, in milliseconds since the Unix epoch.
    pub(super) fn fixed(&self, at: Option<At>) -> Option<i64> {
        Some(match at? {
            At::Millis(millis) => millis,
            At::Start => self.steps.start,
            At::End => self.steps.start.saturating_add(self.span_ms),
        })
    }

    fn needs(&self, expr: &Expr, window: (i64, i64), needs: &mut Vec<Need>) {
        let shifted = |fixed: Option<i64>, offset_ms: i64, back: i64| {
            let (start, end) = fixed.map_or(window, |at| (at, at));
            let start = start.saturating_sub(offset_ms).saturating_sub(back);
            (start, end.saturating_sub(offset_ms))
        };
        let mut need = |selector: &Selector, back: i64| {
            let lookback = self.options.lookback_ms;
            let back = if selector.extension == RangeExtension::None {
                back
            } else {
                back.saturating_add(lookback)
            };
            let ahead = if selector.extension == RangeExtension::Smoothed { lookback } else { 0 };
            let (start, end) = shifted(self.fixed(selector.at), selector.offset_ms, back);
            needs.push(Need {
                place: expr.span.start,
                parsed: selector.matchers.clone(),
                names: Vec::new(),
                range: up_to_and_with(start, end.saturating_add(ahead)),
            });
        };
        match &expr.kind {
            ExprKind::Selector(selector) => need(selector, self.options.lookback_ms),
            ExprKind::Range { selector, range_ms } => need(selector, *range_ms),
            ExprKind::Subquery(subquery) => {
                let at = self.fixed(subquery.at);
                let inner = shifted(at, subquery.offset_ms, subquery.range_ms);
                self.needs(&subquery.expr, inner, needs);
            }
            ExprKind::Call { function, args } if *function == Function::Info => {
                let reference = self.info_reference(&args[0]);
                let lookback = self.options.lookback_ms;
                let (start, end) = shifted(reference.fixed, reference.offset_ms, lookback);
                let (parsed, names) = info::matchers(args);
                let range = up_to_and_with(start, end);
                needs.push(Need { place: expr.span.start, parsed, names, range });
                self.needs(&args[0], window, needs);
            }
            _ => {
                for child in expr.children() {
                    self.needs(child, window, needs);
                }
            }
        }
    }
}

/// The series that a node needs.
struct Need {
    /// The position of the node in the text.
    place: usize,
    parsed: Vec<MatcherText>,
    /// Matchers of the metric's name that `info` also applies to the series it is given.
    names: Vec<MatcherText>,
    range: TimeRange,
}

fn up_to_and_with(start: i64, end: i64) -> TimeRange {
    TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end.saturating_add(1)))
}
