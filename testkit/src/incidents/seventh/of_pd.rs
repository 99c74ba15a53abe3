//! How the incidents of PD show.

use operator::model::{GapReason, Labels, PdOutcome, TimeRange, Timestamp};
use serde_json::json;

use crate::incidents::changes::{At, add, pace, raise, set};
use crate::incidents::{FROM, LEADER, LEADERS_TARGET, MEMBERS, lasting};
use crate::run::Run;

/// That the failed machine's member led PD is ours, as is the instant. Members without a leader answer as real ones
/// do: nobody says who the members are. Nothing is read nor written without timestamps.
pub fn a_machine_takes_pd_along(run: &mut Run) {
    let range = lasting(run);
    let end = (run.window.end - run.window.start) / 1000;
    run.isolate(3, FROM, end);
    run.silence_member(LEADER, range, GapReason::Timeout);
    run.fail_scrapes(LEADERS_TARGET, range, 10.0);
    for (member, target) in [("pd0", MEMBERS[0]), ("pd1", MEMBERS[1])] {
        let answers = run.pd.iter_mut().filter(|one| one.member == member);
        for answer in answers.filter(|one| range.contains(one.sent)) {
            if answer.path.ends_with("/members") {
                let detail = "HTTP status 500".to_owned();
                answer.outcome = PdOutcome::Failed { reason: GapReason::Status, detail };
            }
        }
        run.bodies_of(member, "/health", range, |body| {
            let members = body.as_array_mut().expect("members are listed");
            let gone = members.iter_mut().filter(|one| one["name"] == LEADER);
            gone.for_each(|one| one["health"] = false.into());
        });
        set(run, At::one("etcd_server_has_leader", target), range, 0.0);
        for metric in
            ["etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total"]
        {
            pace(run, At::one(metric, target), range, 0.0);
        }
    }
    run.pd.sort_by_key(|one| one.sent);
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

/// The index that the follower stopped at, and 800,000 changes within 3.5 days, are the thread's; that half of them
/// lie behind is ours.
pub fn regions_no_longer_synced(run: &mut Run) {
    let whole = run.window;
    let stopped = 584_977_097.0;
    let per_second = 800_000.0 / (3.5 * 86_400.0);
    let now = move |at: Timestamp| {
        let since = (at - whole.start) as f64 / 1000.0;
        stopped + 400_000.0 + (since * per_second).round()
    };
    for target in MEMBERS {
        run.each("pd_region_syncer_status", Some(target), |labels, samples| {
            let first = if labels.get("type") == Some("first_index") { 10_000.0 } else { 0.0 };
            for sample in samples.iter_mut() {
                let index = if target == MEMBERS[1] { stopped } else { now(sample.at) };
                sample.value = index - first;
            }
        });
    }
}

/// That PD's answers show nothing of it is the leader's view of etcd, which its volume froze.
pub fn leads_on_a_dead_volume(run: &mut Run) {
    let range = lasting(run);
    for metric in
        ["etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds"]
    {
        for part in ["_count", "_sum"] {
            pace(run, At::one(&format!("{metric}{part}"), LEADERS_TARGET), range, 0.0);
        }
    }
    for metric in ["etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total"] {
        pace(run, At::one(metric, LEADERS_TARGET), range, 0.0);
    }
    // The others elect one of them ten seconds later.
    let elected = TimeRange::new(run.at(FROM + 10), run.window.end);
    set(run, At::one("etcd_server_is_leader", MEMBERS[0]), elected, 1.0);
    for target in [MEMBERS[0], MEMBERS[1]] {
        add(run, At::one("etcd_server_leader_changes_seen_total", target), |at| {
            f64::from(u8::from(elected.contains(at)))
        });
    }
}

/// Steps of an operator that moves a peer.
const STEPS: [&str; 4] = ["AddLearner", "ChangePeerV2Enter", "ChangePeerV2Leave", "RemovePeer"];

/// That a peer moves every ten seconds, within half a second, is ours.
pub fn peers_move_to_and_fro(run: &mut Run) {
    let whole = run.window;
    let scheduler = "balance-region-scheduler";
    run.drop_series(|labels| {
        let counted = ["pd_schedule_operators_count", "pd_scheduler_balance_direction"];
        counted.contains(&labels.metric()) && labels.get("type") == Some(scheduler)
    });
    let of_pd = [("instance", LEADERS_TARGET), ("job", "pd"), ("type", scheduler)];
    for event in ["create", "put", "start", "check", "get", "finish", "remove"] {
        let own = [("__name__", "pd_schedule_operators_count"), ("event", event)];
        run.add_counter(&[own.as_slice(), of_pd.as_slice()].concat(), whole, 0.1);
    }
    for (id, _) in run.stores() {
        let id = id.to_string();
        for direction in ["in", "out"] {
            let name = [("__name__", "pd_scheduler_balance_direction"), ("direction", direction)];
            let own = [name.as_slice(), &[("store", id.as_str())]].concat();
            run.add_counter(&[own.as_slice(), of_pd.as_slice()].concat(), whole, 0.025);
        }
    }
    let finished = "pd_schedule_finish_operator_steps_duration_seconds";
    for (part, per_second) in [("_count", 0.1), ("_sum", 0.0125)] {
        let metric = format!("{finished}{part}");
        let steps = At {
            keep: |labels| labels.get("type").is_some_and(|kind| STEPS.contains(&kind)),
            ..At::all(&metric)
        };
        raise(run, steps, whole, per_second);
    }
    moves_at_stores(run, whole);
    run.bodies("/operators?", whole, |at, body| {
        let tick = (at - whole.start) / 5_000;
        *body = match tick % 4 {
            0 => json!([{
                "desc": "balance-region", "brief": "mv peer: store [1] to [4]", "region_id": 2,
            }]),
            _ => json!([]),
        };
    });
}

/// A snapshot for each move, and the changes of membership.
fn moves_at_stores(run: &mut Run, whole: TimeRange) {
    let changed = At {
        keep: |labels| {
            let kinds = ["add_learner", "add_peer", "remove_peer"];
            labels.get("type").is_some_and(|kind| kinds.contains(&kind))
                && labels.get("status").is_some_and(|status| ["all", "success"].contains(&status))
        },
        ..At::all("tikv_raftstore_admin_cmd_total")
    };
    raise(run, changed, whole, 0.025);
    let snapshots = At {
        keep: |labels| {
            labels.get("status").is_some_and(|status| ["all", "start", "success"].contains(&status))
        },
        ..At::all("tikv_raftstore_snapshot_total")
    };
    raise(run, snapshots, whole, 0.025);
}
