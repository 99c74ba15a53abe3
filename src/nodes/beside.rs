//! What is recorded beside a node: its machine as node_exporter shows it, its pod as Kubernetes does, and the
//! checks of either from outside.
//!
//! Machines are found by host, pods by name and namespace, probes by what they probe. Where nothing decides,
//! nothing is assumed.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{canonical, host, port, short_name, without_scheme};
use super::resolve::Nodes;
use super::target::{ScrapeTarget, pod_of};
use crate::model::{Component, Labels, Series};

/// Where a pod runs, as kube-state-metrics says.
const POD_INFO: &str = "kube_pod_info";
/// What a machine calls itself, as node_exporter says.
const UNAME: &str = "node_uname_info";

/// Metrics that are read for telling which machine and pod is whose. Diagnosis has to load them.
pub const BESIDE_METRICS: [&str; 2] = [POD_INFO, UNAME];

/// A pod of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// Its namespace; empty where no label says it.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The namespace, the pod and the container that a series of kube-state-metrics or of cAdvisor is about. Where
/// Prometheus keeps its own labels, those of the series begin with `exported_`.
fn own_label<'a>(series: &'a Labels, name: &str) -> Option<&'a str> {
    series.get(&format!("exported_{name}")).or_else(|| series.get(name))
}

impl PodName {
    /// The pod that a series of kube-state-metrics or of cAdvisor is about; `None` where it names none.
    pub fn of_series(series: &Labels) -> Option<Self> {
        let name = own_label(series, "pod").or_else(|| series.get("pod_name"))?;
        let namespace = own_label(series, "namespace").unwrap_or_default();
        (!name.is_empty()).then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The container of a pod that a series is about; `None` where it is about the whole pod.
    pub fn container_of(series: &Labels) -> Option<&str> {
        let name = own_label(series, "container").or_else(|| series.get("container_name"));
        // The kubelet has series of the pod as a whole and of the container that holds its network.
        name.filter(|name| !name.is_empty() && *name != "POD")
    }
}

/// What is recorded beside one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The [name](ScrapeTarget::name) of the target that shows its machine; `None` where there is none.
    pub machine: Option<String>,
    /// Its pod; `None` where it has none, or Kubernetes was not recorded.
    pub pod: Option<PodName>,
    /// The names of the targets that check its host.
    pub host_probes: Vec<String>,
    /// The names of the targets that check one of its ports.
    pub port_probes: Vec<String>,
}

/// What is beside every store and every member, in the order of `nodes`. `series` are those of the nodes'
/// targets.
pub(super) fn beside(nodes: &Nodes, series: &[Series]) -> (Vec<Beside>, Vec<Beside>) {
    let around = Around::new(nodes, series);
    if around.is_empty() {
        return (
            vec![Beside::default(); nodes.stores.len()],
            vec![Beside::default(); nodes.members.len()],
        );
    }
    let stores = nodes.stores.iter();
    let stores = stores.map(|one| around.of(&one.address, one.instance.as_deref())).collect();
    let members = nodes.members.iter();
    (stores, members.map(|one| around.of(&one.address, one.instance.as_deref())).collect())
}

/// A pod, and where it runs.
#[derive(Debug, Default)]
struct Placed {
    address: String,
    machine: Vec<String>,
}

