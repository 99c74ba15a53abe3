//! Modes of the cluster as a whole, derived from the quiet run like those in `derived`, each with
//! what looks like it and is not.

use std::collections::BTreeMap;

use operator::diagnose::Outcome;
use operator::model::TimeRange;
use serde_json::json;

use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

const FROM: i64 = 300;
const TO: i64 = 450;
/// Past the end of every run.
const END: i64 = 100_000;

/// The quiet run without its first two minutes, in which clients begin, copies of it concatenated.
fn long(times: i64) -> Run {
    let mut run = Run::load("chaos-01");
    run.cut(run.range(120, 540));
    run.repeat(times);
    run
}

fn until_the_end(run: &Run, from: i64) -> TimeRange {
    TimeRange::new(run.at(from), run.window.end)
}

/// Schedulers without the one that balances leaders, from one time to another.
fn without_balancer(run: &mut Run, from: i64, to: i64) {
    let range = run.range(from, to);
    run.bodies("/schedulers", range, |_, body| {
        let Some(names) = body.as_array_mut() else { return };
        names.retain(|name| name != "balance-leader-scheduler");
    });
}

/// Sets how many regions the stores lead, in the order of their ids.
fn lead(run: &mut Run, from: i64, to: i64, counts: [u64; 4]) {
    let range = run.range(from, to);
    for ((id, _), count) in run.stores().into_iter().zip(counts) {
        run.store_entries(id, range, |_, store| store["status"]["leader_count"] = count.into());
    }
}

#[test]
fn leaders_that_gather_while_nobody_balances_them_are_an_imbalance() {
    let mut run = Run::load("chaos-01");
    lead(&mut run, -60, FROM + 30, [9, 8, 9, 8]);
    lead(&mut run, FROM + 30, TO, [26, 2, 3, 3]);
    lead(&mut run, TO, END, [9, 8, 9, 8]);
    without_balancer(&mut run, FROM, TO);
    let verdict = run.verdict();
    assert_cause(&verdict, "imbalance", "cluster");
    let onset = (verdict.causes[0].onset_ms - run.at(FROM + 30)) / 1000;
    assert!((0..=15).contains(&onset), "{onset}: {}", told(&verdict));
    assert!(verdict.causes[0].end_ms.is_some());
}

#[test]
fn a_spread_that_lasts_without_a_balancer_is_an_imbalance() {
    let mut run = long(3);
    without_balancer(&mut run, -60, END);
    lead(&mut run, -60, END, [26, 2, 3, 3]);
    assert_cause(&run.verdict(), "imbalance", "cluster");
}

#[test]
fn a_spread_that_is_being_balanced_or_was_there_before_is_none() {
    let mut run = Run::load("chaos-01");
    lead(&mut run, FROM, TO, [26, 2, 3, 3]);
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
    let mut run = Run::load("chaos-01");
    lead(&mut run, -60, END, [26, 2, 3, 3]);
    run.bodies("/schedulers?status=paused", until_the_end(&run, FROM), |_, body| {
        *body = json!(["balance-leader-scheduler"]);
    });
    assert_no_fault(&run.verdict(), Some(("config_change", "cluster")));
}

