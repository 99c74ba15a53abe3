//! Faults by their mechanism, laid over a stretch of a run at a node.

use operator::model::GapReason;

use testkit::run::Run;

type Lay = Box<dyn Fn(&mut Run, usize, i64, i64)>;

/// One of them.
pub struct Fault {
    pub name: &'static str,
    pub modes: &'static [&'static str],
    /// Say less of the same.
    pub broader: &'static [&'static str],
    /// The least length that it can be told from.
    pub least_s: i64,
    pub lay: Lay,
}

fn fault(
    name: &'static str,
    modes: &'static [&'static str],
    least_s: i64,
    lay: impl Fn(&mut Run, usize, i64, i64) + 'static,
) -> Fault {
    Fault { name, modes, broader: &[], least_s, lay: Box::new(lay) }
}

pub const GONE: &[&str] = &["store_unreachable"];

/// Faults of a store: those that it is or is not, and those that are slow by so much.
pub fn store_faults() -> Vec<Fault> {
    let mut all = sudden_faults();
    all.extend(slow_faults());
    for one in &mut all {
        if matches!(one.name, "pause" | "partition") {
            one.broader = GONE;
        }
    }
    all
}

fn sudden_faults() -> Vec<Fault> {
    vec![
        fault("crash", &["store_crash"], 80, Run::kill),
        fault("restart", &["store_restart"], 0, |run, index, from, _| {
            run.kill(index, from, from + 8)
        }),
        fault("restart 20", &["store_restart"], 0, |run, i, from, _| run.kill(i, from, from + 20)),
        fault("restart 45", &["store_restart"], 0, |run, i, from, _| run.kill(i, from, from + 45)),
        fault("flap", &["store_flap"], 0, |run, index, from, _| {
            for k in 0..4 {
                run.kill(index, from + 30 * k, from + 30 * k + 9);
            }
        }),
        fault("pause", &["store_pause"], 25, Run::stop_process),
        fault("partition", &["store_partition"], 25, Run::isolate),
        fault("pd partition", &["store_pd_partition"], 35, |run, index, from, to| {
            let (id, _, _) = run.store(index);
            run.stop_heartbeats(id, run.range(from, to));
        }),
        fault("peer partition", &["store_peer_partition"], 35, |run, i, from, to| {
            run.cut_from_peers(i, run.range(from, to), [true, true]);
        }),
        fault("inbound cut", &["store_asymmetric_partition"], 60, |run, i, from, to| {
            run.cut_from_peers(i, run.range(from, to), [true, false]);
        }),
        fault("outbound cut", &["store_asymmetric_partition"], 60, |run, i, from, to| {
            run.cut_from_peers(i, run.range(from, to), [false, true]);
        }),
        fault("disk hang", &["disk_hang"], 35, |run, i, from, to| {
            run.stop_device(i, run.range(from, to));
        }),
        fault("disk full 1 %", &["disk_full"], 20, |run, i, from, to| {
            run.leave_free(i, run.range(from, to), 0.01);
        }),
        fault("disk full 4 %", &["disk_full"], 20, |run, i, from, to| {
            run.leave_free(i, run.range(from, to), 0.04);
        }),
        fault("oom", &["oom_kill"], 0, Run::kill_for_memory),
        fault("oom and back", &["oom_kill"], 0, |run, i, from, _| {
            run.kill_for_memory(i, from, from + 12)
        }),
    ]
}

fn slow_faults() -> Vec<Fault> {
    let mut all = Vec::new();
    for (name, seconds) in
        [("disk 8 ms", 0.008), ("disk 30 ms", 0.03), ("disk 200 ms", 0.2), ("disk 1 s", 1.0)]
    {
        all.push(fault(name, &["slow_disk"], 60, move |run, i, from, to| {
            run.slow_device(i, run.range(from, to), seconds);
        }));
    }
    for (name, seconds) in [("link 15 ms", 0.015), ("link 60 ms", 0.06), ("link 300 ms", 0.3)] {
        all.push(fault(name, &["slow_network"], 60, move |run, i, from, to| {
            run.slow_link(i, run.range(from, to), seconds);
        }));
    }
    for (name, seconds) in [("cpu 12 ms", 0.012), ("cpu 50 ms", 0.05), ("cpu 300 ms", 0.3)] {
        all.push(fault(name, &["cpu_starved"], 60, move |run, i, from, to| {
            run.starve(i, run.range(from, to), seconds);
        }));
    }
    all
}

pub fn member_faults() -> Vec<Fault> {
    let lose = |reason: GapReason| {
        move |run: &mut Run, index: usize, from: i64, to: i64| {
            run.lose_member(MEMBERS[index], from, to, reason);
        }
    };
    let mut all = vec![
        fault(
            "member refused",
            &["pd_leader_crash", "pd_follower_crash"],
            20,
            lose(GapReason::Connect),
        ),
        fault(
            "member silent",
            &["pd_leader_pause", "pd_follower_unreachable"],
            20,
            lose(GapReason::Timeout),
        ),
        fault("member log 20 ms", &["pd_overloaded"], 60, |run, i, from, to| {
            let instance = run.instance_of_member(MEMBERS[i]);
            let range = run.range(from, to);
            run.slow_down("etcd_disk_wal_fsync_duration_seconds", &instance, range, 0.02);
            run.slow_down("etcd_disk_backend_commit_duration_seconds", &instance, range, 0.02);
        }),
        fault("member cpu", &["pd_overloaded"], 60, |run, i, from, to| {
            let instance = run.instance_of_member(MEMBERS[i]);
            let range = run.range(from, to);
            run.slow_member_link(MEMBERS[i], range, 0.06);
            run.slow_down("go_sched_latencies_seconds", &instance, range, 0.003);
            run.slow_down("etcd_disk_wal_fsync_duration_seconds", &instance, range, 0.02);
        }),
    ];
    for (name, seconds) in [("member link 30 ms", 0.03), ("member link 200 ms", 0.2)] {
        all.push(fault(name, &["slow_network"], 60, move |run, i, from, to| {
            run.slow_member_link(MEMBERS[i], run.range(from, to), seconds);
        }));
    }
    all
}

pub const MEMBERS: [&str; 3] = ["pd0", "pd1", "pd2"];
pub const REQUESTS: &str = "tikv_grpc_msg_duration_seconds_count";

pub fn load_faults() -> Vec<Fault> {
    let scaled = |factor: f64| {
        move |run: &mut Run, _: usize, from: i64, to: i64| {
            run.scale_rise(REQUESTS, run.range(from, to), factor);
        }
    };
    vec![
        fault("surge 1.6", &["traffic_surge"], 60, scaled(1.6)),
        fault("surge 2.5", &["traffic_surge"], 60, scaled(2.5)),
        fault("surge 6", &["traffic_surge"], 60, scaled(6.0)),
    ]
}
