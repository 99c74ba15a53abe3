//! Shared by the two modes about hot regions: load that concentrates on a few regions.

use crate::diagnose::failure_modes::workload::load_change::{Spread, spread, weigh};
use crate::diagnose::findings::finding::{Finding, FindingKind, Target, TargetKind, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::departures::Departure;
use crate::diagnose::observations::pd_history::{FlowList, TopRegion};
use crate::diagnose::observations::{Hot, Shift, is_moment};
use crate::model::TimeRange;
use crate::pd::{FlowKind, REGION_HEARTBEAT_S};

/// A claim for each rise or shift of one kind of load that concentrates in one place.
pub fn judge_kind(observed: &ObservedWindow<'_>, kind: FlowKind) -> Vec<Claim> {
    let concentrated =
        observed.rises.iter().filter(|(rise, _)| spread(rise) == Spread::Concentrated(kind));
    let concentrated = concentrated.map(|(rise, finding)| {
        let departure = &rise.departure;
        let mut target = Target::named(TargetKind::Workload, "workload");
        let hot = rise.hot_of(kind);
        if let Some(hot) = hot {
            target.concerns.push(format!("region {}", hot.region.region));
        }
        if let Some((store, _)) = rise.greatest {
            target.concerns.push(Target::store(&observed.evidence.nodes.stores[store]).text());
        }
        let sure = hot.is_some();
        let confidence = if sure { 0.95 } else { 0.75 };
        let mut claim =
            Claim::new(target.clone(), departure.onset, departure.uncertainty_ms, confidence);
        claim.end = departure.end;
        claim.evidence = vec![*finding];
        if let Some(hot) = hot {
            claim.readings.push(hot_region(observed, hot, &target, departure));
            if hot.kind != kind {
                claim.confidence = IN_OTHER_FLOW;
                claim = claim.but(&format!("PD shows it by {} so far", flow_name(hot.kind)));
            }
        } else {
            let command =
                format!("pd-ctl hot {}", if kind == FlowKind::Read { "read" } else { "write" });
            claim =
                claim.unchecked_now("which region: PD's list of hot regions names none", &command);
        }
        // Clients that catch up use all regions; PD's list shows that few regions are used.
        weigh(observed, rise, if sure { 0.65 } else { 0.3 }, claim)
    });
    let shifted = observed.shifts.iter().filter(|shift| shift.kind == kind);
    let shifted = shifted.map(|shift| of_shift(observed, shift));
    let mut found: Vec<Claim> = concentrated.chain(shifted).collect();
    if found.is_empty() {
        found.extend(from_first(observed, kind));
    }
    found
}

/// What part of the flow the first of PD's hot regions must take from the first answer on. In quiet runs it is a tenth,
/// once PD knows more than a few.
const HOT_PART: f64 = 0.5;
/// How much that must be, in bytes a second: in quiet runs the first takes 140 KB/s at most.
const HOT_BYTES: f64 = 1024.0 * 1024.0;
/// How much it must be of a region that stays where it is, in bytes a second: from there on TiKV splits a region for
/// its reads (`split.byte-threshold`). A small cluster may serve less than that from one region for good.
const SPLIT_BYTES: f64 = 30.0 * 1024.0 * 1024.0;
/// How often PD must have moved the leader of a smaller one, which does not help: it is as hot elsewhere.
const MOVED: usize = 2;
/// How long it must be so, in milliseconds: PD moves or splits what it can within minutes.
const HOT_MS: i64 = 600_000;
/// How late PD's first list of hot regions may come, in milliseconds.
const FIRST_MS: i64 = 60_000;
/// How sure it is, without a rise of the load.
const FROM_FIRST: f64 = 0.65;

/// A region that takes most of the flow in every answer of PD from the first to the last, or in the only one: so much
/// that it should be split, or wherever PD moves it.
fn from_first(observed: &ObservedWindow<'_>, kind: FlowKind) -> Option<Claim> {
    let evidence = observed.evidence;
    let tops = evidence.pd.flows.get(&kind)?;
    let tops: Vec<&TopRegion> = tops.iter().filter(|top| top.list == FlowList::Hot).collect();
    let (first, last) = (*tops.first()?, *tops.last()?);
    let moved = tops.windows(2).filter(|pair| pair[0].region.store != pair[1].region.store).count();
    let least = if moved >= MOVED { HOT_BYTES } else { SPLIT_BYTES };
    let is_hot = |top: &&TopRegion| {
        let same = top.region.region == last.region.region;
        same && top.share >= HOT_PART && top.region.bytes >= least
    };
    let lasts = last.at - first.at >= HOT_MS || is_moment(evidence);
    let from_start = first.at - evidence.window.start <= FIRST_MS;
    if !tops.iter().all(is_hot) || !lasts || !from_start {
        return None;
    }
    let mut target = Target::named(TargetKind::Workload, "workload");
    target.concerns.push(format!("region {}", last.region.region));
    if let Some(store) = evidence.nodes.store(last.region.store) {
        target.concerns.push(Target::store(&evidence.nodes.stores[store]).text());
    }
    let mut claim = Claim::new(target.clone(), first.at, 60_000, FROM_FIRST);
    let (path, field) = last.list.path_and_field(kind);
    let reading = crossing(Crossing {
        kind: FindingKind::LoadConcentrated,
        target,
        range: TimeRange::new(first.at, observed.open().max(first.at)),
        uncertainty_ms: 60_000,
        lasts: true,
        text: format!(
            "region {} takes {} % of the flow of {}, {} KB/s, from the first answer on",
            last.region.region,
            number((last.share * 100.0).round()),
            flow_name(kind),
            number((last.region.bytes / 1000.0).round())
        ),
        read: (&format!("PD {path}"), format!("{field} {}", number(last.region.bytes))),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(last.at));
    Some(claim)
}

/// How sure a claim is whose region PD lists by the other kind of flow.
const IN_OTHER_FLOW: f64 = 0.85;

fn flow_name(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::Read => "reads",
        FlowKind::Write => "writes",
    }
}

fn of_shift(observed: &ObservedWindow<'_>, shift: &Shift) -> Claim {
    let departure = &shift.departure;
    let mut target = Target::named(TargetKind::Workload, "workload");
    target.concerns.push(format!("region {}", shift.hot.region.region));
    target.concerns.push(Target::store(&observed.evidence.nodes.stores[shift.store]).text());
    let mut claim = Claim::new(target.clone(), departure.onset, departure.uncertainty_ms, 0.9);
    claim.end = departure.end;
    claim.evidence.clone_from(&shift.findings);
    claim.readings.push(hot_region(observed, shift.hot, &target, departure));
    if observed.disturbed(departure.onset) {
        claim.confidence = 0.4;
        claim = claim.but("a node was missing: its load went elsewhere");
    }
    claim
}

fn hot_region(
    observed: &ObservedWindow<'_>,
    hot: Hot,
    target: &Target,
    departure: &Departure,
) -> Finding {
    let (path, field) = hot.list.path_and_field(hot.kind);
    let bytes = match hot.list {
        FlowList::Hot => hot.region.bytes,
        FlowList::Busy => hot.region.bytes * REGION_HEARTBEAT_S,
    };
    let flow = flow_name(hot.kind);
    crossing(Crossing {
        kind: FindingKind::LoadConcentrated,
        target: target.clone(),
        range: TimeRange::new(hot.at, departure.end.unwrap_or(observed.open())),
        // PD's hot cache averages over some minutes.
        uncertainty_ms: 60_000,
        lasts: departure.end.is_none(),
        text: format!(
            "region {} takes {} % of the flow of {flow}, {} KB/s; the greatest before took {} %",
            hot.region.region,
            number(hot.share * 100.0),
            number(hot.region.bytes / 1000.0),
            number(hot.before * 100.0)
        ),
        read: (&format!("PD {path}"), format!("{field} {}", number(bytes))),
        plot: Vec::new(),
    })
}
