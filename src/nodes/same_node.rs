//! Which scrape targets show one and the same node: replicas of a Prometheus, two jobs that scrape it both, and
//! targets of which one follows another, as a pod that comes back with a new address.
//!
//! What becomes of their series is left to `replicas`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        for mut place in by_place(self.index, &nodes).into_values() {
            place.sort_by_key(|one| (self.spans[*one].map(|span| span.start), *one));
            for (number, &one) in place.iter().enumerate() {
                for &next in place[number + 1..].iter().take(NEIGHBOURS) {
                    let (a, b) = (one.min(next), one.max(next));
                    if parts.first(a) != parts.first(b) && self.is_same(a, b) {
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
        if listing.stores.values().any(|store| !store.former.is_empty()) {
            let by_value = self.stores_by_value(nodes);
            for store in listing.stores.values() {
                self.join_moved(&by_value, store, parts);
            }
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
            if listed == 0 || !(listed + 1..=MOST_FREE).contains(&free(parts).len()) {
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

    /// The targets of TiKVs by the values of their labels that may be addresses.
    fn stores_by_value(&self, nodes: &[usize]) -> HashMap<String, Vec<usize>> {
        let mut found: HashMap<String, Vec<usize>> = HashMap::new();
        for &one in nodes.iter().filter(|one| self.component(**one) == Component::Tikv) {
            for value in self.values(one) {
                found.entry(value).or_default().push(one);
            }
        }
        found
    }

    fn join_moved(
        &self,
        by_value: &HashMap<String, Vec<usize>>,
        store: &ListedStore<'_>,
        parts: &mut Parts,
    ) {
        let at = |addresses: &[&str]| -> BTreeSet<usize> {
            let addresses = addresses.iter().filter(|one| !one.is_empty());
            let found = addresses.filter_map(|one| by_value.get(&canonical(one)));
            // A value that so many targets share is no address of a node.
            found.filter(|targets| targets.len() <= NEIGHBOURS).flatten().copied().collect()
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

/// With how many of the targets that begin next at the same place a target is compared. A pod that moves every few
/// minutes for a day comes after few others at a time; where each of tens of thousands were compared with all others,
/// that would take minutes.
const NEIGHBOURS: usize = 100;

/// Among how many targets those of one node are looked for by what they exchange with others and by when they came:
/// each is compared with each other one. The largest clusters have several hundred stores.
const MOST_FREE: usize = 2_000;

/// Things that are joined to disjoint parts.
struct Parts {
    /// The first of its part, or one that leads to it.
    before: Vec<usize>,
}

impl Parts {
    fn new(len: usize) -> Self {
        Self { before: (0..len).collect() }
    }

    fn first(&mut self, mut one: usize) -> usize {
        while self.before[one] != one {
            // Each step halves the way for the next time.
            self.before[one] = self.before[self.before[one]];
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
    fn groups(&mut self) -> Vec<Group> {
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
    use crate::model::Sample;
    use crate::nodes::replicas::merged;

    #[test]
    fn a_pair_is_exclusive_if_neither_side_has_another_partner() {
        let pairs = vec![(0, 1), (2, 3), (3, 4), (5, 6)];
        assert_eq!(exclusive(pairs, 7).collect::<Vec<_>>(), [(0, 1), (5, 6)]);
    }

    /// The series `up` of `count` targets with these labels, all scraped at the same three instants.
    fn stores(count: usize, labels: impl Fn(usize) -> Labels) -> Vec<Series> {
        let sample = |second: i64| Sample { at: Timestamp::from_millis(second * 1000), value: 1.0 };
        let samples: Vec<Sample> = [0, 15, 30].map(sample).to_vec();
        let own = [("__name__", "up"), ("job", "tikv")];
        let labels = (0..count).map(|number| labels(number).with(&own));
        labels.map(|labels| Series { labels, samples: samples.clone() }).collect()
    }

    /// How many series are left once they are merged, where PD lists `count` stores, each with a former address; `None`
    /// where that takes longer than a minute.
    fn merged_within_a_minute(
        series: Vec<Series>,
        count: usize,
        former_address: impl Fn(usize) -> String + Send + 'static,
    ) -> Option<usize> {
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let now: Vec<String> = (0..count).map(|store| format!("new-{store}:1")).collect();
            let former: Vec<[String; 1]> =
                (0..count).map(|store| [former_address(store)]).collect();
            let mut listing = Listing::default();
            for (store, (now, former)) in now.iter().zip(&former).enumerate() {
                let listed = ListedStore { address: now, former, ..ListedStore::default() };
                listing.stores.insert(StoreId(store as u64), listed);
            }
            done.send(merged(series, &listing).0.len())
        });
        waits.recv_timeout(Duration::from_secs(60)).ok()
    }

    #[test]
    fn of_thousands_of_targets_at_one_place_not_all_pairs_are_compared() {
        let of_clusters = stores(10_000, |number| {
            let cluster = number.to_string();
            Labels::from_pairs(&[("instance", "10.0.0.1:20180"), ("tidb_cluster", &cluster)])
        });
        let found = merged_within_a_minute(of_clusters, 0, |_| String::new());
        assert_eq!(found, Some(10_000));
    }

    #[test]
    fn of_thousands_of_targets_more_than_nodes_not_all_pairs_are_compared() {
        let others = stores(20_000, |number| {
            Labels::from_pairs(&[("instance", &format!("store-{number}:1"))])
        });
        assert_eq!(merged_within_a_minute(others, 1, |_| String::new()), Some(20_000));
    }

    #[test]
    fn thousands_of_stores_find_the_targets_of_their_former_addresses_in_seconds() {
        let moved = stores(4_000, |number| {
            let (kind, store) = (["old", "new"][number % 2], number / 2);
            Labels::from_pairs(&[("instance", &format!("{kind}-{store}:1"))])
        });
        let found = merged_within_a_minute(moved, 4_000, |store| format!("old-{store}:1"));
        assert_eq!(found, Some(2_000));
    }

    #[test]
    fn targets_that_follow_one_another_at_one_place_are_one_node_however_many_there_are() {
        let mut pods = stores(300, |number| {
            let instance = format!("10.0.{}.{}:20180", number / 100, number % 100);
            Labels::from_pairs(&[("instance", &instance), ("pod", "basic-tikv-0")])
        });
        for (number, pod) in pods.iter_mut().enumerate() {
            pod.samples.iter_mut().for_each(|sample| {
                sample.at = sample.at.saturating_add_millis(number as i64 * 45_000);
            });
        }
        assert_eq!(merged_within_a_minute(pods, 0, |_| String::new()), Some(1));
    }

    #[test]
    fn a_long_chain_is_joined_in_seconds() {
        const LEN: usize = 200_000;
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let mut parts = Parts::new(LEN);
            (1..LEN).rev().for_each(|one| parts.join(one, one - 1));
            (0..LEN).for_each(|_| assert_eq!(parts.first(LEN - 1), 0));
            done.send(parts.groups().len())
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(20)), Ok(1));
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
