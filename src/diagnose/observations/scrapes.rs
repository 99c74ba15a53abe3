//! When each target was scraped and whether that succeeded, and which samples are unreadable.
//!
//! The samples of the scrapes stand in `series_table`.

use std::collections::BTreeMap;

use crate::model::{
    Observed, Series, Stretches, TargetKey, TimeRange, Timestamp, Unreadable, is_stale,
};

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
    /// Times by the name of the target.
    of: BTreeMap<String, Stretches>,
    /// Times in which samples of an unknown target are unreadable.
    of_anything: Stretches,
}

impl UnreadableSamples {
    /// The times of all unreadable parts that may hold samples. `names` are the targets of a job and an
    /// instance.
    pub fn new(parts: &[Unreadable], names: impl Fn(&TargetKey) -> Vec<String>) -> Self {
        let mut of: BTreeMap<String, Vec<TimeRange>> = BTreeMap::new();
        for part in parts {
            if let Observed::Target(key) = &part.of {
                for name in names(key) {
                    of.entry(name).or_default().push(part.range);
                }
            }
        }
        let of_anything = parts.iter().filter(|part| part.of == Observed::Anything);
        Self {
            of: of.into_iter().map(|(name, all)| (name, all.into_iter().collect())).collect(),
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

/// How far apart the scrapes of a target are, in milliseconds, which may change within a run.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// The median over the whole run.
    typical_ms: i64,
    /// From when on another interval holds, ascending.
    changes: Vec<(Timestamp, i64)>,
}

impl Intervals {
    /// The intervals between scrapes, ascending in time; `None` where there are fewer than two.
    pub fn new(scrapes: &[Scrape]) -> Option<Self> {
        let steps: Vec<i64> = scrapes.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let typical_ms = middle(&steps)?.max(LEAST_INTERVAL_MS);
        let mut changes: Vec<(Timestamp, i64)> = Vec::new();
        for index in 1..scrapes.len() {
            let before = middle(&steps[index.saturating_sub(AROUND)..index]);
            let after = middle(&steps[index - 1..steps.len().min(index - 1 + AROUND)]);
            // A scrape gap leaves the interval before it and after it as they are.
            let agreed = before.zip(after).filter(|(before, after)| is_like(*before, *after));
            let Some((_, here)) = agreed else { continue };
            let known = changes.last().map_or(typical_ms, |(_, known)| *known);
            if !is_like(here, known) {
                let since = scrapes[index.saturating_sub(AROUND)].at;
                changes.push((since, here.max(LEAST_INTERVAL_MS)));
            }
        }
        Some(Self { typical_ms, changes })
    }

    /// The median over the whole run, at least a second.
    pub fn typical_ms(&self) -> i64 {
        self.typical_ms
    }

    /// The interval that holds at an instant.
    pub fn at(&self, instant: Timestamp) -> i64 {
        let by = self.changes.partition_point(|(since, _)| *since <= instant);
        self.changes[..by].last().map_or(self.typical_ms, |(_, interval)| *interval)
    }
}

/// How far apart scrapes usually are, in milliseconds: the median over the targets of these series `up` of the
/// interval of each; 15 s where no target was scraped twice.
pub fn usual_interval_ms<'a>(up: impl Iterator<Item = &'a Series>) -> i64 {
    let scrapes = |one: &Series| -> Vec<Scrape> {
        one.samples.iter().map(|sample| Scrape { at: sample.at, up: sample.value > 0.0 }).collect()
    };
    let of_targets = up.filter_map(|one| Intervals::new(&scrapes(one)));
    let typical: Vec<i64> = of_targets.map(|intervals| intervals.typical_ms()).collect();
    middle(&typical).unwrap_or(15_000)
}

/// No interval is taken to be shorter than this.
const LEAST_INTERVAL_MS: i64 = 1_000;
/// Over how many steps on either side an interval is measured.
const AROUND: usize = 4;

/// Whether two intervals differ by no more than jitter.
fn is_like(a: i64, b: i64) -> bool {
    4 * (a - b).abs() <= a.max(b)
}

/// The upper median; `None` where there is nothing.
fn middle(steps: &[i64]) -> Option<i64> {
    let mut sorted = steps.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrapes(seconds: impl IntoIterator<Item = i64>) -> Vec<Scrape> {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        seconds.into_iter().map(|second| Scrape { at: at(second), up: true }).collect()
    }

    fn at(intervals: &Intervals, second: i64) -> i64 {
        intervals.at(Timestamp::from_millis(second * 1000)) / 1000
    }

    #[test]
    fn an_interval_that_changes_within_a_run_holds_from_then_on() {
        let first = (0..20).map(|step| step * 15);
        let then = (1..10).map(|step| 285 + step * 60);
        let intervals = Intervals::new(&scrapes(first.chain(then))).expect("it was scraped");
        assert_eq!((at(&intervals, 100), at(&intervals, 345), at(&intervals, 800)), (15, 60, 60));
    }

    #[test]
    fn the_usual_interval_is_that_of_most_targets() {
        let up = |every: i64| {
            let sample = |step: i64| crate::model::Sample {
                at: Timestamp::from_millis(step * every * 1000),
                value: 1.0,
            };
            let labels = crate::model::Labels::from_pairs(&[("__name__", "up")]);
            Series { labels, samples: (0..10).map(sample).collect() }
        };
        let all = [up(30), up(15), up(30), up(60)];
        assert_eq!(usual_interval_ms(all.iter()), 30_000);
        assert_eq!(usual_interval_ms([].into_iter()), 15_000);
    }

    #[test]
    fn a_scrape_gap_changes_no_interval() {
        let seconds = (0..40).filter(|step| !(10..16).contains(step)).map(|step| step * 15);
        let intervals = Intervals::new(&scrapes(seconds)).expect("it was scraped");
        assert!((0..600).all(|second| at(&intervals, second) == 15));
        assert!(Intervals::new(&scrapes([0])).is_none());
    }
}
