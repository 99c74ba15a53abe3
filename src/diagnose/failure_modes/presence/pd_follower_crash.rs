//! A PD member that did not lead died.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_follower_crash",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "a PD member that did not lead died",
    said: None,
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "pd-ctl health; on its machine: systemctl status, the end of pd.log",
        remedy: "start the member again (a change)",
        risk: "until it is back, one more member lost may stop all of PD",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let followers = gone(observed).filter(|outage| !outage.led && died(outage));
    followers.map(|outage| claim(observed, outage)).collect()
}
