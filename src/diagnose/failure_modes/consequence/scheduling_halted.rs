//! PD's operators make no progress, or scheduling was halted while regions wait for it.

mod all_low;
mod from_first;

use crate::diagnose::failure_modes::consequence::peers_stuck;
use std::collections::BTreeMap;

use crate::diagnose::failure_modes::presence::config_change::{STATUS, onset};
use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, number, seconds};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::{ObservedWindow, REGIONS};
use crate::diagnose::observations::invariants::above;
use crate::model::{PdOperator, TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "scheduling_halted",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "PD's operators do not progress",
    said: Some("PD's operators did not progress"),
    subsumes: &[&peers_stuck::MODE],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[STATUS, PATROL, REGIONS],
    surest: 0.8,
    advice: Advice {
        check: "pd-ctl operator show; scheduler show; config show: halt-scheduling",
        remedy: "pd-ctl scheduler resume NAME, or set the limit again (a change)",
        risk: "somebody may have halted it for a reason: ask before",
        documentation: "https://docs.pingcap.com/tidb/stable/pd-scheduling-best-practices",
        section: None,
    },
    judge,
};

/// How long a step of a PD operator may take, in milliseconds: PD gives up on a step that moves data
/// after ten minutes.
const STEP_MS: i64 = 600_000;

/// How long scheduling must be halted while regions wait for it, in milliseconds.
const HALTED_MS: i64 = 60_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let slow = slow_patrol(observed);
    let found = stuck(observed).into_iter().chain(halted(observed)).chain(slow);
    let found = found.chain(from_first::claim(observed, lacks_peers));
    found.chain(all_low::claim(observed, lacks_peers)).collect()
}

/// How long PD takes to look at every region once, in seconds, to find those that lack a peer or have one too many.
const PATROL: &str = "pd_checker_patrol_regions_time";
/// From how long on nobody repairs in time, in seconds: as long as PD waits for a store (`max-store-down-time`).
/// Where nothing is wrong it takes about a minute for a million regions.
const SLOW_PATROL_S: f64 = 1_800.0;
/// How many scrapes it must be so.
const STILL_SLOW: usize = 4;

/// PD's leader looks at regions too slowly. Members that do not lead show what was when they did.
fn slow_patrol(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let (series, nodes) = (&observed.evidence.series, &observed.evidence.nodes);
    let leader = observed.evidence.pd.leader_at(observed.open())?;
    let instance = nodes.instance_of_member(leader)?;
    let taken = series.gauge(PATROL, &instance, |_| true);
    let stretch = above(&taken, SLOW_PATROL_S, STILL_SLOW).into_iter().find(|one| one.lasts)?;
    let uncertainty_ms = series.interval_of(&instance);
    let mut claim = Claim::new(Target::cluster(), stretch.range.start, uncertainty_ms, 0.7);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::OperatorsStill,
        target: Target::cluster(),
        range: stretch.range,
        uncertainty_ms,
        lasts: true,
        text: format!(
            "PD takes {} to look at every region once, and repairs none sooner",
            seconds(stretch.peak)
        ),
        read: (&format!("{PATROL}{{instance={instance:?}}}"), number(stretch.peak)),
        plot: vec![plot(PATROL, PlotHow::Gauge, &instance)],
    }));
    Some(claim.unchecked_now("what it waits for", "pd-ctl operator show; pd-ctl region check"))
}

/// An operator, from the answer that listed it first to the last one that did.
struct UnderWay<'a> {
    operator: &'a PdOperator,
    since: Timestamp,
    until: Timestamp,
    /// When PD answered without it; `None` where it is still under way.
    gone: Option<Timestamp>,
}

/// The operators of a window, each for as long as every answer listed it.
fn operators<'a>(observed: &'a ObservedWindow<'_>) -> Vec<UnderWay<'a>> {
    let mut open: BTreeMap<&PdOperator, UnderWay<'a>> = BTreeMap::new();
    let mut found = Vec::new();
    for list in &observed.evidence.pd.operators {
        let ended = open.extract_if(.., |operator, _| !list.answer.contains(operator));
        found.extend(ended.map(|(_, one)| UnderWay { gone: Some(list.at), ..one }));
        for operator in &list.answer {
            let fresh = UnderWay { operator, since: list.at, until: list.until, gone: None };
            open.entry(operator).or_insert(fresh).until = list.until;
        }
    }
    found.extend(open.into_values());
    found
}

