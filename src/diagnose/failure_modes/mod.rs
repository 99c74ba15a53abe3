//! The catalogue of failure modes and of planned changes: a file for each, and a line for each in [`ALL`].
//!
//! A new mode is a file with a `MODE` constant, the line that declares its module, and a line in [`ALL`].
//! No other code names a mode: what judging has to know of it stands in its declaration.

use crate::diagnose::hypotheses::mode::Mode;

mod consequence;
pub(super) mod look_alikes;
mod presence;
mod resource;
mod saturation;
mod unexplained;
mod workload;

/// Every failure mode and planned change, in the order of the catalogue.
pub const ALL: &[Mode] = &[
    presence::store_crash::MODE,
    presence::store_never_up::MODE,
    presence::store_restart::MODE,
    presence::store_flap::MODE,
    presence::store_pause::MODE,
    presence::store_partition::MODE,
    presence::store_unreachable::MODE,
    presence::store_pd_partition::MODE,
    presence::store_peer_partition::MODE,
    presence::store_asymmetric_partition::MODE,
    presence::oom_kill::MODE,
    presence::disk_full::MODE,
    resource::disk_hang::MODE,
    resource::slow_disk::MODE,
    resource::slow_network::MODE,
    resource::cpu_starved::MODE,
    saturation::write_stall::MODE,
    saturation::raftstore_bound::MODE,
    saturation::apply_bound::MODE,
    workload::hot_region_write::MODE,
    workload::hot_region_read::MODE,
    saturation::scheduler_busy::MODE,
    workload::coprocessor_pressure::MODE,
    consequence::imbalance::MODE,
    consequence::region_unavailable::MODE,
    consequence::peers_stuck::MODE,
    consequence::snapshot_storm::MODE,
    presence::data_corruption::MODE,
    presence::pd_leader_crash::MODE,
    presence::pd_follower_crash::MODE,
    presence::pd_leader_pause::MODE,
    presence::pd_follower_unreachable::MODE,
    presence::pd_quorum_loss::MODE,
    presence::pd_member_duplicate::MODE,
    resource::pd_overloaded::MODE,
    resource::clock_drift::MODE,
    saturation::grpc_saturation::MODE,
    consequence::scheduling_halted::MODE,
    consequence::gc_stall::MODE,
    workload::traffic_surge::MODE,
    presence::planned_drain::MODE,
    presence::rolling_restart::MODE,
    presence::scale_in::MODE,
    presence::scale_out::MODE,
    presence::pd_leader_transfer::MODE,
    presence::config_change::MODE,
    presence::setting_change::MODE,
    presence::scrape_loss::MODE,
    workload::traffic_drop::MODE,
    unexplained::MODE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::hypotheses::mode::Advice;

    /// Commands and words that change something, as a check must not.
    const CHANGES: [&str; 14] = [
        "(a change)",
        " add ",
        " remove",
        " delete",
        " set ",
        " resume",
        " pause",
        "transfer NAME",
        "kill ",
        "systemctl restart",
        "systemctl start",
        "systemctl stop",
        "split-region",
        "limit all",
    ];

    #[test]
    fn every_mode_says_what_to_do_in_lines_that_fit_80_columns() {
        for mode in ALL {
            let Advice { check, remedy, risk, documentation, .. } = mode.advice;
            for line in [check, remedy, risk, &mode.advice.reference()] {
                let length = line.chars().count();
                assert!((1..=Advice::LINE).contains(&length), "{}: {line}", mode.name);
                assert!(!line.ends_with('.') && !line.contains('\n'), "{}: {line}", mode.name);
            }
            let site = "https://docs.pingcap.com/tidb/stable/";
            assert!(documentation.starts_with(site), "{}: {documentation}", mode.name);
        }
    }

    #[test]
    fn a_check_changes_nothing_and_a_remedy_says_where_it_changes_something() {
        for mode in ALL {
            let Advice { check, remedy, risk, .. } = mode.advice;
            let changes = |line: &str| CHANGES.iter().any(|word| line.contains(word));
            assert!(!changes(check), "{}: {check}", mode.name);
            for line in [remedy, risk] {
                let command = ["pd-ctl scheduler", "pd-ctl operator", "pd-ctl unsafe", "kill -"];
                let is_command = command.iter().any(|start| line.contains(start));
                assert!(!is_command || line.contains("a change"), "{}: {line}", mode.name);
            }
        }
    }
}
