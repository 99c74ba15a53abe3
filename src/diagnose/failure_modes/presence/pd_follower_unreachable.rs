//! The broader answer to a PD member that did not lead and gives no answer: nobody refuses
//! connections for it, so its host and its port are there or it is cut off.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Liveness;

/// The mode.
pub const MODE: Mode = Mode {
    name: "pd_follower_unreachable",
    row: 21,
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "a PD member that did not lead gives no answer: frozen or cut off",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let silent = gone(observed).filter(|outage| !outage.led && !died(outage));
    silent
        .map(|outage| {
            let claim = claim(observed, outage);
            match outage.liveness {
                Liveness::StoodStill { .. } => claim.but("its counters stood still: it was frozen"),
                Liveness::MovedOn { .. } => claim.but("its counters went on: it was cut off"),
                Liveness::Unknown => claim.unchecked(
                    "whether the process stands still or is cut off",
                    "grep State /proc/$(pgrep pd-server)/status",
                ),
            }
        })
        .collect()
}
