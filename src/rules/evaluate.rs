//! Replays rules over recorded series.
//!
//! At one instant, files, groups and rules are evaluated in their order in the files, so a rule
//! sees what earlier rules recorded at that instant. Instants are whole multiples of the interval
//! of a group since the Unix epoch; a real server adds an offset that depends on a hash.

mod apply;
mod conclude;
mod nearness;
mod running_rule;
mod stepwise;

use std::collections::BTreeSet;

use running_rule::RunningRule;

use super::evaluation_order::{self, EvaluationOrder};
use super::overlay_storage::OverlayStorage;
use super::report::{GroupReport, RulesReport};
use super::rule_file::{RuleFile, RuleGroup};
use super::run_in::pending_ms;
use super::starting::starting;
use super::template::{External, VectorElements};
use crate::model::{Labels, TimeRange, Timestamp};
use crate::promql::{Answer, Engine, Storage, StorageError, Value};

pub(super) use stepwise::{Evaluated, FiringAlert, RuleError, evaluate_stepwise};

/// The error of a rule that yields neither a vector nor a scalar.
pub(super) const NOT_A_VECTOR: &str = "rule result is not a vector or scalar";

/// Instants of one range query: more of them need more memory, fewer of them repeat the grouping of
/// series more often.
const STEPS_AT_ONCE: usize = 1_000;

/// Window and defaults of a replay.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Rules are evaluated at instants inside this range.
    pub window: TimeRange,
    /// Where samples begin that were recorded before the window, its run-in: alerts that became pending there are
    /// pending when the window begins. The start of the window where there are none.
    pub run_in_from: Timestamp,
    /// Interval in milliseconds of groups that do not state one.
    pub interval_ms: i64,
    /// Names of all metrics of the storage, from which suggestions are made.
    pub metrics: &'a [String],
    /// What the templates of alerts read of the server's configuration.
    pub external: External<'a>,
    /// Of which rules it is found out how near they came.
    pub near: Near<'a>,
}

/// Of which alert rules a replay finds out how near they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Near<'a> {
    /// Of none: it costs another evaluation of each.
    #[default]
    None,
    /// Of those that stayed quiet.
    Quiet,
    /// Of those that fired too.
    All,
    /// Of those with this name, whatever came of them.
    Of(&'a str),
}

impl<'a> Near<'a> {
    /// The name of the rules that are asked about; `None` where all of a kind are.
    pub fn name(self) -> Option<&'a str> {
        match self {
            Self::Of(name) => Some(name),
            Self::None | Self::Quiet | Self::All => None,
        }
    }
}

/// Most evaluations of one group in a replay: 86 days every 15 s.
pub const MOST_EVALUATIONS: u64 = 500_000;

/// The window contains more instants than a group may be evaluated at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "group {group:?} would be evaluated {evaluations} times from {} to {}, and {most} times are the most",
    .window.start, .window.end, most = MOST_EVALUATIONS
)]
pub struct TooManyEvaluations {
    /// Name of the group.
    pub group: String,
    /// Number of instants in the window at the interval of the group.
    pub evaluations: u64,
    /// Window of the replay.
    pub window: TimeRange,
}

/// Evaluates all rules over the window. Memory grows with what the rules yield, not with the length
/// of the window.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read, with [`TooManyEvaluations`] where the window is
/// too long for the interval of a group. A rule that cannot be evaluated is not an error; its
/// report says so.
pub fn replay(
    files: &[RuleFile],
    storage: &dyn Storage,
    engine: &Engine,
    settings: &Settings<'_>,
) -> Result<RulesReport, StorageError> {
    match replay_in(EvaluationOrder::RuleByRule, files, (storage, engine), settings)? {
        Some(report) => Ok(report),
        None => {
            let order = EvaluationOrder::InstantByInstant;
            let report = replay_in(order, files, (storage, engine), settings)?;
            Ok(report.expect("instant by instant, every rule sees what it should"))
        }
    }
}

