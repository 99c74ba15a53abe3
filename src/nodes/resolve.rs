//! Resolves scrape targets to the stores and members of one cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::Reason;
use super::address::without_scheme;
use super::beside::{Beside, beside};
use super::by_name::NodeIndex;
use super::cluster::{Chosen, choose};
use super::label_sets::LabelSets;
use super::listing::{ListedStore, Listing};
use super::matching::only;
use super::members::match_members;
use super::replicas::merged;
use super::shown::{Shown, shown};
use super::stores::{Candidate, label_values, match_stores};
use super::target::{ScrapeTarget, TargetIndex, as_scraped, names};
use super::told::{forms, of_cluster, unmatched_cluster, unmatched_nodes};
use crate::model::{Component, Labels, Series, StoreId, TargetKey};

/// A store, and the scrape target that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreNode {
    /// PD's number; `None` where nothing that was recorded says it.
    pub id: Option<StoreId>,
    /// Where clients reach it; its metrics' address where PD lists none.
    pub address: String,
    /// The name of its pod or host by the labels of its target; `None` where those have only addresses.
    pub known_as: Option<String>,
    /// TiKV or TiFlash.
    pub component: Component,
    /// The [name](ScrapeTarget::name) of its scrape target; `None` where Prometheus does not know it.
    pub instance: Option<String>,
    /// Why it is that target.
    pub reason: Reason,
}

impl StoreNode {
    /// `store 4`, or its address.
    pub fn name(&self) -> String {
        self.id.map_or_else(|| self.address.clone(), |id| format!("store {id}"))
    }

    /// The host of its address.
    pub fn host(&self) -> &str {
        host_of(&self.address)
    }

    /// Whether it shows TiKV's metrics, if it is scraped at all.
    pub fn is_tikv(&self) -> bool {
        self.component == Component::Tikv
    }
}

/// The host of a host and a port, without the brackets around IPv6.
pub(super) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A member of PD, and the scrape target that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberNode {
    /// Its name; that of its target where no answer of PD lists it.
    pub name: String,
    /// Host and port of its client URL.
    pub address: String,
    /// The name of its pod or host by the labels of its target; `None` where those have only addresses.
    pub known_as: Option<String>,
    /// The [name](ScrapeTarget::name) of its scrape target; `None` where Prometheus does not know it.
    pub instance: Option<String>,
    /// Why it is that target.
    pub reason: Reason,
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Every store that PD or Prometheus knows: those that PD lists by id, then the others.
    pub stores: Vec<StoreNode>,
    /// Every member of PD, ascending by name.
    pub members: Vec<MemberNode>,
    /// The scrape targets that belong to the cluster, ascending by component and labels.
    pub targets: Vec<ScrapeTarget>,
    /// Targets of a store's or a member's kind that are none of the nodes, while a node has no target.
    pub unassigned: Vec<ScrapeTarget>,
    /// The labels of other clusters whose targets were left out, ascending.
    pub other_clusters: Vec<Labels>,
    /// The labels of clusters between which nothing decides which of them is PD's; ascending.
    pub undecided_clusters: Vec<Labels>,
    /// The labels of targets which one of `targets` followed in time, as the same node, and was merged with.
    pub former: Vec<Labels>,
    /// What somebody said of clusters and nodes that matches nothing, in words.
    pub unmatched_answers: Vec<String>,
    /// What is recorded beside each store, in their order.
    pub beside_stores: Vec<Beside>,
    /// The same of members.
    pub beside_members: Vec<Beside>,
}

/// Says of many series whether they are a cluster's targets'.
#[derive(Debug)]
pub struct TargetFinder {
    sets: LabelSets,
}

impl TargetFinder {
    /// Whether a series is one of the cluster's targets, as it was recorded.
    pub fn has(&self, series: &Labels) -> bool {
        let changed = as_scraped(series);
        let series = changed.as_ref().unwrap_or(series);
        let has_any = |instance: &str| self.sets.held_by(series, instance).next().is_some();
        has_any(series.get("instance").unwrap_or_default()) || has_any("")
    }
}

/// The counter of heartbeats that PD's leader handled, by the `store` and its `address`.
pub const HEARTBEATS: &str = "pd_scheduler_handle_store_heartbeat_duration_seconds_count";

