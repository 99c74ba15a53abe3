//! Every expression of rules and dashboards, evaluated on real captures.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use operator::capture::CaptureReader;
use operator::model::{LabelMatcher, MatchOp, TimeRange};
use operator::promql::{
    Dialect, Engine, EngineOptions, Expression, MatcherCache, MemoryStorage, Selector, Storage,
    Value,
};
use regex::Regex;
use serde::Deserialize;

use super::{dashboards, text, yaml};

/// A store's crash and the crash of PD's leader; what neither holds is not there.
const CAPTURES: [&str; 2] = ["chaos-02.capture", "chaos-04.capture"];
const STEP_MS: i64 = 60_000;

#[derive(Deserialize)]
struct Absences {
    absent: Vec<Absence>,
}

#[derive(Deserialize)]
struct Absence {
    metric: String,
    needs: String,
}

/// Metrics that the captures lack, one pattern a line of `absent.toml`.
fn absences() -> Vec<Regex> {
    let absences: Absences = toml::from_str(&text("absent.toml")).expect("the list reads");
    let patterns = absences.absent.into_iter().map(|absence| {
        assert!(absence.needs.len() > 10, "{} needs what?", absence.metric);
        Regex::new(&format!("^(?:{})$", absence.metric)).expect("a regular expression")
    });
    patterns.collect()
}

/// What an expression is for: a rule is silent while all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Rule,
    Panel,
}

struct Placed {
    place: String,
    used: Use,
    expression: Expression,
}

impl Placed {
    /// Parses, with Grafana's variables replaced by what they mostly stand for.
    fn new(place: &str, used: Use, text: &str) -> Self {
        let text = text.replace("$__rate_interval", "1m").replace("$instance", ".*");
        let text = text.replace("$member", ".*");
        let expression = Expression::parse(&text);
        let expression = expression.unwrap_or_else(|error| panic!("{place}: {text}: {error}"));
        Self { place: place.to_owned(), used, expression }
    }

    fn selectors(&self) -> Vec<&Selector> {
        self.expression.selectors()
    }
}

fn metric(selector: &Selector) -> &str {
    selector.metric().expect("a metric is named")
}

fn all() -> Vec<Placed> {
    let rules = yaml("prometheus/rules/tikv.yaml");
    let groups = rules["groups"].as_array().expect("there are groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut found: Vec<Placed> = rules
        .map(|rule| Placed::new(&text(&rule["alert"]), Use::Rule, &text(&rule["expr"])))
        .collect();
    let panels = dashboards::expressions();
    found.extend(panels.iter().map(|(place, text)| Placed::new(place, Use::Panel, text)));
    assert!(found.len() > 150, "{} expressions", found.len());
    found
}

/// The series of `metrics` in each capture, and its window.
fn captures(metrics: &BTreeSet<&str>) -> Vec<(MemoryStorage, TimeRange)> {
    let names = Vec::from_iter(metrics.iter().copied()).join("|");
    let wanted = LabelMatcher {
        name: "__name__".to_owned(),
        op: MatchOp::Regex(Regex::new(&format!("^(?:{names})$")).expect("names")),
        value: String::new(),
    };
    let load = |capture: &&str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(capture);
        let reader = CaptureReader::open(&path).expect("the capture opens");
        let series = reader.select(std::slice::from_ref(&wanted), TimeRange::ALL).expect("reads");
        (MemoryStorage::new(series.into_iter().map(Arc::new)), reader.window())
    };
    CAPTURES.iter().map(load).collect()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_selector_hits_a_capture_or_is_listed_with_what_it_needs() {
    let (all, absences) = (all(), absences());
    let metrics = all.iter().flat_map(Placed::selectors).map(metric).collect();
    let captures = captures(&metrics);
    let cache = MatcherCache::default();
    let mut needed = BTreeSet::new();
    for placed in &all {
        for selector in placed.selectors() {
            let matchers =
                cache.matchers(&selector.matchers, Dialect::V3).expect("the patterns are sound");
            let hit = captures.iter().any(|(storage, window)| {
                !storage.select(&matchers, *window).expect("memory never fails").is_empty()
            });
            let listed = absences.iter().position(|metrics| metrics.is_match(metric(selector)));
            let place = &placed.place;
            assert_ne!(hit, listed.is_some(), "{place}: {selector:?} (hits a capture: {hit})");
            needed.extend(listed);
        }
    }
    assert_eq!(needed.len(), absences.len(), "a line of absent.toml is not needed any more");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_expression_evaluates_and_every_panel_has_data() {
    let (all, absences) = (all(), absences());
    let metrics = all.iter().flat_map(Placed::selectors).map(metric).collect();
    let captures = captures(&metrics);
    let engine = Engine::new(EngineOptions::new(Dialect::V3));
    for placed in &all {
        let mut series = 0;
        for (storage, window) in &captures {
            let steps = (window.start, window.end);
            let answer = engine.range(&placed.expression, storage, steps, STEP_MS);
            let place = &placed.place;
            let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
            let warnings: Vec<&str> = answer.annotations.warnings().collect();
            assert!(warnings.is_empty(), "{place}: {warnings:?}");
            let Value::Matrix(found) = answer.value else { panic!("{place}: no matrix") };
            series += found.len();
        }
        let lacks = |selector: &&Selector| absences.iter().any(|m| m.is_match(metric(selector)));
        let complete = !placed.selectors().iter().any(lacks);
        if placed.used == Use::Panel && complete {
            assert!(series > 0, "{}: {} has no data", placed.place, placed.expression.text());
        }
    }
}
