use std::sync::Arc;

use super::*;
use crate::model::{Sample, Series};
use crate::promql::{Dialect, EngineOptions, MemoryStorage};
use crate::rules::report::{AlertChange, Outcome, RuleReport};

const STEP_MS: i64 = 15_000;

/// Series with a sample every 15 s; `_` is none.
fn storage(series: &[(&[(&str, &str)], &str)]) -> MemoryStorage {
    MemoryStorage::new(series.iter().map(|(pairs, values)| {
        let values = (0..).zip(values.split(' ')).filter(|(_, value)| *value != "_");
        let samples = values.map(|(tick, value)| Sample {
            at: Timestamp::from_millis(tick * STEP_MS),
            value: value.parse().expect("a number"),
        });
        Arc::new(Series { labels: Labels::from_pairs(pairs), samples: samples.collect() })
    }))
}

fn file(rules: &str) -> RuleFile {
    let text = format!("groups: [{{name: g, rules: [{rules}]}}]");
    RuleFile::parse("r.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn settings(ticks: i64) -> Settings<'static> {
    let end = Timestamp::from_millis(ticks * STEP_MS);
    let window = TimeRange::new(Timestamp::default(), end);
    Settings {
        window,
        run_in_from: window.start,
        interval_ms: STEP_MS,
        metrics: &[],
        external: External::default(),
        near: Near::None,
    }
}

fn replayed(files: &[RuleFile], storage: &MemoryStorage, ticks: i64) -> RulesReport {
    let options = EngineOptions { lookback_ms: STEP_MS, ..EngineOptions::new(Dialect::V3) };
    let engine = Engine::new(options);
    let settings = settings(ticks);
    let report = replay(files, storage, &engine, &settings).expect("memory never fails");
    // Walking instant by instant is always right; the shortcut has to agree.
    let order = EvaluationOrder::InstantByInstant;
    let slow = replay_in(order, files, (storage, &engine), &settings).expect("memory never fails");
    let json = |report: &RulesReport| serde_json::to_string(report).expect("it is JSON");
    assert_eq!(json(&report), json(&slow.expect("that order is always right")));
    report
}

/// `tick:state` of each change of the only alert.
fn changes(rule: &RuleReport) -> String {
    assert!(rule.alerts.len() <= 1, "{:#?}", rule.alerts);
    let changes = rule.alerts.iter().flat_map(|alert| &alert.changes);
    let told = changes.map(|c| format!("{}:{}", c.at.as_millis() / STEP_MS, c.to.name()));
    told.collect::<Vec<_>>().join(" ")
}

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "tikv")];

#[test]
fn an_alert_goes_through_its_states_and_shows_the_samples() {
    let storage = storage(&[(UP, "1 0 0 0 1 0 1 1")]);
    let rule = "{alert: Down, expr: up == 0, for: 30s, labels: {severity: '{{ $labels.job }}!'}, \
                annotations: {summary: '{{ $labels.job }} is {{ $value }}'}}";
    let report = replayed(&[file(rule)], &storage, 8);
    let rule = report.rules().next().expect("there is one");
    assert_eq!(rule.outcome, Outcome::Fired);
    assert_eq!(changes(rule), "1:pending 3:firing 4:resolved 5:pending 6:inactive");
    let alert = &rule.alerts[0];
    assert_eq!(alert.labels.to_string(), "{alertname=\"Down\",job=\"tikv\",severity=\"tikv!\"}");
    assert_eq!(alert.annotations, [("summary".to_owned(), "tikv is 0".to_owned())]);
    assert_eq!(alert.fired_ms, STEP_MS);
    let seen = |change: &AlertChange| {
        let behind = &change.behind[0];
        let sample = &behind.samples[0];
        assert_eq!((behind.selector.as_str(), behind.series), ("up", 1));
        (sample.at.as_millis() / STEP_MS, sample.value.clone())
    };
    assert_eq!(seen(&alert.changes[0]), (1, "0".to_owned()));
    assert_eq!(seen(&alert.changes[2]), (4, "1".to_owned()));
}

#[test]
fn an_alert_that_fires_again_has_two_firings() {
    let storage = storage(&[(UP, "0 0 1 0 0 1 0 1")]);
    let report = replayed(&[file("{alert: Down, expr: up == 0, for: 15s}")], &storage, 8);
    let rule = report.rules().next().expect("there is one");
    let told = "0:pending 1:firing 2:resolved 3:pending 4:firing 5:resolved 6:pending 7:inactive";
    assert_eq!(changes(rule), told);
    let at = |tick: i64| Timestamp::from_millis(tick * STEP_MS);
    assert_eq!(rule.alerts[0].firings(), [(at(1), Some(at(2))), (at(4), Some(at(5)))]);
    assert_eq!(rule.alerts[0].fired_ms, 2 * STEP_MS);
}

