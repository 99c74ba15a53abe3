//! What somebody said of clusters and nodes, as keys by which nodes and targets are paired, and as series of other
//! clusters that are left out.

use std::collections::BTreeSet;

use super::address::{canonical, host, short_name};
use super::target::CLUSTER_LABELS;
use crate::model::{Labels, Series, Told, similar_names};

/// Every form of some names by which somebody may mean what has them: as they are, their hosts, and the first
/// labels of those.
pub(super) fn forms(names: &[String]) -> BTreeSet<String> {
    let of = |name: &String| {
        let name = canonical(name);
        let short = short_name(&name).map(str::to_owned);
        [Some(host(&name).to_owned()), short, Some(name.clone())].into_iter().flatten().collect()
    };
    names
        .iter()
        .flat_map(|name| -> Vec<String> { of(name) })
        .filter(|form| !form.is_empty())
        .collect()
}

/// A key for each pair of names of which one is a form of these, shared with whoever has the other one.
pub(super) fn node_keys(told: &Told, forms: &BTreeSet<String>) -> Vec<String> {
    keys(told, forms, ["first", "second"])
}

/// As [`node_keys`], of what may be the other side.
pub(super) fn target_keys(told: &Told, forms: &BTreeSet<String>) -> Vec<String> {
    keys(told, forms, ["second", "first"])
}

fn keys(told: &Told, forms: &BTreeSet<String>, sides: [&str; 2]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, one) in told.nodes.iter().enumerate() {
        for (name, side) in [&one.name, &one.also].into_iter().zip(sides) {
            if forms.contains(&canonical(name)) {
                found.push(format!("{number} {side}"));
            }
        }
    }
    found
}

/// The series without those of other clusters than the one that somebody named, and the labels of those.
pub(super) fn of_cluster(told: &Told, series: Vec<Series>) -> (Vec<Series>, BTreeSet<Labels>) {
    let meant = told.cluster.as_deref().and_then(|wanted| meant(wanted, &series));
    let Some((label, value)) = meant else { return (series, BTreeSet::new()) };
    let mut others = BTreeSet::new();
    let mut kept = Vec::new();
    for one in series {
        match one.labels.get(&label) {
            Some(other) if other != value => {
                others.insert(Labels::from_pairs(&[(label.as_str(), other)]));
            }
            _ => kept.push(one),
        }
    }
    (kept, others)
}

/// The label and the value by which targets are the cluster that is wanted; `None` where no target has them.
fn meant(wanted: &str, series: &[Series]) -> Option<(String, String)> {
    let Some((label, value)) = wanted.split_once('=') else {
        return Some((label_with(wanted, series)?, wanted.to_owned()));
    };
    let (label, value) = (label.trim(), value.trim_matches(['"', ' ']));
    let is_there = series.iter().any(|one| one.labels.get(label) == Some(value));
    is_there.then(|| (label.to_owned(), value.to_owned()))
}

/// What is wrong with the cluster that somebody named, where it is none of those in the series.
pub(super) fn unmatched_cluster(told: &Told, series: &[Series]) -> Option<String> {
    let wanted = told.cluster.as_deref()?;
    if series.is_empty() || meant(wanted, series).is_some() {
        return None;
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    for one in series.iter().filter(|one| one.labels.metric() == "up") {
        let labels = CLUSTER_LABELS.iter().filter_map(|name| Some((*name, one.labels.get(name)?)));
        known.extend(labels.map(|(name, value)| format!("{name}={value}")));
    }
    let known: Vec<String> = known.into_iter().collect();
    let known =
        if known.is_empty() { "no label of a cluster".to_owned() } else { known.join(", ") };
    Some(format!("no target is of a cluster {wanted:?}: there is {known}"))
}

/// What is wrong with the nodes that somebody named, where a name is none of PD's `listed` nodes or none of
/// `targets`.
pub(super) fn unmatched_nodes(
    told: &Told,
    listed: &BTreeSet<String>,
    targets: &BTreeSet<String>,
) -> Vec<String> {
    let is_pair = |node: &str, target: &str| {
        listed.contains(&canonical(node)) && targets.contains(&canonical(target))
    };
    let said = told.nodes.iter().map(|one| (one.name.as_str(), one.also.as_str()));
    let unmatched = said.filter(|(name, also)| !is_pair(name, also) && !is_pair(also, name));
    let told = unmatched.map(|(name, also)| {
        let is_unknown = |one: &&str| {
            let one = canonical(one);
            !listed.contains(&one) && !targets.contains(&one)
        };
        let of_both = || listed.iter().chain(targets).map(String::as_str);
        match [name, also].into_iter().find(is_unknown) {
            None => format!("{name}={also} does not name a node of PD and a target of Prometheus"),
            Some(unknown) => match similar_names(unknown, of_both(), |_| 0.6, 3) {
                near if near.is_empty() => format!("no node and no target is called {unknown:?}"),
                near => {
                    let near = near.join(", ");
                    format!("no node and no target is called {unknown:?}; did you mean {near}?")
                }
            },
        }
    });
    told.collect()
}

/// The label of targets that has this value: one that tells clusters apart, or else the first of any.
fn label_with(value: &str, series: &[Series]) -> Option<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for one in series.iter().filter(|one| one.labels.metric() == "up") {
        names.extend(one.labels.iter().filter(|(_, known)| *known == value).map(|(name, _)| name));
    }
    let known = CLUSTER_LABELS.iter().find(|name| names.contains(**name)).copied();
    known.or_else(|| names.first().copied()).map(str::to_owned)
}
