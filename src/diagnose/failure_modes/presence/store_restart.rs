//! A store's process died or was stopped, and a new one ran within about a minute.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::planned_stops::is_short;
use crate::diagnose::observations::Presence;
use crate::model::ScrapedBy;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_restart",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process was replaced by a new one at once",
    said: None,
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "on its machine: dmesg -T, the journal, the end of the old tikv.log",
        remedy: "none if somebody restarted it; else mend what ended the process",
        risk: "unmended, it ends again, and its leaders move again",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let short = unplanned(observed, Presence::Died)
        .filter(|outage| outage.restart.is_some_and(|restart| is_short(observed, restart, outage)));
    let unknown = match observed.evidence.scraped_by {
        ScrapedBy::Prometheus => "what ended the old process: neither Prometheus nor PD tells",
        ScrapedBy::Recorder => "what ended the old process: neither metrics nor PD tell",
    };
    short
        .map(|outage| {
            // A new start time is proof; only the reason is open.
            let way = observed.evidence.nodes.way_to_store(outage.store);
            let command = way.end_beside("tikv", "journalctl -u tikv; tail tikv.log");
            claim(observed, outage, 0.95).unchecked(unknown, &command)
        })
        .collect()
}
