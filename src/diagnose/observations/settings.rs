//! Settings of stores that were changed, and those that differ between stores.
//!
//! Neither is a fault: a change stands beside what began after it, and stores may be set differently on purpose.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::evidence::Evidence;
use crate::model::{
    KnownSettings, Occasion, SettingChange, StoreId, Timestamp, bytes_of_size, default_setting,
    is_same_value,
};

/// How far the same change of two stores lies apart at most, in milliseconds: stores are asked once an hour, and
/// restarted one after another.
const SAME_MS: i64 = 7_200_000;
/// Numbers that differ by less than this part of the larger one count as the same: TiKV computes some sizes from the
/// memory of its machine, and two machines of one kind differ by some pages.
const SAME_PART: f64 = 0.02;

/// A setting with its values before and after a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedValue {
    /// Its whole name.
    pub name: String,
    /// The value before.
    pub from: String,
    /// The value since.
    pub to: String,
}

/// Settings that were changed together, on the same stores at the same times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSettings {
    /// The stores, as indices of `evidence.nodes.stores`, in the order in which the change was read.
    pub stores: Vec<usize>,
    /// When the change was first read.
    pub at: Timestamp,
    /// How long before that it may have happened, in milliseconds.
    pub uncertainty_ms: i64,
    /// The settings, ascending by name.
    pub settings: Vec<ChangedValue>,
}

/// A setting that differs between stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingSetting {
    /// Its whole name.
    pub name: String,
    /// Each value with the stores that have it, as indices; the value of most stores first.
    pub values: Vec<(String, Vec<usize>)>,
    /// Since when they are known to differ; the start of the window where that is longer ago.
    pub since: Timestamp,
}

/// Settings that were changed inside the window, ascending by time.
pub fn changed_settings(evidence: &Evidence) -> Vec<ChangedSettings> {
    let mut known = KnownSettings::default();
    // The same change of several stores: when it was read of each.
    let mut same: Vec<(ChangedValue, Vec<(usize, SettingChange)>)> = Vec::new();
    for event in &evidence.settings {
        for change in known.observe(event) {
            let inside = evidence.window.contains(change.at);
            let Some(store) = index_of(evidence, change.store).filter(|_| inside) else { continue };
            let SettingChange { name, from, to, .. } = change.clone();
            let setting = ChangedValue { name, from, to };
            let joins = |stores: &[(usize, SettingChange)]| {
                stores.iter().all(|(other, _)| *other != store)
                    && stores.last().is_some_and(|(_, last)| change.at - last.at <= SAME_MS)
            };
            match same.iter_mut().find(|(known, stores)| *known == setting && joins(stores)) {
                Some((_, stores)) => stores.push((store, change)),
                None => same.push((setting, vec![(store, change)])),
            }
        }
    }
    let mut together: BTreeMap<Vec<(Timestamp, usize)>, ChangedSettings> = BTreeMap::new();
    for (setting, stores) in same {
        let key = stores.iter().map(|(store, change)| (change.at, *store)).collect();
        let first = &stores[0].1;
        let changed = together.entry(key).or_insert_with(|| ChangedSettings {
            stores: stores.iter().map(|(store, _)| *store).collect(),
            at: first.at,
            uncertainty_ms: first.at - earliest(evidence, first),
            settings: Vec::new(),
        });
        changed.settings.push(setting);
    }
    let mut found: Vec<ChangedSettings> = together.into_values().collect();
    found.iter_mut().for_each(|one| one.settings.sort_unstable());
    found.sort_by(|a, b| (a.at, &a.stores, &a.settings).cmp(&(b.at, &b.stores, &b.settings)));
    found
}

/// The earliest instant at which a change can have happened: most settings are read when a process starts.
fn earliest(evidence: &Evidence, change: &SettingChange) -> Timestamp {
    let since = change.since.unwrap_or(evidence.window.start).min(change.at);
    let starts = evidence.pd.stores.get(&change.store).map(|history| history.starts.as_slice());
    let started = starts
        .into_iter()
        .flatten()
        .map(|(_, second)| Timestamp::from_millis(second.saturating_mul(1_000)));
    let started = started.filter(|at| *at > since && *at <= change.at).max();
    started.filter(|_| change.occasion == Occasion::Restart).unwrap_or(since)
}

