//! Failure modes that usually follow from something else. They are causes where nothing deeper is found.

pub(super) mod gc_stall;
pub(super) mod imbalance;
pub(super) mod peers_stuck;
pub(super) mod region_unavailable;
pub(super) mod scheduling_halted;
pub(super) mod snapshot_storm;
