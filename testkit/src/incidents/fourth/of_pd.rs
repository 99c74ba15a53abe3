//! How the incidents of PD show.

use operator::model::Labels;

use crate::incidents::changes::{At, add, growing, pace, raise, set, slow};
use crate::incidents::{LEADERS_TARGET, MEMBERS, lasting};
use crate::run::Run;

/// Memory and times are the thread's; that the machine has 24 cores, and that a process which holds so much has
/// run for a day, is ours.
pub fn large_and_slow(run: &mut Run) {
    let (range, whole) = (lasting(run), run.window);
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", LEADERS_TARGET), whole, started as f64);
    set(run, At::one("pd_service_maxprocs", LEADERS_TARGET), whole, 24.0);
    add(run, At::one("process_resident_memory_bytes", LEADERS_TARGET), |_| 39e9);
    raise(run, At::one("process_cpu_seconds_total", LEADERS_TARGET), range, 10.6);
    let transactions = "pd_txn_handle_txns_duration_seconds";
    slow(run, transactions, Some(LEADERS_TARGET), range, 5.3);
}

/// The thread says that every store is low on space, which PD calls one with less than a fifth of its space free
/// (`low-space-ratio`, 0.8 by default); 15 %, and 300 empty regions, are ours.
pub fn all_low_on_space(run: &mut Run) {
    let whole = run.window;
    for (id, instance) in run.stores() {
        run.store_entries(id, whole, |_, store| {
            store["status"]["capacity"] = "1.433TiB".into();
            store["status"]["available"] = "220GiB".into();
        });
        for (kind, bytes) in [("capacity", 1.5756e12), ("available", 2.3622e11)] {
            let is_it = |labels: &Labels| labels.get("type") == Some(kind);
            run.set_where("tikv_store_size_bytes", &instance, whole, bytes, is_it);
        }
    }
    let is_low = |labels: &Labels| {
        let of_tikv = labels.get("engine") == Some("tikv");
        of_tikv && labels.get("type") == Some("store_low_space_count")
    };
    run.set_where("pd_cluster_status", LEADERS_TARGET, whole, 1.0, is_low);
    let is_empty = |labels: &Labels| labels.get("type") == Some("empty-region-count");
    run.set_where("pd_regions_status", LEADERS_TARGET, whole, 300.0, is_empty);
}

/// Nothing is read nor committed without a timestamp.
pub fn no_timestamps(run: &mut Run) {
    let range = lasting(run);
    for metric in
        ["pd_server_handle_tso_duration_seconds_count", "pd_server_handle_tso_duration_seconds_sum"]
    {
        pace(run, At::one(metric, LEADERS_TARGET), range, 0.0);
    }
    for metric in ["tikv_pd_request_duration_seconds_count", "tikv_pd_request_duration_seconds_sum"]
    {
        let asked = At { keep: |labels| labels.get("type") == Some("tso"), ..At::all(metric) };
        pace(run, asked, range, 0.0);
    }
    for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"] {
        let of_clients = |labels: &Labels| {
            labels.get("type").is_some_and(|kind| ["kv_get", "kv_prewrite"].contains(&kind))
        };
        pace(run, At { keep: of_clients, ..At::all(metric) }, range, 0.0);
    }
}

/// The thread shows growth without numbers: 20,000 goroutines and 2 GB within the run are ours, as is the day for
/// which the process has run.
pub fn goroutines_leak(run: &mut Run) {
    let whole = run.window;
    let follower = MEMBERS[0];
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", follower), whole, started as f64);
    for metric in ["go_goroutines", "go_sched_goroutines_goroutines"] {
        let more = growing(whole, whole.millis(), 20_000.0);
        add(run, At::one(metric, follower), |at| more(at).round());
    }
    let more = growing(whole, whole.millis(), 2e9);
    add(run, At::one("process_resident_memory_bytes", follower), |at| 1e9 + more(at));
}
