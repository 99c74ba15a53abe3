//! Verdicts without and with the lines of public incident threads.
//!
//! Nobody published metrics beside these threads, so each thread's lines are put into the log of the node that
//! broke in a bundled run of the same kind of fault, at its onset. What is counted is therefore what lines add to
//! the same metrics: whether the mode is right, and whether the verdict says why.

use std::path::Path;

use anyhow::{Context, Result};
use operator::capture::{self, CaptureWriter};
use operator::diagnose::Verdict;
use operator::logs::{ExtractOptions, Extractor, NodeNames};
use operator::model::Timestamp;
use operator::record::attach_log;
use operator::session::Session;

/// An incident of which the thread gives lines.
struct Thread {
    /// Repository and number of the thread.
    thread: &'static str,
    /// The run into whose log its lines are put, below the folder of bundled captures.
    run: &'static str,
    /// The node that wrote them there.
    node: &'static str,
    /// The lines from their level on, or as a service manager saw them.
    lines: &'static [&'static str],
    /// The mode that is right.
    mode: &'static str,
    /// What a verdict that says why has in its sentence; empty where the mode says it.
    why: &'static str,
}

impl Thread {
    /// Whether the thread is of the third that nothing was fitted to: those whose number is divisible by 3.
    fn is_set_aside(&self) -> bool {
        let number = self.thread.rsplit('#').next().and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number % 3 == 0)
    }
}

const CRASH: &str = "chaos-02.capture";
const HANDOVER: &str = "pd/pd-07.capture";

const THREADS: [Thread; 14] = [
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
];

/// How many threads were decided.
#[derive(Default)]
struct Tally {
    threads: usize,
    by_mode: [usize; 2],
    with_why: [usize; 2],
}

/// Prints a row for each thread and the sums of both halves.
pub fn run(folder: &Path) -> Result<()> {
    let mut tallies = [Tally::default(), Tally::default()];
    for thread in &THREADS {
        let verdicts = judged(thread, folder).with_context(|| thread.thread.to_owned())?;
        let tally = &mut tallies[usize::from(thread.is_set_aside())];
        tally.threads += 1;
        for (place, verdict) in verdicts.iter().enumerate() {
            let (mode, why) = decided(thread, verdict);
            tally.by_mode[place] += usize::from(mode);
            tally.with_why[place] += usize::from(mode && why);
        }
        let half = if thread.is_set_aside() { "set aside" } else { "seen" };
        let [without, with] = verdicts.map(|verdict| verdict.summary);
        println!("{} ({half})\n  without: {without}\n  with:    {with}", thread.thread);
    }
    for (tally, half) in tallies.iter().zip(["seen", "set aside"]) {
        let Tally { threads, by_mode, with_why } = tally;
        println!(
            "{half}: {threads} threads; mode {} without, {} with lines; mode and why {} without, {} with",
            by_mode[0], by_mode[1], with_why[0], with_why[1]
        );
    }
    Ok(())
}

/// Whether a verdict names the mode, and whether it says why.
fn decided(thread: &Thread, verdict: &Verdict) -> (bool, bool) {
    let first = verdict.causes.first().or_else(|| verdict.changes.first());
    first.map_or((false, false), |cause| {
        (cause.mode == thread.mode, cause.says.contains(thread.why))
    })
}

/// The verdicts without and with the thread's lines.
fn judged(thread: &Thread, folder: &Path) -> Result<[Verdict; 2]> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("run.capture");
    capture::copy(&folder.join(thread.run), &path)?;
    let session = Session::open(&path)?;
    let without = session.verdict()?;
    let first = without.causes.first().or_else(|| without.changes.first());
    let onset = first.context("the run shows its fault")?.onset_ms;
    let options = ExtractOptions {
        node: thread.node.to_owned(),
        window: session.window(),
        zone: None,
        names: NodeNames::default(),
    };
    drop(session);
    let mut extractor = Extractor::new(options);
    extractor.read("node.log", log(thread, onset).as_bytes())?;
    let mut writer = CaptureWriter::resume(&path)?;
    attach_log(&mut writer, &extractor.finish())?;
    writer.finish()?;
    Ok([without, Session::open(&path)?.verdict()?])
}

/// The lines a second apart, the last one a second before the onset.
fn log(thread: &Thread, onset: Timestamp) -> String {
    let ahead = (1..=thread.lines.len() as i64).rev();
    let lines = thread.lines.iter().zip(ahead);
    lines.map(|(line, ahead)| format!("{} {line}\n", onset + -ahead * 1_000)).collect()
}
