//! Kinds of incidents that operators of clusters reported in public, derived from a quiet run: each test
//! changes what the report names, and nothing else.

use super::derived::{FROM, TO, quiet};
use super::{assert_cause, told};
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
