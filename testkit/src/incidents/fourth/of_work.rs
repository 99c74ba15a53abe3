//! How the incidents of stores show, by the work that they do.

use operator::model::{Labels, TimeRange};

use crate::incidents::changes::{At, add, add_gauge, growing, pace, raise, set, slow};
use crate::incidents::lasting;
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

/// The instances of all stores.
fn instances(run: &Run) -> Vec<String> {
    run.stores().into_iter().map(|(_, instance)| instance).collect()
}

const CPU: &str = "tikv_thread_cpu_seconds_total";

/// Makes the threads with this beginning of their names busy all the time, at one store.
fn occupy(run: &mut Run, instance: &str, range: TimeRange, is_meant: fn(&Labels) -> bool) {
    let threads = At { keep: is_meant, ..At::one(CPU, instance) };
    // They are idle most of the time in the quiet run; what they used comes on top of what is added.
    pace(run, At { keep: is_meant, ..At::one(CPU, instance) }, range, 0.0);
    raise(run, threads, range, 0.98);
}

fn is_named(labels: &Labels, start: &str) -> bool {
    labels.get("name").is_some_and(|name| name.starts_with(start))
}

/// Each store has two of these threads. That a request takes 0.3 s more on average is ours; the thread has the
/// slowest twentieth, at more than a second.
pub fn all_grpc_threads(run: &mut Run) {
    let range = lasting(run);
    for instance in instances(run) {
        occupy(run, &instance, range, |labels| is_named(labels, "grpc_server"));
        slow(run, "tikv_grpc_msg_duration_seconds", Some(&instance), range, 0.3);
    }
}

/// The thread has two threads for each store and more than 200 %; here there is one.
pub fn raftstore_of_many_regions(run: &mut Run) {
    let whole = run.window;
    for instance in instances(run) {
        occupy(run, &instance, whole, |labels| is_named(labels, "raftstore"));
    }
}

/// The thread's stores have 64 GB; that 20 are in use before, and that 30 come within ten minutes, is ours.
pub fn cdc_endpoint_busy(run: &mut Run) {
    let (range, whole) = (lasting(run), run.window);
    let (id, instance, _) = run.store(2);
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", &instance), whole, started as f64);
    run.store_entries(id, whole, |_, store| store["store"]["start_timestamp"] = started.into());
    set(run, At::one("tikv_server_memory_quota_bytes", &instance), whole, 64e9);
    for metric in ["process_resident_memory_bytes", "tikv_server_memory_usage"] {
        let more = growing(range, 600_000, 30e9);
        add(run, At::one(metric, &instance), |at| 20e9 + more(at));
    }
    occupy(run, &instance, range, |labels| labels.get("name") == Some("cdc_0"));
}

/// Millions of versions a second and tens of keys are the thread's, as are 49.9 requests a second and 571 MB/s of
/// reads for the cluster; that a request takes 1.2 s is ours. Counters have
/// counted for a day.
pub fn versions_never_collected(run: &mut Run) {
    let whole = run.window;
    let day_ago = TimeRange::new(whole.start.saturating_add_millis(-86_400_000), whole.end);
    for instance in instances(run) {
        let at_store = [("instance", instance.as_str()), ("job", "tikv"), ("req", "select")];
        for (tag, per_second) in [("next", 2e6), ("processed_keys", 12.5), ("total", 2e6)] {
            let mut pairs = vec![("__name__", "tikv_coprocessor_scan_details")];
            pairs.extend([("cf", "write"), ("tag", tag)].into_iter().chain(at_store));
            run.add_counter(&pairs, day_ago, per_second);
        }
        for (metric, per_second) in [
            ("tikv_coprocessor_request_duration_seconds_count", 12.5),
            ("tikv_coprocessor_request_duration_seconds_sum", 15.0),
        ] {
            let mut pairs = vec![("__name__", metric)];
            pairs.extend(at_store);
            run.add_counter(&pairs, day_ago, per_second);
        }
        let read = At {
            keep: |labels| {
                labels.get("name") == Some("unified_read_pool_0")
                    && labels.get("io") == Some("read")
            },
            ..At::one("tikv_threads_io_bytes_total", &instance)
        };
        raise(run, read, whole, 571e6 / 4.0);
    }
}

/// Five failures and 500 requests a second at each store are ours.
pub fn log_backup_retries(run: &mut Run) {
    let range = lasting(run);
    for instance in instances(run) {
        let at_store = [("instance", instance.as_str()), ("job", "tikv")];
        let mut errors = vec![("__name__", "tikv_log_backup_errors"), ("type", "KV:LogBackup:Io")];
        errors.extend(at_store);
        run.add_counter(&errors, range, 5.0);
        for (metric, per_second) in [
            ("tikv_cloud_request_duration_seconds_count", 500.0),
            ("tikv_cloud_request_duration_seconds_sum", 25.0),
        ] {
            let mut pairs = vec![("__name__", metric), ("cloud", "s3"), ("req", "upload_part")];
            pairs.extend(at_store);
            run.add_counter(&pairs, range, per_second);
        }
    }
}

