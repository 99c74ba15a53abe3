//! What a quantity is a sign of, by the words in its name.
//!
//! More bytes, more calls and more memory are work, and work is no fault. What waits, what fails, and
//! what takes long are signs of trouble in any program, and the names of metrics say which of these
//! they count. Work that stops is a sign too: what serves requests or makes progress. So is what is held and not
//! given back, and a quota that is used up.

use std::collections::HashMap;

use super::attempts::is_outcome;
use super::clock::{clock, clock_of};
use super::quantity::{Quantity, Reading};
use super::quota::is_of_quota;
use super::tail::{BUCKET, is_tail};
use super::words::{
    ASKED, FAILING, HELD, JOBS, LEFT_OVER, MEMORY, NEVER, NOW, SERVING, SETTINGS, SIZE, SLOWED,
    SOFT, TIME, WAITING, WHOLE,
};
use crate::model::Labels;

/// What a quantity is a sign of, when it rises; work is one when it falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// Work waits: a queue, a backlog, a lag.
    Waiting,
    /// Work fails or is refused.
    Failing,
    /// Work takes longer.
    Slow,
    /// Work that is done: requests that are served, steps that are taken.
    Serving,
    /// Something is held: goroutines, file descriptors.
    Held,
    /// The instant that progress has reached.
    Progress,
    /// What is used of a quota, or the quota.
    Quota,
    /// How many things there are: files, entries, snapshots.
    Kept,
}

/// PD takes the time of a heartbeat by the store's clock, in whole seconds, and its own.
const OF_TWO_CLOCKS: &str = "heartbeat_latency";

/// What the programs' run time counts of itself, whatever it is called.
const OF_RUN_TIME: [&str; 4] = ["go_", "process_", "promhttp_", "etcd_debugging_"];

/// Heartbeats, and what becomes of operators, are counted among what PD's schedulers keep, and are no bookkeeping.
const HEARTBEAT: &str = "heartbeat";
const OPERATORS: &str = "operator";

/// Where PD's schedulers keep count of the placements that they considered and did not choose. A store
/// that did not fit is no failure, whatever the label's value says.
const BOOKKEEPING: [&str; 2] = ["pd_scheduler_", "pd_schedule_"];

/// The sign that a quantity is; `None` where its rise is only more work.
pub fn sign_of(quantity: &Quantity) -> Option<Sign> {
    let (metric, value) = (quantity.metric.as_str(), value_of(quantity));
    let has = |words: &[&str]| has_word(metric, words) || has_word(value, words);
    match quantity.reading {
        Reading::Level if is_of_quota(metric) => Some(Sign::Quota),
        Reading::Level if has(WAITING) || has(FAILING) => Some(Sign::Waiting),
        Reading::Level if is_left_over(quantity) => Some(Sign::Waiting),
        Reading::Level if is_never(quantity) && !is_of_settings(quantity) => Some(Sign::Waiting),
        Reading::Rate if has(FAILING) || has(SLOWED) => Some(Sign::Failing),
        Reading::Rate if is_serving(metric) && !has(WAITING) => Some(Sign::Serving),
        Reading::Mean if has_word(metric, TIME) => Some(Sign::Slow),
        Reading::Mean if has(WAITING) => Some(Sign::Waiting),
        Reading::Mean if has_word(metric, SIZE) => Some(Sign::Kept),
        Reading::Level if is_held(metric) => Some(Sign::Held),
        Reading::Level if clock(quantity).is_some() => Some(Sign::Progress),
        Reading::Level if is_kept(metric) && !is_of_settings(quantity) => Some(Sign::Kept),
        Reading::Unsuccessful => Some(Sign::Failing),
        Reading::Slow if !is_job(metric) => Some(Sign::Failing),
        Reading::SlowShare if !is_job(metric) => Some(Sign::Slow),
        _ => None,
    }
}

/// Labels that say by name who does something, or what is called: `GetDownPeerRegions` is not down.
const NAMES: [&str; 9] = [
    "api",
    "endpoint",
    "grpc_method",
    "grpc_service",
    "handler",
    "method",
    "path",
    "route",
    "service",
];

