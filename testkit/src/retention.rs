//! A long recording in segments, faster than real time: how much memory and how many files it holds while
//! segments come and go, and whether every sample of the source is in one of them.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use operator::capture::{CaptureReader, CaptureWriter, verify};
use operator::model::{Labels, RunName, TimeRange, Timestamp};
use operator::pd::{Member, PdCadence, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::record::{
    self, Copier, DropReason, Progress, Recording, Retention, Segment, SegmentChange,
    SegmentListener, Segments, Stop,
};
use operator::source::{Addresses, Discovered, PdClient};
use operator::source::{HttpOptions, PrometheusClient, ReadMode, Selector};

use crate::capture_server::{CaptureServer, LoopedCapture};
use crate::clock::{FasterClock, ServerClock};

const HOUR_MS: i64 = 3_600_000;
/// From one scrape of the source to the next.
const STEP_MS: i64 = 15_000;
/// How late a sample may show, a copy come, and a slice end.
const LATE_MS: i64 = 120_000;

/// What is recorded, how fast and how much of it is kept.
pub struct LongRecording {
    /// A capture whose content the source serves over and over.
    pub capture: PathBuf,
    /// How many series of it are served.
    pub series: usize,
    /// How many hours are recorded, by the faster clock.
    pub hours: i64,
    /// How many seconds of the faster clock pass in one second at most.
    pub speed: u32,
    /// How many hours are kept before segments are removed.
    pub keep_hours: i64,
}

/// What the recorder held when a segment began.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Resident memory, in megabytes.
    pub memory_mb: f64,
    /// Open files of the process.
    pub files: usize,
    /// Captures in the folder.
    pub captures: usize,
}

/// What a recording held, and what was found in its segments.
#[derive(Debug, Default)]
pub struct Tally {
    /// One for each segment.
    pub held: Vec<Held>,
    /// Segments that were sealed.
    pub sealed: usize,
    /// Segments that were removed for their age.
    pub dropped: usize,
    /// Samples that were looked for in sealed segments.
    pub samples: u64,
    /// Those of them that were there.
    pub found: u64,
    /// The longest time between the end of one segment and the beginning of the next; below zero
    /// where they overlap.
    pub apart_ms: i64,
}

impl Tally {
    /// The growth of memory, as a share, and of files from the first third to the end.
    pub fn growth(&self) -> (f64, i64) {
        let early = &self.held[..self.held.len().div_ceil(3)];
        let late = &self.held[self.held.len() - self.held.len().div_ceil(3)..];
        let memory = |held: &[Held]| held.iter().map(|one| one.memory_mb).fold(0.0, f64::max);
        let files = |held: &[Held]| held.iter().map(|one| one.files).max().unwrap_or_default();
        let grown = memory(late) / memory(early).max(1.0) - 1.0;
        (grown, files(late) as i64 - files(early) as i64)
    }
}

/// Records, and looks at each segment once it is sealed.
pub async fn run(retained: &LongRecording, from: Timestamp) -> Result<Tally> {
    let clock = FasterClock::start(from, retained.speed);
    let epoch = from.saturating_add_millis(-HOUR_MS);
    let looped = LoopedCapture::load(&retained.capture, retained.series, epoch, STEP_MS)?;
    let looped = Arc::new(looped);
    let server = CaptureServer::start(Arc::clone(&looped), ServerClock::Faster(clock)).await?;
    let directory = tempfile::tempdir()?;
    let tally = Arc::new(Mutex::new(Tally { apart_ms: i64::MIN, ..Tally::default() }));
    let (sealed, inbox) = mpsc::channel();
    let checker = check_apart(looped, Arc::clone(&tally), inbox);
    let retention = Retention {
        keep_ms: Some(retained.keep_hours * HOUR_MS),
        max_bytes: None,
        past_ms: HOUR_MS,
    };
    let run = RunName::new("retained")?;
    let segment = Segment::new(directory.path(), &run, from)?;
    let meta = serde_json::json!({"run": segment.name, "subject": "tikv", "created": 0});
    let writer = CaptureWriter::create(&segment.path, serde_json::from_value(meta)?)?;
    let listener = listener(directory.path(), Arc::clone(&tally), sealed);
    let segments =
        Segments::new(directory.path(), run, retention, segment, Arc::default(), listener);
    let recording = recording(&server, segments, from)?;
    let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
    let ended = async {
        clock.reach(from.saturating_add_millis(retained.hours * HOUR_MS)).await;
        stop.send_replace(Stop::AfterTick);
    };
    let mut progress = |progress: &Progress| clock.note_commit(progress);
    let recorded = record::run(recording, writer, clock, stopped, &mut progress);
    tokio::join!(recorded, ended).0?;
    checker.join().expect("the checker does not panic")?;
    let tally = Arc::into_inner(tally).context("the recording has ended")?;
    Ok(tally.into_inner().expect("nobody panicked"))
}

