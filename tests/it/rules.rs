//! Rules over the bundled captures, and PD's answers as series beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use operator::capture::CaptureReader;
use operator::model::{LabelMatcher, TimeRange};
use operator::promql::{Engine, EngineOptions, Storage};
use operator::rules::{self, External, Near, Outcome, RuleFile, RulesReport, Settings};
use operator::session::{CaptureStorage, PD_METRICS};
use serde_json::Value;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

fn replayed(name: &str, files: &[RuleFile]) -> RulesReport {
    let reader = CaptureReader::open(&capture(name)).expect("the capture opens");
    let storage = CaptureStorage::new(&reader);
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let (window, external) = (reader.window(), External::default());
    let settings = Settings {
        window,
        run_in_from: window.start,
        interval_ms: 15_000,
        metrics: &[],
        external,
        near: Near::None,
    };
    rules::replay(files, &storage, &engine, &settings).expect("the capture reads")
}

fn fired(report: &RulesReport) -> Vec<&str> {
    let fired = report.rules().filter(|rule| rule.outcome == Outcome::Fired);
    fired.map(|rule| rule.name.as_str()).collect()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_bundled_rules_find_a_crashed_store_and_are_quiet_where_nothing_is_broken() {
    let report = replayed("chaos-02.capture", &rules::bundled());
    let expected = ["TargetDown", "ProcessRestarted", "StoreDisconnected", "PeersUnreachable"];
    assert_eq!(fired(&report), expected);
    let store = report.rules().find(|rule| rule.name == "StoreDisconnected").expect("it is there");
    assert_eq!(store.alerts[0].labels.get("store"), Some("4"));
    let blind = report.rules().find(|rule| rule.name == "HostOutOfMemory").expect("it is there");
    assert_eq!(blind.outcome, Outcome::CannotFire);
    assert_eq!(blind.missing[0].why, "no metric node_vmstat_oom_kill");
    assert_eq!(fired(&replayed("chaos-01.capture", &rules::bundled())), [""; 0]);
    assert_eq!(report.count(Outcome::Error), 0);
}

#[test]
fn what_is_announced_changes_nothing() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("the capture opens");
    let (announced, plain) = (CaptureStorage::new(&reader), CaptureStorage::new(&reader));
    let metrics = ["up", "pd_cluster_status", "absent", "up"];
    announced.announce(metrics);
    for metric in metrics {
        let matchers = [LabelMatcher::equal("__name__", metric)];
        let select = |storage: &CaptureStorage<'_>| {
            storage.select(&matchers, reader.window()).expect("the capture reads")
        };
        assert_eq!(select(&announced), select(&plain), "{metric}");
        assert_eq!(select(&announced).is_empty(), metric == "absent");
    }
}

#[test]
fn what_is_looked_up_ahead_of_its_turn_is_decoded_with_all_that_is_announced() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("the capture opens");
    let storage = CaptureStorage::new(&reader);
    storage.announce(["up", "pd_cluster_status", "process_start_time_seconds"]);
    let decoded_by = |metric: &str| {
        let before = reader.decoded_samples();
        let matchers = [LabelMatcher::equal("__name__", metric)];
        let found = storage.select(&matchers, reader.window()).expect("the capture reads");
        assert!(!found.is_empty(), "{metric}");
        reader.decoded_samples() - before
    };
    assert!(decoded_by("pd_cluster_status") > 0);
    assert_eq!(["up", "process_start_time_seconds"].map(decoded_by), [0, 0]);
}

#[test]
fn one_rule_joins_pd_with_prometheus() {
    let text = "groups:
- name: joined
  rules:
  - alert: DisconnectedAndDown
    expr: >-
      label_replace(operator_pd_store_state{state='Disconnected'}, 'host', '$1', 'address', '(.*):.*')
      and on (host) label_replace(up{job='tikv'} == 0, 'host', '$1', 'instance', '(.*):.*')
    annotations: { summary: 'PD calls store {{ $labels.store }} {{ $labels.state }}' }";
    let file = RuleFile::parse("joined.yaml", text).expect("it is a rule file");
    let report = replayed("chaos-02.capture", &[file]);
    let rule = report.rules().next().expect("there is one");
    assert_eq!(rule.outcome, Outcome::Fired, "{rule:#?}");
    assert_eq!(rule.alerts[0].annotations[0].1, "PD calls store 4 Disconnected");
    let selectors: Vec<_> =
        rule.alerts[0].changes[0].behind.iter().map(|behind| behind.selector.as_str()).collect();
    assert_eq!(selectors, ["operator_pd_store_state{state='Disconnected'}", "up{job='tikv'}"]);
}

