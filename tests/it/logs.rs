//! Logs of nodes beside a capture: attached, on the timeline, in PromQL, in verdicts, in exports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use operator::capture::{CaptureReader, verify};
use operator::diagnose::Verdict;
use operator::model::{LogEvent, LogKind, TimeRange, Timestamp};
use operator::session::Session;
use tempfile::TempDir;

/// The run in which the process of store 4 is killed and stays dead.
const CRASH: &str = "data/chaos-02.capture";

/// A copy of a bundled capture, in a directory of its own.
struct Copied {
    dir: TempDir,
    path: PathBuf,
}

impl Copied {
    fn of(capture: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("run.capture");
        fs::copy(capture, &path).expect("the capture is there");
        Self { dir, path }
    }

    fn log(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, lines).expect("the disk takes it");
        path
    }

    fn attach(&self, node: &str, log: &Path, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_operator"))
            .current_dir(self.dir.path())
            .args(["attach", "run.capture", "--log", &format!("{node}={}", log.display())])
            .args(more)
            .output()
            .expect("the program can be started")
    }

    fn attached(&self, node: &str, lines: &str) -> &Self {
        let output = self.attach(node, &self.log("node.log", lines), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self
    }

    fn verdict(&self) -> Verdict {
        Session::open(&self.path).expect("opens").verdict().expect("reads")
    }

    fn lines(&self) -> Vec<LogEvent> {
        let events = CaptureReader::open(&self.path).expect("opens").events().expect("reads");
        events.iter().filter_map(LogEvent::of_event).collect()
    }

    fn window(&self) -> TimeRange {
        Session::open(&self.path).expect("opens").window()
    }
}

/// A line as TiKV writes it, in the zone of a host in Shanghai.
fn line(at: Timestamp, level: &str, place: &str, rest: &str) -> String {
    let east = at.saturating_add_millis(8 * 3_600_000).to_string();
    let east = east.replace('-', "/").replace('T', " ").replace('Z', " +08:00");
    format!("[{east}] [{level}] [{place}] {rest}\n")
}

