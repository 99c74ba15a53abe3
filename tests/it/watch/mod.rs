//! Diagnosis of a recording while it is made.

mod alertmanager;
mod logs;
mod playback;
mod profiles;
mod program;

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter, copy_range};
use operator::diagnose::survey::{Grid, Survey, usual_interval_ms};
use operator::diagnose::{
    Evidence, HORIZON_MS, Parts, Verdict, diagnose_surveyed, is_looked_at, reads,
};
use operator::model::{TimeRange, Timestamp};
use operator::pd::{PdCadence, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::record::{
    self, CommitIncrement, Copier, LiveFeed, Progress, RecentWindow, Recording, Stop,
};
use operator::source::{Addresses, Discovered, PdClient};
use operator::source::{HttpOptions, PrometheusClient, ReadMode, Selector};

use crate::diagnosis::told;
use playback::Playback;
use testkit::clock::{FasterClock, ServerClock};
use testkit::run::Run;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

/// How many seconds of a run pass in one at most.
const SPEED: u32 = 24;

/// Records a part of a bundled run as it is served back, and returns what the recorder told.
async fn record(path: &Path, run: Run, part: TimeRange, outage: TimeRange) -> Vec<CommitIncrement> {
    let clock = FasterClock::start(part.start, SPEED);
    let playback = Playback::start(run, ServerClock::Faster(clock), outage).await;
    let options = HttpOptions::default();
    let client = PrometheusClient::new(&playback.prometheus, &options).expect("a URL");
    let selectors = vec![Selector::parse("{__name__=~'.+'}").expect("a selector")];
    let pd = PdClient::new(&options).expect("a client");
    let schedule = PdSchedule::new(PdCadence::default(), part.start);
    let found = Discovered { members: playback.members.clone(), addresses: Addresses::Advertised };
    let (feed, mut news) = LiveFeed::new(reads);
    let recording = Recording {
        copier: Some(Copier::new(client, ReadMode::RemoteReadSamples, selectors)),
        pd: Some(PdSampler::new(pd, found, schedule)),
        scraper: None,
        settings: None,
        answers: None,
        pd_interval: Duration::from_secs(5),
        prometheus_interval: Duration::from_secs(15),
        prometheus_offset_ms: 0,
        until: None,
        feed: Some(feed),
        succession: None,
    };
    let meta = serde_json::json!({"run": "live", "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let writer = CaptureWriter::create(path, meta).expect("the capture can be made");
    let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
    let ended = async {
        clock.reach(part.end).await;
        stop.send_replace(Stop::AfterTick);
    };
    let mut progress = |progress: &Progress| clock.note_commit(progress);
    let recorded = record::run(recording, writer, clock, stopped, &mut progress);
    tokio::join!(recorded, ended).0.expect("the capture can be written");
    let mut all = Vec::new();
    while let Ok(one) = news.try_recv() {
        all.push(one);
    }
    all
}

/// The verdict of every live tick.
fn live(news: Vec<CommitIncrement>) -> Vec<(Timestamp, Verdict)> {
    let mut recent = RecentWindow::new(HORIZON_MS);
    let mut verdicts = Vec::new();
    for one in news {
        let settled = one.settled;
        recent.add(one);
        let Some(as_of) = settled else { continue };
        let known = recent.as_of(as_of, is_looked_at);
        let up = known.series.iter().filter(|one| one.labels.metric() == "up");
        let grid = Grid::over(known.window, usual_interval_ms(up));
        let parts =
            Parts { series: known.series, pd: &known.pd, gaps: &known.gaps, ..Parts::default() };
        let evidence = Evidence::new(known.window, as_of, parts);
        let surveyed = || recent.series_within(known.window);
        let survey = || Ok::<_, Infallible>(Survey::of_each(surveyed(), grid));
        let Ok(verdict) = diagnose_surveyed(&evidence, survey);
        verdicts.push((as_of, verdict));
    }
    verdicts
}

/// What `operator replay --at` says of a capture.
fn replayed(path: &Path, at: Timestamp) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .arg("replay")
        .arg(path)
        .args(["--format", "json", "--at", &at.as_millis().to_string()])
        .output()
        .expect("the program starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{at}: {}", String::from_utf8_lossy(&output.stderr));
    });
    report["verdict"].clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn what_a_live_tick_says_is_what_its_replay_says() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("live.capture");
    // Store 4 dies 246 s into the run; Prometheus is away while it does.
    let run = Run::load("chaos-02");
    let (part, outage) = (run.range(75, 420), run.range(230, 290));
    let news = record(&path, run, part, outage).await;
    let verdicts = live(news);
    let mut compared = 0;
    for (as_of, verdict) in verdicts.iter().step_by(2).filter(|(at, _)| *at > part.start) {
        let live = serde_json::to_value(verdict).expect("a verdict is JSON");
        assert_eq!(live, replayed(&path, *as_of), "at {as_of}: {}", told(verdict));
        compared += 1;
    }
    assert!(compared >= 8, "{compared} of {}", verdicts.len());
    let (_, last) = verdicts.last().expect("something was judged");
    assert_eq!(last.causes[0].mode, "store_crash", "{}", told(last));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_excerpt_holds_what_the_capture_holds_of_its_range() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let run = Run::load("chaos-02");
    let range = run.range(120, 420);
    let reader = CaptureReader::open(&Path::new(DATA).join("chaos-02.capture")).expect("it opens");
    let path = dir.path().join("part.capture");
    let mut writer = CaptureWriter::create(&path, reader.meta().clone()).expect("it can be made");
    copy_range(&reader, range, &mut writer).expect("it can be copied");
    writer.finish().expect("it can be sealed");
    let part = CaptureReader::open(&path).expect("it opens");
    let select = |reader: &CaptureReader| reader.select(&[], range).expect("samples read");
    assert_eq!(select(&part), select(&reader));
    assert!(part.select(&[], TimeRange::new(range.end, Timestamp::MAX)).expect("reads").is_empty());
    let answers = |reader: &CaptureReader| reader.pd_answers(range).expect("answers read");
    assert_eq!(answers(&part), answers(&reader));
}
