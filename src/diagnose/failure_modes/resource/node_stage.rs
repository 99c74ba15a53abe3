//! Shared by the modes about one slow node: which stage makes it slow, and how sure that is.

use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::slow_nodes::SlowNode;
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::observations::{Rise, Slow, Stage, before_and_in, busier, is_measured};
use crate::model::{TimeRange, Timestamp};

/// The stage that makes a store slow. A process that waits for the CPU answers late and waits for
/// threads; one behind a bad link only answers late; one on a slow disk does neither, but its threads
/// may queue behind the disk.
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

/// Whether the wait for threads is no queue behind the disk: reads wait too, or the waits grew by a
/// greater factor than the disk's times.
fn waits_most(node: &SlowNode) -> bool {
    let longest = |name: &str| {
        let named = node.slow.iter().filter(|slow| slow.quantity.metric.contains(name));
        named.map(Slow::excess).fold(0.0, f64::max)
    };
    longest("yatp_pool_schedule_wait") > 0.0
        || longest("schedule_wait") > node.excess(Stage::Device)
}

/// Whether threads wait for the CPU. A slow read alone does not show which stage delays it.
fn waits(node: &SlowNode) -> bool {
    let measured = ["schedule_wait", "sched_latencies"];
    node.slow.iter().any(|slow| measured.iter().any(|name| slow.quantity.metric.contains(name)))
}

/// The stage that makes a PD member slow: a bad link delays neither its log nor its threads.
pub fn member_stage(node: &SlowNode) -> Stage {
    match (waits(node), node.has(Stage::Device)) {
        (true, _) => Stage::Threads,
        (false, true) => Stage::Device,
        (false, false) => Stage::Network,
    }
}

/// The slow stores that this stage makes slow.
pub fn slow_stores<'a>(
    observed: &'a ObservedWindow<'_>,
    wanted: Stage,
) -> impl Iterator<Item = &'a SlowNode> + use<'a> {
    observed.slow_stores.iter().filter(move |node| stage(node) == wanted)
}

/// Lowers a claim that a stage makes a store slow where the quantities are missing that would rule out
/// another stage. A queue behind the disk makes threads wait, and a process without CPU makes both its
/// disk and its answers seem slow.
pub fn without_unmeasured_stages(
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
    claim.depends_on(&what, "curl http://TIKV:20180/metrics")
}

/// Lowers a claim about a store by what its load may explain.
pub fn weigh_load(observed: &ObservedWindow<'_>, node: &SlowNode, mut claim: Claim) -> Claim {
    let took = |rise: &Rise| rise.by_store[node.node].1 > 1.5 * rise.by_store[node.node].0;
    let (before, now) = before_and_in(&observed.requests[node.node], node.range);
    let rose = load_grew(observed, node) > 1.0 && now > 1.5 * before && now - before > 20.0;
    if under_load(observed, node).any(took) || rose {
        claim.confidence -= 0.3;
        claim = claim.but("it took part in a rise of the load");
    } else if took_over(observed, node) {
        claim.confidence -= 0.3;
        claim = claim.but("load of other stores had moved to it");
    } else if busier(&observed.requests, node.node, node.range) {
        claim.confidence -= 0.2;
        claim = claim.but("it had more to do than before");
    }
    claim
}

/// Whether load had shifted to the store when it became slow, and stayed there.
fn took_over(observed: &ObservedWindow<'_>, node: &SlowNode) -> bool {
    let own = observed.shifts.iter().filter(|shift| shift.store == node.node);
    let mut ranges = own.map(|shift| shift.departure.range(observed.open()));
    ranges.any(|range| is_within(node, range))
}

/// Whether the node became slow while what lasts over `range` went on.
fn is_within(node: &SlowNode, range: TimeRange) -> bool {
    range.start <= node.range.start.saturating_add_millis(15_000) && node.range.start <= range.end
}

/// Rises of the load that had begun when the node became slow, and were not over.
fn under_load<'a>(
    observed: &'a ObservedWindow<'_>,
    node: &'a SlowNode,
) -> impl Iterator<Item = &'a Rise> + use<'a> {
    let open = observed.open();
    observed
        .rises
        .iter()
        .map(|(rise, _)| rise)
        .filter(move |rise| is_within(node, rise.departure.range(open)))
}

/// The load while the node was slow, as a multiple of that of the two minutes before; 1 where it is not
/// clearly more. A rise soon after the beginning of the window has too short a baseline to be found as
/// one.
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

/// The multiple of the load from which on a surge is beyond doubt.
const ROSE: f64 = 1.5;

/// By how much a claim is lowered where extra work loads every node, and one of them a little more: a
/// single quantity that departed a little (0.7) is no cause then, several that agree (0.85 and more)
/// are. Moving regions is such work: the store that PD chose writes snapshots that no client requested.
const MAY_BE_WORK: f64 = 0.25;

/// By how much a claim is lowered where the node became slower by no greater factor than its load rose:
/// the load alone may explain it, however many quantities agree.
const IS_WORK: f64 = 0.5;

fn probes_for_a_minute(node: &SlowNode, cause: Stage) -> bool {
    let probes = |slow: &&Slow| slow.quantity.metric.contains("disk_probe");
    cause == Stage::Device
        && node.slow.iter().any(|slow| probes(&slow))
        && node.lasted_ms() >= 60_000
}

/// The departure that dates the onset best: of those at the same stage that may have begun together with
/// `first`, the one with the least uncertainty.
fn finest<'a>(node: &'a SlowNode, first: &'a Slow) -> &'a Slow {
    let (onset, slack) = (first.departure.onset, first.departure.uncertainty_ms);
    let same = node.slow.iter().filter(|slow| {
        slow.quantity.stage == first.quantity.stage && slow.departure.onset - onset <= slack
    });
    same.min_by_key(|slow| (slow.departure.uncertainty_ms, slow.departure.onset)).unwrap_or(first)
}

/// The claim that a stage makes a node slow. Several quantities that agree are surer than one, and a
/// large departure is surer than a small one.
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
        // Probes are the same small write each second, whatever the load: a minute is no noise.
        _ if probes_for_a_minute(node, cause) => 0.6,
        // One quantity that departed a little: on a noisy machine that happens.
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
