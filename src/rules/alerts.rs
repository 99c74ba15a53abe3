//! The states of one rule's alerts, and how Prometheus changes them from one evaluation to the
//! next.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Labels, Timestamp};

/// State of an alert, as in the label `alertstate` of the metric `ALERTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Its expression yields no element, and the alert has not fired.
    Inactive,
    /// Its element is there, but not yet for the duration `for`.
    Pending,
    /// Its element was there for the duration `for`, and the alert fires.
    Firing,
    /// The alert fired and does not fire any more.
    Resolved,
}

impl AlertState {
    /// The name of the state in lower case, as in `ALERTS`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// A change of the state of one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertTransition {
    /// Labels that identify the alert.
    pub labels: Labels,
    /// State before the change.
    pub from: AlertState,
    /// State after the change.
    pub to: AlertState,
    /// Last value of its element.
    pub value: f64,
}

/// An alert that is pending or firing.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// Evaluation at which its element appeared.
    pub since: Timestamp,
    /// Whether it is firing; otherwise it is pending.
    pub fires: bool,
    /// Last value of its element.
    pub value: f64,
    /// Evaluation since which it fires without its element.
    gone_since: Option<Timestamp>,
}

/// The pending and firing alerts of one rule.
#[derive(Clone, Debug)]
pub struct RuleAlerts {
    for_ms: i64,
    keep_firing_for_ms: i64,
    active: BTreeMap<Labels, ActiveAlert>,
}

impl RuleAlerts {
    /// Starts without alerts. Durations are in milliseconds.
    pub fn new(for_ms: i64, keep_firing_for_ms: i64) -> Self {
        Self { for_ms, keep_firing_for_ms, active: BTreeMap::new() }
    }

    /// The alerts that are pending or firing, by their labels.
    pub fn active(&self) -> &BTreeMap<Labels, ActiveAlert> {
        &self.active
    }

    /// Removes all alerts, as Prometheus does when a rule exceeds the limit of its group.
    pub fn clear(&mut self) -> Vec<AlertTransition> {
        let left = std::mem::take(&mut self.active);
        left.into_iter().map(|(labels, alert)| alert.ended(labels)).collect()
    }

    /// Applies the elements that the expression yields at `at`, given by the labels of their
    /// alerts. Returns the changes in the order of labels.
    pub fn advance(
        &mut self,
        at: Timestamp,
        found: &BTreeMap<Labels, f64>,
    ) -> Vec<AlertTransition> {
        let mut steps = Vec::new();
        let before = std::mem::take(&mut self.active);
        for (labels, mut alert) in before {
            if found.contains_key(&labels) {
                alert.gone_since = None;
            } else {
                let gone_since = *alert.gone_since.get_or_insert(at);
                if !alert.fires || at - gone_since >= self.keep_firing_for_ms {
                    steps.push(alert.ended(labels));
                    continue;
                }
            }
            self.active.insert(labels, alert);
        }
        for (labels, &value) in found {
            let is_new = !self.active.contains_key(labels);
            let alert = self.active.entry(labels.clone()).or_insert(ActiveAlert {
                since: at,
                fires: false,
                value,
                gone_since: None,
            });
            alert.value = value;
            let from = match (is_new, alert.fires) {
                (true, _) => AlertState::Inactive,
                (false, true) => continue,
                (false, false) => AlertState::Pending,
            };
            alert.fires = at - alert.since >= self.for_ms;
            let to = if alert.fires { AlertState::Firing } else { AlertState::Pending };
            if from != to {
                steps.push(AlertTransition { labels: labels.clone(), from, to, value });
            }
        }
        steps.sort_by(|a, b| a.labels.cmp(&b.labels));
        steps
    }
}

impl ActiveAlert {
    fn ended(self, labels: Labels) -> AlertTransition {
        let (from, to) = if self.fires {
            (AlertState::Firing, AlertState::Resolved)
        } else {
            (AlertState::Pending, AlertState::Inactive)
        };
        AlertTransition { labels, from, to, value: self.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advances every 15 s; `1` is an element that is there. The states, a letter each.
    fn states(for_s: i64, keep_s: i64, there: &str) -> String {
        let labels = Labels::from_pairs(&[("alertname", "A")]);
        let mut alerts = RuleAlerts::new(for_s * 1000, keep_s * 1000);
        let letters = (0..).zip(there.chars()).map(|(tick, there)| {
            let found = (there == '1').then(|| (labels.clone(), 1.0));
            let steps =
                alerts.advance(Timestamp::from_millis(tick * 15_000), &found.into_iter().collect());
            match alerts.active().get(&labels) {
                Some(alert) if alert.fires => 'F',
                Some(_) => 'P',
                None if steps.iter().any(|step| step.to == AlertState::Resolved) => 'R',
                None => '.',
            }
        });
        letters.collect()
    }

    #[test]
    fn an_alert_fires_once_it_has_been_there_for_long_enough() {
        assert_eq!(states(30, 0, "01111001"), ".PPFFR.P");
        assert_eq!(states(0, 0, "0101"), ".FRF");
    }

    #[test]
    fn a_pending_alert_whose_element_goes_begins_anew() {
        assert_eq!(states(30, 0, "1101110"), "PP.PPFR");
    }

    #[test]
    fn a_firing_alert_is_kept_and_the_wait_begins_anew_with_each_return() {
        assert_eq!(states(0, 30, "10010000"), "FFFFFFR.");
        assert_eq!(states(15, 30, "1000"), "P...");
    }
}