/// A process that dies and comes back after `TO`: its host refuses connections meanwhile.
fn crash(run: &mut Run, index: usize, from: i64, to: i64) {
    let (id, instance, _) = run.store(index);
    run.fail_scrapes(&instance, run.range(from, to), 0.001);
    run.restart_process(&instance, run.at(to));
    run.stop_heartbeats(id, run.range(from, to + 5));
    let (back, after) = (run.at(to), until_the_end(run, to));
    run.store_entries(id, after, |_, store| {
        store["store"]["start_timestamp"] = (back.as_millis() / 1000).into();
    });
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn two_stores_that_fall_out_together_take_the_quorum_along() {
    for (from, to) in [(FROM, TO), (FROM, FROM + 70), (200, 260)] {
        let mut run = Run::load("chaos-01");
        crash(&mut run, 0, from, to);
        crash(&mut run, 3, from + 2, to);
        let verdict = run.verdict();
        assert_cause(&verdict, "region_unavailable", "cluster");
        assert!((verdict.causes[0].onset_ms - run.at(from)).abs() <= 15_000, "{}", told(&verdict));
    }
    let mut run = Run::load("chaos-01");
    run.pause(0, FROM, TO);
    run.pause(3, FROM, TO);
    assert_cause(&run.verdict(), "region_unavailable", "cluster");
}

#[test]
fn stores_that_fall_out_one_after_the_other_are_two_faults() {
    let mut run = Run::load("chaos-01");
    crash(&mut run, 0, 200, TO);
    crash(&mut run, 3, 300, TO + 30);
    let verdict = run.verdict();
    let named: Vec<&str> = verdict.causes.iter().map(|one| one.mode).collect();
    assert_eq!(named, ["store_crash", "store_crash"], "{}", told(&verdict));
    let follows = verdict.causes.iter().flat_map(|one| &one.explains);
    assert!(follows.into_iter().any(|one| one.what == "region_unavailable"), "{}", told(&verdict));
}

/// Answers to a check name so many regions, as a function of the time.
fn check(run: &mut Run, name: &str, from: i64, count: impl Fn(i64) -> u64) {
    let start = run.at(0);
    run.bodies(&format!("/regions/check/{name}"), until_the_end(run, from), |at, body| {
        body["count"] = count((at - start) / 1000).into();
    });
}

fn without_operators(run: &mut Run) {
    run.bodies("/operators?object", until_the_end(run, -60), |_, body| *body = json!([]));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn peers_that_stay_away_without_an_operator_are_stuck() {
    for name in ["miss-peer", "down-peer", "offline-peer"] {
        let mut run = long(3);
        without_operators(&mut run);
        check(&mut run, name, FROM, |_| 7);
        assert_cause(&run.verdict(), "peers_stuck", "cluster");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn peers_that_are_being_repaired_are_not_stuck() {
    // They become fewer.
    let mut run = long(3);
    without_operators(&mut run);
    check(&mut run, "miss-peer", FROM, |second| 40 - (second / 60).min(30) as u64);
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
    // An operator works on them.
    let mut run = long(3);
    without_operators(&mut run);
    check(&mut run, "miss-peer", FROM, |_| 7);
    let mut number = 0;
    run.bodies("/operators?object", until_the_end(&run, FROM + 60), |_, body| {
        number += 1;
        *body = json!([{
            "desc": "replace-down-replica", "brief": format!("mv peer: store [{number}] to [4]"),
            "region_id": number, "region_epoch": {"conf_ver": 5, "version": 3},
            "kind": "replica,region", "timeout": "17m0s", "status": "Started",
        }]);
    });
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
    // Not for long enough.
    let mut run = Run::load("chaos-01");
    without_operators(&mut run);
    check(&mut run, "miss-peer", FROM, |_| 7);
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
}

/// A safe point that moves as `moved` says, in minutes, held by a service.
fn safe_points(run: &mut Run, moved: impl Fn(i64) -> i64) {
    let start = run.at(0);
    run.bodies("/gc/safepoint", until_the_end(run, -60), |at, body| {
        let minute = (at - start) / 60_000;
        let point = (400_000_000_000 + moved(minute) * 60_000) << 18;
        *body = json!({
            "service_gc_safe_points": [
                {"service_id": "ticdc", "expired_at": 9_000_000_000_i64, "safe_point": point},
                {"service_id": "gc_worker", "expired_at": 9_223_372_036_854_775_807_i64,
                 "safe_point": point + 5},
            ],
            "min_service_gc_safe_point": point, "gc_safe_point": point,
        });
    });
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_safe_point_that_misses_its_rounds_stalls_and_its_holder_is_named() {
    let mut run = long(3);
    safe_points(&mut run, |minute| minute.min(8));
    let verdict = run.verdict();
    assert_cause(&verdict, "gc_stall", "cluster");
    assert_eq!(verdict.causes[0].target.concerns, ["service ticdc"]);
    // It moves again in the end.
    let mut run = long(3);
    safe_points(&mut run, |minute| if minute < 15 { minute.min(8) } else { minute });
    let verdict = run.verdict();
    assert_cause(&verdict, "gc_stall", "cluster");
    assert!(verdict.causes[0].end_ms.is_some(), "{}", told(&verdict));
    // Nobody knows how often it moves, but half an hour is too long.
    let mut run = long(6);
    safe_points(&mut run, |_| 0);
    assert_cause(&run.verdict(), "gc_stall", "cluster");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_safe_point_that_keeps_its_pace_does_not_stall() {
    for pace in [1, 5, 10] {
        let mut run = long(5);
        safe_points(&mut run, |minute| minute / pace * pace);
        assert_eq!(run.verdict().outcome, Outcome::NoFault, "{pace}: {}", told(&run.verdict()));
    }
    let mut run = long(3);
    safe_points(&mut run, |_| 0);
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
}

fn halt(run: &mut Run, from: i64, to: i64) {
    let range = run.range(from, to);
    run.bodies("/v1/config", range, |_, body| {
        if body["schedule"].is_object() {
            body["schedule"]["halt-scheduling"] = true.into();
        }
    });
}

#[test]
fn scheduling_that_is_halted_amid_balancing_is_a_fault_and_else_a_change() {
    let run = |balances: bool| {
        let mut run = Run::load("chaos-01");
        without_operators(&mut run);
        if balances {
            run.bodies("/operators?object", run.range(-60, FROM), |at, body| {
                let region = at.as_millis() / 5_000;
                *body = json!([{
                    "desc": "balance-region", "brief": "mv peer: store [1] to [5]",
                    "region_id": region, "region_epoch": {"conf_ver": 5, "version": 3},
                    "kind": "region", "timeout": "17m0s", "status": "Started",
                }]);
            });
        }
        let counts = [40, 40, 4, 40];
        for ((id, _), count) in run.stores().into_iter().zip(counts) {
            run.store_entries(id, until_the_end(&run, -60), |_, store| {
                store["status"]["region_count"] = count.into();
            });
        }
        halt(&mut run, FROM, TO);
        run.verdict()
    };
    assert_cause(&run(true), "scheduling_halted", "cluster");
    assert_no_fault(&run(false), Some(("config_change", "cluster")));
}

/// PD exports its configuration: the scrape tells earlier than the answer of the next minute.
#[test]
fn a_change_of_configuration_is_dated_by_the_scrape_that_shows_it() {
    let mut run = Run::load("chaos-01");
    let changed = run.at(FROM);
    let range = until_the_end(&run, FROM);
    run.set_where("pd_config_status", "10.77.0.12:2379", range, 8.0, |labels| {
        labels.get("type") == Some("leader-schedule-limit")
    });
    run.bodies("/v1/config", range, |_, body| {
        if body["schedule"].is_object() {
            body["schedule"]["leader-schedule-limit"] = 8.into();
        }
    });
    let verdict = run.verdict();
    assert_no_fault(&verdict, Some(("config_change", "cluster")));
    let onset: BTreeMap<&str, i64> =
        verdict.changes.iter().map(|one| (one.mode, one.onset_ms - changed)).collect();
    assert!((0..15_000).contains(&onset["config_change"]), "{}", told(&verdict));
}

/// PD's timestamps follow its clock: when that is set, they leave Prometheus's.
#[test]
fn timestamps_that_leave_prometheus_s_clock_tell_a_clock_that_was_set() {
    for by in [5_000.0, -5_000.0] {
        let mut run = Run::load("chaos-01");
        let range = run.range(FROM, TO);
        run.each("pd_cluster_tso", Some("10.77.0.12:2379"), |labels, samples| {
            if labels.get("type") == Some("tso") {
                for sample in samples.iter_mut().filter(|s| range.contains(s.at)) {
                    sample.value += by;
                }
            }
        });
        let verdict = run.verdict();
        assert_cause(&verdict, "clock_drift", "pd2");
        assert!((verdict.causes[0].onset_ms - run.at(FROM)).abs() <= 15_000);
    }
    // A member that leads no more exports its last timestamp for ever.
    let mut run = Run::load("chaos-01");
    let from = run.at(FROM);
    run.move_pd_leader("pd0", from);
    run.each("pd_cluster_tso", Some("10.77.0.12:2379"), |labels, samples| {
        if labels.get("type") == Some("tso") {
            let last: Option<f64> = samples.iter().rev().find(|s| s.at < from).map(|s| s.value);
            for sample in samples.iter_mut().filter(|s| s.at >= from) {
                sample.value = last.expect("it led before");
            }
        }
    });
    assert_no_fault(&run.verdict(), Some(("pd_leader_transfer", "pd2")));
}
