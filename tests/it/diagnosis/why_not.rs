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
fn a_mode_that_looks_like_the_cause_says_what_tells_them_apart() {
    let pause = of("chaos-02", "store_pause").expect("it is a mode");
    assert!(pause.claims.is_empty() && pause.apart.len() == 1, "{pause:?}");
    assert!(pause.apart[0].contains("its process started again"), "{pause:?}");
    let crash = of("chaos-02", "store_crash").expect("it is a mode");
    assert!(crash.apart.is_empty());
}
