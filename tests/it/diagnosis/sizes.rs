//! Faults in large clusters and in long recordings, made of the bundled runs. The campaign `sizes` judges more of
//! them, and what they cost.

use operator::model::{Series, is_stale};
use testkit::run::{Joined, Run, bundled};
use testkit::worlds::WORLDS;

use super::{assert_cause, told};

fn large(name: &str, world: &str) -> Run {
    let mut run = Run::load(name);
    let world = WORLDS.iter().find(|one| one.name == world).expect("there is such a world");
    (world.change)(&mut run);
    run
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_clients_ask_of_a_few_stores_shows_among_many() {
    let surge = large("chaos-09", "thirty-stores").verdict();
    assert_cause(&surge, "traffic_surge", "workload");
    let says = &surge.causes[0].says;
    assert!(says.contains(" of 32 stores alike"), "{says}");
    assert_cause(&large("chaos-05", "thirty-stores").verdict(), "hot_region_write", "workload");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_fault_of_one_store_among_many_is_told_alone() {
    let (lab, run) = (Run::load("chaos-03").verdict(), large("chaos-03", "thirty-stores"));
    assert_cause(&run.verdict(), "slow_disk", &lab.causes[0].target.name);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_hour_in_which_nothing_changes_tells_nothing() {
    let mut hour = Run::open(&bundled("chaos-01")).settled();
    hour.repeat(6);
    let verdict = hour.verdict();
    assert!(verdict.causes.is_empty(), "{}", told(&verdict));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_follows_a_run_counts_whole_events() {
    let lap = Run::open(&bundled("chaos-01")).settled();
    let mut joined = Joined::default();
    joined.next(&lap);
    let next = joined.next(&lap);
    let is_requests = |one: &&Series| one.labels.metric() == "tikv_grpc_msg_duration_seconds_count";
    for run in [&lap, &next] {
        let mut requests = run.series.iter().filter(is_requests).flat_map(|one| &one.samples);
        assert!(requests.all(|sample| is_stale(sample.value) || sample.value.fract() == 0.0));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn faults_of_one_recording_are_each_told_at_their_time() {
    const LAPS: [&str; 7] =
        ["chaos-01", "chaos-02", "chaos-01", "chaos-03", "chaos-01", "chaos-05", "chaos-01"];
    let (run, moved) = Run::joined(&LAPS);
    let verdict = run.verdict();
    let alone = [1, 3, 5].map(|lap| {
        let cause = Run::load(LAPS[lap]).verdict().causes.swap_remove(0);
        (cause.mode, cause.target.name, cause.onset_ms.saturating_add_millis(moved[lap]))
    });
    assert_eq!(verdict.causes.len(), alone.len(), "{}", told(&verdict));
    for (cause, (mode, target, onset)) in verdict.causes.iter().zip(alone) {
        assert_eq!((cause.mode, &cause.target.name), (mode, &target), "{}", told(&verdict));
        let apart = (cause.onset_ms - onset).abs();
        assert!(apart <= 2 * cause.onset_uncertainty_ms, "{mode} {apart} ms: {}", told(&verdict));
    }
}
