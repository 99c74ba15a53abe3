//! The program `operator record` itself, while its sources, its disk and its user act up.
//!
//! The source's content is a pure function of time, so what was recorded can be checked sample by
//! sample. What the recorder said on stdout is what must be in the file.

mod around;
mod once;
pub mod program;
mod scraped;
mod unobserved;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter, verify};
use operator::model::{EventKind, GapReason, Source, TimeRange, Timestamp};
use serde_json::Value;

use program::{Program, operator};
use testkit::capture_server::{CaptureServer, LoopedCapture};
use testkit::clock::{ServerClock, wall_clock};
use testkit::gate::{Door, Gate};

/// From one scrape of the source to the next.
const STEP_MS: i64 = 200;

struct Scene {
    directory: tempfile::TempDir,
    supply: Arc<LoopedCapture>,
    stand: CaptureServer,
    gate: Gate,
}

fn bundled() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture")
}

impl Scene {
    async fn new() -> Self {
        let epoch = wall_clock() + -300_000;
        let supply =
            LoopedCapture::load(&bundled(), 60, epoch, STEP_MS).expect("a bundled capture");
        let supply = Arc::new(supply);
        let stand =
            CaptureServer::start(supply.clone(), ServerClock::Real).await.expect("ports are free");
        let gate = Gate::before(&stand.prometheus).await.expect("a port is free");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Self { directory, supply, stand, gate }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("run.capture")
    }

    fn arguments(&self) -> Vec<String> {
        let directory = self.directory.path().display().to_string();
        let fixed = ["--format", "json", "--dir", &directory, "record", "--run", "run"];
        let source = ["--prometheus", &self.gate.url, "--interval", "50ms"];
        let series = ["--no-default-match", "--match", "{job=~\".+\"}"];
        [&fixed[..], &source, &series].concat().iter().map(ToString::to_string).collect()
    }

    fn record(&self) -> Program {
        Program::start(operator().args(self.arguments()))
    }

    /// Opens what was recorded, and checks that it is whole: every sample of the source from the
    /// first one on up to `through`, and no other.
    fn check(&self, through: Timestamp) -> CaptureReader {
        self.check_at(&self.path(), through)
    }

    fn check_at(&self, path: &Path, through: Timestamp) -> CaptureReader {
        assert_eq!(verify(path).expect("it opens").damage, []);
        let reader = CaptureReader::open(path).expect("it opens");
        let held = reader.select(&[], TimeRange::ALL).expect("samples read");
        let theirs = || held.iter().filter(|one| one.labels.get("job") != Some("operator"));
        let first = theirs().filter_map(|one| Some(one.samples.first()?.at)).min();
        // Targets are scraped at different moments of a step.
        let start = first.expect("there are samples").saturating_add_millis(STEP_MS);
        let whole = TimeRange::new(start, through + -STEP_MS);
        assert!(whole.millis() > 50_000, "the first window reaches back a minute: {whole:?}");
        for (number, labels) in self.supply.labels().enumerate() {
            let samples: Vec<_> = theirs()
                .filter(|one| one.labels == *labels)
                .flat_map(|one| &one.samples)
                .filter(|sample| whole.contains(sample.at))
                .copied()
                .collect();
            assert_eq!(samples, self.supply.samples(number, whole), "{labels}");
        }
        reader
    }

    fn left_beside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).expect("it can be listed");
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.filter_map(Result::ok).map(name).collect();
        names.retain(|name| name != "run.capture");
        names
    }
}

fn through(event: &Value) -> Timestamp {
    Timestamp::from_millis(event["copied_through"].as_i64().expect("Prometheus was copied"))
}