#[test]
fn a_selector_finds_pd_only_where_it_names_it() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("the capture opens");
    let storage = CaptureStorage::new(&reader);
    let named = |pattern: &str| {
        let op = operator::model::MatchOp::Regex(regex::Regex::new(pattern).expect("a pattern"));
        let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
        let series = storage.select(&[matcher], TimeRange::ALL).expect("the capture reads");
        series.iter().map(|series| series.labels.metric().to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(named("^(?:operator_pd_.*)$").len() > 15);
    assert!(!named("^(?:.*)$").iter().any(|name| name.starts_with("operator_pd_store")));
}

#[test]
fn the_series_of_pd_are_those_of_their_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pd-series.md");
    let text = fs::read_to_string(path).expect("the document is there");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = PD_METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            format!("| `{}` | {} | {} |", metric.name, labels, metric.help)
        })
        .collect();
    assert_eq!(rows, expected);
}

/// Exit code, stdout and stderr of `operator rules …`, run in the repository.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .arg("rules")
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn exit_codes_tell_what_came_of_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, rule: &str| {
        let path = dir.path().join(name);
        let text = format!("groups: [{{name: g, rules: [{rule}]}}]");
        fs::write(&path, text).expect("the directory is writable");
        path.to_str().expect("the path is UTF-8").to_owned()
    };
    let fires = write("fires.yaml", "{alert: A, expr: up == 0}");
    let blind = write(
        "blind.yaml",
        "{alert: B, expr: 'pd_regions_status{type=\"miss_peer_region_count\"} > 0'}",
    );
    let broken = write("broken.yaml", "{alert: C, expr: 'up + on () up'}");
    let wrong = write("wrong.yaml", "{alert: D, expr: 'up ='}");
    for (args, code) in [
        (&["replay", "chaos-02", "--rules", &fires][..], 10),
        (&["replay", "chaos-01", "--rules", &fires], 0),
        (&["replay", "chaos-01", "--rules", &broken], 11),
        (&["replay", "chaos-01", "--rules", &blind], 11),
        (&["replay", "chaos-01", "--rules", &blind, "--rules", &fires], 0),
        (&["replay", "chaos-01", "--rules", &wrong], 2),
        (&["replay", "chaos-01", "--rules", &fires, "--interval", "0s"], 2),
        (&["replay", "chaos-99"], 5),
        (&["check", "--rules", &fires, "--rules", &blind], 0),
        (&["check", "--rules", &wrong], 2),
        (&["check", "chaos-01", "--rules", &fires], 0),
        (&["check", "chaos-01", "--rules", &blind], 11),
        (&["check", "chaos-01", "--rules", &broken], 11),
    ] {
        let (found, out, errors) = run(args);
        assert_eq!(found, Some(code), "{args:?}\n{out}\n{errors}");
    }
    let (_, text, _) = run(&["check", "chaos-01", "--rules", &blind]);
    assert!(text.contains("miss-peer-region-count?)"), "{text}");
    let (_, json, _) = run(&["replay", "chaos-02", "--rules", &fires, "--format", "json"]);
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["schema"], "operator.rules/1");
    let change = &json["groups"][0]["rules"][0]["alerts"][0]["changes"][0];
    assert_eq!((change["to"].as_str(), change["value"].as_str()), (Some("firing"), Some("0")));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_replay_includes_its_last_instant_and_tells_what_is_pending_there() {
    // The alert TargetDown is pending from 16:31:00 on and fires at 16:32:00.
    for (part, code, told) in [
        (&["--to", "16:32"][..], 10, "first fired: TargetDown"),
        (&["--at", "16:32"], 10, "first fired: TargetDown"),
        (&["--at", "2026-11-24 16:32"], 10, "first fired: TargetDown"),
        (&["--to", "16:31:59"], 0, "16:31:00, 59s so far"),
        (&["--at", "16:50"], 2, "was not recorded"),
        (&["--near=TargetDwn"], 2, "did you mean TargetDown"),
    ] {
        let (found, out, errors) = run(&[&["replay", "chaos-02"], part].concat());
        assert_eq!(found, Some(code), "{part:?}: {out}{errors}");
        assert!(out.contains(told) || errors.contains(told), "{part:?}: {out}{errors}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn how_near_rules_came_is_told_with_the_store_and_without_what_never_moved() {
    let (_, text, errors) = run(&["replay", "chaos-02", "--near"]);
    assert!(text.contains(": store 4 {") || text.contains(": store 1 {"), "{text}{errors}");
    assert!(!text.contains("nearest to > 0: 0 at"), "{text}");
    assert!(text.contains("was 0 throughout"), "{text}");
    let (_, text, errors) = run(&["replay", "chaos-02", "--near=MemoryNearQuota"]);
    assert_eq!(text.matches("nearest to").count(), 1, "{text}{errors}");
    assert!(text.starts_with("1 rule over chaos-02"), "{text}");
    let (code, text, _) = run(&["check", "chaos-02", "--only", "CriticalError"]);
    assert_eq!(code, Some(11), "{text}");
    assert!(text.contains("tikv_critical_error_total") && !text.contains("node_"), "{text}");
    let (code, _, errors) = run(&["replay", "chaos-02", "--near", "MemoryNearQuota"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("--near=RULE"), "{errors}");
}

#[test]
fn a_rule_file_in_the_place_of_a_run_is_told_where_it_belongs() {
    let file = "subjects/tikv/prometheus/rules/tikv.yaml";
    let (code, _, errors) = run(&["check", file]);
    assert_ne!(code, Some(0));
    assert!(errors.contains(&format!("`operator rules check --rules {file}`")), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_text_keeps_to_80_columns_where_words_allow() {
    let (_, text, _) = run(&["replay", "chaos-02"]);
    let long = text.lines().filter(|line| line.chars().count() > 80 && line.trim().contains(' '));
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
    assert!(text.contains("16:32:00 firing at 0"), "{text}");
}

#[test]
fn every_file_of_tests_is_reported() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("the directory is writable");
        path.to_str().expect("the path is UTF-8").to_owned()
    };
    let met = write("met.yaml", "tests: [{promql_expr_test: [{expr: absent_metric}]}]");
    let unmet = write("unmet.yaml", "tests: [{promql_expr_test: [{expr: '1'}, {expr: 'a{'}]}]");
    let wrong = write("wrong.yaml", "test: []");
    let (code, text, errors) = run(&["test", &wrong, &unmet, &met]);
    assert_eq!(code, Some(2), "{text}{errors}");
    for part in ["wrong.yaml: cannot be run", "unmet.yaml: 0 of 2", "met.yaml: 1 of 1"] {
        assert!(text.contains(part), "{text}");
    }
    let (code, json, _) = run(&["test", &unmet, &met, "--format", "json"]);
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((code, json["files"][0]["met"].as_u64()), (Some(4), Some(0)));
    assert_eq!(json["files"][1]["met"], 1);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_large_rule_file_is_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("large.yaml");
    let rule = "  - {record: 'job:requests:sum', expr: vector(1), labels: {job: some_job}}\n";
    let text = format!("groups:\n- name: g\n  rules:\n{}", rule.repeat(20_000));
    fs::write(&path, text).expect("the directory is writable");
    let (code, text, errors) = run(&["check", "--rules", path.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(text, "20000 rules can be read\n");
}

const TESTED_RULES: &str = "groups:
- name: records
  rules:
  - record: job:requests:rate1m
    expr: sum by (job) (rate(requests_total[1m]))
- name: alerts
  rules:
  - alert: Quiet
    expr: job:requests:rate1m < 0.5
    for: 2m
    labels: { severity: page }
    annotations: { summary: '{{ $labels.job }} at {{ $value | printf \"%.2f\" }}' }
";

/// Without an order, promtool walks the groups in that of a Go map: another one each time.
const TESTS_OF_RULES: &str = "rule_files: [ru*.yaml]
evaluation_interval: 30s
group_eval_order: [records, alerts]
tests:
- name: a job falls silent
  interval: 15s
  input_series:
  - { series: 'requests_total{job=\"a\", instance=\"x:1\"}', values: '0+15x20 300x40' }
  - { series: 'requests_total{job=\"b\"}', values: '0+30x60 _x5 stale' }
  alert_rule_test:
  - { eval_time: 5m, alertname: Quiet }
  - eval_time: 8m10s
    alertname: Quiet
    exp_alerts:
    - exp_labels: { job: a, severity: page }
      exp_annotations: { summary: a at 0.00 }
  promql_expr_test:
  - expr: job:requests:rate1m
    eval_time: 4m
    exp_samples:
    - { labels: 'job:requests:rate1m{job=\"a\"}', value: 1 }
    - { labels: 'job:requests:rate1m{job=\"b\"}', value: 2 }
  - expr: ALERTS_FOR_STATE
    eval_time: 8m
    exp_samples:
    - { labels: 'ALERTS_FOR_STATE{alertname=\"Quiet\", job=\"a\", severity=\"page\"}', value: 360 }
  - { expr: 'count(requests_total)', eval_time: 30m, exp_samples: [] }
";

/// Exit codes of `promtool test rules` and of ours, over the same files.
fn tested(tests: &str) -> (bool, Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("the path is UTF-8").to_owned();
    fs::write(at("rules.yaml"), TESTED_RULES).expect("the directory is writable");
    fs::write(at("tests.yaml"), tests).expect("the directory is writable");
    let promtool = Command::new("promtool")
        .args(["test", "rules", &at("tests.yaml")])
        .output()
        .expect("Debian's package prometheus is installed: test.sh does it");
    let (code, text, errors) = run(&["test", &at("tests.yaml"), "--prometheus-version", "2.42"]);
    let theirs = String::from_utf8_lossy(&promtool.stderr).into_owned();
    (promtool.status.success(), code, format!("{text}{errors}{theirs}"))
}

#[test]
#[ignore = "needs promtool: ./test.sh runs it"]
fn tests_of_rules_pass_and_fail_as_with_promtool() {
    let (theirs, ours, text) = tested(TESTS_OF_RULES);
    assert_eq!((theirs, ours), (true, Some(0)), "{text}");
    assert!(text.contains("5 of 5 expectations are met"), "{text}");
    for (right, wrong) in [
        ("summary: a at 0.00", "summary: a at 0.01"),
        ("eval_time: 8m10s", "eval_time: 7m20s"),
        ("severity: page }\n      exp", "severity: ticket }\n      exp"),
        ("value: 360", "value: 300"),
        ("value: 2 }", "value: 2.1 }"),
        ("exp_samples: []", "exp_samples: [{ value: 1 }]"),
        ("interval: 15s", "interval: 20s"),
        ("0+15x20", "0+15x10"),
        ("eval_time: 5m, alertname: Quiet", "eval_time: 8m, alertname: Quiet"),
    ] {
        let changed = TESTS_OF_RULES.replacen(right, wrong, 1);
        assert_ne!(changed, TESTS_OF_RULES, "{right} stands in the tests");
        let (theirs, ours, text) = tested(&changed);
        assert_eq!((theirs, ours), (false, Some(4)), "{wrong}\n{text}");
    }
    let unread = tested(&TESTS_OF_RULES.replace("ru*.yaml", "none.yaml"));
    assert_eq!((unread.0, unread.1), (false, Some(5)), "{}", unread.2);
    let unknown = tested(&TESTS_OF_RULES.replace("eval_time: 5m", "eval_tine: 5m"));
    assert_eq!((unknown.0, unknown.1), (false, Some(2)), "{}", unknown.2);
}

#[test]
fn stores_that_are_down_while_a_real_cluster_starts_are_told_apart() {
    let text = "groups:
- name: stores
  rules:
  - alert: StoreDown
    expr: sum by (store, instance) (pd_cluster_status{type='store_down_count'}) > 0
  - alert: StoreDisconnected
    expr: sum by (store, instance) (pd_cluster_status{type='store_disconnected_count'}) > 0";
    let file = RuleFile::parse("stores.yaml", text).expect("it is a rule file");
    let report = replayed("chaos-07.capture", &[file]);
    let outcomes: Vec<Outcome> = report.rules().map(|rule| rule.outcome).collect();
    assert_eq!(outcomes, [Outcome::FiredAtStart, Outcome::Fired], "{report:#?}");
}
