//! Shared by the modes about one slow node: what its machine, its container and probes of it show of the same.

use crate::diagnose::findings;
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::slow_nodes::SlowNode;
use crate::diagnose::observations::Stage;
use crate::diagnose::observations::hosts::{Pressed, pressed};
use crate::nodes::NodeIndex;

/// The confidence that a claim about a slow node has where its machine shows the same.
const SHOWN: f64 = 0.95;

/// What is shown of a slow store's machine and container, of one stage.
pub fn of_stage(observed: &ObservedWindow<'_>, node: &SlowNode, stage: Stage) -> Vec<Pressed> {
    let store = NodeIndex::Store(node.node);
    let mut shown = pressed(observed.evidence, store, node.range);
    shown.retain(|one| one.stage == stage);
    shown
}

/// The claim with what is shown as its own readings. That makes it sure where no load, moving regions or missing node
/// has lowered it: a disk of a machine, too, takes longer under more load.
pub fn shown_by(
    observed: &ObservedWindow<'_>,
    node: &SlowNode,
    shown: &[Pressed],
    mut claim: Claim,
) -> Claim {
    if shown.is_empty() {
        return claim;
    }
    let store = NodeIndex::Store(node.node);
    let readings = shown.iter().map(|one| findings::pressed(observed.evidence, store, one));
    claim.readings.extend(readings);
    if claim.against.is_empty() {
        claim.confidence = claim.confidence.max(SHOWN);
        claim.depends_on = None;
    }
    claim
}
