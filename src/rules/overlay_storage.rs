//! A storage of recorded series over another storage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    LabelMatcher, Labels, MatchOp, Sample, Series, TimeRange, Timestamp, stale_marker,
};
use crate::promql::{SeriesSet, Storage, StorageError};

/// Most recorded series that are put to their places one by one; more are sorted with all others,
/// which takes long beside the series of a selector without a metric.
const MOST_INSERTED: usize = 64;

/// Series that rules record, over a base storage. For a metric that a rule records, the base
/// storage is not asked.
pub struct OverlayStorage<'a> {
    base: &'a dyn Storage,
    /// Series by metric, for every metric that rules record.
    recorded: HashMap<String, BTreeMap<Labels, Arc<Series>>>,
    clash: Clash,
}

/// What happens to a sample where the series has another value at that instant already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clash {
    /// It is dropped: rules of a server are not evaluated at the same instants, those of a replay
    /// are.
    Dropped,
    /// It is an error of the rule, as promtool treats it.
    Refused,
}

impl<'a> OverlayStorage<'a> {
    /// Starts over `base`; the metrics in `names` will be recorded and have no series yet, so that
    /// a result never mixes two evaluations.
    pub fn hiding(base: &'a dyn Storage, names: impl IntoIterator<Item = String>) -> Self {
        let recorded = names.into_iter().map(|name| (name, BTreeMap::new())).collect();
        Self { base, recorded, clash: Clash::Dropped }
    }

    /// Starts over `base`; what is recorded of the metrics in `names` adds to their series in
    /// `base`.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where these series cannot be read.
    pub fn extending(
        base: &'a dyn Storage,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, StorageError> {
        let mut recorded = HashMap::new();
        for name in names {
            let series = base.select(&[LabelMatcher::equal("__name__", &name)], TimeRange::ALL)?;
            let series = series.into_iter().map(|series| (series.labels.clone(), series));
            recorded.insert(name, series.collect());
        }
        Ok(Self { base, recorded, clash: Clash::Refused })
    }

    /// Records what one rule yields at `at`: a sample for each element, and a staleness marker for
    /// each series in `before` that is gone. `before` is replaced by the series of this evaluation.
    ///
    /// # Errors
    ///
    /// The message of Prometheus where series that were there before have another value at `at`.
    pub fn record(
        &mut self,
        at: Timestamp,
        elements: &[(Labels, f64)],
        before: &mut BTreeSet<Labels>,
    ) -> Result<(), String> {
        let now: BTreeSet<Labels> = elements.iter().map(|(labels, _)| labels.clone()).collect();
        let mut clashes = false;
        for (labels, value) in elements {
            clashes |= !self.add(labels, Sample { at, value: *value });
        }
        for labels in before.difference(&now) {
            // Prometheus ignores a staleness marker that comes too late.
            self.add(labels, Sample { at, value: stale_marker() });
        }
        *before = now;
        if clashes && self.clash == Clash::Refused {
            return Err("duplicate sample for timestamp".to_owned());
        }
        Ok(())
    }

    /// Whether a metric, which rules record, has series.
    pub fn has_recorded(&self, metric: &str) -> bool {
        self.recorded.get(metric).is_some_and(|series| !series.is_empty())
    }

    /// Adds a sample unless there is one at its instant. Returns whether the series has its value
    /// then.
    fn add(&mut self, labels: &Labels, sample: Sample) -> bool {
        let metric = self.recorded.entry(labels.metric().to_owned()).or_default();
        let series = metric
            .entry(labels.clone())
            .or_insert_with(|| Arc::new(Series { labels: labels.clone(), samples: Vec::new() }));
        match series.samples.binary_search_by_key(&sample.at, |held| held.at) {
            Ok(place) => series.samples[place].value.to_bits() == sample.value.to_bits(),
            Err(place) => {
                Arc::make_mut(series).samples.insert(place, sample);
                true
            }
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
        // Neighbours often have one metric.
        let mut last: Option<(Arc<Series>, bool)> = None;
        series.retain(|series| {
            let metric = series.labels.metric();
            if let Some((known, kept)) = &last
                && known.labels.metric() == metric
            {
                return *kept;
            }
            let kept = !self.recorded.contains_key(metric);
            last = Some((Arc::clone(series), kept));
            kept
        });
        let added: SeriesSet = self.recorded.values().flat_map(matching).collect();
        if added.len() > MOST_INSERTED {
            series.extend(added);
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            return Ok(series);
        }
        for recorded in added {
            let place = series.partition_point(|series| series.labels < recorded.labels);
            series.insert(place, recorded);
        }
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
        let mut overlay = OverlayStorage::hiding(&base, ["a:b".to_owned()]);
        let mut before = BTreeSet::new();
        let at = Timestamp::from_millis;
        for (instant, elements) in [(1, &[(labels, 7.0)][..]), (2, &[]), (3, &[])] {
            overlay.record(at(instant), elements, &mut before).expect("nothing clashes");
        }
        for matchers in [vec![LabelMatcher::equal("__name__", "a:b")], vec![]] {
            let found = overlay.select(&matchers, TimeRange::ALL).expect("memory never fails");
            assert_eq!(found.len(), 1);
            let samples = &found[0].samples;
            assert_eq!(samples[0], Sample { at: at(1), value: 7.0 });
            assert!(samples.len() == 2 && is_stale(samples[1].value), "{samples:?}");
        }
    }

    #[test]
    fn what_extends_a_series_stands_beside_its_samples() {
        let labels = Labels::from_pairs(&[("__name__", "a:b"), ("job", "x")]);
        let sample = |at, value| Sample { at: Timestamp::from_millis(at), value };
        let samples = vec![sample(2, 5.0), sample(4, 6.0)];
        let base = MemoryStorage::new([Arc::new(Series { labels: labels.clone(), samples })]);
        let mut overlay =
            OverlayStorage::extending(&base, ["a:b".to_owned()]).expect("memory never fails");
        let mut record = |at, value| {
            let elements = [(labels.clone(), value)];
            overlay.record(Timestamp::from_millis(at), &elements, &mut BTreeSet::new())
        };
        assert_eq!((record(2, 5.0), record(3, 7.0)), (Ok(()), Ok(())));
        assert_eq!(record(4, 7.0), Err("duplicate sample for timestamp".to_owned()));
        let found = overlay.select(&[], TimeRange::ALL).expect("memory never fails");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].samples, [sample(2, 5.0), sample(3, 7.0), sample(4, 6.0)]);
    }
}
