//! `operator watch --logs`: a store dies, and the nodes are asked why, while the recording goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use operator::capture::{CaptureReader, verify};
use operator::model::{LogEvent, LogKind, TimeRange, Timestamp};
use serde_json::Value;
use testkit::clock::{ServerClock, wall_clock};
use testkit::log_server::{Answering, FoundLine, LogServer, asked_range};
use testkit::process::interrupt;
use testkit::run::Run;

use super::playback::Playback;
use super::program::{Watch, hook, start, wait_for};

/// Store 4 of the run, which dies, and the others.
const STORES: [(&str, &str); 4] = [
    ("store 4", "10.77.0.20:20160"),
    ("store 1", "10.77.0.21:20160"),
    ("store 5", "10.77.0.22:20160"),
    ("store 6", "10.77.0.23:20160"),
];
/// When store 4 dies in the run, and when the watch begins, in seconds.
const DIED: i64 = 226;
const BEGINS: i64 = 300;

/// The run moved to the present, fault and all, with nodes that are asked for their logs.
struct Scene {
    playback: Playback,
    nodes: Vec<LogServer>,
    dir: tempfile::TempDir,
    /// When store 4 died.
    died: Timestamp,
}

impl Scene {
    /// `answering` says how the stores of [`STORES`] answer, given when store 4 died.
    async fn new(answering: impl Fn(Timestamp) -> [Answering; 4]) -> Self {
        let mut run = Run::load("chaos-02");
        run.shift(wall_clock() - run.at(BEGINS));
        let died = run.at(DIED);
        let mut nodes = Vec::new();
        for answering in answering(died) {
            nodes.push(LogServer::start(answering).await.expect("a port is free"));
        }
        let moved = STORES.iter().zip(&nodes);
        let moved = moved.map(|((_, from), node)| ((*from).to_owned(), node.address.clone()));
        let never = TimeRange::new(run.window.start, run.window.start);
        let playback = Playback::start_moved(run, ServerClock::Real, never, moved.collect()).await;
        Self { playback, nodes, dir: tempfile::tempdir().expect("a temporary directory"), died }
    }

    fn watch(&self, more: &[&str]) -> Watch {
        let pd = &self.playback.members[0].url;
        let arguments = [&["--pd", pd, "--logs"][..], more].concat();
        start(self.dir.path(), &self.playback.prometheus, &arguments)
    }

    /// The only capture.
    fn capture(&self) -> PathBuf {
        let all = std::fs::read_dir(self.dir.path()).expect("it is there");
        let all = all.filter_map(|entry| Some(entry.ok()?.path()));
        let mut all = all.filter(|path| path.extension().is_some_and(|one| one == "capture"));
        let found = all.next().expect("there is one");
        assert_eq!(all.next(), None, "beside {found:?}");
        found
    }
}

/// Lines that last as long as the test.
fn lines(lines: Vec<FoundLine>) -> Answering {
    Answering::Lines(Vec::leak(lines))
}

