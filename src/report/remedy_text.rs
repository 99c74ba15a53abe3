//! What a person does about a cause, as lines of text: the first check, the usual remedy with its risk, and
//! where it is documented.

use super::page::{Ink, Page};
use crate::diagnose::{Advice, Cause, Verdict};

impl Page {
    /// Adds what to do about the first cause, in lines that stay whole at 80 columns. Nothing where there
    /// is no cause: the changes that a verdict lists are planned.
    pub(super) fn what_to_do(&mut self, verdict: &Verdict) {
        let advice = verdict.causes.first().and_then(|cause| cause.advice);
        for (name, text) in advice.iter().flat_map(advice_lines) {
            let ink = if name == "remedy" { Ink::Bold } else { Ink::Plain };
            self.line(2, &format!("{name}: {text}"), ink);
        }
    }

    /// Adds what to do about a cause or a change to its evidence.
    pub(super) fn advice_fields(&mut self, cause: &Cause) {
        for (name, text) in cause.advice.iter().flat_map(advice_lines) {
            self.field(name, &text);
        }
    }
}

/// Each line of an advice, with its name.
pub(super) fn advice_lines(advice: &Advice) -> [(&'static str, String); 4] {
    [
        ("check", advice.check.to_owned()),
        ("remedy", advice.remedy.to_owned()),
        ("risk", advice.risk.to_owned()),
        ("docs", advice.reference()),
    ]
}
