//! Evaluates all rules instant by instant, and reports what fires at some of the instants.

use std::collections::BTreeSet;

use super::{Replay, RunningRule, Settings, evaluation_order, overlay};
use crate::model::{Labels, Timestamp};
use crate::promql::{Engine, MatcherCache, Storage, StorageError};
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

/// Evaluates all rules over the window, then calls `then` with the alerts that fire at each of the
/// `asked` instants, and with the storage that includes the recorded series.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read.
pub fn evaluate_stepwise(
    files: &[RuleFile],
    (storage, engine): (&dyn Storage, &Engine),
    settings: &Settings<'_>,
    asked: &BTreeSet<Timestamp>,
    then: impl FnOnce(&[FiringAlert], &dyn Storage),
) -> Result<(), StorageError> {
    let cache = MatcherCache::default();
    let mut replay = Replay { overlay: overlay(files, storage), engine, cache: &cache, settings };
    let mut running: Vec<RunningRule<'_>> = evaluation_order::all_rules(files)
        .map(|(_, group, rule)| RunningRule::new(group, rule))
        .collect();
    let mut fired = Vec::new();
    for at in replay.instants(&running) {
        replay.step(&mut running, at)?;
        if asked.contains(&at) {
            fired.extend(running.iter().flat_map(|rule| firing(&replay, rule, at)));
        }
    }
    then(&fired, &replay.overlay);
    Ok(())
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
