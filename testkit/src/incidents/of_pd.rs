//! Incidents of PD, and those that PD's answers show.

use operator::model::{Labels, Timestamp};
use serde_json::{Value, json};

use super::changes::{At, add_gauge, pace, set, slow};
use super::{Half, Incident, LEADERS_TARGET, MEMBERS, Place, lasting};
use crate::run::Run;

/// The incidents, in no particular order.
pub const INCIDENTS: &[Incident] = &[
    Incident {
        name: "store-heartbeats-late",
        thread: "tikv/tikv#15184",
        cause: "PD takes 4 s for each store heartbeat: all are retried and time out, stores become Disconnected",
        modes: &["pd_overloaded", "unexplained"],
        place: Place::PdLeader,
        leads: &["store_heartbeat", "last_heartbeat", "heartbeat"],
        half: Half::Tuned,
        change: store_heartbeats_late,
    },
    Incident {
        name: "disconnected-from-start",
        thread: "tikv/pd#7445",
        cause: "PD's scheduling service does not keep the time of the last heartbeat: all stores are Disconnected",
        modes: &["pd_overloaded", "unexplained"],
        place: Place::PdLeader,
        leads: &["/stores"],
        half: Half::Tuned,
        change: disconnected_from_start,
    },
    Incident {
        name: "disconnected-and-no-leader-known",
        thread: "tikv/pd#7445",
        cause: "as above, where no answer says who leads PD",
        modes: &["unexplained", "pd_overloaded", "store_pd_partition"],
        place: Place::AllStores,
        leads: &["/stores"],
        half: Half::HeldOut,
        change: disconnected_and_no_leader_known,
    },
    Incident {
        name: "a-heartbeat-a-minute",
        thread: "pingcap/tidb#69410",
        cause: "stores send a heartbeat a minute, so that PD calls them Disconnected two thirds of the time",
        modes: &["unexplained", "store_pd_partition", "pd_overloaded"],
        place: Place::AllStores,
        leads: &["/stores"],
        half: Half::HeldOut,
        change: a_heartbeat_a_minute,
    },
    Incident {
        name: "down-while-up",
        thread: "tikv/tikv#15721",
        cause: "a deadlock in RocksDB: the store answers scrapes and sends PD no heartbeat, from the beginning",
        modes: &["store_pd_partition", "disk_hang", "unexplained"],
        place: Place::Stores(&[3]),
        leads: &["/stores"],
        half: Half::HeldOut,
        change: down_while_up,
    },
    Incident {
        name: "region-heartbeats-stop",
        thread: "tikv/tikv#12934",
        cause: "after a slow leader of PD two stores send no region heartbeats any more",
        modes: &["unexplained"],
        place: Place::Stores(&[0, 1]),
        leads: &["heartbeat"],
        half: Half::Tuned,
        change: region_heartbeats_stop,
    },
    Incident {
        name: "region-heartbeats-slow",
        thread: "tikv/pd#7248",
        cause: "PD holds a lock for too long: region heartbeats take seconds, tasks pile up",
        modes: &["unexplained", "pd_overloaded"],
        place: Place::PdLeader,
        leads: &["heartbeat", "pd_ratelimit_runner", "lock_wait"],
        half: Half::HeldOut,
        change: region_heartbeats_slow,
    },
    Incident {
        name: "down-peers-of-stores-that-are-up",
        thread: "tikv/pd#10778",
        cause: "two regions have down peers for 14 hours, and PD makes no operator, since the store is up",
        modes: &["peers_stuck"],
        place: Place::Cluster,
        leads: &["/regions/check"],
        half: Half::Tuned,
        change: |run| check(run, "down-peer", 2, None),
    },
    Incident {
        name: "learners-that-no-store-can-hold",
        thread: "tikv/pd#4883",
        cause: "a placement rule asks for learners that no store may hold: regions lack a peer, balancing stops",
        modes: &["peers_stuck"],
        place: Place::Cluster,
        leads: &["/regions/check"],
        half: Half::HeldOut,
        change: |run| check(run, "miss-peer", 31, None),
    },
    Incident {
        name: "raft-log-behind",
        thread: "tikv/tikv#19672",
        cause: "a store's peers cannot catch up with the log and stay pending; snapshots are cancelled",
        modes: &["peers_stuck", "unexplained"],
        place: Place::Cluster,
        leads: &["/regions/check"],
        half: Half::HeldOut,
        change: |run| check(run, "pending-peer", 14, Some(lasting(run).start)),
    },
    Incident {
        name: "offline-and-never-empty",
        thread: "tikv/pd#1923",
        cause: "a store that is being removed keeps its regions: PD makes no operator for them",
        modes: &["peers_stuck", "scheduling_halted", "unexplained"],
        place: Place::Stores(&[3]),
        leads: &["/stores", "/regions/check"],
        half: Half::Tuned,
        change: offline_and_never_empty,
    },
    Incident {
        name: "slow-from-start",
        thread: "tikv/tikv#18605",
        cause: "PD has found a store slow and taken its leaders away, before the recording begins",
        modes: &["slow_disk", "unexplained"],
        place: Place::Stores(&[1]),
        leads: &["/stores", "slow_score"],
        half: Half::HeldOut,
        change: slow_from_start,
    },
    Incident {
        name: "almost-full",
        thread: "tikv/tikv#17392",
        cause: "less than 5 % of a store's disk is free, so that it refuses writes",
        modes: &["disk_full"],
        place: Place::Stores(&[2]),
        leads: &["/stores", "tikv_store_size_bytes"],
        half: Half::Tuned,
        change: almost_full,
    },
    Incident {
        name: "etcd-out-of-space",
        thread: "tikv/pd#4280",
        cause: "etcd's database reaches its quota of 8 GiB: PD can save nothing more",
        modes: &["pd_overloaded", "unexplained"],
        place: Place::PdLeader,
        leads: &["etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes", "etcd"],
        half: Half::Tuned,
        change: etcd_out_of_space,
    },
    Incident {
        name: "leaders-never-return",
        thread: "pingcap/tidb-operator#4483",
        cause: "an upgrade left its scheduler behind that takes leaders away: a store leads nothing for days",
        modes: &["planned_drain", "imbalance"],
        place: Place::Stores(&[0]),
        leads: &["/schedulers", "leader_count"],
        half: Half::Tuned,
        change: leaders_never_return,
    },
];

