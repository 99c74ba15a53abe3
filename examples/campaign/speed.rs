//! How fast a capture is opened, read whole, and written tick by tick.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter, Tick};
use operator::model::{EncodedLabels, Sample, Series, TimeRange};

use super::cost::{Cost, timed};

/// The scrape interval of the runs: one tick brings one scrape of every target.
const TICK_MS: i64 = 15_000;
/// Ticks of the longer recording: the run is laid end to end until an hour is full.
const HOUR_TICKS: usize = 240;

/// A tick's series: encoded labels and samples.
type Scrape<'a> = Vec<(&'a [u8], Vec<Sample>)>;

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
    for path in crate::stand::captures_in(folder)? {
        line(&path)?;
    }
    println!(
        "\nTimes are of one core, as the process uses it; the second line has the wall's clock.\n\
         read: opening, and scanning every sample. 1st tick: all series are new.\n\
         run, hour: durable ticks, sealing, closing; an hour is the run laid end to end."
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
    let encoded: Vec<Vec<u8>> = series.iter().map(encode).collect();
    let ticks = ticks(&series, &encoded);
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

struct Written {
    samples: u64,
    first: Cost,
    whole: Cost,
}

/// Writes `count` ticks durably and finishes the capture, series and labels included. Past the
/// run's own ticks it begins again, later.
fn write(reader: &CaptureReader, ticks: &[Scrape<'_>], count: usize) -> Result<Written> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("written.capture");
    let mut writer = CaptureWriter::create(&path, reader.meta().clone())?;
    let (mut first, mut whole) = (Cost::default(), Cost::default());
    for number in 0..count {
        let later_ms = (number / ticks.len() * ticks.len()) as i64 * TICK_MS;
        let mut scrape = ticks[number % ticks.len()].clone();
        for sample in scrape.iter_mut().flat_map(|(_, samples)| samples) {
            sample.at = sample.at.saturating_add_millis(later_ms);
        }
        let ((), cost) = timed(|| {
            let mut tick = Tick::default();
            for (labels, samples) in &scrape {
                tick.samples.push(writer.index(), EncodedLabels(labels), samples)?;
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
