//! How a person gets to a node: by its pod where it has one, by what deployed the cluster where its naming shows
//! that, else by its host.

use super::address::host;
use super::beside::PodName;
use super::by_name::NodeIndex;
use super::deployment::Deployment;
use super::resolve::{Nodes, host_of};
use super::target::pod_name_of;
use crate::model::shell_word;

/// How a person gets to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a machine, by host name or address.
    Host(String),
    /// To a pod of Kubernetes.
    Pod(PodName),
    /// To a machine of a cluster that TiUP deployed.
    Tiup {
        /// TiUP's name of the cluster.
        cluster: String,
        /// The machine as TiUP's topology names it.
        host: String,
    },
    /// To a service of Compose, from the machine of its containers.
    Compose(String),
}

/// What stands for a namespace that no label says.
const NO_NAMESPACE: &str = "NAMESPACE";

impl Way {
    /// The command of a shell that runs `command` there.
    pub fn run(&self, command: &str) -> String {
        match self {
            Self::Host(host) => format!("ssh {} {}", shell_word(host), shell_word(command)),
            Self::Pod(pod) => {
                let (namespace, name) = words(pod);
                format!("kubectl exec -n {namespace} {name} -- sh -c {}", shell_word(command))
            }
            // `components/cluster/command/exec.go` of TiUP; `-N` compares hosts of the topology.
            Self::Tiup { cluster, host } => {
                let (cluster, host) = (shell_word(cluster), shell_word(host));
                format!("tiup cluster exec {cluster} -N {host} --command {}", shell_word(command))
            }
            Self::Compose(service) => {
                let service = shell_word(service);
                format!("docker compose exec {service} sh -c {}", shell_word(command))
            }
        }
    }

    /// The command of a shell that runs `command` where the node's disks and processors are looked at: containers
    /// of Compose share those of the reader's machine, and images lack the programs for it.
    pub fn run_on_machine(&self, command: &str) -> String {
        match self {
            Self::Compose(_) => command.to_owned(),
            _ => self.run(command),
        }
    }

    /// `command` as it is where only a host is known, for what stands for "on its machine"; else a command of a shell
    /// that runs it there.
    pub fn run_beside(&self, command: &str) -> String {
        match self {
            Self::Host(_) => command.to_owned(),
            _ => self.run_on_machine(command),
        }
    }

    /// `command` as it is where only a host is known; else [`Self::end_of`] the service `name`.
    pub fn end_beside(&self, name: &str, command: &str) -> String {
        match self {
            Self::Host(_) => command.to_owned(),
            _ => self.end_of(name),
        }
    }

    /// `command` as it is where only a host is known; else [`Self::state_of`] the program `name`.
    pub fn state_beside(&self, name: &str, command: &str) -> String {
        match self {
            Self::Host(_) => command.to_owned(),
            _ => self.state_of(name),
        }
    }

    /// The command of a shell that says how the process of the service `name` ended.
    pub fn end_of(&self, name: &str) -> String {
        match self {
            Self::Host(_) | Self::Tiup { .. } => {
                self.run(&format!("systemctl status \"{name}*\"; dmesg -T | tail"))
            }
            Self::Pod(pod) => {
                let (namespace, name) = words(pod);
                format!("kubectl logs -n {namespace} {name} --previous --tail=50")
            }
            Self::Compose(service) => {
                format!("docker compose logs --tail=50 {}", shell_word(service))
            }
        }
    }

    /// The command of a shell that says whether the process of the program `name` runs, and in which state.
    pub fn state_of(&self, name: &str) -> String {
        let ps = format!("ps -o pid,stat,lstart,cmd -C {name}");
        match self {
            Self::Host(_) => self.run(&ps),
            // No process is no failure of the command, which TiUP would report in place of its output.
            Self::Tiup { .. } => self.run(&format!("{ps}; true")),
            Self::Pod(pod) => {
                let (namespace, name) = words(pod);
                format!("kubectl describe pod -n {namespace} {name}")
            }
            Self::Compose(service) => format!("docker compose ps --all {}", shell_word(service)),
        }
    }
}

