//! A store's leaders were led away, and it may have been stopped then.

use crate::diagnose::case::Case;
use crate::diagnose::finding::Target;
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::stops::{Plan, plan_of};

/// The mode.
pub const MODE: Mode = Mode {
    name: "planned_drain",
    row: 3,
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store was drained on purpose",
    subsumes: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for drain in &case.drains {
        let stop = case.outages.iter().find(|outage| {
            outage.store == drain.store
                && outage.onset >= drain.since
                && plan_of(case, outage) == Some(Plan::Drain)
        });
        let ours = drain.scheduler.is_some() || stop.is_some();
        let other = case.outages.iter().any(|outage| {
            outage.store == drain.store
                && matches!(plan_of(case, outage), Some(Plan::Rolling | Plan::Removal))
        });
        if !ours || other {
            continue;
        }
        let target = Target::store(&case.evidence.stores[drain.store]);
        let onset = drain.scheduler.map_or(drain.at, |at| at.min(drain.at));
        let mut claim = Claim::new(target, onset, drain.at - drain.since, 0.95);
        claim.stores = vec![drain.store];
        claim.end = stop.map_or(drain.end, |outage| outage.end.max(drain.end));
        claim.evidence.clone_from(&drain.findings);
        claim.evidence.extend(stop.iter().flat_map(|outage| outage.findings.iter().copied()));
        let evictions =
            case.schedulers.iter().filter(|(change, _)| Some(change.at) == drain.scheduler);
        claim.evidence.extend(evictions.map(|(_, told)| *told));
        found.push(claim);
    }
    found
}
