//! A third set of public incidents, collected after diagnosis had been fitted to the others, to measure what it
//! makes of incidents that nobody has in mind.
//!
//! They stand in ascending order of repository and number, and every third of them is held out: the third, the
//! sixth, and so on.

mod of_pd;
mod of_stores;

use super::{Half, Incident, Place};

/// The incidents, ascending by repository and number.
pub const INCIDENTS: &[Incident] = &[
    Incident {
        name: "patrol-takes-an-hour",
        thread: "tikv/pd#7726",
        cause: "PD takes 56 minutes to look at each region once: a store that is being removed keeps its regions",
        modes: &["scheduling_halted", "unexplained", "pd_overloaded", "peers_stuck"],
        place: Place::Scheduling,
        leads: &["patrol"],
        half: Half::Tuned,
        change: of_pd::patrol_takes_an_hour,
    },
    Incident {
        name: "get-region-flood",
        thread: "tikv/pd#8800",
        cause: "clients ask PD's leader for 66,000 regions a second: 36 cores, 244,000 goroutines",
        modes: &["pd_overloaded", "unexplained", "traffic_surge"],
        place: Place::PdLeader,
        leads: &["go_goroutines", "process_cpu_seconds_total", "grpc_server"],
        half: Half::Tuned,
        change: of_pd::get_region_flood,
    },
    Incident {
        name: "waiting-list-never-shrinks",
        thread: "tikv/pd#9373",
        cause: "regions stay in PD's list of those to be checked again for ever: looking at all regions takes long",
        modes: &["scheduling_halted", "unexplained", "pd_overloaded"],
        place: Place::Scheduling,
        leads: &["pd_checker"],
        half: Half::HeldOut,
        change: of_pd::waiting_list_never_shrinks,
    },
    Incident {
        name: "pd-memory-doubles",
        thread: "tikv/pd#9649",
        cause: "answers to slow heartbeat streams pile up in PD: its heap goes from 11 to 22 GB",
        modes: &["pd_overloaded", "unexplained"],
        place: Place::PdLeader,
        leads: &["memory", "memstats", "heartbeat"],
        half: Half::Tuned,
        change: of_pd::pd_memory_doubles,
    },
    Incident {
        name: "orphan-holds-resolved-ts",
        thread: "tikv/tikv#11767",
        cause: "a follower that its region has forgotten holds the least resolved timestamp for more than an hour",
        modes: &["gc_stall"],
        place: Place::Stores(&[2]),
        leads: &["resolved_ts", "resolved-ts"],
        half: Half::Tuned,
        change: of_stores::orphan_holds_resolved_ts,
    },
    Incident {
        name: "log-backup-stands",
        thread: "tikv/tikv#13044",
        cause: "the checkpoint of the log backup has not moved for more than ten hours",
        modes: &["gc_stall", "unexplained"],
        place: Place::AllStores,
        leads: &["log_backup"],
        half: Half::HeldOut,
        change: of_stores::log_backup_stands,
    },
    Incident {
        name: "debt-unthrottled",
        thread: "tikv/tikv#14392",
        cause: "bytes that wait for compaction pile up, and flow control does not see it: its score stays 0",
        modes: &["write_stall", "unexplained"],
        place: Place::Stores(&[1]),
        leads: &["pending_compaction_bytes"],
        half: Half::Tuned,
        change: of_stores::debt_unthrottled,
    },
    Incident {
        name: "commits-take-seconds",
        thread: "tikv/tikv#15175",
        cause: "allocating memory stalls: committing a log takes 2 to 4 s while network, disk and CPU are fine",
        modes: &["unexplained"],
        place: Place::Stores(&[0]),
        leads: &["commit_log"],
        half: Half::Tuned,
        change: of_stores::commits_take_seconds,
    },
    Incident {
        name: "one-grpc-thread",
        thread: "tikv/tikv#15897",
        cause: "streams of raft messages share one of the gRPC threads, which is at 100 %: logs commit slowly",
        modes: &["grpc_saturation", "unexplained"],
        place: Place::Stores(&[1]),
        leads: &["tikv_thread_cpu_seconds_total", "commit_log"],
        half: Half::HeldOut,
        change: of_stores::one_grpc_thread,
    },
    Incident {
        name: "applies-wait",
        thread: "tikv/tikv#16016",
        cause: "the log of the data is not compressed and that of Raft is: applying waits 5 s for the disk",
        modes: &["apply_bound", "slow_disk", "unexplained"],
        place: Place::Stores(&[3]),
        leads: &["apply"],
        half: Half::Tuned,
        change: of_stores::applies_wait,
    },
    Incident {
        name: "scan-tasks-pile-up",
        thread: "tikv/tikv#16035",
        cause: "a change feed begins 1,649,639 scans at once, which wait and take 8.9 GB",
        modes: &["unexplained"],
        place: Place::Stores(&[2]),
        leads: &["tikv_cdc_scan_tasks", "memory"],
        half: Half::Tuned,
        change: of_stores::scan_tasks_pile_up,
    },
    Incident {
        name: "snapshot-waits-to-be-applied",
        thread: "tikv/tikv#17078",
        cause: "a peer waits 49 minutes for its snapshot to be applied",
        modes: &["peers_stuck", "unexplained"],
        place: Place::Cluster,
        leads: &["/regions/check", "snapshot"],
        half: Half::HeldOut,
        change: of_stores::snapshot_waits_to_be_applied,
    },
    Incident {
        name: "hang-without-slow-score",
        thread: "tikv/tikv#17679",
        cause: "a store's disk hangs: tasks of its pd-worker pile up, and its slow score stays low",
        modes: &["disk_hang", "unexplained"],
        place: Place::Stores(&[1]),
        leads: &["sync", "append", "disk", "raft", "tikv_worker_pending_task_total"],
        half: Half::Tuned,
        change: of_stores::hang_without_slow_score,
    },
    Incident {
        name: "cloud-disk-slow",
        thread: "tikv/tikv#18274",
        cause: "a cloud disk takes seconds: persisting a log takes up to 28 s and applying one 10 s, its sync 2 ms",
        modes: &["slow_disk", "unexplained"],
        place: Place::Stores(&[2]),
        leads: &["persist", "apply", "write"],
        half: Half::Tuned,
        change: of_stores::cloud_disk_slow,
    },
    Incident {
        name: "resolved-ts-worker-stuck",
        thread: "tikv/tikv#18359",
        cause: "the worker of resolved timestamps is at 100 % CPU: 7 GB wait for it, 30 GB more memory in 10 minutes",
        modes: &["unexplained", "gc_stall"],
        place: Place::Stores(&[0]),
        leads: &["resolved_ts", "memory", "tikv_worker_pending_task_total"],
        half: Half::HeldOut,
        change: of_stores::resolved_ts_worker_stuck,
    },
    Incident {
        name: "cleanup-worker-behind",
        thread: "tikv/tikv#18451",
        cause: "regions that cannot be split are handed to the cleanup worker every 10 s, again and again",
        modes: &["unexplained"],
        place: Place::Stores(&[3]),
        leads: &["tikv_worker_pending_task_total"],
        half: Half::Tuned,
        change: of_stores::cleanup_worker_behind,
    },
    Incident {
        name: "entries-never-shrink",
        thread: "tikv/tikv#19593",
        cause: "buffers of Raft entries never shrink: several stores take 20 GB more while the load is the same",
        modes: &["unexplained"],
        place: Place::AllStores,
        leads: &["memory"],
        half: Half::Tuned,
        change: of_stores::entries_never_shrink,
    },
    Incident {
        name: "analyze-holds-permits",
        thread: "tikv/tikv#19623",
        cause: "throttled analyze requests hold the permits that all reads need: tasks wait at little CPU",
        modes: &["coprocessor_pressure", "unexplained"],
        place: Place::Stores(&[2]),
        leads: &["semaphore", "tikv_unified_read_pool_running_tasks"],
        half: Half::HeldOut,
        change: of_stores::analyze_holds_permits,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_by_number_is_held_out() {
        let number = |one: &Incident| -> (String, u32) {
            let (repository, number) = one.thread.split_once('#').expect("it has a number");
            (repository.to_owned(), number.parse().expect("it is one"))
        };
        assert!(INCIDENTS.iter().map(number).is_sorted());
        for (place, one) in INCIDENTS.iter().enumerate() {
            let half = if place % 3 == 2 { Half::HeldOut } else { Half::Tuned };
            assert_eq!(one.half, half, "{}", one.name);
        }
    }
}
