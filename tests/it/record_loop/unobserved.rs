//! Time that nobody observed: sources that hang, a recorder that is stopped or suspended, clocks that
//! are stepped.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{Event, Gap, GapReason, Source, TimeRange, Timestamp, joined};
use operator::pd::{Member, PdCadence, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::record::{self, Clock, Recording, Stop};
use operator::source::HttpOptions;
use operator::source::{Addresses, Discovered, PdClient};

use super::{Scene, copied, program, through};
use program::{Program, operator};
use testkit::clock::wall_clock;
use testkit::gate::{Door, GatedPd};

/// How long a member may be silent without a gap.
const MEMBER_ALLOWANCE_MS: i64 = 20_000;

fn pd0() -> Source {
    Source::PdMember("pd0".to_owned())
}

fn of<'a>(gaps: &'a [Gap], source: &Source) -> Vec<&'a Gap> {
    gaps.iter().filter(|gap| gap.source == *source).collect()
}

fn end_of(reader: &CaptureReader) -> Timestamp {
    let events = reader.events().expect("events read");
    let ended = events.iter().find(|event| event.text == "recording ended");
    ended.expect("it ended by itself").at
}

fn replayed(path: &Path) -> String {
    let output = operator().arg("replay").arg(path).output().expect("it starts");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn sources_that_hang_when_the_recording_ends_leave_gaps_up_to_the_end() {
    let scene = Scene::new().await;
    let pd = GatedPd::start().await.expect("a port is free");
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), pd.gate.url.clone()]);
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("answers of PD", |event| event["pd_answers"].as_u64() > Some(0)).await;
    let last = recorder.event("a copy", copied).await;
    for gate in [&scene.gate, &pd.gate] {
        gate.set(Door::Silent);
    }
    // PD's members are asked every 10 s.
    tokio::time::sleep(Duration::from_secs(12)).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let reader = scene.check(through(&last));
    let gaps = reader.gaps().expect("gaps read");
    for source in [Source::Prometheus, pd0()] {
        let of_source = of(&gaps, &source);
        let whole = of_source.iter().map(|gap| gap.range.millis()).sum::<i64>();
        assert!(whole > 11_000, "{source}: {gaps:?}");
        // Prometheus's clock is known to the millisecond or so.
        let end = of_source.last().map(|gap| gap.range.end - end_of(&reader));
        assert!(end.is_some_and(|off| off.abs() < 100), "{gaps:?}");
        assert!(of_source.iter().all(|gap| gap.healed_at.is_none()), "{gaps:?}");
    }
    let told = replayed(&scene.path());
    let (told, _unchecked) = told.split_once("Could not be checked").expect("PD knows nothing");
    assert!(told.contains("nothing observed from here"), "{told}");
    assert!(!told.contains("scrape_loss"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_stopped_recorder_leaves_a_gap_of_what_pd_was_not_asked() {
    let scene = Scene::new().await;
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), scene.stand.pd.clone()]);
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("answers of PD", |event| event["pd_answers"].as_u64() > Some(0)).await;
    recorder.event("a copy", copied).await;
    recorder.signal("STOP");
    let stopped_at = wall_clock();
    tokio::time::sleep(Duration::from_millis(MEMBER_ALLOWANCE_MS as u64 + 2_000)).await;
    // It may go on before the signal's sender has returned.
    let continued_at = wall_clock();
    recorder.signal("CONT");
    let behind = |event: &serde_json::Value| copied(event) && through(event) > continued_at;
    let last = recorder.event("a copy afterwards", behind).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let reader = scene.check(through(&last));
    let gaps = joined(&reader.gaps().expect("gaps read"));
    let [gap] = of(&gaps, &pd0())[..] else { panic!("{gaps:?}") };
    assert_eq!(gap.reason, GapReason::RecorderDown, "{gap:?}");
    assert!(gap.detail.starts_with("the recorder was stopped or suspended for 2"), "{gap:?}");
    assert!(gap.range.start <= stopped_at && continued_at <= gap.range.end, "{gap:?}");
    // What Prometheus gathered meanwhile was fetched afterwards.
    assert!(of(&gaps, &Source::Prometheus).iter().all(|gap| gap.healed_at.is_some()), "{gaps:?}");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let during = TimeRange::new(stopped_at + 1_000, continued_at);
    assert!(answers.iter().all(|answer| !during.contains(answer.sent)));
    assert!(answers.iter().all(|answer| answer.success().is_some() || answer.elapsed_us < 900_000));
}

/// The library of Debian's package `faketime`, which shows programs another wall clock.
fn faketime() -> String {
    let found = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"));
    let found = found.into_iter().find(|path| Path::new(path).exists());
    found.expect("the package faketime is installed, as test.sh does")
}