/// An operator that is under way for longer than its step may take; of several, the oldest.
fn stuck(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let too_long = operators(observed).into_iter().filter(|one| one.until - one.since >= STEP_MS);
    let oldest = too_long.min_by_key(|one| one.since)?;
    let UnderWay { operator, since, until, gone } = oldest;
    let text = format!(
        "{}: {} is under way for longer than its step may take",
        operator.desc, operator.brief
    );
    let mut claim = Claim::new(Target::cluster(), since, 5_000, 0.8);
    claim.end = gone;
    claim.target.concerns.extend(operator.region.map(|region| format!("region {region}")));
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::OperatorsStill,
        target: Target::cluster(),
        range: TimeRange::new(since, gone.unwrap_or(until)),
        uncertainty_ms: 5_000,
        lasts: gone.is_none(),
        text,
        read: ("PD /operators", operator.brief.clone()),
        plot: Vec::new(),
    }));
    Some(claim)
}

/// Scheduling that was halted while regions wait for it. Halting it is otherwise a planned change.
fn halted(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let pd = &observed.evidence.pd;
    let change = pd.config_changes.iter().find(|change| {
        change.key == "schedule.halt-scheduling" && change.to == "true"
            || change.key.ends_with("-schedule-limit") && change.to == "0"
    })?;
    let over = pd
        .config_changes
        .iter()
        .find(|other| other.at > change.at && other.key == change.key && other.to != change.to);
    let (from, uncertainty_ms) = onset(observed, change);
    let end = over.map(|other| onset(observed, other).0);
    let range = TimeRange::new(from, end.unwrap_or(observed.open()).max(from));
    let why = if lacks_peers(observed, range) {
        "regions lack peers"
    } else if stopped_balancing(observed, range) {
        "regions are unevenly placed and were being moved"
    } else {
        return None;
    };
    if range.millis() < HALTED_MS {
        return None;
    }
    let mut claim = Claim::new(Target::cluster(), from, uncertainty_ms, 0.8);
    claim.end = end;
    let reading = crossing(Crossing {
        kind: FindingKind::OperatorsStill,
        target: Target::cluster(),
        range,
        uncertainty_ms,
        lasts: end.is_none(),
        text: format!("{} = {} while {why}", change.key, change.to),
        read: ("PD /config", format!("{} {}", change.key, change.to)),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(change.at));
    Some(claim)
}

fn lacks_peers(observed: &ObservedWindow<'_>, range: TimeRange) -> bool {
    ["miss-peer", "down-peer", "offline-peer"].iter().any(|name| {
        observed.evidence.pd.checks.get(*name).is_some_and(|counts| {
            let ends = counts.iter().skip(1).map(|(at, _)| *at).chain([range.end]);
            let held = counts.iter().zip(ends);
            held.into_iter()
                .any(|((at, count), end)| *count > 0 && *at <= range.end && end >= range.start)
        })
    })
}

/// Whether PD was moving regions in the minutes before and moves none any more, though one store
/// holds less than half as many as another. An operator under way may take half a minute to finish.
fn stopped_balancing(observed: &ObservedWindow<'_>, range: TimeRange) -> bool {
    let pd = &observed.evidence.pd;
    let lists_in = |from: Timestamp, to: Timestamp| {
        let any = pd.operators.iter().filter(|list| !list.answer.is_empty());
        any.filter(|list| list.at >= from && list.at < to).count()
    };
    let before = lists_in(range.start.saturating_add_millis(-180_000), range.start);
    let since = lists_in(range.start.saturating_add_millis(30_000), range.end);
    let regions: Vec<u64> = pd
        .stores
        .values()
        .filter_map(|store| store.counts_at(range.end))
        .map(|counts| counts.regions)
        .collect();
    let apart = match (regions.iter().max(), regions.iter().min()) {
        (Some(most), Some(least)) => *most >= 2 * *least && most - least >= 10,
        _ => false,
    };
    before >= 3 && since == 0 && apart
}
