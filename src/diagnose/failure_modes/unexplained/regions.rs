//! Regions of a kind that PD's checks look for, which never become fewer: PD should repair, split or merge them.
//!
//! Each kind is judged alike, by PD's checks and by the gauges of its leader. How many there are in a
//! moment says little, since every cluster has some under way.

use std::collections::BTreeSet;

use crate::diagnose::findings::finding::{Finding, FindingKind, PlotHow, Target, counted, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::{ObservedWindow, REGIONS};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Labels, TimeRange, Timestamp};

/// For how long their number must not fall, in milliseconds: PD finds what is to be done within minutes, and does
/// some of it in each of them.
const LASTS_MS: i64 = 600_000;
/// How many there must be: official alerts call a hundred critical (`PD_miss_peer_region_count` and its like).
const MANY: f64 = 100.0;
/// What part of all regions they must be, where that is known.
const PART: f64 = 0.01;
/// The same of empty regions: tables that nobody has filled have one each.
const MANY_EMPTY: f64 = 1_000.0;
const PART_EMPTY: f64 = 0.5;
/// How much less than before is no less: regions come and go.
const LESS: f64 = 0.95;
/// How far apart two answers to a check are, in milliseconds.
const ASKED_MS: i64 = 60_000;
/// How sure it is that PD does not do what it should.
const SURE: f64 = 0.6;

/// The kinds that may stay: replicas of TiFlash learn for ever, small regions of a small cluster have nothing to merge
/// with, and the others are statistics.
const MAY_STAY: [&str; 4] = ["hist", "learner-peer", "undersized", "witness"];
/// The kind that tables leave behind.
const EMPTY: &str = "empty";

/// How many regions are of a kind.
struct Counted {
    kind: String,
    /// Where that stands, as it is cited.
    reference: String,
    /// One value for each answer that changed it, or for each scrape.
    track: Track,
    /// The target whose gauge it is; `None` where it is a check.
    gauge_of: Option<String>,
}

/// The claim of kinds of regions that are many and never become fewer, to the end.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let regions = observed.evidence.pd.region_counts.last().map(|(_, count)| *count as f64);
    let counted = of_checks(observed).into_iter().chain(of_gauges(observed));
    let found = counted.filter_map(|one| {
        let stay = stay(&one.track, most(&one.kind, regions), observed.open())?;
        Some((stay, one))
    });
    let mut found: Vec<(Stay, Counted)> = found.collect();
    found.sort_by(|a, b| b.0.last.total_cmp(&a.0.last));
    let Some(since) = found.iter().map(|(stay, _)| stay.since).min() else { return Vec::new() };
    let mut claim = Claim::new(Target::cluster(), since, ASKED_MS, SURE);
    claim.readings = found.iter().map(|(stay, one)| finding(observed, one, *stay)).collect();
    let claim = claim.but("no failure mode is known that shows itself so");
    vec![claim.unchecked_now("what keeps PD from it", "pd-ctl operator show; pd-ctl config show")]
}

/// How many regions of a kind are too many, among so many in all.
fn most(kind: &str, regions: Option<f64>) -> f64 {
    let (many, part) = match kind.starts_with(EMPTY) {
        true => (MANY_EMPTY, PART_EMPTY),
        false => (MANY, PART),
    };
    regions.map_or(many, |regions| many.max(part * regions))
}

fn may_stay(kind: &str) -> bool {
    MAY_STAY.iter().any(|start| kind.starts_with(start))
}

/// What PD's checks list.
fn of_checks(observed: &ObservedWindow<'_>) -> Vec<Counted> {
    let checks = observed.evidence.pd.checks.iter().filter(|(kind, _)| !may_stay(kind));
    let counted = checks.map(|(kind, counts)| {
        let point =
            |(at, count): &(Timestamp, u64)| Point { since: *at, at: *at, value: *count as f64 };
        Counted {
            kind: kind.clone(),
            reference: format!("PD /regions/check/{kind}"),
            track: Track(counts.iter().map(point).collect()),
            gauge_of: None,
        }
    });
    counted.collect()
}

