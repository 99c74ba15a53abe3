//! A store's process restarts again and again.

use crate::diagnose::failure_modes::presence::{store_crash, store_restart};
use std::collections::BTreeMap;

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Outage, Presence};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_flap",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process restarts again and again",
    said: Some("the store's process restarted again and again"),
    subsumes: &[&store_restart::MODE, &store_crash::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.96,
    advice: Advice {
        check: "tikv.log just before each start; dmesg -T for kills",
        remedy: "stop it until the cause is mended (a change); others serve meanwhile",
        risk: "with a second store gone, regions on both lose their quorum",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

/// How many restarts are a loop: two may still be two accidents.
const RESTARTS: usize = 3;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut by_store: BTreeMap<usize, Vec<&Outage>> = BTreeMap::new();
    for outage in unplanned(observed, Presence::Died).filter(|outage| outage.restart.is_some()) {
        by_store.entry(outage.store).or_default().push(outage);
    }
    let times = |outages: &[&Outage]| outages.iter().map(|outage| outage.restarts).sum::<usize>();
    let flaps = by_store.into_values().filter(|outages| times(outages) >= RESTARTS);
    flaps
        .map(|outages| {
            let mut flap = claim(observed, outages[0], 0.96);
            flap.end = outages.last().and_then(|outage| outage.end);
            let rest = outages.iter().skip(1).flat_map(|outage| outage.findings.iter().copied());
            flap.evidence.extend(rest);
            flap
        })
        .collect()
}
