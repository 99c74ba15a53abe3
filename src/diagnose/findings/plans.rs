//! Findings of planned changes: drained, added and removed stores, and schedulers.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{FindingKind, FindingRef, Findings, Target};
use crate::diagnose::findings::{About, cite, finding, of_pd};
use crate::diagnose::observations::pd_tracks::LEADER_COUNT;
use crate::diagnose::observations::{Drain, Moved, SchedulerChange};

/// The finding of a store that was drained of its leaders.
pub(in crate::diagnose) fn drain(
    evidence: &Evidence,
    drain: &Drain,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let target = Target::store(&evidence.nodes.stores[drain.store]);
    let about = About {
        kind: FindingKind::LeadersLeft,
        target,
        onset: drain.at,
        uncertainty_ms: drain.at - drain.since,
        end: drain.end,
    };
    let beside =
        if drain.scheduler.is_some() { ", with an evict-leader scheduler in place" } else { "" };
    let text = match drain.had {
        0 => format!("it leads no region{beside}"),
        had => format!("all {had} leaders left it while it was well{beside}"),
    };
    let citations = vec![cite("PD /stores leader_count".to_owned(), drain.at, "0".to_owned())];
    let id = evidence.nodes.stores[drain.store].id.map_or_else(String::new, |id| id.to_string());
    vec![findings.add(finding(about, text, citations, vec![of_pd(LEADER_COUNT, &id)]))]
}

/// The finding of a store that joined the cluster or is being removed.
pub(in crate::diagnose) fn moved(
    evidence: &Evidence,
    moved: &Moved,
    findings: &mut Findings,
) -> FindingRef {
    let (kind, text) = if moved.leaves {
        (FindingKind::StoreRemoving, "it is being removed from the cluster")
    } else {
        (FindingKind::StoreJoined, "it joined the cluster")
    };
    let about = About {
        kind,
        target: Target::store(&evidence.nodes.stores[moved.store]),
        onset: moved.at,
        uncertainty_ms: 5_000,
        end: None,
    };
    let value = if moved.leaves { "Removing" } else { "listed" };
    let citations = vec![cite("PD /stores node_state".to_owned(), moved.at, value.to_owned())];
    findings.add(finding(about, text.to_owned(), citations, Vec::new()))
}

/// The finding of a scheduler that was added or paused.
pub(in crate::diagnose) fn scheduler(
    change: &SchedulerChange,
    findings: &mut Findings,
) -> FindingRef {
    let (kind, verb) = if change.paused {
        (FindingKind::SchedulerPaused, "was paused")
    } else {
        (FindingKind::SchedulerAdded, "was added")
    };
    let about = About {
        kind,
        target: Target::cluster(),
        onset: change.at,
        uncertainty_ms: 60_000,
        end: change.end,
    };
    let path = if change.paused { "PD /schedulers?status=paused" } else { "PD /schedulers" };
    let citations = vec![cite(path.to_owned(), change.at, change.name.clone())];
    findings.add(finding(about, format!("{} {verb}", change.name), citations, Vec::new()))
}
