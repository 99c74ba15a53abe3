//! What clients ask for, and where it gathers.

pub(super) mod coprocessor_pressure;
pub(super) mod hot_region;
pub(super) mod hot_region_read;
pub(super) mod hot_region_write;
pub(super) mod load_change;
pub(super) mod traffic_surge;
