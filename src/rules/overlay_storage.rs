//! A storage of recorded series over another storage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    LabelMatcher, Labels, MatchOp, Sample, Series, TimeRange, Timestamp, stale_marker,
};
use crate::promql::{SeriesSet, Storage, StorageError};

/// Series that rules record, over a base storage. A metric that a rule records hides the metric of
/// the same name in the base storage, so a result never mixes two evaluations.
pub struct OverlayStorage<'a> {
    base: &'a dyn Storage,
    /// Series by metric, for every metric that rules record.
    recorded: HashMap<String, BTreeMap<Labels, Arc<Series>>>,
}

impl<'a> OverlayStorage<'a> {
    /// Starts over `base`; the metrics in `names` will be recorded and have no series yet.
    pub fn new(base: &'a dyn Storage, names: impl IntoIterator<Item = String>) -> Self {
        Self { base, recorded: names.into_iter().map(|name| (name, BTreeMap::new())).collect() }
    }

    /// Records what one rule yields at `at`: a sample for each element, and a staleness marker for
    /// each series in `before` that is gone. `before` is replaced by the series of this evaluation.
    pub fn record(
        &mut self,
        at: Timestamp,
        elements: &[(Labels, f64)],
        before: &mut BTreeSet<Labels>,
    ) {
        let now: BTreeSet<Labels> = elements.iter().map(|(labels, _)| labels.clone()).collect();
        for (labels, value) in elements {
            self.append(labels, Sample { at, value: *value });
        }
        for labels in before.difference(&now) {
            self.append(labels, Sample { at, value: stale_marker() });
        }
        *before = now;
    }

    fn append(&mut self, labels: &Labels, sample: Sample) {
        let metric = self.recorded.entry(labels.metric().to_owned()).or_default();
        let series = metric
            .entry(labels.clone())
            .or_insert_with(|| Arc::new(Series { labels: labels.clone(), samples: Vec::new() }));
        // Prometheus also drops the sample of a second rule that records the same series at the
        // same instant.
        if series.samples.last().is_none_or(|last| last.at < sample.at) {
            Arc::make_mut(series).samples.push(sample);
        }
    }
}

impl Storage for OverlayStorage<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, StorageError> {
        let matching = |metric: &BTreeMap<Labels, Arc<Series>>| -> SeriesSet {
            let meets = |labels: &Labels| matchers.iter().all(|matcher| matcher.matches(labels));
            metric.iter().filter(|(labels, _)| meets(labels)).map(|(_, s)| Arc::clone(s)).collect()
        };
        let name = matchers
            .iter()
            .find(|matcher| matcher.name == "__name__" && matches!(matcher.op, MatchOp::Equal));
        if let Some(name) = name {
            return match self.recorded.get(&name.value) {
                Some(metric) => Ok(matching(metric)),
                None => self.base.select(matchers, range),
            };
        }
        let mut series = self.base.select(matchers, range)?;
        series.retain(|series| !self.recorded.contains_key(series.labels.metric()));
        for metric in self.recorded.values() {
            series.extend(matching(metric));
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_stale;
    use crate::promql::MemoryStorage;

    #[test]
    fn what_is_recorded_hides_what_was_there_and_ends_stale() {
        let labels = Labels::from_pairs(&[("__name__", "a:b"), ("job", "x")]);
        let old = Series { labels: labels.clone(), samples: Vec::new() };
        let base = MemoryStorage::new([Arc::new(old)]);
        let mut overlay = OverlayStorage::new(&base, ["a:b".to_owned()]);
        let mut before = BTreeSet::new();
        let at = Timestamp::from_millis;
        overlay.record(at(1), &[(labels, 7.0)], &mut before);
        overlay.record(at(2), &[], &mut before);
        overlay.record(at(3), &[], &mut before);
        for matchers in [vec![LabelMatcher::equal("__name__", "a:b")], vec![]] {
            let found = overlay.select(&matchers, TimeRange::ALL).expect("memory never fails");
            assert_eq!(found.len(), 1);
            let samples = &found[0].samples;
            assert_eq!(samples[0], Sample { at: at(1), value: 7.0 });
            assert!(samples.len() == 2 && is_stale(samples[1].value), "{samples:?}");
        }
    }
}
