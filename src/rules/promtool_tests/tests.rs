use super::*;
use crate::promql::Dialect;

/// Runs the tests of a file with these rules. Of its expectations, all are met but those of
/// `failures`.
#[track_caller]
fn run(rules: &str, tests: &str) -> RuleTestsOutcome {
    let rules = RuleFile::parse("r.yaml", rules).unwrap_or_else(|error| panic!("{error}"));
    let tests = RuleTests::parse("t.yaml", tests).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(EngineOptions::new(Dialect::V3));
    tests.run(&[rules], &engine).expect("memory never fails")
}

#[track_caller]
fn all_met(rules: &str, tests: &str, count: usize) {
    let expected = RuleTestsOutcome { checked: count, met: count, failures: Vec::new() };
    assert_eq!(run(rules, tests), expected);
}

const NO_RULES: &str = "groups: []";

fn of_expressions(expressions: &str) -> String {
    format!(
        "tests: [{{interval: 1m, input_series: [{{series: a, values: '1000x5'}}], \
         promql_expr_test: [{expressions}]}}]"
    )
}

#[test]
fn input_series_may_have_the_name_of_a_recorded_metric() {
    let rules = "groups: [{name: g, rules: [{record: 'a:r', expr: sum by (x) (raw)}, \
                 {record: 'b:r', expr: 'a:r * 2'}]}]";
    let tests = "
tests:
- interval: 1m
  input_series:
  - {series: 'a:r{x=\"1\"}', values: '5x10'}
  - {series: 'raw{x=\"2\"}', values: '7x10'}
  promql_expr_test:
  - expr: b:r
    eval_time: 5m
    exp_samples: [{labels: 'b:r{x=\"1\"}', value: 10}, {labels: 'b:r{x=\"2\"}', value: 14}]
  - {expr: 'count(a:r)', eval_time: 5m, exp_samples: [{value: 2}]}
";
    all_met(rules, tests, 2);
}

#[test]
fn a_rule_that_cannot_be_evaluated_fails_its_tests() {
    let tests = "
tests:
- interval: 1m
  input_series:
  - {series: 'a{x=\"1\"}', values: '_ _ 1x10'}
  - {series: 'b{x=\"1\",z=\"1\"}', values: '1x10'}
  - {series: 'b{x=\"1\",z=\"2\"}', values: '1x10'}
  alert_rule_test:
  - {alertname: A, eval_time: 1m}
  - {alertname: A, eval_time: 5m}
  promql_expr_test:
  - {expr: vector(1), eval_time: 5m, exp_samples: [{value: 1}]}
";
    for (rule, why) in [
        ("{alert: A, expr: a * on (x) b > 0}", "found duplicate series"),
        ("{alert: A, expr: 'b > 0 and on (x) a', labels: {z: x}}", "same labelset"),
        ("{record: r, expr: 'b and on (x) a', labels: {z: x}}", "same labelset"),
    ] {
        let outcome = run(&format!("groups: [{{name: g, rules: [{rule}]}}]"), tests);
        assert_eq!((outcome.checked, outcome.met), (3, 1), "{rule}");
        assert_eq!(outcome.failures.len(), 1, "{outcome:?}");
        let failure = &outcome.failures[0];
        assert!(failure.contains(" at 120s: ") && failure.contains(why), "{failure}");
    }
    let limited = "groups: [{name: g, limit: 1, rules: [{record: r, expr: b}]}]";
    let failures = run(limited, tests).failures;
    assert!(failures[0].contains("exceeded limit of 1 with 2 series"), "{failures:?}");
    let clashing = "groups: [{name: g, rules: [{record: b, expr: b + 1}]}]";
    let failures = run(clashing, "tests: [{input_series: [{series: b, values: 1}]}]").failures;
    assert_eq!(failures, ["test 1: rule b at 0s: duplicate sample for timestamp"]);
}

#[test]
fn the_last_of_two_definitions_of_a_series_counts() {
    let tests = "
tests:
- input_series: [{series: a, values: '1x10'}, {series: a, values: '2x10'}]
  promql_expr_test: [{expr: a, eval_time: 5m, exp_samples: [{labels: a, value: 2}]}]
";
    all_met(NO_RULES, tests, 1);
}

#[test]
fn values_are_compared_exactly_or_within_one_representable_number() {
    let of = |value: f64| format!("{{expr: a, exp_samples: [{{labels: a, value: {value:?}}}]}}");
    let met = |value: f64, fuzzy: bool| {
        let tests = of_expressions(&of(value)) + &format!("\nfuzzy_compare: {fuzzy}");
        run(NO_RULES, &tests).met == 1
    };
    let next = 1000_f64.next_up();
    assert_eq!([met(1000.0, false), met(next, false), met(1000.0009, true)], [true, false, false]);
    assert_eq!([met(next, true), met(1000_f64.next_down(), true)], [true, true]);
    assert!(!met(next.next_up(), true));
    let nan = "{expr: a * NaN, exp_samples: [{value: .nan}]}";
    assert_eq!(run(NO_RULES, &of_expressions(nan)).met, 0);
}

