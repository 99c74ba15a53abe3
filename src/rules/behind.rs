//! The samples behind a change of an alert.

use super::outcome::{Behind, Seen};
use crate::model::{LabelMatcher, Labels, Sample, TimeRange, Timestamp, is_stale};
use crate::promql::{
    Dialect, Expr, ExprKind, Expression, MatcherCache, Selector, Storage, StorageError,
    format_value,
};

/// Series shown of each selector.
const SHOWN: usize = 3;

/// How a selector looks at time.
#[derive(Clone, Copy)]
struct View {
    at: i64,
    /// How far back the subqueries around it go; `None` outside of all.
    subquery_ms: Option<i64>,
}

/// The samples that a selector looks at.
struct Look {
    end: i64,
    back_ms: i64,
    /// Whether more than the newest sample counts.
    is_window: bool,
}

/// What finds samples.
pub struct Finder<'a> {
    /// Where they are.
    pub storage: &'a dyn Storage,
    /// Compiled matchers.
    pub cache: &'a MatcherCache,
    /// Whose regular expressions.
    pub dialect: Dialect,
    /// How far back an instant selector looks.
    pub lookback_ms: i64,
}

impl Finder<'_> {
    /// What each selector of an expression saw at `at` of the element with these labels: of each
    /// series that contradicts none of them, the newest sample, and of a window the oldest too.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where series cannot be read.
    pub fn behind(
        &self,
        expression: &Expression,
        element: &Labels,
        at: Timestamp,
    ) -> Result<Vec<Behind>, StorageError> {
        let mut found = Vec::new();
        let mut waiting = vec![(expression.root(), View { at: at.as_millis(), subquery_ms: None })];
        while let Some((node, view)) = waiting.pop() {
            let text = &expression.text()[node.span.start..node.span.end];
            match &node.kind {
                ExprKind::Selector(selector) => {
                    let look = self.look(selector, view, None);
                    found.extend(self.seen(text, selector, element, &look)?);
                }
                ExprKind::Range { selector, range_ms } => {
                    let look = self.look(selector, view, Some(*range_ms));
                    found.extend(self.seen(text, selector, element, &look)?);
                }
                _ => waiting.extend(children(node, view).into_iter().rev()),
            }
        }
        found.dedup();
        Ok(found)
    }

    fn look(&self, selector: &Selector, view: View, range_ms: Option<i64>) -> Look {
        let back_ms = range_ms.unwrap_or(self.lookback_ms);
        Look {
            end: view.at.saturating_sub(selector.offset_ms),
            back_ms: back_ms.saturating_add(view.subquery_ms.unwrap_or(0)),
            is_window: range_ms.or(view.subquery_ms).is_some(),
        }
    }

    fn seen(
        &self,
        text: &str,
        selector: &Selector,
        element: &Labels,
        look: &Look,
    ) -> Result<Option<Behind>, StorageError> {
        // Where `@` fixes the instant, the sample says nothing about this change.
        if selector.at.is_some() {
            return Ok(None);
        }
        // Since Prometheus 3 a window leaves out its earlier end.
        let open = i64::from(self.dialect == Dialect::V3);
        let range = TimeRange::new(
            Timestamp::from_millis(look.end.saturating_sub(look.back_ms).saturating_add(open)),
            Timestamp::from_millis(look.end.saturating_add(1)),
        );
        let mut matchers = self.cache.matchers(&selector.matchers, self.dialect)?;
        let kept = matchers.len();
        let others = element.iter().filter(|(name, _)| *name != "__name__");
        matchers.extend(others.map(|(name, value)| LabelMatcher::equal(name, value)));
        let compatible = |labels: &Labels| {
            matchers[kept..].iter().all(|m| labels.get(&m.name).is_none_or(|v| m.accepts(v)))
        };
        let is_window = look.is_window;
        let (mut series, mut samples) = (0, Vec::new());
        for found in self.storage.select(&matchers[..kept], range)? {
            let inside = found.samples.partition_point(|sample| sample.at < range.start)
                ..found.samples.partition_point(|sample| sample.at < range.end);
            let inside = &found.samples[inside];
            let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
            if !compatible(&found.labels) || (is_stale(last.value) && !is_window) {
                continue;
            }
            series += 1;
            if series <= SHOWN {
                let first = (is_window && first.at < last.at).then_some(first);
                samples.extend(first.into_iter().chain([last]).map(|s| seen(&found.labels, s)));
            }
        }
        Ok(Some(Behind { selector: text.to_owned(), series, samples }))
    }
}

fn children(node: &Expr, view: View) -> Vec<(&Expr, View)> {
    let view = match &node.kind {
        ExprKind::Subquery(subquery) => View {
            at: view.at.saturating_sub(subquery.offset_ms),
            subquery_ms: Some(view.subquery_ms.unwrap_or(0).saturating_add(subquery.range_ms)),
        },
        _ => view,
    };
    node.children().into_iter().map(|child| (child, view)).collect()
}

fn seen(labels: &Labels, sample: &Sample) -> Seen {
    let value =
        if is_stale(sample.value) { "stale".to_owned() } else { format_value(sample.value) };
    Seen { series: labels.to_string(), at: sample.at, value }
}
