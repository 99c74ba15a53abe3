//! What restarts show of clocks: Prometheus and the recorder both observe them.

use std::collections::BTreeMap;

use crate::diagnose::observations::pd_history::PdHistory;
use crate::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale};

/// Bounds in milliseconds that restarts set.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownByRestarts {
    /// Of Prometheus's clock minus the recorder's.
    pub offset_ms: (i64, i64),
    /// Of Prometheus's clock minus the nodes'.
    pub nodes_ms: (i64, i64),
}

/// What restarts show, which Prometheus and the recorder both observe: the offset lies between what every single
/// one allows. `None` where there is none, or they contradict each other.
pub(super) fn by_restarts(series: &[Series], pd: &PdHistory) -> Option<ShownByRestarts> {
    const UNBOUND: (i64, i64) = (i64::MIN, i64::MAX);
    let narrowed = |known: (i64, i64), low: i64, high: i64| (known.0.max(low), known.1.min(high));
    let mut shown = ShownByRestarts { offset_ms: UNBOUND, nodes_ms: UNBOUND };
    let listed = pd.stores.values().flat_map(|store| store.starts.iter().skip(1));
    let listed: Vec<(TimeRange, i64)> = listed
        .map(|(at, start)| {
            let before = pd.listings[..pd.listings.partition_point(|one| one < at)].last();
            (TimeRange::new(*before.unwrap_or(at), *at), *start)
        })
        .collect();
    for (seen, start) in restarts(series) {
        let same = |one: &&(TimeRange, i64)| (one.1 as f64 - start).abs() <= SAME_START_S;
        let mut same = listed.iter().filter(same);
        let (Some((listed, _)), None) = (same.next(), same.next()) else { continue };
        let (low, high) = (seen.start - listed.end, seen.end - listed.start);
        shown.offset_ms = narrowed(shown.offset_ms, low, high);
        let began = Timestamp::from_millis((start * 1000.0) as i64);
        shown.nodes_ms = narrowed(shown.nodes_ms, seen.start - began, seen.end - began);
    }
    let is_known = |(low, high): (i64, i64)| low > i64::MIN && low <= high;
    (is_known(shown.offset_ms) && is_known(shown.nodes_ms)).then_some(shown)
}

/// By how much the start of a process may differ between what it says itself and what it told PD, in seconds.
const SAME_START_S: f64 = 10.0;

/// Starts of processes that targets show within the run: the last scrape that found no such process, and the
/// first that did, with the start in Unix seconds.
fn restarts(series: &[Series]) -> Vec<(TimeRange, f64)> {
    let targets = series.iter().filter(|one| one.labels.metric() == "up");
    let scrapes: BTreeMap<Labels, &Series> =
        targets.map(|up| (up.labels.without(&["__name__"]), up)).collect();
    let mut found = Vec::new();
    for one in series.iter().filter(|one| one.labels.metric() == START) {
        let target = one.labels.without(&["__name__"]);
        let up = scrapes.get(&target);
        let live: Vec<&Sample> =
            one.samples.iter().filter(|sample| !is_stale(sample.value)).collect();
        for pair in live.windows(2).filter(|pair| pair[1].value > pair[0].value + 1.0) {
            let before = up.and_then(|up| {
                let by = up.samples.partition_point(|sample| sample.at < pair[1].at);
                up.samples[..by].last()
            });
            let before = before.map_or(pair[0].at, |sample| sample.at.max(pair[0].at));
            found.push((TimeRange::new(before, pair[1].at), pair[1].value));
        }
    }
    found
}

/// When a process started, in Unix seconds.
const START: &str = "process_start_time_seconds";
