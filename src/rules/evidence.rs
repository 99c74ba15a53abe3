//! Finds the samples that led to a change of an alert.

use super::report::{EvidenceSample, SelectorEvidence};
use crate::model::{LabelMatcher, Labels, Sample, TimeRange, Timestamp, is_stale};
use crate::promql::{
    Dialect, Expr, ExprKind, Expression, MatcherCache, Selector, Storage, StorageError,
    format_value,
};

/// Most series that are shown for each selector.
const SHOWN: usize = 3;

/// Instant at which a node of the expression is evaluated.
#[derive(Clone, Copy)]
struct EvaluationTime {
    at: i64,
    /// Sum of the ranges of the subqueries around it; `None` outside subqueries.
    subquery_ms: Option<i64>,
}

/// Range of time in which a selector reads samples.
struct SampleWindow {
    end: i64,
    back_ms: i64,
    /// Whether all samples of the window count, not only the newest one.
    is_window: bool,
}

/// Finds the samples that selectors read.
pub struct EvidenceFinder<'a> {
    /// Storage that holds the samples.
    pub storage: &'a dyn Storage,
    /// Cache of compiled matchers.
    pub cache: &'a MatcherCache,
    /// Version of Prometheus whose semantics are used.
    pub dialect: Dialect,
    /// How far back an instant selector reads, in milliseconds.
    pub lookback_ms: i64,
}

impl EvidenceFinder<'_> {
    /// Returns for each selector of an expression the samples that it read at `at` for the element
    /// with these labels. Only series without a conflicting label are included: of each the newest
    /// sample, and for a range selector also the oldest one.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where series cannot be read.
    pub fn find(
        &self,
        expression: &Expression,
        element: &Labels,
        at: Timestamp,
    ) -> Result<Vec<SelectorEvidence>, StorageError> {
        let mut found = Vec::new();
        let mut waiting =
            vec![(expression.root(), EvaluationTime { at: at.as_millis(), subquery_ms: None })];
        while let Some((node, time)) = waiting.pop() {
            let text = &expression.text()[node.span.start..node.span.end];
            match &node.kind {
                ExprKind::Selector(selector) => {
                    let window = self.sample_window(selector, time, None);
                    found.extend(self.of_selector(text, selector, element, &window)?);
                }
                ExprKind::Range { selector, range_ms } => {
                    let window = self.sample_window(selector, time, Some(*range_ms));
                    found.extend(self.of_selector(text, selector, element, &window)?);
                }
                _ => waiting.extend(children(node, time).into_iter().rev()),
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Whether one of the metrics that the expression reads for the element with these labels has samples at
    /// `at` and had none at `before`, whatever the values of the labels that the selector names: a state that
    /// is entered is no new series then, but a store that registers is. Nor does it count who exposes it, where
    /// other labels say what it is about: another leader of PD tells of the same stores.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where series cannot be read.
    pub fn reads_what_is_new(
        &self,
        expression: &Expression,
        element: &Labels,
        (before, at): (Timestamp, Timestamp),
    ) -> Result<bool, StorageError> {
        for node in expression.nodes() {
            let (ExprKind::Selector(selector) | ExprKind::Range { selector, .. }) = &node.kind
            else {
                continue;
            };
            let Some(metric) = selector.metric().filter(|_| selector.at.is_none()) else {
                continue;
            };
            let mut matchers = vec![LabelMatcher::equal("__name__", metric)];
            let named = |name: &str| selector.matchers.iter().any(|one| one.name == name);
            let about: Vec<(&str, &str)> =
                element.iter().filter(|(name, _)| *name != "__name__" && !named(name)).collect();
            let is_exposer = |name: &str| matches!(name, "job" | "instance");
            let says_more = about.iter().any(|(name, _)| !is_exposer(name));
            let others = about.into_iter().filter(|(name, _)| !says_more || !is_exposer(name));
            matchers.extend(others.map(|(name, value)| LabelMatcher::equal(name, value)));
            if self.has_samples(&matchers, at)? && !self.has_samples(&matchers, before)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a metric, the first matcher, has a series that no other matcher refuses, with a sample at an
    /// instant.
    fn has_samples(&self, matchers: &[LabelMatcher], at: Timestamp) -> Result<bool, StorageError> {
        let range = TimeRange::new(
            at.saturating_add_millis(-self.lookback_ms),
            at.saturating_add_millis(1),
        );
        let accepts = |labels: &Labels| {
            matchers[1..].iter().all(|m| labels.get(&m.name).is_none_or(|value| m.accepts(value)))
        };
        let series = self.storage.select(&matchers[..1], range)?;
        let has_sample = |samples: &[Sample]| {
            let until = samples.partition_point(|sample| sample.at < range.end);
            samples[..until]
                .last()
                .is_some_and(|last| last.at >= range.start && !is_stale(last.value))
        };
        Ok(series.iter().any(|one| accepts(&one.labels) && has_sample(&one.samples)))
    }

    fn sample_window(
        &self,
        selector: &Selector,
        time: EvaluationTime,
        range_ms: Option<i64>,
    ) -> SampleWindow {
        let back_ms = range_ms.unwrap_or(self.lookback_ms);
        SampleWindow {
            end: time.at.saturating_sub(selector.offset_ms),
            back_ms: back_ms.saturating_add(time.subquery_ms.unwrap_or(0)),
            is_window: range_ms.or(time.subquery_ms).is_some(),
        }
    }

    fn of_selector(
        &self,
        text: &str,
        selector: &Selector,
        element: &Labels,
        window: &SampleWindow,
    ) -> Result<Option<SelectorEvidence>, StorageError> {
        // If `@` fixes the instant, the sample does not depend on when the state changed.
        if selector.at.is_some() {
            return Ok(None);
        }
        // Since Prometheus 3 a window excludes its earlier end.
        let open = i64::from(self.dialect == Dialect::V3);
        let range = TimeRange::new(
            Timestamp::from_millis(window.end.saturating_sub(window.back_ms).saturating_add(open)),
            Timestamp::from_millis(window.end.saturating_add(1)),
        );
        let mut matchers = self.cache.matchers(&selector.matchers, self.dialect)?;
        let kept = matchers.len();
        let others = element.iter().filter(|(name, _)| *name != "__name__");
        matchers.extend(others.map(|(name, value)| LabelMatcher::equal(name, value)));
        let compatible = |labels: &Labels| {
            matchers[kept..].iter().all(|m| labels.get(&m.name).is_none_or(|v| m.accepts(v)))
        };
        let is_window = window.is_window;
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
                samples.extend(
                    first.into_iter().chain([last]).map(|s| evidence_sample(&found.labels, s)),
                );
            }
        }
        Ok(Some(SelectorEvidence { selector: text.to_owned(), series, samples }))
    }
}

fn children(node: &Expr, time: EvaluationTime) -> Vec<(&Expr, EvaluationTime)> {
    let time = match &node.kind {
        ExprKind::Subquery(subquery) => EvaluationTime {
            at: time.at.saturating_sub(subquery.offset_ms),
            subquery_ms: Some(time.subquery_ms.unwrap_or(0).saturating_add(subquery.range_ms)),
        },
        _ => time,
    };
    node.children().into_iter().map(|child| (child, time)).collect()
}

fn evidence_sample(labels: &Labels, sample: &Sample) -> EvidenceSample {
    let value =
        if is_stale(sample.value) { "stale".to_owned() } else { format_value(sample.value) };
    EvidenceSample { series: labels.to_string(), at: sample.at, value }
}
