//! What follows from a part that is named is no second cause, at any instant, and what all nodes share is not
//! blamed on one.

use operator::diagnose::Verdict;
use operator::model::{GapReason, TimeRange, is_stale};

use super::derived::{FROM, TO, quiet, restart};
use super::{assert_cause, told};
use testkit::run::Run;

const LEADER: &str = "pd2";

fn modes(verdict: &Verdict) -> Vec<&str> {
    verdict.causes.iter().map(|cause| cause.mode).collect()
}

/// Lets a store's memory climb to one height before each of three restarts, as under a limit of its container.
fn climb_and_die(run: &mut Run, index: usize) {
    let (_, instance, _) = run.store(index);
    let deaths = [FROM, FROM + 75, FROM + 150];
    for at in deaths {
        restart(run, index, at);
    }
    let deaths = deaths.map(|at| run.at(at));
    run.each("process_resident_memory_bytes", Some(&instance), |_, samples| {
        for sample in samples.iter_mut().filter(|sample| !is_stale(sample.value)) {
            let Some(next) = deaths.iter().find(|death| sample.at <= **death) else { continue };
            let left = ((*next - sample.at) as f64 / 1000.0).min(100.0);
            sample.value = 4e8 - 1e6 * left;
        }
    });
}

#[test]
fn deaths_at_one_height_of_memory_are_kills_for_memory() {
    for index in [0, 1] {
        let mut run = quiet();
        climb_and_die(&mut run, index);
        assert_cause(&run.verdict(), "oom_kill", &run.store(index).2);
    }
}

#[test]
fn deaths_of_other_stores_too_are_no_limit_of_one() {
    let mut run = quiet();
    climb_and_die(&mut run, 1);
    restart(&mut run, 2, FROM + 40);
    let verdict = run.verdict();
    assert!(!modes(&verdict).contains(&"oom_kill"), "{}", told(&verdict));
}

#[test]
fn threads_that_wait_longer_on_every_store_blame_none() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    run.starve(0, range, 0.008);
    let alone = run.verdict();
    assert_cause(&alone, "cpu_starved", &run.store(0).2);
    for index in 1..4 {
        run.starve(index, range, 0.003);
    }
    let verdict = run.verdict();
    assert!(verdict.causes.is_empty(), "{}", told(&verdict));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_waits_longest_for_a_missing_leader_of_pd_has_no_slow_network() {
    let mut run = quiet();
    run.lose_member(LEADER, FROM, TO, GapReason::Timeout);
    let (_, instance, _) = run.store(1);
    let range = run.range(FROM - 5, FROM + 60);
    run.slow_down("tikv_pd_request_duration_seconds", &instance, range, 0.5);
    for seconds in (FROM + 15..TO).step_by(15) {
        let verdict = run.verdict_at(run.at(seconds));
        assert!(!modes(&verdict).contains(&"slow_network"), "+{seconds} s: {}", told(&verdict));
    }
    assert_cause(&run.verdict(), "pd_leader_pause", LEADER);
}

#[test]
fn members_that_wait_for_the_leader_are_not_missing() {
    let mut run = quiet();
    run.lose_member(LEADER, FROM, TO, GapReason::Timeout);
    for follower in ["pd0", "pd1"] {
        let range = run.range(FROM + 2, FROM + 18);
        run.silence_member(follower, range, GapReason::Timeout);
    }
    for seconds in FROM + 10..FROM + 20 {
        let verdict = run.verdict_at(run.at(seconds));
        assert!(
            !modes(&verdict).contains(&"pd_follower_unreachable"),
            "+{seconds} s: {}",
            told(&verdict)
        );
    }
}

#[test]
fn followers_that_are_missing_beside_a_leader_that_answers_are_a_lost_quorum_at_once() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    for follower in ["pd0", "pd1"] {
        run.silence_member(follower, range, GapReason::Connect);
        let instance = run.instance_of_member(follower);
        run.fail_scrapes(&instance, range, 0.001);
    }
    let verdict = run.verdict_at(run.at(FROM + 16));
    assert_cause(&verdict, "pd_quorum_loss", "pd");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn answers_of_a_member_that_take_longer_for_half_a_minute_are_no_slow_network() {
    let mut run = quiet();
    let slow = |run: &mut Run, range: TimeRange| {
        for answer in run.pd.iter_mut().filter(|a| a.member == "pd0" && range.contains(a.sent)) {
            answer.elapsed_us += 400_000;
        }
        let instance = run.instance_of_member("pd0");
        run.lengthen_scrapes(&instance, range, 4.0);
    };
    let range = run.range(FROM, TO);
    slow(&mut run, range);
    for seconds in FROM + 15..FROM + 36 {
        let verdict = run.verdict_at(run.at(seconds));
        assert!(verdict.causes.is_empty(), "+{seconds} s: {}", told(&verdict));
    }
    assert_cause(&run.verdict_at(run.at(FROM + 100)), "slow_network", "pd0");
}
