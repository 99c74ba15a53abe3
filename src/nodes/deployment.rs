//! What deployed the cluster, as far as its naming shows it beyond doubt: TiUP by the labels and jobs that its
//! template for Prometheus gives, Compose by the names of the services of `subjects/tikv`.
//!
//! Kubernetes is decided node by node, by pods. Where nothing tells the deployment, nothing is assumed.

use super::address::host;
use super::resolve::Nodes;
use super::target::ScrapeTarget;
use crate::model::Component;

/// What deployed the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deployment {
    /// TiUP, under this name of the cluster.
    Tiup(String),
    /// Compose, with services that have the names of the nodes' hosts.
    Compose,
    /// Nothing says it.
    Unknown,
}

/// What stands for the name of a cluster of TiUP that no label says.
const NO_CLUSTER: &str = "CLUSTER";

impl Nodes {
    /// What deployed the cluster.
    pub(super) fn deployment(&self) -> Deployment {
        if let Some(cluster) = self.tiup_cluster() {
            return Deployment::Tiup(cluster);
        }
        if self.is_compose() { Deployment::Compose } else { Deployment::Unknown }
    }

    /// The name of TiUP's cluster. `embed/templates/config/prometheus.yml.tpl` of TiUP names jobs after components,
    /// scrapes machines as `overwritten-nodes` and pings as `blackbox_exporter_HOST:PORT_icmp`, and has the external
    /// labels `cluster`, with TiUP's name of the cluster, and `monitor="prometheus"`. External labels are absent where
    /// samples were read by queries.
    fn tiup_cluster(&self) -> Option<String> {
        let own: Vec<&ScrapeTarget> =
            self.targets.iter().filter(|one| one.component.is_node()).collect();
        if own.is_empty() || !own.iter().all(|one| has_template_job(one)) {
            return None;
        }
        let labelled = |target: &ScrapeTarget| {
            let cluster = target.labels.get("cluster").filter(|name| !name.is_empty())?;
            (target.labels.get("monitor") == Some("prometheus")).then(|| cluster.to_owned())
        };
        if let Some(cluster) = labelled(own[0]) {
            let is_same = |one: &&ScrapeTarget| labelled(one).as_ref() == Some(&cluster);
            return own.iter().all(is_same).then_some(cluster);
        }
        let is_of_template = |job: &str| {
            job == "overwritten-nodes"
                || job.starts_with("blackbox_exporter_") && job.ends_with("_icmp")
        };
        let shown = self.targets.iter().any(|one| is_of_template(one.job()));
        shown.then(|| NO_CLUSTER.to_owned())
    }

    /// Whether all nodes have names of services of `subjects/tikv/docker-compose.yaml`, and its exporter of the
    /// machine, the service `node`, is scraped beside them. Names alone could be those of machines.
    fn is_compose(&self) -> bool {
        let stores = self.stores.iter().map(|one| is_service(&one.address, "tikv"));
        let members = self.members.iter().map(|one| is_service(&one.address, "pd"));
        let has_exporter = self
            .targets
            .iter()
            .any(|one| one.component == Component::Node && host(one.instance()) == "node");
        has_exporter && !self.stores.is_empty() && stores.chain(members).all(|is_one| is_one)
    }
}

/// Whether a target has the job that TiUP's template gives its component.
fn has_template_job(target: &ScrapeTarget) -> bool {
    match target.component {
        Component::Tikv => target.job() == "tikv",
        // PD's services apart from its members.
        Component::Pd => ["pd", "tso", "scheduling"].contains(&target.job()),
        Component::TiFlash => target.job() == "tiflash",
        _ => false,
    }
}

/// Whether the host of an address is a component's name and a number.
fn is_service(address: &str, component: &str) -> bool {
    let number = host(address).strip_prefix(component).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
