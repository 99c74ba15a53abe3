//! A store is gone, and whether its process died, is frozen or is cut off is unknown until it comes back.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Presence;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_unreachable",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store is gone: crashed hard, frozen or cut off",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let gone = unplanned(observed, Presence::Gone).map(|outage| {
        let address = &observed.evidence.nodes.stores[outage.store].address;
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        claim(observed, outage, witnesses(outage)).unchecked(
            "whether its counters go on: store_pause and store_partition look alike until then",
            &format!(
                "ssh {host} 'pgrep -a tikv-server; grep State /proc/$(pgrep tikv-server)/status'"
            ),
        )
    });
    gone.collect()
}
