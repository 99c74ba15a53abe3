//! RocksDB cannot keep up and slows writers down or stops them.

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::findings::finding::{FindingKind, PlotHow};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::Labels;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "write_stall",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "RocksDB stalls writers: compaction cannot keep up",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[REASONS, THROTTLE],
    judge,
};

const REASONS: &str = "tikv_engine_write_stall_reason";
const THROTTLE: &str = "tikv_scheduler_throttle_flow";

/// RocksDB counts each time that it slowed down or stopped a writer. Stopping is a stall whatever
/// the load; slowing down must last two scrapes.
fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let rate = |instance: &str, keep: fn(&Labels) -> bool| {
        observed.evidence.series.rate(REASONS, instance, keep)
    };
    let limit = Limit {
        metric: REASONS,
        how: PlotHow::Rate,
        kind: FindingKind::EngineStalled,
        meaning: "writers stopped or slowed down a second, over all reasons",
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.85,
    };
    let mut found = crossings(observed, &limit, |instance| rate(instance, |_| true));
    // Flow control delays writers before RocksDB has to: its rate is set only then.
    let limit = Limit {
        metric: THROTTLE,
        how: PlotHow::Gauge,
        meaning: "flow control lets through, bytes a second",
        confidence: 0.7,
        ..limit
    };
    found.extend(crossings(observed, &limit, |instance| {
        observed.evidence.series.gauge(THROTTLE, instance, |_| true)
    }));
    found
}
