//! The store runs and its peers hear it; PD does not.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::Case;
use crate::diagnose::observations::{Presence, View};

/// The mode.
pub const MODE: Mode = Mode {
    name: "store_pd_partition",
    row: 26,
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store serves its peers and cannot reach PD",
    subsumes: &[],
    needs: &[Need::PdStores],
    metrics: &METRICS,
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let cut: Vec<_> = unplanned(case, Presence::CutFromPd).collect();
    // Where PD hears no store at all, it is PD that is cut off.
    if cut.len() >= 2 && cut.len() == case.evidence.nodes.stores.len() {
        return Vec::new();
    }
    let heard = |view: View| view == View::Heard;
    cut.into_iter()
        .map(|outage| {
            let both =
                heard(outage.prometheus) && (heard(outage.outbound) || heard(outage.inbound));
            claim(case, outage, if both { 0.95 } else { 0.75 })
        })
        .collect()
}