const STORE_HEARTBEATS: &str = "pd_scheduler_handle_store_heartbeat_duration_seconds";
const REGION_HEARTBEATS: &str = "pd_scheduler_handle_region_heartbeat_duration_seconds";
const TO_PD: &str = "tikv_pd_request_duration_seconds";

fn store_heartbeats_late(run: &mut Run) {
    let range = lasting(run);
    slow(run, STORE_HEARTBEATS, Some(LEADERS_TARGET), range, 4.0);
    let is_heartbeat = |labels: &Labels| labels.get("type") == Some("store_heartbeat");
    for (_, instance) in run.stores() {
        run.slow_down_those(TO_PD, &instance, range, 4.0, is_heartbeat);
    }
    for (id, _) in run.stores() {
        run.stop_heartbeats(id, range);
    }
}

/// Makes PD list a store as it was `ago_ms` before the window, with this name of its state, from first to last.
fn held(run: &mut Run, id: u64, ago_ms: i64, state: &str) {
    let heard = (run.window.start.as_millis() - ago_ms) * 1_000_000;
    let whole = run.window;
    run.store_entries(id, whole, |_, store| {
        store["store"]["last_heartbeat"] = heard.into();
        store["store"]["state_name"] = state.into();
    });
}

fn disconnected_from_start(run: &mut Run) {
    for (id, _) in run.stores() {
        held(run, id, 120_000, "Disconnected");
    }
}

fn disconnected_and_no_leader_known(run: &mut Run) {
    disconnected_from_start(run);
    run.pd.retain(|answer| !answer.path.ends_with("/members"));
}

fn a_heartbeat_a_minute(run: &mut Run) {
    let whole = run.window;
    for (place, (id, _)) in run.stores().into_iter().enumerate() {
        run.store_entries(id, whole, |at, store| {
            let phase = 13_000 * place as i64;
            let beat = (at.as_millis() - phase).div_euclid(60_000) * 60_000 + phase;
            store["store"]["last_heartbeat"] = (beat * 1_000_000).into();
            let late = at.as_millis() - beat > 20_000;
            store["store"]["state_name"] = if late { "Disconnected" } else { "Up" }.into();
        });
    }
}

fn down_while_up(run: &mut Run) {
    let (id, _, _) = run.store(3);
    held(run, id, 7_200_000, "Down");
}

