//! The settings in the answer of a store to `GET /config`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{is_setting, is_setting_value};

/// Tables inside tables that are followed; TiKV's configuration has four.
const DEEPEST: usize = 6;

/// The settings of the list in the body of an answer, by their whole names. A value that could name something is
/// left out. `None` where the body is no configuration of TiKV: no JSON, or none of the settings is in it.
pub fn settings_in(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let mut found = BTreeMap::new();
    gather(&document, "", DEEPEST, &mut found);
    (!found.is_empty()).then_some(found)
}

fn gather(table: &Value, within: &str, depth: usize, found: &mut BTreeMap<String, String>) {
    let Some(fields) = table.as_object().filter(|_| depth > 0) else { return };
    for (name, value) in fields {
        let name = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
        if value.is_object() {
            gather(value, &name, depth - 1, found);
        } else if is_setting(&name)
            && let Some(text) = text(value).filter(|text| is_setting_value(text))
        {
            found.insert(name, text);
        }
    }
}

/// A value as text; `None` where it is a table, or a list that holds anything but single values.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("unset".to_owned()),
        Value::Bool(is_on) => Some(is_on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(elements) => {
            let single = elements.iter().filter(|one| !one.is_array());
            let texts: Option<Vec<String>> = single.map(text).collect();
            texts.filter(|texts| texts.len() == elements.len()).map(|texts| texts.join(","))
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_list_are_taken_and_nothing_else() {
        let body = br#"{"memory-usage-limit": null, "slow-log-file": "/var/log/slow",
            "storage": {"data-dir": "/data/tikv", "block-cache": {"capacity": "12GiB"},
                "io-rate-limit": {"mode": "host-7"}},
            "raftstore": {"store-pool-size": 2, "evict-cache-on-memory-ratio": 0.1,
                "hibernate-regions": true, "raft-log-gc-threshold": [[1]]},
            "rocksdb": {"defaultcf": {"compression-per-level": ["no", "lz4", "zstd"]}},
            "server": {"labels": {"zone": "z1"}, "addr": "10.0.0.1:20160"}}"#;
        let found = settings_in(body).expect("settings");
        let found: Vec<String> =
            found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "memory-usage-limit=unset",
            "raftstore.evict-cache-on-memory-ratio=0.1",
            "raftstore.hibernate-regions=true",
            "raftstore.store-pool-size=2",
            "rocksdb.defaultcf.compression-per-level=no,lz4,zstd",
            "storage.block-cache.capacity=12GiB",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_configuration_has_no_settings() {
        let deep = format!("{}1{}", "{\"rocksdb\":".repeat(100), "}".repeat(100));
        for body in ["", "<html>", "[]", "7", "{}", "{\"raftstore\": 7}", &deep] {
            assert_eq!(settings_in(body.as_bytes()), None, "{body}");
        }
    }
}