#[test]
fn an_alert_that_became_pending_in_the_run_in_fires_when_the_window_begins() {
    let replayed = |values: &str, run_in: i64| {
        let storage = storage(&[(UP, values)]);
        let options = EngineOptions { lookback_ms: STEP_MS, ..EngineOptions::new(Dialect::V3) };
        let (engine, all) = (Engine::new(options), settings(6));
        let at = |tick: i64| Timestamp::from_millis(tick * STEP_MS);
        let window = TimeRange::new(at(3), all.window.end);
        let settings = Settings { window, run_in_from: at(3 - run_in), ..all };
        let files = [file("{alert: Down, expr: up == 0, for: 30s}")];
        let report = |order| {
            let report = replay_in(order, &files, (&storage, &engine), &settings);
            let report = report.expect("memory never fails").expect("no rule reads a later one");
            let rule = report.rules().next().expect("there is one");
            let fired_ms: i64 = rule.alerts.iter().map(|alert| alert.fired_ms).sum();
            (changes(rule), fired_ms, report.groups[0].evaluations)
        };
        let told = report(EvaluationOrder::RuleByRule);
        assert_eq!(told, report(EvaluationOrder::InstantByInstant));
        told
    };
    let none = String::new();
    let fires = "1:pending 3:firing 5:resolved".to_owned();
    assert_eq!(replayed("1 0 0 0 0 1", 3), (fires, 2 * STEP_MS, 3));
    let late = "3:pending 5:inactive".to_owned();
    assert_eq!(replayed("1 0 0 0 0 1", 0), (late, 0, 3), "without a run-in");
    let fired = "1:pending 3:firing".to_owned();
    assert_eq!(replayed("0 0 0 0 0 0", 3), (fired, 3 * STEP_MS, 3));
    assert_eq!(replayed("1 0 1 1 1 1", 3), (none, 0, 3), "over before the window");
}

#[test]
fn a_window_shows_its_oldest_and_its_newest_sample() {
    let storage = storage(&[(UP, "1 1 0 0 0")]);
    let rule = "{alert: Flaps, expr: 'changes(up[45s] offset 15s) > 0'}";
    let report = replayed(&[file(rule)], &storage, 5);
    let alert = &report.rules().next().expect("there is one").alerts[0];
    assert_eq!(alert.changes[0].at.as_millis() / STEP_MS, 3);
    let behind = &alert.changes[0].behind[0];
    let seen: Vec<_> = behind
        .samples
        .iter()
        .map(|seen| (seen.at.as_millis() / STEP_MS, seen.value.as_str()))
        .collect();
    assert_eq!(seen, [(0, "1"), (2, "0")]);
    assert_eq!(behind.selector, "up[45s] offset 15s");
}

#[test]
fn recording_rules_feed_later_rules_at_the_same_instant() {
    let storage = storage(&[(UP, "1 0 0 1")]);
    let rules = "{record: 'job:up', expr: 'sum by (job) (up)', labels: {a: b}}, \
                 {alert: Down, expr: 'job:up{a=\"b\"} == 0'}";
    let report = replayed(&[file(rules)], &storage, 4);
    let rules: Vec<_> = report.rules().collect();
    assert_eq!((rules[0].outcome, rules[0].recorded_series), (Outcome::Recorded, 1));
    assert_eq!(changes(rules[1]), "1:firing 3:resolved");
}

#[test]
fn a_rule_that_reads_a_later_one_sees_what_it_recorded_before() {
    let storage = storage(&[(UP, "1 0 0 1 1")]);
    let rules = "{alert: Down, expr: 'job:up == 0'}, {record: 'job:up', expr: 'sum by (job) (up)'}";
    let options = EngineOptions { lookback_ms: STEP_MS + 1, ..EngineOptions::new(Dialect::V3) };
    let engine = Engine::new(options);
    let report = replay(&[file(rules)], &storage, &engine, &settings(5)).expect("memory");
    assert_eq!(changes(report.rules().next().expect("one")), "2:firing 4:resolved");
}

