//! How fast a capture is read whole, and written tick by tick.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter, Tick};
use operator::model::{EncodedLabels, Sample, Series, TimeRange};

/// The scrape interval of the runs: one tick brings one scrape of every target.
const TICK_MS: i64 = 15_000;

/// A tick's series: encoded labels and samples.
type Scrape<'a> = Vec<(&'a [u8], Vec<Sample>)>;

/// Prints a line for every capture in `folder`.
pub fn run(folder: &Path) -> Result<()> {
    println!(
        "{:<18} {:>9} {:>7} {:>9} {:>9} {:>11} {:>11}",
        "capture", "samples", "ticks", "open ms", "read ms", "read M/s", "write M/s"
    );
    for path in crate::stand::captures_in(folder)? {
        line(&path)?;
    }
    Ok(())
}

fn line(path: &Path) -> Result<()> {
    let begun = now();
    let reader = CaptureReader::open(path)?;
    let opened = begun.elapsed();
    let begun = now();
    let series = reader.select(&[], TimeRange::ALL)?;
    let read = begun.elapsed();
    let samples: usize = series.iter().map(|series| series.samples.len()).sum();
    let encoded: Vec<Vec<u8>> = series.iter().map(encode).collect();
    let ticks = ticks(&series, &encoded);
    let written = write(&reader, &ticks)?;
    let millions = |time: Duration| samples as f64 / 1e6 / (time.as_secs_f64());
    println!(
        "{:<18} {:>9} {:>7} {:>9.1} {:>9.1} {:>11.1} {:>11.1}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        samples,
        ticks.len(),
        opened.as_secs_f64() * 1e3,
        read.as_secs_f64() * 1e3,
        millions(opened + read),
        millions(written),
    );
    Ok(())
}

fn encode(series: &Series) -> Vec<u8> {
    let mut bytes = Vec::new();
    series.labels.encode(&mut bytes);
    bytes
}

fn ticks<'a>(series: &[Series], encoded: &'a [Vec<u8>]) -> Vec<Scrape<'a>> {
    let mut ticks: BTreeMap<i64, Scrape<'a>> = BTreeMap::new();
    for (series, labels) in series.iter().zip(encoded) {
        let slot = |sample: &Sample| sample.at.as_millis() / TICK_MS;
        for samples in series.samples.chunk_by(|a, b| slot(a) == slot(b)) {
            ticks.entry(slot(&samples[0])).or_default().push((labels, samples.to_vec()));
        }
    }
    ticks.into_values().collect()
}

/// Writes every tick durably and finishes the capture, series and labels included.
fn write(reader: &CaptureReader, ticks: &[Scrape<'_>]) -> Result<Duration> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("written.capture");
    let begun = now();
    let mut writer = CaptureWriter::create(&path, reader.meta().clone())?;
    for scrape in ticks {
        let mut tick = Tick::default();
        for (labels, samples) in scrape {
            tick.samples.push(writer.index(), EncodedLabels(labels), samples)?;
        }
        writer.commit(tick)?;
    }
    writer.finish()?;
    Ok(begun.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
