//! Worlds: the same run as other deployments would have named, scraped and listed it.
//!
//! Every sample keeps its value. What changes is what people configure: addresses, jobs, labels, intervals,
//! what else the same Prometheus scrapes, and which sources there are.

mod addresses;
mod hosts;
mod labels;
mod moving;
mod naming;
mod replaced;
mod scraping;
mod size;

pub use hosts::pod_ended;

use scraping::Half;

use crate::run::Run;

/// A deployment in which a run could have been recorded.
#[derive(Clone, Copy)]
pub struct World {
    /// How it is called in the table.
    pub name: &'static str,
    /// What is missing in it that a verdict may need; `None` where everything is there.
    pub lacks: Option<&'static str>,
    /// Where it says more than the lab does: the only run that it is made of, and the verdict there, as the
    /// campaign writes it. `None` where every run has the verdict of the lab.
    pub told: Option<(&'static str, &'static str)>,
    /// Makes the run one of this world.
    pub change: fn(&mut Run),
}

const fn world(name: &'static str, change: fn(&mut Run)) -> World {
    World { name, lacks: None, told: None, change }
}

/// A world in which machines, Kubernetes or probes say more about one run.
const fn told(
    name: &'static str,
    run: &'static str,
    verdict: &'static str,
    change: fn(&mut Run),
) -> World {
    World { name, lacks: None, told: Some((run, verdict)), change }
}

const fn less(name: &'static str, lacks: &'static str, change: fn(&mut Run)) -> World {
    World { name, lacks: Some(lacks), told: None, change }
}

