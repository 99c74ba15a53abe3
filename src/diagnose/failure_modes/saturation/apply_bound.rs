//! The apply threads are at their limit: committed entries wait to be applied.

use crate::diagnose::failure_modes::saturation::bound_stage::{THREADS, busy_pools};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "apply_bound",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the apply threads are saturated",
    said: Some("the apply threads were saturated"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[THREADS],
    surest: 0.8,
    advice: Advice {
        check: "Thread CPU of each apply thread: one alone is a hot region",
        remedy: "split the hot region, or raise raftstore.apply-pool-size (a change)",
        risk: "more threads take CPU and disk from others",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.5"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    busy_pools(observed, |name| name.starts_with("apply_") && !name.starts_with("apply_low"))
}
