//! How incidents show that come of what stores are asked to do.

use operator::model::{Labels, TimeRange, is_stale};
use serde_json::{Value, json};

use crate::incidents::changes::{At, add_gauge, pace, raise, set};
use crate::incidents::lasting;
use crate::run::Run;

const SERVED: [&str; 2] =
    ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"];

/// Lets every thread whose name begins so be busy for a share of the time, at all stores or at one.
fn busy(run: &mut Run, instance: Option<&str>, range: TimeRange, threads: &[(&str, f64)]) {
    for (name, share) in threads {
        run.each("tikv_thread_cpu_seconds_total", instance, |labels, samples| {
            if labels.get("name").is_some_and(|one| one.starts_with(name)) {
                for sample in samples.iter_mut().filter(|one| !is_stale(one.value)) {
                    let inside_ms = (sample.at.min(range.end) - range.start).max(0);
                    sample.value += inside_ms as f64 / 1000.0 * share;
                }
            }
        });
    }
}

/// How a region that takes 20 MB/s of writes stands in PD's list of hot ones.
fn hot_region(store: u64) -> Value {
    json!({
        "store_bytes": 24e6, "store_keys": 32e3, "store_query": 5e3, "store_cpu": 0,
        "total_flow_bytes": 20e6, "total_flow_keys": 30e3, "total_flow_query": 5e3, "total_flow_cpu": 0,
        "regions_count": 1,
        "statistics": [{
            "store_id": store, "stores": [1, 4, 6], "is_leader": store == 1, "is_learner": false,
            "region_id": 2, "hot_degree": 60, "anti_count": 2,
            "flow_bytes": 20e6, "flow_keys": 30e3, "flow_query": 5e3, "flow_cpu": 0,
        }],
    })
}

/// The thread has one overloaded store; twelve times the writes, and how busy which threads are, is ours.
pub fn new_index_takes_all_writes(run: &mut Run) {
    let range = lasting(run);
    let (_, instance, _) = run.store(0);
    for metric in SERVED {
        let writes = At {
            keep: |labels| labels.get("type") == Some("kv_prewrite"),
            ..At::one(metric, &instance)
        };
        pace(run, writes, range, 12.0);
    }
    run.slow_down_those("tikv_grpc_msg_duration_seconds", &instance, range, 0.15, |labels| {
        labels.get("type") == Some("kv_prewrite")
    });
    let threads = [
        ("sched_worker_pool_", 0.15),
        ("raftstore_", 0.35),
        ("store_writer_", 0.25),
        ("apply_0", 0.4),
        ("grpc_server_", 0.15),
    ];
    busy(run, Some(&instance), range, &threads);
    raise(run, At::one("process_cpu_seconds_total", &instance), range, 1.6);
    run.bodies("/hotspot/regions/write", range, |_, body| {
        body["as_leader"]["1"] = hot_region(1);
        for store in [1, 4, 6] {
            body["as_peer"][store.to_string()] = hot_region(store);
        }
    });
    run.bodies("/hotspot/stores", range, |_, body| {
        for store in ["1", "4", "6"] {
            body["bytes-write-rate"][store] = 24e6.into();
            body["keys-write-rate"][store] = 32e3.into();
        }
    });
}

/// The thread has scans that fill the cache and slow reads; half the hits, a hundred misses more a second, 20 MB/s of
/// scans and 5 ms for each read are ours.
pub fn scans_of_feeds_fill_the_cache(run: &mut Run) {
    let range = lasting(run);
    for (_, instance) in run.stores() {
        set(run, At::one("tikv_cdc_captured_region_total", &instance), range, 8.0);
        let scanned = [
            ("__name__", "tikv_cdc_scan_bytes_total"),
            ("instance", instance.as_str()),
            ("job", "tikv"),
        ];
        run.add_counter(&scanned, range, 20e6);
        busy(run, Some(&instance), range, &[("cdcwkr", 0.08)]);
        raise(run, At::one("process_cpu_seconds_total", &instance), range, 0.32);
    }
    let counted =
        |keep: fn(&Labels) -> bool| At { keep, ..At::all("tikv_engine_cache_efficiency") };
    pace(run, counted(hits), range, 0.5);
    raise(run, counted(misses), range, 100.0);
    raise(run, counted(additions), range, 700.0);
    let read = At {
        keep: |labels| {
            labels.get("op") == Some("read") && labels.get("type") == Some("foreground_read")
        },
        ..At::all("tikv_io_bytes")
    };
    raise(run, read, range, 23e6);
    for (_, instance) in run.stores() {
        run.slow_down_those("tikv_grpc_msg_duration_seconds", &instance, range, 0.005, |labels| {
            labels.get("type") == Some("kv_get")
        });
    }
}

fn of_cache(labels: &Labels, kinds: [&str; 2]) -> bool {
    labels.get("db") == Some("kv") && labels.get("type").is_some_and(|kind| kinds.contains(&kind))
}

fn hits(labels: &Labels) -> bool {
    of_cache(labels, ["block_cache_hit", "block_cache_data_hit"])
}

fn misses(labels: &Labels) -> bool {
    of_cache(labels, ["block_cache_miss", "block_cache_data_miss"])
}

fn additions(labels: &Labels) -> bool {
    of_cache(labels, ["block_cache_add", "block_cache_data_add"])
}

/// The thread has all of it: 400 % of eight cores, 150 MB/s at most, from 30,000 requests a second to 6,000, and from
/// 8 ms to 100. That the stores share the bytes evenly, and that scans read a region in two seconds, is ours.
pub fn first_scan_of_a_log_backup(run: &mut Run) {
    let range = lasting(run);
    busy(run, None, range, &[("log_backup_scan", 0.9), ("backup_stream", 0.05)]);
    for (_, instance) in run.stores() {
        raise(run, At::one("process_cpu_seconds_total", &instance), range, 1.0);
        let of_store = [("instance", instance.as_str()), ("job", "tikv")];
        for (metric, per_second) in [
            ("tikv_log_backup_incremental_scan_bytes_count", 0.5),
            ("tikv_log_backup_incremental_scan_bytes_sum", 37.5e6),
            ("tikv_log_backup_initial_scan_disk_read", 37.5e6),
            ("tikv_log_backup_initial_scan_duration_sec_count", 0.5),
            ("tikv_log_backup_initial_scan_duration_sec_sum", 1.0),
        ] {
            let own = [("__name__", metric)];
            run.add_counter(&[own.as_slice(), of_store.as_slice()].concat(), range, per_second);
        }
        for (stage, waiting) in [("queuing", 20.0), ("executing", 1.0)] {
            let own = [("__name__", "tikv_log_backup_pending_initial_scan"), ("stage", stage)];
            let pairs = [own.as_slice(), of_store.as_slice()].concat();
            add_gauge(run, &pairs, |at| if range.contains(at) { waiting } else { 0.0 });
        }
    }
    for metric in SERVED {
        let of_clients = At {
            keep: |labels| {
                labels.get("type").is_some_and(|kind| ["kv_get", "kv_prewrite"].contains(&kind))
            },
            ..At::all(metric)
        };
        pace(run, of_clients, range, 0.2);
    }
    for (_, instance) in run.stores() {
        run.slow_down_those("tikv_grpc_msg_duration_seconds", &instance, range, 0.092, |labels| {
            labels.get("type").is_some_and(|kind| ["kv_get", "kv_prewrite"].contains(&kind))
        });
    }
}
