//! A resource of a node or of the way between two: disk, network, processor, clock.

pub(super) mod clock_drift;
pub(super) mod cpu_starved;
pub(super) mod disk_hang;
pub(super) mod node_stage;
pub(super) mod pd_overloaded;
pub(super) mod slow_disk;
pub(super) mod slow_link;
pub(super) mod slow_network;
