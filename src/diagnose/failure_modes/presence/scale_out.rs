//! A store joined and is being filled.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "scale_out",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store joined the cluster",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let moved = observed.moved.iter().filter(|(one, _)| !one.leaves);
    moved
        .map(|(one, finding)| {
            let target = Target::store(&observed.evidence.nodes.stores[one.store]);
            let mut claim = Claim::new(target, one.at, 5_000, 0.97);
            claim.stores = vec![one.store];
            claim.evidence = vec![*finding];
            claim
        })
        .collect()
}
