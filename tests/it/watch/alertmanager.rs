//! Faults in Alertmanager: posted while they last, and as resolved when they are over.

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
