//! When each target was scraped and whether that succeeded, and which samples are unreadable.
//!
//! The samples of the scrapes stand in `series_table`.

use std::collections::BTreeMap;

use crate::model::{Observed, Series, Stretches, TimeRange, Timestamp, Unreadable, is_stale};

/// One scrape of a target, by its series `up`, or by its other series where `up` was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// When Prometheus scraped the target.
    pub at: Timestamp,
    /// Whether the scrape succeeded.
    pub up: bool,
}

/// The times of samples that were recorded and cannot be read any more.
#[derive(Clone, Debug, Default)]
pub struct UnreadableSamples {
    /// Times by the `instance` label of the target.
    of: BTreeMap<String, Stretches>,
    /// Times in which samples of an unknown target are unreadable.
    of_anything: Stretches,
}

impl UnreadableSamples {
    /// The times of all unreadable parts that may hold samples.
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

    /// Whether samples of the target may be unreadable in `range`.
    pub fn overlap(&self, instance: &str, range: TimeRange) -> bool {
        self.of_anything.overlap(range)
            || self.of.get(instance).is_some_and(|stretches| stretches.overlap(range))
    }
}

/// The scrapes of a target whose `up` was not recorded, by its other series. Prometheus records
/// `scrape_*` for a failed scrape too, without any other sample. Where those are missing as well, the
/// first failed scrape has left a staleness marker in every series.
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

/// The median distance between two scrapes of a target in milliseconds, at least a second; 15 s
/// where nothing was scraped twice.
pub fn interval_ms(scrapes: &BTreeMap<String, Vec<Scrape>>) -> i64 {
    let pairs = scrapes.values().flat_map(|list| list.windows(2));
    let mut steps: Vec<i64> = pairs.map(|pair| pair[1].at - pair[0].at).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(15_000).max(1_000)
}
