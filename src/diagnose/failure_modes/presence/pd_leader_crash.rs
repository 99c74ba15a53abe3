//! PD's leader died.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_leader_crash",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "PD's leader died",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    gone(observed)
        .filter(|outage| outage.led && died(outage))
        .map(|outage| claim(observed, outage))
        .collect()
}
