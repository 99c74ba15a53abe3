//! Runs of a kind that is not bundled: faults laid over the quiet part of other runs than the
//! quietest, early, short and open, and real faults made so.

use operator::diagnose::Outcome;
use operator::model::{GapReason, TimeRange};

use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

const REQUESTS: &str = "tikv_grpc_msg_duration_seconds_count";

/// One store of it holds few regions and leads none; stores are noisier than in `chaos-01`.
fn noisy() -> Run {
    Run::before("chaos-08", 1_795_576_687_518)
}

const IDLE: usize = 3;

#[test]
fn the_bases_are_quiet() {
    assert_no_fault(&noisy().verdict(), None);
    assert_no_fault(&Run::before("chaos-10", 1_795_579_869_871).verdict(), None);
}

/// A minute after the beginning, in the middle, and open at the end.
const SPANS: [(i64, i64); 3] = [(65, 125), (200, 260), (400, 10_000)];

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_fault_inside_a_node_is_told_on_noisier_stores_too() {
    type Lay = fn(&mut Run, usize, TimeRange);
    let faults: [(&str, Lay); 5] = [
        ("slow_disk", |run, index, range| run.slow_device(index, range, 0.05)),
        ("disk_hang", |run, index, range| run.stop_device(index, range)),
        ("slow_network", |run, index, range| run.slow_link(index, range, 0.06)),
        ("cpu_starved", |run, index, range| run.starve(index, range, 0.05)),
        ("disk_full", |run, index, range| run.leave_free(index, range, 0.02)),
    ];
    let quiet = noisy();
    for (mode, lay) in faults {
        for (from, to) in SPANS {
            for index in [0, IDLE] {
                let mut run = quiet.clone();
                let range = run.range(from, to);
                lay(&mut run, index, range);
                let verdict = run.verdict();
                assert_cause(&verdict, mode, &run.store(index).2);
                let off = verdict.causes[0].onset_ms - run.at(from);
                assert!(off.abs() <= 15_000, "{mode}: {off} ms off: {}", told(&verdict));
            }
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_falls_out_is_told_by_what_it_says_when_it_is_back() {
    let quiet = noisy();
    for index in [0, IDLE] {
        for (from, to) in [(65, 125), (200, 230), (200, 290)] {
            let mut run = quiet.clone();
            run.stop_process(index, from, to);
            assert_cause(&run.verdict(), "store_pause", &run.store(index).2);
            let mut run = quiet.clone();
            run.isolate(index, from, to);
            assert_cause(&run.verdict(), "store_partition", &run.store(index).2);
        }
        let mut run = quiet.clone();
        run.kill(index, 400, 10_000);
        assert_cause(&run.verdict(), "store_crash", &run.store(index).2);
    }
}

/// A minute after the beginning others have no baseline of their own yet.
#[test]
fn an_early_slow_link_of_pd_s_leader_accuses_no_store() {
    let mut run = noisy();
    let (leader, range) = (run.leader(), run.range(65, 125));
    run.slow_member_link(&leader, range, 0.2);
    assert_cause(&run.verdict(), "slow_network", &leader);
}

/// Nobody refuses connections for a frozen process, nor for one that is cut off.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_member_that_leaves_requests_unanswered_is_not_called_dead() {
    let mut run = noisy();
    let leader = run.leader();
    for member in ["pd0", "pd1", "pd2"] {
        for reason in [GapReason::Timeout, GapReason::Connect] {
            let mut run = run.clone();
            run.lose_member(member, 200, 260, reason);
            let mode = match (member == leader, reason) {
                (true, GapReason::Connect) => "pd_leader_crash",
                (true, _) => "pd_leader_pause",
                (false, GapReason::Connect) => "pd_follower_crash",
                (false, _) => "pd_follower_unreachable",
            };
            assert_cause(&run.verdict(), mode, member);
        }
    }
    run.lose_member("pd1", 200, 10_000, GapReason::Timeout);
    assert!(!run.verdict().causes[0].unchecked.is_empty());
}

/// It sends too little for messages to tell; health checks go out whatever regions it holds.
#[test]
fn one_way_is_told_on_a_store_that_has_nothing_to_send() {
    for ways in [[true, false], [false, true]] {
        let mut run = noisy();
        let range = run.range(200, 290);
        run.cut_from_peers(IDLE, range, ways);
        assert_cause(&run.verdict(), "store_asymmetric_partition", &run.store(IDLE).2);
    }
    let mut run = noisy();
    let range = run.range(200, 290);
    run.cut_from_peers(IDLE, range, [true, true]);
    assert_cause(&run.verdict(), "store_peer_partition", &run.store(IDLE).2);
}

/// Health checks between two stores take 300 ms, ten times a second, both ways.
#[test]
fn a_slow_link_between_two_stores_is_neither_store_s() {
    let pair = |run: &mut Run, ends: &[(usize, usize)]| {
        let range = run.range(200, 290);
        for (by, whom) in ends {
            let ((source, instance, _), (target, ..)) = (run.store(*by), run.store(*whom));
            let (source, target) = (source.to_string(), target.to_string());
            for (part, pace) in [("count", 10.0), ("sum", 3.0)] {
                let name = format!("tikv_raftstore_inspect_network_duration_seconds_{part}");
                let pairs = [
                    ("__name__", name.as_str()),
                    ("job", "tikv"),
                    ("instance", instance.as_str()),
                    ("source", source.as_str()),
                    ("target", target.as_str()),
                ];
                run.add_counter(&pairs, range, pace);
            }
        }
    };
    let mut run = noisy();
    pair(&mut run, &[(0, 1), (1, 0)]);
    let link = format!("{} - {}", run.store(0).2, run.store(1).2);
    assert_cause(&run.verdict(), "slow_network", &link);
    // One direction alone, or another link of the same store beside it, is something else.
    let mut run = noisy();
    pair(&mut run, &[(0, 1), (1, 0), (0, 2), (2, 0)]);
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
}

/// In the first minutes PD's averages still tell of the data set that was loaded.
#[test]
fn an_early_surge_is_no_hot_region_of_what_was_loaded() {
    let mut run = Run::before("chaos-07", 1_795_576_201_186);
    let range = run.range(65, 125);
    run.scale_rise(REQUESTS, range, 2.5);
    assert_cause(&run.verdict(), "traffic_surge", "workload");
}

/// What a data set's loading takes, twice the usual load, is no normal for what clients ask for then.
#[test]
fn a_surge_soon_after_the_data_set_was_loaded_is_told() {
    let whole = Run::load("chaos-09");
    let injected = (1_795_578_718_639 - whole.window.start.as_millis()) / 1000;
    // It was loaded within the first minute and a quarter.
    for remain in [60, 75, 90] {
        let mut run = whole.clone();
        run.splice(run.range(75, injected + 15 - remain));
        let verdict = run.verdict();
        assert_cause(&verdict, "traffic_surge", "workload");
        let off = verdict.causes[0].onset_ms - run.at(60 + remain);
        assert!(off.abs() <= 15_000, "{remain} s: {off} ms off: {}", told(&verdict));
    }
}

/// Three scrapes are the whole baseline.
#[test]
fn a_surge_a_minute_after_the_beginning_is_told() {
    for (name, injected_ms) in [("chaos-03", 1_795_538_433_779), ("chaos-10", 1_795_579_869_871)] {
        let mut run = Run::before(name, injected_ms);
        let range = run.range(65, 125);
        run.scale_rise(REQUESTS, range, 1.6);
        assert_cause(&run.verdict(), "traffic_surge", "workload");
    }
}

/// A burst of seventeen times the load slows the disks of those that it writes to some times.
#[test]
fn a_disk_that_got_slower_by_less_than_the_load_grew_is_none() {
    let mut run = Run::load("chaos-05");
    let injected = (1_795_539_574_496 - run.window.start.as_millis()) / 1000;
    run.blend(run.range(injected, injected + 270), 4.0);
    assert_cause(&run.verdict(), "hot_region_write", "workload");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn load_that_was_held_up_for_minutes_and_is_made_up_for_is_no_surge() {
    for (from, to) in [(65, 110), (120, 240), (200, 260)] {
        let mut run = noisy();
        let (held, after) = (run.range(from, to), run.range(to, to + 45));
        run.scale_rise(REQUESTS, held, 0.3);
        run.scale_rise(REQUESTS, after, 1.5);
        assert_no_fault(&run.verdict(), None);
    }
}

/// A minute and a half of memory that rises is all that was seen of it.
#[test]
fn memory_that_rose_from_the_first_sample_on_is_what_killed_the_process() {
    for index in 0..4 {
        let mut run = noisy();
        run.kill_for_memory(index, 65, 77);
        assert_cause(&run.verdict(), "oom_kill", &run.store(index).2);
    }
}

/// Whoever looks only at the end of a planned stop sees its scheduler and a store without leaders.
#[test]
fn a_drain_that_was_over_when_the_window_began_is_still_planned() {
    let whole = Run::load("chaos-06");
    let end = whole.window.millis() / 1000;
    for start in [200, 260, 300] {
        let mut run = whole.clone();
        run.cut(run.range(start, end));
        assert_no_fault(&run.verdict(), Some(("planned_drain", "store 5")));
    }
}

/// A store that leads nothing has no leaders that could leave.
#[test]
fn a_store_without_leaders_is_drained_by_its_scheduler_alone() {
    let mut run = noisy();
    let (id, _, name) = run.store(IDLE);
    let all = TimeRange::new(run.window.start, run.window.end);
    run.store_entries(id, all, |_, store| store["status"]["leader_count"] = 0.into());
    let evicted = run.range(150, 100_000);
    run.bodies("/schedulers", evicted, |_, body| {
        if let Some(names) = body.as_array_mut().filter(|names| !names.is_empty()) {
            names.push("evict-leader-scheduler".into());
        }
    });
    run.kill(IDLE, 250, 350);
    assert_no_fault(&run.verdict(), Some(("planned_drain", &name)));
}

/// The bundled faults, shorter by what was cut out of their middle, earlier, and still open.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn real_faults_are_told_when_they_are_shorter_earlier_or_open() {
    for (name, mode, target, injected_ms, lasts) in [
        ("chaos-03", "slow_disk", "store 1", 1_795_538_433_779, 210),
        ("chaos-04", "pd_leader_crash", "pd0", 1_795_539_020_508, 180),
        ("chaos-05", "hot_region_write", "workload", 1_795_539_574_496, 210),
        ("chaos-07", "store_partition", "store 1", 1_795_576_201_186, 150),
        ("chaos-08", "store_pause", "store 1", 1_795_576_687_518, 150),
        ("chaos-09", "traffic_surge", "workload", 1_795_578_718_639, 150),
    ] {
        let whole = Run::load(name);
        let from = (injected_ms - whole.window.start.as_millis()) / 1000;
        for length in [45, 90] {
            let mut run = whole.clone();
            run.splice(run.range(from + length, from + lasts));
            assert_cause(&run.verdict(), mode, target);
        }
        let mut run = whole.clone();
        run.splice(run.range(15, 15 + from - 75));
        let verdict = run.verdict();
        assert_cause(&verdict, mode, target);
        let off = verdict.causes[0].onset_ms - run.at(75);
        assert!(off.abs() <= 15_000, "{name}: {off} ms off: {}", told(&verdict));
        if !matches!(mode, "store_partition" | "store_pause") {
            let mut run = whole.clone();
            run.cut(run.range(0, from + 75));
            assert_cause(&run.verdict(), mode, target);
        }
    }
    // Half a minute of a disk that is two hundred times slower is enough.
    let mut run = Run::load("chaos-03");
    let from = (1_795_538_433_779 - run.window.start.as_millis()) / 1000;
    run.splice(run.range(from + 30, from + 210));
    assert_cause(&run.verdict(), "slow_disk", "store 1");
}

/// A quarter of what the disk was slowed down by, and three quarters.
#[test]
fn a_milder_slow_disk_is_one() {
    for factor in [0.25, 0.75] {
        let mut run = Run::load("chaos-03");
        let from = (1_795_538_433_779 - run.window.start.as_millis()) / 1000;
        run.blend(run.range(from, from + 260), factor);
        assert_cause(&run.verdict(), "slow_disk", "store 1");
    }
}

/// Nobody balances leaders that another scheduler grants to one store, or of which none may move.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn leaders_that_gather_where_none_may_move_are_an_imbalance() {
    for granted in [true, false] {
        let mut run = noisy();
        let stores = run.stores();
        let lead = |run: &mut Run, from: i64, counts: [u64; 4]| {
            let range = run.range(from, 100_000);
            for ((id, _), count) in stores.iter().zip(counts) {
                run.store_entries(*id, range, |_, one| {
                    one["status"]["leader_count"] = count.into()
                });
            }
        };
        lead(&mut run, -60, [9, 8, 9, 8]);
        lead(&mut run, 230, [26, 2, 3, 3]);
        let range = run.range(200, 100_000);
        if granted {
            run.bodies("/schedulers", range, |_, body| {
                if let Some(names) = body.as_array_mut().filter(|names| !names.is_empty()) {
                    names.push("grant-leader-scheduler".into());
                }
            });
        } else {
            run.bodies("/v1/config", range, |_, body| {
                if body["schedule"].is_object() {
                    body["schedule"]["leader-schedule-limit"] = 0.into();
                }
            });
        }
        assert_cause(&run.verdict(), "imbalance", "cluster");
    }
}