#[test]
fn alerts_are_series_for_other_rules() {
    let storage = storage(&[(UP, "1 0 0 1 1")]);
    let rules = "{alert: Down, expr: up == 0, for: 15s}, \
                 {alert: Page, expr: 'ALERTS{alertname=\"Down\", alertstate=\"firing\"}'}";
    let options = EngineOptions { lookback_ms: STEP_MS, ..EngineOptions::new(Dialect::V3) };
    let engine = Engine::new(options);
    let report = replay(&[file(rules)], &storage, &engine, &settings(5)).expect("memory");
    let page = report.rules().nth(1).expect("two");
    assert_eq!(changes(page), "2:firing 3:resolved");
}

#[test]
fn a_series_that_goes_resolves_its_alert_and_keep_firing_for_delays_that() {
    let storage = storage(&[(UP, "0 0 _ _ _ _")]);
    let rules = "{alert: A, expr: up == 0}, {alert: B, expr: up == 0, keep_firing_for: 30s}";
    let report = replayed(&[file(rules)], &storage, 6);
    let told: Vec<String> = report.rules().map(changes).collect();
    assert_eq!(told, ["0:firing 2:resolved", "0:firing 4:resolved"]);
}

#[test]
fn every_rule_ends_in_one_way() {
    let two: &[(&str, &str)] = &[("__name__", "up"), ("job", "pd")];
    let storage = storage(&[(UP, "1 1 1 1"), (two, "1 0 1 1")]);
    let rules = "{alert: Fired, expr: up == 0}, {alert: Quiet, expr: up > 5}, \
                 {alert: Blind, expr: nothing > 5}, {alert: Waits, expr: up == 0, for: 1h}, \
                 {alert: Broken, expr: 'up + on () up > 100'}, \
                 {alert: Same, expr: up, labels: {job: x}}";
    let report = replayed(&[file(rules)], &storage, 4);
    let outcomes: Vec<_> = report.rules().map(|rule| rule.outcome).collect();
    use Outcome::{CannotFire, Error, Fired, Quiet};
    assert_eq!(outcomes, [Fired, Quiet, CannotFire, Quiet, Error, Error]);
    let failures = |n: usize| report.rules().nth(n).and_then(|r| r.failures.clone()).expect("some");
    assert_eq!((failures(4).count, failures(5).count), (4, 4));
    assert!(failures(5).first.contains("same labelset"), "{:?}", failures(5));
    let blind = report.rules().nth(2).expect("six");
    assert_eq!(blind.missing[0].why, "no metric nothing");
}

#[test]
fn an_alert_that_is_pending_at_the_end_is_not_quiet() {
    let storage = storage(&[(UP, "1 1 0 0")]);
    let report = replayed(&[file("{alert: Down, expr: up == 0, for: 1m}")], &storage, 4);
    let rule = report.rules().next().expect("there is one");
    assert_eq!(rule.outcome, Outcome::Pending);
    let since = rule.alerts[0].pending_since();
    assert_eq!(since, Some(Timestamp::from_millis(2 * STEP_MS)));
}

#[test]
fn one_rule_may_be_asked_how_near_it_came() {
    let storage = storage(&[(UP, "1 1 1 1")]);
    let rules = "{alert: Far, expr: up > 9}, {alert: Other, expr: up > 5}";
    let report = near_of(rules, &storage, Near::Of("Far"), 4);
    let near: Vec<usize> = report.rules().map(|rule| rule.near.len()).collect();
    assert_eq!(near, [1, 0]);
}

#[test]
fn a_rule_past_its_limit_fails_and_loses_its_alerts() {
    let two: &[(&str, &str)] = &[("__name__", "up"), ("job", "pd")];
    let storage = storage(&[(UP, "0 0 0 1"), (two, "1 0 1 1")]);
    let text = "groups: [{name: g, limit: 1, rules: [{alert: A, expr: up == 0}, \
                {record: r, expr: up}]}]";
    let file = RuleFile::parse("r", text).expect("it is a rule file");
    let report = replayed(&[file], &storage, 4);
    let rules: Vec<_> = report.rules().collect();
    assert_eq!(changes(rules[0]), "0:firing 1:resolved 2:firing 3:resolved");
    let failures = rules[0].failures.as_ref().expect("it failed");
    assert_eq!((failures.count, failures.first.as_str()), (1, "exceeded limit of 1 with 2 alerts"));
    assert_eq!(rules[1].outcome, Outcome::Error);
}

