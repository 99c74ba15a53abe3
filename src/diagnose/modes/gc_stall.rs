//! The GC safe point stands still.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, Target};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::TimeRange;

/// The mode.
pub const MODE: Mode = Mode {
    name: "gc_stall",
    row: 29,
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "the GC safe point stands still",
    subsumes: &[],
    needs: &[Need::PdMembers],
    metrics: &[],
    judge,
};

/// GC runs every ten minutes by default (`tidb_gc_run_interval`); three missed rounds are a
/// stall. A cluster that never had a safe point has no GC, as one that is used raw.
const STALL_MS: i64 = 30 * 60_000;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let pd = &case.evidence.pd;
    let Some((at, point)) = pd.safe_points.iter().rev().find(|(_, point)| point.cluster > 0) else {
        return Vec::new();
    };
    let moved = pd.safe_points.iter().find(|(_, other)| other.cluster == point.cluster);
    let since = moved.map_or(*at, |(at, _)| *at);
    if case.open() - since < STALL_MS {
        return Vec::new();
    }
    let mut target = Target::cluster();
    target.concerns.extend(point.holder.iter().map(|(service, _)| format!("service {service}")));
    let mut claim = Claim::new(target.clone(), since, 60_000, 0.75);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SafePointStill,
        target,
        range: TimeRange::new(since, case.open()),
        uncertainty_ms: 60_000,
        lasts: true,
        text: match &point.holder {
            Some((service, _)) => {
                format!("the safe point does not move; {service} holds the least")
            }
            None => "the safe point does not move, and no service holds it".to_owned(),
        },
        read: ("PD /gc/safepoint", point.cluster.to_string()),
        plot: Vec::new(),
    }));
    vec![claim]
}
