//! What a disk may hold after the power failed in the middle of a commit or of a checkpoint.
//!
//! Storage is not faked underneath SQLite; its files are. A commit writes to the log and then
//! syncs it; a checkpoint, which follows some commits, writes to the database and then syncs it.
//! Between two syncs any sector may have reached the disk or not, so an image takes each sector
//! of the file being written from before or from after at random, one of them torn in the
//! middle. An image must open as it was before the commit or after it, whole.
//!
//! What this cannot show: a disk that loses what it confirmed, and SQLite's rollback journal,
//! which rewrites the file once when a recording ends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use operator::capture::{CaptureReader, CaptureWriter, Tick, verify};
use operator::model::{
    EncodedLabels, PdAnswer, PdOutcome, RunMeta, RunName, TimeRange, Timestamp, Versions,
};

use crate::capture_server::LoopedCapture;

const SECTOR: usize = 512;
/// The header of a write-ahead log, which SQLite syncs before any frame follows.
const LOG_HEADER: usize = 32;
const SERIES: usize = 200;
/// A PD answer of every tick, of random bytes, so that the log soon is long enough to be
/// checkpointed.
const ANSWER_BYTES: usize = 24 << 10;
/// Ticks of one capture: past the first seal.
const TICKS: i64 = 260;
/// Images of each checkpoint; of commits, one in so many is examined.
const IMAGES_A_CHECKPOINT: u32 = 12;
const COMMITS_AN_IMAGE: u32 = 3;
/// One image in so many is recorded further.
const IMAGES_A_RESUME: u32 = 12;
const STEP_MS: i64 = 15_000;

/// What a campaign examined.
#[derive(Debug, Default)]
pub struct Tally {
    /// Images of a log in the middle of a commit.
    pub torn_logs: u32,
    /// Images of a database in the middle of a checkpoint.
    pub torn_checkpoints: u32,
    /// Images that held the commit that was under way.
    pub with_the_last_tick: u32,
    /// Commits of all captures.
    pub ticks: u32,
    /// Commits that sealed the journal.
    pub seals: u32,
    /// Samples in all captures at their end.
    pub samples: u64,
}

/// Both files as they stand after a sync.
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn read(capture: &Path) -> Result<Self> {
        let log = std::fs::read(log_of(capture)).unwrap_or_default();
        Ok(Self { database: std::fs::read(capture)?, log })
    }
}

fn log_of(capture: &Path) -> PathBuf {
    let mut name = capture.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Samples and PD answers of a capture.
type Counts = (u64, usize);

/// Records a capture's content tick by tick and examines `times` images.
pub fn run(capture: &Path, times: u32, seed: u64) -> Result<Tally> {
    let epoch = Timestamp::from_millis(1_795_537_000_000);
    let supply = LoopedCapture::load(capture, SERIES, epoch, STEP_MS)?;
    let mut random = Rng::with_seed(seed);
    let mut tally = Tally::default();
    while tally.torn_logs + tally.torn_checkpoints < times {
        record(&supply, epoch, times, &mut random, &mut tally)?;
    }
    Ok(tally)
}

/// Records one capture, with an image or two of every tick.
fn record(
    supply: &LoopedCapture,
    epoch: Timestamp,
    times: u32,
    random: &mut Rng,
    tally: &mut Tally,
) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("recorded.capture");
    let image = scratch.path().join("image.capture");
    let mut writer = CaptureWriter::create(&path, meta(epoch)?)?;
    let (mut before, mut counts) = (Files::read(&path)?, (0, 0));
    for number in 0..TICKS {
        if tally.torn_logs + tally.torn_checkpoints >= times {
            break;
        }
        let tick = tick(supply, &mut writer, epoch + number * STEP_MS, random)?;
        let committed = writer.commit(tick)?;
        tally.seals += u32::from(committed.sealed);
        tally.ticks += 1;
        let after = Files::read(&path)?;
        let next = (counts.0 + committed.samples as u64, counts.1 + committed.pd_answers);
        if random.u32(..COMMITS_AN_IMAGE) == 0 {
            let log = torn(&log_with_header(&before.log, &after.log), &after.log, random);
            let held = examine(&image, &before.database, &log, random)
                .with_context(|| format!("tick {number}"))?;
            ensure!(held == counts || held == next, "{held:?} of {counts:?} or {next:?}");
            tally.torn_logs += 1;
            tally.with_the_last_tick += u32::from(held == next);
        }
        if before.database != after.database {
            for _ in 0..IMAGES_A_CHECKPOINT {
                let database = torn(&before.database, &after.database, random);
                let held = examine(&image, &database, &after.log, random)
                    .with_context(|| format!("the checkpoint of tick {number}"))?;
                ensure!(held == next, "{held:?} of {next:?} in the middle of a checkpoint");
                tally.torn_checkpoints += 1;
            }
        }
        (before, counts) = (after, next);
    }
    tally.samples += counts.0;
    Ok(())
}

