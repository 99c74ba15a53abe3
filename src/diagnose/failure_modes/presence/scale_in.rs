//! A store is being emptied and removed.

use crate::diagnose::failure_modes::presence::scaling::claims;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "scale_in",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store is being removed",
    said: Some("a store was removed"),
    subsumes: &[],
    never_explains: &[Depth::Resource, Depth::Workload],
    needs: &[Need::PdStores],
    metrics: &[],
    surest: 0.97,
    advice: Advice {
        check: "pd-ctl store ID: Offline, with a region_count that falls?",
        remedy: "none if planned; else pd-ctl store cancel-delete ID (a change)",
        risk: "without enough other stores the removal never ends",
        documentation: "https://docs.pingcap.com/tidb/stable/scale-tidb-using-tiup",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    claims(observed, |moved| moved.leaves)
}
