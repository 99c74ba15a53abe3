//! Faults as the alerts of Alertmanager's API, version 2: which of them fire, and which have ended.
//!
//! Posting them is the notifiers' work.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnose::{Cause, HORIZON_MS, Outcome, Verdict};
use crate::model::{RunName, Timestamp, cut, escape, escape_json};

/// The name of every alert, as of the metric that the exporter serves.
const ALERT: &str = "operator_fault";
/// The least time that an alert fires: Alertmanager says nothing of one that is over before its group was
/// waited for (`group_wait`, 30 s by default).
const LEAST_MS: i64 = 120_000;
/// How long an alert that has ended is still told, so that one lost post does not leave it firing.
const TOLD_MS: i64 = 900_000;
/// The most alerts that are told at once.
const MOST: usize = 100;
/// The most characters of a label's value and of an annotation.
const LABEL: usize = 200;
const ANNOTATION: usize = 1_000;

/// The alerts of one watch.
#[derive(Debug)]
pub struct Alerts {
    run: RunName,
    begun: Timestamp,
    /// By failure mode and place: what a fault has in common with itself at a later instant.
    known: BTreeMap<(&'static str, String), Known>,
}

#[derive(Debug)]
struct Known {
    alert: Alert,
    onset: Timestamp,
    first_told: Timestamp,
    /// When a verdict last said it.
    last_said: Timestamp,
    over: Option<Timestamp>,
}

/// An alert as the API takes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    /// Absent while it fires: Alertmanager then ends it by itself some minutes after the last post.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
}

impl Alerts {
    /// Starts without alerts. Faults that were over before `begun` are none to tell.
    pub fn new(run: RunName, begun: Timestamp) -> Self {
        Self { run, begun, known: BTreeMap::new() }
    }

    /// What to post after this verdict about what happened since `from`: a JSON array of the alerts that fire
    /// and of those that have ended lately; empty text where there is none.
    pub fn update(&mut self, verdict: &Verdict, from: Timestamp) -> String {
        let now = verdict.as_of_ms;
        for known in self.known.values_mut() {
            // What the verdict no longer says is withdrawn, unless it says so again below.
            if known.over.is_none() && known.is_withdrawn(verdict, from) {
                known.over = Some(now);
            }
        }
        let mut causes: Vec<&Cause> = verdict.causes.iter().collect();
        // Of two faults at one place, the newest is told.
        causes.sort_by_key(|cause| cause.onset_ms);
        for cause in causes {
            let key = (cause.mode, cause.target.name.clone());
            let is_new = !self.known.contains_key(&key);
            if is_new && cause.end_ms.is_some_and(|end| end < self.begun) {
                continue;
            }
            let alert = self.alert(cause);
            let same = self.known.get(&key).filter(|known| known.is_still(cause));
            let first_told = same.map_or(now, |known| known.first_told);
            let (onset, over) = (cause.onset_ms, cause.end_ms);
            self.known.insert(key, Known { alert, onset, first_told, last_said: now, over });
        }
        self.known.retain(|_, known| known.over.is_none_or(|over| now - over <= TOLD_MS));
        let alerts: Vec<Alert> =
            self.known.values().take(MOST).map(|known| known.as_of(now)).collect();
        match alerts.is_empty() {
            true => String::new(),
            false => escape_json(&serde_json::json!(alerts).to_string()).into_owned(),
        }
    }

    fn alert(&self, cause: &Cause) -> Alert {
        let target = cause.target.text();
        let evidence: Vec<&str> = cause.evidence.iter().map(|one| one.text.as_str()).collect();
        let mut annotations = BTreeMap::from([
            ("summary", format!("{target}: {}", cause.says)),
            ("description", evidence.join("; ")),
            ("capture", self.run.to_string()),
            ("replay", format!("operator replay {}", self.run)),
            ("confidence", cause.confidence.to_string()),
            ("onset_uncertainty", format!("{} ms", cause.onset_uncertainty_ms)),
        ]);
        if let Some(advice) = cause.advice {
            annotations.extend([
                ("check", advice.check.to_owned()),
                ("remedy", advice.remedy.to_owned()),
                ("risk", advice.risk.to_owned()),
                ("runbook_url", advice.documentation.to_owned()),
            ]);
        }
        for text in annotations.values_mut() {
            *text = cut(&escape(text), ANNOTATION).into_owned();
        }
        Alert {
            labels: BTreeMap::from([
                ("alertname", ALERT.to_owned()),
                ("severity", "critical".to_owned()),
                ("mode", cause.mode.to_owned()),
                ("target", cut(&escape(&cause.target.name), LABEL).into_owned()),
                ("run", self.run.to_string()),
            ]),
            annotations,
            starts_at: cause.onset_ms.to_string(),
            ends_at: None,
        }
    }
}

impl Known {
    /// Whether a verdict about what happened since `from`, which does not say it, says by that that it is none. A
    /// verdict that cannot tell does not; nor does one of a fault that began before `from` and has lasted so
    /// long that it is what is usual. Such a fault is taken to be over when nothing has said it for as long as
    /// a verdict looks back.
    fn is_withdrawn(&self, verdict: &Verdict, from: Timestamp) -> bool {
        let is_judged = verdict.outcome != Outcome::CannotTell && self.onset >= from;
        is_judged || verdict.as_of_ms - self.last_said > HORIZON_MS
    }