fn copied(event: &Value) -> bool {
    event["event"] == "tick" && event["copied_through"].is_i64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_a_signal_ends_before_its_planned_end_is_sealed_and_exits_with_14() {
    let scene = Scene::new().await;
    let mut recorder = Program::start(operator().args(scene.arguments()).args(["--for", "10m"]));
    let copied = recorder.event("a first copy", copied).await;
    recorder.signal("INT");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(14), "{}", ended.errors);
    assert!(ended.errors.contains("shorter than asked for"), "{}", ended.errors);
    let last = recorder.last(|event| event["event"] == "end").expect("it says its end");
    assert_eq!((&last["sealed"], &last["early"]), (&true.into(), &true.into()), "{last}");
    scene.check(through(&copied));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_comes_back_leaves_no_hole_and_no_open_gap() {
    let scene = Scene::new().await;
    let mut recorder = scene.record();
    let before = recorder.event("a first copy", copied).await;
    for _ in 0..2 {
        scene.gate.set(Door::Shut);
        recorder.event("an outage", |event| event["failing"] == 1).await;
        tokio::time::sleep(Duration::from_millis(2 * STEP_MS as u64)).await;
        scene.gate.set(Door::Open);
        recorder.event("the end of the outage", |event| event["failing"] == 0).await;
    }
    let after = recorder.event("a copy afterwards", copied).await;
    assert!(through(&after) > through(&before));
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let reader = scene.check(through(&after));
    let gaps = reader.gaps().expect("gaps read");
    assert!(gaps.len() >= 2, "{gaps:?}");
    for gap in &gaps {
        assert_eq!((&gap.source, gap.reason), (&Source::Prometheus, GapReason::Connect));
        assert!(gap.healed_at.is_some_and(|healed| healed > gap.range.start), "{gap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_is_down_at_the_start_is_copied_when_it_answers() {
    let scene = Scene::new().await;
    scene.gate.set(Door::Shut);
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), scene.stand.pd.clone()]);
    let mut recorder = Program::start(operator().args(arguments));
    let alone = |event: &Value| event["pd_answers"].as_u64() > Some(0) && event["failing"] == 1;
    recorder.event("answers of PD alone", alone).await;
    scene.gate.set(Door::Open);
    let after = recorder.event("a copy", copied).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let warned = ended.errors.contains("until Prometheus answers, only PD is recorded; --scrape");
    assert!(warned, "{}", ended.errors);

    let reader = scene.check(through(&after));
    let gaps = reader.gaps().expect("gaps read");
    assert!(!gaps.is_empty(), "the time before is told");
    for gap in &gaps {
        assert_eq!((&gap.source, gap.reason), (&Source::Prometheus, GapReason::Connect));
        assert!(gap.healed_at.is_some(), "{gap:?}");
    }
    let meta = reader.meta();
    assert_eq!(meta.copied_by.len(), 1, "{meta:?}");
    assert_eq!(meta.endpoints.prometheus.as_deref(), Some(&*scene.gate.url));
    assert!(meta.versions.prometheus.is_some(), "{meta:?}");
}

