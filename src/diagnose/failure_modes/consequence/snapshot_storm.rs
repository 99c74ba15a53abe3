//! Snapshots crowd out the rest.

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::findings::finding::{FindingKind, PlotHow};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The mode.
pub const MODE: Mode = Mode {
    name: "snapshot_storm",
    row: 19,
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "snapshots crowd out the rest",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[TRAFFIC],
    judge,
};

const TRAFFIC: &str = "tikv_raftstore_snapshot_traffic_total";

/// PD lets a store send or receive at most 64 snapshots (`max-snapshot-count`) and adds peers at
/// 15 a minute; half of the limit, for two minutes, is no rebalancing.
fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let line = Limit {
        metric: TRAFFIC,
        how: PlotHow::Gauge,
        kind: FindingKind::SnapshotTraffic,
        meaning: "snapshots being sent or received",
        limit: 32.0,
        hold: 8,
        confidence: 0.7,
    };
    crossings(observed, &line, |instance| {
        observed.evidence.series.gauge(TRAFFIC, instance, |_| true)
    })
}
