//! The gRPC threads are at their limit: requests wait before any other stage gets them.

use crate::diagnose::failure_modes::saturation::bound_stage::{THREADS, busy_pools};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "grpc_saturation",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the gRPC threads are saturated",
    said: Some("the gRPC threads were saturated"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[THREADS],
    surest: 0.8,
    advice: Advice {
        check: "Grafana, TiKV-Details, gRPC CPU; requests by type; region_count",
        remedy: "raise server.grpc-concurrency and restart the store (a change)",
        risk: "its leaders move; more threads take CPU from others",
        documentation: "https://docs.pingcap.com/tidb/stable/tune-tikv-thread-performance",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    busy_pools(observed, |name| name.starts_with("grpc_server"))
}