/// Every world, the lab first.
pub const WORLDS: &[World] = &[
    world("lab", |_| {}),
    world("tiup", naming::tiup),
    world("tiup-template", |run| {
        naming::tiup(run);
        scraping::add_probes(run);
    }),
    world("tiup-dns", naming::dns),
    world("compose", naming::compose),
    world("playground", naming::playground),
    world("own-jobs", naming::own_jobs),
    world("host-instances", naming::host_instances),
    world("operator-v1", naming::tidb_monitor),
    world("operator-v2", naming::pod_monitor),
    world("service-monitor", naming::service_monitor),
    world("service-monitor-bare", naming::service_monitor_bare),
    world("tls", addresses::tls),
    world("ipv6", addresses::ipv6),
    world("ipv6-spelled-out", addresses::ipv6_spelled_out),
    world("node-ports", addresses::node_ports),
    world("two-on-a-host", addresses::two_on_a_host),
    world("names-for-ips", addresses::names_for_ips),
    world("cluster-as-job", labels::cluster_as_job),
    world("annotated-pods", labels::annotated_pods),
    world("machine-instances", labels::machine_instances),
    world("host-label", labels::host_label),
    world("instance-dropped", labels::instance_dropped),
    world("agent-to-mimir", labels::agent_to_mimir),
    world("cluster-on-stores-only", labels::cluster_on_stores_only),
    world("namespaces-apart", labels::namespaces_apart),
    world("federated", labels::federated),
    world("federated-as-exported", labels::federated_as_exported),
    world("scraped-twice", labels::scraped_twice),
    world("replicas-by-another-label", labels::replicas_by_another_label),
    world("machines-share-instances", labels::machines_share_instances),
    world("clients-beside", labels::clients_beside),
    world("dashboards-only", labels::dashboards_only),
    world("pods-move", moving::pods_move),
    world("pods-move-bare", moving::pods_move_bare),
    world("address-moves", moving::address_moves),
    world("relabelled-within", moving::relabelled_within),
    world("neighbour-without-label", |run| {
        naming::dns(run);
        scraping::add_cluster_unlabelled(run, "10.99.0.");
    }),
    world("dns-5.4", |run| {
        naming::dns(run);
        scraping::release_5_4(run);
    }),
    world("operator-v1-5.4", |run| {
        naming::tidb_monitor(run);
        scraping::release_5_4(run);
    }),
    world("dns-dashboards-only", |run| {
        naming::dns(run);
        labels::dashboards_only(run);
    }),
    world("dns-federated", |run| {
        naming::dns(run);
        labels::federated(run);
    }),
    world("two-clusters-by-another-label", labels::clusters_by_another_label),
    world("replicas-of-moving-pods", |run| {
        moving::pods_move(run);
        scraping::add_replica(run);
    }),
    world("two-clusters", |run| scraping::add_cluster(run, "10.99.0.")),
    world("two-clusters-same-names", |run| scraping::add_cluster(run, "10.77.0.")),
    world("replicas", scraping::add_replica),
    world("replicas-with-holes", scraping::add_replica_with_holes),
    world("tiflash-and-tidb", scraping::add_tiflash_and_tidb),
    world("release-5.4", scraping::release_5_4),
    world("prometheus-20-s-ahead", |run| scraping::skew_prometheus(run, 20)),
    world("prometheus-60-s-ahead", |run| scraping::skew_prometheus(run, 60)),
    world("prometheus-20-s-behind", |run| scraping::skew_prometheus(run, -20)),
    world("prometheus-60-s-behind", |run| scraping::skew_prometheus(run, -60)),
    world("dns-60-s-behind", |run| {
        naming::dns(run);
        scraping::skew_prometheus(run, -60);
    }),
    world("60-s-behind-dashboards-only", |run| {
        labels::dashboards_only(run);
        run.drop_series(|labels| labels.metric() == "pd_cluster_tso");
        scraping::skew_prometheus(run, -60);
    }),
    world("prometheus-2-s-ahead", |run| scraping::skew_prometheus(run, 2)),
    world("prometheus-2-s-behind", |run| scraping::skew_prometheus(run, -2)),
    world("prometheus-10-s-ahead", |run| scraping::skew_prometheus(run, 10)),
    world("prometheus-10-s-behind", |run| scraping::skew_prometheus(run, -10)),
    world("prometheus-steps-10-s", |run| scraping::step_prometheus(run, 10)),
    world("prometheus-steps-60-s", |run| scraping::step_prometheus(run, 60)),
    world("prometheus-steps-back-10-s", |run| scraping::step_prometheus(run, -10)),
    world("prometheus-steps-back-60-s", |run| scraping::step_prometheus(run, -60)),
    world("pd-20-s-ahead", |run| scraping::skew_pd(run, 20)),
    world("pd-60-s-behind", |run| scraping::skew_pd(run, -60)),
    world("recorder-60-s-ahead", |run| scraping::skew_recorder(run, 60)),
    world("recorder-10-s-behind", |run| scraping::skew_recorder(run, -10)),
    world("thirty-stores", |run| size::add_stores(run, 7)),
    world("hundred-stores", |run| size::add_stores(run, 24)),
    world("every-30-s", |run| scraping::thin(run, None, 2)),
    world("tikv-every-30-s", |run| scraping::thin(run, Some("tikv"), 2)),
    world("interval-halved", |run| scraping::change_interval(run, Half::First)),
    world("interval-doubled", |run| scraping::change_interval(run, Half::Second)),
    world("kubernetes-quiet", hosts::kubernetes_quiet),
    world("machines-quiet", hosts::machines_quiet),
    told("pod-oom-killed", "chaos-02", "fault oom_kill@store 4", hosts::pod_oom_killed),
    told("pod-exited", "chaos-02", "fault store_crash@store 4", hosts::pod_exited),
    told("machine-oom-killed", "chaos-02", "fault oom_kill@store 4", hosts::machine_oom_killed),
    told("machine-rebooted", "chaos-02", "fault store_crash@store 4", hosts::machine_rebooted),
    told(
        "machine-unreachable",
        "chaos-07",
        "fault store_partition@store 1",
        hosts::machine_unreachable,
    ),
    told("machine-disk-slow", "chaos-03", "fault slow_disk@store 1", hosts::machine_disk_slow),
    told("machine-read-only", "chaos-01", "fault disk_hang@store 4", hosts::machine_read_only),
    told("machine-clock-off", "chaos-01", "fault clock_drift@a member", hosts::machine_clock_off),
    told("pod-throttled", "chaos-01", "fault cpu_starved@store 4", hosts::pod_throttled),
    told("probes-slow", "chaos-01", "fault slow_network@store 4", hosts::probes_slow),
    world("node-replaced", replaced::node_replaced),
    world("node-replaced-unnamed", replaced::node_replaced_unnamed),
    less("every-60-s", "three of four scrapes", |run| scraping::thin(run, None, 4)),
    less("tikv-every-60-s", "three of four scrapes", |run| scraping::thin(run, Some("tikv"), 4)),
    less("no-pd", "PD's API and metrics", scraping::drop_pd),
    less("pd-only", "TiKV's metrics", scraping::drop_tikv),
];
