//! Runs unit tests of rules: the test files of `promtool test rules`.
//!
//! It opens no file. Native histograms are refused with an error that names them.

mod notation;

use std::collections::BTreeSet;
use std::sync::Arc;

use notation::{RawFile, duration};

use super::evaluate::{
    Evaluated, FiringAlert, NOT_A_VECTOR, Near, RuleError, Settings, evaluate_stepwise,
};
use super::rule_file::RuleFile;
use super::template::External;
use super::yaml::first_document;
use crate::model::{Labels, Series, TimeRange, Timestamp};
use crate::promql::{
    Engine, EngineOptions, Expression, MemoryStorage, Storage, StorageError, Value, format_value,
};

/// Default evaluation interval of promtool.
const DEFAULT_INTERVAL_MS: i64 = 60_000;

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
    /// Number of expectations in the file.
    pub checked: usize,
    /// Number of expectations that are met.
    pub met: usize,
    /// A message for each expectation that is not met, and for each rule that cannot be evaluated;
    /// what is expected after such a rule is not met and has no message.
    pub failures: Vec<String>,
}

#[derive(Clone, Debug)]
struct Test {
    name: String,
    series: Vec<Arc<Series>>,
    alerts: Vec<AlertTest>,
    expressions: Vec<ExprTest>,
    external_labels: Vec<(String, String)>,
    external_url: String,
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
    text: String,
    /// What is expected, or why the text cannot be evaluated or compared.
    expectation: Result<Expectation, String>,
}

#[derive(Clone, Debug)]
struct Expectation {
    expression: Expression,
    expected: Samples,
}

/// Labels and values, ascending by labels.
type Samples = Vec<(Labels, f64)>;

impl RuleTests {
    /// Parses the text of a test file; `name` is its name in errors.
    ///
    /// # Errors
    ///
    /// [`RuleTestsError`] where it is not a test file, or uses a feature that is not supported.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleTestsError> {
        let error = |why: String| RuleTestsError { file: name.to_owned(), why };
        let raw: RawFile = first_document(text).map_err(|why| {
            let is_rules = RuleFile::parse(name, text).is_ok();
            let other =
                if is_rules { " (it is a file of rules: `rules check` reads those)" } else { "" };
            error(format!("not a file of tests{other}: {why}"))
        })?;
        let mut order = BTreeSet::new();
        if let Some(twice) = raw.group_eval_order.iter().find(|name| !order.insert(*name)) {
            return Err(error(format!("group name repeated in evaluation order: {twice}")));
        }
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

    /// Runs all tests with these rules. A subquery without a step has the interval of the tests.
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
        let engine = Engine::new(EngineOptions {
            subquery_step_ms: self.interval_ms,
            ..engine.options().clone()
        });
        let mut outcome = RuleTestsOutcome::default();
        for test in &self.tests {
            self.run_one(test, &rules, &engine, &mut outcome)?;
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
        let alerts = test.alerts.iter().map(|alert| alert.at);
        let last = alerts.chain(test.expressions.iter().map(|expr| expr.at)).max();
        let last = self.tick(last.unwrap_or_default());
        let storage = MemoryStorage::new(test.series.iter().map(|series| until(series, last)));
        let window = TimeRange::new(Timestamp::from_millis(0), last.saturating_add_millis(1));
        let external = External { labels: &test.external_labels, url: &test.external_url };
        let settings = Settings {
            window,
            run_in_from: window.start,
            interval_ms: self.interval_ms,
            metrics: &[],
            external,
            near: Near::None,
        };
        let ticks = test.alerts.iter().map(|alert| self.tick(alert.at)).collect();
        evaluate_stepwise(rules, (&storage, engine), &settings, &ticks, |evaluated, recorded| {
            self.compare(test, evaluated, (recorded, engine), outcome);
        })
    }

