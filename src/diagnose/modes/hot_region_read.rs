//! A few regions take most of the reads.

use super::hot_region::judge_kind;
use super::workload::METRICS;
use crate::diagnose::case::Case;
use crate::diagnose::flows::FlowKind;
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};

/// The mode.
pub const MODE: Mode = Mode {
    name: "hot_region_read",
    row: 13,
    nature: Nature::Fault,
    depth: Depth::Workload,
    says: "a few regions take most of the reads",
    subsumes: &["traffic_surge"],
    needs: &[Need::TikvMetrics, Need::PdStores],
    metrics: &METRICS,
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    judge_kind(case, FlowKind::Read)
}
