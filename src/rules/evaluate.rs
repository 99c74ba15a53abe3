//! Walks rules over recorded series.
//!
//! At one instant, files, groups and rules are evaluated in the order in which they stand, so
//! that a rule sees what earlier ones recorded at that instant. Instants are whole multiples of a
//! group's interval since the Unix epoch: where a real server stands between two of them depends
//! on a hash.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts::{AlertState, AlertTransition, RuleAlerts};
use super::evaluation_order::{self, EvaluationOrder};
use super::evidence::EvidenceFinder;
use super::overlay_storage::OverlayStorage;
use super::report::{
    AlertChange, AlertHistory, EvaluationFailures, GroupReport, Outcome, RuleReport, RulesReport,
    SelectorEvidence,
};
use super::rule_file::{Rule, RuleFile, RuleGroup, RuleKind};
use super::template::{Template, TemplateData, VectorElements};
use super::unmatched_selectors::{AvailableSeries, cannot_yield, find_unmatched};
use crate::model::{Labels, TimeRange, Timestamp};
use crate::promql::{
    Answer, Engine, Expression, MatcherCache, Storage, StorageError, Value, format_value,
};

pub(super) use stepwise::{FiringAlert, evaluate_stepwise};

/// Changes of one rule that come with the samples behind them.
const EVIDENCED: usize = 200;
/// Instants of one range query: more of them take more memory, fewer group the series more often.
const STEPS_AT_ONCE: usize = 1_000;

/// What rules are replayed over.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Instants of evaluation lie inside.
    pub window: TimeRange,
    /// The interval of groups that state none.
    pub interval_ms: i64,
    /// The names of all metrics that are there, for suggestions.
    pub metrics: &'a [String],
}

/// Evaluations of one group that a replay takes at most: 86 days every 15 s.
pub const MOST_EVALUATIONS: u64 = 500_000;

/// A window that holds more instants than a group may be evaluated at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "group {group:?} would be evaluated {evaluations} times from {} to {}, and {most} times are the most",
    .window.start, .window.end, most = MOST_EVALUATIONS
)]
pub struct TooManyEvaluations {
    /// The group.
    pub group: String,
    /// How many instants the window holds for it.
    pub evaluations: u64,
    /// The window.
    pub window: TimeRange,
}

/// Evaluates all rules over the window. Memory grows with what rules yield, and not with the window.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read, and [`TooManyEvaluations`] where the window is too
/// long for the interval of a group. A rule that cannot be evaluated is no error: its
/// report says so.
pub fn replay(
    files: &[RuleFile],
    storage: &dyn Storage,
    engine: &Engine,
    settings: &Settings<'_>,
) -> Result<RulesReport, StorageError> {
    let cache = MatcherCache::default();
    let order = evaluation_order::needed_order(files, &cache, engine.options().dialect);
    replay_in(order, files, storage, engine, settings)
}

fn replay_in(
    order: EvaluationOrder,
    files: &[RuleFile],
    storage: &dyn Storage,
    engine: &Engine,
    settings: &Settings<'_>,
) -> Result<RulesReport, StorageError> {
    let cache = MatcherCache::default();
    let mut replay = Replay { overlay: overlay(files, storage), engine, cache: &cache, settings };
    for group in files.iter().flat_map(|file| &file.groups) {
        replay.bounded(group)?;
    }
    let mut running: Vec<RunningRule<'_>> = evaluation_order::all_rules(files)
        .map(|(_, group, rule)| RunningRule::new(group, rule))
        .collect();
    let mut reports = Vec::with_capacity(running.len());
    match order {
        // What a rule reads is complete by then, and what is missing is told while it is at hand.
        EvaluationOrder::RuleByRule => {
            for mut rule in running {
                replay.whole(&mut rule)?;
                reports.push(replay.report(rule)?);
            }
        }
        EvaluationOrder::InstantByInstant => {
            for at in replay.instants(&running) {
                replay.step(&mut running, at)?;
            }
            for rule in running {
                reports.push(replay.report(rule)?);
            }
        }
    }
    let mut reports = reports.into_iter();
    let groups = files.iter().flat_map(|file| file.groups.iter().map(move |group| (file, group)));
    let groups = groups.map(|(file, group)| GroupReport {
        file: file.name.clone(),
        name: group.name.clone(),
        interval_ms: replay.interval(group),
        evaluations: replay.ticks(group).count(),
        rules: reports.by_ref().take(group.rules.len()).collect(),
    });
    Ok(RulesReport { window: settings.window, groups: groups.collect() })
}

