//! Runs unit tests of rules: the test files of `promtool test rules`.
//!
//! It opens no file. Native histograms and external labels are refused with an error that names
//! them.

mod notation;

use std::collections::BTreeSet;
use std::sync::Arc;

use notation::{RawFile, duration};

use super::evaluate::{FiringAlert, Settings, evaluate_stepwise};
use super::rule_file::RuleFile;
use crate::model::{Labels, Series, TimeRange, Timestamp};
use crate::promql::{
    Engine, Expression, MemoryStorage, Storage, StorageError, Value, almost_equal, format_value,
};

/// Default evaluation interval of promtool.
const DEFAULT_INTERVAL_MS: i64 = 60_000;
/// Relative error that is accepted with `fuzzy_compare`.
const TOLERANCE: f64 = 1e-6;

/// A parsed file of rule tests.
#[derive(Clone, Debug)]
pub struct RuleTests {
    /// Paths of rule files as written: relative to the test file, with `*` allowed in the last
    /// part.
    pub rule_files: Vec<String>,
    interval_ms: i64,
    order: Vec<String>,
    fuzzy: bool,
    tests: Vec<Test>,
}

/// A test file that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct RuleTestsError {
    /// Name of the test file.
    pub file: String,
    /// Reason why it cannot be run.
    pub why: String,
}

/// Result of the tests of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTestsOutcome {
    /// Number of expectations that were checked.
    pub checked: usize,
    /// A message for each expectation that was not met.
    pub failures: Vec<String>,
}

#[derive(Clone, Debug)]
struct Test {
    name: String,
    series: Vec<Arc<Series>>,
    alerts: Vec<AlertTest>,
    expressions: Vec<ExprTest>,
}

#[derive(Clone, Debug)]
struct AlertTest {
    at: Timestamp,
    name: String,
    expected: Vec<Alert>,
}

/// Labels, and annotations in ascending order of name.
type Alert = (Labels, Vec<(String, String)>);

#[derive(Clone, Debug)]
struct ExprTest {
    at: Timestamp,
    expression: Expression,
    expected: Vec<(Labels, f64)>,
}

