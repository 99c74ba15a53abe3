//! Nodes that are asked for their own logs: what they say is attached, and what they do not say is told.

use std::path::Path;
use std::process::Command;

use operator::capture::{CaptureReader, CaptureWriter, Tick, verify};
use operator::model::{LogEvent, LogKind, PdAnswer, PdOutcome, RunMeta, Timestamp};
use serde_json::{Value, json};
use testkit::log_server::{Answering, LogServer};

/// When the recording begins, and the time of every line.
const START: i64 = 1_795_537_620_000;
const AT: i64 = 1_795_537_640_277;

/// Lines of a TiKV that panics.
const PANIC: Answering = Answering::Lines(&[
    (AT, 2, "[lib.rs:89] [\"Welcome to TiKV\"] [thread_id=1]"),
    (
        AT + 1,
        0,
        "[lib.rs:481] [\"index out of bounds\"] [backtrace=\"0: f\"] [location=a.rs:7] [thread_name=apply-0]",
    ),
]);

/// A capture of ten minutes in which PD lists a member and these stores.
fn record(path: &Path, member: &str, stores: &[&str]) {
    let body = |path: &str, body: Value, sent: i64| PdAnswer {
        sent: Timestamp::from_millis(sent),
        member: "pd0".to_owned(),
        url: format!("http://{member}"),
        path: path.to_owned(),
        elapsed_us: 900,
        outcome: PdOutcome::Answered { status: 200, body: body.to_string().into_bytes().into() },
    };
    let pd = json!({ "name": "pd0", "client_urls": [format!("http://{member}")] });
    let members = json!({ "header": { "cluster_id": 7 }, "members": [pd], "leader": pd });
    let store = |(index, address): (usize, &&str)| {
        json!({
            "store": { "id": index + 1, "address": address, "state_name": "Up" }, "status": {},
        })
    };
    let stores: Vec<Value> = stores.iter().enumerate().map(store).collect();
    let stores = json!({ "count": stores.len(), "stores": stores });
    let meta = json!({
        "run": "run", "subject": "tikv", "created": Timestamp::from_millis(START),
        "endpoints": { "pd": { "pd0": format!("http://{member}") } },
    });
    let meta: RunMeta = serde_json::from_value(meta).expect("it is one");
    let mut writer = CaptureWriter::create(path, meta).expect("the disk takes it");
    let answers = [START, START + 600_000].into_iter().flat_map(|sent| {
        [
            body("/pd/api/v1/members", members.clone(), sent),
            body("/pd/api/v1/stores", stores.clone(), sent + 1),
        ]
    });
    writer.commit(Tick { pd: answers.collect(), ..Tick::default() }).expect("writes");
    writer.finish().expect("seals");
}

/// Attaches what the nodes of a capture say; the exit code, what was printed, and stderr.
fn attach(path: &Path) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["--format", "json", "attach", "--logs"])
        .arg(path)
        .output()
        .expect("the program can be started");
    let printed = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), printed, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The lines that a capture holds of a node, with their texts.
fn held(path: &Path, node: &str) -> Vec<(LogKind, String)> {
    assert_eq!(verify(path).expect("it opens").damage, []);
    let events = CaptureReader::open(path).expect("it opens").events().expect("events read");
    let lines = events.iter().filter_map(LogEvent::of_event).filter(|line| line.node == node);
    lines.map(|line| (line.kind, line.text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_asked_and_what_it_says_is_kept_or_why_it_says_nothing() {
    let empty = "Empty `log_file` path";
    let quiet: Answering = Answering::Lines(&[]);
    let starts = &[(AT, 2, "[lib.rs:89] [\"Welcome to TiKV\"]")];
    let nodes = [
        PANIC,
        Answering::Refuses(2, empty),
        Answering::BreaksOff(starts),
        Answering::Fails(starts, 8, "too much, of node 127.0.0.1:20160"),
        Answering::Garbage,
        quiet,
    ];
    let mut stores = Vec::new();
    for node in nodes {
        stores.push(LogServer::start(node).await.expect("a port is free"));
    }
    let member = LogServer::start(Answering::Refuses(2, "empty%20log%20file")).await;
    let member = member.expect("a port is free");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.capture");
    let addresses: Vec<&str> = stores.iter().map(|node| &*node.address).collect();
    record(&path, &member.address, &addresses);

    let (code, printed, errors) = attach(&path);
    assert_eq!(code, Some(0), "{errors}");
    let of = |node: &str| {
        let logs = printed["logs"].as_array().expect("a list").iter();
        logs.clone().find(|log| log["node"] == node).unwrap_or_else(|| panic!("{printed}")).clone()
    };
    assert_eq!(of("store 1")["kept"], 2, "{printed}");
    assert_eq!(of("store 1")["unread"], Value::Null, "{printed}");
    let kinds: Vec<LogKind> = held(&path, "store 1").into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&LogKind::Panic) && kinds.contains(&LogKind::Started), "{kinds:?}");
    for (node, why) in [
        ("pd0", "empty log file"),
        ("store 2", empty),
        ("store 5", "malformed"),
        ("store 6", "no line"),
    ] {
        let unread = of(node)["unread"].as_str().unwrap_or_default().to_owned();
        assert!(unread.contains(why), "{node}: {printed}");
        let lines = held(&path, node);
        assert!(matches!(&lines[..], [(LogKind::Unread, text)] if text.contains(why)), "{lines:?}");
    }
    // What came before the end is kept, and that there is more is told.
    for node in ["store 3", "store 4"] {
        assert_eq!(of(node)["left_out"]["broken_files"], 1, "{node}: {printed}");
        assert!(held(&path, node).iter().any(|(kind, _)| *kind == LogKind::Started), "{node}");
    }
    let asked = stores[0].requests();
    let [(asked_path, body)] = &asked[..] else { panic!("asked once: {asked:?}") };
    assert_eq!(asked_path, "/diagnosticspb.Diagnostics/search_log");
    // The header of a message that is not compressed, and its length.
    assert_eq!(body[..5], [0, 0, 0, 0, body.len() as u8 - 5]);

    // Once more: only those are asked that gave nothing.
    let (code, printed, errors) = attach(&path);
    assert_eq!(code, Some(0), "{errors}");
    assert!(!printed.to_string().contains("store 1"), "{printed}");
    assert_eq!((stores[0].requests().len(), stores[1].requests().len()), (1, 2));
    assert_eq!(held(&path, "store 2").len(), 1, "the same is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_was_given_is_not_asked_and_one_that_is_gone_is_told() {
    let store = LogServer::start(PANIC).await.expect("a port is free");
    let gone = LogServer::start(PANIC).await.expect("a port is free").address.clone();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.capture");
    record(&path, &gone, &[&store.address]);
    let log = folder.path().join("tikv.log");
    let line = "[2026/11/24 16:27:20.277 +00:00] [INFO] [lib.rs:89] [\"Welcome to TiKV\"]\n";
    std::fs::write(&log, line).expect("the disk takes it");
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["attach", "--logs", "--log", &format!("store 1={}", log.display())])
        .arg(&path)
        .output()
        .expect("the program can be started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("pd0: log not read: cannot reach"), "{printed}");
    assert_eq!(store.requests(), []);
}
