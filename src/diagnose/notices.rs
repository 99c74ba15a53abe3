//! Notices: the differences between a verdict and the one before it, so that a live monitor reports
//! only what began, changed or ended.
//!
//! Whom they are sent to, and in which form, is left to the monitor.

use serde::Serialize;

use crate::diagnose::findings::finding::Target;
use crate::diagnose::verdict::{Cause, Verdict};
use crate::model::Timestamp;

/// Two onsets of the same thing that differ by less than this and their uncertainties are the same
/// onset, which later samples moved.
const SAME_ONSET_MS: i64 = 60_000;

/// What a notice is about. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A cause of a fault.
    Cause,
    /// A planned change, or a failure of the observer.
    Change,
    /// A departure from normal.
    Finding,
}

/// How the subject of a notice differs from the verdict before. The names are stable: they stand in
/// JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The verdict before did not contain it.
    Began,
    /// A cause or change at the same place and time is now attributed to another mode, or it is known now how it
    /// came about.
    Updated,
    /// It was open in the verdict before and is over now.
    Ended,
    /// The verdict does not contain it any more: later samples spoke against it.
    Withdrawn,
}

/// One difference between two verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Whether it is about a cause, a change or a finding.
    pub about: Subject,
    /// How that differs from the verdict before.
    pub turn: Turn,
    /// The name of the mode, or of the kind of finding.
    pub what: String,
    /// Of an update, the name of the mode before; absent where it is the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// The node, link or workload that is affected.
    pub target: Target,
    /// When the subject began.
    pub onset_ms: Timestamp,
    /// When it was over; `None` where it lasts.
    pub end_ms: Option<Timestamp>,
    /// What happened, in a clause for a person.
    pub text: String,
}

/// A cause, a change or a finding of a verdict, so that all three are compared alike.
#[derive(Clone)]
struct VerdictItem {
    /// The notice that it would be if it were new.
    notice: Notice,
    uncertainty_ms: i64,
    /// What a cause or change means, with how it came about where that is known; empty for a finding.
    says: String,
}

impl VerdictItem {
    fn is(&self, other: &Self) -> bool {
        let (a, b) = (&self.notice, &other.notice);
        a.about == b.about
            && a.target.name == b.target.name
            && (a.onset_ms - b.onset_ms).abs()
                <= SAME_ONSET_MS + self.uncertainty_ms + other.uncertainty_ms
    }

    fn turned(&self, turn: Turn) -> Notice {
        Notice { turn, ..self.notice.clone() }
    }
}

/// The differences of `after` from `before`, by subject and onset, causes first. What began before
/// `window`, the start of the window that `after` judged, and is missing from `after` is not reported:
/// it had ended or has become normal.
pub fn notices(before: Option<&Verdict>, after: &Verdict, window: Timestamp) -> Vec<Notice> {
    let mut old = before.map(items).unwrap_or_default();
    let new = items(after);
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for one in new {
        let same = |held: &VerdictItem| held.is(&one) && held.notice.what == one.notice.what;
        match old.iter().position(same) {
            Some(place) => found.extend(moved(&old.swap_remove(place), &one)),
            None => unknown.push(one),
        }
    }
    for one in unknown {
        let renamed = |held: &VerdictItem| held.is(&one) && one.notice.about != Subject::Finding;
        match old.iter().position(renamed) {
            Some(place) => {
                let held = old.swap_remove(place);
                let was = Some(held.notice.what);
                found.push(Notice { was, ..one.turned(Turn::Updated) });
            }
            None => found.push(one.turned(Turn::Began)),
        }
    }
    let lost = old.iter().filter(|held| held.notice.onset_ms >= window);
    found.extend(
        lost.filter(|held| held.notice.end_ms.is_none()).map(|held| held.turned(Turn::Withdrawn)),
    );
    found.sort_by(|a, b| {
        (a.about, a.onset_ms, &a.what, &a.target).cmp(&(b.about, b.onset_ms, &b.what, &b.target))
    });
    found
}

