//! Resolves scrape targets to stores and members, by what PD lists and by addresses.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{host, without_scheme};
use crate::model::{Component, StoreId};

/// Why a node has the scrape target that it has, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The target's `instance` is the address that PD lists for it.
    ListedAddress,
    /// It is the only target of its component on the node's host.
    OnlyTargetOfHost,
    /// No answer of PD lists the node: it is known by its target alone.
    OnlyTarget,
    /// No target has its address, and none or several are on its host.
    NoTarget,
}

/// A store, and the scrape target that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreNode {
    /// PD's number; `None` where no answer of PD lists it.
    pub id: Option<StoreId>,
    /// Where clients reach it; its metrics' address where PD lists none.
    pub address: String,
    /// The scrape target's `instance`; `None` where Prometheus does not know it.
    pub instance: Option<String>,
    /// Why it is that target.
    pub reason: Reason,
}

impl StoreNode {
    /// `store 4`, or its address.
    pub fn name(&self) -> String {
        self.id.map_or_else(|| self.address.clone(), |id| format!("store {id}"))
    }
}

/// A member of PD, and the scrape target that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberNode {
    /// Its name; that of its target where no answer of PD lists it.
    pub name: String,
    /// Host and port of its client URL.
    pub address: String,
    /// The scrape target's `instance`; `None` where Prometheus does not know it.
    pub instance: Option<String>,
    /// Why it is that target.
    pub reason: Reason,
}

/// What PD says of its stores and members.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Stores by id, with the address of clients and the address of metrics, which may be empty.
    pub stores: BTreeMap<StoreId, (String, String)>,
    /// Members by name, with their client URL.
    pub members: BTreeMap<String, String>,
}

/// The scrape targets of a run, by component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(BTreeMap<Component, BTreeSet<String>>);

impl Targets {
    /// Sorts pairs of `job` and `instance` by component. Pairs without an instance are left out.
    pub fn of<'a>(targets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found: BTreeMap<Component, BTreeSet<String>> = BTreeMap::new();
        for (job, instance) in targets.into_iter().filter(|(_, instance)| !instance.is_empty()) {
            found.entry(Component::of_job(job)).or_default().insert(instance.to_owned());
        }
        Self(found)
    }

    /// Instances of a component, ascending.
    pub fn of_component(&self, component: Component) -> impl Iterator<Item = &str> {
        self.0.get(&component).into_iter().flatten().map(String::as_str)
    }

    /// Whether there is no target of this component.
    pub fn lacks(&self, component: Component) -> bool {
        self.of_component(component).next().is_none()
    }

    /// The target of a component that has this address, or else the only one on its host.
    fn at(&self, component: Component, address: &str, host_of: &str) -> (Option<String>, Reason) {
        if self.0.get(&component).is_some_and(|known| known.contains(address)) {
            return (Some(address.to_owned()), Reason::ListedAddress);
        }
        let mut same = self.of_component(component).filter(|one| host(one) == host(host_of));
        match (same.next(), same.next()) {
            (Some(only), None) => (Some(only.to_owned()), Reason::OnlyTargetOfHost),
            _ => (None, Reason::NoTarget),
        }
    }
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Every store that PD or Prometheus knows: those that PD lists by id, then the others.
    pub stores: Vec<StoreNode>,
    /// Every member of PD, ascending by name.
    pub members: Vec<MemberNode>,
    /// The scrape targets.
    pub targets: Targets,
}

impl Nodes {
    /// Resolves targets to what PD lists. Members are known by their targets only where no answer
    /// of PD names any.
    pub fn resolve(listing: Listing, targets: Targets) -> Self {
        let stores = stores(listing.stores, &targets);
        let mut members: Vec<MemberNode> = listing
            .members
            .into_iter()
            .map(|(name, url)| {
                let address = without_scheme(&url).to_owned();
                let (instance, reason) = targets.at(Component::Pd, &address, &address);
                MemberNode { name, address, instance, reason }
            })
            .collect();
        if members.is_empty() {
            members.extend(targets.of_component(Component::Pd).map(|instance| MemberNode {
                name: instance.to_owned(),
                address: instance.to_owned(),
                instance: Some(instance.to_owned()),
                reason: Reason::OnlyTarget,
            }));
        }
        Self { stores, members, targets }
    }

    /// The place in [`stores`](Self::stores) of the store with this id.
    pub fn store(&self, id: StoreId) -> Option<usize> {
        self.stores.iter().position(|store| store.id == Some(id))
    }

