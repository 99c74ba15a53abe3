//! A few regions take most of the reads.

use crate::diagnose::failure_modes::workload::hot_region::judge_kind;
use crate::diagnose::failure_modes::workload::load_change::METRICS;
use crate::diagnose::failure_modes::workload::traffic_surge;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::pd::FlowKind;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "hot_region_read",
    nature: Nature::Fault,
    depth: Depth::Workload,
    says: "a few regions take most of the reads",
    said: Some("a few regions took most of the reads"),
    subsumes: &[&traffic_surge::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics, Need::PdStores],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "pd-ctl hot read, then pd-ctl region ID for the keys of the first",
        remedy: "pd-ctl operator add split-region ID (a change); better: spread reads",
        risk: "a single hot key cannot be split: cache it at the client",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-hot-spot-issues",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    judge_kind(observed, FlowKind::Read)
}
