//! Scans saturate the read pool.

use super::saturation::{Line, crossings};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, PlotHow, Target, TargetKind};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::model::Labels;

/// The mode.
pub const MODE: Mode = Mode {
    name: "coprocessor_pressure",
    row: 15,
    nature: Nature::Fault,
    depth: Depth::Workload,
    says: "scans fill the read pool",
    subsumes: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[ERRORS],
    judge,
};

const ERRORS: &str = "tikv_coprocessor_request_error";

fn crowded(labels: &Labels) -> bool {
    matches!(labels.get("reason"), Some("full" | "outdated"))
}

/// `full` and `outdated` are answered only once the queue of the read pool is full or a request
/// waited longer than it may (60 s by default).
fn judge(case: &Case<'_>) -> Vec<Claim> {
    let line = Line {
        metric: ERRORS,
        how: PlotHow::Rate,
        kind: FindingKind::RequestsRefused,
        meaning: "coprocessor requests refused or given up a second",
        limit: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.8,
    };
    let mut found =
        crossings(case, &line, |instance| case.evidence.series.rate(ERRORS, instance, crowded));
    for claim in &mut found {
        let mut target = Target::named(TargetKind::Workload, "workload");
        target.concerns.push(claim.target.text());
        claim.target = target;
    }
    found
}
