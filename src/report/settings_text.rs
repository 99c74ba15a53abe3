//! The settings of stores as text and JSON for `show --settings`: those that differ between stores first, then those
//! that are not what the release of their store has by default.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::table::table;
use crate::diagnose::counted;
use crate::model::{
    KnownSettings, StoreId, StoreSettings, Timestamp, default_setting, is_same_value,
    knows_defaults_of,
};
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
    /// The version of its binary; empty where PD does not say.
    version: String,
    settings: StoreSettings,
}

impl NamedStore {
    /// What a setting has by default in the release of this store.
    fn default(&self, name: &str) -> Option<&'static str> {
        default_setting(&self.version, name)
    }
}

/// A setting with a value that is not its default, that default, and the stores that have it so.
struct SetValue<'a> {
    name: &'a str,
    value: &'a str,
    default: &'static str,
    stores: Vec<String>,
}

/// A value of a setting, with the stores that have it and the first instant at which one had.
struct SettingValue {
    value: String,
    stores: Vec<String>,
    since: Timestamp,
}

impl SettingsReport {
    /// The stores of `known`, or only the one at the place `only` of `nodes.stores`. `versions` are those of their
    /// binaries, as far as PD says.
    pub fn new(
        known: KnownSettings,
        nodes: &Nodes,
        versions: &BTreeMap<StoreId, String>,
        only: Option<usize>,
    ) -> Self {
        let named = known.stores.into_iter().map(|(id, settings)| {
            let node = nodes.stores.iter().find(|node| node.id == Some(id));
            let address = node.map(|node| node.address.clone()).unwrap_or_default();
            let version = versions.get(&id).cloned().unwrap_or_default();
            NamedStore { id: id.0, name: format!("store {id}"), address, version, settings }
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
        text.push_str(&self.defaults_text());
        text.push_str(&section(&same, "at every store that has it", "is the same", "are the same"));
        text
    }

    /// Settings that are not what the release of their store has by default, ascending by name.
    fn set_values(&self) -> Vec<SetValue<'_>> {
        let mut found: BTreeMap<(&str, &str, &str), SetValue<'_>> = BTreeMap::new();
        for store in &self.stores {
            for (name, (value, _)) in &store.settings.values {
                let default = store.default(name).filter(|default| !is_same_value(default, value));
                let Some(default) = default else { continue };
                let fresh = || SetValue { name, value, default, stores: Vec::new() };
                let one = found.entry((name, value, default)).or_insert_with(fresh);
                one.stores.push(store.name.clone());
            }
        }
        found.into_values().collect()
    }

    /// Settings whose default is not known for any store that has them, though its release is: it depends on the
    /// machine or on other settings.
    fn without_default(&self) -> usize {
        let has = |store: &NamedStore, name: &String| store.settings.values.contains_key(name);
        let names = self.settings.keys().filter(|name| {
            let mut stores = self.compared().filter(|store| has(store, name)).peekable();
            stores.peek().is_some() && stores.all(|store| store.default(name).is_none())
        });
        names.count()
    }

    /// The stores whose release has known defaults.
    fn compared(&self) -> impl Iterator<Item = &NamedStore> {
        self.stores.iter().filter(|store| knows_defaults_of(&store.version))
    }

    fn defaults_text(&self) -> String {
        let unknown = self.stores.len() - self.compared().count();
        if unknown == self.stores.len() {
            return "\nno defaults are known of the release of these stores\n".to_owned();
        }
        let values = self.set_values();
        let row = |one: &SetValue<'_>| {
            let name = format!("  {}", one.name);
            let default = format!("default {}", one.default);
            vec![name, one.value.to_owned(), stores_text(&one.stores), default]
        };
        let rows: Vec<Vec<String>> = values.iter().map(row).collect();
        let verb = if values.len() == 1 { "is" } else { "are" };
        let mut text = format!(
            "\n{} {verb} not the default of the store's release\n{}",
            counted(values.len() as u64, "setting"),
            table(&rows)
        );
        match self.without_default() {
            0 => {}
            count => text.push_str(&format!(
                "  (of {} the default depends on the machine or on other settings)\n",
                counted(count as u64, "setting")
            )),
        }
        if unknown > 0 {
            let stores = counted(unknown as u64, "store");
            text.push_str(&format!("  (no defaults are known of the release of {stores})\n"));
        }
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
                "version": store.version,
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
        let set = self.set_values();
        let set = set.iter().map(|one| {
            json!({
                "setting": one.name, "value": one.value, "default": one.default, "stores": one.stores,
            })
        });
        json!({
            "schema": 1,
            "differing": differing.collect::<Vec<Value>>(),
            "not_default": set.collect::<Vec<Value>>(),
            "without_default": self.without_default(),
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

/// The names of stores, or how many there are.
fn stores_text(stores: &[String]) -> String {
    match stores.len() {
        count if count > MOST_NAMED => counted(count as u64, "store"),
        _ => stores.join(", "),
    }
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
            let stores = stores_text(&value.stores);
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

    fn report(versions: &[(u64, &str)]) -> SettingsReport {
        let versions =
            versions.iter().map(|(store, version)| (StoreId(*store), (*version).to_owned()));
        SettingsReport::new(known(), &Nodes::default(), &versions.collect(), None)
    }

    #[test]
    fn what_is_no_default_of_its_release_is_told_and_what_has_none_is_counted() {
        let text = report(&[(1, "8.5.8"), (4, "8.5.8")]).text();
        let expected = "
1 setting is not the default of the store's release
  raftstore.store-pool-size  1  store 4  default 2
  (of 1 setting the default depends on the machine or on other settings)
  (no defaults are known of the release of 1 store)
";
        assert!(text.contains(expected), "{text}");
        let json = report(&[(4, "8.5.8")]).json();
        assert_eq!(json["not_default"][0]["default"], "2");
        assert_eq!(
            (json["not_default"][1].clone(), &json["without_default"]),
            (Value::Null, &json!(1))
        );
        assert_eq!(json["stores"][1]["version"], "8.5.8");
    }

    #[test]
    fn what_differs_stands_first_with_its_stores() {
        let text = report(&[]).text();
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
            "no defaults are known of the release of these stores",
            "",
            "1 setting is the same at every store that has it",
            "  server.grpc-concurrency  5  store 1, store 4, store 5  since 1970-01-01T00:00:10.000Z",
        ];
        assert_eq!(lines, expected);
        let json = report(&[]).json();
        assert_eq!(json["differing"][0]["values"][1]["stores"][0], "store 4");
        assert_eq!(json["stores"][2]["failing"]["reason"], "timeout");
    }
}
