//! All rules instant by instant, and what fires at some of them.

use std::collections::BTreeSet;

use super::{Running, Settings, Walk, evaluation_order, overlay};
use crate::model::{Labels, Timestamp};
use crate::promql::{Engine, MatcherCache, Storage, StorageError};
use crate::rules::rule_file::{RuleFile, RuleKind};

/// An alert that fires.
pub struct Fired {
    /// When.
    pub at: Timestamp,
    /// The rule.
    pub rule: String,
    /// What identifies it.
    pub labels: Labels,
    /// Its annotations at that instant, in ascending order of name.
    pub annotations: Vec<(String, String)>,
}

/// Evaluates all rules over the window; `then` is handed what fires at each of the `asked`
/// instants, and the storage under what was recorded.
///
/// # Errors
///
/// [`StorageError`] where series cannot be read.
pub fn step_through(
    files: &[RuleFile],
    (storage, engine): (&dyn Storage, &Engine),
    settings: &Settings<'_>,
    asked: &BTreeSet<Timestamp>,
    then: impl FnOnce(&[Fired], &dyn Storage),
) -> Result<(), StorageError> {
    let cache = MatcherCache::default();
    let mut walk = Walk { overlay: overlay(files, storage), engine, cache: &cache, settings };
    let mut running: Vec<Running<'_>> = evaluation_order::all_rules(files)
        .map(|(_, group, rule)| Running::new(group, rule))
        .collect();
    let mut fired = Vec::new();
    for at in walk.instants(&running) {
        walk.step(&mut running, at)?;
        if asked.contains(&at) {
            fired.extend(running.iter().flat_map(|rule| firing(&walk, rule, at)));
        }
    }
    then(&fired, &walk.overlay);
    Ok(())
}

fn firing(walk: &Walk<'_>, rule: &Running<'_>, at: Timestamp) -> Vec<Fired> {
    let RuleKind::Alert { annotations, .. } = &rule.rule.kind else { return Vec::new() };
    let firing = rule.alerts.active().iter().filter(|(_, alert)| alert.fires);
    firing
        .map(|(labels, alert)| {
            let element = rule.elements.get(labels).cloned().unwrap_or_default();
            let texts = annotations.iter().map(|(name, template)| {
                (name.clone(), walk.expanded(rule, at, template, &element, alert.value))
            });
            let annotations = texts.collect();
            Fired { at, rule: rule.rule.name.clone(), labels: labels.clone(), annotations }
        })
        .collect()
}