/// Namespace and name as words of a shell.
fn words(pod: &PodName) -> (String, String) {
    let namespace = if pod.namespace.is_empty() { NO_NAMESPACE } else { &pod.namespace };
    (shell_word(namespace), shell_word(&pod.name))
}

/// The pod whose DNS name an address has: `basic-tikv-3.basic-tikv-peer.tidb.svc`, the pod, its headless service, and
/// the namespace (Kubernetes, "DNS for Services and Pods").
fn pod_at(address: &str) -> Option<PodName> {
    let mut labels = host(address).split('.');
    let (name, _, namespace) = (labels.next()?, labels.next()?, labels.next()?);
    let pod = PodName { namespace: namespace.to_owned(), name: name.to_owned() };
    (labels.next() == Some("svc")).then_some(pod)
}

impl Nodes {
    /// How a person gets to a store, by its place in `stores`.
    pub fn way_to_store(&self, store: usize) -> Way {
        let known = &self.stores[store];
        self.way_to(NodeIndex::Store(store), &known.address, known.instance.as_deref())
    }

    /// How a person gets to a member of PD, by its name. A name that PD does not list may be that of a target.
    pub fn way_to_member(&self, name: &str) -> Way {
        match self.members.iter().position(|member| member.name == name) {
            Some(member) => {
                let known = &self.members[member];
                self.way_to(NodeIndex::Member(member), &known.address, known.instance.as_deref())
            }
            None => Way::Host(host_of(&self.member_address(name)).to_owned()),
        }
    }

