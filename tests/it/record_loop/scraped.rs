//! What a recording that scrapes loses, since no Prometheus holds it: times in which the recorder did not run,
//! and those of a full disk. Neither is a fault of a target.

use std::sync::Arc;
use std::time::Duration;

use operator::capture::{CaptureReader, verify};
use operator::model::{Gap, GapReason, Sample, Source, TimeRange};
use serde_json::Value;
use testkit::clock::wall_clock;
use testkit::scraped_cluster::{Pages, ScrapedCluster, page};

use super::program::{Program, operator};
use super::{Scene, is_full, on_a_full_disk};

/// Series of each page where a disk is to become full.
const SERIES: usize = 4_000;
/// Series of each page where none does.
const QUIET: usize = 100;

/// Pages of this many series that no two scrapes have in common and that hardly compress.
fn noise(series: usize) -> Pages {
    Arc::new(move |target, request| {
        let mut random = fastrand::Rng::with_seed((target * 1_000_000 + request) as u64);
        let line =
            |number| format!("tikv_raftstore_region_count{{type=\"{number}\"}} {}\n", random.f64());
        Some(page((0..series).map(line).collect::<String>()))
    })
}

fn arguments(scene: &Scene, cluster: &ScrapedCluster) -> Vec<String> {
    let directory = scene.directory.path().display().to_string();
    let fixed = ["--format", "json", "--dir", &directory, "record", "--run", "run"];
    // The interval bounds a scrape: a busy machine has to manage each in time.
    let scrape = ["--pd", &cluster.pd, "--scrape", "--interval", "5s"];
    [&fixed[..], &scrape].concat().iter().map(ToString::to_string).collect()
}

/// Waits until there is room on the disk, and then for the samples of three scrapes of pages of so many `series`.
async fn scraped_again(recorder: &mut Program, series: usize) {
    let committed = |event: &Value| event["event"] == "tick" && !is_full(event);
    let samples = |event: &Value| event["samples"].as_u64();
    let held = samples(&recorder.event("a commit", committed).await).expect("a tick counts them");
    let wanted = Some(held + 3 * 3 * series as u64);
    let more = |event: &Value| committed(event) && samples(event) >= wanted;
    recorder.event("further samples", more).await;
}

/// Opens what was recorded: the samples of `up` of all targets, and the gaps of the recorder itself.
fn recorded(scene: &Scene) -> (Vec<Vec<Sample>>, Vec<Gap>) {
    assert_eq!(verify(&scene.path()).expect("it opens").damage, []);
    let reader = CaptureReader::open(&scene.path()).expect("it opens");
    let held = reader.select(&[], TimeRange::ALL).expect("samples read");
    let up = held.into_iter().filter(|one| one.labels.metric() == "up");
    let mut gaps = reader.gaps().expect("gaps read");
    gaps.retain(|gap| gap.source == Source::Recorder);
    (up.map(|one| one.samples).collect(), gaps)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_stopped_recorder_leaves_a_gap_and_no_target_that_is_down() {
    let scene = Scene::new().await;
    let cluster = ScrapedCluster::start(2, noise(QUIET)).await.expect("ports are free");
    let mut recorder = Program::start(operator().args(arguments(&scene, &cluster)));
    let of_all = |event: &Value| event["series"].as_u64() > Some(3 * QUIET as u64);
    recorder.event("series of every target", of_all).await;
    recorder.signal("STOP");
    let stopped_at = wall_clock();
    tokio::time::sleep(Duration::from_secs(12)).await;
    // It may go on before the signal's sender has returned.
    let continued_at = wall_clock();
    recorder.signal("CONT");
    scraped_again(&mut recorder, QUIET).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let (up, gaps) = recorded(&scene);
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(gap.reason, GapReason::RecorderDown, "{gap:?}");
    assert!(gap.detail.contains("stopped or suspended"), "{gap:?}");
    assert!(gap.range.start <= stopped_at + 1_000 && continued_at <= gap.range.end, "{gap:?}");
    assert_eq!(up.len(), 3, "two stores and PD: {up:?}");
    for samples in up {
        assert!(samples.iter().all(|sample| sample.value == 1.0), "{samples:?}");
        assert!(samples.iter().any(|sample| sample.at > gap.range.end), "{samples:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn what_a_full_disk_cost_is_a_gap_and_scraping_goes_on_when_there_is_room() {
    let scene = Scene::new().await;
    let cluster = ScrapedCluster::start(2, noise(SERIES)).await.expect("ports are free");
    let Some(mut recorder) = on_a_full_disk(&scene, 300, arguments(&scene, &cluster)) else {
        return;
    };
    recorder.event("a full disk", is_full).await;
    let full_at = wall_clock();
    tokio::time::sleep(Duration::from_secs(4)).await;
    std::fs::write(scene.directory.path().join("room"), "").expect("the directory is writable");
    scraped_again(&mut recorder, SERIES).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    // An attempt without samples may find room for itself, and the next one none.
    let (up, gaps) = recorded(&scene);
    assert!(gaps.iter().all(|gap| gap.detail.starts_with("no space left")), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap.range.start <= full_at), "{gaps:?} {full_at}");
    let is_lost = |sample: &Sample| gaps.iter().any(|gap| gap.range.contains(sample.at));
    let last = gaps.iter().map(|gap| gap.range.end).max().expect("there is one");
    for samples in up {
        assert!(samples.iter().all(|sample| sample.value == 1.0), "{samples:?}");
        assert!(!samples.iter().any(is_lost), "{gaps:?} {samples:?}");
        assert!(samples.iter().any(|sample| sample.at >= last), "{gaps:?} {samples:?}");
    }
}
