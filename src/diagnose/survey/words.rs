//! The words in names of metrics, and in values of their labels, that say what is counted.
//!
//! What follows from them is decided in `sign`.

/// Words in names of what waits.
pub const WAITING: &[&str] = &[
    "pending",
    "running",
    "queue",
    "wait",
    "waiting",
    "backlog",
    "gap",
    "lag",
    "blocked",
    "inflight",
    "delayed",
    "stuck",
    "waiter",
    "debt",
    "backoff",
    "overdue",
    "outstanding",
];

/// Words in names of what fails, is refused or is held back. Codes of gRPC are among them, which stand in
/// labels as `Unavailable` and `DeadlineExceeded`.
pub const FAILING: &[&str] = &[
    "error",
    "err",
    "fail",
    "failed",
    "failure",
    "failures",
    "reject",
    "rejected",
    "full",
    "timeout",
    "busy",
    "stall",
    "throttle",
    "throttled",
    "limited",
    "dropped",
    "lost",
    "missing",
    "missed",
    "panic",
    "abort",
    "aborted",
    "exceeded",
    "exhausted",
    "overload",
    "overloaded",
    "denied",
    "invalid",
    "mismatch",
    "conflict",
    "deadlock",
    "retry",
    "retries",
    "reconnect",
    "disconnected",
    "unreachable",
    "unavailable",
    "corrupt",
    "oom",
    "killed",
    "discard",
    "expired",
    "unhealth",
    "unhealthy",
];

/// Words in names of what should not be at all, not once.
pub const NEVER: &[&str] =
    &["corrupt", "damaged", "disconnected", "down", "missing", "unhealth", "unhealthy"];

/// Words in names of what counts how often something took long. A level of that name is a score or a
/// trend, which has no zero.
pub const SLOWED: &[&str] = &["slow"];

/// Words in names of what takes time.
pub const TIME: &[&str] = &["seconds", "secs", "duration", "latency", "micros", "nanos", "ms"];

/// Words in names of what counts the work that is done for others, or the steps of it: calls that are served,
/// messages, proposals, what is appended and applied. Bytes, keys and compactions are not among them, since
/// they come in bursts.
pub const SERVING: &[&str] = &[
    "append",
    "apply",
    "cmd",
    "command",
    "commit",
    "handle",
    "handled",
    "heartbeat",
    "message",
    "msg",
    "proposal",
    "recv",
    "request",
    "stage",
    "tso",
    "write",
];

/// Words in names of what a process holds while it uses it.
pub const HELD: &[&str] = &["connection", "fd", "goroutine", "session", "watcher"];

/// Words in names of memory.
pub const MEMORY: &[&str] = &["heap", "memory"];

/// Words in names of memory that is not held for one purpose: that of a whole process or engine, which fills for an
/// hour after its start, caches, and limits.
pub const WHOLE: &[&str] = &["cache", "capacity", "engine", "quota", "server"];

/// Words in names of what stores keep more of where clients write.
pub const WRITTEN: &[&str] = &["entries", "entry", "key", "region"];

/// Words in names of data that is kept only until somebody has it, or removes it: logs, snapshots, imported files, and
/// what is deleted already.
pub const LEFT_OVER: &[&str] =
    &["garbage", "import", "obsolete", "orphan", "raft", "snap", "snapshot", "temp", "tmp"];

/// Words in names of how large things are.
pub const SIZE: &[&str] = &["size"];

/// Words in names of levels, also where a level only rises: what is waiting now, and how far behind it is.
pub const NOW: &[&str] =
    &["pending", "running", "backlog", "inflight", "outstanding", "gap", "lag", "debt", "oldest"];

/// Words in names of jobs that take as long as there is to do, and of times that are meant to pass. How long a read
/// of a coprocessor takes, or a lock is waited for, clients decide, and handling a stream of gRPC takes as long as it is
/// open.
pub const JOBS: &[&str] = &[
    "abnormal",
    "age",
    "backup",
    "checkpoint",
    "cloud",
    "compact",
    "compaction",
    "coprocessor",
    "download",
    "flush",
    "gap",
    "gc",
    "handling",
    "import",
    "ingest",
    "init",
    "interval",
    "lag",
    "lifetime",
    "lock",
    "operator",
    "patrol",
    "pending",
    "purge",
    "restore",
    "rewrite",
    "scan",
    "snap",
    "snapshot",
    "split",
    "status",
    "worker",
];

/// Words in kinds of requests that take as long as there is to do for who asks for them, among others that do not.
pub const ASKED: &[&str] = &[
    "backup",
    "batch",
    "cleanup",
    "compact",
    "compaction",
    "coprocessor",
    "destroy",
    "download",
    "flashback",
    "flush",
    "gc",
    "import",
    "ingest",
    "lock",
    "range",
    "scan",
    "split",
    "stream",
];

/// Words in names of what is set, rated or estimated, and not counted.
pub const SETTINGS: &[&str] =
    &["allocation", "config", "limit", "max", "quota", "score", "threshold", "trend"];

/// Words in names of failures that clients bring about, or that follow wherever leaders move: conflicts of
/// transactions, requests to the former leader of a region, and reads that a store may not answer by itself, which are
/// then answered by way of Raft.
pub const SOFT: &[&str] = &[
    "conflict", "deadlock", "discard", "epoch", "expired", "leader", "lease", "limited", "local",
    "lock", "mismatch", "retry", "retries", "stale",
];
