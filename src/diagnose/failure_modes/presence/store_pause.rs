//! A store's process exists and executes nothing: it is stopped, or its machine is frozen.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Presence;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_pause",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process stood still: neither dead nor cut off",
    said: None,
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.97,
    advice: Advice {
        check: "on its machine: ps -o stat,wchan -C tikv-server (T stopped, D disk)",
        remedy: "kill -CONT PID if it was stopped; or restart the machine (a change)",
        risk: "a restart ends requests in flight; its leaders have moved already",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let frozen = unplanned(observed, Presence::Frozen)
        .map(|outage| claim(observed, outage, witnesses(outage)));
    frozen.collect()
}
