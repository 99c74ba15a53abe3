//! A store's process died and stayed dead for longer than a restart takes.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::planned_stops::is_short;
use crate::diagnose::observations::Presence;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_crash",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process died and stayed dead",
    said: Some("the store's process died and was not restarted at once"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.97,
    advice: Advice {
        check: "on its machine: systemctl status, dmesg -T, the end of tikv.log",
        remedy: "start it again (a change) once the log says why it ended",
        risk: "damaged data ends it again; PD replaces it, by default after 30 min",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.1"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for outage in unplanned(observed, Presence::Died) {
        let claim = claim(observed, outage, witnesses(outage));
        match outage.restart {
            Some(restart) if is_short(observed, restart, outage) => {}
            Some(_) if claim.end.is_some() => found.push(claim),
            Some(_) => found.push(Claim {
                says: Some(
                    "the store's process died, was started again and is not back yet".into(),
                ),
                advice: Some(Advice {
                    remedy: "none yet, since it was started again: see whether it comes back",
                    ..MODE.advice
                }),
                ..claim
            }),
            None => {
                let what = "whether it comes back: no new process was seen";
                let way = observed.evidence.nodes.way_to_store(outage.store);
                found.push(claim.unchecked(what, &way.end_of("tikv")));
            }
        }
    }
    found
}
