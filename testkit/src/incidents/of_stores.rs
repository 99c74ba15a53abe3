//! Incidents at stores.

use operator::model::TimeRange;

use super::changes::{At, add_gauge, pace, set};
use super::{Half, Incident, Place, lasting};
use crate::run::Run;

/// The incidents, in no particular order.
pub const INCIDENTS: &[Incident] = &[
    Incident {
        name: "reads-throttled",
        thread: "tikv/tikv#18939",
        cause: "the limiter of a priority gets next to no quota: reads crawl, their tasks wait, no CPU is used",
        modes: &["coprocessor_pressure", "unexplained"],
        place: Place::AllStores,
        leads: &["tikv_unified_read_pool_running_tasks", "kv_get", "tikv_grpc_msg"],
        half: Half::Tuned,
        change: reads_throttled,
    },
    Incident {
        name: "reads-throttled-at-most",
        thread: "tikv/tikv#18939",
        cause: "as above at three of four stores, where no metric of tasks is exported",
        modes: &["unexplained", "coprocessor_pressure"],
        place: Place::AllStores,
        leads: &["kv_get", "tikv_grpc_msg", "tikv_storage", "read"],
        half: Half::HeldOut,
        change: reads_throttled_at_most,
    },
    Incident {
        name: "scheduler-frozen",
        thread: "tikv/tikv#20074",
        cause: "the scheduler's memory quota is full and is never given back: commands stand still, writes are refused",
        modes: &["scheduler_busy", "unexplained"],
        place: Place::Stores(&[2]),
        leads: &["tikv_scheduler"],
        half: Half::Tuned,
        change: scheduler_frozen,
    },
    Incident {
        name: "commands-never-end",
        thread: "tikv/tikv#16337",
        cause: "write commands of a store do not end: its writes fall to nothing, nothing is refused",
        modes: &["unexplained", "scheduler_busy"],
        place: Place::Stores(&[1]),
        leads: &[
            "tikv_scheduler",
            "prewrite",
            "tikv_raftstore_proposal",
            "tikv_grpc",
            "tikv_storage",
        ],
        half: Half::HeldOut,
        change: commands_never_end,
    },
    Incident {
        name: "applies-blocked",
        thread: "tikv/tikv#9627",
        cause: "a deadlock in the compaction filter: every apply thread and every thread of RocksDB waits for ever",
        modes: &["unexplained", "apply_bound", "write_stall"],
        place: Place::Stores(&[0]),
        leads: &["apply"],
        half: Half::Tuned,
        change: applies_blocked,
    },
    Incident {
        name: "lock-leaked",
        thread: "tikv/tikv#19487",
        cause: "a lock in memory that nobody gives back holds the resolved timestamp of a store for days",
        modes: &["gc_stall"],
        place: Place::Stores(&[1]),
        leads: &["resolved_ts", "resolved-ts"],
        half: Half::Tuned,
        change: lock_leaked,
    },
    Incident {
        name: "gc-worker-behind",
        thread: "tikv/tikv#19533",
        cause: "the GC worker of a store cannot keep up with the keys that compactions hand to it",
        modes: &["unexplained"],
        place: Place::Stores(&[3]),
        leads: &["tikv_worker_pending_task_total"],
        half: Half::HeldOut,
        change: gc_worker_behind,
    },
    Incident {
        name: "appends-rejected",
        thread: "tikv/tikv#15800",
        cause: "a store short of memory rejects raft appends, so that regions there fall behind",
        modes: &["unexplained"],
        place: Place::Stores(&[2]),
        leads: &["tikv_server_raft_append_rejects", "append"],
        half: Half::Tuned,
        change: appends_rejected,
    },
    Incident {
        name: "snapshots-stuck",
        thread: "tikv/tikv#15153",
        cause: "the worker that makes snapshots is stuck: peers wait for them and stay pending",
        modes: &["unexplained", "peers_stuck", "snapshot_storm"],
        place: Place::Stores(&[0]),
        leads: &["snap", "pending-peer"],
        half: Half::Tuned,
        change: snapshots_stuck,
    },
];

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

fn reads_throttled(run: &mut Run) {
    let range = lasting(run);
    for index in 0..4 {
        let instance = instance(run, index);
        throttle_reads(run, &instance, range);
        let waiting = At {
            keep: |labels| labels.get("priority") == Some("medium"),
            ..At::one(RUNNING, &instance)
        };
        set(run, waiting, range, 400.0);
    }
}

const RUNNING: &str = "tikv_unified_read_pool_running_tasks";

/// Lets reads come to a fiftieth; the writes of the same clients go on.
fn throttle_reads(run: &mut Run, instance: &str, range: TimeRange) {
    for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"] {
        let reads =
            At { keep: |labels| labels.get("type") == Some("kv_get"), ..At::one(metric, instance) };
        pace(run, reads, range, 0.02);
    }
    let commands = At {
        keep: |labels| labels.get("type") == Some("raw_get"),
        ..At::one("tikv_storage_command_total", instance)
    };
    pace(run, commands, range, 0.02);
    let snapshots = At {
        keep: |labels| labels.get("type") == Some("snapshot"),
        ..At::one("tikv_storage_engine_async_request_total", instance)
    };
    pace(run, snapshots, range, 0.02);
}

