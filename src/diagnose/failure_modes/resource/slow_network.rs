//! Latency or packet loss on the links of one node, a store or a PD member.

use std::collections::BTreeSet;

use crate::diagnose::failure_modes::resource::node_stage::{
    claim, member_stage, slow_stores, weigh_load, without_unmeasured_stages,
};
use crate::diagnose::failure_modes::resource::pressure::{of_stage, shown_by};
use crate::diagnose::failure_modes::resource::slow_link::slow_links;
use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::slow_nodes::SlowNode;
use crate::diagnose::observations::Stage;
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "slow_network",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the node's links are slow or lose packets",
    said: Some("the node's links were slow or lost packets"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[
        "scrape_duration_seconds",
        "tikv_pd_request_duration_seconds_sum",
        "tikv_pd_request_duration_seconds_count",
        "etcd_network_peer_round_trip_time_seconds_sum",
        "etcd_network_peer_round_trip_time_seconds_count",
        "tikv_raftstore_slow_score",
        "tikv_raftstore_inspect_network_duration_seconds_sum",
        "tikv_raftstore_inspect_network_duration_seconds_count",
    ],
    surest: 0.95,
    advice: Advice {
        check: "between the machines: ping -c 20; nstat -az TcpRetransSegs on both",
        remedy: "mend the link or its shaping; evict leaders meanwhile (a change)",
        risk: "other stores take its load; the scheduler stays until removed",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-cpu-issues",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<Claim> = slow_stores(observed, Stage::Network)
        .map(|node| {
            let known = &observed.evidence.nodes.stores[node.node];
            let claim = claim(observed, node, Target::store(known), Stage::Network);
            let claim = without_unmeasured_stages(observed, node, Stage::Network, claim);
            let mut claim = weigh_load(observed, node, claim);
            claim.stores = vec![node.node];
            let shown = of_stage(observed, node, Stage::Network);
            claim = shown_by(observed, node, &shown, claim);
            // A scrape alone shows only what the scraper sees.
            let only_scrapes =
                node.slow.iter().all(|slow| slow.quantity.metric == "scrape_duration_seconds");
            if only_scrapes && shown.is_empty() {
                claim.confidence = 0.45;
                let who = observed.evidence.scraped_by.text();
                claim = claim.but(&format!("only {who} waits longer; PD does not"));
            }
            if waits_for_pd(observed, node) {
                claim.confidence = claim.confidence.min(0.45);
                claim = claim.but("it only waits for PD, whose leader was missing");
            }
            if !shown.is_empty() {
                return claim;
            }
            let way = observed.evidence.nodes.way_to_store(node.node);
            claim.unchecked_now("round trips and retransmissions", &way.run("ss -ti"))
        })
        .collect();
    let members = observed.slow_members.iter().filter(|node| member_stage(node) == Stage::Network);
    found.extend(members.map(|node| {
        let name = &observed.member_names[node.node];
        let target = Target::member(name, observed.evidence.nodes.member_address(name));
        let mut claim = claim(observed, node, target, Stage::Network);
        let witnesses: BTreeSet<&str> = node.slow.iter().map(|slow| slow.quantity.metric).collect();
        // A scrape and a ping each show only what one observer sees.
        if witnesses.len() == 1 && !witnesses.iter().any(|one| one.starts_with("etcd")) {
            claim.confidence = 0.45;
            claim = claim.but("only one observer waits longer");
        }
        let by_etcd = witnesses.iter().any(|one| one.starts_with("etcd"));
        if !by_etcd && node.lasted_ms() < HICCUP_MS {
            claim.confidence = claim.confidence.min(0.45);
            claim = claim.but("it is no longer than a busy machine delays answers");
        }
        claim.unchecked_now(
            "round trips",
            &format!("pd-ctl health; etcdctl endpoint status # {name}"),
        )
    }));
    found.extend(slow_links(observed));
    found
}

/// How long answers of a PD member must take longer, in milliseconds, where etcd's probes of its peers show
/// nothing: the recorder and Prometheus run beside a load that changes.
const HICCUP_MS: i64 = 45_000;

/// Whether a store waits longer for nothing but PD while PD's leader gave no answer or did no work: one store
/// always waits longest.
fn waits_for_pd(observed: &ObservedWindow<'_>, node: &SlowNode) -> bool {
    let only_pd = node.slow.iter().all(|slow| slow.quantity.metric == PD_ANSWERS);
    let onset = node.range.start;
    let about = |range: TimeRange, uncertainty_ms: i64| {
        let slack = uncertainty_ms + node.slow[0].departure.uncertainty_ms;
        onset >= range.start.saturating_add_millis(-slack)
            && onset <= range.end.saturating_add_millis(AFTERMATH_MS)
    };
    let missing = observed.members.iter().filter(|one| one.led && one.is_silent());
    let mut missing = missing.map(|one| about(one.range(observed.open()), one.uncertainty_ms()));
    let mut hung = observed.hung_members.iter();
    only_pd
        && (missing.any(|about| about)
            || hung.any(|one| about(one.range(), one.shown[0].uncertainty_ms)))
}

/// How long PD takes to answer a store.
const PD_ANSWERS: &str = "tikv_pd_request_duration_seconds";
