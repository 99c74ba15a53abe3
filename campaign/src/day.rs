//! What a synthetic day of a large cluster needs, made of one run repeated: bytes, memory, and the time to the
//! first answer.

use std::path::{Path, PathBuf};

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter, Tick, compact};
use operator::model::{EncodedLabels, LabelMatcher, PdAnswer, PdOutcome, TimeRange, Timestamp};

use super::cost::{peak_memory_mb, timed};
use super::enlarged::{Enlarged, STEP_MS};
use super::{formats, parquet, victoria};

/// How long and how large.
pub struct Day {
    /// The run that all is made of.
    pub capture: PathBuf,
    /// How often it stands side by side.
    pub copies: usize,
    /// How long it is recorded.
    pub hours: u32,
    /// Up to which length other formats are given the same samples.
    pub peers: u32,
    /// Where the capture is left; nowhere without.
    pub keep: Option<PathBuf>,
}

/// What else holds the same samples, in bytes a sample.
const PEERS: [&str; 4] = ["compact", "parquet", "text.zst", "victoria"];

/// Writes it tick by tick and prints a line for every doubling of its length.
pub async fn run(day: &Day) -> Result<()> {
    let source = Enlarged::load(&day.capture, day.copies)?;
    let mut answers = Answers::load(&day.capture)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("day.capture");
    let meta = CaptureReader::open(&day.capture)?.meta().clone();
    println!("{} series, a tick every {} s", source.len(), STEP_MS / 1000);
    print!("{:>8} {:>12} {:>9} {:>9} {:>7}", "minutes", "samples", "MB", "B/sample", "M/s");
    PEERS.iter().filter(|_| day.peers > 0).for_each(|peer| print!(" {peer:>9}"));
    println!();
    let ticks = (i64::from(day.hours) * 3_600_000 / STEP_MS) as usize;
    let mut writer = CaptureWriter::create(&path, meta)?;
    let mut written = super::cost::Cost::default();
    let mut next_line = 40;
    for number in 0..ticks {
        let scrape: Vec<_> = (0..source.len())
            .filter_map(|series| Some((source.encoded(series), source.sample(series, number)?)))
            .collect();
        let (stats, cost) = timed(|| {
            let until = answers.start.saturating_add_millis((number as i64 + 1) * STEP_MS);
            let mut tick = Tick { pd: answers.take(until), ..Tick::default() };
            for (labels, sample) in &scrape {
                tick.samples.push(writer.index(), EncodedLabels(labels), &[*sample])?;
            }
            Ok(writer.commit(tick)?)
        })?;
        written += cost;
        if number + 1 == next_line || number + 1 == ticks {
            next_line *= 2;
            let samples = writer.samples() as f64;
            let minutes = (number + 1) as i64 * STEP_MS / 60_000;
            print!(
                "{minutes:>8} {samples:>12} {:>9.2} {:>9.4} {:>7.1}",
                stats.file_bytes as f64 / 1e6,
                stats.file_bytes as f64 / samples,
                samples / 1e3 / written.cpu_ms(),
            );
            if minutes <= i64::from(day.peers) * 60 {
                for bytes in peers(&path).await? {
                    print!(" {:>9.4}", bytes as f64 / samples);
                }
            }
            println!();
        }
    }
    let samples = writer.samples() as f64;
    writer.finish()?;
    tell_end(day, &path, samples)
}

/// Prints what the finished capture takes, compacted too, and how soon it answers; keeps it where that is
/// asked for.
fn tell_end(day: &Day, path: &Path, samples: f64) -> Result<()> {
    let compacted = path.with_file_name("compact.capture");
    let line = |name: &str, path: &Path| -> Result<()> {
        let bytes = std::fs::metadata(path)?.len() as f64;
        println!("{name:<10} {:>10.2} MB  {:.4} B/sample", bytes / 1e6, bytes / samples);
        Ok(())
    };
    line("finished", path)?;
    if day.peers == 0 {
        println!("peak memory while writing: {:.0} MB", peak_memory_mb("self")?);
    }
    let ((), cost) = timed(|| Ok(compact(path, &compacted)?))?;
    line("compacted", &compacted)?;
    println!(
        "compacting took {:.1} s; peak memory so far {:.0} MB",
        cost.cpu_ms() / 1e3,
        peak_memory_mb("self")?
    );
    let (series, cost) = timed(|| {
        let reader = CaptureReader::open(&compacted)?;
        Ok(reader.select(&[LabelMatcher::equal("__name__", "up")], TimeRange::ALL)?.len())
    })?;
    println!("open to the first answer (all of up, {series} series): {:.1} ms", cost.cpu_ms());
    if let Some(keep) = &day.keep {
        std::fs::copy(&compacted, keep)?;
        println!("kept as {}: replay it with the built operator", keep.display());
    }
    Ok(())
}

/// Bytes of the same samples in other forms, in the order of [`PEERS`].
async fn peers(capture: &Path) -> Result<[u64; 4]> {
    let scratch = tempfile::tempdir()?;
    let small = scratch.path().join("compact.capture");
    compact(capture, &small)?;
    let series = CaptureReader::open(&small)?.select(&[], TimeRange::ALL)?;
    Ok([
        std::fs::metadata(&small)?.len(),
        parquet::parquet_bytes(&series)?,
        formats::open_metrics_bytes(&series)?,
        victoria::victoria_bytes(&series, scratch.path()).await?,
    ])
}

/// PD's answers of a run, over and over: heartbeats move along, as the samples do.
struct Answers {
    start: Timestamp,
    length_ms: i64,
    run: Vec<PdAnswer>,
    next: usize,
    lap: i64,
}

impl Answers {
    fn load(capture: &Path) -> Result<Self> {
        let reader = CaptureReader::open(capture)?;
        let window = reader.window();
        let mut run = reader.pd_answers(window)?;
        run.sort_by_key(|answer| answer.sent);
        let length_ms = (window.millis() / STEP_MS + 1) * STEP_MS;
        Ok(Self { start: window.start, length_ms, run, next: 0, lap: 0 })
    }

    /// Those sent before `until` that were not taken yet.
    fn take(&mut self, until: Timestamp) -> Vec<PdAnswer> {
        let mut taken = Vec::new();
        while let Some(answer) = self.run.get(self.next) {
            let moved_ms = self.length_ms * self.lap;
            if answer.sent.saturating_add_millis(moved_ms) >= until {
                return taken;
            }
            taken.push(later(answer, moved_ms));
            self.next += 1;
            if self.next == self.run.len() {
                (self.next, self.lap) = (0, self.lap + 1);
            }
        }
        taken
    }
}

fn later(answer: &PdAnswer, by_ms: i64) -> PdAnswer {
    let mut answer = answer.clone();
    answer.sent = answer.sent.saturating_add_millis(by_ms);
    if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome
        && answer.path.contains("/stores?")
        && let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(body)
    {
        for store in value["stores"].as_array_mut().into_iter().flatten() {
            if let Some(beat) = store["store"]["last_heartbeat"].as_i64() {
                store["store"]["last_heartbeat"] = (beat + by_ms * 1_000_000).into();
            }
        }
        *body = value.to_string().into_bytes().into();
    }
    answer
}