fn reads_throttled_at_most(run: &mut Run) {
    run.drop_series(|labels| labels.metric() == RUNNING);
    let range = lasting(run);
    for index in 0..3 {
        let instance = instance(run, index);
        throttle_reads(run, &instance, range);
    }
}

/// What a store counts of writes that reach Raft and are applied.
const WRITES: [&str; 4] = [
    "tikv_raftstore_proposal_total",
    "tikv_raftstore_propose_log_size_count",
    "tikv_raftstore_commit_log_duration_seconds_count",
    "tikv_raftstore_store_wf_commit_log_duration_seconds_count",
];

/// Lets clients write nothing more to the regions that a store leads.
fn stop_writes(run: &mut Run, instance: &str, range: TimeRange) {
    for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"] {
        let writes = At {
            keep: |labels| labels.get("type") == Some("kv_prewrite"),
            ..At::one(metric, instance)
        };
        pace(run, writes, range, 0.0);
    }
    for metric in WRITES {
        pace(run, At::one(metric, instance), range, 0.0);
    }
    let written = At {
        keep: |labels| labels.get("type") == Some("write"),
        ..At::one("tikv_storage_engine_async_request_total", instance)
    };
    pace(run, written, range, 0.0);
}

fn scheduler_frozen(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    stop_writes(run, &instance, range);
    pace(run, At::one("tikv_scheduler_stage_total", &instance), range, 0.0);
    let from = range.start;
    for (metric, kind, before, value) in [
        ("tikv_scheduler_memory_quota_size", Some(("type", "in_use")), 40_000.0, 268_435_288.0),
        ("tikv_scheduler_contex_total", None, 3.0, 233_485.0),
        ("tikv_scheduler_running_commands", None, 2.0, 15_052.0),
    ] {
        let mut pairs =
            vec![("__name__", metric), ("instance", instance.as_str()), ("job", "tikv")];
        pairs.extend(kind);
        // It fills within four minutes.
        let grown = move |at| {
            let share = (((at - from) as f64) / 240_000.0).clamp(0.0, 1.0);
            before + share * (value - before)
        };
        add_gauge(run, &pairs, grown);
    }
    set(run, At::one("tikv_scheduler_write_flow", &instance), range, 0.0);
    let refused = [
        ("__name__", "tikv_scheduler_too_busy_total"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
        ("type", "prewrite"),
    ];
    run.add_counter(&refused, range, 30.0);
}

fn commands_never_end(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    stop_writes(run, &instance, range);
    pace(run, At::one("tikv_scheduler_stage_total", &instance), range, 0.0);
}

fn applies_blocked(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 0);
    stop_writes(run, &instance, range);
    for metric in [
        "tikv_raftstore_apply_log_duration_seconds_count",
        "tikv_raftstore_apply_log_duration_seconds_sum",
        "tikv_raftstore_apply_wait_time_duration_secs_count",
        "tikv_raftstore_apply_wait_time_duration_secs_sum",
        "tikv_raftstore_apply_duration_secs_count",
        "tikv_raftstore_apply_duration_secs_sum",
    ] {
        pace(run, At::one(metric, &instance), range, 0.0);
    }
}

const GAP: &str = "tikv_resolved_ts_min_resolved_ts_gap_millis";

fn lock_leaked(run: &mut Run) {
    let instance = instance(run, 1);
    let start = run.window.start;
    run.each(GAP, Some(&instance), |_, samples| {
        for sample in samples.iter_mut() {
            sample.value = 152_159_790.0 + (sample.at - start) as f64;
        }
    });
}

fn gc_worker_behind(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    let worker = At {
        keep: |labels| labels.get("name") == Some("gc-worker"),
        ..At::one(PENDING, &instance)
    };
    set(run, worker, range, 20_000.0);
}

const PENDING: &str = "tikv_worker_pending_task_total";

fn appends_rejected(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    let labels = [
        ("__name__", "tikv_server_raft_append_rejects"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
    ];
    run.add_counter(&labels, range, 60.0);
    for metric in [
        "tikv_raftstore_append_log_duration_seconds_count",
        "tikv_raftstore_append_log_duration_seconds_sum",
    ] {
        pace(run, At::one(metric, &instance), range, 0.3);
    }
}

fn snapshots_stuck(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 0);
    let from = range.start;
    run.each(PENDING, Some(&instance), |labels, samples| {
        if labels.get("name") == Some("snap-generator") {
            for sample in samples.iter_mut().filter(|one| range.contains(one.at)) {
                sample.value = ((sample.at - from) as f64 / 5_000.0).min(160.0).round();
            }
        }
    });
    run.bodies("/regions/check/pending-peer", range, |_, body| {
        *body = serde_json::json!({ "count": 12, "regions": [] });
    });
}
