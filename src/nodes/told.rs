//! What somebody said of clusters and nodes, as keys by which nodes and targets are paired, and as series of other
//! clusters that are left out.

use std::collections::BTreeSet;

use super::address::{canonical, host, short_name};
use super::target::CLUSTER_LABELS;
use crate::model::{Labels, Series, Told};

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
    let Some(wanted) = &told.cluster else { return (series, BTreeSet::new()) };
    let (label, value) = match wanted.split_once('=') {
        Some((label, value)) => (Some(label.trim().to_owned()), value.trim_matches(['"', ' '])),
        None => (label_with(wanted, &series), wanted.as_str()),
    };
    let Some(label) = label else { return (series, BTreeSet::new()) };
    let mut others = BTreeSet::new();
    let mut kept = Vec::new();
    for one in series {
        match one.labels.get(&label) {
            Some(other) if other != value => {
                others.insert(Labels::from_pairs(&[(&label, other)]));
            }
            _ => kept.push(one),
        }
    }
    (kept, others)
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