    /// The last evaluation at or before an instant.
    fn tick(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.as_millis() / self.interval_ms * self.interval_ms)
    }

    /// Compares what rules yield with what is expected. Where a rule cannot be evaluated, only
    /// alerts at earlier evaluations are compared, as promtool does.
    fn compare(
        &self,
        test: &Test,
        evaluated: &Evaluated,
        (storage, engine): (&dyn Storage, &Engine),
        outcome: &mut RuleTestsOutcome,
    ) {
        outcome.checked += test.alerts.len() + test.expressions.len();
        let error = evaluated.errors.first().map(|error| error.at);
        for alert in &test.alerts {
            let tick = self.tick(alert.at);
            if error.is_none_or(|error| tick < error) {
                outcome.note(alert.check(&test.name, tick, &evaluated.fired));
            }
        }
        outcome.failures.extend(evaluated.errors.iter().map(|error| error.text(&test.name)));
        if error.is_none() {
            for expr in &test.expressions {
                outcome.note(self.check(&test.name, expr, engine, storage));
            }
        }
    }

    fn check(
        &self,
        test: &str,
        expr: &ExprTest,
        engine: &Engine,
        storage: &dyn Storage,
    ) -> Result<(), String> {
        let place = || format!("{test}: {} at {}", expr.text, seconds(expr.at));
        let yielded = expr.expectation.as_ref().map_err(String::clone).and_then(|expectation| {
            let answer = engine.instant(&expectation.expression, storage, expr.at);
            Ok((&expectation.expected, samples(answer.map_err(|error| error.to_string())?.value)?))
        });
        let (expected, found) = yielded.map_err(|why| format!("{}: {why}", place()))?;
        if self.same(expected, &found) {
            return Ok(());
        }
        let (expected, found) = (samples_text(expected), samples_text(&found));
        Err(format!("{}: expected {expected}, found {found}", place()))
    }

    /// Whether all labels and values are the same. Like promtool, no NaN is the same as another
    /// one, and with `fuzzy_compare` the two numbers beside a number are.
    fn same(&self, expected: &[(Labels, f64)], found: &[(Labels, f64)]) -> bool {
        let same_value =
            |a: f64, b: f64| a == b || (self.fuzzy && (a == b.next_up() || a == b.next_down()));
        let mut pairs = expected.iter().zip(found);
        expected.len() == found.len() && pairs.all(|(a, b)| a.0 == b.0 && same_value(a.1, b.1))
    }
}

/// A series without its samples after `last`: promtool loads none after the last evaluation.
fn until(series: &Arc<Series>, last: Timestamp) -> Arc<Series> {
    let end = series.samples.partition_point(|sample| sample.at <= last);
    if end == series.samples.len() {
        return Arc::clone(series);
    }
    Arc::new(Series { labels: series.labels.clone(), samples: series.samples[..end].to_vec() })
}

impl RuleTestsOutcome {
    fn note(&mut self, checked: Result<(), String>) {
        self.met += usize::from(checked.is_ok());
        self.failures.extend(checked.err());
    }
}

impl RuleError {
    fn text(&self, test: &str) -> String {
        format!("{test}: rule {} at {}: {}", self.rule, seconds(self.at), self.why)
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
        // Those that are as expected say nothing about what is wrong.
        let beside = |some: &[Alert], others: &[Alert]| -> Vec<Alert> {
            some.iter().filter(|one| !others.contains(one)).cloned().collect()
        };
        let (expected, found) = (beside(&self.expected, &found), beside(&found, &self.expected));
        let (name, at) = (&self.name, seconds(self.at));
        let place = format!("{test}: alert {name} at {at}");
        if let ([(labels, expected)], [(same, found)]) = (&expected[..], &found[..])
            && labels == same
        {
            let (expected, found) = (annotations_text(expected), annotations_text(found));
            let why = format!(
                "its labels are as expected; annotations: expected {expected}, found {found}"
            );
            return Err(format!("{place}: {why}"));
        }
        let (expected, found) = (alerts_text(&expected), alerts_text(&found));
        Err(format!("{place}: expected {expected}, found {found}"))
    }
}

fn samples(value: Value) -> Result<Samples, String> {
    let mut found: Samples = match value {
        Value::Scalar(sample) => vec![(Labels::default(), sample.value)],
        Value::Vector(vector) => vector.into_iter().map(|e| (e.labels, e.sample.value)).collect(),
        Value::String { .. } | Value::Matrix(_) => return Err(NOT_A_VECTOR.to_owned()),
    };
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
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
    let one = |(labels, annotations): &Alert| {
        let annotations = annotations.iter().map(|(name, text)| format!(" {name}: {text:?}"));
        format!("{}{}", labels_text(labels), annotations.collect::<Vec<_>>().join(","))
    };
    let texts: Vec<String> = alerts.iter().map(one).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

fn annotations_text(annotations: &[(String, String)]) -> String {
    let texts: Vec<String> =
        annotations.iter().map(|(name, text)| format!("{name}: {text:?}")).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn samples_text(samples: &[(Labels, f64)]) -> String {
    let one = |(labels, value): &(Labels, f64)| {
        format!("{} {}", labels_text(labels), format_value(*value))
    };
    let texts: Vec<String> = samples.iter().map(one).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests;
