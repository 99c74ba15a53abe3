//! Which settings of a store are kept: numbers, sizes, durations, switches and words of TiKV's own that matter in
//! a diagnosis. Never a path, an address, a label or a text that names something.
//!
//! `data/settings/releases.tsv` says which release has which. Beside them stand facts of the store's machine, in the same
//! form, since the same is asked of them: do they differ between stores, did they change?

/// What the names of facts of a machine begin with. TiKV's configuration has no such table.
pub const MACHINE: &str = "machine.";

/// Tables of the configuration, ascending by name, each with the names of its settings, ascending too.
const TABLES: &[(&str, &[&str])] = &[
    (
        "",
        &["abort-on-panic", "memory-usage-high-water", "memory-usage-limit", "slow-log-threshold"],
    ),
    (
        "backup",
        &[
            "auto-tune-remain-threads",
            "batch-size",
            "enable-auto-tune",
            "num-threads",
            "sst-max-size",
        ],
    ),
    (
        "cdc",
        &[
            "hibernate-regions-compatible",
            "incremental-fetch-speed-limit",
            "incremental-scan-concurrency",
            "incremental-scan-concurrency-limit",
            "incremental-scan-speed-limit",
            "incremental-scan-threads",
            "min-ts-interval",
            "old-value-cache-memory-quota",
            "sink-memory-quota",
            "tso-worker-threads",
        ],
    ),
    (
        "coprocessor",
        &[
            "batch-split-limit",
            "enable-region-bucket",
            "region-bucket-size",
            "region-max-keys",
            "region-max-size",
            "region-split-keys",
            "region-split-size",
            "split-region-on-table",
        ],
    ),
    (
        "gc",
        &[
            "batch-keys",
            "compaction-filter-skip-version-check",
            "enable-compaction-filter",
            "max-write-bytes-per-sec",
            "num-threads",
            "ratio-threshold",
        ],
    ),
    (
        "gc.auto-compaction",
        &[
            "check-interval",
            "redundant-rows-percent-threshold",
            "redundant-rows-threshold",
            "tombstones-num-threshold",
            "tombstones-percent-threshold",
        ],
    ),
    ("import", &["import-mode-timeout", "memory-use-ratio", "num-threads"]),
    ("in-memory-engine", &["capacity", "enable", "evict-threshold"]),
    ("log", &["level"]),
    ("log.file", &["max-backups", "max-days", "max-size"]),
    (
        "log-backup",
        &[
            "enable",
            "initial-scan-concurrency",
            "initial-scan-pending-memory-quota",
            "initial-scan-rate-limit",
            "max-flush-interval",
            "num-threads",
        ],
    ),
    ("machine", &["arch", "cores", "memory", "physical-cores", "transparent-hugepage"]),
    ("machine.largest-disk", &["fstype", "total", "type"]),
    ("machine.sysctl.fs", &["aio-max-nr", "file-max", "nr_open"]),
    ("machine.sysctl.kernel", &["numa_balancing", "pid_max", "threads-max"]),
    ("machine.sysctl.net.core", &["netdev_max_backlog", "rmem_max", "somaxconn", "wmem_max"]),
    (
        "machine.sysctl.net.ipv4",
        &[
            "tcp_fin_timeout",
            "tcp_keepalive_intvl",
            "tcp_keepalive_probes",
            "tcp_keepalive_time",
            "tcp_max_syn_backlog",
            "tcp_retries2",
            "tcp_syncookies",
            "tcp_tw_reuse",
        ],
    ),
    (
        "machine.sysctl.vm",
        &[
            "dirty_background_ratio",
            "dirty_ratio",
            "max_map_count",
            "min_free_kbytes",
            "overcommit_memory",
            "swappiness",
            "zone_reclaim_mode",
        ],
    ),
    ("memory", &["enable-heap-profiling", "enable-thread-exclusive-arena"]),
    (
        "pessimistic-txn",
        &["in-memory", "pipelined", "wait-for-lock-timeout", "wake-up-delay-duration"],
    ),
    (
        "quota",
        &[
            "background-cpu-time",
            "background-iops-limit",
            "background-read-bandwidth",
            "background-write-bandwidth",
            "enable-auto-tune",
            "foreground-cpu-time",
            "foreground-read-bandwidth",
            "foreground-write-bandwidth",
            "max-delay-duration",
        ],
    ),
    (
        "raft-engine",
        &[
            "enable",
            "enable-log-recycle",
            "memory-limit",
            "prefill-for-recycle",
            "purge-threshold",
            "recovery-mode",
            "target-file-size",
        ],
    ),
    (
        "raftdb",
        &[
            "max-background-flushes",
            "max-background-jobs",
            "max-open-files",
            "max-sub-compactions",
            "max-total-wal-size",
            "use-direct-io-for-flush-and-compaction",
            "wal-recovery-mode",
        ],
    ),
    (
        "raftstore",
        &[
            "abnormal-leader-missing-duration",
            "apply-low-priority-pool-size",
            "apply-max-batch-size",
            "apply-pool-size",
            "apply-yield-write-size",
            "capacity",
            "check-leader-lease-interval",
            "cmd-batch",
            "cmd-batch-concurrent-ready-max-count",
            "consistency-check-interval",
            "disk-hang-timeout",
            "evict-cache-on-memory-ratio",
            "hibernate-regions",
            "inspect-interval",
            "io-reschedule-concurrent-max-count",
            "lock-cf-compact-bytes-threshold",
            "lock-cf-compact-interval",
            "max-leader-missing-duration",
            "max-peer-down-duration",
            "max-snapshot-file-raw-size",
            "merge-check-tick-interval",
            "messages-per-tick",
            "notify-capacity",
            "pd-heartbeat-tick-interval",
            "pd-store-heartbeat-tick-interval",
            "peer-stale-state-check-interval",
            "perf-level",
            "prevote",
            "raft-engine-purge-interval",
            "raft-entry-cache-life-time",
            "raft-entry-max-size",
            "raft-log-gc-count-limit",
            "raft-log-gc-size-limit",
            "raft-log-gc-threshold",
            "raft-log-gc-tick-interval",
            "raft-max-inflight-msgs",
            "raft-max-size-per-msg",
            "raft-store-max-leader-lease",
            "raft-write-size-limit",
            "reactive-memory-lock-tick-interval",
            "region-compact-check-interval",
            "region-compact-check-step",
            "region-compact-min-redundant-rows",
            "region-compact-min-tombstones",
            "region-compact-redundant-rows-percent",
            "region-compact-tombstones-percent",
            "region-split-check-diff",
            "renew-leader-lease-advance-duration",
            "report-region-buckets-tick-interval",
            "snap-apply-batch-size",
            "snap-gc-timeout",
            "snap-generator-pool-size",
            "snap-mgr-gc-tick-interval",
            "split-region-check-tick-interval",
            "store-io-pool-size",
            "store-low-priority-pool-size",
            "store-max-batch-size",
            "store-pool-size",
            "unreachable-backoff",
        ],
    ),
    ("readpool.coprocessor", POOL),
    ("readpool.storage", POOL),
    (
        "readpool.unified",
        &[
            "auto-adjust-pool-size",
            "cpu-threshold",
            "max-tasks-per-worker",
            "max-thread-count",
            "min-thread-count",
        ],
    ),
    (
        "resolved-ts",
        &[
            "advance-ts-interval",
            "enable",
            "incremental-scan-concurrency",
            "memory-quota",
            "scan-lock-pool-size",
        ],
    ),
    ("resource-control", &["enabled", "priority-ctl-strategy"]),
    (
        "rocksdb",
        &[
            "allow-concurrent-memtable-write",
            "bytes-per-sync",
            "compaction-readahead-size",
            "enable-multi-batch-write",
            "enable-pipelined-write",
            "enable-unordered-write",
            "max-background-flushes",
            "max-background-jobs",
            "max-open-files",
            "max-sub-compactions",
            "max-total-wal-size",
            "rate-bytes-per-sec",
            "rate-limiter-auto-tuned",
            "rate-limiter-mode",
            "use-direct-io-for-flush-and-compaction",
            "wal-recovery-mode",
            "write-buffer-limit",
        ],
    ),
    ("rocksdb.defaultcf", FAMILY),
    ("rocksdb.defaultcf.titan", TITAN_FAMILY),
    ("rocksdb.lockcf", FAMILY),
    ("rocksdb.raftcf", FAMILY),
    ("rocksdb.titan", &["disable-gc", "enabled", "max-background-gc"]),
    ("rocksdb.writecf", FAMILY),
    (
        "server",
        &[
            "background-thread-count",
            "concurrent-recv-snap-limit",
            "concurrent-send-snap-limit",
            "enable-request-batch",
            "end-point-max-concurrency",
            "end-point-memory-quota",
            "end-point-recursion-limit",
            "end-point-request-max-handle-duration",
            "end-point-slow-log-threshold",
            "graceful-shutdown-timeout",
            "grpc-compression-type",
            "grpc-concurrency",
            "grpc-concurrent-stream",
            "grpc-keepalive-time",
            "grpc-keepalive-timeout",
            "grpc-memory-pool-quota",
            "grpc-raft-conn-num",
            "grpc-stream-initial-window-size",
            "heavy-load-threshold",
            "max-grpc-send-msg-len",
            "raft-client-grpc-send-msg-buffer",
            "raft-client-queue-size",
            "raft-msg-max-batch-size",
            "reject-messages-on-memory-ratio",
            "simplify-metrics",
            "snap-io-max-bytes-per-sec",
            "snap-max-total-size",
            "snap-max-write-bytes-per-sec",
            "status-thread-pool-size",
        ],
    ),
    (
        "split",
        &[
            "byte-threshold",
            "detect-times",
            "grpc-thread-cpu-overload-threshold-ratio",
            "qps-threshold",
            "region-cpu-overload-threshold-ratio",
        ],
    ),
    (
        "storage",
        &[
            "api-version",
            "background-error-recovery-window",
            "enable-async-apply-prewrite",
            "enable-ttl",
            "engine",
            "memory-quota",
            "reserve-raft-space",
            "reserve-space",
            "scheduler-concurrency",
            "scheduler-pending-write-threshold",
            "scheduler-worker-pool-size",
            "txn-status-cache-capacity",
        ],
    ),
    (
        "storage.block-cache",
        &[
            "capacity",
            "high-pri-pool-ratio",
            "low-pri-pool-ratio",
            "num-shard-bits",
            "shared",
            "strict-capacity-limit",
        ],
    ),
    (
        "storage.flow-control",
        &[
            "enable",
            "hard-pending-compaction-bytes-limit",
            "l0-files-threshold",
            "memtables-threshold",
            "soft-pending-compaction-bytes-limit",
        ],
    ),
    (
        "storage.io-rate-limit",
        &[
            "compaction-priority",
            "export-priority",
            "flush-priority",
            "foreground-read-priority",
            "foreground-write-priority",
            "gc-priority",
            "import-priority",
            "level-zero-compaction-priority",
            "load-balance-priority",
            "max-bytes-per-sec",
            "mode",
            "replication-priority",
            "strict",
        ],
    ),
    ("storage.max-ts", &["action-on-invalid-update", "max-drift"]),
];

