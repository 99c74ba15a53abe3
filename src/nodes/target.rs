//! Scrape targets: what Prometheus scrapes under one set of labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::address::{host, short_name};
use super::beside::PodName;
use super::component::{exposing, named};
use super::label_sets::LabelSets;
use crate::model::{Component, Labels, SCRAPED_BY, Series, TargetKey};

/// What Prometheus scrapes under one set of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// The labels that all of its series share, as those of its series `up`.
    pub labels: Labels,
    /// What it is.
    pub component: Component,
    /// Its name, different from that of every other target: its `instance` label, with more labels
    /// where targets share that.
    pub name: String,
}

impl ScrapeTarget {
    /// The `instance` label; empty where there is none.
    pub fn instance(&self) -> &str {
        self.labels.get("instance").unwrap_or_default()
    }

    /// The `job` label; empty where there is none.
    pub fn job(&self) -> &str {
        self.labels.get("job").unwrap_or_default()
    }

    /// The name of its pod, or else the short name of its host where the node's `address` has another
    /// host; `None` where no label has a name.
    pub fn known_as(&self, address: &str) -> Option<String> {
        let pod = pod_of(&self.labels);
        let host = Some(self.instance()).filter(|instance| host(instance) != host(address));
        pod.or_else(|| host.and_then(short_name)).map(str::to_owned)
    }

    /// The labels `job` and `instance`.
    pub fn key(&self) -> TargetKey {
        self.labels.target()
    }
}

/// Labels that name the pod of a target, as the service discovery of Kubernetes is usually relabelled.
const POD_LABELS: [&str; 4] = ["pod", "kubernetes_pod_name", "pod_name", "exported_pod"];

/// The pod that the labels of a target name.
pub(super) fn pod_of(labels: &Labels) -> Option<&str> {
    POD_LABELS.iter().find_map(|name| labels.get(name))
}

/// Labels that name the namespace of a target's pod.
const NAMESPACE_LABELS: [&str; 2] = ["namespace", "kubernetes_namespace"];

/// The pod that the labels of a target name, with its namespace where they name that too.
pub(super) fn pod_name_of(labels: &Labels) -> Option<PodName> {
    let namespace = NAMESPACE_LABELS.iter().find_map(|name| labels.get(name));
    let namespace = namespace.unwrap_or_default().to_owned();
    pod_of(labels).map(|name| PodName { namespace, name: name.to_owned() })
}

/// Labels that stand for `instance` where that was dropped, the narrowest first.
const PLACE_LABELS: [&str; 11] = [
    "pod",
    "kubernetes_pod_name",
    "pod_name",
    "instance_id",
    "host",
    "hostname",
    "nodename",
    "node",
    "server",
    "fqdn",
    "ip",
];

/// The labels of a series as the component's own scrape would have: `job` and `instance` are those of the
/// target where another Prometheus was federated without `honor_labels`, and what names its place stands for
/// an `instance` that was dropped. `None` where nothing is to be changed.
pub(super) fn as_scraped(series: &Labels) -> Option<Labels> {
    if let (Some(job), Some(instance)) =
        (series.get("exported_job"), series.get("exported_instance"))
    {
        let own = series.without(&["exported_job", "exported_instance"]);
        return Some(own.with(&[("job", job), ("instance", instance)]));
    }
    let instance = series.get("instance").unwrap_or_default();
    let place = PLACE_LABELS.iter().find_map(|name| series.get(name));
    place.filter(|_| instance.is_empty()).map(|place| series.with(&[("instance", place)]))
}

/// Labels by which one Prometheus, or what aggregates several, tells clusters apart. Those of TiDB
/// Operator's `TidbMonitor` come first, then those that people add as external labels or by relabelling.
pub(super) const CLUSTER_LABELS: [&str; 9] = [
    "tidb_cluster",
    "cluster",
    "cluster_name",
    "cluster_id",
    "k8s_cluster",
    "namespace",
    "kubernetes_namespace",
    "environment",
    "env",
];

