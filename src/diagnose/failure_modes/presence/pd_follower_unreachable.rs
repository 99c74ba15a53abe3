//! The broader answer to a PD member that did not lead and gives no answer: nobody refuses
//! connections for it, so its host and its port are there or it is cut off.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::Case;
use crate::diagnose::observations::Life;

/// The mode.
pub const MODE: Mode = Mode {
    name: "pd_follower_unreachable",
    row: 21,
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "a PD member that did not lead gives no answer: frozen or cut off",
    subsumes: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let silent = gone(case).filter(|outage| !outage.led && !died(outage));
    silent
        .map(|outage| {
            let claim = claim(case, outage);
            match outage.life {
                Life::StoodStill { .. } => claim.but("its counters stood still: it was frozen"),
                Life::MovedOn { .. } => claim.but("its counters went on: it was cut off"),
                Life::Unknown => claim.unchecked(
                    "whether the process stands still or is cut off",
                    "grep State /proc/$(pgrep pd-server)/status",
                ),
            }
        })
        .collect()
}
