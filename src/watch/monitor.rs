//! Judges a recording while it is made, and says what is new.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::config::retention::Incident;
use crate::cli::terminal::output::{Format, json_text};
use crate::cli::terminal::progress::Reporter;
use crate::diagnose::{
    Evidence, Notice, Outcome, Parts, Subject, Turn, Verdict, diagnose, notices,
};
use crate::model::{RunName, Timestamp, escape};
use crate::record::{News, Recent};
use crate::watch::notifiers::Hooks;

/// The judge of a recording.
pub struct Monitor {
    /// What is known of the last hour.
    pub recent: Recent,
    /// Who tells a person.
    pub reporter: Arc<Mutex<Reporter>>,
    /// What the ring of captures acts on.
    pub incident: Arc<Mutex<Incident>>,
    /// Who else is told.
    pub hooks: Option<Hooks>,
    /// The run.
    pub run: RunName,
    /// When its segment began: what was over by then is no incident of it.
    pub begun: Timestamp,
    /// What results look like.
    pub format: Format,
    /// The verdict before.
    pub before: Option<Verdict>,
}

impl Monitor {
    /// Judges on a thread of its own until the recording ends. Of several instants that wait, only
    /// the newest is judged.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(mut self, mut news: mpsc::UnboundedReceiver<News>) -> std::io::Result<Judging> {
        let judging = move || {
            while let Some(one) = news.blocking_recv() {
                let mut settled = one.settled;
                self.recent.take(one);
                while let Ok(further) = news.try_recv() {
                    settled = further.settled.or(settled);
                    self.recent.take(further);
                }
                if let Some(as_of) = settled {
                    self.judge(as_of);
                }
            }
            if let Some(hooks) = self.hooks {
                hooks.finish();
            }
        };
        std::thread::Builder::new().name("monitor".to_owned()).spawn(judging)
    }

    fn judge(&mut self, as_of: Timestamp) {
        let known = self.recent.known(as_of);
        let parts =
            Parts { series: known.series, pd: &known.pd, gaps: &known.gaps, ..Parts::default() };
        let verdict = diagnose(&Evidence::new(known.window, as_of, parts));
        let new = notices(self.before.as_ref(), &verdict, known.window.start);
        self.note_incident(&verdict, &new);
        let before = self.before.as_ref().map_or(Outcome::NoFault, |before| before.outcome);
        let turned = before != verdict.outcome || new.iter().any(|one| one.about == Subject::Cause);
        self.say(&verdict, &new, turned);
        if turned && let Some(hooks) = &self.hooks {
            hooks.tell(json_text(&self.document(&verdict, &new)));
        }
        self.before = Some(verdict);
    }

    /// A cause that is told for the first time makes an incident, also where it is over by then.
    fn note_incident(&self, verdict: &Verdict, new: &[Notice]) {
        let lasting = verdict.causes.iter().filter(|cause| cause.end_ms.is_none());
        let lasting = lasting.map(|cause| cause.onset_ms).min();
        let begun = new.iter().filter(|one| {
            one.about == Subject::Cause
                && one.turn == Turn::Began
                && one.end_ms.is_none_or(|end| end >= self.begun)
        });
        let begun = begun.map(|one| one.onset_ms).chain(lasting).min();
        let mut incident = self.incident.lock().unwrap_or_else(PoisonError::into_inner);
        incident.since = incident.since.or(begun);
        incident.over = match (incident.since, lasting) {
            (Some(_), None) => incident.over.or(Some(verdict.as_of_ms)),
            _ => None,
        };
    }

    fn document(&self, verdict: &Verdict, new: &[Notice]) -> serde_json::Value {
        json!({
            "schema": 1, "event": "verdict", "run": self.run, "at": verdict.as_of_ms,
            "notices": new, "verdict": verdict,
        })
    }

    fn say(&self, verdict: &Verdict, new: &[Notice], turned: bool) {
        let mut reporter = self.reporter.lock().unwrap_or_else(PoisonError::into_inner);
        let said = match self.format {
            Format::Json if turned => reporter.result(&json_text(&self.document(verdict, new))),
            Format::Json => new.iter().try_for_each(|notice| {
                let event = json!({
                    "schema": 1, "event": "notice", "run": self.run, "at": verdict.as_of_ms,
                    "notice": notice,
                });
                reporter.result(&json_text(&event))
            }),
            Format::Text => {
                new.iter().try_for_each(|notice| reporter.result(&line(verdict.as_of_ms, notice)))
            }
        };
        // A reader that went away does not end a recording.
        if let Err(error) = said {
            tracing::debug!(%error, "nobody reads the results");
        }
        reporter.standing(standing(verdict));
    }
}

/// The thread of a monitor.
pub type Judging = JoinHandle<()>;

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

/// What holds now, in a few words.
fn standing(verdict: &Verdict) -> String {
    let lasting = verdict.causes.iter().filter(|cause| cause.end_ms.is_none());
    let lasting: Vec<String> =
        lasting.map(|cause| format!("{} {}", cause.mode, cause.target.name)).collect();
    match (verdict.outcome, lasting.is_empty()) {
        (Outcome::CannotTell, _) => "CANNOT TELL".to_owned(),
        (_, false) => format!("FAULT {}", escape(&lasting.join(", "))),
        (Outcome::Fault, true) => "over".to_owned(),
        (Outcome::NoFault, true) => "no fault".to_owned(),
    }
}

/// `16:30:50`, UTC.
fn clock(at: Timestamp) -> String {
    at.to_string().chars().skip(11).take(8).collect()
}
