//! Answers of the engine over series whose results can be computed by hand.

use std::sync::Arc;

use crate::model::{Sample, Series, Timestamp};
use crate::promql::{
    Answer, Dialect, Engine, EngineOptions, Expression, MemoryStorage, Value, format_value,
    parse_series,
};

/// Seconds between two samples of a series.
const STEP: i64 = 60;

fn storage(load: &[&str]) -> MemoryStorage {
    MemoryStorage::new(load.iter().map(|line| {
        let (labels, values) = parse_series(line).expect("the series is written well");
        let sample = |(at, value): (i64, Option<f64>)| {
            Some(Sample { at: Timestamp::from_millis(at * STEP * 1000), value: value? })
        };
        let samples = (0..).zip(values).filter_map(sample).collect();
        Arc::new(Series { labels, samples })
    }))
}

fn engine(dialect: Dialect) -> Engine {
    Engine::new(EngineOptions::new(dialect))
}

/// Series with their values, ascending by labels; or the error.
fn shown(answer: Result<Answer, crate::promql::EvalError>) -> Vec<String> {
    let line = |labels: String, samples: &[Sample]| {
        let values: Vec<String> = samples.iter().map(|s| format_value(s.value)).collect();
        format!("{labels} {}", values.join(" "))
    };
    let mut lines: Vec<String> = match answer.map(|answer| answer.value) {
        Ok(Value::Vector(vector)) => {
            vector.iter().map(|e| line(e.labels.to_string(), &[e.sample])).collect()
        }
        Ok(Value::Matrix(series)) => {
            series.iter().map(|s| line(s.labels.to_string(), &s.samples)).collect()
        }
        Ok(Value::Scalar(sample)) => vec![format_value(sample.value)],
        Ok(Value::String { text, .. }) => vec![text],
        Err(error) => vec![error.to_string()],
    };
    lines.sort();
    lines
}

/// At so many seconds.
fn at(load: &[&str], text: &str, seconds: i64) -> Vec<String> {
    let parsed = Expression::parse(text).expect("the expression parses");
    let at = Timestamp::from_millis(seconds * 1000);
    shown(engine(Dialect::V3).instant(&parsed, &storage(load), at))
}

/// Every `step` seconds from `start` to `end`.
fn over(load: &[&str], text: &str, (start, end): (i64, i64), step: i64) -> Vec<String> {
    let parsed = Expression::parse(text).expect("the expression parses");
    let range = (Timestamp::from_millis(start * 1000), Timestamp::from_millis(end * 1000));
    shown(engine(Dialect::V3).range(&parsed, &storage(load), range, step * 1000))
}

#[test]
fn a_fill_stands_for_what_a_side_lacks() {
    let load = ["a{x='1'} 1 1", "a{x='2'} 2 _", "b{x='1'} 10 10", "b{x='3'} 30 30"];
    assert_eq!(at(&load, "a + fill(0) b", 0), ["{x=\"1\"} 11", "{x=\"2\"} 2", "{x=\"3\"} 30"]);
    assert_eq!(at(&load, "a + fill_left(5) b", 0), ["{x=\"1\"} 11", "{x=\"3\"} 35"]);
    assert_eq!(at(&load, "a - fill_right(5) b", 0), ["{x=\"1\"} -9", "{x=\"2\"} -3"]);
    assert_eq!(
        at(&load, "a - on (x) group_right fill_right(7) b", 0),
        ["{x=\"1\"} -9", "{x=\"2\"} -5"],
        "the value stands on the side that is written, whichever has many"
    );
    assert_eq!(at(&load, "absent_one + fill(1) absent_other", 0), [""; 0]);
}

#[test]
fn a_fill_meets_nothing_twice() {
    let load = ["a{x='1'} 1 _ 3", "b{x='1'} 10 20 30"];
    // At 60 s the left side is gone for good only after the lookback.
    assert_eq!(over(&load, "a * 1 + on (x) fill_left(0) b", (0, 120), 60), ["{x=\"1\"} 11 21 33"]);
    let load = ["a{x='1',y='1'} 1", "a{x='1',y='2'} 2", "b{x='3'} 3"];
    let error = at(&load, "a + on (x) fill(0) b", 0).remove(0);
    assert!(error.starts_with("multiple matches for labels"), "{error}");
}

