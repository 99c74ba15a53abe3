//! What the modes about one slow node share: which stage the slowness comes from.

use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::slow_nodes::SlowNode;
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::observations::{Rise, Slow, Stage, before_and_in, busier, is_measured};
use crate::model::{TimeRange, Timestamp};

/// The stage that slows a node down. A process that waits for the CPU answers late and waits for
/// threads; one behind a bad link only answers late; one on a slow disk does neither, but its
/// threads may queue behind the disk.
pub fn stage(node: &SlowNode) -> Stage {
    let (device, network) = (node.has(Stage::Device), node.has(Stage::Network));
    let waits = waits(node);
    let threads = waits || !device && !network;
    match (network, threads, device) {
        (true, true, _) => Stage::Threads,
        (true, false, true) if node.excess(Stage::Device) > node.excess(Stage::Network) => {
            Stage::Device
        }
        (true, false, _) => Stage::Network,
        (false, true, true) if waits && waits_most(node) => Stage::Threads,
        (false, _, true) => Stage::Device,
        (false, _, false) => Stage::Threads,
    }
}

/// Whether the wait is no queue behind the disk: readers wait too, or threads wait longer, of what
/// they usually do, than the disk takes.
fn waits_most(node: &SlowNode) -> bool {
    let longest = |name: &str| {
        let named = node.slow.iter().filter(|slow| slow.quantity.metric.contains(name));
        named.map(Slow::excess).fold(0.0, f64::max)
    };
    longest("yatp_pool_schedule_wait") > 0.0
        || longest("schedule_wait") > node.excess(Stage::Device)
}

/// Whether threads wait for the CPU. A slow read alone does not tell whose fault it is; this does.
fn waits(node: &SlowNode) -> bool {
    let measured = ["schedule_wait", "sched_latencies"];
    node.slow.iter().any(|slow| measured.iter().any(|name| slow.quantity.metric.contains(name)))
}

/// The stage that slows a PD member down: a bad link leaves its log and its threads alone.
pub fn member_stage(node: &SlowNode) -> Stage {
    match (waits(node), node.has(Stage::Device)) {
        (true, _) => Stage::Threads,
        (false, true) => Stage::Device,
        (false, false) => Stage::Network,
    }
}

/// Stores that are slow by this stage.
pub fn slow_stores<'a>(
    observed: &'a ObservedWindow<'_>,
    wanted: Stage,
) -> impl Iterator<Item = &'a SlowNode> + use<'a> {
    observed.slow_stores.iter().filter(move |node| stage(node) == wanted)
}

/// A claim that a store is slow by a stage hangs on what would tell it from another stage. A queue
/// behind the disk makes threads wait, and a process without CPU makes its disk and its answers seem
/// slow; only it does both.
pub fn ruled_out(
    observed: &ObservedWindow<'_>,
    node: &SlowNode,
    cause: Stage,
    claim: Claim,
) -> Claim {
    let known = &observed.evidence.nodes.stores[node.node];
    let measured = |stage: Stage| {
        let instance = known.instance.as_deref();
        instance.is_some_and(|name| is_measured(observed.evidence, stage, name))
    };
    let answers_in_time = measured(Stage::Network) && !node.has(Stage::Network);
    let what = match cause {
        Stage::Threads if !measured(Stage::Device) && !node.has(Stage::Network) => "its disk",
        Stage::Device if !measured(Stage::Threads) && !answers_in_time => "its threads",
        Stage::Network if !measured(Stage::Threads) => "its threads",
        _ => return claim,
    };
    let what = format!("{}: whether {what} made it slow", known.name());
    claim.hangs_on(&what, "curl http://TIKV:20180/metrics")
}

/// Takes from a claim about a store what its load may explain.
pub fn weigh_load(observed: &ObservedWindow<'_>, node: &SlowNode, mut claim: Claim) -> Claim {
    let took = |rise: &Rise| rise.by_store[node.node].1 > 1.5 * rise.by_store[node.node].0;
    let (before, now) = before_and_in(&observed.requests[node.node], node.range);
    let rose = load_grew(observed, node) > 1.0 && now > 1.5 * before && now - before > 20.0;
    if under_load(observed, node).any(took) || rose {
        claim.confidence -= 0.3;
        claim = claim.but("it took part in a rise of the load");
    } else if busier(&observed.requests, node.node, node.range) {
        claim.confidence -= 0.2;
        claim = claim.but("it had more to do than before");
    }
    claim
}

