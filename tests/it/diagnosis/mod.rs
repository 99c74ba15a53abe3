//! Diagnosis on real runs, on runs derived from them, and on degraded recordings.

mod adversarial;
mod aftermath;
mod bundled;
mod clients;
mod cluster;
mod consequences;
mod derived;
mod from_first;
mod hosts;
mod incidents;
mod look_alikes;
mod members;
mod moments;
mod perturbed;
mod rebuilt;
mod sizes;
mod summary;
mod together;
mod unexplained;
mod unseen;
mod why_not;
mod worlds;

use operator::diagnose::{Outcome, Verdict};

/// Asserts that a verdict names one cause, at one place.
pub fn assert_cause(verdict: &Verdict, mode: &str, target: &str) {
    assert_eq!(verdict.outcome, Outcome::Fault, "{mode}: {}", told(verdict));
    let first = &verdict.causes[0];
    assert_eq!((first.mode, first.target.name.as_str()), (mode, target), "{}", told(verdict));
    assert_eq!(verdict.causes.len(), 1, "{mode}: {}", told(verdict));
}

/// Asserts that nothing is broken and, where one is named, that a change is told.
pub fn assert_no_fault(verdict: &Verdict, change: Option<(&str, &str)>) {
    assert_eq!(verdict.outcome, Outcome::NoFault, "{}", told(verdict));
    let named: Vec<(&str, &str)> =
        verdict.changes.iter().map(|one| (one.mode, one.target.name.as_str())).collect();
    match change {
        Some(change) => assert!(named.contains(&change), "{change:?}: {}", told(verdict)),
        None => assert_eq!(named, [], "{}", told(verdict)),
    }
}

/// A verdict for a failed assertion.
pub fn told(verdict: &Verdict) -> String {
    let mut text = format!("{}\n", verdict.summary);
    for (what, list) in [("cause", &verdict.causes), ("change", &verdict.changes)] {
        for one in list {
            let line = format!(
                "{what} {} {} {} {}\n",
                one.mode,
                one.target.text(),
                one.onset_ms,
                one.confidence
            );
            text.push_str(&line);
        }
    }
    for one in &verdict.alternatives {
        text.push_str(&format!("alternative {} {} {}\n", one.mode, one.target.text(), one.lost));
    }
    for one in &verdict.findings {
        text.push_str(&format!(
            "  {} {:?} {} {}: {}\n",
            one.id, one.kind, one.target.name, one.onset_ms, one.text
        ));
    }
    text
}