impl Nodes {
    /// Resolves the targets of `series` to what PD lists, and returns the series of this cluster's
    /// targets, with those of replicas of a Prometheus merged. The label `instance` of each is the
    /// name of its target.
    ///
    /// Members are known by their targets only where no answer of PD names any; stores likewise.
    pub fn resolve(listing: &Listing<'_>, series: Vec<Series>) -> (Self, Vec<Series>) {
        let renamed_by_others = |one: Series| match as_scraped(&one.labels) {
            Some(labels) => Series { labels, ..one },
            None => one,
        };
        let series: Vec<Series> = series.into_iter().map(renamed_by_others).collect();
        let unmatched = unmatched_cluster(&listing.told, &series);
        let (series, told_others) = of_cluster(&listing.told, series);
        let (series, former) = merged(series, listing);
        let index = TargetIndex::new(&series);
        let shown = shown(&index, &series);
        let mut all = targets(&index);
        let chosen = choose(listing, &all, &shown);
        name(&mut all, &chosen);
        let is_ours: Vec<bool> = all.iter().map(|target| chosen.has(target)).collect();
        let heard = heard_stores(&series, &index, &is_ours);
        let mut listing = listing.clone();
        for (id, address) in &heard {
            let listed = ListedStore { address, ..ListedStore::default() };
            listing.stores.entry(*id).or_insert(listed);
        }
        let ours = |components: &[Component]| -> Vec<Candidate<'_>> {
            let places = (0..all.len()).filter(|place| is_ours[*place]);
            let meant = places.filter(|place| components.contains(&all[*place].component));
            meant
                .map(|place| Candidate { place, target: &all[place], shown: &shown[place] })
                .collect()
        };
        let mut nodes = Self {
            other_clusters: chosen.others.iter().cloned().chain(told_others).collect(),
            undecided_clusters: chosen.undecided.iter().cloned().collect(),
            former,
            unmatched_answers: unmatched.into_iter().collect(),
            ..Self::default()
        };
        nodes.unmatched_answers.extend(unmatched_answers(&listing, &all));
        let mut foreign = BTreeSet::new();
        nodes.add_stores(&listing, &ours(&[Component::Tikv, Component::TiFlash]), &mut foreign);
        nodes.add_members(&listing, &ours(&[Component::Pd]), &mut foreign);
        let keeps = |place: usize| is_ours[place] && !foreign.contains(&place);
        let targets = all.iter().enumerate().filter(|(place, _)| keeps(*place));
        nodes.targets = targets.map(|(_, target)| target.clone()).collect();
        nodes.targets.sort_by(|a, b| (a.component, &a.labels).cmp(&(b.component, &b.labels)));
        let named = series.into_iter().filter_map(|one| match index.of(&one.labels) {
            None => Some(one),
            Some(place) => keeps(place).then(|| renamed(one, &all[place].name)),
        });
        let named: Vec<Series> = named.collect();
        (nodes.beside_stores, nodes.beside_members) = beside(&nodes, &named);
        (nodes, named)
    }

    /// What is recorded beside a node; `None` where that was not looked for.
    pub fn beside(&self, node: NodeIndex) -> Option<&Beside> {
        match node {
            NodeIndex::Store(index) => self.beside_stores.get(index),
            NodeIndex::Member(index) => self.beside_members.get(index),
        }
    }

    fn add_stores(
        &mut self,
        listing: &Listing<'_>,
        candidates: &[Candidate<'_>],
        foreign: &mut BTreeSet<usize>,
    ) {
        let pairs = match_stores(listing, candidates);
        let mut free: Vec<&Candidate<'_>> = candidates.iter().collect();
        for (pair, (id, listed)) in pairs.into_iter().zip(&listing.stores) {
            let (target, reason) = take(&mut free, pair);
            self.stores.push(StoreNode {
                id: Some(*id),
                address: listed.address.to_owned(),
                known_as: target.and_then(|one| one.target.known_as(listed.address)),
                component: if listed.is_tiflash { Component::TiFlash } else { Component::Tikv },
                instance: target.map(|one| one.target.name.clone()),
                reason,
            });
        }
        if listing.stores.is_empty() {
            self.stores.extend(unlisted_stores(&free));
            return;
        }
        // A TiFlash serves metrics at two ports, of which one is the store.
        free.retain(|one| one.target.component == Component::Tikv);
        let mut listed = self.stores.iter().zip(listing.stores.values());
        let lacks_target = listed.any(|(store, listed)| {
            store.is_tikv() && store.instance.is_none() && !listed.is_removed
        });
        if lacks_target {
            self.unassigned.extend(free.iter().map(|one| one.target.clone()));
        }
        foreign.extend(free.iter().map(|one| one.place));
    }

    fn add_members(
        &mut self,
        listing: &Listing<'_>,
        candidates: &[Candidate<'_>],
        foreign: &mut BTreeSet<usize>,
    ) {
        if listing.members.is_empty() {
            let mut unlisted: Vec<MemberNode> = candidates.iter().map(unlisted_member).collect();
            unlisted.sort();
            self.members = unlisted;
            return;
        }
        let pairs = match_members(listing, candidates);
        let mut free: Vec<&Candidate<'_>> = candidates.iter().collect();
        for (pair, (name, listed)) in pairs.into_iter().zip(&listing.members) {
            let (target, reason) = take(&mut free, pair);
            self.members.push(MemberNode {
                name: name.clone(),
                address: without_scheme(listed.url).to_owned(),
                known_as: target.and_then(|one| one.target.known_as(without_scheme(listed.url))),
                instance: target.map(|one| one.target.name.clone()),
                reason,
            });
        }
        if self.members.iter().any(|member| member.instance.is_none()) {
            self.unassigned.extend(free.iter().map(|one| one.target.clone()));
        }
        foreign.extend(free.iter().map(|one| one.place));
    }

    /// Whether a series is one of the cluster's targets, as it was recorded.
    pub fn has_target_of(&self, series: &Labels) -> bool {
        let changed = as_scraped(series);
        let series = changed.as_ref().unwrap_or(series);
        let is_of =
            |target: &Labels| target.iter().all(|(name, value)| series.get(name) == Some(value));
        self.targets.iter().map(|target| &target.labels).chain(&self.former).any(is_of)
    }

    /// As [`has_target_of`](Self::has_target_of), for many series.
    pub fn finder(&self) -> TargetFinder {
        let mut sets = LabelSets::default();
        let all = self.targets.iter().map(|target| &target.labels).chain(&self.former);
        all.enumerate().for_each(|(number, labels)| sets.add(number, labels));
        TargetFinder { sets }
    }

    /// The place in [`stores`](Self::stores) of the store with this id.
    pub fn store(&self, id: StoreId) -> Option<usize> {
        self.stores.iter().position(|store| store.id == Some(id))
    }

    /// The place in [`stores`](Self::stores) of the store that is the target of this name.
    pub fn store_of_instance(&self, name: &str) -> Option<usize> {
        self.stores.iter().position(|store| store.instance.as_deref() == Some(name))
    }

    fn member(&self, name: &str) -> Option<&MemberNode> {
        let place = self.members.binary_search_by(|member| member.name.as_str().cmp(name));
        place.ok().map(|place| &self.members[place])
    }

    /// The name of the scrape target of a member of PD. A name that PD does not list may be that of a
    /// target.
    pub fn instance_of_member(&self, name: &str) -> Option<String> {
        match self.member(name) {
            Some(member) => member.instance.clone(),
            None => {
                let mut targets = self.names_of(Component::Pd);
                targets.find(|target| *target == name).map(str::to_owned)
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

    /// The names of the targets of a component.
    pub fn names_of(&self, component: Component) -> impl Iterator<Item = &str> {
        let own = self.targets.iter().filter(move |target| target.component == component);
        own.map(|target| target.name.as_str())
    }

    /// Whether there is no target of this component.
    pub fn lacks(&self, component: Component) -> bool {
        self.names_of(component).next().is_none()
    }

    /// The names of the targets with this job and instance; several where further labels tell them apart.
    pub fn names_of_key(&self, key: &TargetKey) -> impl Iterator<Item = &str> {
        let own = self.targets.iter().filter(move |target| target.key() == *key);
        own.map(|target| target.name.as_str())
    }
}

/// The target that a node was matched with, taken out of those that are free, and why it is that one.
fn take<'c>(
    free: &mut Vec<&'c Candidate<'c>>,
    pair: Option<(usize, Reason)>,
) -> (Option<&'c Candidate<'c>>, Reason) {
    let Some((place, reason)) = pair else { return (None, Reason::NoTarget) };
    let index = free.iter().position(|one| one.place == place);
    (index.map(|index| free.remove(index)), reason)
}

/// The nodes that somebody named and that are none of those listed, or none of the targets.
fn unmatched_answers(listing: &Listing<'_>, targets: &[ScrapeTarget]) -> Vec<String> {
    if listing.told.nodes.is_empty() || targets.is_empty() {
        return Vec::new();
    }
    let mut names = Vec::new();
    for (id, store) in &listing.stores {
        names.extend([id.to_string(), format!("store {id}")]);
        names.extend([store.address, store.status_address].map(str::to_owned));
    }
    for (name, member) in &listing.members {
        names.extend([name.clone(), without_scheme(member.url).to_owned()]);
    }
    let scraped: Vec<String> = targets.iter().flat_map(label_values).collect();
    unmatched_nodes(&listing.told, &forms(&names), &forms(&scraped))
}

fn targets(index: &TargetIndex) -> Vec<ScrapeTarget> {
    let both = index.labels.iter().zip(&index.components);
    both.map(|(labels, component)| ScrapeTarget {
        labels: labels.clone(),
        component: *component,
        name: String::new(),
    })
    .collect()
}

/// Names the cluster's targets; the others need no name.
fn name(all: &mut [ScrapeTarget], chosen: &Chosen) {
    let ours: Vec<usize> = (0..all.len()).filter(|place| chosen.has(&all[*place])).collect();
    let labels: Vec<(&Labels, Component)> =
        ours.iter().map(|place| (&all[*place].labels, all[*place].component)).collect();
    let names = names(&labels);
    for (place, name) in ours.into_iter().zip(names) {
        all[place].name = name;
    }
}

/// The stores whose heartbeats PD's leader handled, with their addresses, by PD's metrics.
fn heard_stores(
    series: &[Series],
    index: &TargetIndex,
    is_ours: &[bool],
) -> BTreeMap<StoreId, String> {
    let own = series.iter().filter(|one| {
        one.labels.metric() == HEARTBEATS
            && index.of(&one.labels).is_none_or(|target| is_ours[target])
    });
    own.filter_map(|one| {
        let id = one.labels.get("store")?.parse().ok()?;
        Some((StoreId(id), one.labels.get("address")?.to_owned()))
    })
    .collect()
}

/// Stores that PD does not list. Each exchanges messages with every other, so that the only id that it does
/// not know as a peer is its own.
fn unlisted_stores(free: &[&Candidate<'_>]) -> Vec<StoreNode> {
    let tikvs = free.iter().filter(|one| one.target.component == Component::Tikv);
    let tikvs: Vec<&&Candidate<'_>> = tikvs.collect();
    let known: BTreeSet<StoreId> =
        tikvs.iter().flat_map(|one| one.shown.peers.iter().copied()).collect();
    let own = |shown: &Shown<'_>| {
        (!shown.peers.is_empty()).then(|| only(known.difference(&shown.peers).copied())).flatten()
    };
    let ids: Vec<Option<StoreId>> = tikvs.iter().map(|one| own(one.shown)).collect();
    let is_unique = |id: StoreId| ids.iter().filter(|other| **other == Some(id)).count() == 1;
    let mut stores: Vec<StoreNode> = tikvs
        .iter()
        .zip(&ids)
        .map(|(one, id)| StoreNode {
            id: id.filter(|id| is_unique(*id)),
            address: one.target.instance().to_owned(),
            known_as: one.target.known_as(one.target.instance()),
            component: Component::Tikv,
            instance: Some(one.target.name.clone()),
            reason: Reason::OnlyTarget,
        })
        .collect();
    stores.sort_by(|a, b| (a.id.is_none(), a).cmp(&(b.id.is_none(), b)));
    stores
}

fn unlisted_member(candidate: &Candidate<'_>) -> MemberNode {
    MemberNode {
        name: candidate.target.name.clone(),
        address: candidate.target.instance().to_owned(),
        known_as: candidate.target.known_as(candidate.target.instance()),
        instance: Some(candidate.target.name.clone()),
        reason: Reason::OnlyTarget,
    }
}

/// The series under the name of its target.
fn renamed(series: Series, name: &str) -> Series {
    match series.labels.get("instance") == Some(name) {
        true => series,
        false => Series { labels: series.labels.with(&[("instance", name)]), ..series },
    }
}