/// Everything that is no node.
struct Around<'a> {
    targets: &'a [ScrapeTarget],
    machines: Vec<(&'a ScrapeTarget, Names)>,
    probes: Vec<(&'a ScrapeTarget, String)>,
    pods: BTreeMap<PodName, Placed>,
}

impl<'a> Around<'a> {
    fn new(nodes: &'a Nodes, series: &'a [Series]) -> Self {
        let of = |component| nodes.targets.iter().filter(move |one| one.component == component);
        let mut unames: BTreeMap<&str, &str> = BTreeMap::new();
        let mut pods: BTreeMap<PodName, Placed> = BTreeMap::new();
        for one in series {
            let (metric, labels) = (one.labels.metric(), &one.labels);
            if metric == UNAME
                && let (Some(of), Some(name)) = (labels.get("instance"), labels.get("nodename"))
            {
                unames.insert(of, name);
            }
            if !metric.starts_with("kube_") && !metric.starts_with("container_") {
                continue;
            }
            let Some(pod) = PodName::of_series(labels) else { continue };
            let placed = pods.entry(pod).or_default();
            if metric == POD_INFO {
                let label = |name: &str| own_label(labels, name).unwrap_or_default().to_owned();
                placed.address = label("pod_ip");
                placed.machine = vec![label("node"), label("host_ip")];
            }
        }
        let machines = of(Component::Node).map(|target| {
            let uname = unames.get(target.name.as_str()).copied();
            (target, Names::new(machine_labels(&target.labels).chain(uname)))
        });
        Self {
            targets: &nodes.targets,
            machines: machines.collect(),
            probes: of(Component::Probe)
                .filter_map(|one| Some((one, probed(&one.labels)?)))
                .collect(),
            pods,
        }
    }

    fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.probes.is_empty() && self.pods.is_empty()
    }

    fn of(&self, address: &str, instance: Option<&str>) -> Beside {
        let target = self.targets.iter().find(|one| Some(one.name.as_str()) == instance);
        let pod = self.pod(address, target);
        let placed = pod.as_ref().and_then(|pod| self.pods.get(pod));
        let placed = placed.iter().flat_map(|placed| placed.machine.iter().map(String::as_str));
        let own = target.iter().flat_map(|target| machine_labels(&target.labels));
        let names = Names::new(std::iter::once(address).chain(own).chain(placed));
        let machine = self.machines.iter().find(|(_, machine)| machine.meets(&names));
        let of = |wants_port: bool| -> Vec<String> {
            let own = self.probes.iter().filter(|(_, probed)| match port(probed) {
                Some(_) => wants_port && is_port_of(probed, address, target),
                None => !wants_port && Names::new([probed.as_str()].into_iter()).meets(&names),
            });
            own.map(|(target, _)| target.name.clone()).collect()
        };
        Beside {
            machine: machine.map(|(target, _)| target.name.clone()),
            host_probes: of(false),
            port_probes: of(true),
            pod,
        }
    }

    /// The only pod that labels, an address's DNS name or an address name.
    fn pod(&self, address: &str, target: Option<&ScrapeTarget>) -> Option<PodName> {
        let mut names: BTreeSet<&str> = short_name(address).into_iter().collect();
        // `basic-tikv-3.basic-tikv-peer.tidb.svc`: the pod, its service, and the namespace.
        let mut namespaces: BTreeSet<&str> = host(address).split('.').skip(2).take(1).collect();
        if short_name(address).is_none() {
            namespaces.clear();
        }
        if let Some(target) = target {
            names.extend(pod_of(&target.labels).or_else(|| short_name(target.instance())));
            let own = ["namespace", "kubernetes_namespace"].iter();
            namespaces.extend(own.filter_map(|name| target.labels.get(name)));
        }
        let hosts = [Some(address), target.map(ScrapeTarget::instance)];
        let hosts: BTreeSet<&str> = hosts.into_iter().flatten().map(host).collect();
        let is_in = |pod: &PodName| {
            pod.namespace.is_empty()
                || namespaces.is_empty()
                || namespaces.contains(pod.namespace.as_str())
        };
        let named = self.pods.iter().filter(|(pod, _)| names.contains(pod.name.as_str()));
        let named: Vec<&PodName> = named.map(|(pod, _)| pod).filter(|pod| is_in(pod)).collect();
        let at = self.pods.iter().filter(|(_, placed)| hosts.contains(placed.address.as_str()));
        let at: Vec<&PodName> = at.map(|(pod, _)| pod).collect();
        match (named.as_slice(), at.as_slice()) {
            ([only], _) | ([], [only]) => Some((*only).clone()),
            _ => None,
        }
    }
}

/// Whether an address is one at which PD or Prometheus reaches a node.
fn is_port_of(probed: &str, address: &str, target: Option<&ScrapeTarget>) -> bool {
    let known = [Some(address), target.map(ScrapeTarget::instance)];
    known.into_iter().flatten().any(|known| canonical(known) == canonical(probed))
}

/// What a probe probes: host and port, or only a host. TiUP's pings have it in the label `ping` and the prober as
/// their `instance`; elsewhere `instance` is what is probed. `None` where a machine probes itself, which says
/// nothing of how others reach it.
fn probed(labels: &Labels) -> Option<String> {
    let instance = labels.get("instance").unwrap_or_default();
    let ping = labels.get("ping").or_else(|| labels.get("target"));
    if ping.is_some_and(|ping| canonical(host(ping)) == canonical(host(instance))) {
        return None;
    }
    let address = without_scheme(ping.unwrap_or(instance));
    let address = address.split('/').next().unwrap_or(address);
    (!address.is_empty()).then(|| canonical(address))
}

/// Labels that name the machine of a target, beside its `instance`.
const MACHINE_LABELS: [&str; 7] =
    ["node", "nodename", "hostname", "host", "kubernetes_node", "host_ip", "instance"];

fn machine_labels(labels: &Labels) -> impl Iterator<Item = &str> {
    MACHINE_LABELS.iter().filter_map(|name| labels.get(name))
}

/// The names of a machine: its hosts, and the short names of those that are no addresses.
#[derive(Debug)]
struct Names {
    hosts: BTreeSet<String>,
    short: BTreeSet<String>,
}

impl Names {
    fn new<'a>(addresses: impl Iterator<Item = &'a str>) -> Self {
        let is_own = |address: &&str| {
            let host = host(address);
            !host.is_empty() && !LOOPBACK.contains(&host)
        };
        let addresses: Vec<&str> = addresses.filter(is_own).collect();
        let short = addresses.iter().filter_map(|one| short_name(one));
        Self {
            hosts: addresses.iter().map(|one| canonical(host(one))).collect(),
            short: short.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// Whether both may be the same machine by one of their names.
    fn meets(&self, other: &Self) -> bool {
        !self.hosts.is_disjoint(&other.hosts) || !self.short.is_disjoint(&other.short)
    }
}

/// Addresses that are another machine's for everybody.
const LOOPBACK: [&str; 5] = ["127.0.0.1", "localhost", "[::1]", "::1", "0.0.0.0"];