/// `storage` under what these rules record.
fn overlay<'a>(files: &[RuleFile], storage: &'a dyn Storage) -> OverlayStorage<'a> {
    let names = evaluation_order::all_rules(files)
        .flat_map(|(_, _, rule)| evaluation_order::recorded_metrics(rule));
    OverlayStorage::new(storage, names.map(str::to_owned))
}

/// One rule under way.
struct RunningRule<'a> {
    group: &'a RuleGroup,
    rule: &'a Rule,
    alerts: RuleAlerts,
    /// By the alerts' labels, those of their elements.
    elements: BTreeMap<Labels, Labels>,
    histories: BTreeMap<Labels, AlertHistory>,
    changes: usize,
    /// Series recorded at the last evaluation, and ever.
    current: BTreeSet<Labels>,
    recorded: BTreeSet<Labels>,
    failures: Option<EvaluationFailures>,
}

impl<'a> RunningRule<'a> {
    fn new(group: &'a RuleGroup, rule: &'a Rule) -> Self {
        let alerts = match rule.kind {
            RuleKind::Recording => RuleAlerts::new(0, 0),
            RuleKind::Alert { for_ms, keep_firing_for_ms, .. } => {
                RuleAlerts::new(for_ms, keep_firing_for_ms)
            }
        };
        Self {
            group,
            rule,
            alerts,
            elements: BTreeMap::new(),
            histories: BTreeMap::new(),
            changes: 0,
            current: BTreeSet::new(),
            recorded: BTreeSet::new(),
            failures: None,
        }
    }

    fn fail(&mut self, at: Timestamp, why: String) {
        let first = EvaluationFailures { count: 0, first_at: at, first: why };
        self.failures.get_or_insert(first).count += 1;
    }
}

/// The first multiple of `interval` at or after `start`.
fn next_multiple(start: i64, interval: i64) -> Option<i64> {
    start.checked_add((interval - start.rem_euclid(interval)) % interval)
}

struct Replay<'a> {
    overlay: OverlayStorage<'a>,
    engine: &'a Engine,
    cache: &'a MatcherCache,
    settings: &'a Settings<'a>,
}

