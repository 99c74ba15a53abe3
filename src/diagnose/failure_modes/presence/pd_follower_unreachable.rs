//! A PD member that did not lead gives no answer, and whether it is frozen or cut off is unknown. Its
//! connections are not refused, so its process exists or the member is cut off.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Liveness;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_follower_unreachable",
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
