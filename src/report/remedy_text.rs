//! What a person does about a cause, as lines of text: the first check, the usual remedy with its risk, and
//! where it is documented.

use super::page::{Ink, Page};
use crate::diagnose::{Cause, Verdict};

impl Page {
    /// Adds what to do about the first cause, in lines that stay whole at 80 columns. Nothing where there
    /// is no cause: the changes that a verdict lists are planned.
    pub(super) fn what_to_do(&mut self, verdict: &Verdict) {
        for (name, text) in verdict.causes.first().into_iter().flat_map(advice_lines) {
            let ink = if name == REMEDY { Ink::Bold } else { Ink::Plain };
            self.line(2, &format!("{name}: {text}"), ink);
        }
    }

    /// Adds what to do about a cause or a change to its evidence.
    pub(super) fn advice_fields(&mut self, cause: &Cause) {
        for (name, text) in advice_lines(cause) {
            self.field(name, &text);
        }
    }
}

/// Each line of what to do about a cause, with its name; none where its mode advises nothing.
pub(super) fn advice_lines(cause: &Cause) -> Vec<(&'static str, String)> {
    let Some(advice) = &cause.advice else { return Vec::new() };
    let remedy = if cause.end_ms.is_some() { LATER } else { REMEDY };
    vec![
        ("check", advice.check.to_owned()),
        (remedy, advice.remedy.to_owned()),
        ("risk", advice.risk.to_owned()),
        ("docs", advice.reference()),
    ]
}

/// What the usual remedy is called, and where nothing is left to remedy.
const REMEDY: &str = "remedy";
const LATER: &str = "if it recurs";
