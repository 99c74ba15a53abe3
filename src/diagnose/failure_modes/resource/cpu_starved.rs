//! A store's process gets less CPU time than it needs.

use crate::diagnose::failure_modes::presence::store_pd_partition;
use crate::diagnose::failure_modes::resource::node_stage::{
    claim, slow_stores, stage, weigh_load, without_unmeasured_stages,
};
use crate::diagnose::failure_modes::resource::pressure::{of_stage, shown_by};
use crate::diagnose::failure_modes::resource::{slow_disk, slow_network};
use crate::diagnose::findings::finding::{Target, number};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::slow_nodes::SlowNode;
use crate::diagnose::observations::hosts::Confines;
use crate::diagnose::observations::{Reachability, Stage};
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "cpu_starved",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the store's process is not given the CPU that it asks for",
    said: Some("the store's process was not given the CPU that it asked for"),
    subsumes: &[&slow_disk::MODE, &slow_network::MODE, &store_pd_partition::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[
        "tikv_batch_system_fsm_schedule_wait_seconds_sum",
        "tikv_batch_system_fsm_schedule_wait_seconds_count",
        "tikv_yatp_pool_schedule_wait_duration_sum",
        "tikv_yatp_pool_schedule_wait_duration_count",
        "tikv_grpc_msg_duration_seconds_sum",
        "tikv_grpc_msg_duration_seconds_count",
        CPU,
    ],
    surest: 0.95,
    advice: Advice {
        check: "on its machine: top -H; nr_throttled in cpu.stat of its cgroup",
        remedy: "end the other work there, or raise the CPU limit (a change)",
        risk: "a new limit often restarts the process: its leaders move",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-cpu-issues",
        section: None,
    },
    judge,
};

const CPU: &str = "process_cpu_seconds_total";

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<Claim> = by_its_times(observed);
    // A container that is throttled answers late and seems to have a slow disk, too.
    for node in &observed.slow_stores {
        if stage(node) != Stage::Threads {
            let shown = of_stage(observed, node, Stage::Threads);
            if shown.iter().any(|one| one.of == Confines::Container) {
                let known = &observed.evidence.nodes.stores[node.node];
                let mut claim = claim(observed, node, Target::store(known), Stage::Threads);
                claim.stores = vec![node.node];
                found.push(shown_by(observed, node, &shown, claim));
            }
        }
    }
    found
}

/// Stores whose threads wait, by how long they say they do.
fn by_its_times(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let slow = slow_stores(observed, Stage::Threads).map(|node| {
        let known = &observed.evidence.nodes.stores[node.node];
        let claim = claim(observed, node, Target::store(known), Stage::Threads);
        let claim = without_unmeasured_stages(observed, node, Stage::Threads, claim);
        let mut claim = weigh_load(observed, node, claim);
        claim.stores = vec![node.node];
        let shown = of_stage(observed, node, Stage::Threads);
        claim = shown_by(observed, node, &shown, claim);
        let hidden = observed.outages.iter().any(|outage| {
            outage.store == node.node
                && outage.pd == Reachability::Silent
                && outage.range(observed.open()).overlaps(&node.range)
        });
        if !node.has(Stage::Network) && !hidden && shown.is_empty() {
            claim.confidence -= 0.25;
            claim = claim.but("scrapes and requests to PD take no longer than usual");
        }
        if is_shared(node) && shown.is_empty() {
            claim.confidence = claim.confidence.min(0.45);
            claim =
                claim.but("threads of the other stores wait longer too: what slows it is shared");
        }
        if let Some((before, now)) = cpu(observed, node)
            && now > 1.3 * before
        {
            claim.confidence -= 0.3;
            let text = format!("it used more CPU, {} cores after {}", number(now), number(before));
            claim = claim.but(&text);
        }
        if !shown.is_empty() {
            return claim;
        }
        let way = observed.evidence.nodes.way_to_store(node.node);
        claim.unchecked_now(
            "the throttling of its cgroup",
            &way.run("cat /sys/fs/cgroup/**/cpu.stat; top -b -n 1 | head -20"),
        )
    });
    slow.collect()
}

/// How many times longer than usual the other stores' threads wait where a machine or a load that all share
/// slows them.
const SHARED: f64 = 2.0;
/// How many times more than that a store's threads must wait to lack CPU of its own beyond doubt.
const ITS_OWN: f64 = 8.0;

/// Whether the threads of the other stores wait longer as well: the busiest store shows most of what all lack.
fn is_shared(node: &SlowNode) -> bool {
    let mut waits = node.slow.iter().filter(|slow| slow.quantity.stage == Stage::Threads);
    node.excess(Stage::Threads) < ITS_OWN && waits.any(|slow| slow.elsewhere >= SHARED)
}

/// The CPU time of the process before and meanwhile, in cores.
fn cpu(observed: &ObservedWindow<'_>, node: &SlowNode) -> Option<(f64, f64)> {
    let instance = observed.evidence.nodes.stores[node.node].instance.as_deref()?;
    let track = observed.evidence.series.rate(CPU, instance, |_| true);
    let before =
        TimeRange::new(node.range.start.saturating_add_millis(-120_000), node.range.start + 1);
    let inside = TimeRange::new(node.range.start + 1, node.range.end + 1);
    let middle = |range| {
        let points = track.within(range);
        // Whole seconds of CPU are exported, so only a mean over minutes means something.
        (!points.is_empty())
            .then(|| points.iter().map(|point| point.value).sum::<f64>() / points.len() as f64)
    };
    Some((middle(before)?, middle(inside)?))
}
