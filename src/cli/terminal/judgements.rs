//! Prints the verdicts of a live monitor, as lines of text or as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::output::Format;
use super::progress::Reporter;
use crate::diagnose::{Notice, Outcome, Subject, Turn, Verdict};
use crate::model::{Timestamp, escape};
use crate::watch::{Audience, Judged};

/// A receiver of verdicts that prints each through `reporter`.
pub fn audience(reporter: Arc<Mutex<Reporter>>, format: Format) -> Audience {
    Box::new(move |judged| {
        let mut reporter = reporter.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that has closed stdout does not end a recording.
        if let Err(error) = show(&reporter, format, judged) {
            tracing::debug!(%error, "nobody reads the results");
        }
        reporter.standing(standing(judged.verdict));
    })
}

fn show(reporter: &Reporter, format: Format, judged: &Judged<'_>) -> std::io::Result<()> {
    let Judged { run, verdict, notices, is_turn, .. } = judged;
    match format {
        Format::Json if *is_turn => reporter.document(&judged.document()),
        Format::Json => notices.iter().try_for_each(|notice| {
            let event = json!({
                "schema": 1, "event": "notice", "run": run, "at": verdict.as_of_ms,
                "notice": notice,
            });
            reporter.document(&event)
        }),
        Format::Text => {
            notices.iter().try_for_each(|notice| reporter.result(&line(verdict.as_of_ms, notice)))
        }
    }
}

/// A notice in a line: `16:31:02 FAULT store_crash, store 4 (…), since 16:30:50: …`.
fn line(at: Timestamp, notice: &Notice) -> String {
    let word = match (notice.about, notice.turn) {
        (Subject::Cause, Turn::Began) => "FAULT    ",
        (Subject::Cause, Turn::Updated) => "UPDATED  ",
        (_, Turn::Ended) if notice.about != Subject::Finding => "ENDED    ",
        (_, Turn::Withdrawn) if notice.about != Subject::Finding => "WITHDRAWN",
        (Subject::Change, _) => "planned  ",
        (_, Turn::Ended) => "  ended  ",
        (_, Turn::Withdrawn) => "  gone   ",
        (_, _) => "  finding",
    };
    let was = notice.was.as_ref().map_or(String::new(), |was| format!(" (was {was})"));
    let span = match notice.end_ms {
        Some(end) => format!("{} to {}", clock(notice.onset_ms), clock(end)),
        None => format!("since {}", clock(notice.onset_ms)),
    };
    let text = format!(
        "{} {word} {}{was}, {}, {span}: {}",
        clock(at),
        notice.what,
        notice.target.text(),
        notice.text
    );
    escape(&text)
}

/// The current verdict in a few words, for the status line.
fn standing(verdict: &Verdict) -> String {
    let lasting = verdict.causes.iter().filter(|cause| cause.end_ms.is_none());
    let lasting: Vec<String> =
        lasting.map(|cause| format!("{} {}", cause.mode, cause.target.name)).collect();
    match (verdict.outcome, lasting.is_empty()) {
        (Outcome::CannotTell, _) if !verdict.silent.is_empty() => "no fault so far".to_owned(),
        (Outcome::CannotTell, _) => "CANNOT TELL".to_owned(),
        (_, false) => format!("FAULT {}", escape(&lasting.join(", "))),
        (Outcome::Fault, true) => "over".to_owned(),
        (Outcome::NoFault, true) => "no fault".to_owned(),
    }
}

/// The time of day in UTC: `16:30:50`.
fn clock(at: Timestamp) -> String {
    at.to_string().chars().skip(11).take(8).collect()
}