/// Evaluates in one order. Returns nothing where a rule would have had to see what itself or a later
/// rule has recorded at earlier instants, and the order is rule by rule.
fn replay_in(
    order: EvaluationOrder,
    files: &[RuleFile],
    (storage, engine): (&dyn Storage, &Engine),
    settings: &Settings<'_>,
) -> Result<Option<RulesReport>, StorageError> {
    let mut replay = Replay {
        overlay: overlay(files, storage),
        engine,
        settings,
        starting: starting(storage, settings.window)?,
        evaluated: evaluated(files, settings),
    };
    for group in files.iter().flat_map(|file| &file.groups) {
        replay.bounded(group)?;
    }
    let mut running: Vec<RunningRule<'_>> = evaluation_order::all_rules(files)
        .map(|(_, group, rule)| RunningRule::new(group, rule))
        .collect();
    let mut reports = Vec::with_capacity(running.len());
    match order {
        // Everything that a rule reads is complete before it is evaluated, so its report can be
        // made at once.
        EvaluationOrder::RuleByRule => {
            let fed_back =
                evaluation_order::fed_back(files, engine.matchers(), engine.options().dialect);
            for mut rule in running {
                replay.whole(&mut rule)?;
                if fed_back.iter().any(|metric| replay.overlay.has_recorded(metric)) {
                    return Ok(None);
                }
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
    let groups = groups.collect();
    Ok(Some(RulesReport { window: settings.window, starting: replay.starting, groups }))
}

/// The window, from where the longest pending of an alert begins that fires when the window begins.
fn evaluated(files: &[RuleFile], settings: &Settings<'_>) -> TimeRange {
    let window = settings.window;
    let pending = evaluation_order::all_rules(files).map(|(.., rule)| pending_ms(rule)).max();
    let start = window.start.saturating_add_millis(-pending.unwrap_or(0));
    TimeRange::new(start.max(settings.run_in_from).min(window.start), window.end)
}

/// The storage of a replay: `storage` below the series that these rules record.
fn overlay<'a>(files: &[RuleFile], storage: &'a dyn Storage) -> OverlayStorage<'a> {
    OverlayStorage::hiding(storage, recorded_names(files))
}

/// Names of the metrics that rules record; a name may be repeated.
fn recorded_names(files: &[RuleFile]) -> impl Iterator<Item = String> {
    let rules = evaluation_order::all_rules(files);
    let names = rules.flat_map(|(_, _, rule)| evaluation_order::recorded_metrics(rule));
    names.map(str::to_owned)
}

/// The first multiple of `interval` at or after `start`.
fn next_multiple(start: i64, interval: i64) -> Option<i64> {
    start.checked_add((interval - start.rem_euclid(interval)) % interval)
}

struct Replay<'a> {
    overlay: OverlayStorage<'a>,
    engine: &'a Engine,
    settings: &'a Settings<'a>,
    /// The first minutes of the cluster, where the window shows them.
    starting: Option<TimeRange>,
    /// The window, with as much of its run-in as alerts may be pending for.
    evaluated: TimeRange,
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

    /// The instants of a group inside the window.
    fn ticks(&self, group: &RuleGroup) -> impl Iterator<Item = Timestamp> + use<> {
        self.ticks_in(group, self.settings.window)
    }

    fn ticks_in(
        &self,
        group: &RuleGroup,
        window: TimeRange,
    ) -> impl Iterator<Item = Timestamp> + use<> {
        let interval = self.interval(group);
        let first = next_multiple(window.start.as_millis(), interval);
        let next = move |at: &i64| at.checked_add(interval);
        let all = std::iter::successors(first, next).map(Timestamp::from_millis);
        all.take_while(move |at| window.contains(*at))
    }

    /// The instants of all groups, ascending, each once.
    fn instants(&self, running: &[RunningRule<'_>]) -> impl Iterator<Item = Timestamp> + use<> {
        let intervals: BTreeSet<i64> =
            running.iter().map(|rule| self.interval(rule.group)).collect();
        let window = self.evaluated;
        let from = move |start: i64| {
            let next = intervals.iter().filter_map(|interval| next_multiple(start, *interval));
            next.min()
        };
        let first = from(window.start.as_millis());
        let all = std::iter::successors(first, move |at| from(at.checked_add(1)?));
        all.map(Timestamp::from_millis).take_while(move |at| window.contains(*at))
    }

    /// Evaluates all rules that are due at an instant.
    fn step(&mut self, running: &mut [RunningRule<'_>], at: Timestamp) -> Result<(), StorageError> {
        for rule in running {
            if at.as_millis() % self.interval(rule.group) == 0 {
                let found = self.instant(rule, at);
                self.advance(rule, at, found)?;
            }
        }
        Ok(())
    }

    /// Evaluates one rule at all its instants with range queries.
    fn whole(&mut self, rule: &mut RunningRule<'_>) -> Result<(), StorageError> {
        let mut ticks = self.ticks_in(rule.group, self.evaluated);
        loop {
            let together: Vec<Timestamp> = ticks.by_ref().take(STEPS_AT_ONCE).collect();
            if together.is_empty() {
                break;
            }
            // A range query may fail because of one instant, so the instants are evaluated one by
            // one then.
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
}

fn vector(answer: Result<Answer, crate::promql::EvalError>) -> Result<VectorElements, String> {
    match answer.map_err(|error| chain(&error))?.value {
        Value::Vector(vector) => {
            Ok(vector.into_iter().map(|e| (e.labels, e.sample.value)).collect())
        }
        Value::Scalar(sample) => Ok(vec![(Labels::default(), sample.value)]),
        Value::String { .. } | Value::Matrix(_) => Err(NOT_A_VECTOR.to_owned()),
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

#[cfg(test)]
mod tests;
