//! What is known of the settings of stores, reading by reading.

use std::collections::BTreeMap;

use super::event::{Occasion, SettingsEvent, SettingsRead};
use crate::model::gap::GapReason;
use crate::model::time::Timestamp;
use crate::model::topology::StoreId;

/// A setting that has another value than at the reading before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingChange {
    /// When the new value was read.
    pub at: Timestamp,
    /// When the old one was last read; `None` where nobody knows.
    pub since: Option<Timestamp>,
    /// Of which store.
    pub store: StoreId,
    /// Why the store was asked.
    pub occasion: Occasion,
    /// The whole name of the setting.
    pub name: String,
    /// The value before.
    pub from: String,
    /// The value since.
    pub to: String,
}

/// What is known of one store's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The value of each setting, and when it was first read; empty where none was ever read.
    pub values: BTreeMap<String, (String, Timestamp)>,
    /// When they were first read, or, where they changed, when the last change was read.
    pub read: Option<Timestamp>,
    /// Since when they cannot be read, and why; `None` where they can.
    pub failing: Option<(Timestamp, GapReason)>,
}

/// What is known of the settings of every store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSettings {
    /// By store.
    pub stores: BTreeMap<StoreId, StoreSettings>,
}

impl KnownSettings {
    /// What these readings, ascending by time, make known.
    pub fn of<'e>(events: impl IntoIterator<Item = &'e SettingsEvent>) -> Self {
        let mut known = Self::default();
        for event in events {
            known.observe(event);
        }
        known
    }

    /// Takes in a reading, and returns the settings that it changes from one value to another. One that comes or
    /// goes does so with the version of the store, and is no change.
    pub fn observe(&mut self, event: &SettingsEvent) -> Vec<SettingChange> {
        let held = self.stores.entry(event.store).or_default();
        let (values, is_whole) = match &event.read {
            SettingsRead::Failed(reason) => {
                held.failing.get_or_insert((event.at, *reason));
                return Vec::new();
            }
            SettingsRead::Whole(values) => (values, true),
            SettingsRead::Changed(values) => (values, false),
        };
        held.failing = None;
        if is_whole {
            held.values.retain(|name, _| values.contains_key(name));
        }
        if is_whole || !values.is_empty() {
            held.read = Some(event.at);
        }
        let mut changes = Vec::new();
        for (name, value) in values {
            if value.is_empty() {
                held.values.remove(name);
                continue;
            }
            match held.values.get_mut(name) {
                Some((known, _)) if known == value => {}
                Some((known, since)) => {
                    changes.push(SettingChange {
                        at: event.at,
                        since: event.since,
                        store: event.store,
                        occasion: event.occasion,
                        name: name.clone(),
                        from: std::mem::replace(known, value.clone()),
                        to: value.clone(),
                    });
                    *since = event.at;
                }
                None => drop(held.values.insert(name.clone(), (value.clone(), event.at))),
            }
        }
        changes
    }

    /// What is to be stored of settings that were read of a store: all where none are known, else those that differ;
    /// `None` where there is nothing new.
    pub fn news(
        &self,
        store: StoreId,
        read: Result<BTreeMap<String, String>, GapReason>,
    ) -> Option<SettingsRead> {
        let held = self.stores.get(&store);
        let values = match read {
            Ok(values) => values,
            Err(reason) => {
                let is_known = held.is_some_and(|held| held.failing.is_some());
                return (!is_known).then_some(SettingsRead::Failed(reason));
            }
        };
        let Some(held) = held.filter(|held| !held.values.is_empty()) else {
            return Some(SettingsRead::Whole(values));
        };
        let is_gone = |name: &&String| !values.contains_key(*name);
        let gone = held.values.keys().filter(is_gone).map(|name| (name.clone(), String::new()));
        let mut changed: BTreeMap<String, String> = gone.collect();
        changed.extend(
            values.into_iter().filter(|(name, value)| {
                held.values.get(name).is_none_or(|(known, _)| known != value)
            }),
        );
        let is_news = !changed.is_empty() || held.failing.is_some();
        is_news.then_some(SettingsRead::Changed(changed))
    }

    /// Readings that say what is known, for a part of a recording that begins at `at`.
    pub fn carried(&self, at: Timestamp) -> Vec<SettingsEvent> {
        let mut events = Vec::new();
        for (store, held) in &self.stores {
            let event = |read| SettingsEvent {
                at,
                store: *store,
                occasion: Occasion::Carried,
                since: held.read,
                read,
            };
            if !held.values.is_empty() {
                let values = held.values.iter();
                let values = values.map(|(name, (value, _))| (name.clone(), value.clone()));
                events.push(event(SettingsRead::Whole(values.collect())));
            }
            if let Some((_, reason)) = held.failing {
                events.push(event(SettingsRead::Failed(reason)));
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId(4);

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn event(second: i64, read: SettingsRead) -> SettingsEvent {
        let at = Timestamp::from_millis(second * 1_000);
        SettingsEvent { at, store: STORE, occasion: Occasion::Hourly, since: None, read }
    }

    fn told(changes: &[SettingChange]) -> Vec<String> {
        changes.iter().map(|one| format!("{} {} -> {}", one.name, one.from, one.to)).collect()
    }

    #[test]
    fn only_what_differs_from_what_is_known_is_news() {
        let first = values(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let mut known = KnownSettings::default();
        let whole = known.news(STORE, Ok(first.clone())).expect("nothing is known");
        assert_eq!(whole, SettingsRead::Whole(first.clone()));
        assert!(known.observe(&event(1, whole)).is_empty());
        assert_eq!(known.news(STORE, Ok(first)), None);

        let second = values(&[("a", "1"), ("b", "5"), ("d", "4")]);
        let news = known.news(STORE, Ok(second.clone())).expect("b, c and d");
        assert_eq!(news, SettingsRead::Changed(values(&[("b", "5"), ("c", ""), ("d", "4")])));
        assert_eq!(told(&known.observe(&event(2, news))), ["b 2 -> 5"]);
        assert_eq!(known.news(STORE, Ok(second)), None);
    }

    #[test]
    fn a_failure_is_news_once_and_so_is_the_next_answer() {
        let held = values(&[("a", "1")]);
        let mut known = KnownSettings::default();
        known.observe(&event(1, SettingsRead::Whole(held.clone())));
        let failed = known.news(STORE, Err(GapReason::Timeout)).expect("the first failure");
        known.observe(&event(2, failed));
        assert_eq!(known.news(STORE, Err(GapReason::Connect)), None);
        let again = known.news(STORE, Ok(held.clone())).expect("it answers again");
        assert_eq!(again, SettingsRead::Changed(BTreeMap::new()));
        known.observe(&event(3, again));
        assert_eq!(known.news(STORE, Ok(held)), None);
        assert_eq!(known.stores[&STORE].failing, None);
        assert_eq!(known.stores[&STORE].read, Some(Timestamp::from_millis(1_000)));
    }

    #[test]
    fn what_is_carried_makes_the_same_known() {
        let mut known = KnownSettings::default();
        known.observe(&event(1, SettingsRead::Whole(values(&[("a", "1"), ("b", "2")]))));
        known.observe(&event(2, SettingsRead::Changed(values(&[("b", "3")]))));
        known.observe(&event(3, SettingsRead::Failed(GapReason::Timeout)));
        let carried = KnownSettings::of(&known.carried(Timestamp::from_millis(9_000)));
        let texts = |known: &KnownSettings| -> Vec<(String, String)> {
            let held = known.stores[&STORE].values.iter();
            held.map(|(name, (value, _))| (name.clone(), value.clone())).collect()
        };
        assert_eq!(texts(&carried), texts(&known));
        assert!(carried.stores[&STORE].failing.is_some());
        // A whole reading of a recorder that begins again changes what is known, and nothing else.
        let again = event(9, SettingsRead::Whole(values(&[("a", "7"), ("c", "1")])));
        assert_eq!(told(&known.observe(&again)), ["a 1 -> 7"]);
        assert!(!known.stores[&STORE].values.contains_key("b"));
    }
}