fn meta(created: Timestamp) -> Result<RunMeta> {
    Ok(RunMeta {
        run: RunName::new("power")?,
        subject: "tikv".to_owned(),
        created,
        cluster_id: None,
        endpoints: Default::default(),
        versions: Versions::default(),
        selectors: vec![],
        copied_by: vec![],
        clock_offsets: vec![],
        told: Default::default(),
        begins: None,
        export: None,
        lost: None,
    })
}

fn tick(
    supply: &LoopedCapture,
    writer: &mut CaptureWriter,
    start: Timestamp,
    random: &mut Rng,
) -> Result<Tick> {
    let range = TimeRange::new(start, start + STEP_MS);
    let mut tick = Tick { copied_through: Some(range.end), ..Tick::default() };
    let mut encoded = Vec::new();
    for (series, labels) in supply.labels().enumerate() {
        encoded.clear();
        labels.encode(&mut encoded);
        let samples = supply.samples(series, range);
        tick.samples.push(writer.index(), EncodedLabels(&encoded), &samples)?;
    }
    let mut body = vec![0; ANSWER_BYTES];
    random.fill(&mut body);
    tick.pd.push(PdAnswer {
        sent: start,
        member: "pd0".to_owned(),
        url: "http://pd0:2379".to_owned(),
        path: "/pd/api/v1/status".to_owned(),
        elapsed_us: 900,
        outcome: PdOutcome::Answered { status: 200, body: body.into() },
    });
    Ok(tick)
}

/// The log as it stands before the first frame of a commit: SQLite syncs a new header first.
fn log_with_header(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut log = before.to_vec();
    if let Some(header) = after.get(..LOG_HEADER) {
        log.resize(log.len().max(LOG_HEADER), 0);
        log[..LOG_HEADER].copy_from_slice(header);
    }
    log
}

/// Each sector from before or from after. What lies past the end of `before` and did not arrive
/// reads as zeros, or the file ends early.
fn torn(before: &[u8], after: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut image = before.to_vec();
    image.resize(before.len().max(after.len()), 0);
    let differing: Vec<usize> = (0..after.len())
        .step_by(SECTOR)
        .filter(|&at| {
            let end = (at + SECTOR).min(after.len());
            image[at..end] != after[at..end]
        })
        .collect();
    // From nearly nothing to nearly everything, and sometimes in order.
    let share = random.f64();
    let in_order = random.bool();
    let tear = random.usize(..differing.len().max(1));
    for (number, &at) in differing.iter().enumerate() {
        let arrives = if in_order {
            (number as f64) < share * differing.len() as f64
        } else {
            random.f64() < share
        };
        let mut end = (at + SECTOR).min(after.len());
        if number == tear {
            end = random.usize(at..end);
        }
        if arrives {
            image[at..end].copy_from_slice(&after[at..end]);
        }
    }
    if in_order && before.len() < after.len() && random.bool() {
        image.truncate(random.usize(before.len()..after.len()));
    }
    image
}

/// Opens an image as a reader, and some as a recorder that goes on.
fn examine(path: &Path, database: &[u8], log: &[u8], random: &mut Rng) -> Result<Counts> {
    std::fs::write(path, database)?;
    std::fs::write(log_of(path), log)?;
    let report = verify(path).context("the image does not open")?;
    ensure!(report.damage.is_empty(), "damaged: {:?}", report.damage);
    let reader = CaptureReader::open(path)?;
    let counts = (reader.inventory()?.samples, reader.pd_answers(TimeRange::ALL)?.len());
    drop(reader);
    if random.u32(..IMAGES_A_RESUME) == 0 {
        CaptureWriter::resume(path).and_then(CaptureWriter::finish).context("cannot go on")?;
        let report = verify(path)?;
        ensure!(report.damage.is_empty(), "damaged by going on: {:?}", report.damage);
    }
    std::fs::remove_file(path)?;
    Ok(counts)
}