fn steps(events: &[Event]) -> Vec<&str> {
    let texts = events.iter().map(|event| event.text.as_str());
    texts.filter_map(|text| text.strip_prefix("the clock was stepped by ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs faketime: ./test.sh runs it"]
async fn a_stepped_clock_is_told_and_neither_stops_nor_repeats_copying() {
    let scene = Scene::new().await;
    let shift = scene.directory.path().join("shift");
    // Renamed, so that nobody reads half a file.
    let step = |text: &str| {
        let next = shift.with_extension("next");
        std::fs::write(&next, text).expect("the directory is writable");
        std::fs::rename(&next, &shift).expect("the directory is writable");
    };
    step("+0");
    let mut command = operator();
    let mut recorder = Program::start(
        command
            .args(scene.arguments())
            .args(["--pd", &scene.stand.pd])
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &shift)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    );
    let mut last = recorder.event("a copy", copied).await;
    for text in ["-3600", "+7200", "+0"] {
        step(text);
        let at = wall_clock() + 2_000;
        last = recorder.event("later copies", |event| copied(event) && through(event) > at).await;
    }
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    std::fs::remove_file(&shift).expect("it is there");

    let reader = scene.check(through(&last));
    let events = reader.events().expect("events read");
    // In the order of the clock that was stepped.
    assert_eq!(steps(&events), ["-3600 s", "-7200 s", "+10800 s"]);
    assert_eq!(reader.gaps().expect("gaps read"), []);
}

/// The clocks of a machine that can be suspended: `CLOCK_MONOTONIC`, by which timers run, stands still.
#[derive(Default)]
struct Suspendable {
    suspended_ms: AtomicI64,
}

impl Clock for Suspendable {
    fn wall(&self) -> Timestamp {
        wall_clock() + self.suspended_ms.load(Ordering::Relaxed)
    }

    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.wall().as_millis() as u64)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_suspended_machine_leaves_a_gap_and_asks_again_at_once() {
    let scene = Scene::new().await;
    let clock: &'static Suspendable = Box::leak(Box::default());
    let member = Member { name: "pd0".to_owned(), url: scene.stand.pd.clone() };
    let found = Discovered { members: vec![member], addresses: Addresses::Advertised };
    let client = PdClient::new(&HttpOptions::default()).expect("the options are valid");
    let schedule = PdSchedule::new(PdCadence::default(), clock.wall());
    let recording = Recording {
        copier: None,
        pd: Some(PdSampler::new(client, found, schedule)),
        scraper: None,
        settings: None,
        answers: None,
        pd_interval: Duration::from_secs(5),
        prometheus_interval: Duration::from_secs(15),
        prometheus_offset_ms: 0,
        until: None,
        feed: None,
        succession: None,
    };
    let meta = serde_json::json!({"run": "run", "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let writer = CaptureWriter::create(&scene.path(), meta).expect("the capture can be made");
    let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
    let suspend = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        clock.suspended_ms.store(70_000, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.send_replace(Stop::AfterTick);
    };
    let mut progress = |_: &_| {};
    let recorded = record::run(recording, writer, clock, stopped, &mut progress);
    tokio::join!(recorded, suspend).0.expect("the capture can be written");

    let reader = CaptureReader::open(&scene.path()).expect("it opens");
    let gaps = joined(&reader.gaps().expect("gaps read"));
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((&gap.source, gap.reason), (&pd0(), GapReason::RecorderDown));
    assert!((70_000..75_000).contains(&gap.range.millis()), "{gap:?}");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let next = answers.iter().find(|answer| (answer.sent - gap.range.end).abs() < 2_000);
    assert!(next.is_some(), "{gap:?}");
    assert_eq!(steps(&reader.events().expect("events read")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_a_recorder_that_still_looks_for_its_sources() {
    let scene = Scene::new().await;
    let pd = GatedPd::start().await.expect("a port is free");
    for gate in [&scene.gate, &pd.gate] {
        gate.set(Door::Silent);
    }
    let both = [&scene.arguments()[..], &["--pd".to_owned(), pd.gate.url.clone()]].concat();
    for arguments in [scene.arguments(), both] {
        let mut recorder = Program::start(operator().args(arguments));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ended = ended_by_a_signal(&mut recorder).await;
        assert_eq!(ended.code, Some(130), "{}", ended.errors);
        assert!(ended.errors.contains("before the recording began"), "{}", ended.errors);
        assert!(!scene.path().exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_a_recorder_that_copies_the_past_from_a_server_that_hangs() {
    let scene = Scene::new().await;
    let mut arguments = scene.arguments();
    arguments.extend(["--from", "-4m"].map(str::to_owned));
    arguments.retain(|text| text != "--interval" && text != "50ms");
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("a slice", |event| event["event"] == "slice").await;
    scene.gate.set(Door::Silent);
    let ended = ended_by_a_signal(&mut recorder).await;
    // What came by then is of the run-in alone, unless the server was quicker than the gate.
    assert!(matches!(ended.code, Some(0 | 13)), "{:?}: {}", ended.code, ended.errors);
    assert_eq!(scene.left_beside(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_beyond_those_that_are_asked_are_noted_in_the_capture() {
    let scene = Scene::new().await;
    let pd = GatedPd::listing(99).await.expect("a port is free");
    let mut arguments = scene.arguments();
    arguments.extend(["--pd".to_owned(), pd.gate.url.clone()]);
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("answers of PD", |event| event["pd_answers"].as_u64() > Some(0)).await;
    recorder.event("a copy", copied).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let reader = CaptureReader::open(&scene.path()).expect("it opens");
    let note = "PD lists 100 members, of which 64 are asked";
    let events = reader.events().expect("events read");
    assert_eq!(events.iter().filter(|event| event.text == note).count(), 1, "{events:?}");
    let shown = operator().arg("show").arg(scene.path()).output().expect("it starts");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(note));
}

/// Asks it to stop, and sees it end before the request that hangs would have.
async fn ended_by_a_signal(recorder: &mut Program) -> program::Ended {
    recorder.signal("TERM");
    let within = HttpOptions::default().timeout / 2;
    tokio::time::timeout(within, recorder.wait()).await.expect("no request is waited for")
}
