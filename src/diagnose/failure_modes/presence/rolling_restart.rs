//! Nodes were restarted one after the other, each once.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::planned_stops::{rolling, rolling_members};

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "rolling_restart",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "nodes were restarted one after the other",
    said: None,
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &["process_start_time_seconds"],
    surest: 0.95,
    advice: Advice {
        check: "who restarts: TiUP, an orchestrator? which versions does PD list?",
        remedy: "none if planned; else stop the roll-out (a change)",
        risk: "stopped half-way, two versions run beside each other",
        documentation: "https://docs.pingcap.com/tidb/stable/upgrade-tidb-using-tiup",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let stores = rolling(observed);
    let members = rolling_members(observed);
    let mut found = Vec::new();
    let stopped: Vec<_> = observed
        .outages
        .iter()
        .filter(|outage| stores.contains(&outage.store) && outage.restart.is_some())
        .collect();
    if let (Some(first), Some(last)) = (stopped.first(), stopped.last()) {
        let mut target = Target::cluster();
        target.concerns = stopped
            .iter()
            .map(|one| Target::store(&observed.evidence.nodes.stores[one.store]).text())
            .collect();
        let mut claim = Claim::new(target, first.onset, first.uncertainty_ms(), 0.95);
        claim.stores.clone_from(&stores);
        claim.end = last.end;
        claim.evidence = stopped.iter().flat_map(|one| one.findings.iter().copied()).collect();
        found.push(claim);
    }
    let restarted: Vec<_> =
        observed.members.iter().filter(|one| members.contains(&one.member)).collect();
    if let (Some(first), Some(last)) = (restarted.first(), restarted.last()) {
        let mut target = Target::cluster();
        target.concerns.clone_from(&members);
        let mut claim = Claim::new(target, first.onset, first.uncertainty_ms(), 0.95);
        claim.end = last.end;
        claim.evidence = restarted.iter().flat_map(|one| one.findings.iter().copied()).collect();
        found.push(claim);
    }
    found
}
