//! How the incidents of stores show.

use operator::model::{Labels, Timestamp};

use crate::incidents::changes::{At, add, pace, raise, set};
use crate::incidents::lasting;
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

const SERVED: [&str; 2] =
    ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"];

pub fn ten_times_as_long(run: &mut Run) {
    let range = lasting(run);
    let writes = At {
        keep: |labels| labels.get("type").is_some_and(|kind| kind == "kv_prewrite"),
        ..At::all(SERVED[1])
    };
    pace(run, writes, range, 10.0);
    for sum in [
        "tikv_raftstore_commit_log_duration_seconds_sum",
        "tikv_raftstore_store_wf_commit_log_duration_seconds_sum",
        "tikv_raftstore_request_wait_time_duration_secs_sum",
    ] {
        pace(run, At::all(sum), range, 10.0);
    }
}

/// Makes a store's disk one of 4 TB, of which so much is free.
fn enlarge(run: &mut Run, index: usize, free: impl Fn(Timestamp) -> f64) {
    let whole = run.window;
    let (id, instance, _) = run.store(index);
    let capacity = 4.0e12;
    let gib = 1024.0 * 1024.0 * 1024.0;
    run.store_entries(id, whole, |at, store| {
        store["status"]["capacity"] = format!("{:.3}TiB", capacity / gib / 1024.0).into();
        store["status"]["available"] = format!("{:.1}GiB", free(at) / gib).into();
    });
    run.each("tikv_store_size_bytes", Some(&instance), |labels, samples| {
        for sample in samples.iter_mut() {
            match labels.get("type") {
                Some("available") => sample.value = free(sample.at).round(),
                Some("capacity") => sample.value = capacity,
                _ => {}
            }
        }
    });
}

/// 100 MiB a second, of as many snapshots, are the thread's; that 1.6 TB are free at first is ours.
pub fn snapshots_fill_the_disk(run: &mut Run) {
    let whole = run.window;
    let instance = instance(run, 2);
    let made = move |at: Timestamp| (at - whole.start) as f64 / 1000.0 * 104_857_600.0;
    enlarge(run, 2, |at| 1.6e12 - made(at));
    let kept = At {
        keep: |labels| labels.get("type") == Some("snap_size"),
        ..At::one("tikv_store_size_bytes", &instance)
    };
    add(run, kept, made);
    let generated = At {
        keep: |labels| {
            let counted = ["all", "start", "success"];
            labels.get("type") == Some("generate")
                && labels.get("status").is_some_and(|status| counted.contains(&status))
        },
        ..At::one("tikv_raftstore_snapshot_total", &instance)
    };
    raise(run, generated, whole, 1.0);
}

/// That leaders of the other stores find it 65,000 entries further behind with each second, by some three
/// observations, is ours.
pub fn logs_never_catch_up(run: &mut Run) {
    let range = lasting(run);
    for index in 0..3 {
        let instance = instance(run, index);
        raise(run, At::one("tikv_raftstore_log_lag_sum", &instance), range, 65_000.0);
    }
}

/// That each store tries once a second is ours.
pub fn splits_come_to_nothing(run: &mut Run) {
    let whole = run.window;
    let tried = At {
        keep: |labels| {
            labels.get("type") == Some("batch-split") && labels.get("status") == Some("all")
        },
        ..At::all("tikv_raftstore_admin_cmd_total")
    };
    raise(run, tried, whole, 1.0);
    let checked = At {
        keep: |labels| {
            labels.get("type").is_some_and(|kind| ["all", "start", "success"].contains(&kind))
        },
        ..At::all("tikv_raftstore_check_split_total")
    };
    raise(run, checked, whole, 1.0);
}

/// The thread shows one store, and its change of the program is of all; that 1.2 TB are free is ours.
pub fn raft_engines_of_a_terabyte(run: &mut Run) {
    let whole = run.window;
    for index in 0..4 {
        let instance = instance(run, index);
        let is_append = |labels: &Labels| labels.get("type") == Some("append");
        run.set_where("raft_engine_log_file_count", &instance, whole, 8_913.0, is_append);
        enlarge(run, index, |_| 1.2e12);
        let size = At {
            keep: |labels| labels.get("type") == Some("raft_size"),
            ..At::one("tikv_store_size_bytes", &instance)
        };
        set(run, size, whole, 1.3e12);
    }
}

/// That a twelfth of the requests is left is ours; the thread has more than 90 % less.
pub fn one_disk_holds_up_all(run: &mut Run) {
    let range = lasting(run);
    run.slow_device(1, range, 0.01);
    for metric in SERVED {
        pace(run, At::all(metric), range, 0.08);
    }
}

/// That its size is looked at every ten seconds is ours.
pub fn one_huge_region(run: &mut Run) {
    let whole = run.window;
    let instance = instance(run, 1);
    raise(run, At::one("tikv_raftstore_region_size_count", &instance), whole, 0.1);
    raise(run, At::one("tikv_raftstore_region_size_sum", &instance), whole, 1.2e9);
    run.set_where("pd_regions_status", crate::incidents::LEADERS_TARGET, whole, 1.0, |labels| {
        labels.get("type") == Some("oversized-region-count")
    });
}

/// That there are thirty is ours.
pub fn idle_regions_elect_nobody(run: &mut Run) {
    let range = lasting(run);
    for index in [1, 2] {
        let instance = instance(run, index);
        set(run, At::one("tikv_raftstore_leader_missing", &instance), range, 30.0);
    }
}

/// A minute in every four, and two seconds of waiting, are ours.
pub fn reads_wait_in_bursts(run: &mut Run) {
    let instance = instance(run, 0);
    for minute in (2..24).step_by(4) {
        let range = run.range(60 * minute, 60 * minute + 60);
        let histogram = "tikv_yatp_pool_schedule_wait_duration";
        run.slow_down_those(histogram, &instance, range, 2.0, |labels| {
            labels.get("name") == Some("unified-read-pool")
        });
    }
}

/// Two cores are the quota of each store in the quiet run; that the pool has four threads too.
pub fn reads_take_every_core(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 2);
    raise(run, At::one("process_cpu_seconds_total", &instance), range, 1.8);
    let readers = At {
        keep: |labels| labels.get("name").is_some_and(|name| name.starts_with("unified_read_po")),
        ..At::one("tikv_thread_cpu_seconds_total", &instance)
    };
    raise(run, readers, range, 0.45);
}

/// That it is tried every ten seconds is ours.
pub fn snapshots_never_succeed(run: &mut Run) {
    let whole = run.window;
    let instance = instance(run, 0);
    let failed = At {
        keep: |labels| {
            let counted = ["all", "start", "fail"];
            labels.get("type") == Some("generate")
                && labels.get("status").is_some_and(|status| counted.contains(&status))
        },
        ..At::one("tikv_raftstore_snapshot_total", &instance)
    };
    raise(run, failed, whole, 0.1);
}

/// That 8 GB become 20 within the run is ours.
pub fn detections_fill_the_memory(run: &mut Run) {
    let whole = run.window;
    let (id, instance, _) = run.store(3);
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", &instance), whole, started as f64);
    run.store_entries(id, whole, |_, store| store["store"]["start_timestamp"] = started.into());
    for metric in ["process_resident_memory_bytes", "tikv_server_memory_usage"] {
        add(run, At::one(metric, &instance), |at| {
            8e9 + 12e9 * (at - whole.start) as f64 / whole.millis() as f64
        });
    }
}
