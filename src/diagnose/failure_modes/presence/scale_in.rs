//! A store is being emptied and removed.

use crate::diagnose::failure_modes::presence::scaling::claims;
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "scale_in",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store is being removed",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    claims(observed, |moved| moved.leaves)
}
