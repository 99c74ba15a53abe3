//! What the modes about one slow node share: which stage the slowness comes from.

use crate::diagnose::case::{Case, SlowNode};
use crate::diagnose::facts::{Rise, Stage, busier};
use crate::diagnose::finding::Target;
use crate::diagnose::mode::Claim;

/// The stage that slows a node down. A process that waits for the CPU answers late and waits for
/// threads; one behind a bad link only answers late; one on a slow disk does neither, but its
/// threads may queue behind the disk.
pub fn stage(node: &SlowNode) -> Stage {
    let (device, threads, network) =
        (node.has(Stage::Device), node.has(Stage::Threads), node.has(Stage::Network));
    match (network, threads, device) {
        (true, true, _) => Stage::Threads,
        (true, false, true) if node.excess(Stage::Device) > node.excess(Stage::Network) => {
            Stage::Device
        }
        (true, false, _) => Stage::Network,
        (false, _, true) => Stage::Device,
        (false, _, false) => Stage::Threads,
    }
}

/// Stores that are slow by this stage.
pub fn slow_stores<'a>(
    case: &'a Case<'_>,
    wanted: Stage,
) -> impl Iterator<Item = &'a SlowNode> + use<'a> {
    case.slow_stores.iter().filter(move |node| stage(node) == wanted)
}

/// Takes from a claim about a store what its load may explain.
pub fn weigh_load(case: &Case<'_>, node: &SlowNode, mut claim: Claim) -> Claim {
    let took = |rise: &Rise| rise.by_store[node.node].1 > 1.5 * rise.by_store[node.node].0;
    if under_load(case, node).any(took) {
        claim.confidence -= 0.3;
        claim = claim.but("it took part in a rise of the load");
    } else if busier(case.evidence, node.node, node.range) {
        claim.confidence -= 0.2;
        claim = claim.but("it had more to do than before");
    }
    claim
}

/// Rises of the load that had begun when the node became slow, and were not over.
fn under_load<'a>(
    case: &'a Case<'_>,
    node: &'a SlowNode,
) -> impl Iterator<Item = &'a Rise> + use<'a> {
    let open = case.open();
    case.rises.iter().map(|(rise, _)| rise).filter(move |rise| {
        let range = rise.departure.range(open);
        range.start <= node.range.start.saturating_add_millis(15_000)
            && node.range.start <= range.end
    })
}

/// The claim that a slow node is. Several quantities that agree are surer than one, and so is a
/// departure that is large.
pub fn claim(case: &Case<'_>, node: &SlowNode, target: Target, cause: Stage) -> Claim {
    let first = node.first_of(cause).unwrap_or(&node.slow[0]);
    let agreeing = node.slow.iter().filter(|slow| slow.quantity.stage == cause).count();
    let confidence = match (agreeing, node.excess(cause)) {
        (2.., excess) if excess >= 4.0 => 0.95,
        (_, excess) if excess >= 8.0 => 0.9,
        (2.., _) => 0.85,
        _ => 0.7,
    };
    let departure = &first.departure;
    let mut claim = Claim::new(target, departure.onset, departure.uncertainty_ms, confidence);
    claim.end = node.ended.then_some(node.range.end);
    claim.evidence.clone_from(&node.findings);
    // What the load does to every disk and every queue, it may do to one a little more.
    if under_load(case, node).next().is_some() {
        claim.confidence -= 0.25;
        claim = claim.but("it began while the load was up");
    }
    if case.disturbed(node.range.start) {
        claim.confidence -= 0.3;
        claim = claim.but("it began while a node was missing");
    }
    claim
}
