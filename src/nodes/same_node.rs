//! Which scrape targets show one and the same node: replicas of a Prometheus, two jobs that scrape it both, and
//! targets of which one follows another, as a pod that comes back with a new address.
//!
//! What becomes of their series is left to `replicas`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::address::canonical;
use super::listed_at::ListedNode;
use super::listing::{ListedStore, Listing};
use super::shown::Shown;
use super::stores::label_values;
use super::target::{CLUSTER_LABELS, REPLICA_LABELS, ScrapeTarget, TargetIndex, pod_of};
use crate::model::{Component, Labels, Series, StoreId, TimeRange, Timestamp, is_stale};

/// Targets that show the same node: the one that is followed, then those that fill in for it, the best first.
pub(super) type Group = Vec<usize>;

/// From when to when targets have samples, in the order of an index; `None` for one without any.
pub(super) fn spans(index: &TargetIndex, series: &[Series]) -> Vec<Option<TimeRange>> {
    let mut spans: Vec<Option<TimeRange>> = vec![None; index.labels.len()];
    for one in series {
        let live = || one.samples.iter().filter(|sample| !is_stale(sample.value));
        let (Some(first), Some(last)) = (live().next(), live().next_back()) else { continue };
        let Some(target) = index.of(&one.labels) else { continue };
        let known = spans[target].get_or_insert(TimeRange::new(first.at, last.at));
        *known = TimeRange::new(known.start.min(first.at), known.end.max(last.at));
    }
    spans
}

/// What is known of the targets that are compared.
pub(super) struct Compared<'a> {
    pub index: &'a TargetIndex,
    pub shown: &'a [Shown<'a>],
    pub spans: &'a [Option<TimeRange>],
    /// The nodes that PD lists at the place of each target.
    pub listed_at: &'a [BTreeSet<ListedNode<'a>>],
    /// The stores of which PD lists a start that each target shows.
    pub started_as: &'a [BTreeSet<StoreId>],
}