fn region_heartbeats_stop(run: &mut Run) {
    let range = lasting(run);
    for index in [0, 1] {
        let (_, instance, _) = run.store(index);
        pace(run, At::one("tikv_pd_heartbeat_message_total", &instance), range, 0.0);
    }
    let ids: Vec<String> = run.stores().iter().take(2).map(|(id, _)| id.to_string()).collect();
    let of_both =
        |labels: &Labels| labels.get("store").is_some_and(|store| ids.iter().any(|id| id == store));
    for metric in [
        "pd_scheduler_region_heartbeat",
        &format!("{REGION_HEARTBEATS}_count"),
        &format!("{REGION_HEARTBEATS}_sum"),
    ] {
        run.freeze(metric, LEADERS_TARGET, range, of_both);
    }
}

fn region_heartbeats_slow(run: &mut Run) {
    let range = lasting(run);
    slow(run, REGION_HEARTBEATS, Some(LEADERS_TARGET), range, 2.0);
    set(run, At::one("pd_ratelimit_runner_pending_tasks", LEADERS_TARGET), range, 4_000.0);
}

/// Makes a check of regions name so many, from an instant on or from the beginning.
fn check(run: &mut Run, name: &str, count: u64, from: Option<Timestamp>) {
    let range = operator::model::TimeRange::new(from.unwrap_or(run.window.start), run.window.end);
    run.bodies(&format!("/regions/check/{name}"), range, |_, body| {
        *body = json!({ "count": count, "regions": [] });
    });
}

fn offline_and_never_empty(run: &mut Run) {
    let (id, _, _) = run.store(3);
    let whole = run.window;
    run.store_entries(id, whole, |_, store| {
        store["store"]["node_state"] = 2.into();
        store["store"]["state"] = 1.into();
        store["store"]["state_name"] = "Offline".into();
        store["status"]["region_count"] = 9.into();
        store["status"]["leader_count"] = 0.into();
    });
    check(run, "offline-peer", 9, None);
}

fn slow_from_start(run: &mut Run) {
    let (id, _, _) = run.store(1);
    let whole = run.window;
    run.store_entries(id, whole, |_, store| {
        store["status"]["slow_score"] = 100.into();
        store["status"]["leader_count"] = 0.into();
    });
}

fn almost_full(run: &mut Run) {
    let (id, instance, _) = run.store(2);
    let whole = run.window;
    run.store_entries(id, whole, |_, store| store["status"]["available"] = "0.08GiB".into());
    let free = At {
        keep: |labels| labels.get("type") == Some("available"),
        ..At::one("tikv_store_size_bytes", &instance)
    };
    set(run, free, whole, 85_000_000.0);
}

fn etcd_out_of_space(run: &mut Run) {
    let range = lasting(run);
    let quota = 8.0 * 1024.0 * 1024.0 * 1024.0;
    for instance in MEMBERS {
        let whole = run.window;
        set(run, At::one("etcd_server_quota_backend_bytes", instance), whole, quota);
        let start = run.window.start;
        run.each("etcd_mvcc_db_total_size_in_bytes", Some(instance), |_, samples| {
            for sample in samples.iter_mut() {
                let share = ((sample.at - start) as f64 / (range.start - start) as f64).min(1.0);
                sample.value = quota * (0.93 + 0.07 * share);
            }
        });
    }
    for metric in ["etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total"] {
        let any = run.series.iter().any(|one| one.labels.metric() == metric);
        if any {
            pace(run, At::all(metric), range, 0.0);
        }
    }
}

fn leaders_never_return(run: &mut Run) {
    let (id, instance, _) = run.store(0);
    let whole = run.window;
    run.store_entries(id, whole, |_, store| {
        store["status"]["leader_count"] = 0.into();
        store["status"]["leader_score"] = 0.into();
    });
    run.bodies("/schedulers", whole, |_, body| {
        if let Value::Array(names) = body
            && !names.is_empty()
        {
            names.push("evict-leader-scheduler".into());
        }
    });
    let pairs = run.series.iter().find(|one| {
        one.labels.metric() == "tikv_raftstore_region_count"
            && one.labels.get("instance") == Some(&instance)
            && one.labels.get("type") == Some("leader")
    });
    let labels = pairs.expect("stores count their leaders").labels.clone();
    let pairs: Vec<(&str, &str)> = labels.iter().collect();
    add_gauge(run, &pairs, |_| 0.0);
}
