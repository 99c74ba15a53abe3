//! Profiles of PD's members, as a real `net/http/pprof` serves them (`data/profiles/make.go`): taken, kept without names
//! of anything else than functions, and compared.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use operator::capture::{CaptureReader, CaptureWriter, Tick, verify};
use operator::model::{
    PdAnswer, PdOutcome, ProfileEvent, ProfileKind, RunMeta, TimeRange, Timestamp,
};
use operator::share::audit;
use serde_json::{Value, json};
use testkit::capture_server::{Answer, accept};
use testkit::exports::export_and_compare;
use tokio::net::TcpListener;

const FIRST: &[u8] = include_bytes!("../../data/profiles/heap-1.pb.gz");
const SECOND: &[u8] = include_bytes!("../../data/profiles/heap-2.pb.gz");
const GOROUTINES: &[u8] = include_bytes!("../../data/profiles/goroutine.pb.gz");

/// A member whose heap grows from one question to the next; its address.
async fn member() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let heaps = Arc::new(AtomicUsize::new(0));
    tokio::spawn(accept(listener, move |path, _| {
        let profile = |body: &[u8]| -> Answer { (200, "application/octet-stream", body.to_vec()) };
        Some(match path {
            "/pd/api/v1/debug/pprof/heap" => match heaps.fetch_add(1, Ordering::Relaxed) {
                0 => profile(FIRST),
                _ => profile(SECOND),
            },
            "/pd/api/v1/debug/pprof/goroutine" => profile(GOROUTINES),
            _ => (404, "text/plain", b"404 page not found\n".to_vec()),
        })
    }));
    address
}

/// A capture in which PD lists these members.
fn record(path: &Path, members: &[(&str, &str)]) {
    let url = |address: &str| format!("http://{address}");
    let listed: Vec<Value> = members
        .iter()
        .map(|(name, address)| json!({ "name": name, "client_urls": [url(address)] }))
        .collect();
    let body = json!({ "header": { "cluster_id": 7 }, "members": listed, "leader": listed[0] });
    let at = Timestamp::from_millis(1_795_537_620_000);
    let endpoints: serde_json::Map<String, Value> =
        members.iter().map(|(name, address)| ((*name).to_owned(), url(address).into())).collect();
    let meta = json!({
        "run": "run", "subject": "tikv", "created": at, "endpoints": { "pd": endpoints },
    });
    let meta: RunMeta = serde_json::from_value(meta).expect("it is one");
    let mut writer = CaptureWriter::create(path, meta).expect("the disk takes it");
    let answer = PdAnswer {
        sent: at,
        member: members[0].0.to_owned(),
        url: url(members[0].1),
        path: "/pd/api/v1/members".to_owned(),
        elapsed_us: 900,
        outcome: PdOutcome::Answered { status: 200, body: body.to_string().into_bytes().into() },
    };
    writer.commit(Tick { pd: vec![answer], ..Tick::default() }).expect("writes");
    writer.finish().expect("seals");
}

fn operator(arguments: &[&str], path: &Path) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(arguments)
        .arg(path)
        .output()
        .expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn held(path: &Path) -> Vec<ProfileEvent> {
    assert_eq!(verify(path).expect("it opens").damage, []);
    let events = CaptureReader::open(path).expect("it opens").events().expect("events read");
    events.iter().filter_map(ProfileEvent::of_event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_in_a_members_memory_is_named_and_a_member_that_is_gone_is_told() {
    let address = member().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.capture");
    record(&path, &[("pd0", &address), ("pd1", "127.0.0.1:1")]);
    let arguments = ["--format", "json", "attach", "--profiles", "--apart", "1s"];
    let (done, printed, errors) = operator(&arguments, &path);
    assert!(done, "{errors}");
    let printed: Value = serde_json::from_str(&printed).expect("it prints JSON");
    let taken = printed["profiles"].as_array().expect("a list");
    assert_eq!(taken.len(), 6, "{printed}");
    for one in taken {
        let gone = one["node"] == "pd1";
        assert_eq!(one["failure"].is_string(), gone, "{one}");
        assert_eq!(one["total"].is_u64(), !gone, "{one}");
    }
    let mut profiles = held(&path);
    // Of one instant they are in no order.
    profiles.sort_by_key(|one| one.what != ProfileKind::Heap);
    let kinds: Vec<(ProfileKind, &str)> =
        profiles.iter().map(|one| (one.what, one.node.as_str())).collect();
    let (heap, goroutines) = (ProfileKind::Heap, ProfileKind::Goroutines);
    assert_eq!(kinds, [(heap, "pd0"), (heap, "pd0"), (goroutines, "pd0")]);
    // As `go tool pprof -top` prints them.
    assert_eq!(profiles[2].total, 21);
    assert_eq!(profiles[2].stacks[0].value, 20);
    assert_eq!(profiles[1].stacks[0].frames[0], "main.grow");
    // 16 MiB, and the list of them.
    assert_eq!((profiles[1].stacks[0].value - profiles[0].stacks[0].value) >> 20, 16);

    let (done, shown, errors) = operator(&["show", "--profiles"], &path);
    assert!(done, "{errors}");
    assert!(
        shown.contains("\n  +16.0 MiB to 20.0 MiB\n    in main.grow\n    by main.main\n"),
        "{shown}"
    );
    assert!(shown.contains("pd0: 21 of goroutines at "), "{shown}");
    let (_, overview, _) = operator(&["show"], &path);
    assert!(overview.contains("3 profiles: show --profiles"), "{overview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_functions_and_neither_the_member_nor_the_machine() {
    let address = member().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.capture");
    record(&path, &[("planted-pd-7", &address)]);
    let (done, _, errors) = operator(&["attach", "--profiles", "--apart", "0s"], &path);
    assert!(done, "{errors}");
    let to = folder.path().join("exported.capture.gz");
    export_and_compare(&path, &to, TimeRange::ALL).expect("verdicts agree");
    assert_eq!(audit(&to, &["planted-pd-7".to_owned()]).expect("it can be read"), []);
    let (before, after) = (held(&path), held(&to));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(after.node, before.node);
        assert_eq!(ProfileEvent { node: before.node.clone(), ..after.clone() }, *before);
    }
    // Neither the program's path nor that of its sources is kept.
    let bytes = std::fs::read(&path).expect("it is there");
    assert!(!bytes.windows(9).any(|part| part == b"/tmp/make"), "a path was stored");
}
