//! Faults beside others, beside what was planned, and before anything was normal.

use operator::model::TimeRange;

use super::{assert_cause, told};
use testkit::run::Run;

fn quiet() -> Run {
    Run::before("chaos-01", 1_795_537_269_202)
}

fn assert_causes(run: &Run, expected: &[(&str, &str)]) {
    let verdict = run.verdict();
    let named = verdict.causes.iter().map(|one| (one.mode, one.target.name.as_str()));
    let mut named: Vec<(&str, &str)> = named.collect();
    named.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(named, expected, "{}", told(&verdict));
}

/// It misses the dead store as all others do, and that is no link of its own.
#[test]
fn a_store_that_is_only_not_scraped_is_not_blamed_for_one_that_died() {
    for at in [130, 200, 230] {
        let mut run = quiet();
        let (_, instance, _) = run.store(2);
        run.fail_scrapes(&instance, run.range(at, at + 60), 10.0);
        run.kill(0, 200, 330);
        assert_cause(&run.verdict(), "store_crash", &run.store(0).2);
    }
}

#[test]
fn stores_that_fell_out_in_the_same_way_at_once_are_one_fault_and_otherwise_two() {
    let mut run = quiet();
    run.kill(0, 200, 330);
    run.kill(1, 200, 330);
    assert_cause(&run.verdict(), "region_unavailable", "cluster");
    let mut run = quiet();
    run.kill(0, 200, 330);
    run.stop_process(1, 200, 330);
    let (died, froze) = (run.store(0).2, run.store(1).2);
    assert_causes(&run, &[("store_crash", &died), ("store_pause", &froze)]);
}

/// Another leader of PD moves no load of clients.
#[test]
fn a_surge_after_a_transfer_of_pds_leader_is_told() {
    let mut run = quiet();
    let next = if run.leader() == "pd0" { "pd1" } else { "pd0" };
    run.move_pd_leader(next, run.at(130));
    let range = run.range(200, 330);
    run.scale_rise("tikv_grpc_msg_duration_seconds_count", range, 2.5);
    assert_cause(&run.verdict(), "traffic_surge", "workload");
}

fn drain(run: &mut Run, index: usize, from: i64) {
    let evicted = run.range(from, 10_000);
    run.bodies("/schedulers", evicted, |_, body| {
        if let Some(names) = body.as_array_mut().filter(|names| !names.is_empty()) {
            names.push("evict-leader-scheduler".into());
        }
    });
    let (id, ..) = run.store(index);
    run.store_entries(id, run.range(from + 10, 10_000), |_, store| {
        store["status"]["leader_count"] = 0.into();
    });
}

/// Clients ask for no more because leaders were led away.
#[test]
fn a_surge_is_told_beside_a_drain() {
    let mut run = quiet();
    drain(&mut run, 2, 130);
    let range = run.range(200, 330);
    run.scale_rise("tikv_grpc_msg_duration_seconds_count", range, 2.5);
    assert_cause(&run.verdict(), "traffic_surge", "workload");
}

/// A store that is led away from has less to write, and its disk is slow all the same; a store whose
/// single leader comes and goes is not drained beside it.
#[test]
fn a_slow_disk_is_told_beside_a_drain() {
    for (name, injected_ms, drained) in [
        ("chaos-09", 1_795_578_718_639, 2),
        ("chaos-01", 1_795_537_269_202, 2),
        ("chaos-01", 1_795_537_269_202, 0),
    ] {
        let mut run = Run::before(name, injected_ms);
        drain(&mut run, drained, 130);
        let range = run.range(200, 330);
        run.slow_device(0, range, 0.2);
        let verdict = run.verdict();
        assert_cause(&verdict, "slow_disk", &run.store(0).2);
        let of = |one: &&operator::diagnose::Cause| one.mode == "planned_drain";
        assert_eq!(verdict.changes.iter().filter(of).count(), 1, "{}", told(&verdict));
    }
}

/// The others tell what is usual.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_is_slow_before_it_has_a_past_is_told_by_its_peers() {
    type Lay = fn(&mut Run, usize, TimeRange);
    let faults: [(&str, Lay); 2] = [
        ("slow_disk", |run, index, range| run.slow_device(index, range, 0.2)),
        ("cpu_starved", |run, index, range| run.starve(index, range, 0.1)),
    ];
    for (mode, lay) in faults {
        for (from, to) in [(-60, 90), (20, 120), (35, 100)] {
            for index in [0, 3] {
                let mut run = quiet();
                let range = run.range(from, to);
                lay(&mut run, index, range);
                let verdict = run.verdict();
                assert_cause(&verdict, mode, &run.store(index).2);
                let off = verdict.causes[0].onset_ms - run.at(from.max(0));
                assert!(off.abs() <= 15_000, "{mode} {from}: {off} ms off: {}", told(&verdict));
            }
        }
    }
}
