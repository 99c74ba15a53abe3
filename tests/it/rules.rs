//! Rules over the bundled captures, and PD's answers as series beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use operator::capture::CaptureReader;
use operator::model::{LabelMatcher, TimeRange};
use operator::promql::{Engine, EngineOptions, Storage};
use operator::replay::{CaptureStorage, PD_METRICS};
use operator::rules::{self, Outcome, RuleFile, RulesReport, Settings};
use serde_json::Value;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

fn replayed(name: &str, files: &[RuleFile]) -> RulesReport {
    let reader = CaptureReader::open(&capture(name)).expect("the capture opens");
    let storage = CaptureStorage::new(&reader);
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let settings = Settings { window: reader.window(), interval_ms: 15_000, metrics: &[] };
    rules::replay(files, &storage, &engine, &settings).expect("the capture reads")
}

fn fired(report: &RulesReport) -> Vec<&str> {
    let fired = report.rules().filter(|rule| rule.outcome == Outcome::Fired);
    fired.map(|rule| rule.name.as_str()).collect()
}

#[test]
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
fn what_is_decoded_beforehand_changes_nothing() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("the capture opens");
    let (preloaded, plain) = (CaptureStorage::new(&reader), CaptureStorage::new(&reader));
    let metrics = BTreeSet::from(["up", "pd_cluster_status", "absent"]);
    preloaded.preload(&metrics).expect("the capture reads");
    for metric in metrics {
        let matchers = [LabelMatcher::equal("__name__", metric)];
        let select = |storage: &CaptureStorage<'_>| {
            storage.select(&matchers, reader.window()).expect("the capture reads")
        };
        assert_eq!(select(&preloaded), select(&plain), "{metric}");
        assert_eq!(select(&preloaded).is_empty(), metric == "absent");
    }
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
        (&["replay", "chaos-01", "--rules", &wrong], 2),
        (&["replay", "chaos-01", "--rules", &fires, "--interval", "0s"], 2),
        (&["replay", "chaos-99"], 5),
        (&["check", "--rules", &fires, "--rules", &blind], 0),
        (&["check", "--rules", &wrong], 2),
        (&["check", "chaos-01", "--rules", &fires], 0),
        (&["check", "chaos-01", "--rules", &blind], 11),
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
fn the_text_keeps_to_80_columns_where_words_allow() {
    let (_, text, _) = run(&["replay", "chaos-02"]);
    let long = text.lines().filter(|line| line.chars().count() > 80 && line.trim().contains(' '));
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
    assert!(text.contains("16:32:00 firing at 0"), "{text}");
}
