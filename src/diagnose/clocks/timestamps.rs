//! PD's timestamps beside Prometheus's clock, and whether a step between them was Prometheus's.

use crate::diagnose::observations::departures::median;
use crate::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale};
use crate::nodes::HEARTBEATS;

/// PD's timestamps: with the type `tso`, their physical part in Unix milliseconds, by the clock of its leader.
const TSO: &str = "pd_cluster_tso";

/// By how much a sample of PD's timestamps may differ from its clock, in milliseconds, without a step.
const JITTER_MS: f64 = 2_000.0;
/// The least step that is taken for one, in milliseconds: more than a new leader of PD starts ahead.
const LEAST_STEP_MS: f64 = 5_000.0;
/// How far Prometheus's clock is ahead of PD's at a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub at: Timestamp,
    pub ahead_ms: f64,
}

/// Readings of the PD that gives out timestamps, ascending. A member that leads no more goes on exporting its
/// last one. Another cluster's PD may have a clock of its own: that nearest to Prometheus's is read.
pub(super) fn readings(series: &[Series]) -> Vec<Reading> {
    let is_physical = |labels: &Labels| labels.metric() == TSO && labels.get("type") == Some("tso");
    let of_members = series.iter().filter(|one| is_physical(&one.labels)).map(readings_of);
    let mut of_members: Vec<(f64, Vec<Reading>)> = of_members
        .filter(|readings| !readings.is_empty())
        .map(|readings| (usual(&readings[..readings.len().min(AROUND_STEP)]), readings))
        .filter(|(ahead, _)| ahead.abs() <= MOST_MS)
        .collect();
    of_members.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    let Some(nearest) = of_members.first().map(|(ahead, _)| *ahead) else { return Vec::new() };
    let same = of_members.into_iter().filter(|(ahead, _)| (ahead - nearest).abs() <= NEW_LEADER_MS);
    let mut found: Vec<Reading> = same.flat_map(|(_, readings)| readings).collect();
    found.sort_by_key(|reading| reading.at);
    found
}

fn readings_of(series: &Series) -> Vec<Reading> {
    let live: Vec<&Sample> =
        series.samples.iter().filter(|sample| !is_stale(sample.value)).collect();
    let ahead = |sample: &Sample| sample.at.as_millis() as f64 - sample.value;
    let moves = |pair: &[&Sample]| {
        pair[1].value > pair[0].value && (ahead(pair[1]) - ahead(pair[0])).abs() < JITTER_MS
    };
    let is_moving = |index: usize| {
        let before = index > 0 && moves(&live[index - 1..=index]);
        before || (index + 1 < live.len() && moves(&live[index..=index + 1]))
    };
    let moving = (0..live.len()).filter(|index| is_moving(*index));
    moving.map(|index| Reading { at: live[index].at, ahead_ms: ahead(live[index]) }).collect()
}

/// An offset larger than this, in milliseconds, is no clock's: the timestamps are another run's.
const MOST_MS: f64 = 600_000.0;
/// How far a new leader of PD starts ahead of its clock at most, in milliseconds (`tso-save-interval`).
const NEW_LEADER_MS: f64 = 5_000.0;

/// How many readings there must be on either side of a step.
pub(super) const AROUND_STEP: usize = 4;

/// The place of the first reading after a step; `None` where there is no clear one.
pub(super) fn step_of(readings: &[Reading]) -> Option<usize> {
    let places = AROUND_STEP..(readings.len() + 1).saturating_sub(AROUND_STEP);
    let moved = |place: &usize| readings[*place].ahead_ms - readings[place - 1].ahead_ms;
    let place = places.max_by(|a, b| moved(a).abs().total_cmp(&moved(b).abs()))?;
    let is_level = |part: &[Reading]| {
        let usual = usual(part);
        let level = part.iter().filter(|one| (one.ahead_ms - usual).abs() < JITTER_MS);
        level.count() * 10 >= part.len() * 9
    };
    let (before, after) = readings.split_at(place);
    let clear = is_level(before) && is_level(after) && moved(&place).abs() >= LEAST_STEP_MS;
    clear.then_some(place)
}

/// The typical reading, in milliseconds.
pub(super) fn usual(readings: &[Reading]) -> f64 {
    median(readings.iter().map(|one| one.ahead_ms)).unwrap_or(0.0)
}

/// By how much the readings move at a step, in milliseconds.
pub(super) fn jump(readings: &[Reading], place: Option<usize>) -> f64 {
    place.map_or(0.0, |place| usual(&readings[place..]) - usual(&readings[..place]))
}

/// Whether it was Prometheus's clock that was stepped by `by_ms`. Then the scrapes of every target are shifted as
/// far from their usual distance, or PD counts as many more heartbeats between two of them.
pub(super) fn is_step_of_prometheus(series: &[Series], step: TimeRange, by_ms: f64) -> bool {
    let (mut shifted, mut targets) = (0, 0);
    for one in series.iter().filter(|one| one.labels.metric() == "up") {
        if let Some(is_shifted) = is_shifted(&one.samples, step, by_ms) {
            targets += 1;
            shifted += usize::from(is_shifted);
        }
    }
    if targets > 1 && shifted * 10 >= targets * 9 {
        return true;
    }
    let beats = series.iter().filter(|one| one.labels.metric() == HEARTBEATS);
    let (mut more, mut expected) = (0.0, 0.0);
    for one in beats.filter(|one| one.samples.len() > AROUND_STEP) {
        let after = one.samples.partition_point(|sample| sample.at <= step.start);
        let (Some(a), Some(b)) =
            (after.checked_sub(1).and_then(|by| one.samples.get(by)), one.samples.get(after))
        else {
            continue;
        };
        let rises = one.samples.windows(2).map(|pair| pair[1].value - pair[0].value);
        let usual = median(rises).unwrap_or(0.0);
        if usual > 0.0 {
            more += b.value - a.value - usual;
            expected -= by_ms / 10_000.0;
        }
    }
    expected > 0.0 && more >= expected / 2.0
}

/// Whether the scrapes of a target around a step lie as far off their usual distance as a step of Prometheus's
/// clock shifts them; `None` where that is a multiple of the distance, and no scrape is missing.
fn is_shifted(samples: &[Sample], step: TimeRange, by_ms: f64) -> Option<bool> {
    let distance = |pair: &[Sample]| (pair[1].at - pair[0].at) as f64;
    let usual = median(samples.windows(2).map(distance)).filter(|usual| *usual > 0.0)?;
    // An instant just before a step back is later than those that follow it.
    let wide = (usual + by_ms.abs()) as i64;
    let (from, until) =
        (step.start.saturating_add_millis(-wide), step.end.saturating_add_millis(wide));
    let around = samples.windows(2).filter(|pair| pair[0].at <= until && pair[1].at >= from);
    let off = around.map(|pair| distance(pair) - usual);
    let off = off.max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    let beside = |value: f64| value.rem_euclid(usual).min(usual - value.rem_euclid(usual));
    if beside(by_ms) < SHIFT_MS && off.abs() < SHIFT_MS {
        return None;
    }
    Some(beside(off - by_ms) < SHIFT_MS && off.abs() >= SHIFT_MS)
}

/// By how much scrapes may lie off their usual distance, in milliseconds.
const SHIFT_MS: f64 = 1_000.0;
