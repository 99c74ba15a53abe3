//! A store runs and reaches its peers, and is cut off from PD.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Presence, Reachability};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_pd_partition",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store serves its peers and cannot reach PD",
    said: Some("the store served its peers and could not reach PD"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "from its machine: nc -zv PD 2379, for every member of PD",
        remedy: "open the way from the store to every PD member (a change)",
        risk: "PD schedules without it, and replaces it, by default after 30 min",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let cut: Vec<_> = unplanned(observed, Presence::CutFromPd).collect();
    // Where PD hears no store at all, it is PD that is cut off.
    if cut.len() >= 2 && cut.len() == observed.evidence.nodes.stores.len() {
        return Vec::new();
    }
    let heard = |by: Reachability| by == Reachability::Heard;
    cut.into_iter()
        .map(|outage| {
            let both =
                heard(outage.prometheus) && (heard(outage.outbound) || heard(outage.inbound));
            claim(observed, outage, if both { 0.95 } else { 0.75 })
        })
        .collect()
}