#[test]
fn groups_have_intervals_and_offsets_of_their_own() {
    let storage = storage(&[(UP, "1 1 0 0 0 0 0 1 1")]);
    let text = "groups: [{name: slow, interval: 30s, rules: [{alert: A, expr: up == 0}]}, \
                {name: late, query_offset: 15s, rules: [{alert: B, expr: up == 0}]}]";
    let file = RuleFile::parse("r", text).expect("it is a rule file");
    let report = replayed(&[file], &storage, 9);
    let told: Vec<String> = report.rules().map(changes).collect();
    assert_eq!(told, ["2:firing 8:resolved", "3:firing 8:resolved"]);
    let evaluations: Vec<_> = report.groups.iter().map(|group| group.evaluations).collect();
    assert_eq!(evaluations, [5, 9]);
}

#[test]
fn a_selector_without_a_metric_sees_alerts_once_they_are_active() {
    let storage = storage(&[(UP, "1 1 0 0 1 1")]);
    let count = "{alert: Many, expr: 'count({job=\"tikv\"}) > 2'}";
    let quiet = replayed(&[file(count)], &storage, 6);
    assert_eq!(changes(quiet.rules().next().expect("there is one")), "");
    // While `Down` is active, `ALERTS` and `ALERTS_FOR_STATE` stand beside `up`.
    let down = "{alert: Down, expr: up == 0}";
    let report = replayed(&[file(&format!("{down}, {count}"))], &storage, 6);
    assert_eq!(changes(report.rules().nth(1).expect("there are two")), "2:firing 4:resolved");
}

fn near_of(rule: &str, storage: &MemoryStorage, near: Near<'_>, ticks: i64) -> RulesReport {
    let options = EngineOptions { lookback_ms: STEP_MS, ..EngineOptions::new(Dialect::V3) };
    let engine = Engine::new(options);
    let settings = Settings { near, ..settings(ticks) };
    replay(&[file(rule)], storage, &engine, &settings).expect("memory never fails")
}

#[test]
fn a_quiet_rule_says_how_near_it_came_where_that_is_asked_for() {
    let storage = storage(&[(&[("__name__", "load"), ("job", "a")], "1 7.5 7.98 7.6 2 1")]);
    let rule = "{alert: Loaded, expr: load > 10}";
    let report = near_of(rule, &storage, Near::None, 6);
    assert_eq!(report.rules().next().expect("there is one").near, []);
    let report = near_of(rule, &storage, Near::Quiet, 6);
    let near = &report.rules().next().expect("there is one").near;
    assert_eq!(near.len(), 1);
    let one = &near[0];
    assert_eq!((one.compared.as_str(), one.operator, one.threshold.as_str()), ("load", ">", "10"));
    assert_eq!((one.value.as_str(), one.at.as_millis() / STEP_MS), ("7.98", 2));
    assert_eq!((one.lasted_ms, one.held_ms), (2 * STEP_MS, None));
    assert_eq!(one.labels.to_string(), "{job=\"a\"}");
}

/// A storage that can be read so many times.
struct ReadFor {
    storage: MemoryStorage,
    left: std::cell::Cell<usize>,
}

impl Storage for ReadFor {
    fn select(
        &self,
        matchers: &[crate::model::LabelMatcher],
        range: TimeRange,
    ) -> Result<crate::promql::SeriesSet, StorageError> {
        let left = self.left.get().checked_sub(1).ok_or("no such file")?;
        self.left.set(left);
        self.storage.select(matchers, range)
    }
}

#[test]
fn a_rule_of_which_it_cannot_be_told_how_near_it_came_has_failed() {
    let load: &[(&str, &str)] = &[("__name__", "load"), ("job", "a")];
    let replayed = |reads| {
        let storage = storage(&[(load, "1 7.5 7.98 7.6 2 1")]);
        let storage = ReadFor { storage, left: std::cell::Cell::new(reads) };
        let settings = Settings { near: Near::Quiet, ..settings(6) };
        let engine = Engine::new(EngineOptions::new(Dialect::V3));
        let files = [file("{alert: Loaded, expr: load > 10}")];
        replay(&files, &storage, &engine, &settings).map(|report| {
            let rule = report.rules().next().expect("there is one");
            (rule.outcome, rule.near.len(), rule.failures.clone().map(|one| one.first))
        })
    };
    let ends: Vec<_> = (0..20).filter_map(|reads| replayed(reads).ok()).collect();
    assert!(ends.contains(&(Outcome::Quiet, 1, None)), "{ends:?}");
    let why = "how near it came cannot be told: cannot read series: no such file".to_owned();
    assert!(ends.contains(&(Outcome::Error, 0, Some(why))), "{ends:?}");
    assert!(!ends.contains(&(Outcome::Quiet, 0, None)), "{ends:?}");
}

