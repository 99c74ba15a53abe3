//! Failure modes of a stage of the work inside a store that is at its limit.

pub(super) mod apply_bound;
pub(super) mod bound_stage;
pub(super) mod grpc_saturation;
pub(super) mod raftstore_bound;
pub(super) mod scheduler_busy;
pub(super) mod write_stall;
