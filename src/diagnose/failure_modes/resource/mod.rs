//! Failure modes of a resource of a node, or of the link between two: disk, network, CPU, clock.

pub(super) mod clock_drift;
pub(super) mod cpu_starved;
pub(super) mod disk_hang;
pub(super) mod node_stage;
pub(super) mod pd_overloaded;
mod pressure;
pub(super) mod slow_disk;
pub(super) mod slow_link;
pub(super) mod slow_network;
