//! Labels as relabelling, agents, federation and further scrapes leave them.

use operator::model::{Labels, Sample, Series};

use super::naming::{Named, Node, bare, dns, host_instances, ip, pod, pod_dns, rename};
use super::scraping::{add_neighbour, add_target};
use crate::run::Run;

fn with_pods(node: &Node, labels: Vec<(&'static str, String)>) -> Named {
    let member = if node.component == "pd" { pod(node) } else { String::new() };
    Named { member, ..Named::new(node, pod_dns(node), labels) }
}

/// One job for each cluster, which stores and PD share.
pub(super) fn cluster_as_job(run: &mut Run) {
    rename(run, |node| {
        let instance = format!("{}:{}", node.host, node.port());
        let labels = vec![("job", "prod-eu".to_owned()), ("instance", instance)];
        Named::new(node, node.host.clone(), labels)
    });
}

/// Pods found by their annotations: one job for all, the pods' labels as labels.
pub(super) fn annotated_pods(run: &mut Run) {
    rename(run, |node| {
        let labels = vec![
            ("job", "kubernetes-pods".to_owned()),
            ("instance", format!("10.244.1.{}:{}", ip(node), node.port())),
            ("app_kubernetes_io_component", node.component.to_owned()),
            ("app_kubernetes_io_instance", "basic".to_owned()),
            ("app_kubernetes_io_managed_by", "tidb-operator".to_owned()),
            ("app_kubernetes_io_name", "tidb-cluster".to_owned()),
            ("kubernetes_namespace", "tidb".to_owned()),
            ("kubernetes_pod_name", pod(node)),
        ];
        with_pods(node, labels)
    });
}

/// Instances are the machines of Kubernetes, which pods share; a label names the pod.
pub(super) fn machine_instances(run: &mut Run) {
    rename(run, |node| {
        let labels = vec![
            ("job", format!("monitoring/{}", node.component)),
            ("instance", format!("worker-{}", node.index % 2)),
            ("pod", pod(node)),
            ("namespace", "tidb".to_owned()),
            ("node", format!("worker-{}", node.index % 2)),
        ];
        with_pods(node, labels)
    });
}

/// Addresses of another network than PD's, and a label for the machine.
pub(super) fn host_label(run: &mut Run) {
    rename(run, |node| {
        let host = format!("{}-{}", node.component, node.index);
        let labels = vec![
            ("job", node.component.to_owned()),
            ("instance", format!("192.168.7.{}:{}", ip(node), node.port())),
            ("host", host.clone()),
            ("dc", "east".to_owned()),
        ];
        Named::new(node, format!("{host}.internal"), labels)
    });
}

/// An agent drops the label `instance`, and keeps that of the pod.
pub(super) fn instance_dropped(run: &mut Run) {
    rename(run, |node| {
        let labels = vec![
            ("job", format!("tidb/{}", node.component)),
            ("instance", String::new()),
            ("pod", pod(node)),
            ("namespace", "tidb".to_owned()),
        ];
        with_pods(node, labels)
    });
}

/// An agent that writes to a Mimir: jobs of its integrations, machines as instances, labels on everything.
pub(super) fn agent_to_mimir(run: &mut Run) {
    rename(run, |node| {
        let host = format!("ip-10-0-1-{}", ip(node));
        let labels = vec![
            ("job", format!("integrations/{}", node.component)),
            ("instance", host),
            ("cluster", "eu-prod-1".to_owned()),
            ("source", "agent".to_owned()),
            ("team", "storage".to_owned()),
        ];
        Named::new(node, format!("10.0.1.{}", ip(node)), labels)
    });
}

/// Only the job of the stores has a label for the cluster, and no name is known to both sides.
pub(super) fn cluster_on_stores_only(run: &mut Run) {
    dns(run);
    label_job(run, "tikv", &[("cluster", "prod")]);
}

fn label_job(run: &mut Run, component: &str, pairs: &[(&str, &str)]) {
    for series in &mut run.series {
        if series.labels.get("job").is_some_and(|job| job.contains(component)) {
            series.labels = series.labels.with(pairs);
        }
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// A second cluster with the same addresses, which a label tells apart whose name nobody knows.
pub(super) fn clusters_by_another_label(run: &mut Run) {
    for series in &mut run.series {
        series.labels = series.labels.with(&[("tenant", "ours")]);
    }
    add_neighbour(run, "10.77.0.", &[("tenant", "theirs")]);
}

/// PD and the stores are in namespaces of their own, and no label names a pod.
pub(super) fn namespaces_apart(run: &mut Run) {
    rename(run, |node| with_pods(node, bare(node)));
    label_job(run, "tikv", &[("namespace", "tikv")]);
    label_job(run, "pd", &[("namespace", "placement")]);
}

/// A Prometheus that federates the components' own metrics from another, and nothing that the other one
/// wrote itself.
pub(super) fn federated(run: &mut Run) {
    const OWN: [&str; 3] = ["tikv_", "pd_", "etcd_"];
    run.series.retain(|one| OWN.iter().any(|prefix| one.labels.metric().starts_with(prefix)));
}

/// A Prometheus that federates without `honor_labels`: job and instance are the other Prometheus's.
pub(super) fn federated_as_exported(run: &mut Run) {
    for series in &mut run.series {
        let label = |name: &str| series.labels.get(name).unwrap_or_default().to_owned();
        let (job, instance) = (label("job"), label("instance"));
        series.labels = series.labels.with(&[
            ("job", "federate"),
            ("instance", "prometheus-0.acme.internal:9090"),
            ("exported_job", &job),
            ("exported_instance", &instance),
        ]);
    }
    let own = [("job", "federate"), ("instance", "prometheus-0.acme.internal:9090")];
    add_target(run, &own, 15);
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

fn later(series: &Series, labels: &[(&str, &str)], by_ms: i64) -> Series {
    // Milliseconds of PD's clock, which goes on.
    let is_clock = series.labels.metric() == "pd_cluster_tso";
    let moved = |sample: &Sample| {
        let passed = if is_clock && sample.value > 1e12 { by_ms as f64 } else { 0.0 };
        let value = if passed > 0.0 { sample.value + passed } else { sample.value };
        Sample { at: sample.at.saturating_add_millis(by_ms), value }
    };
    let samples = series.samples.iter().map(moved).collect();
    Series { labels: series.labels.with(labels), samples }
}

/// Two jobs scrape the same targets: one that somebody wrote, and one that found them.
pub(super) fn scraped_twice(run: &mut Run) {
    let twice = |one: &Series| {
        let job = format!("discovered-{}", one.labels.get("job").unwrap_or_default());
        [later(one, &[], 0), later(one, &[("job", &job)], 4_000)]
    };
    run.series = run.series.iter().flat_map(twice).collect();
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Two Prometheus servers that a label tells apart whose name nobody knows.
pub(super) fn replicas_by_another_label(run: &mut Run) {
    let both =
        |one: &Series| [later(one, &[("scraper", "a")], 0), later(one, &[("scraper", "b")], 6_000)];
    run.series = run.series.iter().flat_map(both).collect();
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Hosts as instances, which exporters of machines and of processes share with the components.
pub(super) fn machines_share_instances(run: &mut Run) {
    host_instances(run);
    for index in 0..4 {
        let instance = format!("db-{index}");
        for job in ["node", "process-exporter"] {
            add_target(run, &[("job", job), ("instance", &instance)], 15);
        }
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Programs beside the cluster that are clients of it, under names that contain those of its components.
pub(super) fn clients_beside(run: &mut Run) {
    for (job, instance) in [
        ("tikv-cdc", "10.77.0.70:8600"),
        ("tikv-backup-exporter", "10.77.0.71:9100"),
        ("juicefs", "10.77.0.72:9567"),
        ("pd-proxy", "10.77.0.73:8080"),
        ("ticdc", "10.77.0.74:8300"),
        ("tiproxy", "10.77.0.75:3080"),
    ] {
        add_target(run, &[("job", job), ("instance", instance)], 15);
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Only what the official dashboards draw is kept of what the components expose.
pub(super) fn dashboards_only(run: &mut Run) {
    const DROPPED: [&str; 22] = [
        "etcd_disk_backend_commit_duration_seconds",
        "etcd_network_peer_round_trip_time_seconds",
        "etcd_server_has_leader",
        "etcd_server_id",
        "etcd_server_is_leader",
        "pd_monitor_time_jump_back_total",
        "raft_engine_sync_log_duration_seconds",
        "raft_engine_write_duration_seconds",
        "tikv_engine_compaction_num_corrupt_keys",
        "tikv_engine_write_stall_reason",
        "tikv_pending_tasks",
        "tikv_raftstore_disk_probe_duration_seconds",
        "tikv_raftstore_inspect_network_duration_seconds",
        "tikv_raftstore_message_recv_by_store",
        "tikv_raftstore_snapshot_traffic_total",
        "tikv_raftstore_store_write_raftdb_duration_seconds",
        "tikv_resolved_ts_min_resolved_ts_region",
        "tikv_running_tasks",
        "tikv_scheduler_discard_ratio",
        "tikv_storage_total",
        "tikv_unified_read_pool_running_tasks",
        "tikv_wait_seconds",
    ];
    run.drop_series(|labels: &Labels| DROPPED.iter().any(|one| labels.metric().starts_with(one)));
}
