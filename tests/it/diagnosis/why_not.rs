//! What became of one failure mode in a judgement.

use operator::diagnose::{ClaimFate, WhyNot};
use operator::model::AsOf;
use operator::session::View;
use testkit::run::session;

fn of(run: &str, mode: &str) -> Option<WhyNot> {
    let session = session(run);
    let view = View { range: session.window(), as_of: AsOf::END };
    session.load(view).and_then(|window| window.why_not(mode)).expect("the capture reads")
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_mode_answers_whether_it_stands_lost_or_never_claimed() {
    let fates = |why: &WhyNot| {
        why.claims.iter().map(|ClaimFate { fate, .. }| fate.clone()).collect::<Vec<_>>()
    };
    let crash = of("chaos-02", "store_crash").expect("it is a mode");
    assert_eq!(fates(&crash), ["it stands in the verdict"]);
    assert!(!crash.claims[0].evidence.is_empty());
    assert!(crash.needs.iter().all(|need| need.recorded));
    let stall = of("chaos-02", "write_stall").expect("it is a mode");
    assert_eq!(fates(&stall), [""; 0]);
    let read = stall.metrics.iter().find(|metric| metric.name == "tikv_engine_write_stall_reason");
    assert!(read.is_some_and(|metric| metric.series > 0), "{stall:?}");
    assert_eq!(of("chaos-02", "store_crush"), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_mode_that_looks_like_the_cause_says_what_tells_them_apart() {
    let pause = of("chaos-02", "store_pause").expect("it is a mode");
    assert!(pause.claims.is_empty() && pause.apart.len() == 1, "{pause:?}");
    assert!(pause.apart[0].contains("its process started again"), "{pause:?}");
    let crash = of("chaos-02", "store_crash").expect("it is a mode");
    assert!(crash.apart.is_empty());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_mode_says_how_near_its_observations_came_to_their_thresholds() {
    let metric = "raft_engine_sync_log_duration_seconds, mean";
    let reading = |run: &str| {
        let why = of(run, "slow_disk").expect("it is a mode");
        why.readings.into_iter().find(|one| one.what == metric).expect("the mode reads it")
    };
    let slow = reading("chaos-03");
    assert!(slow.is_crossed() && slow.target == "store 1" && slow.held >= slow.hold, "{slow:?}");
    let quiet = reading("chaos-01");
    let crashed = of("chaos-02", "slow_disk").expect("it is a mode");
    let unseen = crashed.unseen.first().expect("a store that died is not scraped");
    assert_eq!((unseen.target.as_str(), crashed.unseen.len()), ("store 4", 1));
    assert!(!quiet.is_crossed() && quiet.value > 0.0 && quiet.threshold > 0.0, "{quiet:?}");
    let crash = of("chaos-02", "store_crash").expect("it is a mode");
    let silence = crash.readings.first().expect("heartbeats come first");
    assert_eq!((silence.threshold, silence.target.as_str()), (30.0, "store 4"), "{silence:?}");
    assert!((200.0..240.0).contains(&silence.value), "{silence:?}");
    let stall = of("chaos-02", "write_stall").expect("it is a mode");
    assert!(stall.readings.iter().any(|one| one.what.contains("tikv_engine_write_stall_reason")));
}