#[test]
fn a_rule_that_was_pending_says_for_how_long_its_comparison_held() {
    let storage = storage(&[(UP, "1 0 0 0 1 0 1 1")]);
    let rule = "{alert: Down, expr: up == 0, for: 1m}";
    let report = near_of(rule, &storage, Near::Quiet, 8);
    let rule_report = report.rules().next().expect("there is one");
    assert_eq!(rule_report.outcome, Outcome::Quiet);
    assert_eq!(rule_report.near[0].held_ms, Some(2 * STEP_MS));
    let fired = "{alert: Down, expr: up == 0, for: 15s}";
    let near = |near| near_of(fired, &storage, near, 8).rules().next().map(|rule| rule.near.len());
    assert_eq!((near(Near::Quiet), near(Near::All)), (Some(0), Some(1)));
}

/// A cluster of one PD, whose process started `age` seconds before the window, and which counts a store as
/// down as `down` says.
fn one_pd(age: i64, down: &str) -> MemoryStorage {
    let started = (-age).to_string();
    let started = [started.as_str(); 12].join(" ");
    storage(&[
        (&[("__name__", "process_start_time_seconds"), ("job", "pd")], &started),
        (&[("__name__", "pd_cluster_status"), ("job", "pd"), ("store", "1")], down),
    ])
}

#[test]
fn what_fires_as_its_series_begin_in_a_new_cluster_and_is_resolved_is_no_incident() {
    let rule = "{alert: StoreDown, expr: 'pd_cluster_status > 0'}";
    for (age, down, outcome) in [
        // It was down from the first sample on, and then came up.
        (30, "_ _ 1 1 1 0 0 0 0 0 0 0", Outcome::FiredAtStart),
        // It had been up.
        (30, "_ 0 0 0 1 1 1 0 0 0 0 0", Outcome::Fired),
        // It never came up.
        (30, "_ _ 1 1 1 1 1 1 1 1 1 1", Outcome::Fired),
        // It went down again.
        (30, "_ _ 1 1 1 0 0 0 1 1 0 0", Outcome::Fired),
        // The cluster is older than that.
        (600, "_ _ 1 1 1 0 0 0 0 0 0 0", Outcome::Fired),
    ] {
        let report = replayed(&[file(rule)], &one_pd(age, down), 12);
        assert_eq!(report.starting.is_some(), age == 30);
        assert_eq!(report.rules().next().expect("there is one").outcome, outcome, "{age} {down}");
    }
}

#[test]
fn a_state_that_is_entered_is_no_series_that_begins() {
    let state = |state: &'static str| {
        [("__name__", "state"), ("job", "pd"), ("store", "1"), ("state", state)]
    };
    let started = ["0"; 8].join(" ");
    let storage = storage(&[
        (&[("__name__", "process_start_time_seconds"), ("job", "pd")], &started),
        (&[("__name__", "pd_cluster_status"), ("job", "pd")], &started),
        (&state("Up"), "1 1 1 _ _ _ 1 1"),
        (&state("Down"), "_ _ _ 1 1 1 _ _"),
    ]);
    let rule = "{alert: StoreDown, expr: 'state{state=\"Down\"} > 0'}";
    let report = replayed(&[file(rule)], &storage, 8);
    assert!(report.starting.is_some());
    assert_eq!(report.rules().next().expect("there is one").outcome, Outcome::Fired);
}

#[test]
fn another_exposer_of_the_same_is_no_series_that_begins() {
    let started = ["0"; 8].join(" ");
    let status = |instance: &'static str| {
        [("__name__", "pd_cluster_status"), ("instance", instance), ("store", "1")]
    };
    let storage = storage(&[
        (&[("__name__", "process_start_time_seconds"), ("instance", "a")], &started),
        (&status("a"), "0 0 0 _ _ _ _ _"),
        (&status("b"), "_ _ _ 1 1 1 0 0"),
    ]);
    let report =
        replayed(&[file("{alert: StoreDown, expr: 'pd_cluster_status > 0'}")], &storage, 8);
    assert!(report.starting.is_some());
    assert_eq!(report.rules().next().expect("there is one").outcome, Outcome::Fired);
}