    /// The place in [`stores`](Self::stores) of the store that this scrape target is.
    pub fn store_of_instance(&self, instance: &str) -> Option<usize> {
        self.stores.iter().position(|store| store.instance.as_deref() == Some(instance))
    }

    fn member(&self, name: &str) -> Option<&MemberNode> {
        let place = self.members.binary_search_by(|member| member.name.as_str().cmp(name));
        place.ok().map(|place| &self.members[place])
    }

    /// The scrape target of a member of PD. A name that PD does not list may be that of a target.
    pub fn instance_of_member(&self, name: &str) -> Option<String> {
        match self.member(name) {
            Some(member) => member.instance.clone(),
            None => {
                let mut targets = self.targets.of_component(Component::Pd);
                targets.find(|instance| *instance == name).map(str::to_owned)
            }
        }
    }

    /// Names of PD's members, ascending.
    pub fn member_names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Host and port of a member of PD, or its name where PD does not list it.
    pub fn member_address(&self, name: &str) -> String {
        let listed = self.member(name).map(|member| member.address.clone());
        listed.unwrap_or_else(|| without_scheme(name).to_owned())
    }
}

fn stores(listed: BTreeMap<StoreId, (String, String)>, targets: &Targets) -> Vec<StoreNode> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut stores = Vec::new();
    for (id, (address, status_address)) in listed {
        let (instance, reason) = targets.at(Component::Tikv, &status_address, &address);
        taken.extend(instance.clone());
        stores.push(StoreNode { id: Some(id), address, instance, reason });
    }
    let others =
        targets.of_component(Component::Tikv).filter(|instance| !taken.contains(*instance));
    stores.extend(others.map(|instance| StoreNode {
        id: None,
        address: instance.to_owned(),
        instance: Some(instance.to_owned()),
        reason: Reason::OnlyTarget,
    }));
    stores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(stores: &[(u64, &str, &str)], members: &[(&str, &str)]) -> Listing {
        let owned = |text: &str| text.to_owned();
        let store = |(id, address, status): &(u64, &str, &str)| {
            (StoreId(*id), (owned(address), owned(status)))
        };
        Listing {
            stores: stores.iter().map(store).collect(),
            members: members.iter().map(|(name, url)| (owned(name), owned(url))).collect(),
        }
    }

    #[test]
    fn a_store_is_the_target_at_its_status_address_or_the_only_one_of_its_host() {
        let listed = listing(&[(1, "a:20160", "a:20180"), (4, "b:20160", ""), (5, "c:1", "")], &[]);
        let targets = [("tikv", "a:20180"), ("tikv", "b:9"), ("tikv", "c:2"), ("tikv", "c:3")];
        let nodes = Nodes::resolve(listed, Targets::of(targets));
        let found =
            nodes.stores.iter().map(|one| (one.name(), one.instance.as_deref(), one.reason));
        let found: Vec<_> = found.collect();
        let named = |name: &str| name.to_owned();
        assert_eq!(
            found,
            [
                (named("store 1"), Some("a:20180"), Reason::ListedAddress),
                (named("store 4"), Some("b:9"), Reason::OnlyTargetOfHost),
                (named("store 5"), None, Reason::NoTarget),
                (named("c:2"), Some("c:2"), Reason::OnlyTarget),
                (named("c:3"), Some("c:3"), Reason::OnlyTarget),
            ]
        );
        assert_eq!((nodes.store(StoreId(4)), nodes.store_of_instance("c:3")), (Some(1), Some(4)));
    }

    #[test]
    fn members_are_named_by_their_targets_where_pd_names_none() {
        let targets = Targets::of([("pd", "p0:2379"), ("pd", "p1:2379"), ("node", "p0:9100")]);
        let unlisted = Nodes::resolve(Listing::default(), targets.clone());
        assert_eq!(unlisted.member_names().collect::<Vec<_>>(), ["p0:2379", "p1:2379"]);
        let members = [("pd0", "http://p0:2379"), ("pd2", "http://p2:2379/")];
        let listed = Nodes::resolve(listing(&[], &members), targets);
        assert_eq!(listed.instance_of_member("pd0").as_deref(), Some("p0:2379"));
        assert_eq!(listed.instance_of_member("pd2"), None);
        assert_eq!(listed.instance_of_member("p1:2379").as_deref(), Some("p1:2379"));
        assert_eq!(listed.member_address("pd2"), "p2:2379");
        assert_eq!(listed.member_address("pd9"), "pd9");
        assert!(listed.targets.lacks(Component::Tikv) && !listed.targets.lacks(Component::Node));
    }
}
