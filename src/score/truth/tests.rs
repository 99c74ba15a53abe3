use super::*;

#[test]
fn a_bad_truth_is_told_by_its_field() {
    let told = |text: &str| {
        let checked = Truth::parse(text.as_bytes()).and_then(|truth| truth.check_modes());
        let error = checked.expect_err("it is no truth");
        format!("{:#}", anyhow::Error::new(error))
    };
    assert!(told("[]").starts_with("it is no JSON object"));
    let store = told(r#"{"fault": "store_crash", "store_id": "4"}"#);
    assert!(store.starts_with("field \"store_id\": invalid type: string"), "{store}");
    let mode = told(r#"{"fault": "store_crsh"}"#);
    assert!(mode.contains("\"fault\"") && mode.contains("did you mean store_crash"), "{mode}");
    let misspelt = Truth::parse(br#"{"falt": "store_crash"}"#).expect("it is an object");
    assert!(matches!(misspelt.wrong_fields()[..], [TruthError::Misspelt { .. }]));
    let silent = Truth::parse(b"{}").expect("it is a truth");
    assert!(matches!(silent.wrong_fields()[..], [TruthError::SaysNothing]));
    let quiet = told(r#"{"fault": "none"}"#);
    assert!(quiet.contains("null, without quotes"), "{quiet}");
}

#[test]
fn a_field_that_is_none_is_told_with_the_one_that_is_meant() {
    for (text, meant) in [
        (r#"{"fault": "store_crash", "store": 4}"#, Some("store_id")),
        (r#"{"fault": "store_crash", "storeId": 4}"#, Some("store_id")),
        (r#"{"mode": "store_crash", "node": "tikv-0"}"#, Some("fault")),
        (r#"{"fault": "store_crash", "instance": "10.0.0.1"}"#, Some("address")),
        (r#"{"fault": "store_crash", "t_inject": 1}"#, Some("t_inject_ms")),
        (r#"{"fault": "store_crash", "injected_at": 1}"#, Some("t_inject_ms")),
        // What campaigns write beside it means nothing.
        (r#"{"fault": null, "t_injected_ms": 1, "t_clear_ms": 1, "scenario": "x"}"#, None),
        (r#"{"fault": null, "note": "of a node"}"#, None),
        (r#"{"fault": "store_crash", "store_id": 4, "store": "tikv-0"}"#, None),
    ] {
        let wrong = Truth::parse(text.as_bytes()).expect("it is an object").wrong_fields();
        let told = wrong.iter().map(|one| match one {
            TruthError::Misspelt { meant, .. } => *meant,
            other => panic!("{text}: {other}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(meant), "{text}");
    }
}

#[test]
fn what_is_odd_about_a_truth_is_told() {
    let told = |text: &str| Truth::parse(text.as_bytes()).expect("it is one").warnings();
    let odd = told(r#"{"fault": "store_crash", "t_inject_ms": 1, "colour": "red"}"#);
    assert_eq!(odd.len(), 2, "{odd:?}");
    assert!(odd[0].contains("\"colour\"") && odd[1].contains("any node"), "{odd:?}");
    let whole = r#"{"fault": "store_crash", "t_inject_ms": 1, "store_id": 4}"#;
    assert_eq!(told(whole), [""; 0]);
    assert_eq!(told(r#"{"fault": "hot_region_write", "t_inject_ms": 1}"#), [""; 0]);
}

#[test]
fn the_place_of_a_truth_is_a_node_of_the_capture() {
    let node = |store_id, name: &str, address: &str| KnownNode {
        store_id,
        name: name.to_owned(),
        address: address.to_owned(),
    };
    let nodes = [
        node(Some(4), "store 4", "tikv-0.peer.ns.svc:20160"),
        node(None, "pd0", "10.77.0.10:2379"),
    ];
    let check = |place: &str, nodes: &[KnownNode]| {
        let text = format!("{{\"fault\": \"store_crash\", {place}}}");
        let truth = Truth::parse(text.as_bytes()).expect("it is one");
        truth.check_place(nodes).map_err(|error| error.to_string())
    };
    for right in [
        r#""node": "tikv-0""#,
        r#""node": "store 4""#,
        r#""node": "pd0""#,
        r#""address": "10.77.0.10""#,
        // A lab's own name beside an id.
        r#""node": "disk-2", "store_id": 4"#,
    ] {
        assert_eq!(check(right, &nodes), Ok(()), "{right}");
    }
    for (wrong, named) in [
        (r#""node": "tikv-99""#, "store 4, pd0"),
        (r#""node": "tikv""#, "store 4, pd0"),
        (r#""address": "10.77.0.99:20160""#, "10.77.0.10:2379"),
        (r#""store_id": 99"#, "lists 4"),
    ] {
        let told = check(wrong, &nodes).expect_err(wrong);
        assert!(told.contains(named), "{wrong}: {told}");
        assert_eq!(check(wrong, &[]), Ok(()), "{wrong}");
    }
}

#[test]
fn a_truth_may_leave_fields_out_and_have_others() {
    let truth = Truth::parse(br#"{"fault": null, "note": "a quiet hour"}"#).expect("it is one");
    assert_eq!(truth.name(), "quiet");
    assert_eq!(truth.store_id, None);
}
