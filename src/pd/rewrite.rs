//! Rewrites the texts in a body of PD's, whether or not this program reads that body otherwise.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// What a text in a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyText {
    /// The name of a field.
    FieldName,
    /// Made by PD's code out of its own words and of numbers.
    Code,
    /// A message of PD's, such as an error.
    Message,
    /// A key of a region, in hexadecimal or as it is.
    RegionKey,
    /// Addresses or URLs of a store, with commas between them.
    StoreAddress,
    /// Addresses or URLs of a TiFlash store, with commas between them.
    TiflashAddress,
    /// Addresses or URLs of a member, with commas between them.
    MemberAddress,
    /// Anything else: a name, a path, a setting.
    Other,
}

/// What is done with the parts of a body. Each function returns what stands there afterwards.
pub trait RewriteBody {
    /// A text.
    fn text(&mut self, text: &str, what: BodyText) -> String;

    /// An identifier that PD drew at random: of the cluster or of a member.
    fn id(&mut self, id: u64) -> u64;
}

/// Fields whose text is fixed by PD, by the program that injects faults, or says how a binary was built.
const CODE_FIELDS: &str = "
    state_name version binary_version git_hash build_ts build_time branch hash role role_name desc brief
    kind mode state status summary info type level format rule_type op replication-mode
    data-encryption-method cluster-version region-score-formula-version store-limit-version
    leader-schedule-policy key-type auto-compaction-mode fault change component scenario action
";

/// Fields that hold a key of a region.
const KEY_FIELDS: [&str; 5] = ["start_key", "end_key", "start_key_hex", "end_key_hex", "split_key"];

/// Fields that hold an identifier of a cluster or of one of its members.
const ID_FIELDS: [&str; 5] =
    ["cluster_id", "member_id", "id", "raft_cluster_id", "etcd_cluster_id"];

/// Fields with the addresses of a member.
const MEMBER_FIELDS: [&str; 6] = [
    "client_urls",
    "peer_urls",
    "client-urls",
    "peer-urls",
    "advertise-client-urls",
    "advertise-peer-urls",
];

/// Fields with the addresses of a store.
const STORE_FIELDS: [&str; 3] = ["address", "peer_address", "status_address"];

/// Identifiers from here on are drawn at random: those of stores, regions and peers are counted up.
pub const LEAST_RANDOM_ID: u64 = 1 << 53;

static CODE: LazyLock<HashSet<&str>> = LazyLock::new(|| CODE_FIELDS.split_whitespace().collect());

/// The body of an answer to `path`, rewritten. A body that is not JSON is one message. JSON keeps its values but
/// not its spaces.
pub fn rewrite_body(path: &str, body: &[u8], rewrite: &mut dyn RewriteBody) -> Vec<u8> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        return rewrite.text(&text, BodyText::Message).into_bytes();
    };
    let lists_code = path.contains("/operators") || path.contains("/schedulers");
    let what = if lists_code { BodyText::Code } else { BodyText::Message };
    let mut walk = BodyWalk { is_of_stores: path.contains("/stores"), rewrite };
    let written = walk.value(Place { what, is_id: false, is_tiflash: false }, value);
    let mut bytes = serde_json::to_vec(&written).expect("a value of JSON is JSON");
    bytes.extend(body.ends_with(b"\n").then_some(b'\n'));
    bytes
}

/// Where in a body a value stands.
#[derive(Clone, Copy)]
struct Place {
    what: BodyText,
    is_id: bool,
    is_tiflash: bool,
}

struct BodyWalk<'a> {
    is_of_stores: bool,
    rewrite: &'a mut dyn RewriteBody,
}

impl BodyWalk<'_> {
    fn value(&mut self, place: Place, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let is_tiflash = place.is_tiflash || is_tiflash(&fields);
                let written = fields.into_iter().map(|(name, value)| {
                    let inner = self.field(&name, is_tiflash);
                    let name = self.rewrite.text(&name, BodyText::FieldName);
                    (name, self.value(inner, value))
                });
                Value::Object(written.collect())
            }
            Value::Array(values) => {
                values.into_iter().map(|value| self.value(place, value)).collect()
            }
            Value::String(text) => Value::String(self.rewrite.text(&text, place.what)),
            Value::Number(number) => match number.as_u64() {
                Some(id) if place.is_id && id >= LEAST_RANDOM_ID => self.rewrite.id(id).into(),
                _ => Value::Number(number),
            },
            Value::Null | Value::Bool(_) => value,
        }
    }

    fn field(&self, name: &str, is_tiflash: bool) -> Place {
        let what = if CODE.contains(name) {
            BodyText::Code
        } else if KEY_FIELDS.contains(&name) {
            BodyText::RegionKey
        } else if MEMBER_FIELDS.contains(&name) {
            BodyText::MemberAddress
        } else if self.is_of_stores && STORE_FIELDS.contains(&name) {
            if is_tiflash { BodyText::TiflashAddress } else { BodyText::StoreAddress }
        } else {
            BodyText::Other
        };
        Place { what, is_id: ID_FIELDS.contains(&name), is_tiflash }
    }
}

/// Whether PD's placement labels of a store say that it is TiFlash's.
fn is_tiflash(fields: &Map<String, Value>) -> bool {
    let labels = fields.get("labels").and_then(Value::as_array);
    labels.is_some_and(|labels| {
        labels.iter().any(|label| label.get("value").and_then(Value::as_str) == Some("tiflash"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes what each text is in its place.
    struct Told;

    impl RewriteBody for Told {
        fn text(&mut self, text: &str, what: BodyText) -> String {
            if what == BodyText::FieldName { text.to_owned() } else { format!("{what:?}") }
        }

        fn id(&mut self, _: u64) -> u64 {
            1
        }
    }

    fn told(path: &str, body: &str) -> String {
        String::from_utf8(rewrite_body(path, body.as_bytes(), &mut Told)).expect("it is UTF-8")
    }

    #[test]
    fn each_text_is_what_its_field_says() {
        assert_eq!(
            told(
                "/pd/api/v1/stores",
                r#"{"store":{"id":7,"address":"a:1","version":"8","name":"x"}}"#
            ),
            r#"{"store":{"address":"StoreAddress","id":7,"name":"Other","version":"Code"}}"#
        );
        let tiflash = r#"{"address":"a:1","labels":[{"key":"engine","value":"tiflash"}]}"#;
        assert!(told("/pd/api/v1/stores", tiflash).contains("TiflashAddress"));
        assert_eq!(
            told("/pd/api/v1/members", r#"{"member_id":7711772636774947891,"client_urls":["u"]}"#),
            r#"{"client_urls":["MemberAddress"],"member_id":1}"#
        );
        assert_eq!(
            told("/pd/api/v1/regions", r#"{"start_key":"00"}"#),
            r#"{"start_key":"RegionKey"}"#
        );
        assert_eq!(told("/pd/api/v1/operators", r#"["x"]"#), r#"["Code"]"#);
        assert_eq!(told("/pd/api/v1/health", "no leader"), "Message");
    }
}
