//! What a fault brings along in a small cluster: fewer nodes to compare with, clients that are held
//! up and catch up, work that moves.

use operator::diagnose::Outcome;
use operator::model::{GapReason, TimeRange};

use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

const REQUESTS: &str = "tikv_grpc_msg_duration_seconds_count";

/// The bundled runs without one store that has nothing to do with the fault: three are left, one of
/// them at fault.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn with_three_stores_the_same_is_found() {
    for (name, mode, target, gone) in [
        ("chaos-02", "store_crash", "store 4", [1, 5, 6]),
        ("chaos-03", "slow_disk", "store 1", [4, 5, 6]),
        ("chaos-07", "store_partition", "store 1", [4, 5, 6]),
        ("chaos-08", "store_pause", "store 1", [4, 5, 6]),
    ] {
        for id in gone {
            let mut run = Run::load(name);
            run.remove_store(id);
            assert_cause(&run.verdict(), mode, target);
        }
    }
    for (name, change, gone) in [
        ("chaos-01", None, [1, 5]),
        ("chaos-06", Some(("planned_drain", "store 5")), [1, 6]),
        ("chaos-10", Some(("scrape_loss", "store 4")), [1, 6]),
    ] {
        for id in gone {
            let mut run = Run::load(name);
            run.remove_store(id);
            assert_no_fault(&run.verdict(), change);
        }
    }
}

/// Clients ask for less for some minutes, and then as before.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn load_that_comes_back_is_no_surge() {
    for (from, to) in [(200, 350), (200, 450), (300, 390)] {
        let mut run = Run::load("chaos-01");
        let range = run.range(from, to);
        run.scale_rise(REQUESTS, range, 0.3);
        assert_no_fault(&run.verdict(), None);
    }
}

/// Clients wait for the slow store, and for a minute after it ask for what they could not.
#[test]
fn clients_that_catch_up_after_a_slow_disk_are_no_surge() {
    let mut run = Run::load("chaos-01");
    let (slow, after) = (run.range(300, 400), run.range(400, 470));
    let (_, instance, name) = run.store(0);
    for histogram in
        ["tikv_raftstore_disk_probe_duration_seconds", "raft_engine_sync_log_duration_seconds"]
    {
        run.slow_down(histogram, &instance, slow, 0.2);
    }
    run.scale_rise(REQUESTS, slow, 0.4);
    run.scale_rise(REQUESTS, after, 2.0);
    assert_cause(&run.verdict(), "slow_disk", &name);
}

/// Members of PD that restart one after the other, each while the others answer.
#[test]
fn members_that_restart_in_turn_are_rolled() {
    let mut run = Run::load("chaos-01");
    run.move_pd_leader("pd0", run.at(385));
    for (member, from) in [("pd0", 200), ("pd1", 290), ("pd2", 380)] {
        let instance = format!("10.77.0.1{}:2379", &member[2..]);
        let back = run.at(from + 14);
        run.silence_member(member, run.range(from, from + 14), GapReason::Connect);
        run.fail_scrapes(&instance, run.range(from, from + 14), 0.001);
        run.restart_process(&instance, back);
        let until = run.window.end;
        let started = back.as_millis() / 1000;
        let after = TimeRange::new(back, until);
        run.bodies_of(member, "/v1/status", after, |body| {
            body["start_timestamp"] = started.into();
        });
    }
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, Outcome::NoFault, "{}", told(&verdict));
    assert!(verdict.changes.iter().any(|one| one.mode == "rolling_restart"), "{}", told(&verdict));
}

/// Regions move to all others while a store is emptied: they write more, and no disk is slow.
#[test]
fn others_that_write_more_while_a_store_leaves_are_not_slow() {
    let mut run = Run::load("chaos-01");
    let (id, _, name) = run.store(3);
    let leaving = run.range(250, 100_000);
    run.store_entries(id, leaving, |_, store| {
        store["store"]["state_name"] = "Offline".into();
        store["store"]["node_state"] = 2.into();
    });
    for (index, seconds) in [(0, 0.004), (1, 0.003)] {
        let (_, instance, _) = run.store(index);
        let range = run.range(260, 400);
        run.slow_down("raft_engine_sync_log_duration_seconds", &instance, range, seconds);
    }
    assert_no_fault(&run.verdict(), Some(("scale_in", &name)));
}

/// A store that was removed is no node that is missing: neither the load nor the disks of the others stop being
/// judged with it.
#[test]
fn what_breaks_after_a_store_was_removed_is_found() {
    for (name, mode, target, gone) in
        [("chaos-05", "hot_region_write", "workload", 2), ("chaos-03", "slow_disk", "store 1", 2)]
    {
        let mut run = Run::load(name);
        let (id, instance, _) = run.store(gone);
        assert_ne!(target, format!("store {id}"));
        let removed = run.range(60, 100_000);
        run.store_entries(id, run.range(30, 100_000), |_, store| {
            store["store"]["state_name"] = "Offline".into();
            store["store"]["node_state"] = 2.into();
        });
        run.stop_heartbeats(id, removed);
        run.fail_scrapes(&instance, removed, 0.001);
        assert_cause(&run.verdict(), mode, target);
    }
}

/// Heartbeats go to the leader, and stores take a while to find the next one: seen with PD's own
/// heartbeat bench after its leader was killed.
#[test]
fn stores_that_look_for_a_new_leader_of_pd_are_not_cut_off() {
    let (mode, member) = ("pd_leader_crash", "pd0");
    let crash = Run::load("chaos-04").verdict().causes[0].onset_ms;
    let silence = |seconds: i64| TimeRange::new(crash, crash.saturating_add_millis(seconds * 1000));
    let mut run = Run::load("chaos-04");
    for (id, _) in run.stores().into_iter().skip(1) {
        run.stop_heartbeats(id, silence(36));
    }
    assert_cause(&run.verdict(), mode, member);

    let mut run = Run::load("chaos-04");
    let (id, _, name) = run.store(0);
    run.stop_heartbeats(id, silence(120));
    let verdict = run.verdict();
    let causes: Vec<_> = verdict.causes.iter().map(|one| (one.mode, &*one.target.name)).collect();
    assert_eq!(causes, [(mode, member), ("store_pd_partition", &*name)], "{}", told(&verdict));
}
