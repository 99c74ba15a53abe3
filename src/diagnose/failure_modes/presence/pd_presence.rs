//! Shared by the modes about a PD member's presence: how an outage becomes a claim.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Claim, Why};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::planned_stops::rolling_members;
use crate::diagnose::observations::{LEADS_ETCD, MemberOutage, Reachability};

/// The metrics that show whether a member is present.
pub const METRICS: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    LEADS_ETCD,
];

/// The outages of members that were silent to every observer that asked, or restarted. Those of a
/// rolling restart are left out.
pub fn gone<'a>(
    observed: &'a ObservedWindow<'_>,
) -> impl Iterator<Item = &'a MemberOutage> + use<'a> {
    let rolling = rolling_members(observed);
    observed
        .members
        .iter()
        .filter(|one| one.is_silent() || one.restart.is_some())
        .filter(move |one| !rolling.contains(&one.member))
}

/// Whether the process ended: a new one was seen, or its host refuses connections.
pub fn died(outage: &MemberOutage) -> bool {
    outage.restart.is_some() || outage.refused == Some(true)
}

/// The claim of a member's outage, surer where both observers missed it or it was restarted.
pub fn claim(observed: &ObservedWindow<'_>, outage: &MemberOutage) -> Claim {
    let target =
        Target::member(&outage.member, observed.evidence.nodes.member_address(&outage.member));
    let both = outage.recorder == Reachability::Silent && outage.prometheus == Reachability::Silent;
    let confidence = if both || outage.restart.is_some() { 0.95 } else { 0.75 };
    let mut claim = Claim::new(target, outage.onset, outage.uncertainty_ms(), confidence);
    claim.began_by_onset = [outage.recorder, outage.prometheus].contains(&Reachability::Silent);
    claim.end = outage.end;
    claim.asks = died(outage).then_some(Why::ProcessEnded);
    claim.evidence.clone_from(&outage.findings);
    let open = observed.open();
    let changes = observed.leader_changes.iter().filter(|(change, _)| {
        change.from == outage.member && outage.range(open).contains(change.at)
    });
    // How long PD had no leader concerns everybody, so it stands behind what was missed first.
    let second = claim.evidence.len().min(1);
    claim.evidence.splice(second..second, changes.map(|(_, finding)| *finding));
    claim
}
