//! How deployments name the nodes of one and the same cluster.

use std::collections::BTreeMap;

use operator::model::{Labels, PdOutcome};

use super::scraping::add_target;
use crate::run::Run;

/// A node of the lab's cluster.
pub(super) struct Node {
    /// `tikv` or `pd`.
    pub component: &'static str,
    /// Its place among the nodes of its component.
    pub index: usize,
    /// Its host.
    pub host: String,
    /// The name of a member of PD; empty for a store.
    pub member: String,
}

/// What a deployment makes of a node.
pub(super) struct Named {
    /// The host under which PD lists it.
    pub listed: String,
    /// The labels of its target, `job` and `instance` among them; an empty value removes one.
    pub labels: Vec<(&'static str, String)>,
    /// How PD calls a member; empty for a store.
    pub member: String,
    /// What is added to its ports.
    pub port_offset: usize,
}

impl Named {
    /// Under the lab's ports and names of members.
    pub fn new(node: &Node, listed: String, labels: Vec<(&'static str, String)>) -> Self {
        Self { listed, labels, member: node.member.clone(), port_offset: 0 }
    }
}

impl Node {
    /// The port of its metrics.
    pub fn port(&self) -> usize {
        if self.component == "pd" { 2379 } else { 20180 }
    }
}

fn nodes(run: &Run) -> Vec<Node> {
    let host = |address: &str| address.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
    let members: BTreeMap<&String, &String> =
        run.pd.iter().map(|answer| (&answer.member, &answer.url)).collect();
    let members = members.into_iter().enumerate().map(|(index, (name, url))| Node {
        component: "pd",
        index,
        host: host(url.trim_start_matches("http://")),
        member: name.clone(),
    });
    let stores = run.stores().into_iter().enumerate().map(|(index, (_, status))| Node {
        component: "tikv",
        index,
        host: host(&status),
        member: String::new(),
    });
    members.chain(stores).collect()
}

/// Names every node anew: in the labels of its series, and wherever PD lists it.
pub(super) fn rename(run: &mut Run, name: impl Fn(&Node) -> Named) {
    let named: Vec<(Node, Named)> = nodes(run)
        .into_iter()
        .map(|node| {
            let named = name(&node);
            (node, named)
        })
        .collect();
    let mut texts: Vec<(String, String)> = Vec::new();
    for (node, named) in &named {
        for port in [20160, 20180, 2379, 2380] {
            let to = format!("{}:{}", named.listed, port + named.port_offset);
            texts.push((format!("{}:{port}", node.host), to));
        }
        if !node.member.is_empty() {
            texts.push((format!("\"{}\"", node.member), format!("\"{}\"", named.member)));
        }
    }
    let renamed =
        |text: &str| texts.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    for series in &mut run.series {
        let labels = &series.labels;
        let own = named.iter().find(|(node, _)| {
            labels.get("job") == Some(node.component)
                && labels.get("instance") == Some(&format!("{}:{}", node.host, node.port()))
        });
        let mut pairs: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| (name.to_owned(), renamed(value))).collect();
        for (name, value) in own.iter().flat_map(|(_, named)| &named.labels) {
            pairs.insert((*name).to_owned(), value.clone());
        }
        pairs.retain(|_, value| !value.is_empty());
        series.labels = Labels::new(pairs.into_iter().collect()).expect("names stay distinct");
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    for answer in &mut run.pd {
        if let Some((_, named)) = named.iter().find(|(node, _)| node.member == answer.member) {
            answer.member.clone_from(&named.member);
        }
        answer.url = renamed(&answer.url);
        if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
            *body = renamed(&String::from_utf8_lossy(body)).into_bytes().into();
        }
    }
}

/// TiUP: components share hosts, addresses are the hosts' IPs, and external labels stand on everything.
pub(super) fn tiup(run: &mut Run) {
    rename(run, |node| {
        let host = format!("10.0.1.{}", node.index + 1);
        let labels = vec![
            ("job", node.component.to_owned()),
            ("instance", format!("{host}:{}", node.port())),
            ("cluster", "prod".to_owned()),
            ("monitor", "prometheus".to_owned()),
        ];
        Named { member: tiup_member(node, &host), ..Named::new(node, host, labels) }
    });
}

/// How TiUP calls a member of PD.
pub(super) fn tiup_member(node: &Node, host: &str) -> String {
    if node.component == "pd" { format!("pd-{host}-2379") } else { String::new() }
}

/// PD knows DNS names, and Prometheus knows IPs.
pub(super) fn dns(run: &mut Run) {
    rename(run, |node| {
        let listed = format!("{}{}.db.acme.internal", node.component, node.index);
        let instance = format!("10.0.1.{}:{}", ip(node), node.port());
        let labels = vec![("job", node.component.to_owned()), ("instance", instance)];
        Named::new(node, listed, labels)
    });
}

/// The last part of an IP that has nothing to do with the order of the nodes.
pub(super) fn ip(node: &Node) -> usize {
    let first = if node.component == "pd" { 10 } else { 20 };
    first + (node.index * 7 + 3) % 11
}

/// Compose: names of services, in PD and in Prometheus alike, and one exporter of the machine.
pub(super) fn compose(run: &mut Run) {
    rename(run, |node| {
        let host = format!("{}{}", node.component, node.index);
        let instance = format!("{host}:{}", node.port());
        Named::new(node, host, vec![("job", node.component.to_owned()), ("instance", instance)])
    });
    add_target(run, &[("job", "node"), ("instance", "node:9100")], 15);
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Everything on one host, told apart by ports, with a Prometheus in a container.
pub(super) fn playground(run: &mut Run) {
    rename(run, |node| {
        let instance = format!("host.docker.internal:{}", node.port() + 100 * node.index);
        let labels = vec![("job", node.component.to_owned()), ("instance", instance)];
        let port_offset = 100 * node.index;
        Named { port_offset, ..Named::new(node, "127.0.0.1".to_owned(), labels) }
    });
}

/// Jobs with names that say nothing.
pub(super) fn own_jobs(run: &mut Run) {
    rename(run, |node| {
        let job = if node.component == "pd" { "db-placement" } else { "db-storage" };
        let instance = format!("{}:{}", node.host, node.port());
        Named::new(node, node.host.clone(), vec![("job", job.to_owned()), ("instance", instance)])
    });
}

/// A relabelling that leaves hosts as instances, which PD and TiKV share.
pub(super) fn host_instances(run: &mut Run) {
    rename(run, |node| {
        let host = format!("db-{}", node.index);
        let labels = vec![("job", node.component.to_owned()), ("instance", host.clone())];
        Named::new(node, format!("{host}.acme.internal"), labels)
    });
}

/// The pod that TiDB Operator runs a node in.
pub(super) fn pod(node: &Node) -> String {
    format!("basic-{}-{}", node.component, node.index)
}

/// The DNS name of that pod.
pub(super) fn pod_dns(node: &Node) -> String {
    format!("{}.basic-{}-peer.tidb.svc", pod(node), node.component)
}

/// TiDB Operator 1: `TidbMonitor` names jobs after namespace, cluster and component, and instances
/// after pods.
pub(super) fn tidb_monitor(run: &mut Run) {
    rename(run, |node| {
        let labels = vec![
            ("job", format!("tidb-basic-{}", node.component)),
            ("instance", pod(node)),
            ("cluster", "basic".to_owned()),
            ("component", node.component.to_owned()),
            ("kubernetes_namespace", "tidb".to_owned()),
            ("tidb_cluster", "tidb-basic".to_owned()),
        ];
        let member = if node.component == "pd" { pod(node) } else { String::new() };
        Named { member, ..Named::new(node, pod_dns(node), labels) }
    });
}

/// TiDB Operator 2: a `PodMonitor`, with random names of pods.
pub(super) fn pod_monitor(run: &mut Run) {
    rename(run, |node| {
        let pod = format!("{}-{}a{}f", node.component, node.index * 37 % 10, node.index);
        let labels = vec![
            ("job", node.component.to_owned()),
            ("instance", pod.clone()),
            ("pod", pod.clone()),
            ("namespace", "tidb".to_owned()),
            ("cluster", "basic".to_owned()),
            ("component", node.component.to_owned()),
            ("prometheus", "monitoring/k8s".to_owned()),
            ("prometheus_replica", "prometheus-k8s-0".to_owned()),
        ];
        let member = if node.component == "pd" { pod.clone() } else { String::new() };
        let listed = format!("{pod}.tikv-{}-peer.tidb", node.component);
        Named { member, ..Named::new(node, listed, labels) }
    });
}

/// kube-prometheus: a `ServiceMonitor` names jobs after services and instances after the pods' IPs.
pub(super) fn service_monitor(run: &mut Run) {
    rename(run, |node| {
        let mut labels = bare(node);
        labels.extend([
            ("pod", pod(node)),
            ("service", format!("basic-{}-peer", node.component)),
            ("endpoint", "status".to_owned()),
            ("container", node.component.to_owned()),
            ("namespace", "tidb".to_owned()),
        ]);
        let member = if node.component == "pd" { pod(node) } else { String::new() };
        Named { member, ..Named::new(node, pod_dns(node), labels) }
    });
}

/// What a `ServiceMonitor` labels without any name of a pod.
pub(super) fn bare(node: &Node) -> Vec<(&'static str, String)> {
    let job = format!("basic-{}-peer", node.component);
    vec![("job", job), ("instance", format!("10.244.1.{}:{}", ip(node), node.port()))]
}

/// The same, where a relabelling dropped the labels that name pods.
pub(super) fn service_monitor_bare(run: &mut Run) {
    rename(run, |node| {
        let member = if node.component == "pd" { pod(node) } else { String::new() };
        Named { member, ..Named::new(node, pod_dns(node), bare(node)) }
    });
}
