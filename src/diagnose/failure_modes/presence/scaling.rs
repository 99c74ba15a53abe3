//! What the planned changes of the number of stores have in common.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Moved;

/// A claim for each store that joined or leaves, as `is_meant` chooses.
pub fn claims(observed: &ObservedWindow<'_>, is_meant: fn(&Moved) -> bool) -> Vec<Claim> {
    let moved = observed.moved.iter().filter(|(moved, _)| is_meant(moved));
    moved
        .map(|(moved, finding)| {
            let target = Target::store(&observed.evidence.nodes.stores[moved.store]);
            let mut claim = Claim::new(target, moved.at, 5_000, 0.97);
            claim.stores = vec![moved.store];
            // Regions leave and arrive for hours.
            let id = observed.evidence.nodes.stores[moved.store].id;
            let history = id.and_then(|id| observed.evidence.pd.stores.get(&id));
            claim.acted = history.and_then(|history| Some(history.counts.last()?.0));
            claim.evidence = vec![*finding];
            claim
        })
        .collect()
}
