//! A store is gone, and whether its process died, is frozen or is cut off is unknown until it comes back.

use crate::diagnose::failure_modes::presence::store_presence::{
    METRICS, claim, unplanned, witnesses,
};
use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::host_signs::whereabouts;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{LostStore, Presence, is_moment, lost_stores};
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_unreachable",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store is gone: crashed hard, frozen or cut off",
    said: Some("the store was gone: crashed hard, frozen or cut off"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores, Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.97,
    advice: Advice {
        check: "does its machine answer? there: ps -o stat,wchan -C tikv-server",
        remedy: "start it, continue it or mend its link, as found (each a change)",
        risk: "PD counts it Down, by default after 30 min, and copies its regions",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.4"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let gone = unplanned(observed, Presence::Gone).map(|outage| {
        let way = observed.evidence.nodes.way_to_store(outage.store);
        let mut claim = claim(observed, outage, witnesses(outage));
        claim.detail = whereabouts(observed, outage).map(str::to_owned);
        claim.unchecked_now(
            "whether its counters go on: store_pause and store_partition look alike until then",
            &way.state_of("tikv-server"),
        )
    });
    let mut found: Vec<Claim> = gone.collect();
    if is_moment(observed.evidence) && found.is_empty() {
        found = lost_stores(observed.evidence).iter().map(|one| lost(observed, one)).collect();
    }
    found
}

/// The claim of a store of which one answer of PD's is all that is known.
fn lost(observed: &ObservedWindow<'_>, one: &LostStore) -> Claim {
    let known = &observed.evidence.nodes.stores[one.store];
    let confidence = if one.state == "Down" { 0.85 } else { 0.7 };
    let target = Target::store(known);
    let mut claim = Claim::new(target.clone(), one.heard, HEARTBEAT_MS, confidence);
    claim.stores = vec![one.store];
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SilentToPd,
        target,
        range: TimeRange::new(one.at, observed.open().max(one.at)),
        uncertainty_ms: HEARTBEAT_MS,
        lasts: true,
        text: format!("PD lists it as {}, last heard {}", one.state, one.heard),
        read: ("PD /stores state_name", one.state.clone()),
        plot: Vec::new(),
    }));
    let way = observed.evidence.nodes.way_to_store(one.store);
    claim.unchecked_now("whether its process runs", &way.state_of("tikv-server"))
}

/// How often a store sends a heartbeat, in milliseconds.
const HEARTBEAT_MS: i64 = 10_000;