#[test]
fn durations_are_computed() {
    let load = ["a 0+1x20"];
    let count = |range: &str| at(&load, &format!("count_over_time(a[{range}])"), 1200).remove(0);
    for (range, expected) in [
        ("1m+1m", 2),
        ("10m-5m-1m", 4),
        ("2*3m", 6),
        ("-1m+2m", 1),
        ("9m % 5m", 4),
        ("(1m + 1m) ^ 1", 2),
        ("max_of(1m, 3m)", 3),
        ("min_of(1m, 3m)", 1),
        ("10m/2/5", 1),
    ] {
        assert_eq!(count(range), format!("{{}} {expected}"), "{range}");
    }
    assert_eq!(over(&load, "count_over_time(a[step()*3])", (600, 720), 60), ["{} 3 3 3"]);
    assert_eq!(over(&load, "count_over_time(a[range()])", (600, 720), 60), ["{} 2 2 2"]);
    assert_eq!(over(&load, "a offset -(step()*2)", (600, 660), 60), ["a 12 13"]);
    assert_eq!(at(&load, "a offset 1m + 2", 600), ["{} 11"], "the sum is of the series");
    assert_eq!(at(&load, "a offset -(1m) + 2", 600), ["{} 13"]);
    assert_eq!(at(&load, "a offset (1m) + 60", 600), ["a 8"], "the sum is of the offset");
    assert_eq!(at(&load, "a[step()]", 600), ["duration must be greater than 0"]);
    for text in
        ["a[1m/0]", "a[1m-1m]", "a[0s]", "a[1e12]", "a[1m offset 5m]", "a offset 1m offset step()"]
    {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
}

#[test]
fn no_duration_nests_without_bound() {
    for text in [
        format!("a[{}1m{}]", "(".repeat(5_000), ")".repeat(5_000)),
        format!("a[1m{}]", "+1m".repeat(5_000)),
        format!("a offset -({}1m)", "-".repeat(5_000)),
    ] {
        let error = Expression::parse(&text).expect_err("it is too deep");
        assert!(error.message.contains("levels deep"), "{error}");
    }
}

#[test]
fn a_selector_reaches_beyond_its_window() {
    let load = ["a 0 10 40 50"];
    assert_eq!(at(&load, "increase(a[1m] anchored)", 150), ["{} 30"]);
    assert_eq!(at(&load, "increase(a[1m] smoothed)", 150), ["{} 20"]);
    assert_eq!(at(&load, "rate(a[1m] smoothed)", 90), ["{} 0.3333333333333333"]);
    assert_eq!(at(&load, "changes(a[1m] anchored)", 120), ["{} 1"]);
    assert_eq!(at(&load, "a smoothed", 90), ["a 25"]);
    assert_eq!(at(&load, "a[1m] smoothed", 150), ["a 25 40 45"]);
    assert_eq!(at(&load, "a[1m] anchored offset 1m", 150), ["a 0 10 10"]);
    // To `timestamp`, it only says how far ahead samples are fetched.
    assert_eq!(at(&load, "timestamp(a offset 1m @ 120)", 0), ["{} 60"]);
    assert_eq!(at(&load, "timestamp(a smoothed offset 1m @ 120)", 0), ["{} 120"]);
    let error = at(&load, "deriv(a[1m] smoothed)", 90);
    assert_eq!(
        error,
        ["smoothed modifier can only be used with: delta, increase, rate - not with deriv"]
    );
    for text in ["rate(a[1m] anchored smoothed)", "a[1m:] smoothed", "(1 + a) anchored"] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
}

#[test]
fn info_adds_the_labels_of_its_metric() {
    let load = [
        "a{instance='x',job='j'} 1 2 3",
        "a{instance='y',job='j'} 1 2 3",
        "target_info{instance='x',job='j',version='1',zone='n'} 1 1 stale",
        "target_info{instance='x',job='j',version='2',zone='n'} _ _ 1",
        "build_info{instance='y',job='j',version='9'} 1 1 1",
    ];
    let labels = |rest: &str| format!("a{{instance=\"x\",job=\"j\"{rest}}}");
    let plain = "a{instance=\"y\",job=\"j\"} 1 2 3".to_owned();
    assert_eq!(
        over(&load, "info(a)", (0, 120), 60),
        [
            labels(",version=\"1\",zone=\"n\"") + " 1 2",
            labels(",version=\"2\",zone=\"n\"") + " 3",
            plain.clone()
        ]
    );
    assert_eq!(at(&load, "info(a, {version=~'.+'})", 0), [labels(",version=\"1\"") + " 1"]);
    let build = at(&load, "info(a, {__name__='build_info'})", 0);
    assert_eq!(build[1], "a{instance=\"y\",job=\"j\",version=\"9\"} 1");
    assert_eq!(
        at(&load, "info(a{instance='x'} offset 1m)", 120),
        [labels(",version=\"1\",zone=\"n\"") + " 2"],
        "it looks as far back as the series"
    );
    for text in ["info(a, target_info)", "info(a, sum(a))", "info(a, {'target_info'})", "info(1)"] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
}

#[test]
fn info_metrics_that_contradict_each_other_are_an_error() {
    let load = [
        "a{instance='x',job='j'} 1",
        "one_info{instance='x',job='j',v='1'} 1",
        "two_info{instance='x',job='j',v='2'} 1",
        "one_info{instance='z',job='j',v='1'} 1",
        "one_info{instance='z',job='j',v='2'} 1",
    ];
    let error = at(&load, "info(a, {__name__=~'.+_info'})", 0);
    assert_eq!(error, ["conflicting label: v"]);
    let error = at(&load, "info({__name__='one_info'}, {__name__='two_info'})", 0);
    assert_eq!(error.len(), 3, "{error:?}");
    let load = [&load[..], &["a{instance='z',job='j'} 1"]].concat();
    let error = at(&load, "info(a, {__name__='one_info'})", 0).remove(0);
    assert!(error.starts_with("found duplicate series for info metric"), "{error}");
    // Where there is nothing to add to, they may contradict each other.
    let load = [
        "a{instance='z',job='j'} _ _ 1",
        "i{instance='z',job='j',v='1'} 1 stale",
        "i{instance='z',job='j',v='2'} 1 stale",
    ];
    let answer = over(&load, "info(a, {__name__='i'})", (0, 120), 60);
    assert_eq!(answer, ["a{instance=\"z\",job=\"j\"} 1"]);
}

#[test]
fn names_that_are_no_identifiers_stand_in_quotes() {
    let load = ["{'a.b','c d'='1','e\"'='x'} 1", "{'a.b','c d'='2','e\"'='x'} 2"];
    assert_eq!(at(&load, "{'a.b','c d'='1'}", 0), ["{\"a.b\",\"c d\"=\"1\",\"e\\\"\"=\"x\"} 1"]);
    assert_eq!(at(&load, "sum by ('e\"') ({'a.b'})", 0), ["{\"e\\\"\"=\"x\"} 3"]);
    assert_eq!(
        at(&load, "{'a.b'} * on ('c d') group_left ('e\"') {'a.b','c d'='2'}", 0),
        ["{\"c d\"=\"2\",\"e\\\"\"=\"x\"} 4"]
    );
    // What is printed can be read again.
    let printed = at(&load, "{'a.b','c d'='1'}", 0).remove(0);
    assert_eq!(at(&load, printed.trim_end_matches(" 1"), 0).remove(0), printed);
    for text in ["{'a.b', 'c'}", "a{'b.c'}", "{''='x'}", "a.b", "sum by ('') (a)"] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
}

#[test]
fn quantiles_are_told_apart_by_a_label() {
    let load = ["h_bucket{le='1'} 5", "h_bucket{le='2'} 10", "h_bucket{le='+Inf'} 10"];
    assert_eq!(
        at(&load, "histogram_quantiles(h_bucket, 'q', 0.5, 1, 0.1)", 0),
        ["{q=\"0.1\"} 0.2", "{q=\"0.5\"} 1", "{q=\"1.0\"} 2"]
    );
    assert_eq!(at(&load, "histogram_quantiles(h_bucket, 'q', -0.0)", 0), ["{q=\"0.0\"} 0"]);
    let twice = at(&load, "histogram_quantiles(h_bucket, 'q', 0.5, 0.5)", 0);
    assert_eq!(twice, ["vector cannot contain metrics with the same labelset"]);
    assert_eq!(
        over(&load, "histogram_quantiles(h_bucket, 'q', time() / 120)", (0, 60), 60),
        ["{q=\"0.0\"} 0", "{q=\"0.5\"} 1"]
    );
}

#[test]
fn a_bucket_up_to_nan_moves_others_only_while_it_is_there() {
    // Prometheus 2.42 sorts by bound at each step; beside NaN the last bucket is not that of +Inf.
    let load = ["b{a='1',le='+Inf'} 4 4", "b{a='2',le='NaN'} _ 9", "b{a='3',le='1'} 2 2"];
    let parsed = Expression::parse("histogram_quantile(0.5, sum by (le) (b))").expect("parses");
    let range = (Timestamp::from_millis(0), Timestamp::from_millis(60_000));
    let answer = engine(Dialect::V2).range(&parsed, &storage(&load), range, 60_000);
    assert_eq!(shown(answer), ["{} 1 NaN"]);
}

#[test]
fn what_prometheus_2_does_not_know_it_refuses() {
    for text in [
        "a + fill(0) a",
        "a[1m + 1m]",
        "rate(a[1m] anchored)",
        "a smoothed",
        "info(a)",
        "{'a.b'}",
        "a{'b.c'='d'}",
        "sum by ('b.c') (a)",
        "sum by (b:c) (a)",
        "a * on ('b.c') a",
        "histogram_quantiles(a, 'q', 0.5)",
    ] {
        let parsed = Expression::parse(text).expect("it is PromQL of Prometheus 3");
        let at = Timestamp::from_millis(0);
        let refused = engine(Dialect::V2).instant(&parsed, &storage(&["a 1"]), at);
        let error = refused.expect_err(text).to_string();
        assert!(error.ends_with("is not known to Prometheus 2"), "{error}");
    }
}