impl Compared<'_> {
    /// Groups of more than one target.
    ///
    /// Replicas are ranked by how much they scraped altogether, so that as many targets as possible follow the
    /// same one; a target follows another replica where that has clearly more.
    pub fn groups(&self, listing: &Listing<'_>) -> Vec<Group> {
        let mut parts = Parts::new(self.index.labels.len());
        let mut same: BTreeMap<Labels, usize> = BTreeMap::new();
        for (target, labels) in self.index.labels.iter().enumerate() {
            let first = *same.entry(labels.without(&REPLICA_LABELS)).or_insert(target);
            parts.join(first, target);
        }
        let nodes: Vec<usize> =
            (0..self.index.labels.len()).filter(|one| self.component(*one).is_node()).collect();
        let by_place = by_place(self.index, &nodes);
        for place in by_place.values() {
            for (number, &a) in place.iter().enumerate() {
                for &b in &place[number + 1..] {
                    if self.is_same(a, b) {
                        parts.join(a, b);
                    }
                }
            }
        }
        self.join_surplus(&nodes, listing, &mut parts);
        let mut groups: Vec<Group> = parts.groups();
        self.rank(&mut groups);
        groups
    }

    fn component(&self, target: usize) -> Component {
        self.index.components[target]
    }

    /// Whether two targets at one place are one node: nothing in their labels says otherwise, and one follows
    /// the other or both show the same process.
    fn is_same(&self, a: usize, b: usize) -> bool {
        self.may_be_same(a, b) && (self.follow(a, b) || self.is_same_process(a, b))
    }

    fn may_be_same(&self, a: usize, b: usize) -> bool {
        let (left, right) = (&self.index.labels[a], &self.index.labels[b]);
        let differ = |name: &&str| {
            left.get(name).zip(right.get(name)).is_some_and(|(left, right)| left != right)
        };
        let pods_differ = pod_of(left).zip(pod_of(right)).is_some_and(|(a, b)| a != b);
        self.component(a) == self.component(b)
            && !CLUSTER_LABELS.iter().any(differ)
            && !pods_differ
            && !self.are_listed_apart(a, b)
            && !self.shown[a].is_another(&self.shown[b])
    }

    /// Whether PD lists one node where the one target is and another where the other is, or started as their
    /// processes did, as after a node was replaced.
    fn are_listed_apart(&self, a: usize, b: usize) -> bool {
        are_others(&self.listed_at[a], &self.listed_at[b])
            || are_others(&self.started_as[a], &self.started_as[b])
    }

    /// Whether one of them begins when the other has ended, but for what a change of targets overlaps.
    pub fn follow(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.spans[a], self.spans[b]) else { return false };
        let overlap = a.end.min(b.end) - a.start.max(b.start);
        overlap <= OVERLAP_MS && 4 * overlap <= a.millis().min(b.millis())
    }

    fn is_same_process(&self, a: usize, b: usize) -> bool {
        self.shown[a].is_same_process(&self.shown[b])
    }

    /// Where there are more targets than nodes, joins those at different places: what PD lists under one
    /// store's addresses one after another, and what exchanges messages with the same peers.
    fn join_surplus(&self, nodes: &[usize], listing: &Listing<'_>, parts: &mut Parts) {
        for store in listing.stores.values() {
            self.join_moved(nodes, store, parts);
        }
        // What was removed within the window may have had a target before.
        let scraped =
            listing.stores.values().filter(|store| !store.is_removed || store.was_present);
        let listed = [
            (Component::Tikv, scraped.filter(|store| !store.is_tiflash).count()),
            (Component::Pd, listing.members.len()),
        ];
        for (component, listed) in listed {
            let free = |parts: &Parts| -> Vec<usize> {
                let own = nodes.iter().copied().filter(|one| self.component(*one) == component);
                own.filter(|one| parts.is_first(*one)).collect()
            };
            if listed == 0 || free(parts).len() <= listed {
                continue;
            }
            let like = |a: usize, b: usize| {
                self.shown[a].has_peers_of(&self.shown[b])
                    && (self.follow(a, b) || self.is_same_process(a, b))
            };
            for (a, b) in self.pairs(&free(parts), like) {
                parts.join(a, b);
            }
            // A store without regions exchanges messages with nobody.
            let left = free(parts);
            if left.len() > listed {
                let pairs = self.pairs(&left, |a, b| self.follow(a, b));
                for (a, b) in exclusive(pairs, self.index.labels.len()) {
                    parts.join(a, b);
                }
            }
        }
    }

    /// Pairs of targets that may be one node and are alike.
    fn pairs(
        &self,
        targets: &[usize],
        alike: impl Fn(usize, usize) -> bool,
    ) -> Vec<(usize, usize)> {
        let all = targets.iter().enumerate();
        let all = all.flat_map(|(place, a)| targets[place + 1..].iter().map(move |b| (*a, *b)));
        all.filter(|(a, b)| alike(*a, *b) && self.may_be_same(*a, *b)).collect()
    }

    fn join_moved(&self, nodes: &[usize], store: &ListedStore<'_>, parts: &mut Parts) {
        let stores = || nodes.iter().copied().filter(|one| self.component(*one) == Component::Tikv);
        let at = |addresses: &[&str]| -> Vec<usize> {
            let addresses: BTreeSet<String> =
                addresses.iter().filter(|one| !one.is_empty()).map(|one| canonical(one)).collect();
            stores()
                .filter(|one| self.values(*one).iter().any(|value| addresses.contains(value)))
                .collect()
        };
        let former: Vec<&str> = store.former.iter().map(String::as_str).collect();
        if former.is_empty() {
            return;
        }
        let now = at(&[store.address, store.status_address]);
        for before in at(&former) {
            for &now in now.iter().filter(|now| **now != before) {
                if self.may_be_same(before, now) {
                    parts.join(before, now);
                }
            }
        }
    }

    fn values(&self, target: usize) -> Vec<String> {
        let target = ScrapeTarget {
            labels: self.index.labels[target].clone(),
            component: self.component(target),
            name: String::new(),
        };
        label_values(&target)
    }

    /// Puts the target that is followed first: of replicas the one that scraped most, else the one that came
    /// last. What the recorder scraped itself only fills in.
    fn rank(&self, groups: &mut [Group]) {
        let replica = |target: usize| -> String {
            let labels = &self.index.labels[target];
            let values = REPLICA_LABELS.iter().filter_map(|name| labels.get(name));
            values.collect::<Vec<_>>().join("\u{0}")
        };
        let mut total: BTreeMap<String, usize> = BTreeMap::new();
        for target in 0..self.index.labels.len() {
            *total.entry(replica(target)).or_default() += self.index.scrapes[target];
        }
        for group in groups {
            let most = group.iter().map(|target| self.index.scrapes[*target]).max().unwrap_or(0);
            let began =
                |target: usize| self.spans[target].map_or(Timestamp::MIN, |span| span.start);
            let is_own = |target: usize| self.index.labels[target].is_scraped_by_recorder();
            let began_last = |is_meant: &dyn Fn(usize) -> bool| {
                let meant = group.iter().copied().filter(|target| is_meant(*target));
                meant.map(began).max()
            };
            let last = began_last(&|target| !is_own(target)).or_else(|| began_last(&|_| true));
            let last = last.unwrap_or(Timestamp::MIN);
            group.sort_by_cached_key(|target| {
                let has_less = self.index.scrapes[*target] * 10 < most * 9;
                let is_former = last - began(*target) > OVERLAP_MS;
                let name = replica(*target);
                (
                    is_own(*target),
                    is_former,
                    has_less,
                    Reverse(total.get(&name).copied()),
                    name,
                    *target,
                )
            });
        }
    }
}

