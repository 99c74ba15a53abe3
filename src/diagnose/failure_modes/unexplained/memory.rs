//! Memory that grows and is not given back, while clients ask for no more and no cache accounts for it.

use crate::diagnose::failure_modes::unexplained::quantities::is_load;
use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::series_table::SeriesTable;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::survey::ascending;
use crate::model::{TimeRange, Timestamp};

/// The memory of a process, in bytes.
pub const RSS: &str = "process_resident_memory_bytes";
/// What of it RocksDB's block cache holds, in bytes.
pub const CACHE: &str = "tikv_engine_block_cache_size_bytes";
/// When a process began, in seconds since the Unix epoch.
pub const START: &str = "process_start_time_seconds";

/// How long a process fills its caches after its start, in milliseconds. PD's of regions, and TiKV's that no
/// metric shows, are full within an hour.
const WARM_MS: i64 = 3_600_000;
/// Within which time memory must have grown, in milliseconds: what takes longer may be data that is kept.
const GROWS_MS: i64 = 1_200_000;
/// How long it must have stayed so, in milliseconds, and how long the usual must be known: a large request, or a
/// burst of them, gives its memory back sooner.
const STAYS_MS: i64 = 300_000;
/// What part of all that the process held before it must have grown by, and how many bytes at least: memtables of
/// all column families take a few gigabytes at most.
const PART: f64 = 0.25;
const LEAST: f64 = 4e9;
/// How much it must grow in that time where it only grows from first to last, in bytes, and what part of all that the
/// process held at first.
const ALL_THE_WHILE: f64 = 1e9;
const PART_OF_ALL: f64 = 0.5;
/// How sure it is that memory which grows so is a fault: it may still be a cache that nobody counts.
const SURE: f64 = 0.6;

/// What a process holds at an instant, in bytes.
#[derive(Clone, Copy, Debug)]
struct Held {
    at: Timestamp,
    resident: f64,
    /// Without the block cache.
    own: f64,
}

/// Memory that grew and was not given back.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Growth {
    /// The first sample on its way.
    since: Timestamp,
    /// What the process held at most before, and what it holds at last, in bytes.
    before: f64,
    last: f64,
}

/// A claim for each store and member whose memory grows.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let nodes = &observed.evidence.nodes;
    let stores = nodes.stores.iter().enumerate().filter_map(|(index, store)| {
        let instance = store.instance.as_deref()?;
        let mut claim = of(observed, Target::store(store), instance)?;
        claim.stores = vec![index];
        Some(claim)
    });
    let members = observed.member_names.iter().filter_map(|name| {
        let instance = nodes.instance_of_member(name)?;
        of(observed, Target::member(name, nodes.member_address(name)), &instance)
    });
    stores.chain(members).collect()
}

fn of(observed: &ObservedWindow<'_>, target: Target, instance: &str) -> Option<Claim> {
    let series = &observed.evidence.series;
    let held = held(series, instance);
    let growth = growth(&held).or_else(|| only_grows(&held))?;
    if is_load(observed, growth.since) {
        return None;
    }
    let uncertainty_ms = series.interval_of(instance);
    let mut claim = Claim::new(target.clone(), growth.since, uncertainty_ms, SURE);
    let gigabytes = |bytes: f64| number(bytes / 1e9);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::MemoryRose,
        target,
        range: TimeRange::new(growth.since, observed.open()),
        uncertainty_ms,
        lasts: true,
        text: format!(
            "resident memory goes from {} to {} GB and is not given back",
            gigabytes(growth.before),
            gigabytes(growth.last)
        ),
        read: (&format!("{RSS}{{instance={instance:?}}}"), number(growth.last)),
        plot: vec![plot(RSS, PlotHow::Gauge, instance)],
    }));
    Some(
        claim
            .but("a cache that no metric shows may be filling")
            .unchecked_now("what holds it", "curl STORE:20180/debug/pprof/heap"),
    )
}

/// What a process held, from an hour after its start on; nothing where its start is unknown.
fn held(series: &SeriesTable, instance: &str) -> Vec<Held> {
    let starts = series.gauge(START, instance, |_| true);
    let Some(start) = starts.0.last() else { return Vec::new() };
    let warm = Timestamp::from_millis((start.value * 1000.0) as i64).saturating_add_millis(WARM_MS);
    let cache = series.gauge(CACHE, instance, |_| true);
    let resident = series.gauge(RSS, instance, |_| true);
    let warm = resident.0.into_iter().filter(|point| point.at >= warm);
    warm.map(|point| {
        let cached = cache.last_by(point.at).map_or(0.0, |cached| cached.value);
        Held { at: point.at, resident: point.value, own: point.value - cached }
    })
    .collect()
}

