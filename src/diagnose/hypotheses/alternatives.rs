//! What the first cause of a verdict is not: claims that were discarded, and the modes that look like it and
//! made no claim.

use crate::diagnose::failure_modes::look_alikes::{Apart, LOOK_ALIKES, LookAlike};
use crate::diagnose::findings::finding::{Finding, seconds};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::ranking::{Hypothesis, Role};
use crate::diagnose::observations::{Stage, unchanged};
use crate::diagnose::verdict::{Alternative, Cause};
use crate::model::TimeRange;

/// How many modes that made no claim are named at most, less the claims that were discarded.
const MOST: usize = 3;

/// The discarded claims, and after them the nearest modes that something recorded tells from the first cause, or
/// from the first change where there is no cause.
pub fn alternatives(
    observed: &ObservedWindow<'_>,
    hypotheses: &[Hypothesis<'_>],
    first: Option<&Cause>,
    findings: &[Finding],
) -> Vec<Alternative> {
    let mut found: Vec<Alternative> = hypotheses.iter().filter_map(discarded).collect();
    let Some(cause) = first else { return found };
    for pair in LOOK_ALIKES.iter().filter(|pair| pair.found.name == cause.mode) {
        let known = found.iter().any(|one| one.mode == pair.other.name);
        if found.len() >= MOST || known {
            continue;
        }
        let shown = match pair.apart {
            Apart::Shown(by) => finding_that(by, cause, findings),
            Apart::Unchanged(stage) => unchanged_stage(observed, cause, stage),
        };
        found.extend(shown.map(|shown| unlike(pair, cause, &shown)));
    }
    found
}

fn discarded(one: &Hypothesis<'_>) -> Option<Alternative> {
    let Role::Discarded(why) = &one.role else { return None };
    let against = &one.claim.against;
    let lost = match against.is_empty() {
        true => why.clone(),
        false => format!("{why}: {}", against.join("; ")),
    };
    Some(Alternative {
        mode: one.mode.name,
        target: one.claim.target.clone(),
        confidence: (one.claim.confidence * 100.0).round().max(0.0) / 100.0,
        lost,
    })
}

fn unlike(pair: &LookAlike, cause: &Cause, shown: &str) -> Alternative {
    Alternative {
        mode: pair.other.name,
        target: cause.target.clone(),
        confidence: 0.0,
        lost: format!("{shown}; if it were that, {}", pair.instead),
    }
}

/// The sentence of a finding that speaks for the cause.
fn finding_that(by: fn(&Finding) -> bool, cause: &Cause, findings: &[Finding]) -> Option<String> {
    let mut own = cause.evidence.iter().filter_map(|reason| {
        findings.iter().find(|finding| finding.id == reason.finding && by(finding))
    });
    own.next().map(|finding| format!("{} [{}]", finding.text, finding.id))
}

/// A stage of the store that takes as long as before, with its numbers.
fn unchanged_stage(observed: &ObservedWindow<'_>, cause: &Cause, stage: Stage) -> Option<String> {
    let nodes = &observed.evidence.nodes.stores;
    let store = nodes.iter().find(|node| node.id.map(|id| id.0) == cause.target.store_id)?;
    let range = TimeRange::new(cause.onset_ms, cause.end_ms.unwrap_or(observed.open()));
    let (metric, before, meanwhile) =
        unchanged(observed.evidence, stage, store.instance.as_deref()?, range)?;
    Some(format!("{metric} goes from {} to {}", seconds(before), seconds(meanwhile)))
}
