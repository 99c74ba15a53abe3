//! Messages between a store and the others pass in one direction only.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Presence, Reachability};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_asymmetric_partition",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "messages pass in one direction only",
    said: Some("messages passed in one direction only"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.85,
    advice: Advice {
        check: "nc -zv STORE 20160 both ways; iptables -L -n or nft list ruleset",
        remedy: "take back the rule or route that drops one direction (a change)",
        risk: "elections go on and on while only one direction passes",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

/// How long it must last, in milliseconds: longer than an election, as for a store that is cut off from
/// its peers.
const LASTS_MS: i64 = 20_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let one_way = unplanned(observed, Presence::OneWay);
    let lasting = one_way
        .filter(|outage| outage.end.unwrap_or(observed.open()) - outage.last_sign > LASTS_MS);
    lasting
        .map(|outage| {
            let claim = claim(observed, outage, 0.85);
            match outage.inbound {
                Reachability::Silent => claim.but("its own messages still reach its peers"),
                _ => claim.but("messages of its peers still reach it"),
            }
        })
        .collect()
}
