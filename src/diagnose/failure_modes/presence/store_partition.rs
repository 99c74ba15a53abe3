//! A store runs and is cut off from both PD and its peers.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Presence, Reachability};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_partition",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store runs and is cut off from PD and from its peers",
    said: Some("the store ran and was cut off from PD and from its peers"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.97,
    advice: Advice {
        check: "from another machine: nc -zv STORE 20160; from it: nc -zv PD 2379",
        remedy: "take back the rule, route or switch change that cut it (a change)",
        risk: "restarting TiKV mends no link; a second store cut breaks quorums",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let cut = unplanned(observed, Presence::CutOff).map(|outage| {
        let claim = claim(observed, outage, witnesses(outage));
        match outage.prometheus {
            Reachability::Heard => {
                let who = observed.evidence.scraped_by.text();
                claim.but(&format!("{who} hears it: it stands on the store's side"))
            }
            _ => claim,
        }
    });
    cut.collect()
}
