//! Alerts beside a verdict: which of those that fired neither a cause nor a change explains.
//!
//! Evaluating alerts is left to others; an alert is no part of how a cause is found.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::diagnose::verdict::{Cause, Verdict};
use crate::model::{TimeRange, Timestamp};

/// An alert that fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FiredAlert {
    /// The name of its rule.
    pub name: String,
    /// Its labels without the rule's own, ascending by name.
    pub labels: Vec<(String, String)>,
    /// When it fired first.
    pub since_ms: Timestamp,
    /// When it last ceased to; `None` where it fires at the end.
    pub until_ms: Option<Timestamp>,
    /// How long it fired in all, in milliseconds.
    pub fired_ms: i64,
}

impl FiredAlert {
    /// Its name, and the node that its labels name: `StoreSlow (store 1)`.
    pub fn text(&self) -> String {
        match (self.store_id(), self.label("instance")) {
            (Some(id), _) => format!("{} (store {id})", self.name),
            (None, Some(instance)) => format!("{} ({instance})", self.name),
            (None, None) => self.name.clone(),
        }
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The store that it is about, as PD and peers number it: whose metric it is says less.
    fn store_id(&self) -> Option<u64> {
        self.label("store").or(self.label("store_id"))?.parse().ok()
    }
}

/// The shortest time of firing that asks for an explanation, in milliseconds. What resolves by itself within a
/// minute, such as a store that PD lists as down until its first heartbeat, is refuted by that.
const LEAST_FIRED_MS: i64 = 60_000;

/// Those of the alerts that neither a cause nor a change of the verdict explains, in their order. An alert is
/// explained where it fires while the cause lasts or shortly after, and is about the same node, about what
/// followed from the cause, or about no node at all; a cause of the cluster, of PD, of a link or of the load
/// explains any.
pub fn unexplained_alerts(
    verdict: &Verdict,
    evidence: &Evidence,
    alerts: Vec<FiredAlert>,
) -> Vec<FiredAlert> {
    let lasts = |alert: &FiredAlert| alert.until_ms.is_none() || alert.fired_ms >= LEAST_FIRED_MS;
    let known: Vec<&Cause> = verdict.causes.iter().chain(&verdict.changes).collect();
    let is_open = |alert: &FiredAlert| {
        lasts(alert) && !known.iter().any(|cause| explains(cause, evidence, alert))
    };
    alerts.into_iter().filter(is_open).collect()
}

fn explains(cause: &Cause, evidence: &Evidence, alert: &FiredAlert) -> bool {
    let from = cause.onset_ms.saturating_add_millis(-cause.onset_uncertainty_ms);
    let end = cause.end_ms.unwrap_or(evidence.as_of).max(cause.onset_ms);
    let about = TimeRange::new(from, end.saturating_add_millis(AFTERMATH_MS));
    let followed = cause.explains.iter().map(|one| &one.target);
    let mut targets = std::iter::once(&cause.target).chain(followed);
    about.contains(alert.since_ms) && targets.any(|target| is_about(target, evidence, alert))
}

/// Whether an alert is about a target, or names no node.
fn is_about(target: &Target, evidence: &Evidence, alert: &FiredAlert) -> bool {
    let instance = match target.kind {
        TargetKind::Store => {
            if let (Some(own), Some(others)) = (target.store_id, alert.store_id()) {
                return own == others;
            }
            let stores = evidence.nodes.stores.iter();
            let mut own = stores.filter(|store| Target::store(store).name == target.name);
            own.next().and_then(|store| store.instance.clone())
        }
        TargetKind::PdMember => evidence.nodes.instance_of_member(&target.name),
        _ => return true,
    };
    let named = alert.label("instance");
    named.is_none_or(|named| instance.is_some_and(|own| own == named || own.ends_with(named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Parts, diagnose};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn alert(labels: &[(&str, &str)], since: i64, until: i64) -> FiredAlert {
        FiredAlert {
            name: "StoreSlow".to_owned(),
            labels: labels
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            since_ms: at(since),
            until_ms: Some(at(until)),
            fired_ms: (until - since) * 1000,
        }
    }

    /// How many of the alerts a verdict with one cause, at store 1 from 100 s to 200 s, leaves open.
    fn open(alerts: Vec<FiredAlert>, causes: usize) -> usize {
        let window = TimeRange::new(at(0), at(3_600));
        let evidence = Evidence::new(window, window.end, Parts::default());
        let mut verdict = diagnose(&evidence);
        let target = Target { store_id: Some(1), ..Target::named(TargetKind::Store, "store 1") };
        let cause = Cause {
            mode: "slow_disk",
            says: "the store's disk is slow".into(),
            target,
            onset_ms: at(100),
            onset_uncertainty_ms: 15_000,
            end_ms: Some(at(200)),
            confidence: 0.9,
            evidence: Vec::new(),
            against: Vec::new(),
            unchecked: Vec::new(),
            explains: Vec::new(),
            advice: None,
        };
        verdict.causes = vec![cause; causes];
        unexplained_alerts(&verdict, &evidence, alerts).len()
    }

    #[test]
    fn an_alert_about_another_node_or_time_is_not_explained() {
        let of_pd = ("instance", "10.0.0.1:2379");
        let own = alert(&[of_pd, ("store", "1")], 120, 300);
        assert_eq!(open(vec![own.clone()], 1), 0);
        assert_eq!(open(vec![own], 0), 1);
        assert_eq!(open(vec![alert(&[of_pd, ("store", "4")], 120, 300)], 1), 1);
        assert_eq!(open(vec![alert(&[("store", "1")], 3_000, 3_300)], 1), 1);
        assert_eq!(open(vec![alert(&[], 120, 300)], 1), 0, "it names no node");
    }

    #[test]
    fn what_resolves_within_a_minute_is_refuted_by_that() {
        assert_eq!(open(vec![alert(&[("store", "4")], 120, 135)], 0), 0);
        let fires = FiredAlert { until_ms: None, ..alert(&[("store", "4")], 120, 135) };
        assert_eq!(open(vec![fires], 0), 1);
    }
}
