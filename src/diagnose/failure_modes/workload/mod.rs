//! Failure modes of the workload: what clients request, and where it concentrates.

pub(super) mod coprocessor_pressure;
pub(super) mod hot_region;
pub(super) mod hot_region_read;
pub(super) mod hot_region_write;
pub(super) mod load_change;
pub(super) mod traffic_drop;
pub(super) mod traffic_surge;