fn held(capture: &Path, node: &str) -> Vec<LogEvent> {
    let events = CaptureReader::open(capture).expect("it opens").events().expect("events read");
    events.iter().filter_map(LogEvent::of_event).filter(|line| line.node == node).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_fault_is_told_with_its_panic_and_its_capture_holds_the_lines_of_begin_and_end() {
    let begun = wall_clock();
    let later = begun.saturating_add_millis(20_000);
    let scene = Scene::new(|died| {
        let at = |seconds: i64| died.as_millis() + seconds * 1_000;
        let panic =
            "[lib.rs:481] [\"index out of bounds\"] [location=a.rs:7] [thread_name=apply-0]";
        let ready = "[server.rs:422] [\"TiKV is ready to serve\"]";
        let died = vec![(at(1), 0, panic), (later.as_millis(), 2, ready)];
        let started = "[lib.rs:89] [\"Welcome to TiKV\"]";
        [
            lines(died),
            Answering::Refuses(2, "Empty `log_file` path"),
            lines(vec![(at(-3_600), 2, started), (at(-60), 2, started)]),
            Answering::BreaksOff(Vec::leak(vec![(at(-30), 2, started)])),
        ]
    })
    .await;
    let (hook, hooked) = hook().await;
    let mut watch = scene.watch(&["--webhook", &hook]);
    let posted = |turn: &str, says: &str| {
        let bodies = hooked.lock().expect("nobody panicked").clone();
        let bodies = bodies.iter().map(|body| serde_json::from_slice::<Value>(body));
        let mut bodies = bodies.map(|body| body.expect("the body is JSON"));
        let is_it = |notice: &Value| notice["about"] == "cause" && notice["turn"] == turn;
        bodies.find(|body| {
            let said = body["verdict"]["causes"][0]["says"].as_str().unwrap_or_default();
            let notices = body["notices"].as_array().cloned().unwrap_or_default();
            said.ends_with(says) && notices.iter().any(is_it)
        })
    };
    let first = wait_for("a fault", || posted("began", "")).await;
    assert_eq!(first["verdict"]["causes"][0]["target"]["name"], "store 4", "{first}");
    let why = "it panicked at a.rs:7: index out of bounds";
    let second = wait_for("why", || posted("updated", why)).await;
    assert_eq!(second["verdict"]["causes"][0]["mode"], "store_crash", "{second}");
    // Only what the fault names was asked, and once.
    let asked: Vec<usize> = scene.nodes.iter().map(|node| node.requests().len()).collect();
    assert_eq!(asked[0], 1, "{asked:?}");
    assert!(asked.iter().all(|requests| *requests <= 1), "{asked:?}");

    let rest = later.saturating_add_millis(3_000) - wall_clock();
    tokio::time::sleep(Duration::from_millis(rest.max(0) as u64)).await;
    interrupt(&watch.0).expect("the program runs");
    assert!(watch.0.wait().expect("it ends").success());
    let capture = scene.capture();
    assert_eq!(verify(&capture).expect("it opens").damage, []);
    let of_store_4: Vec<LogKind> = held(&capture, "store 4").iter().map(|line| line.kind).collect();
    let told = [LogKind::Panic, LogKind::Ready];
    for kind in told {
        assert_eq!(of_store_4.iter().filter(|one| **one == kind).count(), 1, "{of_store_4:?}");
    }
    // The second question begins where the first one ended.
    let [first, second] = &scene.nodes[0].requests()[..] else { panic!("asked twice") };
    let ((start, end), (next, _)) = (asked_range(first), asked_range(second));
    assert_eq!(next, end + 1);
    assert!(start >= scene.died.as_millis() - 330_000 && end > scene.died.as_millis());
    let refused = held(&capture, "store 1");
    assert!(refused.iter().all(|line| line.kind == LogKind::Unread), "{refused:?}");
    assert!(
        refused.last().is_some_and(|line| line.text.contains("Empty `log_file`")),
        "{refused:?}"
    );
    // A line from before the recording is none of it.
    let started =
        held(&capture, "store 5").into_iter().filter(|line| line.kind == LogKind::Started);
    assert_eq!(started.count(), 1);
    let broken = held(&capture, "store 6");
    assert!(broken.iter().any(|line| line.value("broken_files").is_some()), "{broken:?}");
    for node in &scene.nodes {
        assert!(node.requests().len() <= 2);
    }
    let member = held(&capture, "pd0");
    assert!(matches!(&member[..], [line, ..] if line.kind == LogKind::Unread), "{member:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_node_that_hangs_delays_no_tick() {
    let scene = Scene::new(|_| [Answering::Hangs; 4]).await;
    let mut watch = scene.watch(&[]);
    wait_for("a question", || scene.nodes[0].requests().first().cloned()).await;
    let asked = wall_clock();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let until = wall_clock();
    let questions = || scene.nodes.iter().map(|node| node.requests().len()).sum::<usize>();
    let before = questions();
    interrupt(&watch.0).expect("the program runs");
    wait_for("a question at the end", || (questions() > before).then_some(())).await;
    let second = wall_clock();
    interrupt(&watch.0).expect("the program asks every node, for a minute each");
    assert!(watch.0.wait().expect("it ends").success());
    assert!(wall_clock() - second < 30_000, "a second signal ends the questions");
    let reader = CaptureReader::open(&scene.capture()).expect("it opens");
    let own = reader.select(&[], TimeRange::new(asked, until)).expect("samples read");
    let commits = own.iter().find(|one| one.labels.metric() == "operator_commit_seconds_count");
    let commits = &commits.expect("the recorder counts its commits").samples;
    assert!(commits.len() >= 6, "{commits:?}");
    assert!(commits.windows(2).all(|pair| pair[1].at - pair[0].at < 2_500), "{commits:?}");
}