/// Rises of the load that had begun when the node became slow, and were not over.
fn under_load<'a>(
    observed: &'a ObservedWindow<'_>,
    node: &'a SlowNode,
) -> impl Iterator<Item = &'a Rise> + use<'a> {
    let open = observed.open();
    observed.rises.iter().map(|(rise, _)| rise).filter(move |rise| {
        let range = rise.departure.range(open);
        range.start <= node.range.start.saturating_add_millis(15_000)
            && node.range.start <= range.end
    })
}

/// How many times the load of the two minutes before there was while the node was slow; 1 where that is
/// not clearly more. A rise soon after the beginning has too short a baseline to be told as one.
fn load_grew(observed: &ObservedWindow<'_>, node: &SlowNode) -> f64 {
    let earlier = TimeRange::new(Timestamp::MIN, node.range.start + 1);
    let unseen = |track: &Track| !track.0.is_empty() && track.within(earlier).is_empty();
    if observed.requests.iter().any(unseen) {
        return 1.0;
    }
    let sums = observed.requests.iter().map(|track| before_and_in(track, node.range));
    let (before, now) = sums.fold((0.0, 0.0), |(a, b), (before, now)| (a + before, b + now));
    let clearly = before > 0.0 && now >= ROSE * before && now - before >= 20.0;
    if clearly { now / before } else { 1.0 }
}

/// Half as much again: what a surge is beyond doubt.
const ROSE: f64 = 1.5;

/// What something that loads every node, and one of them a little more, takes from a claim: one
/// quantity that is not far off (0.7) is no cause beside it, several that agree (0.85 and more) are.
/// Regions that move are such a thing: PD gives their snapshots to whom it likes, and that store's disk
/// writes megabytes that no client asked for.
const MAY_BE_WORK: f64 = 0.25;

/// The same where the node became no more times slower than there was more load: that alone may do it,
/// however many quantities agree.
const IS_WORK: f64 = 0.5;

fn probes_for_a_minute(node: &SlowNode, cause: Stage) -> bool {
    let probes = |slow: &&Slow| slow.quantity.metric.contains("disk_probe");
    cause == Stage::Device
        && node.slow.iter().any(|slow| probes(&slow))
        && node.lasted_ms() >= 60_000
}

/// Of what departed at the stage and may have begun when `first` did, what is looked at most often: it
/// tells the onset best.
fn finest<'a>(node: &'a SlowNode, first: &'a Slow) -> &'a Slow {
    let (onset, slack) = (first.departure.onset, first.departure.uncertainty_ms);
    let same = node.slow.iter().filter(|slow| {
        slow.quantity.stage == first.quantity.stage && slow.departure.onset - onset <= slack
    });
    same.min_by_key(|slow| (slow.departure.uncertainty_ms, slow.departure.onset)).unwrap_or(first)
}

/// The claim that a slow node is. Several quantities that agree are surer than one, and so is a
/// departure that is large.
pub fn claim(
    observed: &ObservedWindow<'_>,
    node: &SlowNode,
    target: Target,
    cause: Stage,
) -> Claim {
    let first = finest(node, node.first_of(cause).unwrap_or(&node.slow[0]));
    let agreeing = node.slow.iter().filter(|slow| slow.quantity.stage == cause).count();
    let confidence = match (agreeing, node.excess(cause)) {
        (2.., excess) if excess >= 4.0 => 0.95,
        (_, excess) if excess >= 8.0 => 0.9,
        (2.., _) => 0.85,
        (_, excess) if excess >= 4.0 => 0.7,
        // The same small write each second, whatever there is to do: a minute of them is no noise.
        _ if probes_for_a_minute(node, cause) => 0.6,
        // One quantity, and not far off: on a noisy machine that happens.
        _ => 0.45,
    };
    let departure = &first.departure;
    let target_kind = target.kind;
    let mut claim = Claim::new(target, departure.onset, departure.uncertainty_ms, confidence);
    claim.end = node.ended.then_some(node.range.end);
    claim.evidence.clone_from(&node.findings);
    let grew = under_load(observed, node).map(|rise| rise.departure.ratio());
    let grew = grew.fold(load_grew(observed, node), f64::max);
    if grew > 1.0 {
        claim.confidence -= if node.excess(cause) <= grew { IS_WORK } else { MAY_BE_WORK };
        claim = claim.but("it began while the load was up");
    }
    if observed.moves_regions(node.range.start) {
        claim.confidence -= MAY_BE_WORK;
        claim = claim.but("it began while regions were being moved");
    }
    let own = (target_kind == TargetKind::Store).then_some(node.node);
    if observed.disturbed_around(node.range.start, own) {
        claim.confidence -= 0.3;
        claim = claim.but("it began while a node was missing");
    }
    claim
}
