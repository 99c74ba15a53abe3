//! How the incidents of PD show.

use serde_json::json;

use crate::incidents::changes::{At, add, growing, raise, set, slow};
use crate::incidents::{LEADERS_TARGET, lasting};
use crate::run::Run;

const PATROL: &str = "pd_checker_patrol_regions_time";

/// The store loses a region in three minutes; the thread gives the time of a patrol alone.
pub fn patrol_takes_an_hour(run: &mut Run) {
    let whole = run.window;
    set(run, At::one(PATROL, LEADERS_TARGET), whole, 56.2 * 60.0);
    let (id, _, _) = run.store(3);
    let start = whole.start;
    let left = move |at| 24 - (at - start) / 180_000;
    run.store_entries(id, whole, |at, store| {
        store["store"]["node_state"] = 2.into();
        store["store"]["state"] = 1.into();
        store["store"]["state_name"] = "Offline".into();
        store["status"]["region_count"] = left(at).into();
        store["status"]["leader_count"] = 0.into();
    });
    run.bodies("/regions/check/offline-peer", whole, |at, body| {
        *body = json!({ "count": left(at), "regions": [] });
    });
}

/// That the machine has 40 cores is ours: PD uses 36 of them.
pub fn get_region_flood(run: &mut Run) {
    let range = lasting(run);
    let whole = run.window;
    set(run, At::one("pd_service_maxprocs", LEADERS_TARGET), whole, 40.0);
    for metric in ["grpc_server_started_total", "grpc_server_handled_total"] {
        let asked = At {
            keep: |labels| {
                labels.get("grpc_method") == Some("GetRegion")
                    && labels.get("grpc_code").is_none_or(|code| code == "OK")
            },
            ..At::one(metric, LEADERS_TARGET)
        };
        raise(run, asked, range, 66_000.0);
    }
    raise(run, At::one("process_cpu_seconds_total", LEADERS_TARGET), range, 36.0);
    set(run, At::one("go_goroutines", LEADERS_TARGET), range, 244_000.0);
}

/// A few hundred regions are the thread's; that a patrol takes five minutes is ours.
pub fn waiting_list_never_shrinks(run: &mut Run) {
    let range = lasting(run);
    let waiting = At {
        keep: |labels| labels.get("type") == Some("pending_processed_regions"),
        ..At::one("pd_checker_region_list", LEADERS_TARGET)
    };
    set(run, waiting, range, 300.0);
    set(run, At::one(PATROL, LEADERS_TARGET), range, 300.0);
}

/// 11 GB before and 22 GB after are the thread's; that they come within eight minutes, and that heartbeats take
/// ten seconds, is ours. A process that holds so much has run for a while: for a day.
pub fn pd_memory_doubles(run: &mut Run) {
    let range = lasting(run);
    let whole = run.window;
    let started = whole.start.as_millis() / 1000 - 86_400;
    set(run, At::one("process_start_time_seconds", LEADERS_TARGET), whole, started as f64);
    for metric in [
        "process_resident_memory_bytes",
        "go_memstats_alloc_bytes",
        "go_memstats_heap_inuse_bytes",
        "go_memory_classes_heap_objects_bytes",
    ] {
        let more = growing(range, 480_000, 11e9);
        add(run, At::one(metric, LEADERS_TARGET), |at| 11e9 + more(at));
    }
    let latency = "pd_scheduler_region_heartbeat_latency_seconds";
    slow(run, latency, Some(LEADERS_TARGET), range, 10.0);
}