/// The growth that lasts to the end of what is known, if there is one. What the process held at most before is
/// taken from all that came before the time in which it may grow.
fn growth(held: &[Held]) -> Option<Growth> {
    let (first, last) = (held.first()?, held.last()?);
    let known_by = first.at.saturating_add_millis(STAYS_MS);
    let mut least_since = vec![f64::INFINITY; held.len() + 1];
    for (place, one) in held.iter().enumerate().rev() {
        least_since[place] = one.own.min(least_since[place + 1]);
    }
    let (mut before, mut resident, mut by) = (0.0_f64, 0.0_f64, 0);
    for (place, one) in held.iter().enumerate() {
        let usual_by = one.at.saturating_add_millis(-GROWS_MS).max(known_by);
        if one.at <= usual_by || last.at - one.at < STAYS_MS {
            continue;
        }
        while held[by].at <= usual_by {
            before = before.max(held[by].own);
            resident = resident.max(held[by].resident);
            by += 1;
        }
        let more = (PART * resident).max(LEAST);
        if least_since[place] >= before + more {
            let is_more = |one: &&Held| one.own > before + more / 10.0;
            let on_the_way = held[..place].iter().rev().take_while(is_more).last();
            let since = on_the_way.unwrap_or(one).at;
            return Some(Growth { since, before: resident, last: last.resident });
        }
    }
    None
}

/// Memory that only grows from the first sample to the last, as fast as nothing does that clients keep: there is no
/// time before to compare it with.
fn only_grows(held: &[Held]) -> Option<Growth> {
    let point = |one: &Held| Point { since: one.at, at: one.at, value: one.own };
    let grown = ascending(&Track(held.iter().map(point).collect()))?;
    let (first, last) = (held.first()?, held.last()?);
    let passed_ms = (last.at - first.at) as f64;
    let more = grown.typical - grown.baseline;
    let fast = more >= ALL_THE_WHILE * (passed_ms / GROWS_MS as f64).max(1.0);
    (fast && more >= PART_OF_ALL * first.resident && passed_ms >= (2 * STAYS_MS) as f64)
        .then_some(Growth { since: first.at, before: first.resident, last: last.resident })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_only_grows_is_found_where_it_grows_fast() {
        let grows = |gigabytes: f64, by: f64| {
            let minutes: Vec<f64> =
                (0..24).map(|minute| gigabytes + by * f64::from(minute)).collect();
            only_grows(&samples(&minutes, 0.0)).map(|one| (one.before, one.last))
        };
        assert_eq!(grows(2.0, 0.125), Some((2e9, 4.875e9)));
        assert_eq!(grows(2.0, 0.04), None, "slow");
        assert_eq!(grows(20.0, 0.2), None, "a small part");
        assert_eq!(only_grows(&samples(&[2.0; 24], 0.0)), None);
    }

    /// A sample a minute; `cached` gigabytes of each are the block cache.
    fn samples(gigabytes: &[f64], cached: f64) -> Vec<Held> {
        let at = |minute: usize| Timestamp::from_millis(minute as i64 * 60_000);
        let one = |(minute, value): (usize, &f64)| {
            let resident = value * 1e9;
            Held { at: at(minute), resident, own: resident - cached * 1e9 }
        };
        gigabytes.iter().enumerate().map(one).collect()
    }

    fn course(parts: &[&[f64]]) -> Vec<f64> {
        parts.concat()
    }

    #[test]
    fn memory_that_grows_by_a_quarter_and_stays_is_found() {
        let grows: Vec<f64> = (1..=8).map(|minute| 40.0 + 2.5 * f64::from(minute)).collect();
        let found = growth(&samples(&course(&[&[40.0; 8], &grows, &[60.0; 8]]), 0.0)).unwrap();
        assert_eq!(found.since.as_millis(), 8 * 60_000);
        assert_eq!((found.before, found.last), (40e9, 60e9));
        // Long after it had grown, too.
        let later = growth(&samples(&course(&[&[40.0; 8], &grows, &[60.0; 50]]), 0.0));
        assert_eq!(later, Some(found));
    }

    #[test]
    fn memory_that_is_little_slow_or_given_back_is_not_found() {
        let grew = |gigabytes: &[f64]| growth(&samples(gigabytes, 0.0));
        assert_eq!(grew(&course(&[&[10.0; 8], &[13.0; 20]])), None);
        assert_eq!(grew(&course(&[&[40.0; 8], &[48.0; 20]])), None);
        assert_eq!(grew(&course(&[&[40.0; 8], &[60.0; 9], &[41.0; 4]])), None);
        assert_eq!(grew(&course(&[&[40.0; 8], &[60.0; 5]])), None);
        let slow: Vec<f64> = (0..120).map(|minute| 40.0 + 0.3 * f64::from(minute)).collect();
        assert_eq!(grew(&slow), None);
        assert_eq!(grew(&[]), None);
    }

    #[test]
    fn a_cache_that_fills_is_no_growth() {
        let mut held = samples(&course(&[&[40.0; 8], &[60.0; 20]]), 0.0);
        assert!(growth(&held).is_some());
        for one in held.iter_mut().skip(8) {
            one.own = 41e9;
        }
        assert_eq!(growth(&held), None);
    }
}
