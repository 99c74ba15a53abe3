//! The settings of stores as text and JSON for `show --settings`: those that differ between stores first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::table::table;
use crate::diagnose::counted;
use crate::model::{KnownSettings, StoreSettings, Timestamp};
use crate::nodes::Nodes;

/// Stores that a row names; of more it says how many there are.
const MOST_NAMED: usize = 6;

/// What is known of the settings of stores, with their names.
pub struct SettingsReport {
    stores: Vec<NamedStore>,
    /// Each setting of the stores with the values that any store has, those of stores that are not shown included.
    settings: BTreeMap<String, Vec<SettingValue>>,
}

struct NamedStore {
    id: u64,
    name: String,
    address: String,
    settings: StoreSettings,
}

/// A value of a setting, with the stores that have it and the first instant at which one had.
struct SettingValue {
    value: String,
    stores: Vec<String>,
    since: Timestamp,
}

impl SettingsReport {
    /// The stores of `known`, or only the one at the place `only` of `nodes.stores`.
    pub fn new(known: KnownSettings, nodes: &Nodes, only: Option<usize>) -> Self {
        let named = known.stores.into_iter().map(|(id, settings)| {
            let node = nodes.stores.iter().find(|node| node.id == Some(id));
            let address = node.map(|node| node.address.clone()).unwrap_or_default();
            NamedStore { id: id.0, name: format!("store {id}"), address, settings }
        });
        let mut stores: Vec<NamedStore> = named.collect();
        let mut settings = by_value(&stores);
        if let Some(only) = only {
            let id = nodes.stores[only].id.map(|id| id.0);
            stores.retain(|store| Some(store.id) == id);
            let shown: BTreeSet<&String> =
                stores.iter().flat_map(|store| store.settings.values.keys()).collect();
            settings.retain(|name, _| shown.contains(name));
        }
        Self { stores, settings }
    }

    /// When each store was read, then the settings.
    pub fn text(&self) -> String {
        if self.stores.is_empty() {
            return "no settings of these stores were recorded\n".to_owned();
        }
        let head = ["STORE", "ADDRESS", "SETTINGS", "READ", ""].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        rows.extend(self.stores.iter().map(store_row));
        let (differing, same): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|(_, values)| values.len() > 1);
        let mut text = table(&rows);
        text.push_str(&section(&differing, "between stores", "differs", "differ"));
        text.push_str(&section(&same, "at every store that has it", "is the same", "are the same"));
        text
    }

    /// The same as a JSON value.
    pub fn json(&self) -> Value {
        let store = |store: &NamedStore| {
            let values = store.settings.values.iter().map(|(name, (value, since))| {
                (name.clone(), json!({ "value": value, "since": since }))
            });
            let failing = store
                .settings
                .failing
                .map(|(since, reason)| json!({ "since": since, "reason": reason.name() }));
            json!({
                "name": store.name,
                "store_id": store.id,
                "address": store.address,
                "read": store.settings.read,
                "failing": failing,
                "settings": values.collect::<serde_json::Map<String, Value>>(),
            })
        };
        let differing = self.settings.iter().filter(|(_, values)| values.len() > 1);
        let differing = differing.map(|(name, values)| {
            let values = values
                .iter()
                .map(|one| json!({ "value": one.value, "stores": one.stores, "since": one.since }));
            json!({ "setting": name, "values": values.collect::<Vec<Value>>() })
        });
        json!({
            "schema": 1,
            "differing": differing.collect::<Vec<Value>>(),
            "stores": self.stores.iter().map(store).collect::<Vec<Value>>(),
        })
    }
}

/// The values of each setting, that of most stores first.
fn by_value(stores: &[NamedStore]) -> BTreeMap<String, Vec<SettingValue>> {
    let mut settings: BTreeMap<String, Vec<SettingValue>> = BTreeMap::new();
    for store in stores {
        for (name, (value, since)) in &store.settings.values {
            let values = settings.entry(name.clone()).or_default();
            match values.iter_mut().find(|one| one.value == *value) {
                Some(known) => {
                    known.stores.push(store.name.clone());
                    known.since = known.since.min(*since);
                }
                None => values.push(SettingValue {
                    value: value.clone(),
                    stores: vec![store.name.clone()],
                    since: *since,
                }),
            }
        }
    }
    for values in settings.values_mut() {
        values.sort_by_key(|one| std::cmp::Reverse(one.stores.len()));
    }
    settings
}

fn store_row(store: &NamedStore) -> Vec<String> {
    let failing = store
        .settings
        .failing
        .map_or_else(String::new, |(since, reason)| format!("not read since {since} ({reason})"));
    let read = store.settings.read.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let count = store.settings.values.len().to_string();
    vec![store.name.clone(), store.address.clone(), count, read, failing]
}

/// Settings under a heading that counts them: `2 settings differ between stores`.
fn section(
    settings: &[(&String, &Vec<SettingValue>)],
    whose: &str,
    one: &str,
    several: &str,
) -> String {
    let verb = if settings.len() == 1 { one } else { several };
    let count = counted(settings.len() as u64, "setting");
    let mut rows = Vec::new();
    for (name, values) in settings {
        for (place, value) in values.iter().enumerate() {
            let name = if place == 0 { name.as_str() } else { "" };
            let stores = match value.stores.len() {
                count if count > MOST_NAMED => counted(count as u64, "store"),
                _ => value.stores.join(", "),
            };
            let since = format!("since {}", value.since);
            rows.push(vec![format!("  {name}"), value.value.clone(), stores, since]);
        }
    }
    format!("\n{count} {verb} {whose}\n{}", table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Occasion, SettingsEvent, SettingsRead, StoreId};

    fn known() -> KnownSettings {
        let event = |store: u64, second: i64, read| SettingsEvent {
            at: Timestamp::from_millis(second * 1_000),
            store: StoreId(store),
            occasion: Occasion::Start,
            since: None,
            read,
        };
        let values = |pools: &str| {
            let pairs = [("raftstore.store-pool-size", pools), ("server.grpc-concurrency", "5")];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            SettingsRead::Whole(BTreeMap::from(pairs))
        };
        KnownSettings::of(&[
            event(1, 10, values("2")),
            event(4, 11, values("1")),
            event(5, 12, values("2")),
            event(5, 99, SettingsRead::Failed(GapReason::Timeout)),
        ])
    }

    #[test]
    fn what_differs_stands_first_with_its_stores() {
        let text = SettingsReport::new(known(), &Nodes::default(), None).text();
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "STORE    ADDRESS  SETTINGS  READ",
            "store 1           2         1970-01-01T00:00:10.000Z",
            "store 4           2         1970-01-01T00:00:11.000Z",
            "store 5           2         1970-01-01T00:00:12.000Z  not read since 1970-01-01T00:01:39.000Z (timeout)",
            "",
            "1 setting differs between stores",
            "  raftstore.store-pool-size  2  store 1, store 5  since 1970-01-01T00:00:10.000Z",
            "                             1  store 4           since 1970-01-01T00:00:11.000Z",
            "",
            "1 setting is the same at every store that has it",
            "  server.grpc-concurrency  5  store 1, store 4, store 5  since 1970-01-01T00:00:10.000Z",
        ];
        assert_eq!(lines, expected);
        let json = SettingsReport::new(known(), &Nodes::default(), None).json();
        assert_eq!(json["differing"][0]["values"][1]["stores"][0], "store 4");
        assert_eq!(json["stores"][2]["failing"]["reason"], "timeout");
    }
}
