//! A store runs and reaches PD, and is cut off from its peers; or a single link between two stores is
//! broken.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Presence, Reachability};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_peer_partition",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store reaches PD and not its peers",
    said: Some("the store reached PD and not its peers"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "between the two machines, both ways: nc -zv STORE 20160",
        remedy: "open the way between the stores (a change)",
        risk: "leaders without followers serve no writes until they move",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

/// How long messages must be undeliverable, in milliseconds: longer than an election (20 s at most). A
/// peer that restarts is missed for a few seconds.
const LASTS_MS: i64 = 20_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let cut = unplanned(observed, Presence::CutFromPeers);
    let lasting =
        cut.filter(|outage| outage.end.unwrap_or(observed.open()) - outage.last_sign > LASTS_MS);
    lasting
        .filter(|outage| {
            !observed.outages.iter().any(|other| {
                // Peers of a failed store report it, and it reports them: that store is the cause.
                let touches =
                    outage.row.contains(&other.store) || outage.column.contains(&other.store);
                touches
                    && other.pd == Reachability::Silent
                    && other.range(observed.open()).overlaps(&outage.range(observed.open()))
            })
        })
        .map(|outage| {
            let both = !outage.row.is_empty() && !outage.column.is_empty();
            claim(observed, outage, if both { 0.95 } else { 0.7 })
        })
        .collect()
}