#[test]
fn templates_read_external_labels_and_the_url() {
    let rules = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, labels: \
                 {site: '{{ $externalLabels.site }}'}, annotations: {s: '{{ .ExternalURL }}'}}]}]";
    let tests = "
tests:
- external_labels: {site: eqiad}
  external_url: http://prom/
  input_series: [{series: up, values: '0x5'}]
  alert_rule_test:
  - alertname: Down
    eval_time: 1m
    exp_alerts: [{exp_labels: {site: eqiad}, exp_annotations: {s: 'http://prom/'}}]
";
    all_met(rules, tests, 1);
}

#[test]
fn an_alert_with_the_labels_expected_is_told_by_its_annotations() {
    let rules =
        "groups: [{name: g, rules: [{alert: Down, expr: up == 0, annotations: {s: gone}}]}]";
    let tests = "
tests:
- input_series: [{series: up, values: '0x5'}]
  alert_rule_test:
  - alertname: Down
    eval_time: 1m
    exp_alerts: [{}]
";
    let failures = run(rules, tests).failures;
    let why = "its labels are as expected; annotations: expected none, found s: \"gone\"";
    assert!(failures.len() == 1 && failures[0].ends_with(why), "{failures:#?}");
}

#[test]
fn a_file_of_rules_is_not_one_of_tests() {
    let error = RuleTests::parse("rules.yaml", NO_RULES).expect_err("it has no tests");
    assert!(error.to_string().contains("`rules check` reads those"), "{error}");
}

#[test]
fn only_vectors_and_scalars_are_compared() {
    let tests = of_expressions(
        "{expr: 'a[5m]'}, {expr: '\"text\"'}, {expr: '7', exp_samples: [{value: 7}]}",
    );
    let outcome = run(NO_RULES, &tests);
    assert_eq!((outcome.checked, outcome.met), (3, 1));
    for failure in &outcome.failures {
        assert!(failure.ends_with("rule result is not a vector or scalar"), "{failure}");
    }
}

#[test]
fn every_expectation_is_reported_where_one_cannot_be_read() {
    let tests = of_expressions(
        "{expr: 'a{'}, {expr: a, exp_samples: [{labels: 'a{', value: 1}]}, {expr: a}",
    );
    let failures = run(NO_RULES, &tests).failures;
    assert_eq!(failures.len(), 3, "{failures:#?}");
    assert!(failures[0].starts_with("test 1: a{ at 0s: 1:3: parse error"), "{failures:#?}");
    assert!(failures[1].contains("labels \"a{\""), "{failures:#?}");
}

#[test]
fn what_is_missing_or_null_is_empty() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: b > 0}]}]";
    let tests = "
rule_files:
group_eval_order:
tests:
- input_series:
  - {series: c, values: }
  alert_rule_test:
  - {alertname: A, exp_alerts: }
  promql_expr_test:
  - {expr: c}
  - {expr: '7', eval_time: , exp_samples: [{labels: , value: 0x7}]}
---
no file of tests
";
    all_met(rules, tests, 3);
}

#[test]
fn samples_after_the_last_evaluation_are_not_seen() {
    let tests = "
evaluation_interval: 1m
tests:
- interval: 10s
  input_series: [{series: a, values: '0+1x100'}]
  promql_expr_test: [{expr: a, eval_time: 1m30s, exp_samples: [{labels: a, value: 6}]}]
";
    all_met(NO_RULES, tests, 1);
}

#[test]
fn a_subquery_without_a_step_has_the_interval_of_the_tests() {
    let tests = "
evaluation_interval: 30s
tests:
- interval: 30s
  input_series: [{series: a, values: '0+1x100'}]
  promql_expr_test:
  - {expr: 'count_over_time(a[5m:])', eval_time: 10m, exp_samples: [{value: 10}]}
";
    all_met(NO_RULES, tests, 1);
}

#[test]
fn what_is_no_file_of_tests_is_refused() {
    for (text, with) in [
        ("group_eval_order: [g, g]", "repeated in evaluation order: g"),
        ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "no alertname"),
        ("tests: [{promql_expr_test: [{exp_samples: [{value: '1000'}]}]}]", "a number"),
        ("tests: [{input_series: [{series: a, values: '{{schema:1}}'}]}]", "{{schema:1}}"),
        ("tests: [{promql_expr_test: [{eval_time: ''}]}]", "empty duration string"),
        ("test: []", "unknown field"),
    ] {
        let error = RuleTests::parse("t.yaml", text).expect_err(text);
        assert!(error.why.contains(with), "{text}: {error}");
    }
}
