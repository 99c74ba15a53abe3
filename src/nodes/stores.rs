//! Which scrape target each store is: by addresses, then by pods and short names, then by what targets show.

use std::collections::BTreeSet;

use super::Reason;
use super::address::{canonical, host, port, short_name};
use super::listed_at::{ListedNode, Places};
use super::listing::{ListedStore, Listing};
use super::matching::Matching;
use super::shown::Shown;
use super::target::ScrapeTarget;
use super::told::{forms, node_keys, target_keys};
use crate::model::{Component, StoreId};

/// A target that comes into question, with its place among all targets and what it shows.
pub(super) struct Candidate<'a> {
    pub place: usize,
    pub target: &'a ScrapeTarget,
    pub shown: &'a Shown<'a>,
}

/// For each listed store, in the order of its id, the place of its target and why.
pub(super) fn match_stores(
    listing: &Listing<'_>,
    candidates: &[Candidate<'_>],
) -> Vec<Option<(usize, Reason)>> {
    let (present, removed): (Vec<_>, Vec<_>) =
        listing.stores.iter().enumerate().partition(|(_, (_, store))| !store.is_removed);
    let places = Places::new(listing);
    let mut found = vec![None; listing.stores.len()];
    let mut free: Vec<usize> = (0..candidates.len()).collect();
    // A store may have got the address of one that was removed before.
    for stores in [present, removed] {
        for component in [Component::Tikv, Component::TiFlash] {
            let is_it =
                |store: &ListedStore<'_>| store.is_tiflash == (component == Component::TiFlash);
            let stores: Vec<(usize, StoreId, &ListedStore<'_>)> = stores
                .iter()
                .filter(|(_, (_, store))| is_it(store))
                .map(|(place, (id, store))| (*place, **id, *store))
                .collect();
            let targets: Vec<&Candidate<'_>> = free
                .iter()
                .map(|index| &candidates[*index])
                .filter(|one| one.target.component == component)
                .collect();
            for (store, target, reason) in pairs(listing, &places, &stores, &targets) {
                found[stores[store].0] = Some((targets[target].place, reason));
            }
        }
        free.retain(|index| {
            found.iter().flatten().all(|(place, _)| *place != candidates[*index].place)
        });
    }
    found
}

fn pairs(
    listing: &Listing<'_>,
    places: &Places<'_>,
    stores: &[(usize, StoreId, &ListedStore<'_>)],
    targets: &[&Candidate<'_>],
) -> Vec<(usize, usize, Reason)> {
    let told = &listing.told;
    let mut matching = Matching::new(stores.len(), targets.len());
    let removed: Vec<BTreeSet<ListedNode<'_>>> =
        targets.iter().map(|one| only_removed_at(listing, places, one.target)).collect();
    // A TiKV that exchanges messages with a store is another one, and so is one where only others were.
    let possible = |store: usize, target: usize| {
        let id = stores[store].1;
        !targets[target].shown.peers.contains(&id)
            && (removed[target].is_empty() || removed[target].contains(&ListedNode::Store(id)))
    };
    let values = |target: usize| label_values(targets[target].target);
    let addresses = |store: usize| {
        let listed = stores[store].2;
        [listed.status_address, listed.address].map(canonical).to_vec()
    };
    let means_store = |store: usize| {
        let (_, id, listed) = stores[store];
        let mut names = addresses(store);
        names.extend([id.to_string(), format!("store {id}"), listed.address.to_owned()]);
        node_keys(told, &forms(&names))
    };
    let means_target = |target: usize| target_keys(told, &forms(&values(target)));
    matching.by_key(Reason::Told, means_store, means_target, |_, _| true);
    matching.by_key(Reason::ListedAddress, addresses, values, possible);
    let hosts = |store: usize| {
        let listed = stores[store].2;
        hosts_of([listed.status_address, listed.address])
    };
    let instance_host = |target: usize| hosts_of([targets[target].target.instance()]);
    matching.by_key(Reason::OnlyTargetOfHost, hosts, instance_host, possible);
    let label_hosts = |target: usize| hosts_of(values(target).iter().map(String::as_str));
    matching.by_key(Reason::NamedByLabel, hosts, label_hosts, possible);
    let short = |store: usize| {
        let listed = stores[store].2;
        short_names([listed.status_address, listed.address])
    };
    let label_short = |target: usize| short_names(values(target).iter().map(String::as_str));
    matching.by_key(Reason::NamedByLabel, short, label_short, possible);
    let seen = |target: usize| !targets[target].shown.peers.is_empty();
    matching.unique(Reason::PeersOfOthers, |store, target| seen(target) && possible(store, target));
    let agreement = |store: usize, target: usize| {
        possible(store, target).then(|| targets[target].shown.agreement(stores[store].2)).flatten()
    };
    matching.best(Reason::Behaviour, AGREES, MARGIN, agreement);
    // What is left over may also be another cluster's.
    let plausible = |store: usize, target: usize| {
        possible(store, target) && agreement(store, target).is_none_or(|share| share >= CONTRADICTS)
    };
    let ports = |address: &str| port(address).map(|port| port.to_string()).into_iter().collect();
    matching.by_key(
        Reason::OnlyTargetOfPort,
        |store| ports(stores[store].2.status_address),
        |target| ports(targets[target].target.instance()),
        plausible,
    );
    matching.rest(Reason::OnlyOneLeft, plausible);
    let of_left = matching.of_left.iter().enumerate();
    of_left
        .filter_map(|(store, pair)| pair.map(|(target, reason)| (store, target, reason)))
        .collect()
}

/// The stores that PD lists at the place of a target, if all of them were removed.
fn only_removed_at<'a>(
    listing: &Listing<'_>,
    places: &Places<'a>,
    target: &ScrapeTarget,
) -> BTreeSet<ListedNode<'a>> {
    let found = places.nodes_at(target.component, &target.labels);
    let is_removed = |node: &ListedNode<'_>| match node {
        ListedNode::Store(id) => listing.stores.get(id).is_some_and(|store| store.is_removed),
        ListedNode::Member(_) => false,
    };
    if found.iter().all(is_removed) { found } else { BTreeSet::new() }
}

/// The least share of samples that agree, so that a target is taken for a node by its behaviour.
pub(super) const AGREES: f64 = 0.8;
/// Below this share, what a target shows contradicts what PD says of a node.
const CONTRADICTS: f64 = 0.5;
/// By how much the best must agree more than the next.
pub(super) const MARGIN: f64 = 0.15;

/// The values of a target's labels that may name its machine or its pod, in lower case.
pub(super) fn label_values(target: &ScrapeTarget) -> Vec<String> {
    let naming = target.labels.iter().filter(|(name, _)| *name != "job");
    naming.map(|(_, value)| canonical(value)).collect()
}

/// The hosts of addresses, in lower case.
pub(super) fn hosts_of<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let filled = addresses.into_iter().filter(|address| !address.is_empty());
    filled.map(|address| canonical(host(address))).collect()
}

/// The short names of addresses, in lower case; none for IP addresses.
pub(super) fn short_names<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    addresses.into_iter().filter_map(short_name).map(str::to_ascii_lowercase).collect()
}
