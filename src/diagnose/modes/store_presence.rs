//! What the modes about a store's presence share: how an outage becomes a claim.

use crate::diagnose::case::Case;
use crate::diagnose::facts::{Outage, Presence, View, presence};
use crate::diagnose::finding::{Target, TargetKind};
use crate::diagnose::mode::Claim;
use crate::diagnose::stops::plan_of;

/// Metrics that tell who hears whom.
pub const METRICS: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "tikv_server_report_failure_msg_total",
    "tikv_raftstore_message_recv_by_store",
    "tikv_raftstore_inspect_duration_seconds_count",
    "tikv_pd_request_duration_seconds_count",
];

/// Outages of one kind that nobody planned.
pub fn unplanned<'a>(
    case: &'a Case<'_>,
    kind: Presence,
) -> impl Iterator<Item = &'a Outage> + use<'a> {
    let of_kind = move |outage: &&Outage| presence(outage) == kind;
    let planned: Vec<bool> =
        case.outages.iter().map(|outage| plan_of(case, outage).is_some()).collect();
    let outages = case.outages.iter().zip(planned);
    outages.filter(|(_, planned)| !planned).map(|(outage, _)| outage).filter(of_kind)
}

/// The claim that an outage is, with the confidence that its witnesses are worth.
pub fn claim(case: &Case<'_>, outage: &Outage, confidence: f64) -> Claim {
    let stores = &case.evidence.stores;
    let target = match outage.link {
        Some(other) => {
            let (a, b) = (&stores[outage.store], &stores[other]);
            let mut target =
                Target::named(TargetKind::Link, &format!("{} - {}", a.name(), b.name()));
            target.concerns = vec![Target::store(a).text(), Target::store(b).text()];
            target
        }
        None => Target::store(&stores[outage.store]),
    };
    let mut claim = Claim::new(target, outage.onset, outage.uncertainty_ms(), confidence);
    claim.stores = std::iter::once(outage.store).chain(outage.link).collect();
    claim.end = outage.end;
    claim.evidence.clone_from(&outage.findings);
    let id = stores[outage.store].id.map_or_else(String::new, |id| id.to_string());
    if outage.pd == View::Unknown {
        let command = format!("pd-ctl store {id}");
        claim = claim.unchecked("whether PD heard it meanwhile", &command);
    }
    if outage.inbound == View::Unknown && outage.outbound == View::Unknown {
        let what = "whether its peers heard it: no raft messages were counted before";
        claim = claim.unchecked(what, "");
    }
    claim
}

/// How sure a loss of presence is: by how many of the three observers missed the store.
pub fn witnesses(outage: &Outage) -> f64 {
    let missed = [outage.pd == View::Silent, outage.prometheus == View::Silent, outage.peers_cut()];
    match missed.into_iter().filter(|missed| *missed).count() {
        3 => 0.97,
        2 => 0.9,
        _ => 0.75,
    }
}
