//! What `/config` says: PD's configuration, where its dashboard finds Prometheus, and whose it is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::documents::{PdDocumentError, Reader};

/// The body of `/config` as dotted keys.
pub(super) fn config(
    reader: &Reader<'_>,
    raw: &Value,
) -> Result<BTreeMap<String, String>, PdDocumentError> {
    if !raw.is_object() {
        return Err(reader.error("the configuration is not an object"));
    }
    let mut flat = BTreeMap::new();
    flatten(String::new(), raw, &mut flat);
    Ok(flat)
}

fn flatten(key: String, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(key, field, into);
            }
        }
        Value::String(text) => {
            into.insert(key, text.clone());
        }
        other => {
            into.insert(key, other.to_string());
        }
    }
}

/// The base URL of Prometheus that PD's dashboard uses: `pd-server.metric-storage` of
/// `/pd/api/v1/config`, without credentials. `None` where it is not set or the body is not a
/// configuration.
pub fn metric_storage(config_body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "pd-server")]
        pd_server: Server,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Server {
        metric_storage: String,
    }
    let config: Config = serde_json::from_slice(config_body).ok()?;
    let url = config.pd_server.metric_storage;
    (!url.is_empty()).then(|| without_userinfo(&url))
}

/// The name of the member whose `/pd/api/v1/config` this is.
pub(crate) fn member_name(config_body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        name: String,
    }
    let config: Config = serde_json::from_slice(config_body).ok()?;
    Some(config.name).filter(|name| !name.is_empty())
}

static USERINFO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z][A-Za-z0-9+.\-]*://)[^/?#\s"'<>\\]*@"#).expect("the pattern is valid")
});

/// A text with the user and password taken out of every URL in it.
///
/// # Examples
///
/// ```
/// use operator::pd::without_userinfo;
/// assert_eq!(without_userinfo("get http://root:p@ss@pd0:2379/x"), "get http://pd0:2379/x");
/// ```
pub fn without_userinfo(text: &str) -> String {
    USERINFO.replace_all(text, "$1").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_prometheus_comes_without_credentials() {
        let config = br#"{"pd-server":{"metric-storage":"http://u:p@10.0.0.1:9090"}}"#;
        assert_eq!(metric_storage(config).as_deref(), Some("http://10.0.0.1:9090"));
        assert_eq!(metric_storage(br#"{"pd-server":{"metric-storage":""}}"#), None);
        assert_eq!(metric_storage(b"<html>"), None);
    }
}
