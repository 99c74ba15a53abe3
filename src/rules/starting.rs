//! When a cluster only just began: alerts about what is not there yet are no incident then.

use std::collections::BTreeSet;

use crate::model::{LabelMatcher, TimeRange, Timestamp, is_stale};
use crate::promql::{Storage, StorageError};

/// How long a cluster counts as starting after its first process: stores have to come up and register, which
/// took two minutes where their first starts failed, and regions to find leaders.
const STARTING_MS: i64 = 180_000;

/// Metrics that only PD and TiKV expose, and that the rules for them read anyway.
const OF_THE_CLUSTER: [&str; 2] = ["pd_cluster_status", "tikv_raftstore_region_count"];

/// When a process started, in Unix seconds.
const STARTED: &str = "process_start_time_seconds";

/// The first minutes of a cluster, where the window shows them: none of its processes is older than that when
/// it is seen first. `None` where one is, and where that is unknown.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read.
pub fn starting(
    storage: &dyn Storage,
    window: TimeRange,
) -> Result<Option<TimeRange>, StorageError> {
    let mut targets = BTreeSet::new();
    for metric in OF_THE_CLUSTER {
        for series in storage.select(&[LabelMatcher::equal("__name__", metric)], window)? {
            let label = |name| series.labels.get(name).map(str::to_owned);
            targets.insert((label("job"), label("instance")));
        }
    }
    let mut first: Option<Timestamp> = None;
    for series in storage.select(&[LabelMatcher::equal("__name__", STARTED)], window)? {
        let label = |name| series.labels.get(name).map(str::to_owned);
        let mut samples = series.samples.iter().filter(|sample| window.contains(sample.at));
        let Some(sample) = samples.find(|sample| !is_stale(sample.value)) else { continue };
        if !targets.contains(&(label("job"), label("instance"))) || !sample.value.is_finite() {
            continue;
        }
        // Seconds of this century are far from where a float loses milliseconds.
        let began = Timestamp::from_millis((sample.value * 1000.0) as i64);
        if window.start - began > STARTING_MS {
            return Ok(None);
        }
        first = Some(first.map_or(began, |first| first.min(began)));
    }
    Ok(first.map(|first| TimeRange::new(first, first.saturating_add_millis(STARTING_MS))))
}
