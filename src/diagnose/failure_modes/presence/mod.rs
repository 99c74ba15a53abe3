//! Failure modes of presence: a store, a PD member or a link is gone. Planned changes stand here too.

pub(super) mod config_change;
pub(super) mod data_corruption;
pub(super) mod disk_full;
pub(super) mod oom_kill;
pub(super) mod pd_follower_crash;
pub(super) mod pd_follower_unreachable;
pub(super) mod pd_leader_crash;
pub(super) mod pd_leader_pause;
pub(super) mod pd_leader_transfer;
pub(super) mod pd_presence;
pub(super) mod pd_quorum_loss;
pub(super) mod planned_drain;
pub(super) mod rolling_restart;
pub(super) mod scale_in;
pub(super) mod scale_out;
mod scaling;
pub(super) mod scrape_loss;
pub(super) mod store_asymmetric_partition;
pub(super) mod store_crash;
pub(super) mod store_flap;
pub(super) mod store_partition;
pub(super) mod store_pause;
pub(super) mod store_pd_partition;
pub(super) mod store_peer_partition;
pub(super) mod store_presence;
pub(super) mod store_restart;
pub(super) mod store_unreachable;