/// Settings that differ between the stores that are there, as last read, ascending by name.
pub fn differing_settings(evidence: &Evidence) -> Vec<DifferingSetting> {
    let known = KnownSettings::of(&evidence.settings);
    let is_gone =
        |id: &StoreId| evidence.pd.stores.get(id).is_some_and(|history| history.is_removed());
    let stores: Vec<_> = known
        .stores
        .iter()
        .filter(|(id, _)| !is_gone(id))
        .filter_map(|(id, held)| Some((index_of(evidence, *id)?, held)))
        .collect();
    let names: BTreeSet<&String> = stores.iter().flat_map(|(_, held)| held.values.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let read = stores.iter().filter_map(|(store, held)| {
            held.values.get(name).map(|(value, since)| (*store, value.as_str(), *since))
        });
        let read: Vec<(usize, &str, Timestamp)> = read.collect();
        let values = by_value(&read);
        if values.len() < 2 {
            continue;
        }
        let since = read.iter().map(|(_, _, since)| *since).max();
        let since = since.unwrap_or(evidence.window.start).max(evidence.window.start);
        found.push(DifferingSetting { name: name.clone(), values, since });
    }
    found
}

/// A setting that somebody has given another value than its default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetValue {
    /// Its whole name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The value that it has by default in the release of its store.
    pub default: &'static str,
    /// The stores, as indices of `evidence.nodes.stores`, ascending.
    pub stores: Vec<usize>,
    /// When it was first read.
    pub since: Timestamp,
}

/// Settings that differ from the defaults of the release that their store runs, as last read, ascending by name.
/// Those whose default depends on the machine are left out.
pub fn set_values(evidence: &Evidence) -> Vec<SetValue> {
    let known = KnownSettings::of(&evidence.settings);
    let mut found: BTreeMap<(&str, &str, &'static str), SetValue> = BTreeMap::new();
    for (id, held) in &known.stores {
        let Some(history) = evidence.pd.stores.get(id).filter(|one| !one.is_removed()) else {
            continue;
        };
        let Some(store) = index_of(evidence, *id) else { continue };
        for (name, (value, since)) in &held.values {
            let default = default_setting(&history.version, name);
            let Some(default) = default.filter(|default| !is_same_value(default, value)) else {
                continue;
            };
            let fresh = || SetValue {
                name: name.clone(),
                value: value.clone(),
                default,
                stores: Vec::new(),
                since: *since,
            };
            let one = found.entry((name, value, default)).or_insert_with(fresh);
            one.stores.push(store);
            one.since = one.since.min(*since);
        }
    }
    found
        .into_values()
        .map(|mut one| {
            one.stores.sort_unstable();
            one
        })
        .collect()
}

/// Values with their stores, that of most stores first, then ascending by the first store.
fn by_value(read: &[(usize, &str, Timestamp)]) -> Vec<(String, Vec<usize>)> {
    let mut values: Vec<(String, Vec<usize>)> = Vec::new();
    for (store, value, _) in read {
        match values.iter_mut().find(|(known, _)| is_same(known, value)) {
            Some((_, stores)) => stores.push(*store),
            None => values.push(((*value).to_owned(), vec![*store])),
        }
    }
    values.sort_by_key(|(_, stores)| (std::cmp::Reverse(stores.len()), stores[0]));
    values
}

/// Whether two values count as the same.
fn is_same(a: &str, b: &str) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < SAME_PART * a.abs().max(b.abs());
    a == b || bytes_of_size(a).zip(bytes_of_size(b)).is_some_and(|(a, b)| near(a, b))
}

fn index_of(evidence: &Evidence, store: StoreId) -> Option<usize> {
    evidence.nodes.stores.iter().position(|node| node.id == Some(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_machines_of_one_kind_have_count_as_the_same() {
        assert!(is_same("14745MiB", "14744MiB"));
        assert!(is_same("1GiB", "1024MiB"));
        assert!(!is_same("1GiB", "2GiB"));
        assert!(!is_same("1", "2") && !is_same("true", "false") && !is_same("10s", "1s"));
        let at = Timestamp::default();
        let values = by_value(&[(0, "1", at), (1, "2", at), (2, "2", at), (3, "9", at)]);
        let expected = [("2", vec![1, 2]), ("1", vec![0]), ("9", vec![3])];
        assert_eq!(values, expected.map(|(value, stores)| (value.to_owned(), stores)));
    }
}
