//! Which scrape targets belong to the cluster that PD describes, where one Prometheus holds several.

use std::collections::{BTreeMap, BTreeSet};

use super::Reason;
use super::listing::Listing;
use super::members::match_members;
use super::shown::Shown;
use super::stores::{Candidate, MARGIN, match_stores};
use super::target::{CLUSTER_LABELS, ScrapeTarget};
use crate::model::{Component, Labels};

/// The labels of a target that tell clusters apart.
type Group = Labels;

/// Which groups of targets are the cluster's.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Groups that belong to the cluster.
    pub ours: BTreeSet<Group>,
    /// Groups of other clusters.
    pub others: BTreeSet<Group>,
    /// Groups between which nothing that was recorded decides.
    pub undecided: BTreeSet<Group>,
}

impl Chosen {
    /// Whether a target belongs to the cluster. What is no node of any cluster, such as a machine, belongs
    /// to it unless its labels say otherwise.
    pub fn has(&self, target: &ScrapeTarget) -> bool {
        let mut group = group(target);
        if self.ours.contains(&group) {
            return true;
        }
        // Machines and Kubernetes are watched out of a namespace of their own.
        if matches!(target.component, Component::Node | Component::Kubernetes) {
            group = group.without(&["namespace", "kubernetes_namespace"]);
        }
        let contradicts = |one: &Group| {
            group.iter().any(|(name, value)| one.get(name).is_some_and(|known| known != value))
        };
        !target.component.is_node() && !self.ours.iter().all(contradicts)
    }
}

fn group(target: &ScrapeTarget) -> Group {
    let pairs = CLUSTER_LABELS.iter().filter_map(|name| Some((*name, target.labels.get(name)?)));
    Labels::from_pairs(&pairs.collect::<Vec<_>>())
}

/// Sorts the groups of targets by whether they are the cluster's that `listing` describes.
pub(super) fn choose(
    listing: &Listing<'_>,
    targets: &[ScrapeTarget],
    shown: &[Shown<'_>],
) -> Chosen {
    let mut groups: BTreeMap<Group, Vec<Candidate<'_>>> = BTreeMap::new();
    for (place, target) in targets.iter().enumerate() {
        if target.component.is_node() {
            let candidate = Candidate { place, target, shown: &shown[place] };
            groups.entry(group(target)).or_default().push(candidate);
        }
    }
    if groups.len() < 2 {
        return Chosen { ours: groups.into_keys().collect(), ..Chosen::default() };
    }
    if listing.stores.is_empty() && listing.members.is_empty() {
        return without_listing(groups);
    }
    let components = |own: &[Candidate<'_>]| own.iter().map(|one| one.target.component).collect();
    let holds: BTreeMap<Group, BTreeSet<Component>> =
        groups.iter().map(|(group, own)| (group.clone(), components(own))).collect();
    let mut fits: Vec<(Group, Fit)> =
        groups.into_iter().map(|(group, own)| (group, Fit::of(listing, &own))).collect();
    fits.sort_by(|(a, left), (b, right)| {
        let agreement = right.agreement.total_cmp(&left.agreement);
        agreement.then(right.named.len().cmp(&left.named.len())).then(a.cmp(b))
    });
    let mut chosen = Chosen::default();
    let mut rest = by_names(&mut chosen, fits);
    let listed = [
        (Component::Tikv, !listing.stores.is_empty()),
        (Component::Pd, !listing.members.is_empty()),
    ];
    // Stores and PD need not have the same labels, so each kind is looked for where none was found.
    for (component, _) in listed.into_iter().filter(|(_, is_listed)| *is_listed) {
        let has = |group: &Group| holds.get(group).is_some_and(|held| held.contains(&component));
        if !chosen.ours.iter().chain(&chosen.undecided).any(&has) {
            let (meant, others) = rest.into_iter().partition(|(group, _)| has(group));
            rest = others;
            by_behaviour(&mut chosen, meant);
        }
    }
    chosen.others.extend(rest.into_iter().map(|(group, _)| group));
    chosen
}

/// Without PD's answers, the only group of stores is the cluster. Of several, none is.
fn without_listing(groups: BTreeMap<Group, Vec<Candidate<'_>>>) -> Chosen {
    let has_stores = |own: &[Candidate<'_>]| {
        own.iter().any(|candidate| candidate.target.component == Component::Tikv)
    };
    let stores: BTreeSet<Group> =
        groups.iter().filter(|(_, own)| has_stores(own)).map(|(group, _)| group.clone()).collect();
    if stores.len() > 1 {
        return Chosen { undecided: groups.into_keys().collect(), ..Chosen::default() };
    }
    Chosen { ours: groups.into_keys().collect(), ..Chosen::default() }
}

/// How well a group of targets fits what PD lists.
#[derive(Debug)]
struct Fit {
    /// The nodes that it has by their addresses or names, as places in the listing.
    named: BTreeSet<(Component, usize)>,
    /// The mean share of samples that agree with what PD says of the nodes, from 0 to 1; a half where
    /// nothing can be compared.
    agreement: f64,
    /// How many nodes it has.
    found: usize,
}

impl Fit {
    fn of(listing: &Listing<'_>, own: &[Candidate<'_>]) -> Self {
        let of = |components: &[Component]| -> Vec<Candidate<'_>> {
            let own = own.iter().filter(|one| components.contains(&one.target.component));
            own.map(|one| Candidate { place: one.place, target: one.target, shown: one.shown })
                .collect()
        };
        let by_place: BTreeMap<usize, &Candidate<'_>> =
            own.iter().map(|one| (one.place, one)).collect();
        let mut named = BTreeSet::new();
        let mut shares = Vec::new();
        let mut found = 0;
        let stores = match_stores(listing, &of(&[Component::Tikv, Component::TiFlash]));
        for (index, (pair, listed)) in stores.iter().zip(listing.stores.values()).enumerate() {
            let Some((place, reason)) = pair else { continue };
            found += 1;
            shares.extend(by_place[place].shown.agreement(listed));
            if reason.is_by_name() {
                named.insert((Component::Tikv, index));
            }
        }
        let members = match_members(listing, &of(&[Component::Pd]));
        for (index, (pair, (name, listed))) in members.iter().zip(&listing.members).enumerate() {
            let Some((place, reason)) = pair else { continue };
            found += 1;
            let shown = by_place[place].shown;
            shares.extend(shown.agrees_with_member(name, listed, listing.leaders));
            if reason.is_by_name() || *reason == Reason::OwnId {
                named.insert((Component::Pd, index));
            }
        }
        let agreement = match shares.len() {
            0 => 0.5,
            many => shares.iter().sum::<f64>() / many as f64,
        };
        Self { named, agreement, found }
    }
}

