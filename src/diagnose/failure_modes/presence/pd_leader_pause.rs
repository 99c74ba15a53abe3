//! PD's leader executes nothing: its connections stay open and nobody answers, so others take over.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::Case;
use crate::diagnose::observations::Life;

/// The mode.
pub const MODE: Mode = Mode {
    name: "pd_leader_pause",
    row: 21,
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "PD's leader stood still and others took over",
    subsumes: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let silent = gone(case).filter(|outage| outage.led && !died(outage));
    silent
        .map(|outage| match outage.life {
            Life::MovedOn { .. } => {
                let mut claim = claim(case, outage);
                claim.confidence = 0.6;
                claim.but("its own counters went on: it was cut off rather than frozen")
            }
            _ => claim(case, outage),
        })
        .collect()
}
