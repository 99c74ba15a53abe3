//! Every expression of rules and dashboards asks for series that real captures hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use operator::capture::CaptureReader;
use operator::model::{LabelMatcher, Labels, MatchOp, TimeRange, Timestamp};
use operator::promql::{
    Dialect, Engine, EngineOptions, Expression, SeriesSet, Storage, StorageError,
};
use regex::Regex;
use serde::Deserialize;

use super::{dashboards, text, yaml};

/// These two hold a store's crash and the crash of PD's leader; what neither holds is not there.
const CAPTURES: [&str; 2] = ["chaos-02.capture", "chaos-04.capture"];

#[derive(Deserialize)]
struct Absences {
    absent: Vec<Absence>,
}

#[derive(Deserialize)]
struct Absence {
    metric: String,
    needs: String,
}

/// A storage that holds nothing and remembers what it was asked for.
#[derive(Default)]
struct Asked(Mutex<Vec<Vec<LabelMatcher>>>);

impl Storage for Asked {
    fn select(&self, matchers: &[LabelMatcher], _: TimeRange) -> Result<SeriesSet, StorageError> {
        self.0.lock().expect("nobody panics").push(matchers.to_vec());
        Ok(SeriesSet::new())
    }
}

/// An expression with Grafana's variables replaced by what they mostly stand for.
fn substituted(expression: &str) -> String {
    let text = expression.replace("$__rate_interval", "1m");
    text.replace("$instance", ".*").replace("$member", ".*")
}

/// The matchers of every selector, with the place that has it.
fn selectors() -> Vec<(String, Vec<LabelMatcher>)> {
    let rules = yaml("prometheus/rules/tikv.yaml");
    let groups = rules["groups"].as_array().expect("there are groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut expressions: Vec<(String, String)> =
        rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect();
    expressions.extend(dashboards::expressions());
    let engine = Engine::new(EngineOptions::new(Dialect::of_version("2.42.0")));
    let mut found = Vec::new();
    for (place, expression) in expressions {
        let parsed = Expression::parse(&substituted(&expression));
        let parsed = parsed.unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
        let asked = Asked::default();
        let answer = engine.instant(&parsed, &asked, Timestamp::from_millis(0));
        answer.unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
        let asked = asked.0.into_inner().expect("nobody panics");
        found.extend(asked.into_iter().map(|matchers| (place.clone(), matchers)));
    }
    assert!(found.len() > 150, "{} selectors", found.len());
    found
}

fn metric(matchers: &[LabelMatcher]) -> &str {
    let mut names = matchers.iter().filter(|matcher| matcher.name == "__name__");
    &names.next().expect("a metric is named").value
}

/// The label sets of `metrics` in the captures, by metric.
fn series(metrics: &BTreeSet<&str>) -> BTreeMap<String, Vec<Labels>> {
    let names = Vec::from_iter(metrics.iter().copied()).join("|");
    let wanted = LabelMatcher {
        name: "__name__".to_owned(),
        op: MatchOp::Regex(Regex::new(&format!("^(?:{names})$")).expect("names")),
        value: String::new(),
    };
    let mut found: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
    for capture in CAPTURES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(capture);
        let reader = CaptureReader::open(&path).expect("the capture opens");
        let all = reader.select(std::slice::from_ref(&wanted), TimeRange::ALL).expect("reads");
        for series in all {
            found.entry(series.labels.metric().to_owned()).or_default().push(series.labels);
        }
    }
    found
}

#[test]
fn every_selector_hits_a_capture_or_is_listed_with_what_it_needs() {
    let absences: Absences = toml::from_str(&text("absent.toml")).expect("the list reads");
    let absences: Vec<(Regex, String)> = absences
        .absent
        .into_iter()
        .map(|absence| {
            assert!(absence.needs.len() > 10, "{} needs what?", absence.metric);
            let metric = Regex::new(&format!("^(?:{})$", absence.metric)).expect("an expression");
            (metric, absence.needs)
        })
        .collect();
    let selectors = selectors();
    let series = series(&selectors.iter().map(|(_, matchers)| metric(matchers)).collect());
    let mut needed = BTreeSet::new();
    for (place, conditions) in &selectors {
        let metric = metric(conditions);
        let hit = series.get(metric).is_some_and(|all| {
            all.iter().any(|labels| conditions.iter().all(|condition| condition.matches(labels)))
        });
        let listed = absences.iter().position(|(metrics, _)| metrics.is_match(metric));
        assert_ne!(hit, listed.is_some(), "{place}: {metric} (hits a capture: {hit})");
        needed.extend(listed);
    }
    assert_eq!(needed.len(), absences.len(), "a line of absent.toml is not needed any more");
}
