//! Kinds of incidents that operators of clusters reported in public, derived from a quiet run: each test
//! changes what the report names, and nothing else.

use operator::diagnose::Outcome;
use operator::model::{PdOutcome, TimeRange, Timestamp};
use serde_json::json;

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

const LEADER: &str = "pd2";
const LEADERS_TARGET: &str = "10.77.0.12:2379";

/// The disk of PD's leader takes no write any more.
fn stop_log(run: &mut Run, range: TimeRange) {
    for metric in ["wal_fsync", "backend_commit"] {
        for part in ["sum", "count"] {
            let name = format!("etcd_disk_{metric}_duration_seconds_{part}");
            run.freeze(&name, LEADERS_TARGET, range, |_| true);
        }
    }
}

/// The other members elect one of them as etcd's leader, while PD's stays.
fn elect_in_etcd(run: &mut Run, range: TimeRange) {
    for by in ["pd0", "pd1"] {
        run.bodies_of(by, "/members", range, |body| body["etcd_leader"]["name"] = "pd0".into());
    }
}

/// No store's heartbeat is taken in, by PD's listings.
fn hear_no_store(run: &mut Run, range: TimeRange) {
    for (id, _) in run.stores() {
        run.stop_heartbeats(id, range);
    }
}

#[test]
fn a_leader_of_pd_that_hangs_is_told_by_each_of_its_signs() {
    let signs: [fn(&mut Run, TimeRange); 3] = [stop_log, elect_in_etcd, hear_no_store];
    for sign in signs {
        let mut run = quiet();
        let range = run.range(FROM, TO);
        sign(&mut run, range);
        assert_cause(&run.verdict(), "pd_overloaded", LEADER);
    }
    let mut run = quiet();
    let range = run.range(FROM, TO);
    signs.into_iter().for_each(|sign| sign(&mut run, range));
    let verdict = run.verdict();
    assert_cause(&verdict, "pd_overloaded", LEADER);
    assert!(verdict.causes[0].confidence >= 0.95, "{}", told(&verdict));
}

#[test]
fn a_handover_after_a_hang_was_not_planned() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    elect_in_etcd(&mut run, range);
    run.move_pd_leader("pd0", run.at(TO));
    let verdict = run.verdict();
    assert_cause(&verdict, "pd_overloaded", LEADER);
    assert!(verdict.changes.is_empty(), "{}", told(&verdict));
}

#[test]
fn timestamps_that_stand_still_are_no_clock_that_jumps() {
    let mut run = quiet();
    let range = TimeRange::new(run.at(FROM), Timestamp::MAX);
    let mut last = None;
    run.each("pd_cluster_tso", Some(LEADERS_TARGET), |labels, samples| {
        if labels.get("type") == Some("tso") {
            for sample in samples.iter_mut().filter(|sample| range.contains(sample.at)) {
                sample.value = *last.get_or_insert(sample.value);
            }
        }
    });
    assert!(last.is_some());
    assert_no_fault(&run.verdict(), None);
}

/// Makes an operator stand in every list of a stretch, alone.
fn operator_stays(run: &mut Run, range: TimeRange) {
    run.bodies("/operators?", range, |_, body| {
        *body = json!([{
            "desc": "merge-region", "brief": "merge: region 133 to 129", "region_id": 133,
            "region_epoch": {"conf_ver": 5, "version": 25}, "kind": 16, "timeout": "1h8m0s",
            "status": 1
        }]);
    });
}

#[test]
fn an_operator_that_alone_stays_grows_old() {
    // Twenty minutes, so that it is under way for longer than a step may take.
    let mut run = quiet();
    run.repeat(2);
    let mut short = run.clone();
    let range = run.range(60, 900);
    operator_stays(&mut run, range);
    let concerns = |run: &Run| {
        let causes = run.verdict().causes.into_iter();
        let halted = causes.filter(|cause| cause.mode == "scheduling_halted");
        halted.map(|cause| cause.target.concerns).collect::<Vec<_>>()
    };
    assert_eq!(concerns(&run), [["region 133"]]);
    for (from, to) in [(60, 500), (560, 1000)] {
        let range = short.range(from, to);
        operator_stays(&mut short, range);
    }
    assert!(concerns(&short).is_empty());
}

