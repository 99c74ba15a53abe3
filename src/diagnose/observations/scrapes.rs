//! When each target was scraped and whether that succeeded, and which samples are unreadable.
//!
//! What the scrapes brought stands in `series_table`.

use std::collections::BTreeMap;

use crate::model::{Observed, Series, Stretches, TimeRange, Timestamp, Unreadable, is_stale};

/// One scrape of a target, after `up`; where that is missing, after its other series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// When.
    pub at: Timestamp,
    /// Whether it succeeded.
    pub up: bool,
}

/// When samples were recorded that cannot be read any more.
#[derive(Clone, Debug, Default)]
pub struct UnreadableSamples {
    /// Those of a target, by instance.
    of: BTreeMap<String, Stretches>,
    /// Those of nobody knows which.
    of_anything: Stretches,
}

impl UnreadableSamples {
    pub fn new(parts: &[Unreadable]) -> Self {
        let mut of: BTreeMap<String, Vec<TimeRange>> = BTreeMap::new();
        for part in parts {
            if let Observed::Target(key) = &part.of {
                of.entry(key.instance.clone()).or_default().push(part.range);
            }
        }
        let of_anything = parts.iter().filter(|part| part.of == Observed::Anything);
        Self {
            of: of
                .into_iter()
                .map(|(instance, all)| (instance, all.into_iter().collect()))
                .collect(),
            of_anything: of_anything.map(|part| part.range).collect(),
        }
    }

    pub fn overlap(&self, instance: &str, range: TimeRange) -> bool {
        self.of_anything.overlap(range)
            || self.of.get(instance).is_some_and(|stretches| stretches.overlap(range))
    }
}

/// Scrapes of a target whose `up` is missing. What Prometheus notes of each scrape it notes of a failed
/// one too, and then nothing else comes with it. Where that is missing as well, the first failed scrape
/// has left a staleness marker in every series.
pub fn scrapes_by_traces<'a>(series: impl Iterator<Item = &'a Series>) -> Vec<Scrape> {
    let (notes, own): (Vec<&Series>, Vec<&Series>) =
        series.partition(|one| one.labels.metric().starts_with("scrape_"));
    let mut came: BTreeMap<Timestamp, bool> = BTreeMap::new();
    for sample in own.iter().flat_map(|one| &one.samples) {
        *came.entry(sample.at).or_default() |= !is_stale(sample.value);
    }
    if !own.is_empty() {
        for sample in notes.iter().flat_map(|one| &one.samples) {
            came.entry(sample.at).or_default();
        }
    }
    came.into_iter().map(|(at, up)| Scrape { at, up }).collect()
}

pub fn interval_ms(scrapes: &BTreeMap<String, Vec<Scrape>>) -> i64 {
    let pairs = scrapes.values().flat_map(|list| list.windows(2));
    let mut steps: Vec<i64> = pairs.map(|pair| pair[1].at - pair[0].at).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(15_000).max(1_000)
}
