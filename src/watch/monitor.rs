//! Judges a recording while it is made, and says what is new.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;
use tokio::sync::mpsc;

use super::alerts::Alerts;
use super::notifiers::Notifiers;
use crate::diagnose::survey::{Grid, Survey, usual_interval_ms};
use crate::diagnose::{
    Cause, Evidence, Notice, Outcome, Parts, Subject, Turn, Verdict, diagnose_surveyed,
    is_looked_at, notices,
};
use crate::model::{ClockOffset, RunName, ScrapedBy, TimeRange, Timestamp, Told, escape_json};
use crate::nodes::Nodes;
use crate::record::{CommitIncrement, Incident, RecentWindow};

/// What a monitor found at one instant.
pub struct Judged<'a> {
    /// The run that is recorded.
    pub run: &'a RunName,
    /// What holds at this instant.
    pub verdict: &'a Verdict,
    /// What is new in the verdict beside the one before.
    pub notices: &'a [Notice],
    /// Whether the outcome changed, or what is said of a cause.
    pub is_turn: bool,
    /// What was judged.
    pub window: TimeRange,
    /// The stores and members that are known.
    pub nodes: &'a Nodes,
}

impl Judged<'_> {
    /// The document that is printed and that notifiers get: event `verdict` of schema 1.
    pub fn document(&self) -> serde_json::Value {
        json!({
            "schema": 1, "event": "verdict", "run": self.run, "at": self.verdict.as_of_ms,
            "notices": self.notices, "verdict": self.verdict,
        })
    }
}

/// What notifiers are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// A cause began, changed, ended or was withdrawn, or the outcome changed.
    #[default]
    Fault,
    /// Planned changes too.
    Change,
    /// Findings too.
    All,
}

impl Occasion {
    /// Whether this includes `subject`.
    fn includes(self, subject: Subject) -> bool {
        match subject {
            Subject::Cause => true,
            Subject::Change => self >= Self::Change,
            Subject::Finding => self == Self::All,
        }
    }
}

