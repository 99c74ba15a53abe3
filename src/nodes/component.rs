//! What a scrape target is: by what it exposes, and only where that says nothing by how it is called.

use super::address::port;
use crate::model::{Component, Labels};

/// The component that exposes a metric of this name; `None` where several do, as with `process_*`.
/// Clients of PD count their requests as `pd_client_*`, and those of TiKV theirs as `tikv_client_*`, so that
/// these prefixes show no PD and no TiKV.
pub(super) fn exposing(metric: &str) -> Option<Component> {
    const PREFIXES: [(&str, Component); 10] = [
        ("tikv_", Component::Tikv),
        ("raft_engine_", Component::Tikv),
        ("pd_", Component::Pd),
        ("tidb_", Component::Tidb),
        ("tiflash_", Component::TiFlash),
        ("node_", Component::Node),
        ("probe_", Component::Probe),
        ("windows_", Component::Node),
        ("kube_", Component::Kubernetes),
        ("container_", Component::Kubernetes),
    ];
    if metric.starts_with("pd_client_") || metric.starts_with("tikv_client_") {
        return None;
    }
    let mut known = PREFIXES.iter().filter(|(prefix, _)| metric.starts_with(prefix));
    known.next().map(|(_, component)| *component)
}

/// Metrics by which a TiKV or a PD of any version from 5.0 on is found, whatever its job is called.
pub const IN_EVERY_VERSION: [&str; 3] =
    ["tikv_raftstore_region_count", "pd_cluster_status", "pd_cluster_tso"];

/// The component that a target is named after, by its labels.
pub(super) fn named(target: &Labels) -> Component {
    let job = target.get("job").unwrap_or_default();
    by_job(job)
        .or_else(|| {
            let labels =
                ["component", "app_kubernetes_io_component", "app", "service", "container"];
            labels.iter().find_map(|name| by_job(target.get(name)?))
        })
        .or_else(|| by_port(target.get("instance").unwrap_or_default()))
        .unwrap_or(Component::Other)
}

/// The component in the name of a job or a service: `tikv`, `tidb-basic-tikv` (namespace, cluster and
/// component, as TiDB Operator's `TidbMonitor` names jobs), `basic-tikv-peer` (a service). The last word
/// that names a component decides, since the first ones name the cluster. Probes of a component's ports,
/// such as TiUP's `tidb_port_probe`, and exporters beside it are not that component.
fn by_job(job: &str) -> Option<Component> {
    let job = job.to_ascii_lowercase();
    let contains = |parts: &[&str]| parts.iter().any(|part| job.contains(part));
    if contains(&["probe", "blackbox", "icmp", "ping"]) {
        return Some(Component::Probe);
    }
    if contains(&["node-exporter", "node_exporter", "overwritten-nodes"]) {
        return Some(Component::Node);
    }
    if contains(&["kube-state-metrics", "kube_state_metrics", "cadvisor", "kubelet"]) {
        return Some(Component::Kubernetes);
    }
    if contains(&["exporter"]) {
        return Some(Component::Other);
    }
    let words = job.rsplit(|c: char| !c.is_ascii_alphanumeric());
    words.into_iter().find_map(|word| match word {
        "tikv" => Some(Component::Tikv),
        "pd" => Some(Component::Pd),
        "tidb" => Some(Component::Tidb),
        "tiflash" => Some(Component::TiFlash),
        "node" | "nodes" => Some(Component::Node),
        "prometheus" | "grafana" | "alertmanager" | "ticdc" | "tiproxy" | "pump" | "drainer" => {
            Some(Component::Other)
        }
        "cdc" | "proxy" | "client" | "backup" | "br" | "importer" | "lightning" => {
            Some(Component::Other)
        }
        _ => None,
    })
}

/// The component whose status port this is by default.
fn by_port(instance: &str) -> Option<Component> {
    match port(instance)? {
        20180 => Some(Component::Tikv),
        2379 => Some(Component::Pd),
        10080 => Some(Component::Tidb),
        8234 | 20292 => Some(Component::TiFlash),
        9100 => Some(Component::Node),
        9115 => Some(Component::Probe),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(pairs: &[(&str, &str)]) -> Component {
        named(&Labels::from_pairs(pairs))
    }

    #[test]
    fn a_job_names_its_component_in_every_deployment() {
        let by_job = |job: &str| component(&[("job", job), ("instance", "a:1")]);
        assert_eq!(by_job("tikv"), Component::Tikv);
        assert_eq!(by_job("tidb-basic-tikv"), Component::Tikv);
        assert_eq!(by_job("tidb-basic-pd"), Component::Pd);
        assert_eq!(by_job("basic-tikv-peer"), Component::Tikv);
        assert_eq!(by_job("monitoring/tikv"), Component::Tikv);
        assert_eq!(by_job("tidb"), Component::Tidb);
        assert_eq!(by_job("overwritten-nodes"), Component::Node);
        assert_eq!(by_job("node"), Component::Node);
        assert_eq!(by_job("prometheus"), Component::Other);
        assert_eq!(by_job("kube-state-metrics"), Component::Kubernetes);
        assert_eq!(by_job("kubernetes-cadvisor"), Component::Kubernetes);
        assert_eq!(by_job("tikv-cdc"), Component::Other);
    }

    #[test]
    fn a_probe_of_a_store_is_no_store() {
        let port_probe = [("job", "tidb_port_probe"), ("instance", "a:20180"), ("group", "tikv")];
        assert_eq!(component(&port_probe), Component::Probe);
        let icmp = [("job", "blackbox_exporter_10.0.1.1:9115_icmp"), ("instance", "10.0.1.1:9115")];
        assert_eq!(component(&icmp), Component::Probe);
    }

    #[test]
    fn other_labels_and_the_port_decide_where_the_job_says_nothing() {
        assert_eq!(component(&[("job", "db"), ("component", "tikv")]), Component::Tikv);
        assert_eq!(component(&[("job", "db"), ("instance", "10.0.1.5:20180")]), Component::Tikv);
        assert_eq!(component(&[("job", "db"), ("instance", "10.0.1.5:80")]), Component::Other);
    }

    #[test]
    fn a_client_of_pd_is_no_pd() {
        assert_eq!(exposing("pd_client_cmd_handle_cmds_duration_seconds_count"), None);
        assert_eq!(exposing("tikv_client_go_request_seconds_count"), None);
        assert_eq!(exposing("pd_tso_events"), Some(Component::Pd));
        assert_eq!(exposing("tikv_raftstore_region_count"), Some(Component::Tikv));
        assert_eq!(exposing("process_start_time_seconds"), None);
    }
}
