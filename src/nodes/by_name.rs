//! Which node somebody means by a name: its own, an address, a host, a pod.

use super::Nodes;

/// A node, as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeIndex {
    /// A place in [`Nodes::stores`].
    Store(usize),
    /// A place in [`Nodes::members`].
    Member(usize),
}

impl Nodes {
    /// The only node that has this name: `store 4` or `4`, the name of a member, an address with or without
    /// its port, the first label of a host, or the name of a pod. `component`, such as `tikv` or `pd`,
    /// decides between a store and a member of one host. `None` where no node is called so, or several.
    pub fn named(&self, name: &str, component: &str) -> Option<NodeIndex> {
        let mut found = Vec::new();
        if component != "pd" {
            for (index, store) in self.stores.iter().enumerate() {
                let id = store.id.map(|id| id.0.to_string());
                let names = [
                    Some(store.address.as_str()),
                    store.known_as.as_deref(),
                    store.instance.as_deref(),
                ];
                if id.as_deref() == Some(name) || store.name() == name || is_one_of(name, &names) {
                    found.push(NodeIndex::Store(index));
                }
            }
        }
        if !matches!(component, "tikv" | "tiflash") {
            for (index, member) in self.members.iter().enumerate() {
                let names = [
                    Some(member.name.as_str()),
                    Some(member.address.as_str()),
                    member.known_as.as_deref(),
                    member.instance.as_deref(),
                ];
                if is_one_of(name, &names) {
                    found.push(NodeIndex::Member(index));
                }
            }
        }
        match found.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

/// Whether `name` is one of these names, its host, or the first label of its host.
fn is_one_of(name: &str, names: &[Option<&str>]) -> bool {
    names.iter().flatten().any(|known| {
        let host = known.rsplit_once(':').map_or(*known, |(host, _)| host);
        let is_number = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let label = host.split('.').next().filter(|_| !is_number);
        *known == name || host == name || label == Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Component, StoreId};
    use crate::nodes::{MemberNode, Reason, StoreNode};

    fn nodes() -> Nodes {
        let store = |id, address: &str| StoreNode {
            id: Some(StoreId(id)),
            address: address.to_owned(),
            known_as: None,
            component: Component::Tikv,
            instance: None,
            reason: Reason::ListedAddress,
        };
        let member = MemberNode {
            name: "pd-10.0.0.1-2379".to_owned(),
            address: "10.0.0.1:2379".to_owned(),
            known_as: None,
            instance: None,
            reason: Reason::ListedAddress,
        };
        Nodes {
            stores: vec![store(1, "10.0.0.1:20160"), store(4, "basic-tikv-0.peer.ns.svc:20160")],
            members: vec![member],
            ..Nodes::default()
        }
    }

    #[test]
    fn a_node_is_found_by_each_of_its_names() {
        let nodes = nodes();
        for name in ["store 4", "4", "basic-tikv-0", "basic-tikv-0.peer.ns.svc:20160"] {
            assert_eq!(nodes.named(name, "tikv"), Some(NodeIndex::Store(1)), "{name}");
        }
        assert_eq!(nodes.named("pd-10.0.0.1-2379", ""), Some(NodeIndex::Member(0)));
    }

    #[test]
    fn a_host_of_two_nodes_is_decided_by_the_component() {
        let nodes = nodes();
        assert_eq!(nodes.named("10.0.0.1", ""), None);
        assert_eq!(nodes.named("10.0.0.1", "tikv"), Some(NodeIndex::Store(0)));
        assert_eq!(nodes.named("10.0.0.1", "pd"), Some(NodeIndex::Member(0)));
        assert_eq!(nodes.named("10", "tikv"), None);
    }
}
