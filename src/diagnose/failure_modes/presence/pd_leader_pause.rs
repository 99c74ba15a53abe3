//! PD's leader executes nothing: its connections stay open without an answer, and another member takes
//! over.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Liveness;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_leader_pause",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "PD's leader stood still and others took over",
    said: None,
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "on its machine: ps -o stat,wchan -C pd-server; iostat -x 1 3",
        remedy: "kill -CONT PID where it was stopped, or restart it (each a change)",
        risk: "until it is back, one more member lost may stop all of PD",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let silent = gone(observed).filter(|outage| outage.led && !died(outage));
    silent
        .map(|outage| match outage.liveness {
            Liveness::MovedOn { .. } => {
                let mut claim = claim(observed, outage);
                claim.confidence = 0.6;
                claim.but("its own counters went on: it was cut off rather than frozen")
            }
            _ => claim(observed, outage),
        })
        .collect()
}
