//! The metrics in which TiKV counts what clients ask for, and which types of request are those of clients.

use crate::model::{Labels, Series};

/// The counter of requests by kind that every TiKV exports.
pub const REQUESTS: &str = "tikv_grpc_msg_duration_seconds_count";

/// The histogram of how long requests took, by type. Only the types that clients used are read.
pub const LATENCIES: &str = "tikv_grpc_msg_duration_seconds_bucket";

/// The counter of requests that gRPC ended with an error, by type. It exists from the first one on.
pub const FAILED: &str = "tikv_grpc_msg_fail_total";

/// The counter of statements that a TiDB server ran.
pub const STATEMENTS: &str = "tidb_server_query_total";

/// The histogram of how long statements took.
pub const STATEMENT_LATENCIES: &str = "tidb_server_handle_query_duration_seconds_bucket";

/// Metrics that show what clients were served, beside those that failure modes read.
pub const METRICS: [&str; 3] = [REQUESTS, FAILED, STATEMENTS];

/// Whether a series is part of the histogram of how long requests or statements of clients took.
pub fn is_latency(series: &Labels) -> bool {
    match series.metric() {
        LATENCIES => client(series),
        STATEMENT_LATENCIES => of_user(series),
        _ => false,
    }
}

/// Statements of clients; TiDB runs some of its own.
pub(super) fn of_user(labels: &Labels) -> bool {
    labels.get("sql_type") != Some("internal")
}

/// The types of requests that clients made, ascending: those whose count changes in `series`.
pub fn requested_types(series: &[Series]) -> Vec<String> {
    let changes = |one: &&Series| one.samples.windows(2).any(|two| two[0].value != two[1].value);
    let counts = series.iter().filter(|one| one.labels.metric() == REQUESTS && client(&one.labels));
    let used = counts.filter(changes).filter_map(|one| one.labels.get("type"));
    let mut types: Vec<String> = used.map(str::to_owned).collect();
    types.sort();
    types.dedup();
    types
}

/// Requests of clients. Internal ones and those of the control plane have other prefixes.
pub(super) fn client(labels: &Labels) -> bool {
    let kind = labels.get("type").unwrap_or_default();
    kind.starts_with("kv_") || kind.starts_with("raw_") || kind.starts_with("coprocessor")
}

/// Requests of clients that change data.
pub(super) fn client_write(labels: &Labels) -> bool {
    matches!(
        labels.get("type"),
        Some(
            "kv_prewrite"
                | "kv_commit"
                | "kv_pessimistic_lock"
                | "kv_batch_rollback"
                | "raw_put"
                | "raw_batch_put"
                | "raw_delete"
                | "raw_batch_delete"
                | "raw_compare_and_swap"
        )
    )
}
