//! A recording of one moment, of both sources and of one alone.

use std::collections::BTreeSet;
use std::net::TcpListener;

use operator::capture::{CaptureReader, verify};
use operator::model::{EventKind, GapReason, TimeRange, is_stale};
use operator::session::Session;

use super::Scene;
use super::program::{Ended, Program, operator};
use testkit::clock::wall_clock;

async fn once(scene: &Scene, sources: &[&str]) -> (Ended, CaptureReader) {
    let directory = scene.directory.path().display().to_string();
    let fixed = ["--format", "json", "--dir", &directory, "record", "--run", "run", "--once"];
    let series = ["--no-default-match", "--match", "{job=~\".+\"}"];
    let mut recorder = Program::start(operator().args([&fixed[..], &series, sources].concat()));
    let ended = recorder.wait().await;
    assert!(matches!(ended.code, Some(0 | 10 | 11)), "{:?}: {}", ended.code, ended.errors);
    let said = recorder.last(|event| event["event"] == "end").expect("it says where it is");
    assert_eq!(said["sealed"], true);
    let judged = recorder.last(|event| event["verdict"].is_object());
    assert!(judged.is_some(), "the verdict is printed");
    assert_eq!(verify(&scene.path()).expect("it opens").damage, []);
    assert_eq!(scene.left_beside(), [""; 0]);
    (ended, CaptureReader::open(&scene.path()).expect("it opens"))
}

fn paths(reader: &CaptureReader) -> BTreeSet<String> {
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    answers.into_iter().map(|answer| answer.path).collect()
}

/// Checks that each series of the source has one sample, which is the source's. A series that ended before the
/// moment has none.
fn check_last_samples(scene: &Scene, reader: &CaptureReader) {
    let held = reader.select(&[], TimeRange::ALL).expect("samples read");
    let recent = TimeRange::new(wall_clock() + -60_000, wall_clock());
    let mut with_sample = 0;
    for (number, labels) in scene.supply.labels().enumerate() {
        let own = held.iter().filter(|one| one.labels == *labels).flat_map(|one| &one.samples);
        let own: Vec<_> = own.copied().collect();
        let ends = scene.supply.samples(number, recent).iter().any(|sample| is_stale(sample.value));
        assert!(own.len() == 1 || own.is_empty() && ends, "{labels}: {own:?}");
        with_sample += own.len();
        for sample in own {
            let there = TimeRange::new(sample.at, sample.at + 1);
            assert_eq!(scene.supply.samples(number, there), [sample], "{labels}");
            assert!(recent.contains(sample.at), "{labels}: {sample:?} is an old one");
        }
    }
    assert!(2 * with_sample > scene.supply.labels().count(), "{with_sample}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_moment_has_one_sample_of_each_series_and_one_answer_of_each_endpoint() {
    let scene = Scene::new().await;
    let (_, reader) =
        once(&scene, &["--pd", &scene.stand.pd, "--prometheus", &scene.gate.url]).await;
    check_last_samples(&scene, &reader);
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    assert!(answers.len() > 20, "{}", answers.len());
    let asked: BTreeSet<_> = answers.iter().map(|one| (&one.member, &one.path)).collect();
    assert_eq!(asked.len(), answers.len(), "nothing is asked twice");
    let events = reader.events().expect("events read");
    // The stores of the run that is served back do not exist.
    let (settings, events): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event.kind.0 == EventKind::SETTINGS);
    assert!(!settings.is_empty());
    let texts: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(texts, ["recording began", "recording ended"]);
    assert_eq!(reader.gaps().expect("gaps read"), []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_member_that_never_answers_is_no_recorder_that_stood_still() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let pd = format!("http://{}", silent.local_addr().expect("it is bound"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let directory = dir.path().display().to_string();
    let args =
        ["--format", "json", "--dir", &directory, "record", "--run", "run", "--once", "--pd", &pd];
    let ended = Program::start(operator().args(args)).wait().await;
    assert_eq!(ended.code, Some(11), "{}", ended.errors);
    let reader = CaptureReader::open(&dir.path().join("run.capture")).expect("it opens");
    let gaps = reader.gaps().expect("gaps read");
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| gap.reason == GapReason::Timeout),
        "{gaps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn one_source_is_enough_for_a_moment() {
    let scene = Scene::new().await;
    let (_, reader) = once(&scene, &["--prometheus", &scene.gate.url]).await;
    assert!(paths(&reader).is_empty());
    check_last_samples(&scene, &reader);

    let scene = Scene::new().await;
    let (_, reader) = once(&scene, &["--pd", &scene.stand.pd]).await;
    assert!(paths(&reader).iter().any(|path| path.contains("/regions/check/")));
    assert_eq!(reader.select(&[], TimeRange::ALL).expect("samples read"), []);
    let window = Session::open(&scene.path()).expect("it opens").window();
    assert!(window.millis() < 20_000, "{window:?}");
}
