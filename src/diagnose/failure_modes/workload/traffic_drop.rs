//! Clients request much less of all stores alike, and nothing else is wrong.

use crate::diagnose::failure_modes::workload::load_change::METRICS;
use crate::diagnose::findings::finding::{
    Finding, FindingKind, Magnitude, Target, TargetKind, number,
};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::load_falls::clients_fell;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::REQUESTS;
use crate::diagnose::survey::falling;
use crate::model::TimeRange;

/// The declaration of this change.
pub const MODE: Mode = Mode {
    name: "traffic_drop",
    nature: Nature::Change,
    depth: Depth::Workload,
    says: "clients ask for much less, of all stores alike",
    said: Some("clients asked for much less, of all stores alike"),
    subsumes: &[],
    // Less work makes nothing wait or fail.
    never_explains: &Depth::ALL,
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.9,
    advice: Advice {
        check: "are the clients there? their own logs, and what is before them",
        remedy: "none in the cluster, unless clients wait for it",
        risk: "clients that return all at once find cold caches",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for fall in falling(&observed.requests_of_all) {
        let range = TimeRange::new(fall.onset, fall.end.unwrap_or(observed.open()));
        let Some((before, now)) = clients_fell(observed, range) else { continue };
        if observed.disturbed(fall.onset) {
            continue;
        }
        let target = Target::named(TargetKind::Workload, "workload");
        let uncertainty_ms = (fall.first - fall.onset).max(1_000);
        let mut claim = Claim::new(target.clone(), fall.onset, uncertainty_ms, 0.9);
        claim.end = fall.end;
        let reading = crossing(Crossing {
            kind: FindingKind::LoadFell,
            target,
            range,
            uncertainty_ms,
            lasts: fall.end.is_none(),
            text: format!(
                "clients ask for {} requests a second after {}, of all stores alike",
                number(now),
                number(before)
            ),
            read: (&format!("sum(rate({REQUESTS}[1m]))"), number(now)),
            plot: Vec::new(),
        });
        let magnitude = Magnitude { baseline: before, typical: now, peak: fall.peak, unit: "1/s" };
        claim.readings.push(Finding { magnitude: Some(magnitude), ..reading });
        found.push(claim);
    }
    found
}
