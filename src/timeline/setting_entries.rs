//! Entries of the settings of stores: those that changed, and stores whose settings could not be read.

use std::collections::BTreeMap;

use crate::model::{KnownSettings, SettingChange, SettingsEvent, SettingsRead, StoreId, TimeRange};
use crate::timeline::entry::{Entry, EntryKind, Evidence};

/// Changes of one reading that are told one by one: another version of TiKV brings dozens of others.
const MOST_TOLD: usize = 20;

/// The entries inside `window` of readings that are ascending by time.
pub(super) fn setting_entries(
    events: impl IntoIterator<Item = SettingsEvent>,
    window: TimeRange,
) -> Vec<Entry> {
    let mut known = KnownSettings::default();
    let mut entries = Vec::new();
    let mut failing: BTreeMap<StoreId, bool> = BTreeMap::new();
    for event in events {
        let changes = known.observe(&event);
        let failed = match event.read {
            SettingsRead::Failed(reason) => Some(reason),
            _ => None,
        };
        let failed_before = failing.insert(event.store, failed.is_some()).unwrap_or(false);
        if !window.contains(event.at) {
            continue;
        }
        entries.extend(changes.iter().take(MOST_TOLD).map(changed));
        if let Some(more) = changes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            let text = format!("{more} further settings changed");
            entries.push(entry(&event, EntryKind::SettingChanged, text, String::new()));
        }
        if let Some(reason) = failed.filter(|_| !failed_before) {
            let text = format!("its settings were not read ({reason})");
            let value = reason.name().to_owned();
            entries.push(entry(&event, EntryKind::SettingsUnread, text, value));
        }
    }
    entries
}

fn changed(change: &SettingChange) -> Entry {
    let SettingChange { at, since, store, name, from, to, .. } = change;
    // What nobody knows to the minute is said.
    let between = since.filter(|since| *at - *since > 60_000);
    let between = between.map_or_else(String::new, |since| format!(", after {since}"));
    Entry {
        at: *at,
        source: "settings".to_owned(),
        kind: EntryKind::SettingChanged,
        subject: format!("store {store}"),
        text: format!("{name} {from} -> {to}{between}"),
        evidence: Evidence {
            reference: format!("settings store {store} {name}"),
            at: *at,
            value: to.clone(),
        },
    }
}

fn entry(event: &SettingsEvent, kind: EntryKind, text: String, value: String) -> Entry {
    let store = event.store;
    let reference = format!("settings store {store}");
    Entry {
        at: event.at,
        source: "settings".to_owned(),
        kind,
        subject: format!("store {store}"),
        text,
        evidence: Evidence { reference, at: event.at, value },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Occasion, Timestamp};

    fn event(second: i64, read: SettingsRead) -> SettingsEvent {
        SettingsEvent {
            at: Timestamp::from_millis(second * 1_000),
            store: StoreId(4),
            occasion: Occasion::Hourly,
            since: Some(Timestamp::from_millis((second - 90) * 1_000)),
            read,
        }
    }

    fn values(pools: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("raftstore.store-pool-size".to_owned(), pools.to_owned())])
    }

    #[test]
    fn a_changed_setting_and_the_first_failure_are_entries_and_the_first_reading_is_none() {
        let events = [
            event(0, SettingsRead::Whole(values("2"))),
            event(100, SettingsRead::Changed(values("1"))),
            event(200, SettingsRead::Failed(GapReason::Timeout)),
            event(300, SettingsRead::Failed(GapReason::Connect)),
            event(400, SettingsRead::Changed(BTreeMap::new())),
            event(900, SettingsRead::Changed(values("3"))),
        ];
        let window =
            TimeRange::new(Timestamp::from_millis(50_000), Timestamp::from_millis(500_000));
        let told: Vec<String> = setting_entries(events, window)
            .iter()
            .map(|entry| format!("{} {}: {}", entry.at.as_millis(), entry.subject, entry.text))
            .collect();
        let expected = [
            "100000 store 4: raftstore.store-pool-size 2 -> 1, after 1970-01-01T00:00:10.000Z",
            "200000 store 4: its settings were not read (timeout)",
        ];
        assert_eq!(told, expected);
    }
}
