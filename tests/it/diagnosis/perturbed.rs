//! Runs that are worse recorded than the bundled ones: the verdict stays, or says less.

use operator::diagnose::{Outcome, Verdict};

use super::run::Run;
use super::{assert_cause, told};

/// Every bundled fault, with its cause and place.
const FAULTS: [(&str, &str, &str); 7] = [
    ("chaos-02", "store_crash", "store 4"),
    ("chaos-03", "slow_disk", "store 1"),
    ("chaos-04", "pd_leader_crash", "pd0"),
    ("chaos-05", "hot_region_write", "workload"),
    ("chaos-07", "store_partition", "store 1"),
    ("chaos-08", "store_pause", "store 1"),
    ("chaos-09", "traffic_surge", "workload"),
];

const FAULTLESS: [&str; 3] = ["chaos-01", "chaos-06", "chaos-10"];

fn for_all(change: impl Fn(&mut Run), judge: impl Fn(&Verdict, Option<(&str, &str)>)) {
    for (name, mode, target) in FAULTS {
        let mut run = Run::load(name);
        change(&mut run);
        judge(&run.verdict(), Some((mode, target)));
    }
    for name in FAULTLESS {
        let mut run = Run::load(name);
        change(&mut run);
        judge(&run.verdict(), None);
    }
}

fn stays(verdict: &Verdict, truth: Option<(&str, &str)>) {
    match truth {
        Some((mode, target)) => assert_cause(verdict, mode, target),
        None => assert_eq!(verdict.outcome, Outcome::NoFault, "{}", told(verdict)),
    }
}

/// A wrong cause is worse than none.
fn stays_or_says_less(verdict: &Verdict, truth: Option<(&str, &str)>) {
    for cause in &verdict.causes {
        let broader = truth.is_some_and(|(mode, _)| mode.starts_with("store_"))
            && matches!(cause.mode, "store_unreachable" | "store_crash");
        // A store that PD does not list has its address for a name.
        let same = truth.is_some_and(|(mode, target)| {
            cause.mode == mode && (cause.target.name == target || cause.target.store_id.is_none())
        });
        assert!(same || broader, "{truth:?}: {}", told(verdict));
    }
}

#[test]
fn half_of_the_scrapes_are_enough() {
    for_all(Run::halve_scrapes, stays_or_says_less);
}

#[test]
fn more_load_changes_nothing() {
    for factor in [0.3, 20.0] {
        for_all(|run| run.scale_load(factor), stays);
    }
}

#[test]
fn other_addresses_change_nothing() {
    for_all(|run| run.rename_host("10.77.0.", "tikv-node-"), stays);
}

#[test]
fn half_of_the_members_unseen_changes_nothing() {
    for unseen in ["pd1", "pd2"] {
        for_all(|run| run.pd.retain(|answer| answer.member != unseen), stays_or_says_less);
    }
}

#[test]
fn without_pd_what_prometheus_saw_is_left() {
    for_all(|run| run.pd.clear(), stays_or_says_less);
}

#[test]
fn without_prometheus_what_pd_saw_is_left() {
    for_all(|run| run.series.clear(), stays_or_says_less);
}

#[test]
fn any_metric_may_be_missing() {
    for name in ["chaos-03", "chaos-08"] {
        let truth = FAULTS.iter().find(|(run, _, _)| *run == name).map(|(_, m, t)| (*m, *t));
        let whole = Run::load(name);
        for metric in operator::diagnose::metrics() {
            let mut run = whole.clone();
            run.drop_series(|labels| labels.metric() == metric);
            stays_or_says_less(&run.verdict(), truth);
        }
    }
}

/// A slow store gives its leaders away. Where not all that it serves is seen, others seem to be asked
/// for more.
#[test]
fn load_that_came_from_a_store_that_is_not_seen_is_no_surge() {
    let unseen = |run: &mut Run, keep: fn(&str) -> bool| {
        let instance = run.store(0).1;
        run.drop_series(|labels| {
            labels.get("instance") == Some(&instance) && !keep(labels.metric())
        });
    };
    let mut run = Run::load("chaos-03");
    unseen(&mut run, |metric| metric == "up");
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, Outcome::CannotTell, "{}", told(&verdict));
    assert!(verdict.summary.contains("store 1"), "{}", verdict.summary);
    // A surge meets all that are seen, and PD says that no leader moved.
    let mut run = Run::load("chaos-09");
    unseen(&mut run, |metric| metric == "up");
    assert_cause(&run.verdict(), "traffic_surge", "workload");
}

#[test]
fn a_window_cut_short_blames_nobody_else() {
    for (from, to) in [(120, 10_000), (0, 330), (180, 400)] {
        for_all(|run| run.cut(run.range(from, to)), stays_or_says_less);
    }
}

#[test]
fn nothing_seen_is_no_verdict() {
    let mut run = Run::load("chaos-01");
    run.pd.clear();
    run.series.clear();
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, Outcome::CannotTell);
    assert!(verdict.unchecked.iter().any(|one| one.command.is_some()));
    let mut run = Run::load("chaos-01");
    run.cut(run.range(100, 130));
    assert_eq!(run.verdict().outcome, Outcome::CannotTell);
}
