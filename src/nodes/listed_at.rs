//! Which nodes PD lists at the place of a target: by address, else by host, else by the first label of a host.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{canonical, host, short_name, without_scheme};
use super::listing::Listing;
use super::target::pod_of;
use crate::model::{Component, Labels, StoreId};

/// A node that PD lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ListedNode<'a> {
    Store(StoreId),
    Member(&'a str),
}

type At<'a> = BTreeMap<String, BTreeSet<ListedNode<'a>>>;

/// Where PD lists its nodes. A node is at every address that it had, and several may share a place.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    addresses: At<'a>,
    hosts: At<'a>,
    short_names: At<'a>,
}

impl<'a> Places<'a> {
    pub fn new(listing: &'a Listing<'_>) -> Self {
        let mut places = Self::default();
        for (id, store) in &listing.stores {
            let former = store.former.iter().map(String::as_str);
            for address in former.chain([store.address, store.status_address]) {
                places.add(address, ListedNode::Store(*id));
            }
        }
        for (name, member) in &listing.members {
            places.add(without_scheme(member.url), ListedNode::Member(name));
        }
        places
    }

    fn add(&mut self, address: &str, node: ListedNode<'a>) {
        if address.is_empty() {
            return;
        }
        let address = canonical(address);
        if let Some(short) = short_name(&address) {
            self.short_names.entry(short.to_owned()).or_default().insert(node);
        }
        self.hosts.entry(host(&address).to_owned()).or_default().insert(node);
        self.addresses.entry(address).or_default().insert(node);
    }

    /// The nodes at the place of a target, by what names it most narrowly; none where PD lists none there.
    pub fn nodes_at(&self, component: Component, labels: &Labels) -> BTreeSet<ListedNode<'a>> {
        let is_kind = |node: &ListedNode<'_>| {
            matches!(node, ListedNode::Member(_)) == (component == Component::Pd)
        };
        let of = |known: &At<'a>, names: &[String]| -> BTreeSet<ListedNode<'a>> {
            let found = names.iter().filter_map(|name| known.get(name)).flatten();
            found.copied().filter(is_kind).collect()
        };
        let values: Vec<String> = labels
            .iter()
            .filter(|(name, _)| *name != "job")
            .map(|(_, value)| canonical(value))
            .collect();
        let instance = canonical(labels.get("instance").unwrap_or_default());
        let named = pod_of(labels).map(str::to_ascii_lowercase);
        let short = short_name(&instance).map(str::to_owned).into_iter().chain(named);
        let found = [
            of(&self.addresses, &values),
            of(&self.hosts, &[host(&instance).to_owned()]),
            of(&self.short_names, &short.collect::<Vec<_>>()),
        ];
        found.into_iter().find(|nodes| !nodes.is_empty()).unwrap_or_default()
    }
}
