//! Whatever PD, or something in its place, answers: it is read or refused, and the topology stays
//! consistent.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::model::{GapReason, PdAnswer, PdOutcome, Size, Timestamp};
use crate::pd::{PdDocument, Topology};

/// Each path that is read, with a body as PD sends it.
fn bodies() -> Vec<(&'static str, Value)> {
    let member = json!({
        "name": "pd1", "member_id": 13_817_025_920_978_715_359_u64, "health": true,
        "client_urls": ["http://10.77.0.11:2379"], "binary_version": "v8.5.8",
    });
    let store = json!({
        "store": {
            "id": 4, "address": "10.77.0.20:20160", "status_address": "10.77.0.20:20180",
            "version": "8.5.8", "labels": [{"key": "zone", "value": "a"}], "state_name": "Up",
            "node_state": 1, "start_timestamp": 1_795_536_000,
            "last_heartbeat": 1_795_538_171_756_874_635_i64,
        },
        "status": {
            "capacity": "2.813GiB", "available": "1.9GiB", "used_size": "31.5MiB",
            "leader_count": 7, "leader_score": 7, "region_count": 20, "region_score": 20.5,
            "pending_peer_count": 1, "slow_score": 1, "is_busy": false,
        },
    });
    vec![
        (
            "members",
            json!({"header": {"cluster_id": 7_711_775_287_312_631_573_u64},
                "members": [member], "leader": member, "etcd_leader": member}),
        ),
        ("health", json!([member])),
        ("status", json!({"version": "v8.5.8", "start_timestamp": 1_795_536_000})),
        ("version", json!({"version": "v8.5.8"})),
        ("stores?state=0", json!({"count": 1, "stores": [store]})),
        (
            "operators",
            json!(["balance-leader {transfer leader: store 1 to 2} (kind:leader, region:67(5, 25))",
                {"desc": "balance-region", "brief": "mv peer", "region_id": 71}]),
        ),
        ("schedulers", json!(["balance-leader-scheduler", {"name": "evict-leader-scheduler"}])),
        ("schedulers?status=paused", json!(["balance-region-scheduler"])),
        ("config", json!({"schedule": {"leader-schedule-limit": 4}, "join": ""})),
        ("regions/count", json!({"count": 26})),
        ("regions/check/down-peer", json!({"count": 2, "regions": []})),
    ]
}

fn path(route: &str) -> String {
    format!("/pd/api/v1/{route}")
}

/// Any JSON, up to three levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a document, the whole included.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| places(value, format!("{at}/{name}"), into))
        }
        Value::Array(items) => (0..)
            .zip(items)
            .for_each(|(place, value): (usize, _)| places(value, format!("{at}/{place}"), into)),
        _ => {}
    }
    into.push(at);
}

/// One answer: who, what, and how it went.
fn any_answer() -> impl Strategy<Value = PdAnswer> {
    let leader = prop_oneof![Just(None), (0_u8..3).prop_map(Some)];
    let outcome = prop_oneof![
        leader.prop_map(|leader| {
            let leader = leader.map(|number| json!({"name": format!("pd{number}")}));
            let body = json!({"members": [], "leader": leader}).to_string();
            PdOutcome::Answered { status: 200, body: body.into_bytes().into() }
        }),
        any_json().prop_map(|body| PdOutcome::Answered {
            status: 200,
            body: body.to_string().into_bytes().into(),
        }),
        any::<Vec<u8>>().prop_map(|body| PdOutcome::Answered { status: 503, body: body.into() }),
        Just(PdOutcome::Failed { reason: GapReason::Timeout, detail: String::new() }),
    ];
    (0_u8..3, 0_usize..16, outcome).prop_map(|(member, route, outcome)| {
        let bodies = bodies();
        let route = bodies.get(route).map_or("members", |(route, _)| route);
        PdAnswer {
            sent: Timestamp::from_millis(0),
            member: format!("pd{member}"),
            url: String::new(),
            path: path(route),
            elapsed_us: 0,
            outcome,
        }
    })
}

#[test]
fn every_body_here_is_read() {
    for (route, body) in bodies() {
        let read = PdDocument::parse(&path(route), body.to_string().as_bytes());
        assert!(matches!(read, Ok(Some(_))), "{route}: {read:?}");
    }
}

proptest! {
    #[test]
    fn bytes_are_read_or_refused(route in 0_usize..11, body in any::<Vec<u8>>()) {
        let path = path(bodies()[route].0);
        if let Err(error) = PdDocument::parse(&path, &body) {
            prop_assert_eq!(error.path, path);
        }
    }

    #[test]
    fn a_body_with_one_value_changed_is_read_or_refused(
        route in 0_usize..11, place in any::<prop::sample::Index>(), value in any_json(),
    ) {
        let (route, mut body) = bodies().swap_remove(route);
        let mut all = Vec::new();
        places(&body, String::new(), &mut all);
        let changed: &String = place.get(&all);
        *body.pointer_mut(changed).expect("the place was found there") = value;
        let text = body.to_string();
        if let Err(error) = PdDocument::parse(&path(route), text.as_bytes()) {
            prop_assert_eq!(error.path, path(route));
        }
        let cut = place.index(text.len());
        let _ = PdDocument::parse(&path(route), &text.as_bytes()[..cut]);
    }

    #[test]
    fn there_is_a_leader_as_long_as_any_member_names_one(
        answers in prop::collection::vec(any_answer(), 0..40),
    ) {
        let mut topology = Topology::default();
        for answer in &answers {
            let read = topology.apply(answer);
            prop_assert!(read.is_ok() || answer.success().is_some());
            let named = topology.views.values().any(|view| view.leader.is_some());
            prop_assert_eq!(topology.leader.is_some(), named);
            let view = &topology.views[&answer.member];
            let answered = matches!(answer.outcome, PdOutcome::Answered { .. });
            prop_assert_eq!(view.answering, answered);
        }
    }

    #[test]
    fn any_text_is_a_size_or_has_no_bytes(text in "[0-9.e+-]{0,6}[A-Za-zé]{0,4}") {
        prop_assert_eq!(Size::parse(&text).text, text);
    }
}
