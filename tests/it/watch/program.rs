//! The program `operator watch` itself: a bundled run is moved to the present, fault and all.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use operator::capture::CaptureReader;
use operator::model::TimeRange;
use serde_json::Value;
use tokio::net::TcpListener;

use super::playback::Playback;
use testkit::capture_server::accept;
use testkit::clock::{ServerClock, wall_clock};
use testkit::process::interrupt;
use testkit::run::Run;

/// A program that does not outlive its test.
pub(super) struct Watch(pub(super) Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn start(dir: &Path, prometheus: &str, more: &[&str]) -> Watch {
    let child = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["watch", "--prometheus", prometheus, "--interval", "1s", "--quiet", "--dir"])
        .arg(dir)
        .args(more)
        .env_remove("PD_ENDPOINT")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    Watch(child)
}

/// The base URL of a server that accepts everything, and the bodies that it has been sent.
pub(super) async fn hook() -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let sent = bodies.clone();
    tokio::spawn(accept(listener, move |_, body| {
        sent.lock().expect("nobody panicked").push(body.to_vec());
        Some((204, "text/plain", Vec::new()))
    }));
    (url, bodies)
}

/// Waits until something is there.
pub(super) async fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come within a minute");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_fault_is_told_and_its_hour_is_kept() {
    let mut run = Run::load("chaos-09");
    let lag = wall_clock() - run.at(360);
    for series in &mut run.series {
        series.samples.iter_mut().for_each(|sample| sample.at = sample.at + lag);
    }
    let never = TimeRange::new(run.window.start, run.window.start);
    let playback = Playback::start(run, ServerClock::Real, never).await;
    let (hook, hooked) = hook().await;
    let hook = format!("{hook}/hook");
    let (alertmanager, alerted) = self::hook().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let told = dir.path().join("told.json");
    let exec = format!("cat > {0}.part && mv {0}.part {0}", told.display());
    let hooks = ["--exec", &exec, "--webhook", &hook, "--alertmanager", &alertmanager];
    let watch = start(dir.path(), &playback.prometheus, &hooks);
    let first = || hooked.lock().expect("nobody panicked").first().cloned();
    let body = wait_for("a verdict", first).await;
    let posted: Value = serde_json::from_slice(&body).expect("the body is JSON");
    assert_eq!(posted["verdict"]["outcome"], "fault", "{posted}");
    assert_eq!(posted["verdict"]["causes"][0]["mode"], "traffic_surge", "{posted}");
    assert_eq!(posted["notices"][0]["turn"], "began", "{posted}");
    let executed = std::fs::read(&told).expect("the command ran before");
    assert_eq!(executed, body);

    // The first request only asks whether it is an Alertmanager, and has no body.
    let alert = || {
        let bodies = alerted.lock().expect("nobody panicked");
        bodies.iter().find(|body| !body.is_empty()).cloned()
    };
    let body = wait_for("an alert", alert).await;
    let alerts: Value = serde_json::from_slice(&body).expect("the body is JSON");
    assert_eq!(alerts[0]["labels"]["mode"], "traffic_surge", "{alerts}");
    assert_eq!(alerts[0]["labels"]["run"], "watch", "{alerts}");

    // The recorder dies in the middle of it; the next one goes on and remembers.
    drop(watch);
    let told_before = hooked.lock().expect("nobody panicked").len();
    let mut watch = start(dir.path(), &playback.prometheus, &["--webhook", &hook]);
    let second = || hooked.lock().expect("nobody panicked").get(told_before).cloned();
    let body = wait_for("a verdict after the crash", second).await;
    let again: Value = serde_json::from_slice(&body).expect("the body is JSON");
    assert_eq!(again["verdict"]["causes"][0]["mode"], "traffic_surge", "{again}");

    interrupt(&watch.0).expect("the program runs");
    assert!(watch.0.wait().expect("it ends").success());
    let mut out = String::new();
    let stdout = watch.0.stdout.as_mut().expect("stdout is piped");
    std::io::Read::read_to_string(stdout, &mut out).expect("it prints UTF-8");
    assert!(out.contains("FAULT     traffic_surge, workload, since "), "{out}");
    let kept = std::fs::read_dir(dir.path()).expect("it is there");
    let kept = kept.filter_map(|entry| Some(entry.ok()?.path()));
    let captures: Vec<_> =
        kept.filter(|path| path.extension().is_some_and(|one| one == "capture")).collect();
    assert_eq!(captures.len(), 1, "{captures:?}");
    assert!(captures[0].to_string_lossy().contains("watch-incident-"), "{captures:?}");
    let window = CaptureReader::open(&captures[0]).expect("it opens").window();
    assert!(window.millis() >= 350_000, "the past is inside: {window:?}");
    let page = dir.path().join("incident.html");
    let mut export = Command::new(env!("CARGO_BIN_EXE_operator"));
    export.arg("--dir").arg(dir.path()).arg("export").arg(&captures[0]).args(["--html", "-o"]);
    let exported = export.arg(&page).output().expect("the program starts");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let window = CaptureReader::open(&page).expect("it opens").window();
    assert!(window.millis() >= 350_000, "the past goes along: {window:?}");
}
