//! Public incidents that are rebuilt in a quiet run, and what resembles them and is none.

use std::sync::LazyLock;

use operator::diagnose::{Outcome, TargetKind, Verdict};
use operator::model::{Labels, PdOutcome, Sample, TimeRange, Timestamp, is_stale};
use testkit::incidents::{FROM, Half, Incident, all, quiet};
use testkit::run::Run;

use super::{assert_cause, assert_no_fault, told};

/// The quiet run, with the metrics that failure modes name and those that incidents change.
static QUIET: LazyLock<Run> = LazyLock::new(quiet);

fn incident(name: &str) -> &'static Incident {
    all().find(|one| one.name == name).expect("it is listed")
}

/// The verdict on an incident as a recording of what failure modes name shows it.
fn verdict(incident: &Incident) -> (Run, Verdict) {
    let run = incident.run(&QUIET);
    let lean = incident.lean(&run, &QUIET);
    let verdict = lean.verdict();
    (lean, verdict)
}

fn assert_named(name: &str) -> Verdict {
    let incident = incident(name);
    let (run, verdict) = verdict(incident);
    assert!(incident.is_named(&run, &verdict), "{name}: {}", told(&verdict));
    assert!(incident.is_led(&verdict), "{name}: {}", told(&verdict));
    verdict
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn stores_that_pd_never_hears_are_a_fault_also_from_the_first_answer_on() {
    let verdict = assert_named("disconnected-from-start");
    assert_eq!(verdict.causes[0].end_ms, None);
    let verdict = assert_named("disconnected-and-no-leader-known");
    assert_eq!(verdict.causes[0].evidence[0].text, "PD lists all 4 stores as Disconnected");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn writes_that_stop_at_one_store_are_told_with_what_stops() {
    let verdict = assert_named("commands-never-end");
    let cause = &verdict.causes[0];
    assert!(cause.evidence.iter().all(|one| one.text.contains(" falls from ")), "{cause:?}");
    let onset = (cause.onset_ms - QUIET.at(FROM)) / 1000;
    assert!((-120..=60).contains(&onset), "{onset}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_all_nodes_have_too_much_of_alike_is_told() {
    for name in ["too-large-regions-stay", "ten-times-as-long"] {
        assert_named(name);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_one_store_has_too_much_of_or_too_little_is_told() {
    for name in ["one-huge-region", "leads-next-to-nothing"] {
        assert_named(name);
    }
}

/// One incident in so many is judged here, since each takes seconds: `campaign incidents` judges all.
const EVERY: usize = 5;
/// Incidents of which it is known that nothing in them departs by what is watched.
const NOT_SEEN: [&str; 2] = ["snapshots-fill-the-disk", "raft-engines-of-a-terabyte"];

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_rebuilt_incident_is_not_called_healthy_and_is_named_at_its_place() {
    // Nothing is fitted to those that are held out, so that nothing is demanded of them.
    let demanded = |one: &&Incident| one.half != Half::HeldOut && !NOT_SEEN.contains(&one.name);
    for incident in all().filter(demanded).step_by(EVERY) {
        let (run, verdict) = verdict(incident);
        assert!(incident.is_named(&run, &verdict), "{}: {}", incident.name, told(&verdict));
    }
}

/// Multiplies what all stores are asked for, and what they do, from second `FROM` on; reads and writes alike.
fn ask_for(run: &mut Run, factor: f64, store: Option<&str>) {
    let from = run.at(FROM);
    for series in &mut run.series {
        let metric = series.labels.metric();
        let is_meant = store.is_none_or(|one| series.labels.get("instance") == Some(one));
        let counts = ["_count", "_sum", "_total"].iter().any(|end| metric.ends_with(end));
        if !metric.starts_with("tikv_") || !counts || !is_meant {
            continue;
        }
        let (mut before, mut added): (Option<Sample>, f64) = (None, 0.0);
        for sample in series.samples.iter_mut().filter(|one| !is_stale(one.value)) {
            let real = *sample;
            if let Some(before) = before.filter(|before| before.at >= from) {
                added += (real.value - before.value).max(0.0) * (factor - 1.0);
            }
            before = Some(real);
            sample.value += added;
        }
    }
}

/// A metric of tasks that wait for a worker, which no failure mode names.
const TASKS: &str = "tikv_worker_pending_task_total";

/// The quiet run, as a recording of what failure modes name shows it, and of tasks that wait.
fn lean() -> Run {
    let named = operator::diagnose::metrics();
    let mut run = QUIET.clone();
    run.series.retain(|one| named.contains(&one.labels.metric()) || one.labels.metric() == TASKS);
    run
}

#[test]
fn clients_that_ask_all_stores_for_less_are_told_and_no_fault() {
    let mut run = lean();
    ask_for(&mut run, 0.02, None);
    let verdict = run.verdict();
    assert_no_fault(&verdict, Some(("traffic_drop", "workload")));
    assert!(verdict.summary.contains("clients ask for much less"), "{}", verdict.summary);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_queue_beside_less_work_everywhere_is_the_clusters_fault() {
    let mut run = lean();
    ask_for(&mut run, 0.02, None);
    let range = TimeRange::new(run.at(FROM), run.window.end);
    for (_, instance) in run.stores() {
        run.set_where(TASKS, &instance, range, 900.0, |labels| {
            labels.get("name") == Some("pd-worker")
        });
    }
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, Outcome::Fault, "{}", told(&verdict));
    let cause = &verdict.causes[0];
    assert_eq!((cause.mode, cause.target.kind), ("unexplained", TargetKind::Cluster));
}

/// Makes PD list a store without leaders from an instant on, and another one with all of them.
fn move_leaders(run: &mut Run, from: u64, to: u64, since: Timestamp) {
    let range = TimeRange::new(since, run.window.end);
    run.store_entries(from, range, |_, store| store["status"]["leader_count"] = 0.into());
    run.store_entries(to, range, |_, store| store["status"]["leader_count"] = 20.into());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn work_that_goes_with_its_leaders_does_not_stop() {
    let mut run = lean();
    let ((id, instance, name), (other, ..)) = (run.store(1), run.store(2));
    ask_for(&mut run, 0.01, Some(&instance));
    let stops = run.verdict();
    assert_cause(&stops, "unexplained", &name);
    let since = run.at(FROM - 20);
    move_leaders(&mut run, id, other, since);
    let moved = run.verdict();
    assert!(moved.causes.is_empty(), "{}", told(&moved));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_pd_calls_slow_or_busy_for_minutes_is_told() {
    let mut run = lean();
    let (id, _, name) = run.store(2);
    let range = TimeRange::new(run.at(FROM), run.at(FROM + 330));
    run.store_entries(id, range, |_, store| store["status"]["is_busy"] = true.into());
    assert_cause(&run.verdict(), "unexplained", &name);
    let mut short = lean();
    let range = TimeRange::new(short.at(FROM), short.at(FROM + 200));
    short.store_entries(id, range, |_, store| store["status"]["is_busy"] = true.into());
    assert_no_fault(&short.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_answers_that_were_changed_are_json() {
    for incident in all().step_by(EVERY) {
        let run = incident.run(&QUIET);
        let bodies = run.pd.iter().filter_map(|answer| match &answer.outcome {
            PdOutcome::Answered { status: 200, body } => Some(body),
            _ => None,
        });
        let listed = bodies.filter(|body| body.starts_with(b"{") || body.starts_with(b"["));
        assert!(listed.count() > 100, "{}", incident.name);
    }
}

/// The quiet run with what an incident of the third set changes, as a recording of what failure modes name.
fn lean_of(name: &str) -> (&'static Incident, Run) {
    let incident = incident(name);
    let run = incident.run(&QUIET);
    (incident, incident.lean(&run, &QUIET))
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn memory_that_grows_and_stays_is_told_at_its_store() {
    let verdict = assert_named("scan-tasks-pile-up");
    let text = &verdict.causes[0].evidence[0].text;
    assert_eq!(text, "resident memory goes from 18.3 to 27.2 GB and is not given back");
    assert_named("entries-never-shrink");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn memory_of_a_process_that_has_just_begun_may_grow() {
    let (_, mut run) = lean_of("scan-tasks-pile-up");
    let began = run.window.start.as_millis() as f64 / 1000.0;
    let whole = run.window;
    let (id, instance, _) = run.store(2);
    run.set("process_start_time_seconds", &instance, whole, began);
    run.store_entries(id, whole, |_, store| {
        store["store"]["start_timestamp"] = (began as i64).into();
    });
    assert_no_fault(&run.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_member_of_pd_without_processors_to_spare_is_overloaded() {
    let verdict = assert_named("get-region-flood");
    let cause = &verdict.causes[0];
    assert_eq!((cause.mode, cause.target.name.as_str()), ("pd_overloaded", "pd2"));
    // The same work on a machine that is larger is told as what nobody asked for before.
    let (_, mut run) = lean_of("get-region-flood");
    let whole = run.window;
    let leader = run.instance_of_member("pd2");
    run.set("pd_service_maxprocs", &leader, whole, 64.0);
    assert_cause(&run.verdict(), "unexplained", "pd2");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn pd_that_takes_an_hour_to_look_at_its_regions_is_told() {
    let verdict = assert_named("patrol-takes-an-hour");
    assert_eq!(verdict.causes[0].mode, "scheduling_halted");
    let (_, mut run) = lean_of("patrol-takes-an-hour");
    let (whole, leader) = (run.window, run.instance_of_member("pd2"));
    run.set("pd_checker_patrol_regions_time", &leader, whole, 600.0);
    assert!(run.verdict().causes.is_empty());
    // A member that leads no more shows what was when it did.
    let follower = run.instance_of_member("pd0");
    run.set("pd_checker_patrol_regions_time", &follower, whole, 3_372.0);
    assert!(run.verdict().causes.is_empty());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn beside_memory_that_grows_the_survey_says_what_else_departs() {
    let verdict = assert_named("pd-memory-doubles");
    let texts: Vec<&str> = verdict.causes[0].evidence.iter().map(|one| one.text.as_str()).collect();
    for part in ["resident memory goes", "heartbeat_latency"] {
        assert!(texts.iter().any(|text| text.contains(part)), "{texts:?}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_checkpoint_that_stands_still_is_told_with_its_age() {
    let verdict = assert_named("checkpoint-left-behind");
    let text = &verdict.causes[0].evidence[0].text;
    assert!(text.starts_with("tikv_log_backup_store_checkpoint_ts"), "{text}");
    assert!(text.contains(" has stood still for 1h2"), "{text}");
    // It moves on with the others again.
    let (_, mut run) = lean_of("checkpoint-left-behind");
    let (_, instance, _) = run.store(1);
    run.each("tikv_log_backup_store_checkpoint_ts", Some(&instance), |_, samples| {
        for sample in samples.iter_mut() {
            sample.value = ((sample.at.as_millis() - 240_000) << 18) as f64;
        }
    });
    assert_no_fault(&run.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_quota_that_is_used_up_is_told_and_one_with_room_is_not() {
    let verdict = assert_named("feed-quota-full");
    let text = &verdict.causes[0].evidence[0].text;
    assert_eq!(text, "tikv_cdc_sink_memory_bytes is 100 % of its limit");
    let named = operator::diagnose::metrics();
    let mut run = incident("feed-quota-full").run(&QUIET);
    run.series.retain(|one| {
        let metric = one.labels.metric();
        named.contains(&metric) || metric.starts_with("tikv_cdc_sink_memory")
    });
    let (_, instance, _) = run.store(3);
    let whole = run.window;
    run.set("tikv_cdc_sink_memory_capacity", &instance, whole, 1e9);
    assert_no_fault(&run.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn goroutines_that_only_grow_are_told_at_their_member() {
    let verdict = assert_named("goroutines-leak");
    let texts: Vec<&str> = verdict.causes[0].evidence.iter().map(|one| one.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("goroutines grows from ")), "{texts:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_one_store_shows_from_the_beginning_and_no_other_is_told() {
    let mut run = lean();
    let (whole, (_, instance, name)) = (run.window, run.store(3));
    let is_meant = |labels: &Labels| labels.get("name") == Some("cleanup-worker");
    run.set_where(TASKS, &instance, whole, 900.0, is_meant);
    let verdict = run.verdict();
    assert_cause(&verdict, "unexplained", &name);
    let text = &verdict.causes[0].evidence[0].text;
    assert!(text.ends_with(" is 900 from the beginning; elsewhere 0"), "{text}");
    // Two of the stores have as many.
    let (_, instance, _) = run.store(1);
    run.set_where(TASKS, &instance, whole, 900.0, is_meant);
    assert_no_fault(&run.verdict(), None);
}
