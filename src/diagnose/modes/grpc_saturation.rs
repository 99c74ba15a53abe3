//! gRPC threads at their limit: requests wait before any other stage sees them.

use super::saturation::{Line, crossings, pool_share};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, PlotHow};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};

/// The mode.
pub const MODE: Mode = Mode {
    name: "grpc_saturation",
    row: 27,
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the gRPC threads are saturated",
    subsumes: &[],
    needs: &[Need::TikvMetrics],
    metrics: &["tikv_thread_cpu_seconds_total"],
    judge,
};

/// The official alert on this pool fires at 80 % of its threads (`TiKV_raftstore_thread_cpu` and
/// its kin); it must hold for a minute, so that a burst is none.
const BUSY: f64 = 0.8;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let line = Line {
        metric: "tikv_thread_cpu_seconds_total",
        how: PlotHow::Rate,
        kind: FindingKind::ThreadsSaturated,
        meaning: "share of the pool's threads that is busy",
        limit: BUSY,
        hold: 4,
        confidence: 0.8,
    };
    crossings(case, &line, |instance| {
        pool_share(case, instance, |name| name.starts_with("grpc_server"))
    })
}
