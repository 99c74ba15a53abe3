//! Clients request much more of all stores alike, and nothing is broken.

use crate::diagnose::failure_modes::workload::load_change::{METRICS, Spread, spread, weigh};
use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "traffic_surge",
    nature: Nature::Fault,
    depth: Depth::Workload,
    says: "clients ask for much more, of all stores alike",
    said: Some("clients asked for much more, of all stores alike"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.92,
    advice: Advice {
        check: "requests by type since the onset: which client, which release?",
        remedy: "limit or spread the clients; add stores if it stays (a change)",
        risk: "a new store costs the others work until it is filled",
        documentation: "https://docs.pingcap.com/tidb/stable/scale-tidb-using-tiup",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let even = observed.rises.iter().filter(|(rise, _)| spread(rise) == Spread::Even);
    even.map(|(rise, finding)| {
        let departure = &rise.departure;
        let target = Target::named(TargetKind::Workload, "workload");
        // Twice the load is beyond doubt; a third more may be a busier minute.
        let confidence = match departure.ratio() {
            ratio if ratio >= 1.8 => 0.92,
            ratio if ratio >= 1.5 => 0.75,
            _ => 0.6,
        };
        let mut claim = Claim::new(target, departure.onset, departure.uncertainty_ms, confidence);
        if !rise.part.is_empty() {
            claim.confidence = claim.confidence.min(OF_A_PART);
            let stores = observed.evidence.nodes.stores.len();
            claim.says = Some(format!(
                "clients ask for much more, of {} of {stores} stores alike",
                rise.part.len()
            ));
        }
        claim.end = departure.end;
        claim.evidence = vec![*finding];
        weigh(observed, rise, 0.3, claim)
    })
    .collect()
}

/// How sure it is at most where only some stores have more to do: who asks is not known, and which data.
const OF_A_PART: f64 = 0.85;
