//! Where the series of each metric are, so that a query by name looks at no other series.

use std::collections::BTreeMap;

use super::CaptureReader;
use super::reader::Target;
use crate::model::{LabelMatcher, MatchOp};

/// The label that holds a metric's name.
pub(super) const NAME: &str = "__name__";

/// Consecutive ordinals of one target.
pub(super) type Span = std::ops::Range<u32>;

/// For each metric, the indices of the targets that expose it, with the ordinals of its series
/// there.
pub struct MetricIndex(pub(super) BTreeMap<String, Vec<(usize, Span)>>);

impl MetricIndex {
    pub(super) fn new(targets: &[Target]) -> Self {
        let mut metrics: BTreeMap<String, Vec<(usize, Span)>> = BTreeMap::new();
        for (index, target) in targets.iter().enumerate() {
            let mut first = 0_u32;
            for run in target.sets.chunk_by(|a, b| a.metric() == b.metric()) {
                let end = first + run.len() as u32;
                let span = (index, first..end);
                match metrics.get_mut(run[0].metric()) {
                    Some(spans) => spans.push(span),
                    None => {
                        metrics.insert(run[0].metric().to_owned(), vec![span]);
                    }
                }
                first = end;
            }
        }
        Self(metrics)
    }
}

impl CaptureReader {
    /// The ordinals of the series whose metric name matches, by target index.
    pub(super) fn spans(&self, matchers: &[LabelMatcher]) -> Vec<Vec<Span>> {
        let metrics = self.metrics.get_or_init(|| MetricIndex::new(&self.targets));
        let of_name: Vec<&LabelMatcher> =
            matchers.iter().filter(|matcher| matcher.name == NAME).collect();
        let mut found = vec![Vec::new(); self.targets.len()];
        let mut take = |places: &[(usize, Span)]| {
            for (target, span) in places {
                found[*target].push(span.clone());
            }
        };
        let exact = of_name.iter().find(|matcher| matches!(matcher.op, MatchOp::Equal));
        match exact {
            Some(exact) => {
                let places = metrics.0.get(exact.value.as_str()).map_or(&[][..], Vec::as_slice);
                if of_name.iter().all(|matcher| matcher.accepts(&exact.value)) {
                    take(places);
                }
            }
            None => {
                let accepted = |name: &str| of_name.iter().all(|matcher| matcher.accepts(name));
                let matching = metrics.0.iter().filter(|(name, _)| accepted(name));
                matching.for_each(|(_, places)| take(places));
            }
        }
        found
    }
}
