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

/// A label of the pod that a series of kube-state-metrics or of cAdvisor is about, by the first of these names that
/// it has: where Prometheus keeps its own labels, those of the series begin with `exported_`, and Kubernetes before
/// 1.16 had other names.
fn own_label<'a>(series: &'a Labels, names: [&str; 3]) -> Option<&'a str> {
    names.into_iter().find_map(|name| series.get(name))
}

const NAMESPACE: [&str; 3] = ["exported_namespace", "namespace", "kubernetes_namespace"];
const POD: [&str; 3] = ["exported_pod", "pod", "pod_name"];
const CONTAINER: [&str; 3] = ["exported_container", "container", "container_name"];
const MACHINE: [&str; 3] = ["exported_node", "node", "nodename"];

impl PodName {
    /// The pod that a series of kube-state-metrics or of cAdvisor is about; `None` where it names none.
    pub fn of_series(series: &Labels) -> Option<Self> {
        let name = own_label(series, POD)?;
        let namespace = own_label(series, NAMESPACE).unwrap_or_default();
        (!name.is_empty()).then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Whether a series of kube-state-metrics or of cAdvisor is about this pod.
    pub fn is_of(&self, series: &Labels) -> bool {
        own_label(series, POD) == Some(self.name.as_str())
            && own_label(series, NAMESPACE).unwrap_or_default() == self.namespace
    }

    /// The container of a pod that a series is about; `None` where it is about the whole pod.
    pub fn container_of(series: &Labels) -> Option<&str> {
        let name = own_label(series, CONTAINER);
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
                let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
                placed.address = label("pod_ip");
                let machine = own_label(labels, MACHINE).unwrap_or_default();
                placed.machine = vec![machine.to_owned(), label("host_ip")];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{Listing, NodeIndex};

    fn series(pairs: &[(&str, &str)]) -> Series {
        let sample = |k: i64| crate::model::Sample {
            at: crate::model::Timestamp::from_millis(k * 15_000),
            value: 1.0,
        };
        Series { labels: Labels::from_pairs(pairs), samples: (0..10).map(sample).collect() }
    }

    /// What is beside the only store, which has these labels, where these series are recorded too.
    fn beside_store(labels: &[(&str, &str)], more: &[&[(&str, &str)]]) -> Beside {
        let own = |name| [&[("__name__", name), ("job", "tikv")], labels].concat();
        let mut all = vec![series(&own("up")), series(&own("tikv_raftstore_region_count"))];
        all.extend(more.iter().map(|pairs| series(pairs)));
        let (nodes, _) = Nodes::resolve(&Listing::default(), all);
        nodes.beside(NodeIndex::Store(0)).cloned().expect("there is a store")
    }

    const PLAIN: [(&str, &str); 1] = [("instance", "10.0.0.1:20180")];

    fn info<'a>(namespace: &'a str, pod: &'a str, ip: &'a str) -> [(&'a str, &'a str); 8] {
        [
            ("__name__", "kube_pod_info"),
            ("job", "kube-state-metrics"),
            ("instance", "10.9.9.9:8080"),
            ("namespace", namespace),
            ("pod", pod),
            ("pod_ip", ip),
            ("node", "worker-1"),
            ("host_ip", "10.1.0.7"),
        ]
    }

    fn exporter(instance: &str) -> [(&str, &str); 3] {
        [("__name__", "node_boot_time_seconds"), ("job", "node"), ("instance", instance)]
    }

    #[test]
    fn a_machine_is_found_by_its_host_and_by_what_it_calls_itself() {
        let machine =
            |labels: &[(&str, &str)], of: &[(&str, &str)]| beside_store(labels, &[of]).machine;
        let found = Some("10.0.0.1:9100".to_owned());
        assert_eq!(machine(&PLAIN, &exporter("10.0.0.1:9100")), found);
        assert_eq!(machine(&PLAIN, &exporter("10.0.0.2:9100")), None);
        let named = [("instance", "db-3.example.com:20180")];
        let own = [("__name__", "node_uname_info"), ("job", "node"), ("instance", "10.0.0.2:9100")];
        let called = [&own[..], &[("nodename", "db-3")]].concat();
        assert!(machine(&named, &called).is_some());
        let local = [("instance", "127.0.0.1:20180")];
        assert_eq!(machine(&local, &exporter("127.0.0.1:9100")), None, "loopback");
    }

    #[test]
    fn a_pod_is_found_by_name_within_its_namespace_or_by_its_address() {
        let pod = |labels: &[(&str, &str)], more: &[&[(&str, &str)]]| {
            beside_store(labels, more).pod.map(|pod| format!("{}/{}", pod.namespace, pod.name))
        };
        let labelled = [("instance", "10.0.0.1:20180"), ("pod", "a-tikv-0")];
        let (ours, theirs) =
            (info("tidb", "a-tikv-0", "10.0.0.1"), info("dev", "a-tikv-0", "10.0.0.9"));
        assert_eq!(pod(&labelled, &[&ours]).as_deref(), Some("tidb/a-tikv-0"));
        assert_eq!(pod(&labelled, &[&ours, &theirs]), None, "two namespaces have it");
        let placed = [&labelled[..], &[("namespace", "tidb")]].concat();
        assert_eq!(pod(&placed, &[&ours, &theirs]).as_deref(), Some("tidb/a-tikv-0"));
        assert_eq!(pod(&PLAIN, &[&ours, &theirs]).as_deref(), Some("tidb/a-tikv-0"), "by address");
    }

    #[test]
    fn the_machine_of_a_pod_is_the_one_that_it_runs_on() {
        let exporter = exporter("10.1.0.7:9100");
        let info = info("tidb", "a-tikv-0", "10.0.0.1");
        let found = beside_store(&PLAIN, &[&info, &exporter]);
        assert_eq!(found.machine.as_deref(), Some("10.1.0.7:9100"));
        assert_eq!(beside_store(&PLAIN, &[&exporter]).machine, None);
    }

    #[test]
    fn a_probe_is_of_what_it_probes() {
        let probe = |pairs: &[(&'static str, &'static str)]| {
            let of = |name| [&[("__name__", name), ("job", "blackbox")], pairs].concat();
            let found = beside_store(&PLAIN, &[&of("up"), &of("probe_success")]);
            (found.host_probes.len(), found.port_probes.len())
        };
        assert_eq!(probe(&[("instance", "10.0.0.2:9115"), ("ping", "10.0.0.1")]), (1, 0));
        assert_eq!(probe(&[("instance", "10.0.0.1:9115"), ("ping", "10.0.0.1")]), (0, 0));
        assert_eq!(probe(&[("instance", "10.0.0.1:20180"), ("group", "tikv")]), (0, 1));
        assert_eq!(probe(&[("instance", "http://10.0.0.1:20180/metrics")]), (0, 1));
        assert_eq!(probe(&[("instance", "10.0.0.1:22")]), (0, 0));
    }
}