/// The value of a quantity's label, as far as it says what is counted. What a thread is called says what it looks
/// after, and nothing of what is counted of it.
fn value_of(quantity: &Quantity) -> &str {
    match &quantity.label {
        Some((name, _)) if NAMES.contains(&name.as_str()) => "",
        Some(_) if has_word(&quantity.metric, &["thread"]) => "",
        Some((_, value)) => value,
        None => "",
    }
}

/// Whether a metric is about a job that takes as long as there is to do, or a time of two clocks. PD's schedules are
/// jobs, and to wait for a thread's schedule is none.
pub fn is_job(metric: &str) -> bool {
    let is_schedule = has_word(metric, &["schedule"]) && !has_word(metric, &["wait"]);
    has_word(metric, JOBS) || is_schedule || metric.contains(OF_TWO_CLOCKS)
}

/// Whether what a label's value names takes as long as there is to do.
pub fn is_asked(value: &str) -> bool {
    has_word(value, ASKED)
}

/// Whether a quantity counts what should not be at all.
pub fn is_never(quantity: &Quantity) -> bool {
    let value = value_of(quantity);
    has_word(&quantity.metric, NEVER) || has_word(value, NEVER)
}

/// Whether a quantity says how something is set, or is no count.
pub fn is_of_settings(quantity: &Quantity) -> bool {
    let value = value_of(quantity);
    has_word(&quantity.metric, SETTINGS)
        || has_word(value, SETTINGS)
        || of_run_time(&quantity.metric)
}

/// Whether a quantity counts failures that are a part of how things work.
pub fn is_soft(quantity: &Quantity) -> bool {
    let value = value_of(quantity);
    has_word(&quantity.metric, SOFT) || has_word(value, SOFT)
}

/// Whether a level may be a counter that counts no more: what fails is counted, and not every counter is called one.
pub fn may_be_counter(quantity: &Quantity) -> bool {
    let value = value_of(quantity);
    let waits = has_word(&quantity.metric, WAITING) || has_word(value, WAITING);
    quantity.reading == Reading::Level && !waits && !is_never(quantity)
}

/// Whether a quantity is of bytes that are kept only until somebody has them, or removes them.
pub fn is_left_over(quantity: &Quantity) -> bool {
    let named = has_word(&quantity.metric, LEFT_OVER) || has_word(value_of(quantity), LEFT_OVER);
    quantity.reading == Reading::Level && is_sized(&quantity.metric) && named
}

/// Whether a metric is of bytes on disk.
fn is_sized(metric: &str) -> bool {
    is_gauge(metric) && has_word(metric, SIZE) && !has_word(metric, WHOLE)
}

/// Whether a name says that something fails.
pub fn is_failing(text: &str) -> bool {
    has_word(text, FAILING)
}

/// Whether a metric counts work that is done.
fn is_serving(metric: &str) -> bool {
    !of_run_time(metric) && !metric.ends_with("_sum") && has_word(metric, SERVING)
}

fn of_run_time(metric: &str) -> bool {
    OF_RUN_TIME.iter().any(|prefix| metric.starts_with(prefix))
}

fn is_bookkeeping(metric: &str) -> bool {
    let of_schedulers = BOOKKEEPING.iter().any(|prefix| metric.starts_with(prefix));
    of_schedulers && !has_word(metric, &[HEARTBEAT, OPERATORS])
}

/// What the name of a metric says of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// Each is part of a quantity that can be a sign.
    Sign,
    /// Those are whose labels say so.
    ByLabels,
    /// None is.
    NoSign,
}

fn named(metric: &str) -> Named {
    if is_bookkeeping(metric) {
        return Named::NoSign;
    }
    let is_part = metric.ends_with("_sum") || metric.ends_with("_count");
    let is_now = is_held(metric) || is_of_quota(metric) || clock_of(metric).is_some();
    let is_measured = is_part && (has_word(metric, TIME) || has_word(metric, SIZE));
    let is_named = is_sign(metric) || is_serving(metric) || is_measured;
    match is_now || is_named || is_kept(metric) || is_sized(metric) {
        true => Named::Sign,
        false => Named::ByLabels,
    }
}

