//! Kinds of incidents that operators of clusters reported in public, derived from a quiet run: each test
//! changes what the report names, and nothing else.

use super::derived::{FROM, TO, quiet};
use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

/// Compaction debt beyond the soft limit, in bytes: half a tebibyte.
const DEBT: f64 = 5.5e11;

/// Lets a store's scheduler refuse commands.
fn refuse(run: &mut Run, instance: &str) {
    let pairs = [
        ("__name__", "tikv_scheduler_too_busy_total"),
        ("job", "tikv"),
        ("instance", instance),
        ("type", "commit"),
    ];
    run.add_counter(&pairs, run.range(FROM, TO), 20.0);
}

#[test]
fn writes_that_flow_control_drops_are_a_write_stall_and_refusals_follow() {
    let mut run = quiet();
    let (_, instance, name) = run.store(0);
    let range = run.range(FROM, TO);
    run.set("tikv_scheduler_discard_ratio", &instance, range, 3_500_000.0);
    refuse(&mut run, &instance);
    let verdict = run.verdict();
    assert_cause(&verdict, "write_stall", &name);
    let texts: Vec<&str> = verdict.causes[0].evidence.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["flow control drops up to 35 % of the writes"], "{}", told(&verdict));
}

#[test]
fn refusals_beside_a_great_compaction_debt_are_a_write_stall() {
    let mut run = quiet();
    let (_, instance, name) = run.store(0);
    refuse(&mut run, &instance);
    assert_cause(&run.verdict(), "scheduler_busy", &name);
    let range = run.range(FROM - 60, TO);
    run.set_where("tikv_engine_pending_compaction_bytes", &instance, range, DEBT, |labels| {
        labels.get("cf") == Some("default") && labels.get("db") == Some("kv")
    });
    assert_cause(&run.verdict(), "write_stall", &name);
}

/// Lets a store count coprocessor requests that it answered with an error.
fn fail_coprocessor(run: &mut Run, instance: &str, reason: &str, per_second: f64) {
    let pairs = [
        ("__name__", "tikv_coprocessor_request_error"),
        ("job", "tikv"),
        ("instance", instance),
        ("reason", reason),
    ];
    run.add_counter(&pairs, run.range(FROM, TO), per_second);
}

#[test]
fn every_release_has_its_label_for_a_full_read_pool() {
    let full = ["full", "outdated", "max_pending_tasks_exceeded", "memory_quota_exceeded"];
    for reason in full {
        let mut run = quiet();
        let (_, instance, _) = run.store(2);
        fail_coprocessor(&mut run, &instance, reason, 5.0);
        assert_cause(&run.verdict(), "coprocessor_pressure", "workload");
    }
}

#[test]
fn deadlines_that_clients_set_are_no_pressure_and_many_missed_ones_are() {
    let with = |per_second: f64| {
        let mut run = quiet();
        let (_, instance, _) = run.store(2);
        fail_coprocessor(&mut run, &instance, "deadline_exceeded", per_second);
        run.verdict()
    };
    assert_no_fault(&with(0.2), None);
    assert_cause(&with(5.0), "coprocessor_pressure", "workload");
}

#[test]
fn read_tasks_that_do_not_end_at_no_cpu_are_a_stuck_pool_at_their_store() {
    let mut run = quiet();
    let (_, instance, name) = run.store(2);
    let range = run.range(FROM, TO);
    run.set_where("tikv_unified_read_pool_running_tasks", &instance, range, 5_000.0, |labels| {
        labels.get("priority") == Some("medium")
    });
    assert_cause(&run.verdict(), "coprocessor_pressure", &name);
    fail_coprocessor(&mut run, &instance, "max_pending_tasks_exceeded", 5.0);
    assert_cause(&run.verdict(), "coprocessor_pressure", &name);
}

#[test]
fn read_tasks_of_a_busy_pool_are_not_stuck() {
    let mut run = quiet();
    let (_, instance, _) = run.store(2);
    let range = run.range(FROM, TO);
    run.set_where("tikv_unified_read_pool_running_tasks", &instance, range, 5_000.0, |labels| {
        labels.get("priority") == Some("medium")
    });
    let pairs = [
        ("__name__", "tikv_thread_cpu_seconds_total"),
        ("job", "tikv"),
        ("instance", &instance),
        ("name", "unified_read_po"),
        ("tid", "999"),
    ];
    run.add_counter(&pairs, range, 0.9);
    assert_no_fault(&run.verdict(), None);
}