fn onset(copied: &Copied) -> Timestamp {
    copied.verdict().causes.first().expect("the fault is found").onset_ms
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_crash_says_where_the_process_panicked_and_cites_the_line() {
    let copied = Copied::of(CRASH);
    let at = onset(&copied).saturating_add_millis(-2_000);
    let panic = r#"["index out of bounds: the len is 3 but the index is 5"] [backtrace="   0: tikv_util::set_panic_hook\n   1: raftstore::apply\n"] [location=src/apply.rs:12] [thread_name=apply-0]"#;
    let log = line(copied.window().start, "INFO", "lib.rs:89", r#"["Welcome to TiKV"]"#)
        + &line(at, "FATAL", "lib.rs:481", panic);
    copied.attached("store 4", &log);
    assert_eq!(verify(&copied.path).expect("opens").damage, []);
    let verdict = copied.verdict();
    let cause = &verdict.causes[0];
    assert_eq!((cause.mode, &*cause.target.name), ("store_crash", "store 4"));
    assert!(
        cause.says.contains("it panicked at src/apply.rs:12: index out of bounds"),
        "{}",
        cause.says
    );
    let cited = verdict.findings.iter().flat_map(|finding| &finding.citations);
    let cited: Vec<&str> = cited.map(|citation| &*citation.reference).collect();
    assert!(cited.contains(&"log store 4 node.log:2"), "{cited:?}");
    assert!(cause.evidence.iter().any(|reason| reason.text.contains("its log says")));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_verdict_before_a_line_does_not_know_it() {
    let copied = Copied::of(CRASH);
    let at = onset(&copied);
    let signal =
        line(at, "INFO", "signal_handler.rs:33", r#"["receive signal 15, stopping server..."]"#);
    copied.attached("4", &signal);
    let session = Session::open(&copied.path).expect("opens");
    let before = session.verdict_as_of(at.saturating_add_millis(-1_000)).expect("reads");
    assert!(before.findings.iter().all(|finding| !finding.text.contains("its log says")));
    let says = copied.verdict().causes[0].says.clone();
    assert!(says.ends_with("somebody stopped it by SIGTERM"), "{says}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn lines_decide_the_mode_where_no_metric_could() {
    let cases = [
        ("oom_kill", "Memory cgroup out of memory: Killed process 81 (tikv-server) total-vm:1kB".to_owned()),
        ("disk_full", r#"[INFO] [server.rs:1505] ["disk usage Normal->AlreadyFull (raft engine usage: Normal"]"#.to_owned()),
        ("data_corruption", r#"[FATAL] [lib.rs:481] ["rocksdb background error. db: kv, reason: compaction, error: Corruption: block checksum mismatch"] [location=event_listener.rs:156]"#.to_owned()),
    ];
    for (mode, text) in cases {
        let copied = Copied::of(CRASH);
        let at = onset(&copied).saturating_add_millis(-1_000);
        copied.attached("store 4", &format!("{at} {text}\n"));
        let verdict = copied.verdict();
        assert_eq!(verdict.causes[0].mode, mode, "{}", verdict.summary);
        assert_eq!(verdict.causes[0].target.name, "store 4");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn counts_are_series_and_silence_is_zero() {
    let copied = Copied::of(CRASH);
    let start = copied.window().start;
    let flood = (0..50).map(|n| {
        let at = start.saturating_add_millis(n * 100);
        line(
            at,
            "WARN",
            "store.rs:864",
            &format!("[\"handle raft message failed\"] [region_id={n}]"),
        )
    });
    let last = line(start.saturating_add_millis(60_000), "INFO", "a.rs:1", "[\"tick 5\"]");
    copied.attached("store 4", &(flood.collect::<String>() + &last));
    let reader = CaptureReader::open(&copied.path).expect("opens");
    let matcher = operator::model::LabelMatcher::equal("__name__", "operator_log_lines");
    let series = reader.select(&[matcher], TimeRange::ALL).expect("reads");
    let warned = series.iter().find(|one| one.labels.get("level") == Some("WARN"));
    let warned = warned.expect("the flood is counted");
    assert_eq!(warned.labels.get("message"), Some("handle raft message failed"));
    let values: Vec<f64> = warned.samples.iter().map(|sample| sample.value).collect();
    assert_eq!(values, [50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(series.iter().any(|one| one.labels.get("message") == Some("tick *")));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_log_is_attached_once_and_another_of_the_same_node_is_refused() {
    let copied = Copied::of(CRASH);
    let log = copied
        .log("a.log", &line(copied.window().start, "INFO", "lib.rs:89", "[\"Welcome to TiKV\"]"));
    assert!(copied.attach("store 4", &log, &[]).status.success());
    let before = fs::read(&copied.path).expect("the capture is there");
    let again = copied.attach("store 4", &log, &[]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("attached before"));
    assert_eq!(fs::read(&copied.path).expect("the capture is there"), before);
    let other = copied.log("b.log", &line(copied.window().start, "WARN", "lib.rs:89", "[\"x\"]"));
    let refused = copied.attach("store 4", &other, &[]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another log of store 4"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_line_without_an_offset_is_refused_by_name_and_placed_by_tz() {
    let copied = Copied::of(CRASH);
    let naked = line(copied.window().start, "INFO", "lib.rs:89", "[\"Welcome to TiKV\"]")
        .replace(" +08:00", "");
    let log = copied.log("naked.log", &naked);
    let refused = copied.attach("store 4", &log, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--tz"), "{refused:?}");
    assert!(copied.attach("store 4", &log, &["--tz", "+08:00"]).status.success());
    assert!(copied.lines().iter().any(|line| line.kind == LogKind::Started));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_new_file_leaves_the_capture_as_it_is() {
    let copied = Copied::of(CRASH);
    let before = fs::read(&copied.path).expect("the capture is there");
    let log = copied
        .log("a.log", &line(copied.window().start, "INFO", "lib.rs:89", "[\"Welcome to TiKV\"]"));
    assert!(copied.attach("store 4", &log, &["--to", "new.capture"]).status.success());
    assert_eq!(fs::read(&copied.path).expect("the capture is there"), before);
    let nothing = copied.log("empty.log", "");
    assert!(!copied.attach("store 4", &nothing, &["--to", "none.capture"]).status.success());
    assert!(!copied.dir.path().join("none.capture").exists());
    let new = CaptureReader::open(&copied.dir.path().join("new.capture")).expect("opens");
    assert!(new.events().expect("reads").iter().any(|event| LogEvent::of_event(event).is_some()));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn lines_that_the_process_dropped_are_told() {
    let copied = Copied::of(CRASH);
    let dropped = r#"["slog-async: logger dropped messages due to channel overflow"] [count=4711]"#;
    copied.attached("store 4", &line(copied.window().start, "ERROR", "lib.rs:736", dropped));
    let lines = copied.lines();
    let coverage = lines.iter().find(|line| line.kind == LogKind::Coverage).expect("it is told");
    assert_eq!(coverage.value("dropped"), Some("4711"));
    let replayed = Command::new(env!("CARGO_BIN_EXE_operator"))
        .arg("replay")
        .arg(&copied.path)
        .output()
        .expect("the program can be started");
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("4711"));
}

/// Secrets as each place of a line may hold them: a key in hexadecimal, an escaped key, SQL, a marked value,
/// an address, a user, a password, a token.
fn planted(n: usize) -> [(String, String); 8] {
    let hex = format!("7480{:012X}5F72{n:08X}", n * 7_919);
    let secret = format!("s{n}ecret");
    [
        (hex.clone(), format!("[\"region split at {hex}\"] [key={hex}]")),
        (
            secret.clone(),
            format!(
                "[\"key not in region\"] [key=\"t\\\\200{secret}\\\\000\"] [start_key={secret}]"
            ),
        ),
        (
            secret.clone(),
            format!(
                "[\"slow: SELECT a FROM {secret} WHERE b = '{secret}'\"] [err=\"insert into {secret} values (1)\"]"
            ),
        ),
        (secret.clone(), format!("[\"conflict on ‹{secret}›\"] [err=\"at ‹{secret}›\"]")),
        (
            format!("10.{}.{}.7", n / 250 + 1, n % 250),
            format!(
                "[\"connection abort\"] [store_id=9] [addr=10.{}.{}.7:20160]",
                n / 250 + 1,
                n % 250
            ),
        ),
        (
            format!("h{n}x.prod.acme.svc"),
            format!(
                "[\"connection aborted\"] [addr=h{n}x.prod.acme.svc:20160] [receiver_err=\"lookup h{n}x.prod.acme.svc failed\"]"
            ),
        ),
        (
            secret.clone(),
            format!(
                "[\"PD failed to respond\"] [err=\"http://root:{secret}@pd:2379 password={secret}, token: {secret}\"]"
            ),
        ),
        (
            secret.clone(),
            format!("[\"failed to connect as {secret}@acme\"] [user={secret}] [sql=\"{secret}\"]"),
        ),
    ]
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn no_planted_secret_is_in_the_extract() {
    let copied = Copied::of(CRASH);
    let start = copied.window().start;
    let mut secrets = Vec::new();
    let mut log = String::new();
    for (n, (secret, rest)) in (0..1_250).flat_map(planted).enumerate() {
        let at = start.saturating_add_millis(n as i64 * 10);
        let level = if n % 3 == 0 { "WARN" } else { "ERROR" };
        log.push_str(&line(at, level, "server.rs:1", &rest));
        secrets.push(secret);
    }
    assert_eq!(secrets.len(), 10_000);
    copied.attached("store 4", &log);
    let reader = CaptureReader::open(&copied.path).expect("opens");
    let matcher = operator::model::LabelMatcher::equal("job", "operator-log-tikv");
    let series = reader.select(&[matcher], TimeRange::ALL).expect("reads");
    let mut kept: String = series.iter().map(|one| format!("{}\n", one.labels)).collect();
    for line in copied.lines() {
        kept.push_str(&format!("{line:?}\n"));
    }
    assert!(kept.contains("connection abort"));
    let leaked: Vec<&String> = secrets.iter().filter(|secret| kept.contains(*secret)).collect();
    assert!(leaked.is_empty(), "{} leaked, such as {:?}", leaked.len(), leaked.first());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_export_keeps_what_lines_say_and_hides_whom_they_name() {
    let copied = Copied::of(CRASH);
    let at = onset(&copied).saturating_add_millis(-1_000);
    let panic = r#"["called `Option::unwrap()` on acmebank"] [location=src/apply.rs:12]"#;
    copied.attached("store 4", &line(at, "FATAL", "lib.rs:481", panic));
    let exported = Command::new(env!("CARGO_BIN_EXE_operator"))
        .current_dir(copied.dir.path())
        .args(["export", "run.capture", "-o", "out.capture.gz"])
        .output()
        .expect("the program can be started");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let session = Session::open(&copied.dir.path().join("out.capture.gz")).expect("opens");
    let verdict = session.verdict().expect("reads");
    assert!(
        verdict.causes[0].says.contains("it panicked at src/apply.rs:12"),
        "{}",
        verdict.summary
    );
    let events = session.reader().events().expect("reads");
    assert!(events.iter().any(|event| LogEvent::of_event(event).is_some()));
}

/// A pod of store 4 in [`CRASH`] whose container ended, as kubectl prints it, with an event of its machine.
fn kubectl(at: Timestamp, reason: &str, code: i64) -> String {
    let ended = serde_json::json!({
        "exitCode": code, "reason": reason, "finishedAt": at.to_string(),
        "startedAt": at.saturating_add_millis(-600_000).to_string(),
    });
    let pod = serde_json::json!({
        "kind": "Pod", "metadata": {"name": "acme-tikv-3", "namespace": "acme"},
        "spec": {"nodeName": "bare-metal-81.acme.example"},
        "status": {"podIP": "10.77.0.20", "containerStatuses": [
            {"name": "tikv", "restartCount": 1, "lastState": {"terminated": ended}},
        ]},
    });
    let event = serde_json::json!({
        "kind": "Event", "reason": "NodeNotReady", "type": "Warning",
        "message": "Node bare-metal-81.acme.example status is now: NodeNotReady",
        "involvedObject": {"kind": "Node", "name": "bare-metal-81.acme.example"},
        "lastTimestamp": at.to_string(),
    });
    serde_json::json!({"kind": "List", "items": [pod, event]}).to_string()
}

impl Copied {
    fn attach_kubectl(&self, text: &str) -> Output {
        let file = self.log("pods.json", text);
        Command::new(env!("CARGO_BIN_EXE_operator"))
            .current_dir(self.dir.path())
            .args(["attach", "run.capture", "--kubectl", &file.display().to_string()])
            .output()
            .expect("the program can be started")
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_kubectl_printed_decides_how_a_store_ended() {
    for (reason, code, mode, says) in [
        ("OOMKilled", 137, "oom_kill", "killed for its memory"),
        ("Error", 1, "store_crash", "it ended by itself, with exit code 1"),
    ] {
        let copied = Copied::of(CRASH);
        let text = kubectl(onset(&copied).saturating_add_millis(-2_000), reason, code);
        let output = copied.attach_kubectl(&text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let verdict = copied.verdict();
        let cause = &verdict.causes[0];
        assert_eq!((cause.mode, &*cause.target.name), (mode, "store 4"), "{}", verdict.summary);
        assert!(cause.says.ends_with(says), "{}", cause.says);
        let told = |text: &str| cause.evidence.iter().any(|one| one.text.contains(text));
        assert!(told(&format!("Kubernetes says: container tikv ended: {reason}")), "{cause:?}");
        assert!(told("Kubernetes says: its machine: NodeNotReady"), "{cause:?}");
        let again = copied.attach_kubectl(&text);
        assert!(String::from_utf8_lossy(&again.stdout).contains("attached before"));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_export_names_no_pod_and_no_machine_of_kubectls() {
    let copied = Copied::of(CRASH);
    let text = kubectl(onset(&copied).saturating_add_millis(-2_000), "OOMKilled", 137);
    assert!(copied.attach_kubectl(&text).status.success());
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .current_dir(copied.dir.path())
        .args(["export", "run.capture", "-o", "out.capture.gz"])
        .output()
        .expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let exported = Session::open(&copied.dir.path().join("out.capture.gz")).expect("opens");
    let events = exported.reader().events().expect("reads");
    let texts = format!("{events:?}");
    assert!(texts.contains("137") && texts.contains("OOMKilled"), "{texts}");
    for original in ["acme", "bare-metal", "10.77.0.20"] {
        assert!(!texts.contains(original), "{original}: {texts}");
    }
    let verdict = exported.verdict().expect("reads");
    assert_eq!(verdict.causes[0].mode, "oom_kill", "{}", verdict.summary);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_kubectl_prints_for_people_or_at_another_time_is_refused() {
    let copied = Copied::of(CRASH);
    let later = kubectl(copied.window().end.saturating_add_millis(86_400_000), "Error", 1);
    for (text, why) in [
        ("NAME READY STATUS", "not what `kubectl get pods,events -o json` prints"),
        (&*later, "nothing that kubectl printed lies inside the recording"),
    ] {
        let output = copied.attach_kubectl(text);
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(why), "{told}");
    }
}