/// The pairs of which neither side is in another one. A rolling restart of a large cluster gives a pair for every two
/// of its targets, so each side's are counted once.
fn exclusive(pairs: Vec<(usize, usize)>, targets: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut pairs_of = vec![0_usize; targets];
    for (a, b) in &pairs {
        pairs_of[*a] += 1;
        pairs_of[*b] += 1;
    }
    pairs.into_iter().filter(move |(a, b)| pairs_of[*a] == 1 && pairs_of[*b] == 1)
}

/// Whether both are known and have nothing in common.
fn are_others<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> bool {
    !a.is_empty() && !b.is_empty() && a.is_disjoint(b)
}

/// The targets at each instance and of each pod.
fn by_place(index: &TargetIndex, nodes: &[usize]) -> BTreeMap<(&'static str, String), Vec<usize>> {
    let mut places: BTreeMap<(&'static str, String), Vec<usize>> = BTreeMap::new();
    for &target in nodes {
        let labels = &index.labels[target];
        if let Some(instance) = labels.get("instance") {
            places.entry(("instance", canonical(instance))).or_default().push(target);
        }
        if let Some(pod) = pod_of(labels) {
            places.entry(("pod", pod.to_owned())).or_default().push(target);
        }
    }
    places
}

/// Whether any targets could show the same node: they share a place, differ in labels of replicas alone, are more
/// than PD lists, or a store had another address. Where none could, nothing of their series need be read.
pub(super) fn are_possible(index: &TargetIndex, listing: &Listing<'_>) -> bool {
    let all: BTreeSet<Labels> =
        index.labels.iter().map(|labels| labels.without(&REPLICA_LABELS)).collect();
    let nodes: Vec<usize> =
        (0..index.labels.len()).filter(|one| index.components[*one].is_node()).collect();
    let of = |component| nodes.iter().filter(|one| index.components[**one] == component).count();
    all.len() < index.labels.len()
        || by_place(index, &nodes).values().any(|place| place.len() > 1)
        || of(Component::Tikv) > listing.stores.len()
        || of(Component::Pd) > listing.members.len()
        || listing.stores.values().any(|store| store.is_removed || !store.former.is_empty())
}

/// For how long, in milliseconds, a target that is gone may still be scraped beside the one that follows it.
const OVERLAP_MS: i64 = 60_000;

/// Things that are joined to disjoint parts.
struct Parts {
    /// The first of its part, or one that leads to it.
    before: Vec<usize>,
}

impl Parts {
    fn new(len: usize) -> Self {
        Self { before: (0..len).collect() }
    }

    fn first(&self, mut one: usize) -> usize {
        while self.before[one] != one {
            one = self.before[one];
        }
        one
    }

    fn is_first(&self, one: usize) -> bool {
        self.before[one] == one
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.before[a.max(b)] = a.min(b);
    }

    /// The parts with more than one member.
    fn groups(&self) -> Vec<Group> {
        let mut parts: BTreeMap<usize, Group> = BTreeMap::new();
        for one in 0..self.before.len() {
            parts.entry(self.first(one)).or_default().push(one);
        }
        parts.into_values().filter(|part| part.len() > 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pair_is_exclusive_if_neither_side_has_another_partner() {
        let pairs = vec![(0, 1), (2, 3), (3, 4), (5, 6)];
        assert_eq!(exclusive(pairs, 7).collect::<Vec<_>>(), [(0, 1), (5, 6)]);
    }

    #[test]
    fn pairs_of_hundreds_of_targets_that_all_move_are_told_apart_in_seconds() {
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let moved = 0..500_usize;
            let pairs = moved.clone().flat_map(|a| moved.clone().map(move |b| (a, 500 + b)));
            done.send(exclusive(pairs.collect(), 1000).count())
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(20)), Ok(0));
    }
}