impl RuleTests {
    /// Parses the text of a test file; `name` is its name in errors.
    ///
    /// # Errors
    ///
    /// [`RuleTestsError`] where it is not a test file, or uses a feature that is not supported.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleTestsError> {
        let error = |why: String| RuleTestsError { file: name.to_owned(), why };
        let raw: RawFile = serde_saphyr::from_str(text)
            .map_err(|why| error(format!("not a file of tests: {}", why.without_snippet())))?;
        let interval_ms = duration(&raw.evaluation_interval).map_err(error)?;
        let interval_ms = interval_ms.filter(|interval| *interval > 0);
        let interval_ms = interval_ms.unwrap_or(DEFAULT_INTERVAL_MS);
        let mut tests = Vec::new();
        for (number, test) in (1..).zip(raw.tests) {
            let name = test.name.clone().unwrap_or_else(|| format!("test {number}"));
            let place = |why: String| error(format!("{name}: {why}"));
            tests.push(test.read(name.clone(), interval_ms).map_err(place)?);
        }
        Ok(Self {
            rule_files: raw.rule_files,
            interval_ms,
            order: raw.group_eval_order,
            fuzzy: raw.fuzzy_compare,
            tests,
        })
    }

    /// Runs all tests with these rules.
    ///
    /// # Errors
    ///
    /// [`StorageError`] where series cannot be read; those in memory always can.
    pub fn run(
        &self,
        rules: &[RuleFile],
        engine: &Engine,
    ) -> Result<RuleTestsOutcome, StorageError> {
        let rules = self.prepared(rules);
        let mut outcome = RuleTestsOutcome::default();
        for test in &self.tests {
            self.run_one(test, &rules, engine, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Prepares rules as promtool does: all groups at the interval of the tests, in the order of
    /// `group_eval_order`.
    fn prepared(&self, rules: &[RuleFile]) -> [RuleFile; 1] {
        let mut groups: Vec<_> = rules.iter().flat_map(|file| file.groups.clone()).collect();
        for group in &mut groups {
            group.interval_ms = None;
        }
        groups.sort_by_key(|group| self.order.iter().position(|name| *name == group.name));
        [RuleFile { name: String::new(), groups }]
    }

    fn run_one(
        &self,
        test: &Test,
        rules: &[RuleFile],
        engine: &Engine,
        outcome: &mut RuleTestsOutcome,
    ) -> Result<(), StorageError> {
        let storage = MemoryStorage::new(test.series.iter().cloned());
        let alerts = test.alerts.iter().map(|alert| alert.at);
        let last = alerts.chain(test.expressions.iter().map(|expr| expr.at)).max();
        let Some(last) = last else { return Ok(()) };
        let start = Timestamp::from_millis(0);
        let window = TimeRange::new(start, last.saturating_add_millis(1));
        let settings = Settings { window, interval_ms: self.interval_ms, metrics: &[] };
        // An alert is checked at the last evaluation at or before the instant of its test.
        let tick = |at: Timestamp| {
            Timestamp::from_millis(at.as_millis() / self.interval_ms * self.interval_ms)
        };
        let ticks: BTreeSet<Timestamp> = test.alerts.iter().map(|alert| tick(alert.at)).collect();
        evaluate_stepwise(rules, (&storage, engine), &settings, &ticks, |fired, recorded| {
            for alert in &test.alerts {
                outcome.note(alert.check(&test.name, tick(alert.at), fired));
            }
            for expr in &test.expressions {
                outcome.note(self.check(&test.name, expr, engine, recorded));
            }
        })
    }

    fn check(
        &self,
        test: &str,
        expr: &ExprTest,
        engine: &Engine,
        storage: &dyn Storage,
    ) -> Result<(), String> {
        let place = format!("{test}: {} at {}", expr.expression.text(), seconds(expr.at));
        let answer = engine.instant(&expr.expression, storage, expr.at);
        let found = samples(answer.map_err(|error| format!("{place}: {error}"))?.value);
        if self.same(&expr.expected, &found) {
            return Ok(());
        }
        let (expected, found) = (samples_text(&expr.expected), samples_text(&found));
        Err(format!("{place}: expected {expected}, found {found}"))
    }

    fn same(&self, expected: &[(Labels, f64)], found: &[(Labels, f64)]) -> bool {
        let same_value = |a: f64, b: f64| {
            (a.is_nan() && b.is_nan()) || a == b || (self.fuzzy && almost_equal(a, b, TOLERANCE))
        };
        let mut pairs = expected.iter().zip(found);
        expected.len() == found.len() && pairs.all(|(a, b)| a.0 == b.0 && same_value(a.1, b.1))
    }
}

impl RuleTestsOutcome {
    fn note(&mut self, checked: Result<(), String>) {
        self.checked += 1;
        self.failures.extend(checked.err());
    }
}

impl AlertTest {
    /// Compares the expected alerts with those that fire at the evaluation `tick`.
    fn check(&self, test: &str, tick: Timestamp, fired: &[FiringAlert]) -> Result<(), String> {
        let fired = fired.iter().filter(|fired| fired.at == tick && fired.rule == self.name);
        let mut found: Vec<Alert> =
            fired.map(|fired| (fired.labels.clone(), fired.annotations.clone())).collect();
        found.sort();
        if found == self.expected {
            return Ok(());
        }
        let (expected, found) = (alerts_text(&self.expected), alerts_text(&found));
        let (name, at) = (&self.name, seconds(self.at));
        Err(format!("{test}: alert {name} at {at}: expected {expected}, found {found}"))
    }
}

fn samples(value: Value) -> Vec<(Labels, f64)> {
    let mut found: Vec<(Labels, f64)> = match value {
        Value::Scalar(sample) => vec![(Labels::default(), sample.value)],
        Value::Vector(vector) => vector.into_iter().map(|e| (e.labels, e.sample.value)).collect(),
        Value::String { .. } | Value::Matrix(_) => Vec::new(),
    };
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn seconds(at: Timestamp) -> String {
    format!("{}s", at.as_millis() as f64 / 1000.0)
}

fn labels_text(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn alerts_text(alerts: &[Alert]) -> String {
    let one = |(labels, annotations): &Alert| format!("{} {annotations:?}", labels_text(labels));
    let texts: Vec<String> = alerts.iter().map(one).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

fn samples_text(samples: &[(Labels, f64)]) -> String {
    let one = |(labels, value): &(Labels, f64)| {
        format!("{} {}", labels_text(labels), format_value(*value))
    };
    let texts: Vec<String> = samples.iter().map(one).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join("; ") }
}
