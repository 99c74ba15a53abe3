//! The process died and stayed dead for longer than a restart takes.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::Case;
use crate::diagnose::hypotheses::planned_stops::is_short;
use crate::diagnose::observations::Presence;

/// The mode.
pub const MODE: Mode = Mode {
    name: "store_crash",
    row: 1,
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process died and stayed dead",
    subsumes: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for outage in unplanned(case, Presence::Died) {
        let claim = claim(case, outage, witnesses(outage));
        match outage.restart {
            Some(restart) if is_short(case, restart, outage) => {}
            Some(_) => found.push(claim),
            None => {
                let what = "whether it comes back: no new process was seen";
                found.push(claim.unchecked(what, "systemctl status tikv; dmesg | tail"));
            }
        }
    }
    found
}