/// Records as a person does who reads text, and returns what it says on stderr.
async fn in_words(arguments: Vec<String>) -> String {
    let run = move || operator().args(arguments).output().expect("the program starts");
    let output = tokio::task::spawn_blocking(run).await.expect("it ran");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_recording_ends_with_its_totals() {
    let scene = Scene::new().await;
    let mut arguments = scene.arguments();
    arguments.drain(..2);
    arguments.extend(["--for".to_owned(), "2s".to_owned()]);
    let said = in_words(arguments).await;
    let totals = said.lines().last().expect("it says something");
    assert!(totals.contains(" samples of ") && totals.contains(" series, 0 PD answers, 0 gaps"));
    assert!(!said.contains("(0/s)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_goes_on_says_so_and_warns_of_other_endpoints() {
    let scene = Scene::new().await;
    let record = |url: &str| {
        let mut arguments = scene.arguments();
        arguments.drain(..2);
        let at = arguments.iter().position(|text| *text == scene.gate.url).expect("it is there");
        arguments[at] = url.to_owned();
        arguments.extend(["--for".to_owned(), "1s".to_owned()]);
        in_words(arguments)
    };
    let first = record(&scene.gate.url).await;
    assert!(first.contains("recording run into "), "{first}");
    let again = record(&scene.gate.url).await;
    assert!(again.contains("continuing run in ") && again.contains(", which holds 2"), "{again}");
    assert!(!again.contains("warning"), "{again}");
    let other = record(&scene.stand.prometheus).await;
    let warning = format!(
        "warning: run was recorded of {}, and now it is of {}: ",
        scene.gate.url, scene.stand.prometheus
    );
    assert!(other.contains(&warning), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_the_tick_and_seals_the_file() {
    let scene = Scene::new().await;
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), scene.stand.pd.clone()]);
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("answers of PD", |event| event["pd_answers"].as_u64() > Some(0)).await;
    let last = recorder.event("a copy", copied).await;
    recorder.signal("TERM");
    let end = recorder.event("its end", |event| event["event"] == "end").await;
    assert_eq!(end["sealed"], true);
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(scene.left_beside(), [""; 0]);
    let reader = scene.check(through(&last));
    let events = reader.events().expect("events read");
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event.kind.0 == EventKind::RECORDER)
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(told, ["recording began", "recording ended"]);
    assert_eq!(reader.gaps().expect("gaps read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_leaves_at_once_and_loses_nothing() {
    let scene = Scene::new().await;
    // The last copy, which the first signal asks for, never comes to its end; unless the gate broke
    // one that was under way, after which none is tried and the recording may end first.
    let mut attempts = 0;
    let (last, ended) = loop {
        scene.gate.set(Door::Open);
        let mut recorder = scene.record();
        let last = recorder.event("a copy", copied).await;
        scene.gate.set(Door::Silent);
        recorder.signal("TERM");
        recorder.signal("INT");
        let ended = recorder.wait().await;
        attempts += 1;
        if ended.code != Some(0) || attempts == 5 {
            break (last, ended);
        }
    };
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    assert!(ended.errors.contains("every committed tick is in it"), "{}", ended.errors);
    scene.check(through(&last));

    scene.gate.set(Door::Open);
    let mut again = scene.record();
    let later = again.event("a copy", copied).await;
    again.signal("TERM");
    assert_eq!(again.wait().await.code, Some(0));
    let reader = scene.check(through(&later));
    let gaps = reader.gaps().expect("gaps read");
    let down = gaps.iter().filter(|gap| gap.reason == GapReason::RecorderDown);
    assert_eq!(down.count(), attempts, "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_file_that_may_not_grow_ends_the_recording_and_keeps_what_is_committed() {
    let scene = Scene::new().await;
    // In blocks of 512 bytes; a shell lowers the limit for what it becomes.
    let limited = "ulimit -f 300; exec \"$0\" \"$@\"";
    let mut recorder = Program::start(
        program::clean("sh")
            .args(["-c", limited, env!("CARGO_BIN_EXE_operator")])
            .args(scene.arguments()),
    );
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(8), "{}", ended.errors);
    let path = scene.path().display().to_string();
    assert!(ended.errors.contains(&path) && ended.errors.contains("ulimit"), "{}", ended.errors);
    let last = recorder.last(copied).expect("something was committed before");
    scene.check(through(&last));

    let mut again = scene.record();
    let later = again.event("a copy", copied).await;
    again.signal("TERM");
    assert_eq!(again.wait().await.code, Some(0));
    scene.check(through(&later));
}

/// The recorder on a disk of its own of 4 MiB that holds the scene's captures and is taken but for
/// `free_kib`, until a file `room` stands in the scene's folder. What is recorded is copied there.
/// `None` where this system does not let its users mount a file system.
fn on_a_full_disk(scene: &Scene, free_kib: u32, arguments: Vec<String>) -> Option<Program> {
    // A file system of its own, which only this process and its children see.
    let own = ["--map-root-user", "--mount", "sh", "-c"];
    let possible = program::clean("unshare").args(own).arg("mount -t tmpfs none /mnt").status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this system does not let its users mount a file system");
        return None;
    }
    let script = "mount -t tmpfs -o size=4096k none \"$1\" || exit 99
        disk=$1; free=$2; shift 2
        cp \"$KEPT\"/*.capture \"$disk\" 2>/dev/null
        taken=$((4096 - free - $(du -sk \"$disk\" | cut -f1)))
        head -c \"${taken}k\" /dev/zero > \"$disk/taken\"
        \"$0\" \"$@\" & recorder=$!
        trap 'kill -TERM $recorder' TERM
        (while [ ! -e \"$KEPT/room\" ]; do sleep 0.1; done; rm \"$disk/taken\") & waiting=$!
        wait $recorder; wait $recorder; code=$?
        kill $waiting 2>/dev/null
        cp \"$disk\"/*.capture* \"$KEPT\"; exit $code";
    let mounted = scene.directory.path().join("mounted");
    std::fs::create_dir_all(&mounted).expect("the directory is writable");
    let here = scene.directory.path().display().to_string();
    let there = mounted.display().to_string();
    let moved = arguments.iter().map(|text| if *text == here { &there } else { text });
    Some(Program::start(
        program::clean("unshare")
            .args(own)
            .args([script, env!("CARGO_BIN_EXE_operator"), &there, &free_kib.to_string()])
            .args(moved)
            .env("KEPT", &here),
    ))
}

fn is_full(event: &Value) -> bool {
    event["event"] == "tick" && event["disk_full"] == true
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recording_that_ends_on_a_full_disk_says_so_and_keeps_what_is_committed() {
    let scene = Scene::new().await;
    let Some(mut recorder) = on_a_full_disk(&scene, 300, scene.arguments()) else { return };
    recorder.event("a full disk", is_full).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(8), "{}", ended.errors);
    assert!(ended.errors.contains("no space left"), "{}", ended.errors);
    assert!(ended.errors.contains("the same --run again"), "{}", ended.errors);
    let last = recorder.last(copied).expect("something was committed before");
    scene.check(through(&last));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recording_goes_on_when_a_full_disk_has_room_again_and_has_lost_nothing() {
    let scene = Scene::new().await;
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), scene.stand.pd.clone()]);
    let Some(mut recorder) = on_a_full_disk(&scene, 300, arguments) else { return };
    let full = recorder.event("a full disk", is_full).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    std::fs::write(scene.directory.path().join("room"), "").expect("the directory is writable");
    let later = |event: &Value| copied(event) && event["disk_full"] == false;
    let room = recorder.event("a commit", later).await;
    let reached = |event: &Value| later(event) && through(event) > through(&room);
    let after = recorder.event("a copy afterwards", reached).await;
    let answers = |event: &Value| event["pd_answers"].as_u64();
    let again = |event: &Value| event["event"] == "tick" && answers(event) > answers(&room);
    recorder.event("further answers of PD", again).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(through(&after) - through(&full) > 3_000);

    let reader = scene.check(through(&after));
    let gaps = reader.gaps().expect("gaps read");
    assert!(!gaps.is_empty(), "the time without room is told");
    for gap in gaps {
        assert_eq!((&gap.source, gap.reason), (&Source::Prometheus, GapReason::RecorderDown));
        assert!(gap.detail.contains("no space left") && gap.healed_at.is_some(), "{gap:?}");
    }
    let asked = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let pings: Vec<_> = asked.iter().filter(|one| one.path.ends_with("/ping")).collect();
    let longest = pings.windows(2).map(|pair| pair[1].sent - pair[0].sent).max();
    assert!(longest.is_some_and(|longest| longest < 15_000), "{longest:?} of {}", pings.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_full_disk_first_takes_the_oldest_segment_and_none_that_is_marked() {
    let scene = Scene::new().await;
    let segment = |day| scene.directory.path().join(format!("run-202601{day}T000000Z.capture"));
    let [marked, oldest, newest] = ["01", "02", "03"].map(segment);
    for path in [&marked, &oldest] {
        std::fs::copy(bundled(), path).expect("the directory is writable");
    }
    let meta = serde_json::json!({"run": "run-20260103T000000Z", "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let began = CaptureWriter::create(&newest, meta).and_then(CaptureWriter::finish);
    began.expect("the directory is writable");
    let event = serde_json::json!({"at": 0, "kind": "incident", "text": "look at this again"});
    let event = serde_json::from_value(event).expect("an event");
    operator::capture::add_event(&marked, event).expect("it can be marked");
    let mut arguments = scene.arguments();
    arguments.extend(["--keep".to_owned(), "9999d".to_owned()]);
    let Some(mut recorder) = on_a_full_disk(&scene, 300, arguments) else { return };
    let dropped = recorder.event("a full disk", |event| event["event"] == "dropped").await;
    assert_eq!(dropped["reason"], "disk_full", "{dropped}");
    let file = dropped["file"].as_str().expect("it is a path");
    assert_eq!(Path::new(file).file_name(), oldest.file_name(), "{dropped}");
    assert_eq!(dropped["file_bytes"], std::fs::metadata(bundled()).expect("it is there").len());
    let room = recorder.event("a commit", copied).await;
    let after = recorder.event("a copy", |event| copied(event) && through(event) > through(&room));
    let after = after.await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    // The newest had begun so long ago that the recording soon went on in another segment.
    let run = operator::model::RunName::new("run").expect("it is a run's name");
    let last = operator::record::segments(scene.directory.path(), &run).pop();
    scene.check_at(&last.expect("there are segments").path, through(&after));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_directory_that_cannot_be_written_to_is_named_with_exit_code_8() {
    let scene = Scene::new().await;
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = program::read_only(scratch.path());
    let mut arguments = scene.arguments();
    let here = scene.directory.path().display().to_string();
    let there = directory.display().to_string();
    arguments.iter_mut().filter(|text| **text == here).for_each(|text| text.clone_from(&there));
    let mut recorder = Program::start(program::as_nobody(scratch.path()).args(arguments));
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(8), "{}", ended.errors);
    assert!(ended.errors.contains(&there), "{}", ended.errors);
    assert!(ended.errors.contains("Permission denied"), "{}", ended.errors);
    assert_eq!(std::fs::read_dir(&directory).expect("it can be listed").count(), 0);
}
