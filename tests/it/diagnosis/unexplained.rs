//! What departs and no failure mode knows: told, with its node, and never where nothing is wrong.

use std::path::Path;

use operator::diagnose::{Outcome, TargetKind, draw};
use operator::model::Series;
use testkit::run::Run;

/// A gauge of TiKV's that no failure mode reads: tasks that wait for a background worker.
const TASKS: &str = "tikv_worker_pending_task_total";

/// A quiet run of ten minutes, with everything that is surveyed.
fn quiet() -> Run {
    Run::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-01.capture"))
}

/// The run with a backlog of tasks at the stores whose address contains `at`, from second `from` to `to`.
fn backlog(mut run: Run, at: &str, (from, to): (i64, i64)) -> Run {
    let range = run.range(from, to);
    let is_meant = |one: &&mut Series| {
        one.labels.metric() == TASKS
            && one.labels.get("instance").is_some_and(|instance| instance.contains(at))
    };
    for one in run.series.iter_mut().filter(is_meant) {
        let inside = one.samples.iter_mut().filter(|sample| range.contains(sample.at));
        inside.for_each(|sample| sample.value += 5_000.0);
    }
    run
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_backlog_that_no_mode_knows_is_told_with_its_store_and_its_metric() {
    let run = backlog(quiet(), "10.77.0.23", (300, 600));
    let (evidence, verdict) = run.judged_at(run.window.end);
    let cause = &verdict.causes[0];
    let finding = verdict.findings.iter().find(|one| one.id == cause.evidence[0].finding);
    let drawn = draw(&evidence, finding.expect("what speaks for a cause is a finding"));
    assert!(drawn[0].points.iter().any(|(_, value)| *value > 5_000.0), "{drawn:?}");
    assert_eq!(
        (cause.mode, cause.target.address.as_deref()),
        ("unexplained", Some("10.77.0.23:20160"))
    );
    let onset = (cause.onset_ms - run.window.start) / 1000;
    assert!((270..=330).contains(&onset), "{onset}");
    assert!(cause.evidence[0].text.starts_with(TASKS), "{}", cause.evidence[0].text);
    assert_eq!((verdict.outcome, cause.end_ms), (Outcome::Fault, None));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_all_stores_share_is_the_clusters() {
    let verdict = backlog(quiet(), "10.77.0.2", (300, 600)).verdict();
    let cause = &verdict.causes[0];
    assert_eq!((cause.mode, cause.target.kind), ("unexplained", TargetKind::Cluster));
    assert!(cause.evidence[0].text.contains("at 4 nodes alike"), "{}", cause.evidence[0].text);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_quiet_run_and_a_short_burst_have_no_fault() {
    assert_eq!(quiet().verdict().outcome, Outcome::NoFault);
    let burst = backlog(quiet(), "10.77.0.23", (300, 420)).verdict();
    assert_eq!((burst.outcome, burst.findings.len()), (Outcome::NoFault, 0));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_known_cause_explains_what_departs_with_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-03.capture");
    let run = backlog(Run::open(&path), "10.77.0.23", (240, 440));
    let verdict = run.verdict();
    let modes: Vec<&str> = verdict.causes.iter().map(|cause| cause.mode).collect();
    assert_eq!(modes, ["slow_disk"]);
}