/// Shows a person what a monitor found.
pub type Audience = Box<dyn FnMut(&Judged<'_>) + Send>;

/// Judges a recording while it is made.
pub struct Monitor {
    /// What is known of the last hour.
    pub recent: RecentWindow,
    /// Who is shown each judgement.
    pub audience: Audience,
    /// What decides which segments of the recording stay.
    pub incident: Arc<Mutex<Incident>>,
    /// Who else is told.
    pub notifiers: Option<Notifiers>,
    /// The alerts that the notifiers post; `None` where there is no Alertmanager.
    pub alerts: Option<Alerts>,
    /// What somebody said of clusters and nodes.
    pub told: Told,
    /// Who scrapes the targets.
    pub scraped_by: ScrapedBy,
    /// Offsets of clocks that were measured when the recording began.
    pub clock_offsets: Vec<ClockOffset>,
    /// The run that is recorded.
    pub run: RunName,
    /// When its segment began: what was over by then is no incident of it.
    pub begun: Timestamp,
    /// When this watch began: what was over by then is nothing to tell.
    pub since: Timestamp,
    /// What the notifiers are told of.
    pub occasion: Occasion,
    /// The verdict before.
    pub before: Option<Verdict>,
    /// The outcome before; `None` as long as every one was that it cannot be told.
    pub outcome: Option<Outcome>,
}

impl Monitor {
    /// Judges on a thread of its own until the recording ends. Of several instants that wait, only
    /// the newest is judged.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(
        mut self,
        mut news: mpsc::UnboundedReceiver<CommitIncrement>,
    ) -> std::io::Result<Judging> {
        let judging = move || {
            while let Some(one) = news.blocking_recv() {
                let mut settled = one.settled;
                self.recent.add(one);
                while let Ok(further) = news.try_recv() {
                    settled = further.settled.or(settled);
                    self.recent.add(further);
                }
                if let Some(as_of) = settled {
                    self.judge(as_of);
                }
            }
            if let Some(notifiers) = self.notifiers {
                notifiers.finish();
            }
        };
        std::thread::Builder::new().name("monitor".to_owned()).spawn(judging)
    }

    fn judge(&mut self, as_of: Timestamp) {
        let known = self.recent.as_of(as_of, is_looked_at);
        let up = known.series.iter().filter(|one| one.labels.metric() == "up");
        let grid = Grid::over(known.window, usual_interval_ms(up));
        let parts = Parts {
            series: known.series,
            pd: &known.pd,
            gaps: &known.gaps,
            settings: known.settings,
            logs: known.logs,
            clock_offsets: &self.clock_offsets,
            told: self.told.clone(),
            scraped_by: self.scraped_by,
            ..Parts::default()
        };
        let evidence = Evidence::new(known.window, as_of, parts);
        let surveyed = || self.recent.series_within(known.window);
        let survey = || Ok::<_, Infallible>(Survey::of_each(surveyed(), grid));
        let Ok(verdict) = diagnose_surveyed(&evidence, survey);
        let new = notices(self.before.as_ref(), &verdict, known.window.start);
        self.note_incident(&verdict, &new);
        let was_over = |end: Option<Timestamp>| end.is_some_and(|end| end < self.since);
        let outcome = outcome_since(&verdict, self.since);
        let outcome_turned = outcome_turned(self.outcome, outcome);
        let turned = outcome_turned || new.iter().any(|one| one.about == Subject::Cause);
        let is_told = |one: &Notice| self.occasion.includes(one.about) && !was_over(one.end_ms);
        let told = outcome_turned || new.iter().any(is_told);
        let judged = Judged {
            run: &self.run,
            verdict: &verdict,
            notices: &new,
            is_turn: turned,
            window: known.window,
            nodes: &evidence.nodes,
        };
        (self.audience)(&judged);
        if told && let Some(notifiers) = &self.notifiers {
            notifiers.tell(format!("{}\n", escape_json(&judged.document().to_string())));
        }
        if let Some((alerts, notifiers)) = self.alerts.as_mut().zip(self.notifiers.as_ref()) {
            notifiers.alert(alerts.update(&verdict, known.window.start));
        }
        if self.outcome.is_some() || outcome != Outcome::CannotTell {
            self.outcome = Some(outcome);
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
}

/// The outcome for somebody who began to watch at `since`: what was over by then is nothing to tell, and of a node
/// that has just stopped answering the next verdicts say more.
fn outcome_since(verdict: &Verdict, since: Timestamp) -> Outcome {
    let was_over = |cause: &Cause| cause.end_ms.is_some_and(|end| end < since);
    match verdict.outcome {
        Outcome::Fault if verdict.causes.iter().all(was_over) => Outcome::NoFault,
        Outcome::CannotTell if !verdict.silent.is_empty() => Outcome::NoFault,
        outcome => outcome,
    }
}

/// Whether the outcome is another one. The first outcome is one only where something is broken: that it
/// cannot be told yet, or that nothing is wrong, is no reason to wake anybody.
fn outcome_turned(before: Option<Outcome>, outcome: Outcome) -> bool {
    before.map_or(outcome == Outcome::Fault, |before| before != outcome)
}

/// The thread of a monitor.
pub type Judging = JoinHandle<()>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Target, TargetKind};

    #[test]
    fn the_start_of_a_watch_is_no_turn_unless_something_is_broken() {
        assert!(!outcome_turned(None, Outcome::CannotTell));
        assert!(!outcome_turned(None, Outcome::NoFault));
        assert!(outcome_turned(None, Outcome::Fault));
        assert!(outcome_turned(Some(Outcome::NoFault), Outcome::CannotTell));
        assert!(outcome_turned(Some(Outcome::Fault), Outcome::NoFault));
        assert!(!outcome_turned(Some(Outcome::Fault), Outcome::Fault));
    }

    #[test]
    fn a_fault_that_was_over_when_the_watch_began_is_nothing_to_tell() {
        let at = Timestamp::from_millis;
        let cause = |end_ms| {
            let target = Target::named(TargetKind::Store, "store 4");
            Cause::bare("store_crash", target, at(1_000), end_ms)
        };
        let outcome = |causes| outcome_since(&Verdict::bare(at(9_000), causes), at(5_000));
        assert_eq!(outcome(vec![cause(Some(at(2_000)))]), Outcome::NoFault);
        assert_eq!(outcome(vec![cause(Some(at(6_000)))]), Outcome::Fault);
        assert_eq!(outcome(vec![cause(Some(at(2_000))), cause(None)]), Outcome::Fault);
    }

    #[test]
    fn an_occasion_includes_the_narrower_ones() {
        let subjects = [Subject::Cause, Subject::Change, Subject::Finding];
        let included = |occasion: Occasion| subjects.map(|subject| occasion.includes(subject));
        assert_eq!(included(Occasion::Fault), [true, false, false]);
        assert_eq!(included(Occasion::Change), [true, true, false]);
        assert_eq!(included(Occasion::All), [true, true, true]);
    }
}
