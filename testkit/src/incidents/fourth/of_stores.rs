//! How the incidents of stores show, by what PD lists of them and by what they keep.

use operator::model::{Labels, Timestamp};

use crate::incidents::changes::{At, add_gauge, pace, set};
use crate::incidents::lasting;
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

/// That a minute of every three is lost, and 200 messages a second are refused in it, is ours.
pub fn disconnected_again_and_again(run: &mut Run) {
    let range = lasting(run);
    let (id, instance, _) = run.store(1);
    let since = range.start;
    run.store_entries(id, range, |at, store| {
        let phase_ms = (at - since) % 180_000;
        if phase_ms < 80_000 {
            let heard = (at.as_millis() - phase_ms) * 1_000_000;
            store["store"]["last_heartbeat"] = heard.into();
            let lost = phase_ms > 20_000;
            store["store"]["state_name"] = if lost { "Disconnected" } else { "Up" }.into();
        }
    });
    let pairs = [
        ("__name__", "tikv_channel_full_total"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
        ("type", "store"),
    ];
    add_gauge(run, &pairs, |at| {
        let ms = (at - since).max(0);
        let lost_ms = ms / 180_000 * 80_000 + (ms % 180_000).min(80_000);
        (lost_ms as f64 / 1000.0 * 200.0).round()
    });
}

/// The thread has two stores of one machine that are being removed, and 8,000 leaders at each other; in the run
/// one is removed, at the pace that the thread's twelve hours make for leaders, and for regions thrice that.
pub fn leaders_trickle_away(run: &mut Run) {
    let whole = run.window;
    let minutes = move |at: Timestamp| (at - whole.start) as f64 / 60_000.0;
    let left = move |at: Timestamp| (652.0 - 10.5 * minutes(at)) as u64;
    for (index, (id, _)) in run.stores().into_iter().enumerate() {
        run.store_entries(id, whole, |at, store| {
            let (leaders, regions) = match index {
                1 => (left(at), 24_000),
                3 => (0, (9_000.0 - 31.5 * minutes(at)) as u64),
                _ => (9_000, 27_000),
            };
            store["status"]["leader_count"] = leaders.into();
            store["status"]["region_count"] = regions.into();
            if index == 3 {
                store["store"]["node_state"] = 2.into();
                store["store"]["state"] = 1.into();
                store["store"]["state_name"] = "Offline".into();
            }
        });
    }
    for (index, value) in [(0, 9_000.0), (2, 9_000.0), (3, 0.0)] {
        let instance = instance(run, index);
        let leads = |labels: &Labels| labels.get("type") == Some("leader");
        run.set_where("tikv_raftstore_region_count", &instance, whole, value, leads);
    }
    let leaving = instance(run, 1);
    run.each("tikv_raftstore_region_count", Some(&leaving), |labels, samples| {
        if labels.get("type") == Some("leader") {
            samples.iter_mut().for_each(|one| one.value = left(one.at) as f64);
        }
    });
    run.bodies("/regions/check/offline-peer", whole, |at, body| {
        let count = (9_000.0 - 31.5 * minutes(at)) as u64;
        *body = serde_json::json!({ "count": count, "regions": [] });
    });
}

/// 1.2 weeks and eight snapshots are the thread's.
pub fn snapshots_leak(run: &mut Run) {
    let whole = run.window;
    for index in [0, 2] {
        let instance = instance(run, index);
        set(run, At::one("tikv_engine_num_snapshots", &instance), whole, 8.0);
        let pairs = [
            ("__name__", "tikv_engine_oldest_snapshot_duration"),
            ("db", "kv"),
            ("instance", instance.as_str()),
            ("job", "tikv"),
        ];
        let started = 1.2 * 7.0 * 86_400.0;
        add_gauge(run, &pairs, |at| started + ((at - whole.start) as f64 / 1000.0).round());
    }
}

pub fn receives_for_ever(run: &mut Run) {
    let whole = run.window;
    let (id, instance, _) = run.store(3);
    run.store_entries(id, whole, |_, store| store["status"]["receiving_snap_count"] = 71.into());
    let receiving = At {
        keep: |labels| labels.get("type") == Some("receiving"),
        ..At::one("tikv_raftstore_snapshot_traffic_total", &instance)
    };
    set(run, receiving, whole, 71.0);
}

/// Less than 10 GB are at most 80 files at the others.
pub fn raft_logs_never_purged(run: &mut Run) {
    let whole = run.window;
    for (index, files) in [(0, 78.0), (1, 4_000.0), (2, 61.0), (3, 74.0)] {
        let instance = instance(run, index);
        let is_append = |labels: &Labels| labels.get("type") == Some("append");
        run.set_where("raft_engine_log_file_count", &instance, whole, files, is_append);
    }
}

const RECONNECTS: &str = "tikv_pd_reconnect_total";

/// That it does so twice a second is ours.
pub fn reconnects_to_pd(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    run.drop_series(|labels| {
        labels.metric() == RECONNECTS && labels.get("instance") == Some(&instance)
    });
    for kind in ["try_connect", "success"] {
        let pairs = [
            ("__name__", RECONNECTS),
            ("instance", instance.as_str()),
            ("job", "tikv"),
            ("type", kind),
        ];
        add_gauge(run, &pairs, |at| 2.0 + 2.0 * ((at - range.start).max(0) / 1000) as f64);
    }
}

/// That a fifth of the disk is filled within the run is ours; it ends as full as in the thread.
pub fn import_leaves_files(run: &mut Run) {
    let whole = run.window;
    let (id, instance, _) = run.store(2);
    let (capacity, from, to) = (2.0e12, 4.4e11, 6.0e9);
    let free = move |at: Timestamp| {
        let share = (at - whole.start) as f64 / whole.millis() as f64;
        from + (to - from) * share
    };
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

/// What TiKV multiplies the discard ratio with, to export it as an integer.
const RATIO_SCALE: f64 = 1e7;

/// Sixty files, a half of the writes that is dropped and the rate that is left are ours.
pub fn ingested_into_level_0(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    let files = At {
        keep: |labels| labels.get("level") == Some("0") && labels.get("cf") == Some("write"),
        ..At::one("tikv_engine_num_files_at_level", &instance)
    };
    set(run, files, range, 60.0);
    set(run, At::one("tikv_scheduler_discard_ratio", &instance), range, 0.5 * RATIO_SCALE);
    set(run, At::one("tikv_scheduler_throttle_flow", &instance), range, 1e6);
    for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"] {
        let writes = At {
            keep: |labels| labels.get("type") == Some("kv_prewrite"),
            ..At::one(metric, &instance)
        };
        pace(run, writes, range, 0.3);
    }
}
