//! How fast a capture is opened, read whole, and written tick by tick.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter, Tick};
use operator::model::{EncodedLabels, Sample, Series, TimeRange};

use super::cost::{Cost, timed};

/// The scrape interval of the runs: one tick brings one scrape of every target.
const TICK_MS: i64 = 15_000;
/// Ticks of the longer recording: copies of the run, concatenated until an hour is full.
const HOUR_TICKS: usize = 240;

/// What one tick brings, one thing behind the other as in an answer of Prometheus's.
#[derive(Default)]
struct Scrape {
    /// Encoded label sets.
    labels: Vec<u8>,
    samples: Vec<Sample>,
    /// Where the labels and the samples of each series end.
    ends: Vec<(usize, usize)>,
}

impl Scrape {
    fn push(&mut self, series: &Series, samples: &[Sample]) {
        series.labels.encode(&mut self.labels);
        self.samples.extend_from_slice(samples);
        self.ends.push((self.labels.len(), self.samples.len()));
    }

    /// The samples, so much later.
    fn samples(&self, later_ms: i64) -> Vec<Sample> {
        let later = |sample: &Sample| sample.at.saturating_add_millis(later_ms);
        self.samples.iter().map(|sample| Sample { at: later(sample), ..*sample }).collect()
    }

    /// Each series' labels, and where its samples are.
    fn series(&self) -> impl Iterator<Item = (EncodedLabels<'_>, Range<usize>)> {
        let starts = std::iter::once(&(0, 0)).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(start, end)| (EncodedLabels(&self.labels[start.0..end.0]), start.1..end.1))
    }
}

/// Prints a line for every capture in `folder`.
pub fn run(folder: &Path) -> Result<()> {
    println!(
        "{:<17} {:>8} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8}",
        "", "", "open", "scan", "select", "read", "1st tick", "run", "hour"
    );
    println!(
        "{:<17} {:>8} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8}",
        "capture", "samples", "ms", "ms", "ms", "M/s", "ms", "M/s", "M/s"
    );
    for path in testkit::capture_server::captures_in(folder)? {
        line(&path)?;
    }
    println!(
        "\nTimes are of one core, as the process uses it; the second line has the wall's clock.\n\
         read: opening, and scanning every sample. 1st tick: all series are new.\n\
         run, hour: durable ticks, sealing, closing; an hour is copies of the run, concatenated."
    );
    Ok(())
}

fn line(path: &Path) -> Result<()> {
    let (reader, opened) = timed(|| Ok(CaptureReader::open(path)?))?;
    let (samples, scanned) = timed(|| {
        let (mut samples, mut bits) = (0_u64, 0_u64);
        reader.scan(&[], TimeRange::ALL, |run| {
            for sample in run.samples() {
                samples += 1;
                bits ^= sample.value.to_bits();
            }
        })?;
        std::hint::black_box(bits);
        Ok(samples)
    })?;
    let (series, selected) = timed(|| Ok(reader.select(&[], TimeRange::ALL)?))?;
    let ticks = ticks(&series);
    drop(series);
    let run = write(&reader, &ticks, ticks.len())?;
    let hour = write(&reader, &ticks, HOUR_TICKS)?;
    let names = [path.file_name().unwrap_or_default().to_string_lossy(), "  by the wall".into()];
    for (name, clock) in names.iter().zip([Cost::cpu_ms, Cost::wall_ms]) {
        println!(
            "{:<17} {:>8} {:>7.1} {:>7.1} {:>7.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            name,
            samples,
            clock(&opened),
            clock(&scanned),
            clock(&selected),
            samples as f64 / 1e3 / (clock(&opened) + clock(&scanned)),
            clock(&run.first),
            run.samples as f64 / 1e3 / clock(&run.whole),
            hour.samples as f64 / 1e3 / clock(&hour.whole),
        );
    }
    Ok(())
}

fn ticks(series: &[Series]) -> Vec<Scrape> {
    let mut ticks: BTreeMap<i64, Scrape> = BTreeMap::new();
    for series in series {
        let slot = |sample: &Sample| sample.at.as_millis() / TICK_MS;
        for samples in series.samples.chunk_by(|a, b| slot(a) == slot(b)) {
            ticks.entry(slot(&samples[0])).or_default().push(series, samples);
        }
    }
    ticks.into_values().collect()
}

struct Written {
    samples: u64,
    first: Cost,
    whole: Cost,
}

/// Writes `count` ticks durably and finishes the capture, series and labels included. Past the
/// run's own ticks it begins again, later.
fn write(reader: &CaptureReader, ticks: &[Scrape], count: usize) -> Result<Written> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("written.capture");
    let mut writer = CaptureWriter::create(&path, reader.meta().clone())?;
    let (mut first, mut whole) = (Cost::default(), Cost::default());
    for number in 0..count {
        let later_ms = (number / ticks.len() * ticks.len()) as i64 * TICK_MS;
        let scrape = &ticks[number % ticks.len()];
        let samples = scrape.samples(later_ms);
        let ((), cost) = timed(|| {
            let mut tick = Tick::default();
            for (labels, own) in scrape.series() {
                tick.samples.push(writer.index(), labels, &samples[own])?;
            }
            writer.commit(tick)?;
            Ok(())
        })?;
        whole += cost;
        if number == 0 {
            first = cost;
        }
    }
    let samples = writer.samples();
    let ((), closing) = timed(|| Ok(writer.finish()?))?;
    whole += closing;
    Ok(Written { samples, first, whole })
}
