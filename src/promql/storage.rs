//! The interface through which the evaluator reads series, and an implementation in memory.

use std::sync::Arc;

use super::error::StorageError;
use crate::model::{LabelMatcher, Series, TimeRange};

/// Series in ascending order of labels, each label set once. Shared, so that a storage can keep
/// what it has decoded and hand it out many times without copying samples.
pub type SeriesSet = Vec<Arc<Series>>;

/// A source of series: a capture, the last minutes of a live cluster, or the series of a test.
pub trait Storage {
    /// The series that match all matchers and have samples in `range`.
    ///
    /// Samples outside `range` may be returned as well, and series without any inside: the
    /// evaluator cuts its own windows. Staleness markers are part of the samples.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where series cannot be read; the query fails with it.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, StorageError>;
}

/// A storage that holds its series in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    series: SeriesSet,
}

impl MemoryStorage {
    /// Holds these series. Of two with the same labels, the second one is dropped.
    pub fn new(series: impl IntoIterator<Item = Arc<Series>>) -> Self {
        let mut series: SeriesSet = series.into_iter().collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series.dedup_by(|b, a| a.labels == b.labels);
        Self { series }
    }

    /// All series, ascending by labels.
    pub fn series(&self) -> &[Arc<Series>] {
        &self.series
    }
}

impl Storage for MemoryStorage {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        _range: TimeRange,
    ) -> Result<SeriesSet, StorageError> {
        let matching = |series: &&Arc<Series>| matchers.iter().all(|m| m.matches(&series.labels));
        Ok(self.series.iter().filter(matching).cloned().collect())
    }
}