/// Labels by which replicas of one Prometheus are told apart, as Prometheus Operator, Thanos and Mimir
/// document them, and by which what the recorder scraped itself is. Series that differ in these alone show the same
/// target.
pub(super) const REPLICA_LABELS: [&str; 7] = [
    "replica",
    "prometheus_replica",
    "__replica__",
    "receive",
    "receive_replica",
    "monitor",
    SCRAPED_BY.0,
];

/// Labels of a target that stand beside `job` and `instance` where its series `up` was not recorded, so
/// that nothing says which labels are the target's and which are the metric's.
const FURTHER_LABELS: [&str; 10] = [
    "tidb_cluster",
    "cluster",
    "cluster_name",
    "k8s_cluster",
    "pod",
    "replica",
    "prometheus_replica",
    "__replica__",
    "receive_replica",
    SCRAPED_BY.0,
];

/// The labels of a series by which its target differs from others, whether `up` was recorded or not:
/// `job`, `instance`, and those of clusters, pods and replicas.
pub fn target_identity(series: &Labels) -> Vec<(String, String)> {
    let names = ["job", "instance", "exported_job", "exported_instance"]
        .iter()
        .chain(&CLUSTER_LABELS)
        .chain(&POD_LABELS);
    let found = names.chain(&REPLICA_LABELS).filter_map(|name| Some((*name, series.get(name)?)));
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Among how many targets with one job and instance that is looked for with which a series about something else shares
/// most labels. Of kube-state-metrics a Prometheus has one or a few; a series must not look at tens of thousands.
const MOST_OF_KEY: usize = 256;

/// Which target each series belongs to.
#[derive(Debug, Default)]
pub(super) struct TargetIndex {
    /// The labels of each target.
    pub labels: Vec<Labels>,
    /// What each target is.
    pub components: Vec<Component>,
    /// How many samples its `up` has.
    pub scrapes: Vec<usize>,
    sets: LabelSets,
    /// The first targets with each job and instance, at most [`MOST_OF_KEY`].
    by_key: HashMap<TargetKey, Vec<usize>>,
}

impl TargetIndex {
    /// The targets of these series: one for each series `up`, and one for each group of others that
    /// share the labels of a target without any `up`.
    pub fn new(series: &[Series]) -> Self {
        let mut index = Self::default();
        for one in series.iter().filter(|one| one.labels.metric() == "up") {
            index.add(one.labels.without(&["__name__"]), one.samples.len());
        }
        let mut exposed: Vec<Option<Component>> = vec![None; index.labels.len()];
        for one in series {
            let Some(instance) = one.labels.get("instance") else { continue };
            let target = index.of(&one.labels).unwrap_or_else(|| {
                let own = own_labels(&one.labels, instance);
                exposed.push(None);
                index.add(own, 0)
            });
            if exposed[target].is_none() {
                exposed[target] = exposing(one.labels.metric());
            }
        }
        let components = exposed.iter().zip(&index.labels);
        index.components =
            components.map(|(exposed, labels)| exposed.unwrap_or_else(|| named(labels))).collect();
        index
    }

    fn add(&mut self, labels: Labels, scrapes: usize) -> usize {
        let target = self.labels.len();
        self.sets.add(target, &labels);
        let of_key = self.by_key.entry(labels.target()).or_default();
        if of_key.len() < MOST_OF_KEY {
            of_key.push(target);
        }
        self.labels.push(labels);
        self.scrapes.push(scrapes);
        target
    }

    /// The target that a series belongs to: that whose labels it all has, the most of them where
    /// there are several.
    pub fn of(&self, series: &Labels) -> Option<usize> {
        let instance = series.get("instance")?;
        let whole = self.sets.held_by(series, instance).max().map(|held| held.number);
        whole.or_else(|| self.of_honoured(series))
    }

    /// The target of a series about something else, such as a pod, whose labels stand in place of the target's
    /// own, as with `honor_labels`: of those with its job and instance, the one that shares most labels with it.
    fn of_honoured(&self, series: &Labels) -> Option<usize> {
        if exposing(series.metric()) != Some(Component::Kubernetes) {
            return None;
        }
        let of_key = self.by_key.get(&series.target())?.iter().copied();
        let shared = |target: &usize| {
            let labels = self.labels[*target].iter();
            labels.filter(|(name, value)| series.get(name) == Some(*value)).count()
        };
        of_key.rev().max_by_key(shared)
    }
}

fn own_labels(series: &Labels, instance: &str) -> Labels {
    // What Kubernetes says of a pod is no label of whoever passes it on.
    let is_of_pods = exposing(series.metric()) == Some(Component::Kubernetes);
    let is_own = |name: &&&str| !(is_of_pods && POD_LABELS.contains(name));
    let further = FURTHER_LABELS.iter().filter(is_own);
    let further = further.filter_map(|name| Some((*name, series.get(name)?)));
    let job = series.get("job").map(|job| ("job", job));
    let mut pairs: Vec<(&str, &str)> = further.chain(job).collect();
    pairs.push(("instance", instance));
    Labels::from_pairs(&pairs)
}

/// A name for each target that no other has. What is called so must not follow from the order of names, which
/// redaction changes: of targets that share an `instance`, the one of the most telling component keeps it, where
/// there is one, and the others are told apart by the first kind of name in which they differ.
pub(super) fn names(targets: &[(&Labels, Component)]) -> Vec<String> {
    let instance = |labels: &Labels| labels.get("instance").unwrap_or_default().to_owned();
    let mut sharing: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, (labels, _)) in targets.iter().enumerate() {
        sharing.entry(instance(labels)).or_default().push(index);
    }
    let mut found: Vec<String> = targets.iter().map(|(labels, _)| instance(labels)).collect();
    let mut taken: BTreeSet<String> = sharing.keys().cloned().collect();
    for indices in sharing.into_values() {
        let most_telling = indices.iter().map(|index| targets[*index].1).min();
        let mut leading = indices.iter().filter(|index| Some(targets[**index].1) == most_telling);
        let keeps = leading.next().filter(|_| leading.next().is_none());
        let others: Vec<usize> =
            indices.iter().filter(|index| Some(*index) != keeps).copied().collect();
        let labels: Vec<&Labels> = others.iter().map(|index| targets[*index].0).collect();
        for (index, name) in others.iter().zip(telling_names(&labels, &taken)) {
            taken.insert(name.clone());
            found[*index] = name;
        }
    }
    found
}

