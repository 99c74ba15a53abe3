//! What PD's answers at one instant say, without anything before or after.

use operator::diagnose::{Evidence, Outcome, Parts, Verdict, diagnose};
use operator::model::{PdAnswer, PdOutcome, TimeRange, Timestamp};
use serde_json::{Value, json};

use super::{assert_cause, told};
use testkit::run::Run;

/// The instant of every answer, in milliseconds.
const NOW: i64 = 1_795_538_200_000;

fn answer(path: &str, body: &Value) -> PdAnswer {
    let body = body.to_string().into_bytes().into();
    PdAnswer {
        sent: Timestamp::from_millis(NOW),
        member: "pd0".to_owned(),
        url: "http://10.0.0.1:2379".to_owned(),
        path: format!("/pd/api/v1/{path}"),
        elapsed_us: 1_000,
        outcome: PdOutcome::Answered { status: 200, body },
    }
}

fn judge(bodies: &[(&str, Value)]) -> Verdict {
    let mut pd: Vec<PdAnswer> = bodies.iter().map(|(path, body)| answer(path, body)).collect();
    pd.push(answer("config", &json!({"schedule": {}, "replication": {"max-replicas": 3}})));
    let window = TimeRange::new(Timestamp::from_millis(NOW), Timestamp::from_millis(NOW + 1));
    let verdict =
        diagnose(&Evidence::new(window, window.end, Parts { pd: &pd, ..Parts::default() }));
    for citation in verdict.findings.iter().flat_map(|finding| &finding.citations) {
        let is_answered = pd.iter().any(|one| [one.sent, one.observed()].contains(&citation.at_ms));
        assert!(is_answered, "no answer at that instant: {citation:?}");
    }
    verdict
}

/// A store in a state, with its node state, its regions and the seconds since its last heartbeat.
fn store(id: u64, state: &str, node_state: u64, heard: i64) -> Value {
    let mut store = json!({
        "store": {
            "id": id, "address": format!("10.0.1.{id}:20160"), "state_name": state,
            "node_state": node_state, "start_timestamp": 1_795_000_000,
            "last_heartbeat": (NOW - heard * 1000) * 1_000_000
        },
        "status": {"region_count": 20, "leader_count": 5}
    });
    if heard < 0 {
        store["store"]["last_heartbeat"] = 0.into();
    }
    store
}

const SERVING: u64 = 1;
const REMOVING: u64 = 2;

fn listing(stores: &[Value]) -> (&'static str, Value) {
    ("stores", json!({ "count": stores.len(), "stores": stores }))
}

fn up(id: u64) -> Value {
    store(id, "Up", SERVING, 4)
}

#[test]
fn one_store_that_is_down_is_unreachable_and_its_lost_peers_follow() {
    let stores = listing(&[up(1), up(4), up(5), store(6, "Down", SERVING, 7_000)]);
    let checks = ("regions/check/down-peer", json!({"count": 12, "regions": []}));
    let operators = ("operators?object=true", json!([]));
    let verdict = judge(&[stores, checks, operators]);
    assert_cause(&verdict, "store_unreachable", "store 6");
    assert_eq!(verdict.causes[0].onset_ms.as_millis(), NOW - 7_000_000);
    let follows: Vec<&str> =
        verdict.causes[0].explains.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(follows, ["peers_stuck"], "{}", told(&verdict));
}

#[test]
fn two_stores_of_three_replicas_that_are_gone_may_take_a_quorum_with_them() {
    let gone = |id: u64| store(id, "Down", SERVING, 4_000);
    let verdict = judge(&[listing(&[up(1), up(4), gone(5), gone(6)])]);
    assert_cause(&verdict, "region_unavailable", "cluster");
    assert_eq!(verdict.causes[0].target.concerns, ["store 5", "store 6"]);
}

#[test]
fn a_store_that_has_only_just_registered_is_no_fault() {
    let verdict = judge(&[listing(&[up(1), up(4), up(5), store(6, "Down", SERVING, -1)])]);
    assert!(verdict.causes.is_empty(), "{}", told(&verdict));
}

#[test]
fn stores_that_are_all_disconnected_have_a_new_leader_of_pd_to_find() {
    let gone = |id: u64| store(id, "Disconnected", SERVING, 25);
    let verdict = judge(&[listing(&[gone(1), gone(4), gone(5)])]);
    assert!(verdict.causes.is_empty(), "{}", told(&verdict));
}

#[test]
fn a_store_that_is_removed_from_the_last_three_never_empties() {
    let offline = store(6, "Offline", REMOVING, 4);
    let verdict = judge(&[listing(&[up(1), up(4), offline.clone()])]);
    assert_cause(&verdict, "peers_stuck", "cluster");
    assert_eq!(
        verdict.causes[0].evidence[0].text,
        "store 6 can never become empty: 2 stores left for 3 replicas of each region"
    );
    let enough = judge(&[listing(&[up(1), up(4), up(5), offline])]);
    assert!(enough.causes.is_empty(), "{}", told(&enough));
}

fn member(name: &str, id: u64, host: u64) -> Value {
    json!({"name": name, "member_id": id, "client_urls": [format!("http://10.0.0.{host}:2379")]})
}

#[test]
fn a_member_that_the_others_do_not_reach_is_unreachable() {
    let row = |name: &str, id: u64, health: bool| {
        let mut member = member(name, id, id);
        member["health"] = health.into();
        member
    };
    let health = json!([row("pd0", 1, true), row("pd1", 2, false), row("pd2", 3, true)]);
    let verdict = judge(&[("health", health)]);
    assert_cause(&verdict, "pd_follower_unreachable", "pd1");
}

#[test]
fn two_members_with_one_url_are_named() {
    let list = [member("pd0", 1, 1), member("pd1", 2, 2), member("pd1-new", 3, 2)];
    let leader = member("pd0", 1, 1);
    let verdict = judge(&[("members", json!({"members": list, "leader": leader}))]);
    assert_cause(&verdict, "pd_member_duplicate", "pd");
    assert_eq!(verdict.causes[0].target.concerns, ["pd1", "pd1-new"]);
}

#[test]
fn an_instant_at_which_nothing_is_missing_is_no_proof_of_health() {
    let verdict = judge(&[listing(&[up(1), up(4), up(5)])]);
    assert_eq!(verdict.outcome, Outcome::CannotTell, "{}", told(&verdict));
}

#[test]
fn where_a_node_has_just_stopped_answering_nobody_can_tell_yet() {
    let run = Run::load("chaos-02");
    let names = |verdict: &Verdict| -> Vec<String> {
        verdict.silent.iter().map(|node| node.name.clone()).collect()
    };
    let before = run.verdict_at(run.at(220));
    assert_eq!((before.outcome, names(&before)), (Outcome::NoFault, vec![]), "{}", told(&before));
    let after = run.verdict_at(run.at(241));
    assert_eq!(after.outcome, Outcome::CannotTell, "{}", told(&after));
    assert_eq!(names(&after), ["store 4"]);
    let says = "cannot tell yet: store 4 has not answered since 16:30:50";
    assert_eq!(after.summary, says);
    let late = run.verdict_at(run.at(400));
    assert_eq!((late.outcome, names(&late)), (Outcome::Fault, vec![]), "{}", told(&late));
}
