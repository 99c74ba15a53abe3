//! Our PromQL against a real Prometheus's, over samples that are hard on it, and against texts
//! that are no PromQL at all.

use std::path::{Path, PathBuf};

use testkit::differential::{self, Cause, When, World};
use testkit::fuzz;
use testkit::limits::Memory;
use testkit::prometheus::api::Verdict;

fn block() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tsdb")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn random_expressions_have_the_answers_of_a_real_prometheus() {
    let world =
        World::start(&block(), 7).await.expect("Debian's prometheus is installed: test.sh does it");
    let tally = differential::run(&world, 3_000, 7).await.expect("the server answers");
    world.stop().await.expect("the server can be ended");
    assert!(tally.wrong.is_empty() && tally.unexplained == 0, "{tally}");
    let count = |verdict| tally.verdicts.get(&verdict).copied().unwrap_or(0);
    let answers: usize = tally.verdicts.values().sum();
    assert_eq!((tally.expressions, answers), (3_000, 6_000));
    // Expressions that mean nothing would prove nothing.
    assert!(tally.filled > answers / 2 && count(Verdict::BothFail) < answers / 5, "{tally}");
}

/// Expressions on which we once disagreed with Prometheus 2.42, as small as they got.
const ONCE_WRONG: [&str; 27] = [
    "0 atan2 nasty_ties",
    "nasty_ties atan2 on (job, instance) nasty_info",
    "day_of_month(nasty_ties / 0)",
    "days_in_month(nasty_ties * 1e300)",
    "year(nasty_ties * 1e16)",
    "day_of_week(-Inf * nasty_info)",
    "histogram_fraction(0, 10, nasty_seconds_bucket)",
    "histogram_quantile(0.1, nasty_seconds_bucket)",
    "histogram_quantile(0.9, rate(nasty_seconds_bucket[1m]))",
    "ln(vector(5e-324))",
    "log10(vector(1e-310))",
    "quantile(0.5, vector(-Inf) or nasty_ties)",
    "quantile(0.25, log2(nasty_ties))",
    "quantile_over_time(0.5, log2(nasty_ties)[5m:15s])",
    "acosh(-1e9 * nasty_info)",
    "timestamp(nasty_ties offset -30s @ start())",
    "timestamp(nasty_ties offset 1m @ end())",
    "nasty_ties <= on () group_left (job, instance) sum(nasty_ties)",
    "1 < bool (sqrt(nasty_ties) or nasty_ties offset 2m)",
    "count_values(\"v\", vector(100019814223265.125))",
    "(2 - Inf) ^ 0.5",
    "rad(nasty_level) ^ -0.5",
    "deriv(nasty_level[1m])",
    "predict_linear(nasty_level[30s], 100)",
    "acos(tanh(nasty_requests_total))",
    "absent(nasty_absent{job!='a', job='a'})",
    "absent_over_time(nasty_absent{job=~'a', job='a', instance='x:1'}[1m])",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn what_was_once_wrong_is_right() {
    let world = World::start(&block(), 7).await.expect("Debian's prometheus is installed");
    let (from, mut filled) = (world.made_from, 0);
    for text in ONCE_WRONG {
        for when in [When::At(from + 300_000), When::Range(from, from + 600_000, 15_000)] {
            let compared = world.ask(text, when).await.expect("the server answers");
            assert!(!compared.differs(), "{when:?} {text}\n{}", compared.why());
            filled += usize::from(compared.ours.is_ok_and(|answer| !answer.is_empty()));
        }
    }
    assert!(filled > ONCE_WRONG.len(), "{filled} answers hold a value");
    world.stop().await.expect("the server can be ended");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn the_server_contradicts_itself_where_we_differ_from_it() {
    let world = World::start(&block(), 7).await.expect("Debian's prometheus is installed");
    let from = world.made_from;
    let fixed = (from + 240_000) / 1000;
    let range = When::Range(from, from + 600_000, 15_000);
    let cases = [
        // The subquery's first step is the instant of evaluation.
        (
            format!("nasty_level @ {fixed}[1m:1m] offset -1m"),
            When::At(from + 300_000),
            "in a subquery",
        ),
        (
            "topk(scalar(sum(nasty_ties{job='a'} @ end())), nasty_ties)".to_owned(),
            range,
            "over a range",
        ),
        (format!("predict_linear(nasty_level[2m] @ {fixed}, 60)"), range, "over a range"),
    ];
    for (text, when, how) in cases {
        let compared = world.ask(&text, when).await.expect("the server answers");
        assert!(compared.differs(), "{text}");
        let found = world.explain(&text, when, &compared).await.expect("the server answers");
        assert_eq!((found.cause, found.at.as_str()), (Cause::Server, how), "{text}");
    }
    world.stop().await.expect("the server can be ended");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn no_expression_crashes_hangs_or_grows() {
    let tally = fuzz::run(3_000, 5, Memory::Unwatched).expect("every expression ends");
    let ended = |way: usize| tally.expressions.values().map(|ends| ends[way]).sum::<u32>();
    assert!((0..3).all(|way| ended(way) > 50), "{tally:?}");
}
