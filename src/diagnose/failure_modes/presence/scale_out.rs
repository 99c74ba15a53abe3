//! A store joined and is being filled.

use crate::diagnose::failure_modes::presence::scaling::claims;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "scale_out",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "a store joined the cluster",
    said: None,
    subsumes: &[],
    never_explains: &[Depth::Resource, Depth::Workload],
    needs: &[Need::PdStores],
    metrics: &[],
    surest: 0.97,
    advice: Advice {
        check: "pd-ctl store ID: Up, with a region_count that rises?",
        remedy: "none; pd-ctl store limit ID N slows the filling (a change)",
        risk: "slower filling leaves the other stores loaded for longer",
        documentation: "https://docs.pingcap.com/tidb/stable/scale-tidb-using-tiup",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    claims(observed, |moved| !moved.leaves)
}