/// What PD's leader counts: members that do not lead show what was when they did.
fn of_gauges(observed: &ObservedWindow<'_>) -> Vec<Counted> {
    let (series, nodes) = (&observed.evidence.series, &observed.evidence.nodes);
    let leader = observed.evidence.pd.leader_at(observed.open());
    let Some(instance) = leader.and_then(|name| nodes.instance_of_member(name)) else {
        return Vec::new();
    };
    let kinds = series.of(REGIONS, &instance).filter_map(|one| one.labels.get("type"));
    let kinds: BTreeSet<&str> = kinds.filter(|kind| !may_stay(kind)).collect();
    let counted = kinds.into_iter().map(|kind| Counted {
        kind: kind.to_owned(),
        reference: format!("{REGIONS}{{type={kind:?},instance={instance:?}}}"),
        track: series.gauge(REGIONS, &instance, |labels: &Labels| labels.get("type") == Some(kind)),
        gauge_of: Some(instance.clone()),
    });
    counted.collect()
}

/// Regions that stay.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stay {
    since: Timestamp,
    first: f64,
    last: f64,
    last_at: Timestamp,
}

/// The time up to the end in which a count is `most` or more and never falls, where that is long enough. Between two
/// points it is what the first one says.
fn stay(track: &Track, most: f64, open: Timestamp) -> Option<Stay> {
    let last = track.0.last()?;
    let mut least = last.value;
    let stays = |point: &&Point| {
        let holds = point.value >= most && point.value * LESS <= least;
        least = least.min(point.value);
        holds
    };
    let first = track.0.iter().rev().take_while(stays).last()?;
    let found = Stay { since: first.at, first: first.value, last: last.value, last_at: last.at };
    (open - first.at >= LASTS_MS).then_some(found)
}

fn finding(observed: &ObservedWindow<'_>, one: &Counted, stay: Stay) -> Finding {
    let reading = crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target: Target::cluster(),
        range: TimeRange::new(stay.since, observed.open().max(stay.since)),
        uncertainty_ms: ASKED_MS,
        lasts: true,
        text: format!(
            "{} of the kind {}, {} at first, and never fewer",
            counted(stay.last as u64, "region"),
            one.kind.trim_end_matches("-count").trim_end_matches("-region"),
            number(stay.first)
        ),
        read: (&one.reference, number(stay.last)),
        plot: one.gauge_of.iter().map(|at| plot(REGIONS, PlotHow::Gauge, at)).collect(),
    });
    reading.read_at(stay.last_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stays(values: &[f64], most: f64) -> Option<(i64, f64)> {
        let track = Track::every(60_000, values.iter().copied());
        let open = Timestamp::from_millis(60_000 * values.len() as i64);
        stay(&track, most, open).map(|one| (one.since.as_millis(), one.last))
    }

    #[test]
    fn regions_stay_where_they_are_many_and_never_fewer() {
        assert_eq!(stays(&[300.0; 12], 100.0), Some((60_000, 300.0)));
        assert_eq!(stays(&[300.0; 10], 100.0), None, "not for ten minutes");
        assert_eq!(stays(&[99.0; 20], 100.0), None, "few");
        let growing: Vec<f64> = (0..20).map(|minute| 100.0 + f64::from(minute)).collect();
        assert_eq!(stays(&growing, 100.0), Some((60_000, 119.0)));
        let falling: Vec<f64> = (0..20).map(|minute| 500.0 - 10.0 * f64::from(minute)).collect();
        assert_eq!(stays(&falling, 100.0), None, "PD is at work");
    }

    #[test]
    fn a_hundred_are_many_and_in_a_large_cluster_a_hundredth() {
        assert_eq!(most("extra-peer", None), 100.0);
        assert_eq!(most("extra-peer-region-count", Some(200.0)), 100.0);
        assert_eq!(most("miss-peer", Some(50_000.0)), 500.0);
        assert_eq!(most("empty-region-count", Some(6_000.0)), 3_000.0);
        assert!(may_stay("learner-peer-region-count") && may_stay("undersized-region"));
        assert!(!may_stay("oversized-region-count") && !may_stay("pending-peer"));
    }
}
