//! How the incidents of PD show.

use serde_json::json;

use crate::incidents::changes::{At, raise, slow};
use crate::incidents::{LEADERS_TARGET, lasting};
use crate::run::Run;

/// Which schedulers an import pauses is the thread's log.
pub fn paused_for_ever(run: &mut Run) {
    let whole = run.window;
    run.bodies("/schedulers?status=paused", whole, |_, body| {
        *body = json!([
            "balance-region-scheduler",
            "balance-leader-scheduler",
            "balance-hot-region-scheduler"
        ]);
    });
}

/// That an entry in two is slow, and that a transaction takes the 1.26 s of the slowest in the thread, is ours.
pub fn etcd_applies_slowly(run: &mut Run) {
    let range = lasting(run);
    raise(run, At::one("etcd_server_slow_apply_total", LEADERS_TARGET), range, 0.5);
    slow(run, "pd_txn_handle_txns_duration_seconds", Some(LEADERS_TARGET), range, 1.26);
}

/// Both numbers are the thread's.
pub fn leaders_miscounted(run: &mut Run) {
    let whole = run.window;
    let (id, instance, _) = run.store(1);
    run.store_entries(id, whole, |_, store| store["status"]["leader_count"] = 40.into());
    run.set_where("tikv_raftstore_region_count", &instance, whole, 53.0, |labels| {
        labels.get("type") == Some("leader")
    });
}

/// 20 MB/s, and a move every two minutes, are ours.
pub fn one_hot_region(run: &mut Run) {
    let whole = run.window;
    let stores: Vec<u64> = run.stores().into_iter().map(|(id, _)| id).collect();
    let turn = move |at: operator::model::Timestamp| ((at - whole.start) / 120_000) as usize;
    let places = stores.clone();
    run.bodies("/hotspot/regions/read", whole, |at, body| {
        let store = places[turn(at) % places.len()];
        *body = json!({ "as_peer": {}, "as_leader": { store.to_string(): {
            "store_bytes": 20e6, "store_keys": 20e3, "store_query": 4e3,
            "total_flow_bytes": 20e6, "total_flow_keys": 20e3, "total_flow_query": 4e3,
            "regions_count": 1,
            "statistics": [{
                "store_id": store, "region_id": 2, "hot_degree": 60, "anti_count": 2,
                "flow_bytes": 20e6, "flow_keys": 20e3, "flow_query": 4e3,
            }],
        }}});
    });
    run.bodies("/operators?", whole, |at, body| {
        let (from, to) = (turn(at) % stores.len(), (turn(at) + 1) % stores.len());
        let brief = format!("transfer leader: store {} to {}", stores[from], stores[to]);
        let moves = (at - whole.start) % 120_000 > 100_000;
        *body = json!([]);
        if moves {
            *body = json!([{ "desc": "move-hot-read-leader", "brief": brief, "region_id": 2 }]);
        }
    });
}

/// Two thousand a second are ours.
pub fn member_list_flood(run: &mut Run) {
    let range = lasting(run);
    for metric in ["grpc_server_started_total", "grpc_server_handled_total"] {
        let asked = At {
            keep: |labels| {
                labels.get("grpc_method") == Some("GetMembers")
                    && labels.get("grpc_code").is_none_or(|code| code == "OK")
            },
            ..At::one(metric, LEADERS_TARGET)
        };
        raise(run, asked, range, 2_000.0);
    }
}
