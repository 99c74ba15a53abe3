//! So many snapshots are sent or received that other work of the store has to wait.

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::findings::finding::{FindingKind, PlotHow, number};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "snapshot_storm",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "snapshots crowd out the rest",
    said: Some("snapshots crowded out the rest"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[TRAFFIC],
    surest: 0.7,
    advice: Advice {
        check: "pd-ctl operator show; pd-ctl store limit; is a store Down?",
        remedy: "pd-ctl store limit all N with a lower N (a change)",
        risk: "repair takes longer, with fewer copies meanwhile",
        documentation: "https://docs.pingcap.com/tidb/stable/configure-store-limit",
        section: None,
    },
    judge,
};

const TRAFFIC: &str = "tikv_raftstore_snapshot_traffic_total";

/// PD lets a store send or receive at most 64 snapshots (`max-snapshot-count`) and adds peers at
/// 15 a minute; half of the limit, for two minutes, is more than rebalancing needs.
fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: TRAFFIC,
        how: PlotHow::Gauge,
        kind: FindingKind::SnapshotTraffic,
        text: |peak| format!("snapshots being sent or received: {}", number(peak)),
        least: 32.0,
        hold: 8,
        confidence: 0.7,
    };
    crossings(observed, &limit, |instance| {
        observed.evidence.series.gauge(TRAFFIC, instance, |_| true)
    })
}
