//! The raftstore threads are at their limit: proposals wait for a thread, not for the disk.

use crate::diagnose::failure_modes::saturation::bound_stage::{THREADS, busy_pools};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "raftstore_bound",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the raftstore's threads are saturated",
    said: Some("the raftstore's threads were saturated"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[THREADS],
    surest: 0.8,
    advice: Advice {
        check: "Grafana, TiKV-Details, Thread CPU; pd-ctl store: region_count",
        remedy: "raise raftstore.store-pool-size, or have fewer regions (a change)",
        risk: "more threads take CPU from reads; merging keeps PD busy for long",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.5"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    busy_pools(observed, |name| name.starts_with("raftstore_"))
}