const GAP: &str = "tikv_resolved_ts_min_resolved_ts_gap_millis";

/// Lets the least resolved timestamp of a store stand still from the first minute on.
fn stop_resolving(run: &mut Run, instance: &str) {
    let since = run.at(60);
    run.each(GAP, Some(instance), |_, samples| {
        for sample in samples.iter_mut().filter(|sample| sample.at > since) {
            sample.value += (sample.at - since) as f64;
        }
    });
}

#[test]
fn a_resolved_timestamp_that_stands_still_is_a_stall_at_its_store() {
    let mut run = quiet();
    let (_, instance, name) = run.store(1);
    stop_resolving(&mut run, &instance);
    let verdict = run.verdict();
    assert_cause(&verdict, "gc_stall", &name);
    let onset = verdict.causes[0].onset_ms - run.window.start;
    // It had lagged up to twice the interval of its advance (20 s) before it stood still.
    assert!((15_000..75_000).contains(&onset), "{onset}");
    for (_, instance) in run.stores().into_iter().filter(|(_, one)| *one != instance) {
        stop_resolving(&mut run, &instance);
    }
    assert_cause(&run.verdict(), "gc_stall", "cluster");
}

#[test]
fn pds_answers_alone_show_a_resolved_timestamp_that_stands_still() {
    let mut run = quiet();
    run.series.retain(|one| one.labels.metric() != GAP);
    let (id, _, name) = run.store(1);
    let mut held = None;
    let range = run.range(60, 10_000);
    run.bodies("/min-resolved-ts", range, |_, body| {
        let held = held.get_or_insert_with(|| body["min_resolved_ts"].clone()).clone();
        body["stores_min_resolved_ts"][id.to_string()] = held.clone();
        body["min_resolved_ts"] = held;
    });
    assert_cause(&run.verdict(), "gc_stall", &name);
}

/// Lets no store come up before an instant, in seconds: scrapes are refused, and PD has nothing to list.
fn keep_down(run: &mut Run, until: i64) {
    let before = TimeRange::new(run.window.start, run.at(until));
    for (_, instance) in run.stores() {
        run.fail_scrapes(&instance, before, 0.001);
    }
    let said = r#""[PD:cluster:ErrNotBootstrapped]TiKV cluster not bootstrapped""#;
    let listings = run.pd.iter_mut().filter(|answer| answer.path.contains("/stores?"));
    for answer in listings.filter(|answer| before.contains(answer.sent)) {
        let body = said.as_bytes().to_vec().into();
        answer.outcome = PdOutcome::Answered { status: 500, body };
    }
}

#[test]
fn stores_that_never_came_up_are_a_fault_and_nothing_planned() {
    let mut run = quiet();
    keep_down(&mut run, 200);
    let verdict = run.verdict_at(run.at(180));
    assert_cause(&verdict, "store_never_up", "cluster");
    assert!(verdict.changes.is_empty(), "{}", told(&verdict));
    assert_eq!(verdict.causes[0].end_ms, None);
    let later = run.verdict();
    assert_cause(&later, "store_never_up", "cluster");
    assert!(later.changes.is_empty(), "{}", told(&later));
    assert!(later.causes[0].end_ms.is_some_and(|end| end <= run.at(220)), "{}", told(&later));
}

#[test]
fn a_target_that_never_answered_is_not_planned_and_only_pd_can_tell_what_it_is() {
    let mut run = quiet();
    let (_, instance, _) = run.store(2);
    let window = run.window;
    run.fail_scrapes(&instance, window, 0.001);
    run.pd.clear();
    run.series.retain(|one| !one.labels.metric().starts_with("pd_"));
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, Outcome::CannotTell, "{}", told(&verdict));
    assert!(verdict.changes.is_empty(), "{}", told(&verdict));
}
