//! What a recording knows of the settings of stores, and the events that follow from readings.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::asking::SettingsReading;
use super::listed::{ListedStore, StoreList};
use crate::model::{
    Event, KnownSettings, PdAnswer, SettingsEvent, StoreId, Timestamp, is_of_machine,
};

/// The settings of a recording.
#[derive(Debug)]
pub struct RecordedSettings {
    list: StoreList,
    listed: watch::Sender<Vec<ListedStore>>,
    known: KnownSettings,
    /// When each store last answered.
    answered: BTreeMap<StoreId, Timestamp>,
}

impl RecordedSettings {
    /// The settings of the stores that PD will list, of which a capture holds what is `known`.
    pub fn new(known: KnownSettings) -> Self {
        let (listed, _) = watch::channel(Vec::new());
        Self { list: StoreList::default(), listed, known, answered: BTreeMap::new() }
    }

    /// The stores as they are now, and whenever they change.
    pub fn stores(&self) -> watch::Receiver<Vec<ListedStore>> {
        self.listed.subscribe()
    }

    /// Takes in PD's answers.
    pub fn follow(&mut self, answers: &[PdAnswer]) {
        let changes = answers.iter().filter(|answer| self.list.follow(answer)).count();
        if changes > 0 {
            self.listed.send_replace(self.list.stores().to_vec());
        }
    }

    /// Adds what is known of the store's machine, where it was not asked for that.
    fn with_machine(
        &self,
        store: StoreId,
        mut values: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        if !values.keys().any(|name| is_of_machine(name)) {
            let held = self.known.stores.get(&store).into_iter().flat_map(|held| &held.values);
            let facts = held.filter(|(name, _)| is_of_machine(name));
            values.extend(facts.map(|(name, (value, _))| (name.clone(), value.clone())));
        }
        values
    }

    /// Takes in a reading. Returns the event that is to be stored, if it says anything new.
    pub fn observe(&mut self, reading: &SettingsReading) -> Option<Event> {
        let read = match &reading.read {
            Ok(values) => Ok(self.with_machine(reading.store, values.clone())),
            Err((reason, _)) => Err(*reason),
        };
        let store = reading.store;
        let since = match &read {
            Ok(_) => self.answered.insert(store, reading.at),
            Err(_) => self.answered.get(&store).copied(),
        };
        let news = self.known.news(store, read)?;
        let held = self.known.stores.get(&store);
        let since = since.or(held.and_then(|held| held.read));
        let (at, occasion) = (reading.at, reading.occasion);
        let event = SettingsEvent { at, store, occasion, since, read: news };
        self.known.observe(&event);
        Some(event.to_event())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Occasion, SettingsRead};

    #[test]
    fn a_change_lies_after_the_last_answer_whether_or_not_that_was_stored() {
        let mut settings = RecordedSettings::new(KnownSettings::default());
        let mut reading = |second: i64, pool: &str| {
            let name = "raftstore.store-pool-size".to_owned();
            let reading = SettingsReading {
                store: StoreId(4),
                at: Timestamp::from_millis(second * 1_000),
                occasion: Occasion::Hourly,
                read: Ok(BTreeMap::from([(name, pool.to_owned())])),
                seconds: 0.1,
                machine: None,
            };
            settings.observe(&reading).and_then(|event| SettingsEvent::of_event(&event))
        };
        let first = reading(10, "2").expect("the whole list");
        assert!(matches!(first.read, SettingsRead::Whole(_)) && first.since.is_none());
        assert_eq!(reading(3_610, "2"), None);
        let changed = reading(7_210, "1").expect("a change");
        assert_eq!(changed.since, Some(Timestamp::from_millis(3_610_000)));
    }
}