/// Whether a metric counts what waits.
pub fn is_waiting(metric: &str) -> bool {
    has_word(metric, WAITING)
}

/// Whether a metric is a level whatever its course: it counts what is so now, and no event.
pub fn is_now(metric: &str) -> bool {
    !metric.ends_with("_count") && has_word(metric, NOW) && !has_word(metric, FAILING)
        || is_held(metric)
        || is_of_quota(metric)
        || clock_of(metric).is_some()
}

/// Whether a metric says what a process holds, and not what it ever held.
fn is_held(metric: &str) -> bool {
    is_gauge(metric) && (has_word(metric, HELD) || is_memory(metric))
}

/// Whether a metric is no counter and no part of a histogram by the ending of its name.
fn is_gauge(metric: &str) -> bool {
    !["_sum", "_count", "_total"].iter().any(|ending| metric.ends_with(ending))
}

/// Whether a metric is of memory that is held for one purpose. The process as a whole is judged by itself, and a cache
/// is meant to fill.
pub fn is_memory(metric: &str) -> bool {
    let is_named = has_word(metric, MEMORY) && !metric.contains("in_memory");
    is_named && !has_word(metric, WHOLE) && !of_run_time(metric)
}

/// Whether a metric says how many things of a kind a store has, as far as its name says so.
pub fn is_kept(metric: &str) -> bool {
    let of_store = OF_STORE.iter().any(|prefix| metric.starts_with(prefix));
    of_store && !metric.ends_with("_total") && has_word(metric, &["count", "num"])
}

/// How names of metrics begin of which a store and the engine of its logs are the source.
const OF_STORE: [&str; 2] = ["tikv_", "raft_engine_"];

/// Whether a word stands in a text that makes what it names a sign of trouble.
fn is_sign(text: &str) -> bool {
    [WAITING, FAILING, SLOWED, NEVER].iter().any(|words| has_word(text, words))
}

/// Decides which series are surveyed, and remembers what it found of names and values.
#[derive(Debug, Default)]
pub struct SurveyFilter {
    metrics: HashMap<String, Named>,
    values: HashMap<String, bool>,
}

impl SurveyFilter {
    /// Whether any quantity that a series is part of can be a sign. Of the buckets of a histogram it is the one that
    /// tells slow observations from others, beside their sum and count. What the recorder scraped while Prometheus was
    /// away is left out, beside whose minutes hours stand.
    pub fn accepts(&mut self, series: &Labels) -> bool {
        if series.is_scraped_by_recorder() {
            return false;
        }
        let metric = series.metric();
        if metric.ends_with(BUCKET) {
            let named = |metric: &str| match is_job(metric)
                || is_bookkeeping(metric)
                || of_run_time(metric)
            {
                true => Named::NoSign,
                false => Named::Sign,
            };
            return remembered(&mut self.metrics, metric, named) == Named::Sign && is_tail(series);
        }
        match remembered(&mut self.metrics, metric, named) {
            Named::Sign => true,
            Named::NoSign => false,
            Named::ByLabels => {
                let mut own =
                    series.iter().filter(|(name, _)| *name != "__name__" && !TARGET.contains(name));
                own.any(|(name, value)| {
                    is_outcome(name, value) || remembered(&mut self.values, value, is_sign)
                })
            }
        }
    }
}

impl SurveyFilter {
    /// Whether a metric counts things, and not events by its name, of the metrics that were asked for so far: what ends
    /// with `_count` counts the observations of a histogram where there is a sum of them.
    pub fn counts_things(&self, metric: &str) -> bool {
        let histogram = metric.strip_suffix("_count");
        is_kept(metric)
            && !is_sign(metric)
            && histogram.is_some_and(|name| !self.metrics.contains_key(&format!("{name}_sum")))
    }
}

fn remembered<T: Copy>(known: &mut HashMap<String, T>, text: &str, find: fn(&str) -> T) -> T {
    if let Some(known) = known.get(text) {
        return *known;
    }
    let found = find(text);
    known.insert(text.to_owned(), found);
    found
}

