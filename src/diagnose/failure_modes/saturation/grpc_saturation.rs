//! The gRPC threads are at their limit: requests wait before any other stage gets them.

use crate::diagnose::failure_modes::saturation::bound_stage::{THREADS, busy_pools};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "grpc_saturation",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the gRPC threads are saturated",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[THREADS],
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    busy_pools(observed, |name| name.starts_with("grpc_server"))
}
