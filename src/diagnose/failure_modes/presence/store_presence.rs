//! Shared by the modes about a store's presence: how an outage becomes a claim.

use crate::diagnose::failure_modes::resource::node_stage::stage;
use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::hypotheses::mode::{Claim, Why};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::planned_stops::plan_of;
use crate::diagnose::observations::{Outage, Presence, Reachability, Slow, Stage, presence};
use crate::nodes::HEARTBEATS;

/// The metrics that show which nodes reach each other.
pub const METRICS: [&str; 12] = [
    HEARTBEATS,
    "up",
    "scrape_duration_seconds",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "tikv_server_report_failure_msg_total",
    "tikv_raftstore_message_recv_by_store",
    "tikv_raftstore_inspect_network_duration_seconds_sum",
    "tikv_raftstore_inspect_network_duration_seconds_count",
    "tikv_raftstore_inspect_duration_seconds_count",
    "tikv_raftstore_disk_probe_duration_seconds_count",
    "tikv_pd_request_duration_seconds_count",
];

/// The outages of one kind that were not planned and are no fault of PD's.
pub fn unplanned<'a>(
    observed: &'a ObservedWindow<'_>,
    kind: Presence,
) -> impl Iterator<Item = &'a Outage> + use<'a> {
    let of_kind = move |outage: &&Outage| presence(outage) == kind;
    let excused =
        |outage: &Outage| plan_of(observed, outage).is_some() || is_pds_own(observed, outage);
    let excused: Vec<bool> = observed.outages.iter().map(excused).collect();
    let outages = observed.outages.iter().zip(excused);
    outages.filter(|(_, excused)| !excused).map(|(outage, _)| outage).filter(of_kind)
}

/// Whether PD alone missed the store, while PD changed its leader or had none: heartbeats go to the
/// leader, and a new one receives them after the store's client has found it.
fn is_pds_own(observed: &ObservedWindow<'_>, outage: &Outage) -> bool {
    let only_pd = outage.pd == Reachability::Silent
        && outage.prometheus != Reachability::Silent
        && !outage.peers_cut()
        && outage.restart.is_none();
    let open = observed.open();
    let range = outage.range(open);
    only_pd
        && observed.leader_changes.iter().any(|(change, _)| {
            let since = change.leaderless_since.unwrap_or(change.at);
            let until = if change.to.is_some() { change.at } else { open };
            since < range.end
                && until >= range.start
                && range.end <= until.saturating_add_millis(RECONNECTS_MS)
        })
}

/// How long stores take to reach a new leader of PD, in milliseconds. TiKV's PD client looks for it at
/// once when a request fails and, in the worst case, with its next heartbeat but one: stores send one
/// every 10 s, and PD is asked every 10 s.
const RECONNECTS_MS: i64 = 40_000;

/// Whether the store's threads waited for the CPU meanwhile: then it answers late, and an observer that
/// gives up on it takes it for gone.
pub fn is_starved(observed: &ObservedWindow<'_>, outage: &Outage) -> bool {
    let range = outage.range(observed.open());
    let slow = observed.slow_stores.iter().filter(|node| node.node == outage.store);
    slow.filter(|node| node.range.overlaps(&range))
        .any(|node| stage(node) == Stage::Threads && node.excess(Stage::Threads) >= SURELY)
}

/// Whether PD's answers took so much longer meanwhile that packets are lost or late, on links that
/// are not cut: peers that give up on it now and then, and scrapes that time out, are only that.
pub fn is_badly_connected(observed: &ObservedWindow<'_>, outage: &Outage) -> bool {
    let range = outage.range(observed.open());
    let slow = observed.slow_stores.iter().filter(|node| node.node == outage.store);
    slow.filter(|node| node.range.overlaps(&range)).any(|node| {
        let answers = node.slow.iter().filter(|slow| slow.quantity.metric == ANSWERS);
        stage(node) == Stage::Network && answers.map(Slow::excess).fold(0.0, f64::max) >= SURELY
    })
}

const ANSWERS: &str = "tikv_pd_request_duration_seconds";

/// How many times longer than elsewhere a wait must be to be beyond doubt.
const SURELY: f64 = 8.0;

/// The claim of an outage, with a confidence from 0 to 1 that what speaks against it lowers.
pub fn claim(observed: &ObservedWindow<'_>, outage: &Outage, confidence: f64) -> Claim {
    let stores = &observed.evidence.nodes.stores;
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
    // What was missing then says so; a restart that nobody missed says only that it happened since the last sign.
    let observers = [outage.pd, outage.prometheus];
    claim.began_by_onset = observers.contains(&Reachability::Silent) || outage.peers_cut();
    claim.end = outage.end;
    claim.asks = (presence(outage) == Presence::Died).then_some(Why::ProcessEnded);
    claim.evidence.clone_from(&outage.findings);
    let id = stores[outage.store].id.map_or_else(String::new, |id| id.to_string());
    let ran = !matches!(presence(outage), Presence::Died | Presence::Frozen);
    if ran && outage.link.is_none() && is_starved(observed, outage) {
        claim.confidence = 0.4;
        claim = claim.but("its threads wait for the CPU: it answers late");
    }
    let by_peers = matches!(presence(outage), Presence::CutFromPeers | Presence::OneWay);
    if by_peers && outage.link.is_none() && is_badly_connected(observed, outage) {
        claim.confidence = 0.4;
        claim = claim.but("PD's answers take longer too: its links are bad and not cut");
    }
    if outage.pd == Reachability::Unknown {
        let command = format!("pd-ctl store {id}");
        claim = claim.unchecked_now("whether PD heard it meanwhile", &command);
    }
    if outage.inbound == Reachability::Unknown && outage.outbound == Reachability::Unknown {
        let what = "whether its peers heard it: no raft messages were counted before";
        claim = claim.unchecked(what, "");
    }
    claim
}

/// The confidence of a loss of presence, by how many of PD, Prometheus and the peers missed the store.
pub fn witnesses(outage: &Outage) -> f64 {
    let missed = [
        outage.pd == Reachability::Silent,
        outage.prometheus == Reachability::Silent,
        outage.peers_cut(),
    ];
    match missed.into_iter().filter(|missed| *missed).count() {
        3 => 0.97,
        2 => 0.9,
        _ => 0.75,
    }
}
