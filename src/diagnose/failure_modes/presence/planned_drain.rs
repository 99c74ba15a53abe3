//! A store was drained of its leaders on purpose, and may have been stopped afterwards.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::{LEADERS, ObservedWindow};
use crate::diagnose::hypotheses::planned_stops::{Plan, plan_of};
use crate::diagnose::observations::Outage;
use crate::model::duration_text;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "planned_drain",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store was drained on purpose",
    said: None,
    subsumes: &[],
    // A store that leads less has less to write, and clients ask for no more because of it.
    never_explains: &[Depth::Resource, Depth::Workload],
    needs: &[Need::PdStores],
    metrics: &[LEADERS],
    surest: 0.95,
    advice: Advice {
        check: "who added the evict-leader-scheduler? NAME: pd-ctl scheduler show",
        remedy: "none if planned; else pd-ctl scheduler remove NAME (a change)",
        risk: "leaders come back at once, to empty caches if it was restarted",
        documentation: "https://docs.pingcap.com/tidb/stable/pd-control",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for drain in &observed.drains {
        let stop = observed.outages.iter().find(|outage| {
            outage.store == drain.store
                && outage.onset >= drain.since
                && plan_of(observed, outage) == Some(Plan::Drain)
        });
        let planned = drain.scheduler.is_some() || stop.is_some();
        let other = observed.outages.iter().any(|outage| {
            outage.store == drain.store
                && matches!(plan_of(observed, outage), Some(Plan::Rolling | Plan::Removal))
        });
        if !planned || other {
            continue;
        }
        let target = Target::store(&observed.evidence.nodes.stores[drain.store]);
        let onset = drain.scheduler.map_or(drain.at, |at| at.min(drain.at));
        let mut claim = Claim::new(target, onset, drain.at - drain.since, 0.95);
        claim.stores = vec![drain.store];
        claim.detail = stop.map(stopped);
        claim.end = stop.map_or(drain.end, |outage| outage.end.max(drain.end));
        claim.evidence.clone_from(&drain.findings);
        claim.evidence.extend(stop.iter().flat_map(|outage| outage.findings.iter().copied()));
        let evictions =
            observed.schedulers.iter().filter(|(change, _)| Some(change.at) == drain.scheduler);
        claim.evidence.extend(evictions.map(|(_, finding)| *finding));
        found.push(claim);
    }
    found.extend(stopped_without_listings(observed));
    found
}

/// That a process was stopped, and for how long.
fn stopped(outage: &Outage) -> String {
    match outage.restart {
        Some(restart) => {
            let millis = restart.at - outage.onset;
            format!("its process was stopped, and started again after {}", duration_text(millis))
        }
        None => "its process was stopped".to_owned(),
    }
}

/// Stops that only the store's own count of leaders shows to be planned.
fn stopped_without_listings(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let stops = observed.outages.iter().filter(|outage| {
        plan_of(observed, outage) == Some(Plan::Drain)
            && !observed.drains.iter().any(|drain| drain.store == outage.store)
    });
    stops
        .map(|outage| {
            let target = Target::store(&observed.evidence.nodes.stores[outage.store]);
            let mut claim = Claim::new(target, outage.onset, outage.uncertainty_ms(), 0.75);
            claim.stores = vec![outage.store];
            claim.end = outage.end;
            claim.detail = Some(stopped(outage));
            claim.evidence.clone_from(&outage.findings);
            claim.unchecked(
                "whether somebody drained it: PD listed no stores",
                "pd-ctl scheduler show",
            )
        })
        .collect()
}
