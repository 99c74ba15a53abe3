//! How the incidents of stores show.

use operator::model::{TimeRange, Timestamp};
use serde_json::json;

use crate::incidents::changes::{At, add, add_gauge, growing, raise, set, slow};
use crate::incidents::lasting;
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

const GAP: &str = "tikv_resolved_ts_min_resolved_ts_gap_millis";

pub fn orphan_holds_resolved_ts(run: &mut Run) {
    let instance = instance(run, 2);
    let start = run.window.start;
    run.each(GAP, Some(&instance), |_, samples| {
        for sample in samples.iter_mut() {
            sample.value = 3_600_000.0 + (sample.at - start) as f64;
        }
    });
}

/// A timestamp of PD's: milliseconds, and 18 bits of a counter.
pub fn log_backup_stands(run: &mut Run) {
    let stands = run.window.start.as_millis() - 10 * 3_600_000;
    for index in 0..4 {
        let instance = instance(run, index);
        for (metric, value) in [
            ("tikv_log_backup_store_checkpoint_ts", (stands << 18) as f64),
            ("tikv_log_backup_task_status", 0.0),
        ] {
            let pairs = [
                ("__name__", metric),
                ("instance", instance.as_str()),
                ("job", "tikv"),
                ("task", "backup"),
            ];
            add_gauge(run, &pairs, |_| value);
        }
    }
}

/// That 300 GB come within a quarter of an hour is ours.
pub fn debt_unthrottled(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    let debt = At {
        keep: |labels| labels.get("cf") == Some("default"),
        ..At::one("tikv_engine_pending_compaction_bytes", &instance)
    };
    add(run, debt, growing(range, range.millis(), 300e9));
}

const COMMIT: [&str; 2] = [
    "tikv_raftstore_commit_log_duration_seconds",
    "tikv_raftstore_store_wf_commit_log_duration_seconds",
];

pub fn commits_take_seconds(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 0);
    for histogram in COMMIT {
        slow(run, histogram, Some(&instance), range, 3.0);
    }
}

/// That logs take 0.3 s to commit is ours.
pub fn one_grpc_thread(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    let thread = At {
        keep: |labels| labels.get("name") == Some("grpc_server_0"),
        ..At::one("tikv_thread_cpu_seconds_total", &instance)
    };
    raise(run, thread, range, 0.97);
    for histogram in COMMIT {
        slow(run, histogram, Some(&instance), range, 0.3);
    }
}

/// 5 s of waiting and 100 ms at most of appending and applying are the highest in the thread; means are ours.
pub fn applies_wait(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    for (histogram, seconds) in [
        ("tikv_raftstore_apply_wait_time_duration_secs", 1.0),
        ("tikv_raftstore_apply_log_duration_seconds", 0.03),
        ("tikv_raftstore_append_log_duration_seconds", 0.01),
    ] {
        slow(run, histogram, Some(&instance), range, seconds);
    }
}

/// Gives a store so much memory from the beginning, and what a course says on top. A process that holds so much
/// has run for a while: for a day.
fn remember(run: &mut Run, index: usize, base: f64, more: impl Fn(Timestamp) -> f64) {
    let (id, instance, _) = run.store(index);
    let whole = run.window;
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", &instance), whole, started as f64);
    run.store_entries(id, whole, |_, store| store["store"]["start_timestamp"] = started.into());
    for metric in ["process_resident_memory_bytes", "tikv_server_memory_usage"] {
        add(run, At::one(metric, &instance), |at| base + more(at));
    }
}

/// The thread has 40 GB for each store, of which 18 in use are ours, as are the eight minutes. Scans that wait
/// are those that began (`total`) and neither ended nor are under way.
pub fn scan_tasks_pile_up(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    let whole = run.window;
    set(run, At::one("tikv_server_memory_quota_bytes", &instance), whole, 40e9);
    remember(run, 2, 18e9, growing(range, 480_000, 8.9e9));
    let waiting = growing(range, 480_000, 1_649_639.0);
    for (kind, factor, ongoing) in
        [("total", 1.0, 0.0), ("ongoing", 0.0, 6.0), ("finish", 0.0, 0.0)]
    {
        let pairs = [
            ("__name__", "tikv_cdc_scan_tasks"),
            ("instance", instance.as_str()),
            ("job", "tikv"),
            ("type", kind),
        ];
        let under_way = |at| if range.contains(at) { ongoing } else { 0.0 };
        add_gauge(run, &pairs, |at| (waiting(at) * factor).round() + under_way(at));
    }
}

pub fn snapshot_waits_to_be_applied(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    set(run, At::one("tikv_raftstore_snapshot_pending_applies", &instance), range, 1.0);
    run.bodies("/regions/check/pending-peer", range, |_, body| {
        *body = json!({ "count": 1, "regions": [] });
    });
}

const PENDING: &str = "tikv_worker_pending_task_total";

/// How many tasks come is ours: a hundred a second.
pub fn hang_without_slow_score(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    run.stop_device(1, range);
    let worker = At {
        keep: |labels| labels.get("name") == Some("pd-worker"),
        ..At::one(PENDING, &instance)
    };
    add(run, worker, growing(range, range.millis(), range.millis() as f64 / 10.0));
}

/// The times of the thread are those of its slowest request; a tenth of them as means is ours.
pub fn cloud_disk_slow(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    for (histogram, seconds) in [
        ("tikv_raftstore_store_wf_batch_wait_duration_seconds", 0.13),
        ("tikv_raftstore_store_wf_persist_duration_seconds", 2.8),
        ("tikv_raftstore_apply_log_duration_seconds", 1.0),
    ] {
        slow(run, histogram, Some(&instance), range, seconds);
    }
}

/// 30 GB before are ours.
pub fn resolved_ts_worker_stuck(run: &mut Run) {
    let end = run.window.end;
    let range = TimeRange::new(end.saturating_add_millis(-600_000), end);
    let instance = instance(run, 0);
    remember(run, 0, 30e9, growing(range, 600_000, 30e9));
    let waits = At::one("tikv_resolved_ts_channel_pending_cmd_bytes_total", &instance);
    add(run, waits, growing(range, 600_000, 7e9));
    let worker = At {
        keep: |labels| labels.get("name") == Some("resolved-ts"),
        ..At::one(PENDING, &instance)
    };
    add(run, worker, growing(range, 600_000, 2e6));
    let thread = At {
        keep: |labels| labels.get("name") == Some("resolved_ts_0"),
        ..At::one("tikv_thread_cpu_seconds_total", &instance)
    };
    raise(run, thread, range, 0.99);
}

/// That there are a hundred such regions is ours.
pub fn cleanup_worker_behind(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    let worker = At {
        keep: |labels| labels.get("name") == Some("cleanup-worker"),
        ..At::one(PENDING, &instance)
    };
    add(run, worker, growing(range, range.millis(), range.millis() as f64 / 100.0));
}

/// 40 GB before, and the eight minutes, are ours.
pub fn entries_never_shrink(run: &mut Run) {
    let range = lasting(run);
    for index in 0..3 {
        remember(run, index, 40e9, growing(range, 480_000, 20e9));
    }
}

/// Their numbers are ours.
pub fn analyze_holds_permits(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    let pairs = [
        ("__name__", "tikv_coprocessor_waiting_for_semaphore"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
    ];
    add_gauge(run, &pairs, |at| if range.contains(at) { 200.0 } else { 0.0 });
    let waiting = At {
        keep: |labels| labels.get("priority") == Some("medium"),
        ..At::one("tikv_unified_read_pool_running_tasks", &instance)
    };
    set(run, waiting, range, 400.0);
}
