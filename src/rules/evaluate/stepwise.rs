//! Evaluates all rules instant by instant for tests: what fires at some of the instants, and which
//! rules cannot be evaluated.

use std::collections::BTreeSet;

use super::{Replay, RunningRule, Settings, evaluation_order, recorded_names};
use crate::model::{Labels, Timestamp};
use crate::promql::{Engine, Storage, StorageError};
use crate::rules::overlay_storage::OverlayStorage;
use crate::rules::rule_file::{RuleFile, RuleKind};

/// An alert that fires at one instant.
pub struct FiringAlert {
    /// Instant of the evaluation.
    pub at: Timestamp,
    /// Name of the rule.
    pub rule: String,
    /// Labels that identify the alert.
    pub labels: Labels,
    /// Its annotations at that instant, in ascending order of name.
    pub annotations: Vec<(String, String)>,
}

/// A rule that could not be evaluated at one instant.
pub struct RuleError {
    /// Instant of the evaluation.
    pub at: Timestamp,
    /// Name of the rule.
    pub rule: String,
    /// Error message of the evaluation.
    pub why: String,
}

/// What came of the evaluations.
#[derive(Default)]
pub struct Evaluated {
    /// Alerts that fire at the instants that were asked for, in order of time.
    pub fired: Vec<FiringAlert>,
    /// Rules that could not be evaluated, all at one instant, which was the last one.
    pub errors: Vec<RuleError>,
}

/// Evaluates all rules over the window, then calls `then` with the alerts that fire at each of the
/// `asked` instants, and with the storage that includes the recorded series. Like promtool, stops
/// after the first instant at which a rule cannot be evaluated, and keeps series of the storage
/// beside those that rules record.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read.
pub fn evaluate_stepwise(
    files: &[RuleFile],
    (storage, engine): (&dyn Storage, &Engine),
    settings: &Settings<'_>,
    asked: &BTreeSet<Timestamp>,
    then: impl FnOnce(&Evaluated, &dyn Storage),
) -> Result<(), StorageError> {
    let overlay = OverlayStorage::extending(storage, recorded_names(files))?;
    let evaluated = settings.window;
    let mut replay = Replay { overlay, engine, settings, starting: None, evaluated };
    let mut running: Vec<RunningRule<'_>> = evaluation_order::all_rules(files)
        .map(|(_, group, rule)| RunningRule::new(group, rule))
        .collect();
    let mut evaluated = Evaluated::default();
    for at in replay.instants(&running) {
        replay.step(&mut running, at)?;
        evaluated.errors.extend(running.iter().filter_map(error));
        if !evaluated.errors.is_empty() {
            break;
        }
        if asked.contains(&at) {
            evaluated.fired.extend(running.iter().flat_map(|rule| firing(&replay, rule, at)));
        }
    }
    then(&evaluated, &replay.overlay);
    Ok(())
}

fn error(rule: &RunningRule<'_>) -> Option<RuleError> {
    let failures = rule.failures.as_ref()?;
    let (at, why) = (failures.first_at, failures.first.clone());
    Some(RuleError { at, rule: rule.rule.name.clone(), why })
}

fn firing(replay: &Replay<'_>, rule: &RunningRule<'_>, at: Timestamp) -> Vec<FiringAlert> {
    let RuleKind::Alert { annotations, .. } = &rule.rule.kind else { return Vec::new() };
    let firing = rule.alerts.active().iter().filter(|(_, alert)| alert.fires);
    firing
        .map(|(labels, alert)| {
            let element = rule.elements.get(labels).cloned().unwrap_or_default();
            let texts = annotations.iter().map(|(name, template)| {
                (name.clone(), replay.expanded(rule, at, template, &element, alert.value))
            });
            let annotations = texts.collect();
            FiringAlert { at, rule: rule.rule.name.clone(), labels: labels.clone(), annotations }
        })
        .collect()
}