fn recording(server: &CaptureServer, segments: Segments, from: Timestamp) -> Result<Recording> {
    let options = HttpOptions::default();
    let client = PrometheusClient::new(&server.prometheus, &options)?;
    let selectors = vec![Selector::parse("{__name__=~'.+'}")?];
    let member = Member { name: "pd0".to_owned(), url: server.pd.clone() };
    let found = Discovered { members: vec![member], addresses: Addresses::Advertised };
    let schedule = PdSchedule::new(PdCadence::default(), from);
    Ok(Recording {
        copier: Some(Copier::new(client, ReadMode::RemoteReadSamples, selectors)),
        pd: Some(PdSampler::new(PdClient::new(&options)?, found, schedule)),
        scraper: None,
        settings: None,
        answers: None,
        pd_interval: Duration::from_secs(5),
        prometheus_interval: Duration::from_secs(15),
        prometheus_offset_ms: 0,
        until: None,
        feed: None,
        succession: Some(Box::new(segments)),
    })
}

fn listener(
    directory: &Path,
    tally: Arc<Mutex<Tally>>,
    sealed: mpsc::Sender<PathBuf>,
) -> SegmentListener {
    let directory = directory.to_owned();
    Box::new(move |change| {
        let mut tally = tally.lock().expect("nobody panicked");
        match change {
            SegmentChange::Began { .. } => tally.held.push(held(&directory)),
            SegmentChange::Sealed { path, .. } => {
                tally.sealed += 1;
                // Where the checker has failed, its error says more than this one.
                let _ = sealed.send(path.clone());
            }
            SegmentChange::Dropped { why, .. } => {
                tally.dropped += usize::from(*why == DropReason::Age);
            }
        }
    })
}

fn held(directory: &Path) -> Held {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_capture =
        |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|one| one == "capture");
    Held {
        memory_mb: kib.unwrap_or_default() / 1e3,
        files: entries(Path::new("/proc/self/fd")).count(),
        captures: entries(directory).filter(is_capture).count(),
    }
}

/// Looks at segments on a thread of its own, so that the recorder does not wait for it.
fn check_apart(
    looped: Arc<LoopedCapture>,
    tally: Arc<Mutex<Tally>>,
    sealed: mpsc::Receiver<PathBuf>,
) -> JoinHandle<Result<()>> {
    std::thread::spawn(move || {
        let mut before: Option<TimeRange> = None;
        for path in sealed {
            let (window, samples, found) = check(&looped, &path)?;
            let mut tally = tally.lock().expect("nobody panicked");
            tally.samples += samples;
            tally.found += found;
            if let Some(before) = before {
                tally.apart_ms = tally.apart_ms.max(window.start - before.end);
            }
            before = Some(window);
        }
        Ok(())
    })
}

/// The window of a segment without what may have come too late for it, how many samples the source
/// has there, and how many of them are in the file.
fn check(looped: &LoopedCapture, path: &Path) -> Result<(TimeRange, u64, u64)> {
    ensure!(verify(path)?.damage.is_empty(), "{} is damaged", path.display());
    let reader = CaptureReader::open(path)?;
    let window = reader.window();
    let window = TimeRange::new(window.start + LATE_MS, window.end + -LATE_MS);
    let (mut samples, mut found) = (0, 0);
    let held = reader.select(&[], window)?;
    let place = |labels: &Labels| held.binary_search_by(|one| one.labels.cmp(labels)).ok();
    for (number, labels) in looped.labels().enumerate() {
        let theirs = looped.samples(number, window);
        samples += theirs.len() as u64;
        let ours = place(labels).map(|place| &held[place].samples[..]).unwrap_or_default();
        let same = |sample: &&operator::model::Sample| {
            let at = ours.binary_search_by(|one| one.at.cmp(&sample.at));
            at.is_ok_and(|at| ours[at].value.to_bits() == sample.value.to_bits())
        };
        found += theirs.iter().filter(same).count() as u64;
    }
    Ok((window, samples, found))
}
