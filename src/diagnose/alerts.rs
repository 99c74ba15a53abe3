//! Alerts beside a verdict: which of those that fired neither a cause nor a change explains.
//!
//! Evaluating alerts is left to others; an alert is no part of how a cause is found.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Target, TargetKind};
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::diagnose::verdict::{Cause, Verdict};
use crate::model::{Labels, StoreId, TimeRange, Timestamp};
use crate::nodes::{NodeIndex, Nodes, store_id_of};

/// An alert that fired once, without a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FiredAlert {
    /// The name of its rule.
    pub name: String,
    /// Its labels without the rule's own, ascending by name.
    pub labels: Vec<(String, String)>,
    /// When it began to fire.
    pub since_ms: Timestamp,
    /// When it ceased to; `None` where it fires at the end.
    pub until_ms: Option<Timestamp>,
    /// How long it fired, in milliseconds.
    pub fired_ms: i64,
}

impl FiredAlert {
    /// Its name, and the node that its labels name: `StoreSlow (store 1)`.
    pub fn text(&self) -> String {
        let labels = self.label_set();
        match (store_id_of(&labels), labels.get("instance")) {
            (Some(StoreId(id)), _) => format!("{} (store {id})", self.name),
            (None, Some(instance)) => format!("{} ({instance})", self.name),
            (None, None) => self.name.clone(),
        }
    }

    fn label_set(&self) -> Labels {
        let pairs = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::from_pairs(&pairs.collect::<Vec<_>>())
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
    let labels = alert.label_set();
    about.contains(alert.since_ms)
        && targets.any(|target| is_about(target, &evidence.nodes, &labels))
}

/// Whether labels are about a target, or name no node.
fn is_about(target: &Target, nodes: &Nodes, labels: &Labels) -> bool {
    let node = match target.kind {
        TargetKind::Store => {
            if let (Some(own), Some(named)) = (target.store_id, store_id_of(labels)) {
                return StoreId(own) == named;
            }
            let mut stores = nodes.stores.iter();
            let own = stores.position(|store| Target::store(store).name == target.name);
            own.map(NodeIndex::Store)
        }
        TargetKind::PdMember => nodes.named(&target.name, "pd"),
        _ => return true,
    };
    let owners = nodes.owners(labels);
    owners.is_none_or(|owners| node.is_some_and(|node| owners.contains(&node)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::observations::series_table::tests::series;
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
        open_of(Parts::default(), alerts, causes)
    }

    fn open_of(parts: Parts<'_>, alerts: Vec<FiredAlert>, causes: usize) -> usize {
        let window = TimeRange::new(at(0), at(3_600));
        let evidence = Evidence::new(window, window.end, parts);
        let mut verdict = diagnose(&evidence);
        let target = match evidence.nodes.stores.last() {
            Some(store) => Target::store(store),
            None => Target { store_id: Some(1), ..Target::named(TargetKind::Store, "store 1") },
        };
        let cause = Cause {
            onset_uncertainty_ms: 15_000,
            ..Cause::bare("slow_disk", target, at(100), Some(at(200)))
        };
        verdict.causes = vec![cause; causes];
        verdict.changes.clear();
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
    fn an_alert_of_a_target_whose_name_another_one_ends_with_is_not_explained() {
        let up = |instance: &str| {
            let own = [("__name__", "up"), ("job", "tikv"), ("instance", instance)];
            series(&own, &[(0, 1.0), (15, 1.0), (30, 1.0)])
        };
        let open_of = |instance: &str| {
            let series = vec![up("kv-1:20180"), up("tikv-1:20180")];
            let parts = Parts { series, ..Parts::default() };
            open_of(parts, vec![alert(&[("instance", instance)], 120, 300)], 1)
        };
        assert_eq!(open_of("tikv-1:20180"), 0);
        assert_eq!(open_of("kv-1:20180"), 1);
    }

    #[test]
    fn what_resolves_within_a_minute_is_refuted_by_that() {
        assert_eq!(open(vec![alert(&[("store", "4")], 120, 135)], 0), 0);
        let fires = FiredAlert { until_ms: None, ..alert(&[("store", "4")], 120, 135) };
        assert_eq!(open(vec![fires], 0), 1);
    }
}