impl Replay<'_> {
    fn interval(&self, group: &RuleGroup) -> i64 {
        group.interval_ms.unwrap_or(self.settings.interval_ms).max(1)
    }

    fn bounded(&self, group: &RuleGroup) -> Result<(), TooManyEvaluations> {
        let window = self.settings.window;
        // The window may be as long as all of time, which is more than a length can be.
        let millis = i128::from(window.end.as_millis()) - i128::from(window.start.as_millis());
        let evaluations = (millis.max(0) / i128::from(self.interval(group))) as u64;
        if evaluations <= MOST_EVALUATIONS {
            return Ok(());
        }
        Err(TooManyEvaluations { group: group.name.clone(), evaluations, window })
    }

    fn ticks(&self, group: &RuleGroup) -> impl Iterator<Item = Timestamp> + use<> {
        let interval = self.interval(group);
        let window = self.settings.window;
        let first = next_multiple(window.start.as_millis(), interval);
        let next = move |at: &i64| at.checked_add(interval);
        let all = std::iter::successors(first, next).map(Timestamp::from_millis);
        all.take_while(move |at| window.contains(*at))
    }

    /// The instants of all groups, ascending, each once.
    fn instants(&self, running: &[RunningRule<'_>]) -> impl Iterator<Item = Timestamp> + use<> {
        let intervals: BTreeSet<i64> =
            running.iter().map(|rule| self.interval(rule.group)).collect();
        let window = self.settings.window;
        let from = move |start: i64| {
            let next = intervals.iter().filter_map(|interval| next_multiple(start, *interval));
            next.min()
        };
        let first = from(window.start.as_millis());
        let all = std::iter::successors(first, move |at| from(at.checked_add(1)?));
        all.map(Timestamp::from_millis).take_while(move |at| window.contains(*at))
    }

    /// Evaluates all rules whose turn it is.
    fn step(&mut self, running: &mut [RunningRule<'_>], at: Timestamp) -> Result<(), StorageError> {
        for rule in running {
            if at.as_millis() % self.interval(rule.group) == 0 {
                let found = self.instant(rule, at);
                self.advance(rule, at, found)?;
            }
        }
        Ok(())
    }

    /// Evaluates one rule at all its instants.
    fn whole(&mut self, rule: &mut RunningRule<'_>) -> Result<(), StorageError> {
        let mut ticks = self.ticks(rule.group);
        loop {
            let together: Vec<Timestamp> = ticks.by_ref().take(STEPS_AT_ONCE).collect();
            if together.is_empty() {
                break;
            }
            // What fails over a range may do so at one instant only.
            let vectors = self.range(rule, &together);
            let mut vectors = vectors.ok().map(Vec::into_iter);
            for at in together {
                let found = match &mut vectors {
                    Some(vectors) => Ok(vectors.next().unwrap_or_default()),
                    None => self.instant(rule, at),
                };
                self.advance(rule, at, found)?;
            }
        }
        Ok(())
    }

    fn range(
        &self,
        rule: &RunningRule<'_>,
        ticks: &[Timestamp],
    ) -> Result<Vec<VectorElements>, String> {
        let mut vectors = vec![VectorElements::new(); ticks.len()];
        let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else {
            return Ok(vectors);
        };
        let back = |at: Timestamp| at.saturating_add_millis(-rule.group.query_offset_ms);
        let interval = self.interval(rule.group);
        let expression = &rule.rule.expression;
        let answer =
            self.engine.range(expression, &self.overlay, (back(first), back(last)), interval);
        let Value::Matrix(matrix) = answer.map_err(|error| chain(&error))?.value else {
            return Err("a range query yields no matrix".to_owned());
        };
        for series in &matrix {
            for sample in &series.samples {
                let tick = (sample.at - back(first)) / interval;
                vectors[tick as usize].push((series.labels.clone(), sample.value));
            }
        }
        Ok(vectors)
    }

    fn instant(&self, rule: &RunningRule<'_>, at: Timestamp) -> Result<VectorElements, String> {
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        vector(self.engine.instant(&rule.rule.expression, &self.overlay, at))
    }

    /// Takes in what a rule's expression yields at one instant.
    fn advance(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: Result<VectorElements, String>,
    ) -> Result<(), StorageError> {
        let done = found.and_then(|found| match rule.rule.kind {
            RuleKind::Recording => self.record(rule, at, found).map(|()| Vec::new()),
            RuleKind::Alert { .. } => self.alert(rule, at, found),
        });
        match done {
            Ok(steps) => {
                for step in steps {
                    self.note(rule, at, step)?;
                }
            }
            Err(why) => rule.fail(at, why),
        }
        Ok(())
    }

    fn record(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: VectorElements,
    ) -> Result<(), String> {
        let limit = rule.group.limit;
        if limit > 0 && found.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", found.len()));
        }
        let mut set = vec![("__name__", rule.rule.name.as_str())];
        set.extend(rule.rule.labels.iter().map(|(name, text)| (name.as_str(), text.text())));
        let mut elements = BTreeMap::new();
        for (labels, value) in found {
            if elements.insert(labels.with(&set), value).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying rule labels"
                        .to_owned(),
                );
            }
        }
        rule.recorded.extend(elements.keys().cloned());
        let elements: VectorElements = elements.into_iter().collect();
        let stamped = at.saturating_add_millis(-rule.group.query_offset_ms);
        self.overlay.record(stamped, &elements, &mut rule.current);
        Ok(())
    }

    fn alert(
        &mut self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        found: VectorElements,
    ) -> Result<Vec<AlertTransition>, String> {
        let mut alerts = BTreeMap::new();
        for (labels, value) in found {
            let identity = self.identity(rule, at, &labels, value);
            rule.elements.insert(identity.clone(), labels);
            if alerts.insert(identity, value).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying alert labels"
                        .to_owned(),
                );
            }
        }
        let mut steps = rule.alerts.advance(at, &alerts);
        let (limit, count) = (rule.group.limit, rule.alerts.active().len());
        if limit > 0 && count > limit {
            rule.fail(at, format!("exceeded limit of {limit} with {count} alerts"));
            // What only began at this instant never was an alert.
            steps.retain(|step| step.from != AlertState::Inactive);
            let begun = rule.alerts.clear();
            let was =
                |step: &AlertTransition| rule.histories.get(&step.labels).is_some_and(is_active);
            steps.extend(begun.into_iter().filter(was));
        }
        self.record_alerts(rule, at);
        Ok(steps)
    }

    /// The labels of an alert: its element's without the metric's name, the rule's, its own name.
    fn identity(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        labels: &Labels,
        value: f64,
    ) -> Labels {
        let mut set = Vec::with_capacity(rule.rule.labels.len() + 2);
        for (name, template) in &rule.rule.labels {
            set.push((name.as_str(), self.expanded(rule, at, template, labels, value)));
        }
        set.push(("__name__", String::new()));
        set.push(("alertname", rule.rule.name.clone()));
        let set: Vec<(&str, &str)> =
            set.iter().map(|(name, text)| (*name, text.as_str())).collect();
        labels.with(&set)
    }

    fn expanded(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        template: &Template,
        labels: &Labels,
        value: f64,
    ) -> String {
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        let query = |text: &str| {
            let expression = Expression::parse(text).map_err(|error| error.to_string())?;
            vector(self.engine.instant(&expression, &self.overlay, at))
        };
        let data = TemplateData { labels, value, query: &query };
        // Prometheus writes the error into the text as well.
        template
            .expand(&data)
            .unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    fn record_alerts(&mut self, rule: &mut RunningRule<'_>, at: Timestamp) {
        let mut elements = VectorElements::new();
        for (labels, alert) in rule.alerts.active() {
            let state = if alert.fires { AlertState::Firing } else { AlertState::Pending };
            let set = [("__name__", "ALERTS"), ("alertstate", state.name())];
            elements.push((labels.with(&set), 1.0));
            let since = alert.since.as_millis().div_euclid(1000) as f64;
            elements.push((labels.with(&[("__name__", "ALERTS_FOR_STATE")]), since));
        }
        let stamped = at.saturating_add_millis(-rule.group.query_offset_ms);
        self.overlay.record(stamped, &elements, &mut rule.current);
    }

    /// Notes a change with what is behind it.
    fn note(
        &self,
        rule: &mut RunningRule<'_>,
        at: Timestamp,
        step: AlertTransition,
    ) -> Result<(), StorageError> {
        rule.changes += 1;
        let element = rule.elements.get(&step.labels).cloned().unwrap_or_default();
        let behind = self.evidence(rule, at, &element)?;
        let annotations = match (&rule.rule.kind, step.to) {
            (RuleKind::Alert { annotations, .. }, AlertState::Pending | AlertState::Firing) => {
                let expand = |(name, template): &(String, Template)| {
                    (name.clone(), self.expanded(rule, at, template, &element, step.value))
                };
                Some(annotations.iter().map(expand).collect())
            }
            _ => None,
        };
        let labels = step.labels.clone();
        let history = rule.histories.entry(step.labels).or_insert_with(|| AlertHistory {
            labels,
            annotations: Vec::new(),
            fired_ms: 0,
            changes: Vec::new(),
        });
        if let Some(annotations) = annotations {
            history.annotations = annotations;
        }
        let value = format_value(step.value);
        history.changes.push(AlertChange { at, from: step.from, to: step.to, value, behind });
        Ok(())
    }

    fn evidence(
        &self,
        rule: &RunningRule<'_>,
        at: Timestamp,
        element: &Labels,
    ) -> Result<Vec<SelectorEvidence>, StorageError> {
        if rule.changes > EVIDENCED {
            return Ok(Vec::new());
        }
        let options = self.engine.options();
        let finder = EvidenceFinder {
            storage: &self.overlay,
            cache: self.cache,
            dialect: options.dialect,
            lookback_ms: options.lookback_ms,
        };
        let at = at.saturating_add_millis(-rule.group.query_offset_ms);
        finder.find(&rule.rule.expression, element, at)
    }

    fn report(&self, rule: RunningRule<'_>) -> Result<RuleReport, StorageError> {
        let expression = &rule.rule.expression;
        let known = AvailableSeries {
            storage: &self.overlay,
            metrics: self.settings.metrics,
            window: self.settings.window,
            cache: self.cache,
            dialect: self.engine.options().dialect,
        };
        let missing = find_unmatched(expression.root(), expression.text(), &known)?;
        let cannot = cannot_yield(expression.root(), &missing);
        let mut alerts: Vec<AlertHistory> = rule.histories.into_values().collect();
        for alert in &mut alerts {
            alert.fired_ms = fired_ms(&alert.changes, self.settings.window.end);
        }
        let fired = |alert: &AlertHistory| alert.changes.iter().any(|c| c.to == AlertState::Firing);
        let outcome = match (alerts.iter().any(fired), rule.failures.is_some()) {
            (true, _) => Outcome::Fired,
            (false, true) => Outcome::Error,
            _ if !rule.recorded.is_empty() => Outcome::Recorded,
            _ if cannot => Outcome::CannotFire,
            _ => Outcome::Quiet,
        };
        let (kind, for_ms) = match rule.rule.kind {
            RuleKind::Recording => ("record", 0),
            RuleKind::Alert { for_ms, .. } => ("alert", for_ms),
        };
        Ok(RuleReport {
            name: rule.rule.name.clone(),
            kind,
            expr: expression.text().to_owned(),
            for_ms,
            outcome,
            missing: missing.into_values().collect(),
            failures: rule.failures,
            alerts,
            recorded_series: rule.recorded.len(),
        })
    }
}

fn is_active(history: &AlertHistory) -> bool {
    let last = history.changes.last();
    last.is_some_and(|change| matches!(change.to, AlertState::Pending | AlertState::Firing))
}

fn fired_ms(changes: &[AlertChange], end: Timestamp) -> i64 {
    let mut total = 0;
    let mut since = None;
    for change in changes {
        match (change.to, since) {
            (AlertState::Firing, None) => since = Some(change.at),
            (AlertState::Resolved, Some(from)) => {
                total += change.at - from;
                since = None;
            }
            _ => {}
        }
    }
    total + since.map_or(0, |from| end - from)
}

fn vector(answer: Result<Answer, crate::promql::EvalError>) -> Result<VectorElements, String> {
    match answer.map_err(|error| chain(&error))?.value {
        Value::Vector(vector) => {
            Ok(vector.into_iter().map(|e| (e.labels, e.sample.value)).collect())
        }
        Value::Scalar(sample) => Ok(vec![(Labels::default(), sample.value)]),
        Value::String { .. } | Value::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

mod stepwise;
#[cfg(test)]
mod tests;
