//! What runtimes, service managers and the kernel say of the end of a process, in lines without a header.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::model::LogKind;

/// How a process ended, or why it was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// A panic, a kill for memory, or an exit as a service manager sees it.
    pub kind: LogKind,
    /// Its values by name, such as `status`.
    pub values: BTreeMap<String, String>,
}

/// `tikv.service: Main process exited, code=killed, status=9/KILL` of systemd.
static UNIT_EXIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[Mm]ain process exited, code=(\w+), status=(\d+(?:/\w+)?)").expect("valid")
});
/// `Out of memory: Killed process 81 (tikv-server)` of Linux; before 4.20 `Kill process`.
static KERNEL_KILL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[Oo]ut of memory: Kill(?:ed)? process \d+ \(([^)]{1,40})\)").expect("valid")
});
/// Rust's allocator and Go's runtime.
static NO_MEMORY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:memory allocation of \d+ bytes failed|fatal error: runtime: out of memory)")
        .expect("valid")
});
/// `oom-kill:constraint=CONSTRAINT_MEMCG,…,task=tikv-server,pid=81` of Linux since 5.0, which names the process
/// where the line after it was lost.
static KERNEL_CHOICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^oom-kill:constraint=\w+,.{0,600}?\btask=([^,]{1,40}),").expect("valid")
});
/// `oom_reaper: reaped process 81 (tikv-server), now anon-rss:0kB` of Linux since 4.6, often the only line that is left of
/// a kill.
static KERNEL_REAPED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"oom_reaper: reaped process \d+ \(([^)]{1,40})\)").expect("valid")
});
/// The kernel on a disk that fails, and on a file system that it no longer writes to.
static DEVICE: LazyLock<Regex> = LazyLock::new(|| {
    let errors =
        r"I/O error, dev \w+, sector|Buffer I/O error on dev|Remounting filesystem read-only";
    let nvme = r"nvme nvme\d+: (?:I/O (?:tag )?\d+ .{0,80}timeout|controller is down)";
    Regex::new(&format!("{errors}|{nvme}")).expect("valid")
});
/// Systemd's own words for a kill by the kernel.
const UNIT_OUT_OF_MEMORY: [&str; 2] =
    ["Failed with result 'oom-kill'", "has been killed by the OOM killer"];
/// Rust's and Go's runtimes on a panic that no logger wrote.
static RUNTIME_PANIC: LazyLock<Regex> = LazyLock::new(|| {
    let rust = r"fatal runtime error: |.* has overflowed its stack|thread '.{0,80}' panicked at ";
    Regex::new(&format!("^(?:{rust}|panic: |fatal error: )")).expect("valid")
});
/// Processes whose end matters here: what else the kernel kills on a machine is another matter.
const PROCESSES: [&str; 4] = ["tikv", "pd-server", "tidb-server", "tiflash"];

/// Reads a line; `None` where it says nothing of the end of a process of the cluster.
pub fn exit(text: &str) -> Option<Exit> {
    if let Some(found) = UNIT_EXIT.captures(text) {
        let values = named(&found, &["code", "status"]);
        // A service that ends by itself without an error is no news.
        let is_clean = values.get("status").is_some_and(|status| status.starts_with('0'));
        return (!is_clean).then_some(Exit { kind: LogKind::ProcessExit, values });
    }
    if let Some(found) = KERNEL_KILL.captures(text) {
        let is_ours = PROCESSES.iter().any(|name| found[1].starts_with(name));
        let values = named(&found, &["process"]);
        return is_ours.then_some(Exit { kind: LogKind::OutOfMemory, values });
    }
    if let Some(found) = KERNEL_CHOICE.captures(text).or_else(|| KERNEL_REAPED.captures(text)) {
        let is_ours = PROCESSES.iter().any(|name| found[1].starts_with(name));
        let values = named(&found, &["process"]);
        return is_ours.then_some(Exit { kind: LogKind::OutOfMemory, values });
    }
    if DEVICE.is_match(text) {
        return Some(Exit { kind: LogKind::DeviceError, values: BTreeMap::new() });
    }
    let kind =
        if NO_MEMORY.is_match(text) || UNIT_OUT_OF_MEMORY.iter().any(|one| text.contains(one)) {
            LogKind::OutOfMemory
        } else if RUNTIME_PANIC.is_match(text) {
            LogKind::Panic
        } else {
            return None;
        };
    Some(Exit { kind, values: BTreeMap::new() })
}

fn named(found: &Captures<'_>, names: &[&str]) -> BTreeMap<String, String> {
    let groups = found.iter().skip(1).flatten();
    names
        .iter()
        .zip(groups)
        .map(|(name, group)| ((*name).to_owned(), group.as_str().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_told() {
        let kind = |text| exit(text).map(|exit| exit.kind);
        let killed = exit("tikv.service: Main process exited, code=killed, status=9/KILL");
        let killed = killed.expect("it is an exit");
        assert_eq!(killed.kind, LogKind::ProcessExit);
        assert_eq!(killed.values["status"], "9/KILL");
        for text in [
            "Memory cgroup out of memory: Killed process 81 (tikv-server) total-vm:1kB",
            "Out of memory: Kill process 81 (tikv-server) score 956 or sacrifice child",
            "memory allocation of 1048576 bytes failed",
            "tikv-20160.service: Failed with result 'oom-kill'.",
        ] {
            assert_eq!(kind(text), Some(LogKind::OutOfMemory), "{text}");
        }
        for text in
            ["panic: runtime error: index out of range", "fatal runtime error: stack overflow"]
        {
            assert_eq!(kind(text), Some(LogKind::Panic), "{text}");
        }
    }

    #[test]
    fn the_kernel_on_memory_and_disks_is_told() {
        let kind = |text| exit(text).map(|exit| exit.kind);
        let chosen = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,\
                      oom_memcg=/a,task_memcg=/a/b,task=tikv-server,pid=81,uid=0";
        assert_eq!(kind(chosen), Some(LogKind::OutOfMemory));
        assert_eq!(exit(&chosen.replace("tikv-server", "java")), None);
        let reaped = "oom_reaper: reaped process 81 (tikv-server), now anon-rss:0kB, file-rss:0kB";
        assert_eq!(kind(reaped), Some(LogKind::OutOfMemory));
        assert_eq!(exit(&reaped.replace("tikv-server", "java")), None);
        for text in [
            "blk_update_request: I/O error, dev sdb, sector 81 op 0x1:(WRITE) flags 0x0",
            "EXT4-fs (nvme0n1): Remounting filesystem read-only",
            "nvme nvme0: I/O 81 QID 3 timeout, aborting",
            "nvme nvme0: I/O tag 641 (c281) opcode 0x1 (I/O Cmd) QID 8 timeout, reset controller",
        ] {
            assert_eq!(kind(text), Some(LogKind::DeviceError), "{text}");
        }
    }

    #[test]
    fn another_process_and_a_clean_end_are_no_news() {
        for text in [
            "Out of memory: Killed process 82 (java) total-vm:1kB",
            "tikv.service: Main process exited, code=exited, status=0/SUCCESS",
            "goroutine 1 [running]:",
            "",
        ] {
            assert_eq!(exit(text), None, "{text}");
        }
    }
}
