//! A cluster of any size over any time, made of one run: the run end to end, its counters
//! continued, and copies of it side by side under other addresses.

use std::path::Path;

use anyhow::{Context, Result};
use operator::capture::CaptureReader;
use operator::model::{Labels, STALE_NAN_BITS, Sample, Series, TimeRange, Timestamp};

/// The scrape interval of the runs.
pub const STEP_MS: i64 = 15_000;
/// Each copy begins this many scrapes further into the run, so that no two are in step.
const COPY_OFFSET: usize = 7;

/// One series of the run, by scrape number.
struct Recorded {
    bits: Vec<Option<u64>>,
    /// How far into each step its target is scraped.
    phase_ms: i64,
    /// What a lap of the run adds to a counter; 0 for a gauge.
    lap: f64,
}

/// A run and how often it stands side by side.
pub struct Enlarged {
    recorded: Vec<Recorded>,
    labels: Vec<Labels>,
    encoded: Vec<Vec<u8>>,
    scrapes: usize,
    start: Timestamp,
}

impl Enlarged {
    /// Every series of a capture, `copies` times.
    pub fn load(capture: &Path, copies: usize) -> Result<Self> {
        let reader = CaptureReader::open(capture)?;
        let window = reader.window();
        let scrapes = (window.millis() / STEP_MS + 1) as usize;
        let all = reader.select(&[], TimeRange::ALL)?;
        let own: Vec<&Labels> = all.iter().map(|series| &series.labels).collect();
        let labels: Vec<Labels> =
            (0..copies).flat_map(|copy| own.iter().map(move |own| elsewhere(own, copy))).collect();
        let recorded = all
            .iter()
            .map(|series| recorded(series, window.start, scrapes))
            .collect::<Option<Vec<_>>>()
            .context("a sample lies outside its capture's window")?;
        let encoded = labels.iter().map(encode).collect();
        Ok(Self { recorded, labels, encoded, scrapes, start: window.start })
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels of a series.
    pub fn labels(&self, series: usize) -> &Labels {
        &self.labels[series]
    }

    /// The labels of a series in the remote-read encoding.
    pub fn encoded(&self, series: usize) -> &[u8] {
        &self.encoded[series]
    }

    /// What scrape `number` finds of a series.
    pub fn sample(&self, series: usize, number: usize) -> Option<Sample> {
        let (copy, own) = (series / self.recorded.len(), series % self.recorded.len());
        let Recorded { bits, phase_ms, lap } = &self.recorded[own];
        let scrape = number + copy * COPY_OFFSET;
        let bits = bits[scrape % self.scrapes]?;
        let value = match bits {
            STALE_NAN_BITS => f64::from_bits(bits),
            _ => (f64::from_bits(bits) + lap * (scrape / self.scrapes) as f64) * (copy + 1) as f64,
        };
        let at = self.start.saturating_add_millis(number as i64 * STEP_MS + phase_ms);
        Some(Sample { at, value })
    }
}

fn recorded(series: &Series, start: Timestamp, scrapes: usize) -> Option<Recorded> {
    let mut bits = vec![None; scrapes];
    for sample in &series.samples {
        let scrape = usize::try_from((sample.at - start) / STEP_MS).ok()?;
        *bits.get_mut(scrape)? = Some(sample.value.to_bits());
    }
    let phase_ms = (series.samples.first()?.at - start) % STEP_MS;
    let numbers = || series.samples.iter().filter(|sample| !sample.value.is_nan());
    let grows = numbers().is_sorted_by_key(|sample| sample.value);
    let lap = match (numbers().next(), numbers().next_back()) {
        (Some(first), Some(last)) if grows && first.at < last.at => {
            // At its mean rate, between the last scrape of a lap and the first of the next, too.
            let laps = scrapes as f64 * STEP_MS as f64 / (last.at - first.at) as f64;
            let grown = (last.value - first.value) * laps;
            if last.value.fract() == 0.0 { grown.round() } else { grown }
        }
        _ => 0.0,
    };
    Some(Recorded { bits, phase_ms, lap })
}

/// The labels of a copy: each address of the run's network moves to one of its own.
fn elsewhere(labels: &Labels, copy: usize) -> Labels {
    let moved = |value: &str| value.replace("10.77.", &format!("10.{}.", 77 + copy));
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), moved(value)));
    Labels::new(pairs.collect()).expect("names stay as they are")
}

fn encode(labels: &Labels) -> Vec<u8> {
    let mut bytes = Vec::new();
    labels.encode(&mut bytes);
    bytes
}
