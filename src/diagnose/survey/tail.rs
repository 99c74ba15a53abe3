//! The tail of a histogram: how many observations took longer than a second.
//!
//! A mean hides few slow observations among many. Those beyond a high bound are counted instead, which is exact
//! where the bound is one of the histogram's (peaks over a threshold, as in Pickands, 1975), and needs one bucket of
//! each histogram. The bound is the first from one second on: official alerts of TiKV and PD call a p99 above 1 s
//! critical for appending, applying, writing, taking a snapshot, latches, and etcd's fsync.

use crate::model::Labels;

/// The label of a bucket with its bound.
pub const BOUND: &str = "le";
/// The ending of the names of buckets.
pub const BUCKET: &str = "_bucket";

/// From which bound on an observation is slow, in seconds.
const SLOW_S: f64 = 1.0;
/// Below which bound the first from a second on lies: bounds are twice the one before at most, as exporters have
/// them (0.512 and 1.024), or are those of Prometheus's client libraries (0.5, 1, 2.5).
const NEXT_S: f64 = 2.0;

/// Whether a series is the bucket that tells slow observations of a histogram of seconds from others.
pub fn is_tail(series: &Labels) -> bool {
    let bound = || series.get(BOUND)?.parse().ok().filter(|bound| (SLOW_S..NEXT_S).contains(bound));
    series.metric().strip_suffix(BUCKET).is_some_and(is_of_seconds) && bound().is_some()
}

/// Whether a metric observes seconds, as its name says: durations without a unit are in Prometheus's base unit.
pub fn is_of_seconds(histogram: &str) -> bool {
    let named = ["seconds", "secs"].iter().any(|unit| histogram.contains(unit))
        || histogram.ends_with("_duration");
    named && !["micro", "milli", "nano"].iter().any(|part| histogram.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_of_a_histogram_of_seconds_tells_its_tail() {
        let is = |metric: &str, bound: &str| {
            is_tail(&Labels::from_pairs(&[("__name__", metric), ("le", bound)]))
        };
        assert!(is("tikv_raftstore_append_log_duration_seconds_bucket", "1.024"));
        assert!(is("tikv_storage_engine_async_request_duration_seconds_bucket", "1"));
        assert!(!is("tikv_raftstore_append_log_duration_seconds_bucket", "0.512"));
        assert!(!is("tikv_raftstore_append_log_duration_seconds_bucket", "2.048"));
        assert!(!is("tikv_raftstore_append_log_duration_seconds_bucket", "+Inf"));
        assert!(!is("tikv_raftstore_log_lag_bucket", "1"));
        assert!(is("tikv_yatp_pool_schedule_wait_duration_bucket", "1.31072"));
        assert!(!is("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_bucket", "1"));
        assert!(!is("tikv_raftstore_append_log_duration_seconds_sum", "1"));
    }
}