/// Settings of one column family of RocksDB.
const FAMILY: &[&str] = &[
    "block-cache-size",
    "block-size",
    "bottommost-level-compression",
    "compaction-pri",
    "compaction-style",
    "compression-per-level",
    "disable-auto-compactions",
    "disable-block-cache",
    "disable-write-stall",
    "dynamic-level-bytes",
    "enable-compaction-guard",
    "hard-pending-compaction-bytes-limit",
    "level0-file-num-compaction-trigger",
    "level0-slowdown-writes-trigger",
    "level0-stop-writes-trigger",
    "max-bytes-for-level-base",
    "max-compactions",
    "max-write-buffer-number",
    "min-write-buffer-number-to-merge",
    "periodic-compaction-seconds",
    "soft-pending-compaction-bytes-limit",
    "target-file-size-base",
    "ttl",
    "write-buffer-size",
];

/// Settings of Titan in the only column family that it is used for.
const TITAN_FAMILY: &[&str] = &[
    "blob-cache-size",
    "blob-file-compression",
    "blob-run-mode",
    "discardable-ratio",
    "max-gc-batch-size",
    "min-blob-size",
];

/// Settings of a read pool that is not the unified one.
const POOL: &[&str] = &[
    "high-concurrency",
    "low-concurrency",
    "max-tasks-per-worker-high",
    "max-tasks-per-worker-low",
    "max-tasks-per-worker-normal",
    "normal-concurrency",
    "use-unified-pool",
];

