//! The verdict for a person at a terminal: ten lines first, the evidence last.

use super::text::{Ink, Page, clock, length, wrap};
use crate::diagnose::{Cause, Finding, Outcome, Unchecked, Verdict};
use crate::model::Timestamp;

/// Lines of the summary, at most.
const SUMMARY_LINES: usize = 10;
/// How much further in the rest of a broken line stands.
const HANG: usize = 2;

impl Page {
    /// What is wrong, in at most [`SUMMARY_LINES`] lines.
    pub(super) fn summary(&mut self, run: &str, verdict: &Verdict) {
        let (word, ink) = match verdict.outcome {
            Outcome::Fault => ("FAULT", Ink::Red),
            Outcome::NoFault => ("NO FAULT", Ink::Green),
            Outcome::CannotTell => ("CANNOT TELL", Ink::Yellow),
        };
        let mut lines = vec![(format!("{word}  {}", told(verdict)), ink)];
        for cause in &verdict.causes {
            lines.push((format!("  {}  {}", cause.mode, place_and_time(cause)), Ink::Bold));
            let reasons = cause.evidence.iter().take(3);
            lines.extend(
                reasons.map(|one| (format!("    {} [{}]", one.text, one.finding), Ink::Plain)),
            );
            if let Some(one) = cause.explains.first() {
                let more = match cause.explains.len() {
                    1 => String::new(),
                    n => format!(", and {} more", n - 1),
                };
                lines.push((format!("    then: {}{more}", one.text), Ink::Dim));
            }
        }
        let changes = verdict.changes.iter();
        lines.extend(changes.map(|change| {
            (format!("  planned: {}  {}", change.mode, place_and_time(change)), Ink::Plain)
        }));
        let next = next_steps(run, verdict);
        let room = SUMMARY_LINES - next.len();
        let rows = lines
            .iter()
            .flat_map(|(line, ink)| self.two_rows(line).into_iter().map(move |row| (row, *ink)));
        let mut rows: Vec<(String, Ink)> = rows.take(room).collect();
        rows.extend(next.into_iter().map(|step| (format!("  next: {step}"), Ink::Plain)));
        for (row, ink) in rows {
            self.one_line(&row, ink);
        }
        self.blank();
    }

    /// A line, broken in two where it is too long; what the second cannot hold is cut later.
    fn two_rows(&self, line: &str) -> Vec<String> {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let mut rows = wrap(text, self.width.saturating_sub(indent + HANG));
        let rest = rows.split_off(1).join(" ");
        let mut rows = vec![format!("{:indent$}{}", "", rows.concat())];
        if !rest.is_empty() {
            rows.push(format!("{:1$}{rest}", "", indent + HANG));
        }
        rows
    }

    /// Each cause and change with everything that speaks for and against it.
    pub(super) fn evidence(&mut self, verdict: &Verdict) {
        for cause in &verdict.causes {
            self.heading(&format!("Why {}, {}", cause.mode, cause.target.text()));
            self.cause(verdict, cause);
        }
        for change in &verdict.changes {
            self.heading(&format!("Not a fault: {}, {}", change.mode, change.target.text()));
            self.cause(verdict, change);
        }
        if !verdict.alternatives.is_empty() {
            self.heading("Considered and dropped");
            for one in &verdict.alternatives {
                let text = format!(
                    "{}, {} ({}): {}",
                    one.mode,
                    one.target.text(),
                    one.confidence,
                    one.lost
                );
                self.line(2, &text, Ink::Dim);
            }
        }
        if !verdict.unchecked.is_empty() {
            self.heading("Could not be checked");
            for one in &verdict.unchecked {
                self.line(2, &unchecked(one), Ink::Yellow);
            }
        }
    }

    fn cause(&mut self, verdict: &Verdict, cause: &Cause) {
        self.field("says", cause.says);
        if !cause.target.concerns.is_empty() {
            self.field("concerns", &cause.target.concerns.join(", "));
        }
        self.field("when", &place_and_time(cause));
        for reason in &cause.evidence {
            let finding = verdict.findings.iter().find(|finding| finding.id == reason.finding);
            self.field(&reason.finding, &reason.text);
            for citation in finding.iter().flat_map(|finding: &&Finding| &finding.citations) {
                let text =
                    format!("{} {} {}", clock(citation.at_ms), citation.reference, citation.value);
                self.line(15, &text, Ink::Dim);
            }
        }
        for against in &cause.against {
            self.field("against", against);
        }
        for one in &cause.unchecked {
            self.field("unchecked", &unchecked(one));
        }
        for one in &cause.explains {
            let text = format!("{} {}: {}", clock(one.onset_ms), one.target.text(), one.text);
            self.field("then", &text);
        }
    }
}

/// The verdict's sentence without the outcome that stands before it.
fn told(verdict: &Verdict) -> &str {
    let summary = verdict.summary.as_str();
    let rest = summary.strip_prefix("no fault: ").or(summary.strip_prefix("no fault; "));
    rest.or(summary.strip_prefix("cannot tell: ")).unwrap_or(summary)
}

/// `16:30:50.967 +-4.7s to 16:34:36.100 (3m45s), confidence 0.97`.
fn place_and_time(cause: &Cause) -> String {
    let until = cause.end_ms.map_or_else(
        || "until the end".to_owned(),
        |end: Timestamp| format!("to {} ({})", clock(end), length((end - cause.onset_ms).max(0))),
    );
    let give = length(cause.onset_uncertainty_ms);
    format!("{} ±{give} {until}, confidence {}", clock(cause.onset_ms), cause.confidence)
}

/// Commands that tell more: the samples behind the first finding, and what could not be checked.
fn next_steps(run: &str, verdict: &Verdict) -> Vec<String> {
    let mut steps = Vec::new();
    let cause = verdict.causes.first();
    if let Some(reason) = cause.and_then(|cause| cause.evidence.first()) {
        steps.push(format!("operator explain {run} {}", reason.finding));
    }
    let unchecked = cause.map_or(&verdict.unchecked, |cause| &cause.unchecked);
    steps.extend(unchecked.iter().find_map(|one| one.command.clone()));
    steps
}

fn unchecked(one: &Unchecked) -> String {
    match &one.command {
        Some(command) => format!("{}; try: {command}", one.what),
        None => one.what.clone(),
    }
}
