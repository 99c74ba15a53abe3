//! A seventh set of public incidents, all held out: a measure of diagnosis that was fitted to every set before. None
//! of its threads is of an earlier set, and what eight of them are about is in none.
//!
//! They were chosen for their variety, as threads came up, and stand in ascending order of repository and number.

mod of_pd;
mod of_stores;
mod of_work;

use super::{Half, Incident, Place};

/// The incidents, ascending by repository and number.
pub const INCIDENTS: &[Incident] = &[
    Incident {
        name: "new-index-takes-all-writes",
        thread: "pingcap/tidb#57551",
        cause: "once an index has been added, writes go to one region of it, and its store is overloaded",
        modes: &["hot_region_write"],
        place: Place::Stores(&[0]),
        leads: &["/hotspot/regions/write", "tikv_grpc_msg_duration_seconds"],
        half: Half::HeldOut,
        change: of_work::new_index_takes_all_writes,
    },
    Incident {
        name: "a-machine-takes-pd-along",
        thread: "pingcap/tidb-operator#236",
        cause: "a machine with a member of PD and a store fails, and the two members left elect no leader",
        modes: &["pd_quorum_loss", "store_unreachable", "store_crash"],
        place: Place::PdLeader,
        leads: &["/members", "etcd_server_has_leader"],
        half: Half::HeldOut,
        change: of_pd::a_machine_takes_pd_along,
    },
    Incident {
        name: "half-dead-store-says-busy",
        thread: "tikv/client-go#2028",
        cause: "a store that has lost its leaders still refuses reads as busy, and clients go on asking it",
        modes: &["coprocessor_pressure", "unexplained"],
        place: Place::Stores(&[1]),
        leads: &["tikv_unified_read_pool_running_tasks", "region_count", "/stores"],
        half: Half::HeldOut,
        change: of_stores::half_dead_store_says_busy,
    },
    Incident {
        name: "regions-no-longer-synced",
        thread: "tikv/pd#10666",
        cause: "a follower of PD receives no changes of regions for 3.5 days, the other one all of them",
        modes: &["unexplained"],
        place: Place::PdMember("pd1"),
        leads: &["pd_region_syncer_status"],
        half: Half::HeldOut,
        change: of_pd::regions_no_longer_synced,
    },
    Incident {
        name: "leads-on-a-dead-volume",
        thread: "tikv/pd#10671",
        cause: "the volume of PD's leader completes no write: another leads etcd, and it goes on leading PD",
        modes: &["pd_overloaded", "unexplained"],
        place: Place::PdLeader,
        leads: &["etcd"],
        half: Half::HeldOut,
        change: of_pd::leads_on_a_dead_volume,
    },
    Incident {
        name: "peers-move-to-and-fro",
        thread: "tikv/pd#11135",
        cause: "PD moves the peers of one small region among stores that are empty otherwise, without end",
        modes: &["unexplained"],
        place: Place::Scheduling,
        leads: &["pd_schedule", "snapshot", "admin_cmd", "/operators"],
        half: Half::HeldOut,
        change: of_pd::peers_move_to_and_fro,
    },
    Incident {
        name: "scans-of-feeds-fill-the-cache",
        thread: "tikv/tikv#10267",
        cause: "scans of change feeds push the blocks that clients read out of the cache: reads are slow",
        modes: &["unexplained"],
        place: Place::AllStores,
        leads: &["tikv_engine_cache_efficiency", "tikv_cdc", "tikv_grpc_msg_duration_seconds"],
        half: Half::HeldOut,
        change: of_work::scans_of_feeds_fill_the_cache,
    },
    Incident {
        name: "first-scan-of-a-log-backup",
        thread: "tikv/tikv#13068",
        cause: "a log backup begins with a scan of 48 hours: half the CPU, and a fifth of the requests is left",
        modes: &["unexplained", "cpu_starved"],
        place: Place::AllStores,
        leads: &["log_backup", "tikv_thread_cpu", "tikv_grpc_msg_duration_seconds"],
        half: Half::HeldOut,
        change: of_work::first_scan_of_a_log_backup,
    },
    Incident {
        name: "fifty-milliseconds-of-link",
        thread: "tikv/tikv#15267",
        cause: "the links of one store take 50 ms for ten minutes, and requests come in jerks",
        modes: &["slow_network"],
        place: Place::Stores(&[0]),
        leads: &["tikv_pd_request_duration_seconds", "scrape_duration_seconds", "commit_log"],
        half: Half::HeldOut,
        change: of_stores::fifty_milliseconds_of_link,
    },
    Incident {
        name: "removed-store-asked-for",
        thread: "tikv/tikv#17875",
        cause: "stores look for the address of a store that PD has forgotten, again and again",
        modes: &["unexplained"],
        place: Place::AllStores,
        leads: &["resolve", "get_store", "GetStore"],
        half: Half::HeldOut,
        change: of_stores::removed_store_asked_for,
    },
    Incident {
        name: "a-pod-in-a-crash-loop",
        thread: "tikv/tikv#18716",
        cause: "a store does not start any more since its disk failed, and is Down for long",
        modes: &["store_crash", "store_flap", "store_never_up", "store_unreachable"],
        place: Place::Stores(&[3]),
        leads: &["up", "/stores"],
        half: Half::HeldOut,
        change: of_stores::a_pod_in_a_crash_loop,
    },
    Incident {
        name: "dropped-table-throttles-writers",
        thread: "tikv/tikv#19583",
        cause: "596 GB wait for compaction after a table was dropped, so that flow control refuses writes",
        modes: &["write_stall"],
        place: Place::Stores(&[1]),
        leads: &["pending_compaction_bytes", "discard_ratio", "too_busy"],
        half: Half::HeldOut,
        change: of_stores::dropped_table_throttles_writers,
    },
];
