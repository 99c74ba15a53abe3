//! Public threads that give lines of logs, each with what it established.

/// An incident of which the thread gives lines.
pub struct Thread {
    /// Repository and number of the thread.
    pub thread: &'static str,
    /// The run into whose log its lines are put, below the folder of bundled captures.
    pub run: &'static str,
    /// The node that wrote them there.
    pub node: &'static str,
    /// The lines from their level on, or as a service manager saw them.
    pub lines: &'static [&'static str],
    /// The mode that is right.
    pub mode: &'static str,
    /// What a verdict that says why has in its sentence; empty where the mode says it.
    pub why: &'static str,
}

impl Thread {
    /// Whether the thread is of the third that nothing was fitted to: those whose number is divisible by 3.
    pub fn is_set_aside(&self) -> bool {
        let number = self.thread.rsplit('#').next().and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number % 3 == 0)
    }
}

const CRASH: &str = "chaos-02.capture";
const HANDOVER: &str = "pd/pd-07.capture";

pub const THREADS: [Thread; 32] = [
    Thread {
        thread: "tikv/tikv#10688",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [server.rs:1177] ["failed to create raft engine: Storage Engine IO error: No space left on deviceWhile appending to file: /tidb/eindex/data/tikv-20161/raft/226776.sst: No space left on device"]"#,
        ],
        mode: "disk_full",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#5420",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [mod.rs:222] ["logger encounter error, TiKV cannot continue working"] [err="No space left on device (os error 28)"]"#,
        ],
        mode: "disk_full",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#18406",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[ERROR] [snap_gen.rs:148] ["failed to generate snap!!!"] [err_code=KV:Raftstore:SnapUnknown] [err="IO error: No space left on device: While appending to file: /var/lib/tikv/data/snap/gen_7437688_228_179117_default.sst.tmp: No space left on device"] [region_id=7437688] [thread_id=82]"#,
            r#"[WARN] [peer_storage.rs:541] ["failed to try generating snapshot"] [request_peer=14368096] [times=2] [peer_id=13489960] [region_id=7437688] [thread_id=103]"#,
        ],
        mode: "disk_full",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#970",
        run: CRASH,
        node: "store 4",
        lines: &["Out of memory: Kill process 26196 (tikv-server) score 338 or sacrifice child"],
        mode: "oom_kill",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#10777",
        run: CRASH,
        node: "store 4",
        lines: &["Out of memory: Kill process 12802 (tikv-server) score 963 or sacrifice child"],
        mode: "oom_kill",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#10580",
        run: CRASH,
        node: "store 4",
        lines: &["Out of memory: Kill process 31235 (tikv-server) score 507 or sacrifice child"],
        mode: "oom_kill",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#7353",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:480] ["to_commit 177238 is out of range [last_index 177215], raft_id: 2003, region_id: 2001"] [backtrace="stack backtrace:\n   0: tikv_util::set_panic_hook::{{closure}}\n             at components/tikv_util/src/lib.rs:479\n   1: std::panicking::rust_panic_with_hook"]"#,
        ],
        mode: "store_crash",
        why: "to_commit 177238 is out of range",
    },
    Thread {
        thread: "tikv/tikv#9980",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:455] ["assertion failed: min_matched >= min_committed"] [backtrace="stack backtrace:\n   0: tikv_util::set_panic_hook::{{closure}}\n   1: std::panicking::rust_panic_with_hook"]"#,
        ],
        mode: "store_crash",
        why: "min_matched >= min_committed",
    },
    Thread {
        thread: "pingcap/tiflash#2250",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:465] ["[region 157802790] 175749763 applying snapshot failed"] [backtrace="stack backtrace:\n   0: tikv_util::set_panic_hook::{{closure}}\n   6: raftstore::store::peer_storage::PeerStorage<EK,ER>::check_applying_snap"]"#,
        ],
        mode: "store_crash",
        why: "applying snapshot failed",
    },
    Thread {
        thread: "tikv/tikv#4224",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[ERROR] [mod.rs:475] ["thread 'raftstore-6-0' panicked 'called `Option::unwrap()` on a `None` value' at \"src/libcore/option.rs:355\"\nstack backtrace:"]"#,
        ],
        mode: "store_crash",
        why: "Option::unwrap()",
    },
    Thread {
        thread: "tikv/tikv#2678",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"panic_hook.rs:99: [ERROR] thread 'raftstore-4' panicked '[region 1001] 1003 unexpected raft log index: last_index 250061 < applied_index 250069' at "src/raftstore/store/peer_storage.rs:484""#,
        ],
        mode: "store_crash",
        why: "unexpected raft log index",
    },
    Thread {
        thread: "tikv/pd#7780",
        run: HANDOVER,
        node: "pd1",
        lines: &[
            r#"[INFO] [raft.go:706] ["fef5444e2c4d3d9c became follower at term 4"]"#,
            r#"[INFO] [server.go:1687] ["etcd leader changed, resigns pd leadership"] [old-pd-leader-name=tc-pd-2]"#,
        ],
        mode: "pd_leader_transfer",
        why: "etcd's leader had moved away",
    },
    Thread {
        thread: "tikv/pd#1369",
        run: HANDOVER,
        node: "pd1",
        lines: &["leader.go:283: [info] etcd leader changed, example-pd-0 resigns leadership"],
        mode: "pd_leader_transfer",
        why: "etcd's leader had moved away",
    },
    Thread {
        thread: "tikv/pd#8225",
        run: HANDOVER,
        node: "pd1",
        lines: &[
            r#"[INFO] [server.go:1692] ["skip campaigning of pd leader and check later"] [server-name=tc-pd-2] [etcd-leader-id=10314982131224600194] [member-id=1848324175643653017]"#,
            r#"[INFO] [server.go:1540] ["leadership transfer finished"] [local-member-id=19a6910b7f01b399] [old-leader-member-id=19a6910b7f01b399]"#,
        ],
        mode: "pd_leader_transfer",
        why: "etcd's leadership was transferred",
    },
    Thread {
        thread: "tikv/tikv#13554",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:465] ["unstable.slice[22, 23] out of bound[22, 22], raft_id: 115835, region_id: 115832"]"#,
        ],
        mode: "store_crash",
        why: "unstable.slice[22, 23] out of bound[22, 22]",
    },
    Thread {
        thread: "tikv/tikv#18129",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:480] ["unstable.slice[1026, 1093] out of bound[1026, 1026], raft_id: 29, region_id: 26"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}\n             at /home/stn/tikv/components/tikv_util/src/lib.rs:479:18"]"#,
        ],
        mode: "store_crash",
        why: "unstable.slice[1026, 1093] out of bound[1026, 1026]",
    },
    Thread {
        thread: "pingcap/tidb#11997",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[ERROR] [panic_hook.rs:104] ["thread 'raftstore-4' panicked '[region 488] 490 entries[1296559:1296592] is unavailable from storage' at \"/rust/registry/src/github.com-1ecc6299db9ec823/raft-0.4.3/src/raft_log.rs:448\"\nstack backtrace:"]"#,
        ],
        mode: "store_crash",
        why: "is unavailable from storage",
    },
    Thread {
        thread: "pingcap/tidb#10507",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"ERRO panic_hook.rs:104: thread 'raftstore-9' panicked '[region 173] 5059536 unexpected raft log index: last_index 5 < applied_index 243077' at "src/raftstore/store/peer_storage.rs:470""#,
        ],
        mode: "store_crash",
        why: "unexpected raft log index",
    },
    Thread {
        thread: "tikv/tikv#18292",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:553] ["cached_last: 14, trunc_to_idx: 14"] [context="(components/raftstore/src/store/fsm/store.rs:1077) peer_id=>1574, (components/raftstore/src/store/fsm/store.rs:1077) region_id=>1573"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}\n             at /home/stn/tikv/components/tikv_util/src/lib.rs:544:18"]"#,
        ],
        mode: "store_crash",
        why: "cached_last: 14, trunc_to_idx: 14",
    },
    Thread {
        thread: "tikv/tikv#13311",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:494] ["meta corrupted: no region for 3312 7A6D44423A32000000FF00FB000000000000FF00685461626C653AFF3638FF0000000000FF000000F700000000FB when creating 3307 region_id: 3307 from_peer { id: 3309 store_id: 1 }"]"#,
        ],
        mode: "store_crash",
        why: "meta corrupted: no region for 3312",
    },
    Thread {
        thread: "pingcap/tidb#10257",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"ERRO tikv-server.rs:166: failed to create kv engine: "Corruption: error in middle of record""#,
        ],
        mode: "store_crash",
        why: "it cannot open its data",
    },
    Thread {
        thread: "tikv/tikv#15459",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[ERROR] [init_cluster.rs:309] ["error while open kvdb: Storage Engine Status { code: IoError, sub_code: None, sev: NoError, state: \"Corruption: Blob file 3965 has been deleted twice\" }"]"#,
        ],
        mode: "store_crash",
        why: "it cannot open its data",
    },
    Thread {
        thread: "tikv/tikv#17226",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:478] ["unexpected error: Store(Other(\"[components/raftstore/src/store/peer_storage.rs:545]: failed to get snapshot after 5 times\")), raft_id: 5389057, region_id: 786"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}"]"#,
        ],
        mode: "store_crash",
        why: "failed to get snapshot after 5 times",
    },
    Thread {
        thread: "tikv/tikv#10407",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:465] ["unexpected error: Store(Other(\"[components/raftstore/src/store/peer_storage.rs:980]: failed to get snapshot after 5 times\")), raft_id: 2652, region_id: 2650"] [backtrace="stack backtrace:\n   0: tikv_util::set_panic_hook::{{closure}}"]"#,
        ],
        mode: "store_crash",
        why: "failed to get snapshot after 5 times",
    },
    Thread {
        thread: "tikv/tikv#12676",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:491] ["unexpected error: Store(Other(\"[components/raftstore/src/store/peer_storage.rs:1301]: failed to get snapshot after 5 times\")), raft_id: 1902, region_id: 1650"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}"]"#,
        ],
        mode: "store_crash",
        why: "failed to get snapshot after 5 times",
    },
    Thread {
        thread: "tikv/tikv#15044",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:497] ["[region 1728] 1729 applying snapshot failed"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}"]"#,
        ],
        mode: "store_crash",
        why: "applying snapshot failed",
    },
    Thread {
        thread: "tikv/tikv#14205",
        run: CRASH,
        node: "store 4",
        lines: &[
            r#"[FATAL] [lib.rs:497] ["divide by zero error when dividing duration by scalar"] [backtrace="   0: tikv_util::set_panic_hook::{{closure}}"] [location=/rust/toolchains/nightly-2022-11-15-x86_64-unknown-linux-gnu/lib/rustlib/src/rust/library/core/src/time.rs:977] [thread_name=background-0]"#,
        ],
        mode: "store_crash",
        why: "divide by zero error when dividing duration by scalar",
    },
    Thread {
        thread: "tikv/tikv#12997",
        run: CRASH,
        node: "store 4",
        lines: &[
            "grpc_global_tim invoked oom-killer: gfp_mask=0x6200ca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=-997",
            "oom_reaper: reaped process 13658 (tikv-server), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        ],
        mode: "oom_kill",
        why: "",
    },
    Thread {
        thread: "tikv/tikv#5943",
        run: CRASH,
        node: "store 4",
        lines: &["sched-worker-po invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=873"],
        mode: "oom_kill",
        why: "",
    },
    Thread {
        thread: "pingcap/tidb#14841",
        run: CRASH,
        node: "store 4",
        lines: &[
            "systemd: tikv-20160.service: main process exited, code=killed, status=6/ABRT",
            "systemd: Unit tikv-20160.service entered failed state.",
        ],
        mode: "store_crash",
        why: "status 6/ABRT",
    },
    Thread {
        thread: "tikv/pd#7700",
        run: HANDOVER,
        node: "pd1",
        lines: &[
            r#"[INFO] [lease.go:138] ["lease timeout"] [expire=2024/01/03 10:36:25.258 +08:00] [purpose="leader election"]"#,
        ],
        mode: "pd_leader_transfer",
        why: "its lease expired",
    },
    Thread {
        thread: "tikv/pd#6926",
        run: HANDOVER,
        node: "pd1",
        lines: &[
            r#"[INFO] [lease.go:119] ["lease timeout"] [expire=2023/08/08 09:05:20.874 +00:00] [purpose="pd leader election"]"#,
            r#"[INFO] [lease.go:159] ["stop lease keep alive worker"] [purpose="pd leader election"]"#,
        ],
        mode: "pd_leader_transfer",
        why: "its lease expired",
    },
];