    fn way_to(&self, node: NodeIndex, address: &str, instance: Option<&str>) -> Way {
        let beside = self.beside(node).and_then(|beside| beside.pod.clone());
        let target = self.targets.iter().find(|one| Some(one.name.as_str()) == instance);
        let by_labels = || target.and_then(|target| pod_name_of(&target.labels));
        if let Some(pod) = beside.or_else(by_labels).or_else(|| pod_at(address)) {
            return Way::Pod(pod);
        }
        match self.deployment() {
            // TiUP scrapes hosts as its topology has them; what PD lists may be advertised otherwise.
            Deployment::Tiup(cluster) => {
                let host = target.map_or(address, |target| target.instance());
                Way::Tiup { cluster, host: host_of(host).to_owned() }
            }
            Deployment::Compose => Way::Compose(host(address).to_owned()),
            Deployment::Unknown => Way::Host(host_of(address).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Sample, Series, Timestamp};
    use crate::nodes::Listing;

    #[test]
    fn commands_are_those_of_the_place_and_names_are_words() {
        let host = Way::Host("10.0.0.4; reboot".to_owned());
        assert_eq!(host.run("df -h"), "ssh '10.0.0.4; reboot' 'df -h'");
        assert_eq!(host.run_beside("iostat"), "iostat");
        assert_eq!(host.end_beside("tikv", "tail tikv.log"), "tail tikv.log");
        assert_eq!(host.state_beside("tikv-server", "pgrep tikv"), "pgrep tikv");
        let pod = |namespace: &str| {
            Way::Pod(PodName { namespace: namespace.to_owned(), name: "basic-tikv-0".to_owned() })
        };
        assert_eq!(pod("tidb").run("df -h"), "kubectl exec -n tidb basic-tikv-0 -- sh -c 'df -h'");
        assert_eq!(
            pod("").end_of("tikv"),
            "kubectl logs -n NAMESPACE basic-tikv-0 --previous --tail=50"
        );
        let tiup = Way::Tiup { cluster: "prod; x".to_owned(), host: "10.0.1.4".to_owned() };
        assert_eq!(
            tiup.run_beside("df -h"),
            "tiup cluster exec 'prod; x' -N 10.0.1.4 --command 'df -h'"
        );
        let compose = Way::Compose("tikv0".to_owned());
        assert_eq!(compose.run("df -h"), "docker compose exec tikv0 sh -c 'df -h'");
        assert_eq!(compose.run_on_machine("iostat -x"), "iostat -x");
        assert_eq!(compose.end_of("tikv"), "docker compose logs --tail=50 tikv0");
        assert_eq!(compose.state_of("tikv-server"), "docker compose ps --all tikv0");
    }

    fn series(pairs: &[(&str, &str)]) -> Series {
        let sample = |k: i64| Sample { at: Timestamp::from_millis(k * 15_000), value: 1.0 };
        Series { labels: Labels::from_pairs(pairs), samples: (0..10).map(sample).collect() }
    }

    /// The way to the only store, at `instance`, with these labels beside, where these targets are scraped too.
    fn way(job: &str, instance: &str, more: &[(&str, &str)], beside: &[(&str, &str)]) -> Way {
        let own =
            |name| [&[("__name__", name), ("job", job), ("instance", instance)], more].concat();
        let mut all = vec![series(&own("up")), series(&own("tikv_raftstore_region_count"))];
        all.extend(beside.iter().map(|(job, instance)| {
            series(&[("__name__", "up"), ("job", *job), ("instance", *instance)])
        }));
        Nodes::resolve(&Listing::default(), all).0.way_to_store(0)
    }

    const EXTERNAL: [(&str, &str); 2] = [("cluster", "prod"), ("monitor", "prometheus")];

    #[test]
    fn tiup_is_shown_by_the_labels_and_jobs_of_its_template() {
        let at = "10.0.1.4:20180";
        let tiup =
            |cluster: &str| Way::Tiup { cluster: cluster.to_owned(), host: "10.0.1.4".to_owned() };
        let host = Way::Host("10.0.1.4".to_owned());
        assert_eq!(way("tikv", at, &EXTERNAL, &[]), tiup("prod"));
        assert_eq!(way("tikv", at, &EXTERNAL[..1], &[]), host, "a label of anybody's");
        assert_eq!(way("db/tikv", at, &EXTERNAL, &[]), host, "a job of another name");
        let nodes = [("overwritten-nodes", "10.0.1.4:9100")];
        assert_eq!(way("tikv", at, &[], &nodes), tiup("CLUSTER"), "no external labels");
        let pings = [("blackbox_exporter_10.0.1.4:9115_icmp", "10.0.1.4:9115")];
        assert_eq!(way("tikv", at, &[], &pings), tiup("CLUSTER"));
        assert_eq!(way("tikv", at, &[], &[("node", "10.0.1.4:9100")]), host);
        let pod = [&EXTERNAL[..], &[("pod", "basic-tikv-0")]].concat();
        assert!(matches!(way("tikv", at, &pod, &[]), Way::Pod(_)), "a pod is reached as one");
    }

    #[test]
    fn a_pod_is_shown_by_its_dns_name() {
        let pod = |namespace: &str, name: &str| {
            Some(PodName { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        let found = pod("tidb", "basic-tikv-3");
        assert_eq!(pod_at("basic-tikv-3.basic-tikv-peer.tidb.svc:20160"), found);
        assert_eq!(pod_at("basic-tikv-3.basic-tikv-peer.tidb.svc.cluster.local"), found);
        assert_eq!(pod_at("tikv0.db.example.com:20160"), None);
        assert_eq!((pod_at("10.0.1.4:20160"), pod_at("tikv0:20160")), (None, None));
    }

    #[test]
    fn compose_is_shown_by_the_names_of_all_its_services() {
        let compose = Way::Compose("tikv0".to_owned());
        let node = [("node", "node:9100")];
        assert_eq!(way("tikv", "tikv0:20180", &[], &node), compose);
        assert_eq!(way("tikv", "tikv0:20180", &[], &[]), Way::Host("tikv0".to_owned()));
        let other = Way::Host("tikv0.example.com".to_owned());
        assert_eq!(way("tikv", "tikv0.example.com:20180", &[], &node), other);
        assert_eq!(way("tikv", "tikv-a:20180", &[], &node), Way::Host("tikv-a".to_owned()));
    }
}
