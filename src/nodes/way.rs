//! How a person gets to a node: by its pod where it has one, else by its host.

use super::beside::PodName;
use super::resolve::Nodes;
use super::target::pod_name_of;
use crate::model::shell_word;

/// How a person gets to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a machine, by host name or address.
    Host(String),
    /// To a pod of Kubernetes.
    Pod(PodName),
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
        }
    }

    /// The command of a shell that says how the process of the service `name` ended.
    pub fn end_of(&self, name: &str) -> String {
        match self {
            Self::Host(_) => self.run(&format!("systemctl status \"{name}*\"; dmesg -T | tail")),
            Self::Pod(pod) => {
                let (namespace, name) = words(pod);
                format!("kubectl logs -n {namespace} {name} --previous --tail=50")
            }
        }
    }

    /// The command of a shell that says whether the process of the program `name` runs, and in which state.
    pub fn state_of(&self, name: &str) -> String {
        match self {
            Self::Host(_) => self.run(&format!("ps -o pid,stat,lstart,cmd -C {name}")),
            Self::Pod(pod) => {
                let (namespace, name) = words(pod);
                format!("kubectl describe pod -n {namespace} {name}")
            }
        }
    }
}

/// Namespace and name as words of a shell.
fn words(pod: &PodName) -> (String, String) {
    let namespace = if pod.namespace.is_empty() { NO_NAMESPACE } else { &pod.namespace };
    (shell_word(namespace), shell_word(&pod.name))
}

impl Nodes {
    /// How a person gets to a store, by its place in `stores`.
    pub fn way_to_store(&self, store: usize) -> Way {
        let known = &self.stores[store];
        let beside = self.beside_stores.get(store).and_then(|beside| beside.pod.clone());
        let by_labels = || {
            let target = self.targets.iter().find(|one| Some(&one.name) == known.instance.as_ref());
            target.and_then(|target| pod_name_of(&target.labels))
        };
        match beside.or_else(by_labels) {
            Some(pod) => Way::Pod(pod),
            None => Way::Host(known.host().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_place_and_names_are_words() {
        let host = Way::Host("10.0.0.4; reboot".to_owned());
        assert_eq!(host.run("df -h"), "ssh '10.0.0.4; reboot' 'df -h'");
        let pod = |namespace: &str| {
            Way::Pod(PodName { namespace: namespace.to_owned(), name: "basic-tikv-0".to_owned() })
        };
        assert_eq!(pod("tidb").run("df -h"), "kubectl exec -n tidb basic-tikv-0 -- sh -c 'df -h'");
        assert_eq!(
            pod("").end_of("tikv"),
            "kubectl logs -n NAMESPACE basic-tikv-0 --previous --tail=50"
        );
    }
}