    /// Whether a cause is what is known, and not the next one at the same place.
    fn is_still(&self, cause: &Cause) -> bool {
        self.over.is_none_or(|over| cause.onset_ms <= over)
    }

    /// The alert as it is told at `now`.
    fn as_of(&self, now: Timestamp) -> Alert {
        let is_over = now - self.first_told >= LEAST_MS;
        let ends_at = self.over.filter(|_| is_over).map(|over| over.to_string());
        Alert { ends_at, ..self.alert.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Outcome, Target};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn verdict(as_of: i64, causes: &[(&'static str, i64, Option<i64>)]) -> Verdict {
        let cause = |&(mode, onset, end): &(&'static str, i64, Option<i64>)| {
            Cause::bare(mode, Target::cluster(), at(onset), end.map(at))
        };
        Verdict::bare(at(as_of), causes.iter().map(cause).collect())
    }

    fn alerts() -> Alerts {
        Alerts::new(RunName::new("prod").expect("a name"), at(1_000))
    }

    /// Mode, start and end of each alert that is told.
    fn told(json: &str) -> Vec<(String, String, Option<String>)> {
        if json.is_empty() {
            return Vec::new();
        }
        let alerts: Vec<serde_json::Value> = serde_json::from_str(json).expect("it is JSON");
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let one = |alert: &serde_json::Value| {
            let mode = text(&alert["labels"]["mode"]).expect("it has a mode");
            (mode, text(&alert["startsAt"]).expect("it has begun"), text(&alert["endsAt"]))
        };
        alerts.iter().map(one).collect()
    }

    #[test]
    fn a_fault_fires_until_it_ends_and_is_then_told_as_resolved() {
        let mut alerts = alerts();
        assert_eq!(alerts.update(&verdict(1_000, &[]), at(0)), "");
        let lasting = told(&alerts.update(&verdict(1_100, &[("slow_disk", 1_080, None)]), at(0)));
        assert_eq!(
            lasting,
            [("slow_disk".to_owned(), "1970-01-01T00:18:00.000Z".to_owned(), None)]
        );
        let ended =
            told(&alerts.update(&verdict(1_300, &[("slow_disk", 1_080, Some(1_290))]), at(0)));
        assert_eq!(ended[0].2.as_deref(), Some("1970-01-01T00:21:30.000Z"));
        let later = verdict(1_291 + TOLD_MS / 1000, &[("slow_disk", 1_080, Some(1_290))]);
        assert_eq!(told(&alerts.update(&later, at(0))), []);
    }

    #[test]
    fn a_short_fault_fires_long_enough_to_be_told() {
        let mut alerts = alerts();
        let short = [("store_restart", 1_010, Some(1_030))];
        assert_eq!(told(&alerts.update(&verdict(1_040, &short), at(0)))[0].2, None);
        assert_eq!(told(&alerts.update(&verdict(1_100, &short), at(0)))[0].2, None);
        assert!(told(&alerts.update(&verdict(1_160, &short), at(0)))[0].2.is_some());
    }

    #[test]
    fn what_is_withdrawn_is_resolved_and_what_was_over_before_is_not_told() {
        let mut alerts = alerts();
        let old = ("store_crash", 500, Some(900));
        assert_eq!(told(&alerts.update(&verdict(1_000, &[old]), at(0))), []);
        assert_eq!(
            told(&alerts.update(&verdict(1_010, &[old, ("slow_disk", 990, None)]), at(0))).len(),
            1
        );
        let withdrawn = told(&alerts.update(&verdict(1_200, &[old]), at(0)));
        assert_eq!(withdrawn[0].2.as_deref(), Some("1970-01-01T00:20:00.000Z"));
    }

    #[test]
    fn what_lasts_longer_than_a_verdict_looks_back_fires_on() {
        let mut alerts = alerts();
        let slow = [("slow_disk", 1_010, None)];
        assert_eq!(told(&alerts.update(&verdict(1_100, &slow), at(0)))[0].2, None);
        assert_eq!(told(&alerts.update(&verdict(4_700, &[]), at(1_100)))[0].2, None);
        assert!(told(&alerts.update(&verdict(4_701, &[]), at(1_101)))[0].2.is_some());
    }

    #[test]
    fn a_verdict_that_cannot_tell_resolves_nothing() {
        let mut alerts = alerts();
        let slow = [("slow_disk", 1_010, None)];
        assert_eq!(told(&alerts.update(&verdict(1_100, &slow), at(0)))[0].2, None);
        let blind = Verdict { outcome: Outcome::CannotTell, ..verdict(1_200, &[]) };
        assert_eq!(told(&alerts.update(&blind, at(0)))[0].2, None);
        assert!(told(&alerts.update(&verdict(1_300, &[]), at(0)))[0].2.is_some());
    }

    #[test]
    fn the_next_short_fault_of_a_place_fires_as_long_as_the_first() {
        let mut alerts = alerts();
        let first = [("store_restart", 1_010, Some(1_030))];
        assert!(told(&alerts.update(&verdict(1_040, &first), at(0)))[0].2.is_none());
        assert!(told(&alerts.update(&verdict(1_300, &first), at(0)))[0].2.is_some());
        let next = [("store_restart", 1_350, Some(1_370))];
        assert!(told(&alerts.update(&verdict(1_380, &next), at(0)))[0].2.is_none());
    }
}