/// Names for targets that share an `instance`: their pods, else their jobs before the instance, else all of their
/// labels.
fn telling_names(targets: &[&Labels], taken: &BTreeSet<String>) -> Vec<String> {
    let pods = targets.iter().map(|labels| pod_of(labels).map(str::to_owned)).collect();
    let keys = targets.iter().map(|labels| labels.target().to_string()).collect();
    let tells_apart = |names: &Vec<String>| {
        let differing: BTreeSet<&String> = names.iter().collect();
        differing.len() == names.len() && differing.iter().all(|one| !taken.contains(*one))
    };
    let found = [pods, Some(keys)].into_iter().flatten().find(tells_apart);
    found.unwrap_or_else(|| targets.iter().map(|labels| labels.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Which target each of the series `up` at one address belongs to.
    fn targets_at_one_address(labels: impl Fn(usize) -> Labels + Send + 'static) -> Vec<usize> {
        const TARGETS: usize = 20_000;
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let own = [("__name__", "up"), ("job", "tikv"), ("instance", "10.0.0.1:20180")];
            let all = (0..TARGETS).map(|number| labels(number).with(&own));
            let all: Vec<Series> =
                all.map(|labels| Series { labels, samples: Vec::new() }).collect();
            let index = TargetIndex::new(&all);
            done.send(all.iter().filter_map(|one| index.of(&one.labels)).collect())
        });
        waits.recv_timeout(Duration::from_secs(60)).expect("no series looks at every target")
    }

    #[test]
    fn tens_of_thousands_of_targets_at_one_address_are_told_apart_in_seconds() {
        let by_value = targets_at_one_address(|number| {
            Labels::from_pairs(&[("replica_of", &number.to_string())])
        });
        assert!(by_value.into_iter().eq(0..20_000));
        let by_name = targets_at_one_address(|number| {
            Labels::from_pairs(&[(&format!("label_{number}"), "yes")])
        });
        assert!(by_name.into_iter().eq(0..20_000));
    }
}