/// What is new of something that the verdict before contained.
fn moved(held: &VerdictItem, now: &VerdictItem) -> Option<Notice> {
    if held.notice.end_ms.is_none() && now.notice.end_ms.is_some() {
        return Some(now.turned(Turn::Ended));
    }
    let more = now.says.strip_prefix(&held.says).unwrap_or_default();
    more.starts_with(": ").then(|| now.turned(Turn::Updated))
}

fn items(verdict: &Verdict) -> Vec<VerdictItem> {
    let causes = verdict.causes.iter().map(|one| of_cause(Subject::Cause, one));
    let changes = verdict.changes.iter().map(|one| of_cause(Subject::Change, one));
    let findings = verdict.findings.iter().map(|one| VerdictItem {
        uncertainty_ms: one.onset_uncertainty_ms,
        says: String::new(),
        notice: Notice {
            about: Subject::Finding,
            turn: Turn::Began,
            what: one.kind.name(),
            was: None,
            target: one.target.clone(),
            onset_ms: one.onset_ms,
            end_ms: one.end_ms,
            text: one.text.clone(),
        },
    });
    causes.chain(changes).chain(findings).collect()
}

fn of_cause(about: Subject, cause: &Cause) -> VerdictItem {
    VerdictItem {
        uncertainty_ms: cause.onset_uncertainty_ms,
        says: cause.says.to_string(),
        notice: Notice {
            about,
            turn: Turn::Began,
            what: cause.mode.to_owned(),
            was: None,
            target: cause.target.clone(),
            onset_ms: cause.onset_ms,
            end_ms: cause.end_ms,
            text: cause.evidence.first().map_or(&*cause.says, |one| &one.text).to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn verdict(causes: &[(&'static str, i64, Option<i64>)]) -> Verdict {
        let cause = |&(mode, onset, end): &(&'static str, i64, Option<i64>)| {
            Cause::bare(mode, Target::cluster(), at(onset), end.map(at))
        };
        Verdict::bare(at(1000), causes.iter().map(cause).collect())
    }

    fn turns(before: &Verdict, after: &Verdict) -> Vec<(Turn, String, Option<String>)> {
        let new = notices(Some(before), after, at(0));
        new.into_iter().map(|one| (one.turn, one.what, one.was)).collect()
    }

    #[test]
    fn what_stays_the_same_is_not_reported_again_though_its_onset_moves() {
        let (before, after) = (verdict(&[("crash", 100, None)]), verdict(&[("crash", 130, None)]));
        assert_eq!(turns(&before, &after), []);
        let other = verdict(&[("crash", 100, None), ("crash", 600, None)]);
        assert_eq!(turns(&before, &other), [(Turn::Began, "crash".to_owned(), None)]);
    }

    #[test]
    fn a_cause_begins_gets_another_name_and_ends() {
        let none = verdict(&[]);
        let open = verdict(&[("unreachable", 100, None)]);
        let named = verdict(&[("crash", 102, None)]);
        let over = verdict(&[("crash", 102, Some(200))]);
        assert_eq!(turns(&none, &open), [(Turn::Began, "unreachable".to_owned(), None)]);
        let was = Some("unreachable".to_owned());
        assert_eq!(turns(&open, &named), [(Turn::Updated, "crash".to_owned(), was)]);
        assert_eq!(turns(&named, &over), [(Turn::Ended, "crash".to_owned(), None)]);
    }

    #[test]
    fn how_it_came_about_is_told_once_it_is_known() {
        let bare = verdict(&[("crash", 100, None)]);
        let mut known = bare.clone();
        known.causes[0].says = format!("{}: it panicked", bare.causes[0].says).into();
        assert_eq!(turns(&bare, &known), [(Turn::Updated, "crash".to_owned(), None)]);
        assert_eq!(turns(&known, &known), []);
        assert_eq!(turns(&known, &bare), []);
    }

    #[test]
    fn what_is_refuted_is_withdrawn_and_what_slides_out_of_sight_is_not() {
        let (open, none) = (verdict(&[("crash", 100, None)]), verdict(&[]));
        assert_eq!(turns(&open, &none), [(Turn::Withdrawn, "crash".to_owned(), None)]);
        assert_eq!(notices(Some(&open), &none, at(101)), []);
    }
}
