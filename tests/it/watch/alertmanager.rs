//! Faults in Alertmanager: posted while they last, and as resolved when they are over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use operator::diagnose::Verdict;
use operator::model::{RunName, Timestamp};
use operator::record::Stop;
use operator::session::Session;
use operator::source::{Alertmanager, HttpOptions};
use operator::watch::{Alerts, Notified, Notifiers};
use serde_json::Value;
use tempfile::TempDir;
use testkit::capture_server::accept;
use testkit::process::port_of;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The verdicts on a crashed store while it is down, and after it has come back.
fn verdicts() -> (Verdict, Verdict) {
    let path = Path::new(super::DATA).join("chaos-02.capture");
    let session = Session::open(&path).expect("the capture opens");
    let down = session.window().start + 5 * 60_000;
    let during = session.verdict_as_of(down).expect("it is judged");
    assert!(during.causes[0].end_ms.is_none());
    (during, session.verdict().expect("it is judged"))
}

/// What posts to an Alertmanager at this address.
fn notifiers(url: &str) -> (Notifiers, watch::Sender<Stop>) {
    let alertmanager = Alertmanager::new(url, &HttpOptions::default()).expect("a URL");
    let notified = Notified { alertmanager: Some(alertmanager), ..Notified::default() };
    let (stop, stopped) = watch::channel(Stop::No);
    let notifiers = Notifiers::start(notified, stopped).expect("a thread starts");
    (notifiers.expect("there is somebody to tell"), stop)
}

/// Waits until something is there.
async fn wait_for<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come within twenty seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_posted_with_its_labels_and_what_to_do() {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let bodies = posted.clone();
    tokio::spawn(accept(listener, move |path, body| {
        bodies.lock().expect("nobody panicked").push((path.to_owned(), body.to_vec()));
        Some((200, "application/json", b"{}".to_vec()))
    }));
    let (during, after) = verdicts();
    let mut alerts = Alerts::new(RunName::new("prod").expect("a name"), Timestamp::default());
    let (notifiers, _stop) = notifiers(&url);
    notifiers.alert(String::new());
    notifiers.alert(alerts.update(&during, Timestamp::MIN));
    let newest = async || posted.lock().expect("nobody panicked").last().cloned();
    let (path, body) = wait_for("the alert", newest).await;
    assert_eq!(path, "/api/v2/alerts");
    let alert: Value = serde_json::from_slice(&body).expect("it is JSON");
    let labels = &alert[0]["labels"];
    assert_eq!(
        (&labels["alertname"], &labels["mode"]),
        (&"operator_fault".into(), &"store_crash".into())
    );
    assert_eq!((&labels["target"], &labels["run"]), (&"store 4".into(), &"prod".into()));
    let advice = during.causes[0].advice.expect("a cause has an advice");
    assert_eq!(alert[0]["annotations"]["remedy"], advice.remedy);
    assert_eq!(alert[0]["annotations"]["capture"], "prod");
    assert_eq!(alert[0]["startsAt"], during.causes[0].onset_ms.to_string());
    assert_eq!(alert[0]["endsAt"], Value::Null);

    notifiers.alert(alerts.update(&after, Timestamp::MIN));
    let resolved = async || {
        let bodies = posted.lock().expect("nobody panicked");
        let alert: Value = serde_json::from_slice(&bodies.last()?.1).ok()?;
        alert[0]["endsAt"].as_str().map(str::to_owned)
    };
    let ended = wait_for("the end", resolved).await;
    assert_eq!(ended, after.causes[0].end_ms.expect("it is over").to_string());
    notifiers.finish();
}

/// What `doctor` says of an Alertmanager: its exit code and text.
async fn doctor(url: String) -> (Option<i32>, String) {
    let run = move || {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_operator"));
        let doctor = doctor.env_remove("PD_ENDPOINT").env_remove("PROMETHEUS_URL");
        doctor.args(["doctor", "--alertmanager", &url]).output().expect("the program starts")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_an_alertmanager_from_another_server_and_from_none() {
    let serving = async |body: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        tokio::spawn(accept(listener, move |path, _| {
            let is_status = path == "/api/v2/status";
            is_status.then(|| (200, "application/json", body.as_bytes().to_vec()))
        }));
        address
    };
    let status = r#"{"cluster":{"status":"ready"},"versionInfo":{"version":"0.25.0"},"uptime":""}"#;
    let (code, said) = doctor(serving(status).await).await;
    assert!(code == Some(0) && said.contains("ok Alertmanager http://127.0.0.1:"), "{said}");
    assert!(said.contains(": 0.25.0"), "{said}");
    let (code, said) = doctor(serving("{}").await).await;
    assert!(code == Some(6) && said.contains("this is not an Alertmanager"), "{said}");
    let (code, said) = doctor("http://127.0.0.1:9".to_owned()).await;
    assert!(code == Some(6) && said.contains("fix: start the server"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_says_at_its_start_that_its_alertmanager_is_not_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["watch", "--pd", "http://127.0.0.1:1", "--alertmanager", "127.0.0.1:9", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let errors = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let _server = Server { child, _dir: dir };
    let told = move || {
        let mut lines = errors.lines().map_while(Result::ok);
        lines.find(|line| line.starts_with("warning: --alertmanager: "))
    };
    let told = tokio::task::spawn_blocking(told);
    let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("it is told");
    let told = told.expect("it was read").expect("it is told");
    let why = "cannot reach http://127.0.0.1:9/api/v2/status: nothing listens on this port";
    assert!(told.contains(why) && told.contains("start the server"), "{told}");
}

/// An Alertmanager that does not outlive its test.
struct Server {
    child: Child,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Debian's Alertmanager and returns its base URL.
async fn alertmanager() -> (Server, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let configuration = dir.path().join("alertmanager.yml");
    std::fs::write(&configuration, "route: { receiver: none }\nreceivers: [{ name: none }]\n")
        .expect("the directory is writable");
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.path={}", dir.path().join("data").display()))
        .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Debian's package prometheus-alertmanager is installed");
    let mut server = Server { child, _dir: dir };
    let port = port_of(&mut server.child).await.expect("it listens");
    (server, format!("http://127.0.0.1:{port}"))
}

/// The alerts that the server holds and that have not ended.
async fn firing(url: &str) -> Option<Vec<Value>> {
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    let answer = client.get(format!("{url}/api/v2/alerts")).send().await.ok()?;
    serde_json::from_str(&answer.text().await.ok()?).ok()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus-alertmanager: ./test.sh runs it"]
async fn a_real_alertmanager_holds_a_fault_until_it_is_over() {
    let (_server, url) = alertmanager().await;
    let (during, after) = verdicts();
    let mut alerts = Alerts::new(RunName::new("prod").expect("a name"), Timestamp::default());
    let (notifiers, _stop) = notifiers(&url);
    notifiers.alert(alerts.update(&during, Timestamp::MIN));
    let held = async || firing(&url).await?.into_iter().next();
    let alert = wait_for("the alert", held).await;
    assert_eq!(alert["labels"]["mode"], "store_crash", "{alert}");
    assert_eq!(alert["status"]["state"], "active", "{alert}");
    assert_eq!(alert["startsAt"], during.causes[0].onset_ms.to_string(), "{alert}");

    notifiers.alert(alerts.update(&after, Timestamp::MIN));
    wait_for("the end", async || firing(&url).await?.is_empty().then_some(())).await;
    notifiers.finish();
}
