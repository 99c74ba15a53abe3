//! The catalogue of failure modes and of changes: one file each, listed here.
//!
//! A new mode is a file with a `MODE` constant and a line in [`ALL`].

use super::mode::Mode;

mod apply_bound;
mod clock_drift;
mod config_change;
mod coprocessor_pressure;
mod cpu_starved;
mod data_corruption;
mod disk_full;
mod disk_hang;
mod gc_stall;
mod grpc_saturation;
mod hot_region;
mod hot_region_read;
mod hot_region_write;
mod imbalance;
mod node_stage;
mod oom_kill;
mod pd_follower_crash;
mod pd_follower_unreachable;
mod pd_leader_crash;
mod pd_leader_pause;
mod pd_leader_transfer;
mod pd_overloaded;
mod pd_presence;
mod pd_quorum_loss;
mod peers_stuck;
mod planned_drain;
mod raftstore_bound;
mod region_unavailable;
mod rolling_restart;
mod saturation;
mod scale_in;
mod scale_out;
mod scheduler_busy;
mod scheduling_halted;
mod scrape_loss;
mod slow_disk;
mod slow_link;
mod slow_network;
mod snapshot_storm;
mod store_asymmetric_partition;
mod store_crash;
mod store_flap;
mod store_partition;
mod store_pause;
mod store_pd_partition;
mod store_peer_partition;
mod store_presence;
mod store_restart;
mod store_unreachable;
mod traffic_surge;
mod workload;
mod write_stall;

/// Every mode, in the order of the catalogue.
pub const ALL: &[Mode] = &[
    store_crash::MODE,
    store_restart::MODE,
    store_flap::MODE,
    store_pause::MODE,
    store_partition::MODE,
    store_unreachable::MODE,
    store_pd_partition::MODE,
    store_peer_partition::MODE,
    store_asymmetric_partition::MODE,
    oom_kill::MODE,
    disk_full::MODE,
    disk_hang::MODE,
    slow_disk::MODE,
    slow_network::MODE,
    cpu_starved::MODE,
    write_stall::MODE,
    raftstore_bound::MODE,
    apply_bound::MODE,
    hot_region_write::MODE,
    hot_region_read::MODE,
    scheduler_busy::MODE,
    coprocessor_pressure::MODE,
    imbalance::MODE,
    region_unavailable::MODE,
    peers_stuck::MODE,
    snapshot_storm::MODE,
    data_corruption::MODE,
    pd_leader_crash::MODE,
    pd_follower_crash::MODE,
    pd_leader_pause::MODE,
    pd_follower_unreachable::MODE,
    pd_quorum_loss::MODE,
    pd_overloaded::MODE,
    clock_drift::MODE,
    grpc_saturation::MODE,
    scheduling_halted::MODE,
    gc_stall::MODE,
    traffic_surge::MODE,
    planned_drain::MODE,
    rolling_restart::MODE,
    scale_in::MODE,
    scale_out::MODE,
    pd_leader_transfer::MODE,
    config_change::MODE,
    scrape_loss::MODE,
];