/// That twenty reads a second are refused is ours.
pub fn data_not_ready(run: &mut Run) {
    let whole = run.window;
    let instance = instance(run, 2);
    let refused = At {
        keep: |labels| {
            labels.get("type") == Some("snapshot")
                && labels.get("status") == Some("err_data_is_not_ready")
        },
        ..At::one("tikv_storage_engine_async_request_total", &instance)
    };
    raise(run, refused, whole, 20.0);
    let rejected = At {
        keep: |labels| labels.get("reason") == Some("safe_ts"),
        ..At::one("tikv_raftstore_local_read_reject_total", &instance)
    };
    raise(run, rejected, whole, 20.0);
}

/// What clients write comes to nothing; thirty refusals a second at each store are ours.
pub fn busy_while_idle(run: &mut Run) {
    let range = lasting(run);
    for instance in instances(run) {
        let kind = |labels: &Labels| labels.get("type") == Some("kv_prewrite");
        for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"]
        {
            pace(run, At { keep: kind, ..At::one(metric, &instance) }, range, 0.02);
        }
        for metric in [
            "tikv_raftstore_proposal_total",
            "tikv_raftstore_propose_log_size_count",
            "tikv_raftstore_commit_log_duration_seconds_count",
            "tikv_raftstore_store_wf_commit_log_duration_seconds_count",
        ] {
            pace(run, At::one(metric, &instance), range, 0.02);
        }
        let refused = [
            ("__name__", "tikv_scheduler_too_busy_total"),
            ("instance", instance.as_str()),
            ("job", "tikv"),
            ("type", "prewrite"),
        ];
        run.add_counter(&refused, range, 30.0);
    }
}

/// A timestamp of PD's: milliseconds, and 18 bits of a counter. The store was cut off for 50 minutes and came back
/// ten minutes ago; checkpoints of the others are three minutes old.
pub fn checkpoint_left_behind(run: &mut Run) {
    let stands = run.window.start.as_millis() - 60 * 60_000;
    for (index, instance) in instances(run).into_iter().enumerate() {
        let pairs = |metric| {
            [
                ("__name__", metric),
                ("instance", instance.as_str()),
                ("job", "tikv"),
                ("task", "backup"),
            ]
        };
        add_gauge(run, &pairs("tikv_log_backup_store_checkpoint_ts"), |at| {
            let since = if index == 1 { stands } else { at.as_millis() - 180_000 };
            (since << 18) as f64
        });
        add_gauge(run, &pairs("tikv_log_backup_task_status"), |_| 0.0);
    }
}

/// That logs take 0.5 s to commit, and that heartbeats become a hundred times as many, is ours.
pub fn all_regions_awake(run: &mut Run) {
    let range = lasting(run);
    for instance in instances(run) {
        for histogram in [
            "tikv_raftstore_commit_log_duration_seconds",
            "tikv_raftstore_store_wf_commit_log_duration_seconds",
        ] {
            slow(run, histogram, Some(&instance), range, 0.5);
        }
        let beats = At {
            keep: |labels| {
                labels.get("status") == Some("accept")
                    && labels.get("type").is_some_and(|kind| kind.starts_with("heartbeat"))
            },
            ..At::one("tikv_raftstore_raft_sent_message_total", &instance)
        };
        pace(run, beats, range, 100.0);
    }
}

/// One failure a second at each store is ours.
pub fn backup_refused(run: &mut Run) {
    let range = lasting(run);
    for instance in instances(run) {
        for (metric, labels) in [
            ("tikv_cloud_error_count", vec![("cloud", "aws"), ("error", "upload_part")]),
            ("tikv_backup_error_counter", vec![("error", "other")]),
        ] {
            let mut pairs = vec![("__name__", metric)];
            pairs.extend([("instance", instance.as_str()), ("job", "tikv")]);
            pairs.extend(labels);
            run.add_counter(&pairs, range, 1.0);
        }
    }
}

/// 512 MB are the default of the quota, and what it is in the run; that they fill within four minutes is ours.
pub fn feed_quota_full(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 3);
    let quota = 536_870_912.0;
    let more = growing(range, 240_000, quota);
    add(run, At::one("tikv_cdc_sink_memory_bytes", &instance), |at| more(at).round());
}

/// 500 checks that wait are ours.
pub fn split_checks_wait(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    let worker = At {
        keep: |labels| labels.get("name") == Some("split-check"),
        ..At::one("tikv_worker_pending_task_total", &instance)
    };
    let more = growing(range, range.millis(), 500.0);
    add(run, worker, |at| more(at).round());
}