/// Whether a series is surveyed; see [`SurveyFilter::accepts`].
pub fn is_surveyed(series: &Labels) -> bool {
    SurveyFilter::default().accepts(series)
}

/// Labels that name a target, whatever words their values contain.
const TARGET: [&str; 2] = ["job", "instance"];

/// Whether one of the words, or its plural, stands in a name. An upper-case letter after a lower-case one
/// begins a word.
pub(super) fn has_word(name: &str, words: &[&str]) -> bool {
    words_of(name).any(|part| {
        let is_word = |word: &&str| {
            let (own, rest) = part.split_at_checked(word.len()).unwrap_or((part, ""));
            own.eq_ignore_ascii_case(word) && matches!(rest, "" | "s")
        };
        words.iter().any(is_word)
    })
}

/// The words of a name.
fn words_of(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            let bytes = rest.as_bytes();
            let begins = |place: &usize| {
                bytes[*place].is_ascii_uppercase() && bytes[*place - 1].is_ascii_lowercase()
            };
            let end = (1..bytes.len()).find(begins).unwrap_or(bytes.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            (!word.is_empty()).then_some(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(metric: &str, reading: Reading, label: Option<(&str, &str)>) -> Option<Sign> {
        let label = label.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let metric = metric.to_owned();
        sign_of(&Quantity { metric, reading, label, bound: String::new(), values: Vec::new() })
    }

    #[test]
    fn what_waits_fails_or_takes_long_is_a_sign_and_work_is_none() {
        let tasks = "tikv_unified_read_pool_running_tasks";
        assert_eq!(sign(tasks, Reading::Level, None), Some(Sign::Waiting));
        assert_eq!(sign(tasks, Reading::Rate, None), None);
        let refused = "tikv_coprocessor_request_error";
        assert_eq!(sign(refused, Reading::Rate, None), Some(Sign::Failing));
        let requests = "tikv_storage_engine_async_request_total";
        assert_eq!(sign(requests, Reading::Rate, None), Some(Sign::Serving));
        assert_eq!(sign("tikv_engine_flow_bytes", Reading::Rate, None), None);
        let written = "tikv_region_written_bytes_count";
        assert_eq!(sign(written, Reading::Rate, None), None);
        assert_eq!(sign("go_gc_cycles_total", Reading::Rate, None), None);
        let slow = "etcd_server_slow_apply_total";
        assert_eq!(sign(slow, Reading::Rate, None), Some(Sign::Failing));
        assert_eq!(sign("tikv_raftstore_slow_trend", Reading::Level, None), None);
        let api = Some(("api", "GetDownPeerRegions"));
        assert_eq!(sign("pd_server_api_concurrency", Reading::Level, api), None);
        let thread = Some(("thread_name", "deadlock-detector"));
        assert_eq!(sign("tikv_allocator_thread_allocation", Reading::Level, thread), None);
        let code = |code| Some(("grpc_code", code));
        let handled = "grpc_server_handled_total";
        assert_eq!(sign(handled, Reading::Rate, code("DeadlineExceeded")), Some(Sign::Failing));
        assert_eq!(sign(handled, Reading::Rate, code("OK")), Some(Sign::Serving));
        let timed_out = Some(("status", "err_timeout"));
        assert_eq!(sign(requests, Reading::Rate, timed_out), Some(Sign::Failing));
        assert_eq!(
            sign("etcd_disk_wal_fsync_duration_seconds", Reading::Mean, None),
            Some(Sign::Slow)
        );
        assert_eq!(sign("tikv_engine_bytes_per_write", Reading::Mean, None), None);
        assert_eq!(sign("go_goroutines", Reading::Level, None), Some(Sign::Held));
        assert_eq!(sign("process_open_fds", Reading::Level, None), Some(Sign::Quota));
        let checkpoint = "tikv_log_backup_store_checkpoint_ts";
        assert_eq!(sign(checkpoint, Reading::Level, None), Some(Sign::Progress));
        assert_eq!(sign("tikv_concurrency_manager_max_ts", Reading::Level, None), None);
        let files = "raft_engine_log_file_count";
        assert_eq!(sign(files, Reading::Level, None), Some(Sign::Kept));
        assert_eq!(sign(files, Reading::Rate, None), None);
        assert_eq!(sign("tikv_engine_flow_bytes", Reading::Level, None), None);
        assert_eq!(sign("pd_scheduler_hot_peers_count", Reading::Level, None), None);
        let behind = "tikv_raftstore_log_lag";
        assert_eq!(sign(behind, Reading::Mean, None), Some(Sign::Waiting));
        assert_eq!(sign("tikv_raftstore_region_size", Reading::Mean, None), Some(Sign::Kept));
        assert_eq!(
            sign("tikv_resolved_ts_lock_heap_bytes", Reading::Level, None),
            Some(Sign::Held)
        );
        assert_eq!(sign("tikv_server_memory_usage", Reading::Level, None), None, "a whole process");
        assert_eq!(sign("go_memstats_heap_inuse_bytes", Reading::Level, None), None);
        let part = |part| sign("tikv_store_size_bytes", Reading::Level, Some(("type", part)));
        assert_eq!((part("snap_size"), part("kv_size")), (Some(Sign::Waiting), None));
        let operators = "pd_schedule_operators_count";
        let timed_out = Some(("event", "timeout"));
        assert_eq!(sign(operators, Reading::Rate, timed_out), Some(Sign::Failing));
        let lost = Some(("type", "store_disconnected_count"));
        assert_eq!(sign("pd_cluster_status", Reading::Level, lost), Some(Sign::Waiting));
    }

    #[test]
    fn what_ends_with_count_counts_things_where_it_is_of_no_histogram() {
        let mut filter = SurveyFilter::default();
        for metric in
            ["raft_engine_log_file_count", "tikv_snapshot_size_count", "tikv_snapshot_size_sum"]
        {
            filter.accepts(&Labels::from_pairs(&[("__name__", metric)]));
        }
        assert!(filter.counts_things("raft_engine_log_file_count"));
        assert!(!filter.counts_things("tikv_snapshot_size_count"));
        assert!(!filter.counts_things("tikv_apply_error_count"), "failures are events");
        assert!(!filter.counts_things("tikv_engine_num_snapshots"), "no name of events");
    }

    #[test]
    fn a_series_is_surveyed_where_a_quantity_of_it_can_be_a_sign() {
        let surveyed = |pairs: &[(&str, &str)]| is_surveyed(&Labels::from_pairs(pairs));
        assert!(surveyed(&[("__name__", "tikv_grpc_msg_fail_total"), ("instance", "a")]));
        assert!(surveyed(&[("__name__", "raft_engine_write_duration_seconds_sum")]));
        assert!(surveyed(&[("__name__", "tikv_storage_total"), ("status", "err_timeout")]));
        assert!(!surveyed(&[("__name__", "raft_engine_write_duration_seconds_bucket")]));
        let bucket = |metric| surveyed(&[("__name__", metric), ("le", "1.024")]);
        assert!(bucket("raft_engine_write_duration_seconds_bucket"));
        assert!(!bucket("tikv_engine_compaction_duration_seconds_bucket"), "it is a job");
        assert!(!bucket("go_gc_pauses_seconds_bucket"));
        assert!(surveyed(&[("__name__", "tikv_storage_total"), ("status", "success")]));
        assert!(!surveyed(&[("__name__", "tikv_storage_total"), ("type", "success")]));
        assert!(!surveyed(&[("__name__", "tikv_storage_total"), ("instance", "error-1:20180")]));
        assert!(!surveyed(&[("__name__", "pd_scheduler_hot_region"), ("type", "src-failed")]));
        assert!(surveyed(&[("__name__", "pd_scheduler_region_heartbeat"), ("status", "ok")]));
        assert!(surveyed(&[("__name__", "tikv_store_size_bytes"), ("type", "snap_size")]));
        assert!(surveyed(&[("__name__", "pd_schedule_operators_count"), ("event", "timeout")]));
        assert!(surveyed(&[("__name__", "pd_cluster_status"), ("type", "store_unhealth_count")]));
    }
}
