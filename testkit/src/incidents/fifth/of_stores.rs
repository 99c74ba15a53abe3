//! How the incidents of stores show.

use operator::model::{Labels, Series};

use crate::incidents::changes::{At, add, growing, raise, set, slow};
use crate::incidents::lasting;
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

/// A snapshot in two hundred that takes ten seconds is ours; the thread shows seconds. TiKV's buckets end at 1.31072 s
/// and further up.
pub fn some_snapshots_take_seconds(run: &mut Run) {
    let histogram = "tikv_storage_engine_async_request_duration_seconds";
    let is_meant = |labels: &Labels| labels.get("type") == Some("snapshot");
    let part = |value: f64| (value / 200.0).floor();
    let mut buckets: Vec<Series> = Vec::new();
    let mut counts: Vec<Series> = Vec::new();
    run.each(&format!("{histogram}_count"), None, |labels, samples| {
        if is_meant(labels) {
            counts.push(Series { labels: labels.clone(), samples: samples.clone() });
        }
    });
    for one in &counts {
        let pairs = one.labels.iter().filter(|(name, _)| *name != "__name__");
        let mut pairs: Vec<(&str, &str)> = pairs.collect();
        let bucket = format!("{histogram}_bucket");
        pairs.extend([("__name__", bucket.as_str()), ("le", "1.31072")]);
        let mut samples = one.samples.clone();
        samples.iter_mut().for_each(|sample| sample.value -= part(sample.value));
        buckets.push(Series { labels: Labels::from_pairs(&pairs), samples });
    }
    run.each(&format!("{histogram}_sum"), None, |labels, samples| {
        let own = |one: &&Series| one.labels.get("instance") == labels.get("instance");
        let Some(count) = counts.iter().find(own).filter(|_| is_meant(labels)) else { return };
        for (sample, count) in samples.iter_mut().zip(&count.samples) {
            sample.value += 10.0 * part(count.value);
        }
    });
    run.series.extend(buckets);
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// All numbers are ours: the thread shows that apply lags, that logs are fetched, and that the engine grows.
pub fn apply_reads_logs_from_disk(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    slow(run, "tikv_raftstore_apply_wait_time_duration_secs", Some(&instance), range, 2.0);
    let fetched = At {
        keep: |labels| labels.get("type") == Some("async_fetch"),
        ..At::one("tikv_raftstore_entry_fetches", &instance)
    };
    raise(run, fetched, range, 50.0);
    let entries = At {
        keep: |labels| labels.get("type") == Some("append"),
        ..At::one("raft_engine_log_entry_count", &instance)
    };
    add(run, entries, growing(range, range.millis(), 5e6));
    let files = At {
        keep: |labels| labels.get("type") == Some("append"),
        ..At::one("raft_engine_log_file_count", &instance)
    };
    let more = growing(range, range.millis(), 400.0);
    add(run, files, |at| more(at).round());
}

/// 17 minutes are the thread's: 306 tasks wait, of which 0.3 are done a second.
pub fn snapshots_behind_deletions(run: &mut Run) {
    let whole = run.window;
    let instance = instance(run, 0);
    let worker = |labels: &Labels| labels.get("name") == Some("region-worker");
    let pending = At { keep: worker, ..At::one("tikv_worker_pending_task_total", &instance) };
    set(run, pending, whole, 306.0);
    let handled = At { keep: worker, ..At::one("tikv_worker_handled_task_total", &instance) };
    raise(run, handled, whole, 0.3);
}

/// Eight thousand are what four threads may have by default (`readpool.unified.max-tasks-per-worker`).
pub fn running_tasks_never_fall(run: &mut Run) {
    let whole = run.window;
    for index in 0..4 {
        let instance = instance(run, index);
        let running = At {
            keep: |labels| labels.get("priority") == Some("medium"),
            ..At::one("tikv_unified_read_pool_running_tasks", &instance)
        };
        set(run, running, whole, 8_000.0);
    }
}

/// A hundred tasks a second are ours.
pub fn pd_worker_piles_up(run: &mut Run) {
    let range = lasting(run);
    let (id, instance, _) = run.store(1);
    let worker = At {
        keep: |labels| labels.get("name") == Some("pd-worker"),
        ..At::one("tikv_worker_pending_task_total", &instance)
    };
    let more = growing(range, range.millis(), range.millis() as f64 / 10.0);
    add(run, worker, |at| more(at).round());
    run.stop_heartbeats(id, range);
}

/// That the thread of raftstore is all but busy is ours; the thread has 400 % of some threads. 90 % of the limit are
/// the thread's.
pub fn ticks_that_evict_nothing(run: &mut Run) {
    let whole = run.window;
    for index in 0..4 {
        let instance = instance(run, index);
        let raftstore = At {
            keep: |labels| labels.get("name").is_some_and(|name| name.starts_with("raftstore_")),
            ..At::one("tikv_thread_cpu_seconds_total", &instance)
        };
        raise(run, raftstore, whole, 0.8);
        set(run, At::one("tikv_server_memory_quota_bytes", &instance), whole, 25e9);
        add(run, At::one("process_resident_memory_bytes", &instance), |_| 22.6e9);
    }
}

/// That 3 % are free, and that tasks reach their limit within a minute, is ours.
pub fn follower_reads_wait(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    run.leave_free(3, range, 0.03);
    let running = At {
        keep: |labels| labels.get("priority") == Some("medium"),
        ..At::one("tikv_unified_read_pool_running_tasks", &instance)
    };
    let more = growing(range, 60_000, 8_000.0);
    add(run, running, |at| more(at).round());
}