/// Whether a setting of a store is kept, by its whole name, such as `raftstore.store-pool-size`.
pub fn is_setting(name: &str) -> bool {
    let (table, last) = name.rsplit_once('.').unwrap_or(("", name));
    let names = TABLES.iter().find(|(known, _)| *known == table).map(|(_, names)| *names);
    names.is_some_and(|names| names.contains(&last))
}

/// Whether a setting is a fact of the store's machine, rather than of its configuration.
pub fn is_of_machine(name: &str) -> bool {
    name.starts_with(MACHINE)
}

/// The whole names of the settings of the configuration that are kept.
pub fn settings_listed() -> impl Iterator<Item = String> {
    all_listed().filter(|name| !is_of_machine(name))
}

/// The whole names of all that is kept.
fn all_listed() -> impl Iterator<Item = String> {
    TABLES.iter().flat_map(|(table, names)| {
        names.iter().map(move |name| match *table {
            "" => (*name).to_owned(),
            table => format!("{table}.{name}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_names_are_ascending_and_name_no_setting_twice() {
        let names: Vec<String> = all_listed().collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
        assert!(TABLES.iter().all(|(_, names)| names.is_sorted()));
        assert!(names.iter().all(|name| is_setting(name)));
        assert!(names.len() > settings_listed().count());
        assert!(!is_setting("storage.data-dir") && !is_setting("raftstore"));
    }
}
