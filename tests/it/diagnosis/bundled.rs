//! The bundled runs: each has one cause or none, and that is found.

use operator::diagnose::Verdict;
use testkit::run::{Run, session};

use super::{assert_cause, assert_no_fault, told};

/// Onsets are within this of the injection's first effect that anybody could observe: a scrape.
const ONSET_MS: i64 = 15_000;

fn verdict(name: &str) -> Verdict {
    session(name).verdict().expect("the capture is read")
}

/// The verdict as of so many seconds after the start.
fn verdict_after(name: &str, seconds: i64) -> Verdict {
    let session = session(name);
    let at = session.window().start.saturating_add_millis(seconds * 1000);
    session.verdict_as_of(at).expect("the capture is read")
}

fn assert_onset(name: &str, injected_ms: i64) {
    let verdict = verdict(name);
    let cause = &verdict.causes[0];
    let late = cause.onset_ms.as_millis() - injected_ms;
    assert!(late >= 0 || !cause.began_by_onset, "{name} is said to have begun {} ms before", -late);
    let off = late.abs();
    assert!(off <= ONSET_MS, "{name}: {off} ms off\n{}", told(&verdict));
    let give = cause.onset_uncertainty_ms;
    assert!(off <= give, "{name}: {off} ms off, although it is said to be within {give} ms");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn each_bundled_fault_is_found_where_it_was_and_nothing_else() {
    for (name, mode, target) in [
        ("chaos-02", "store_crash", "store 4"),
        ("chaos-03", "slow_disk", "store 1"),
        ("chaos-04", "pd_leader_crash", "pd0"),
        ("chaos-05", "hot_region_write", "workload"),
        ("chaos-07", "store_partition", "store 1"),
        ("chaos-08", "store_pause", "store 1"),
        ("chaos-09", "traffic_surge", "workload"),
    ] {
        assert_cause(&verdict(name), mode, target);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn onsets_lie_at_the_injection() {
    for (name, injected_ms) in [
        ("chaos-02", 1_795_537_850_204),
        ("chaos-03", 1_795_538_433_779),
        ("chaos-04", 1_795_539_020_508),
        ("chaos-05", 1_795_539_574_496),
        ("chaos-07", 1_795_576_201_186),
        ("chaos-08", 1_795_576_687_518),
        ("chaos-09", 1_795_578_718_639),
    ] {
        assert_onset(name, injected_ms);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn quiet_and_planned_runs_have_no_fault() {
    assert_no_fault(&verdict("chaos-01"), None);
    assert_no_fault(&verdict("chaos-06"), Some(("planned_drain", "store 5")));
    assert_no_fault(&verdict("chaos-10"), Some(("scrape_loss", "store 4")));
}

/// Runs of a real PD cluster alone, as `data/make-pd.sh` makes them.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_befell_pd_alone_is_found() {
    for (name, mode, target) in [
        ("pd-02", "pd_follower_crash", "pd1"),
        ("pd-03", "pd_leader_crash", "pd1"),
        ("pd-04", "pd_leader_pause", "pd0"),
        ("pd-05", "pd_quorum_loss", "pd"),
        ("pd-06", "pd_quorum_loss", "pd"),
    ] {
        assert_cause(&verdict(&format!("pd/{name}")), mode, target);
    }
    assert_no_fault(&verdict("pd/pd-01"), None);
    assert_no_fault(&verdict("pd/pd-07"), Some(("pd_leader_transfer", "pd1")));
    assert_no_fault(&verdict("pd/pd-08"), Some(("config_change", "cluster")));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn before_the_injection_nothing_is_found() {
    for (name, seconds) in [
        ("chaos-02", 220),
        ("chaos-03", 220),
        ("chaos-04", 220),
        ("chaos-05", 220),
        ("chaos-07", 200),
        ("chaos-08", 210),
        ("chaos-09", 200),
    ] {
        assert_no_fault(&verdict_after(name, seconds), None);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn while_the_hole_is_open_a_frozen_store_is_not_told_from_a_cut_off_one() {
    for name in ["chaos-07", "chaos-08"] {
        let verdict = verdict_after(name, 300);
        assert_cause(&verdict, "store_unreachable", "store 1");
        assert!(!verdict.causes[0].unchecked.is_empty(), "{name}");
    }
    // A dead process is told at once: its host refuses connections.
    assert_cause(&verdict_after("chaos-02", 300), "store_crash", "store 4");
}

#[test]
fn order_of_arrival_changes_nothing() {
    let run = Run::load("chaos-05");
    let mut other = run.clone();
    other.series.reverse();
    other.pd.reverse();
    assert_eq!(run.verdict(), other.verdict());
}