/// Takes each group that has nodes by their names which no better group has, and returns the groups that have
/// none by its name.
fn by_names(chosen: &mut Chosen, fits: Vec<(Group, Fit)>) -> Vec<(Group, Fit)> {
    let mut taken: Vec<(Group, Fit)> = Vec::new();
    let mut unnamed = Vec::new();
    for (group, fit) in fits {
        let rival = taken.iter().find(|(_, one)| !one.named.is_disjoint(&fit.named));
        if fit.named.is_empty() {
            unnamed.push((group, fit));
        } else if let Some((better, known)) = rival {
            if known.agreement - fit.agreement < MARGIN {
                chosen.undecided.extend([better.clone(), group]);
            } else {
                chosen.others.insert(group);
            }
        } else {
            taken.push((group, fit));
        }
    }
    let decided = taken.into_iter().map(|(group, _)| group);
    chosen.ours = decided.filter(|group| !chosen.undecided.contains(group)).collect();
    unnamed
}

/// Takes the group that behaves as PD says by a clear margin.
fn by_behaviour(chosen: &mut Chosen, fits: Vec<(Group, Fit)>) {
    let (found, empty): (Vec<_>, Vec<_>) = fits.into_iter().partition(|(_, fit)| fit.found > 0);
    chosen.others.extend(empty.into_iter().map(|(group, _)| group));
    let mut fits = found.into_iter();
    let best = fits.next();
    let next = fits.next();
    let leads = match (&best, &next) {
        (Some((_, best)), Some((_, next))) => best.agreement - next.agreement >= MARGIN,
        _ => true,
    };
    let rest = next.into_iter().chain(fits).map(|(group, _)| group);
    if leads {
        chosen.ours.extend(best.map(|(group, _)| group));
        chosen.others.extend(rest);
    } else {
        chosen.undecided.extend(best.map(|(group, _)| group).into_iter().chain(rest));
    }
}
