//! The metrics that are made of PD's answers.

/// A metric made of PD's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdMetric {
    /// The metric's name.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, and its unit.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> PdMetric {
    PdMetric { name, labels, help }
}

const STORE: &[&str] = &["store", "address"];
const STORE_STATE: &[&str] = &["store", "address", "state"];

/// All metrics made of PD's answers, in the order of their documentation.
pub const PD_METRICS: [PdMetric; 25] = [
    metric("operator_pd_leader", &["member"], "1 for the member that leads PD"),
    metric("operator_pd_etcd_leader", &["member"], "1 for the member that leads etcd"),
    metric("operator_pd_member", &["member"], "1 for each member that PD lists"),
    metric(
        "operator_pd_member_answering",
        &["member"],
        "1 where the member answered the last request, whatever the status, 0 where it did not",
    ),
    metric(
        "operator_pd_member_health",
        &["member", "by"],
        "1 where the member `by` reaches `member`, 0 where it does not",
    ),
    metric(
        "operator_pd_member_start_time_seconds",
        &["member"],
        "when the member's process started, in Unix seconds",
    ),
    metric(
        "operator_pd_store_state",
        STORE_STATE,
        "1 for the state that the store is in: `Up`, `Disconnected`, `Down`, `Offline`, `Tombstone`",
    ),
    metric(
        "operator_pd_store_node_state",
        STORE_STATE,
        "1 for where the store stands in its life: `Preparing`, `Serving`, `Removing`, `Removed`",
    ),
    metric("operator_pd_store_leader_count", STORE, "regions that the store leads"),
    metric("operator_pd_store_leader_score", STORE, "PD's score of that"),
    metric("operator_pd_store_region_count", STORE, "regions with a peer on the store"),
    metric("operator_pd_store_region_score", STORE, "PD's score of that"),
    metric("operator_pd_store_pending_peer_count", STORE, "peers that lag behind"),
    metric("operator_pd_store_slow_score", STORE, "1 (well) to 100 (slow)"),
    metric("operator_pd_store_busy", STORE, "1 where the store says that it is busy, else 0"),
    metric("operator_pd_store_capacity_bytes", STORE, "size of its disk, to PD's four digits"),
    metric("operator_pd_store_available_bytes", STORE, "free space, to PD's four digits"),
    metric("operator_pd_store_used_bytes", STORE, "space that data takes, to PD's four digits"),
    metric(
        "operator_pd_store_start_time_seconds",
        STORE,
        "when its process started, in Unix seconds",
    ),
    metric(
        "operator_pd_store_last_heartbeat_timestamp_seconds",
        STORE,
        "its last heartbeat, in Unix seconds; up to five minutes old after a change of PD's leader",
    ),
    metric("operator_pd_region_count", &[], "regions of the cluster"),
    metric(
        "operator_pd_region_check",
        &["check"],
        "regions that a check of PD's names, such as `down-peer`",
    ),
    metric("operator_pd_operators", &["desc"], "scheduling steps under way, by what made them"),
    metric(
        "operator_pd_scheduler",
        &["scheduler"],
        "1 where the scheduler runs, 0 where it is paused",
    ),
    metric(
        "operator_pd_config",
        &["key", "member"],
        "a number or a boolean of the configuration, as the asked member has it",
    ),
];
