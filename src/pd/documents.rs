//! Reads the bodies of PD's HTTP API. What PD may omit is optional; a body that is not what its
//! path promises is an error, never a panic.
//!
//! Identifiers are read as `u64`: cluster and member ids exceed 2^53.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::model::{
    Member, MemberId, MemberStatus, NodeState, PdAnswer, PdOperator, RegionId, Size, Store,
    StoreId, StoreLabel,
};

/// A body of PD that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the answer to {path}: {why}")]
pub struct PdDocumentError {
    /// Path and query of the request.
    pub path: String,
    /// What does not hold.
    pub why: String,
}

/// One parsed body.
#[derive(Clone, Debug, PartialEq)]
pub enum PdDocument {
    /// `/members`.
    Members(MembersDocument),
    /// `/health`: whether the answering member reaches each member, by name.
    Health(BTreeMap<String, bool>),
    /// `/status`.
    Status(MemberStatus),
    /// `/stores`.
    Stores(BTreeMap<StoreId, Store>),
    /// `/operators`, in PD's order.
    Operators(Vec<PdOperator>),
    /// `/schedulers`: names.
    Schedulers(BTreeSet<String>),
    /// `/schedulers?status=paused`: names.
    PausedSchedulers(BTreeSet<String>),
    /// `/config` by dotted key; values as JSON, text without quotes.
    Config(BTreeMap<String, String>),
    /// `/regions/count`.
    RegionCount(u64),
    /// `/regions/check/<name>`: how many regions the check names.
    RegionCheck {
        /// Such as `down-peer`.
        name: String,
        /// How many regions.
        count: u64,
    },
    /// `/version`.
    Version(String),
}

/// What `/members` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersDocument {
    /// The cluster's id.
    pub cluster_id: Option<u64>,
    /// All members.
    pub members: BTreeMap<MemberId, Member>,
    /// Name of PD's leader; `None` where there is none.
    pub leader: Option<String>,
    /// Name of etcd's leader, which normally is PD's too.
    pub etcd_leader: Option<String>,
}

/// A body as parsed: `None` where the request failed or where nothing here reads its path.
pub type ParsedBody = Result<Option<PdDocument>, PdDocumentError>;

impl PdDocument {
    /// Reads the body of an answer.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn of(answer: &PdAnswer) -> ParsedBody {
        match answer.success() {
            Some(body) => Self::parse(&answer.path, body),
            None => Ok(None),
        }
    }

    /// Reads the body of the answer to `path` (with its query).
    ///
    /// `Ok(None)` where the path is one that nothing here reads.
    ///
    /// # Errors
    ///
    /// [`PdDocumentError`] where the body is not what the path promises.
    pub fn parse(path: &str, body: &[u8]) -> Result<Option<Self>, PdDocumentError> {
        let (route, query) = path.split_once('?').unwrap_or((path, ""));
        let Some(route) = route.strip_prefix("/pd/api/v1/") else { return Ok(None) };
        let reader = Reader { path, body };
        let document = match route {
            "members" => Self::Members(members(reader.json()?)),
            "health" => Self::Health(health(reader.json()?)),
            "status" => Self::Status(status(reader.json()?)),
            "version" => {
                let version: RawVersion = reader.json()?;
                Self::Version(version.version)
            }
            "stores" => Self::Stores(stores(reader.json()?)),
            "operators" => Self::Operators(operators(&reader, reader.json()?)?),
            "schedulers" if query.is_empty() => Self::Schedulers(names(&reader, reader.json()?)?),
            "schedulers" if query == "status=paused" => {
                Self::PausedSchedulers(names(&reader, reader.json()?)?)
            }
            "config" => Self::Config(config(&reader, &reader.json()?)?),
            "regions/count" => {
                let count: RawCount = reader.json()?;
                Self::RegionCount(count.count)
            }
            other => match other.strip_prefix("regions/check/") {
                Some(name) if !name.starts_with("hist-") => {
                    let count: RawCount = reader.json()?;
                    Self::RegionCheck { name: name.to_owned(), count: count.count }
                }
                _ => return Ok(None),
            },
        };
        Ok(Some(document))
    }
}

struct Reader<'a> {
    path: &'a str,
    body: &'a [u8],
}

impl Reader<'_> {
    fn json<'de, T: Deserialize<'de>>(&'de self) -> Result<T, PdDocumentError> {
        serde_json::from_slice(self.body).map_err(|error| self.error(&error.to_string()))
    }

    fn error(&self, why: &str) -> PdDocumentError {
        PdDocumentError { path: self.path.to_owned(), why: why.to_owned() }
    }
}

#[derive(Deserialize)]
struct RawVersion {
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct RawCount {
    count: u64,
}

#[derive(Deserialize)]
struct RawMembers {
    header: Option<RawHeader>,
    members: Option<Vec<RawMember>>,
    leader: Option<RawMember>,
    etcd_leader: Option<RawMember>,
}

#[derive(Deserialize)]
struct RawHeader {
    cluster_id: Option<u64>,
}

#[derive(Deserialize)]
struct RawMember {
    name: Option<String>,
    member_id: Option<u64>,
    client_urls: Option<Vec<String>>,
    binary_version: Option<String>,
    health: Option<bool>,
}

/// PD names the lack of a leader by `null`, by leaving it out, or by an empty object.
fn leader_name(raw: Option<RawMember>) -> Option<String> {
    raw.and_then(|member| member.name).filter(|name| !name.is_empty())
}

fn members(raw: RawMembers) -> MembersDocument {
    let members = raw.members.unwrap_or_default().into_iter().map(|member| {
        let id = MemberId(member.member_id.unwrap_or_default());
        let member = Member {
            id,
            name: member.name.unwrap_or_default(),
            client_urls: member.client_urls.unwrap_or_default(),
            version: member.binary_version.unwrap_or_default(),
        };
        (id, member)
    });
    MembersDocument {
        cluster_id: raw.header.and_then(|header| header.cluster_id),
        members: members.collect(),
        leader: leader_name(raw.leader),
        etcd_leader: leader_name(raw.etcd_leader),
    }
}

fn health(raw: Option<Vec<RawMember>>) -> BTreeMap<String, bool> {
    // `health` is left out by some versions where it is false.
    let row = |member: RawMember| {
        let id = member.member_id.unwrap_or_default();
        let name = member.name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string());
        (name, member.health.unwrap_or(false))
    };
    raw.unwrap_or_default().into_iter().map(row).collect()
}

#[derive(Deserialize)]
struct RawStatus {
    version: Option<String>,
    start_timestamp: Option<i64>,
}

fn status(raw: RawStatus) -> MemberStatus {
    MemberStatus {
        version: raw.version.unwrap_or_default(),
        started_unix_s: raw.start_timestamp.filter(|&seconds| seconds != 0),
    }
}

#[derive(Deserialize)]
struct RawStores {
    stores: Option<Vec<RawStoreInfo>>,
}

#[derive(Deserialize)]
struct RawStoreInfo {
    store: RawStore,
    status: Option<RawStoreStatus>,
}

#[derive(Deserialize)]
struct RawStore {
    id: u64,
    address: Option<String>,
    status_address: Option<String>,
    version: Option<String>,
    labels: Option<Vec<RawLabel>>,
    state_name: Option<String>,
    node_state: Option<i64>,
    start_timestamp: Option<i64>,
    last_heartbeat: Option<i64>,
}

#[derive(Deserialize)]
struct RawLabel {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawStoreStatus {
    capacity: Option<String>,
    available: Option<String>,
    used_size: Option<String>,
    leader_count: Option<u64>,
    leader_score: Option<f64>,
    region_count: Option<u64>,
    region_score: Option<f64>,
    pending_peer_count: Option<u64>,
    slow_score: Option<u64>,
    is_busy: Option<bool>,
}

fn stores(raw: RawStores) -> BTreeMap<StoreId, Store> {
    let store = |info: RawStoreInfo| {
        let status = info.status.unwrap_or_default();
        let label = |label: RawLabel| StoreLabel {
            key: label.key.unwrap_or_default(),
            value: label.value.unwrap_or_default(),
        };
        let size = |text: Option<String>| text.map(|text| Size::parse(&text));
        let id = StoreId(info.store.id);
        let store = Store {
            id,
            address: info.store.address.unwrap_or_default(),
            status_address: info.store.status_address.unwrap_or_default(),
            version: info.store.version.unwrap_or_default(),
            labels: info.store.labels.unwrap_or_default().into_iter().map(label).collect(),
            state_name: info.store.state_name.unwrap_or_default(),
            node_state: NodeState::from_code(info.store.node_state.unwrap_or(0)),
            started_unix_s: info.store.start_timestamp.filter(|&seconds| seconds != 0),
            last_heartbeat_unix_ns: info.store.last_heartbeat.filter(|&nanos| nanos != 0),
            capacity: size(status.capacity),
            available: size(status.available),
            used: size(status.used_size),
            leader_count: status.leader_count.unwrap_or(0),
            leader_score: status.leader_score,
            region_count: status.region_count.unwrap_or(0),
            region_score: status.region_score,
            pending_peer_count: status.pending_peer_count.unwrap_or(0),
            slow_score: status.slow_score,
            is_busy: status.is_busy.unwrap_or(false),
        };
        (id, store)
    };
    raw.stores.unwrap_or_default().into_iter().map(store).collect()
}

#[derive(Deserialize)]
struct RawOperator {
    desc: String,
    brief: Option<String>,
    region_id: Option<u64>,
}

fn operators(
    reader: &Reader<'_>,
    raw: Option<Vec<Value>>,
) -> Result<Vec<PdOperator>, PdDocumentError> {
    raw.unwrap_or_default()
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Ok(operator_from_text(&text)),
            object => {
                let raw: RawOperator = serde_json::from_value(object)
                    .map_err(|error| reader.error(&error.to_string()))?;
                Ok(PdOperator {
                    desc: raw.desc,
                    brief: raw.brief.unwrap_or_default(),
                    region: raw.region_id.map(RegionId),
                })
            }
        })
        .collect()
}

/// Reads PD's Go `String()` form: `desc {brief} (kind:…, region:71(15, 5), …`.
fn operator_from_text(text: &str) -> PdOperator {
    let (desc, rest) = text.split_once(" {").unwrap_or((text, ""));
    let brief = rest.split_once("} (").map_or("", |(brief, _)| brief);
    let region = rest.split_once("region:").and_then(|(_, rest)| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse().ok().map(RegionId)
    });
    PdOperator { desc: desc.to_owned(), brief: brief.to_owned(), region }
}

fn names(
    reader: &Reader<'_>,
    raw: Option<Vec<Value>>,
) -> Result<BTreeSet<String>, PdDocumentError> {
    raw.unwrap_or_default()
        .into_iter()
        .map(|value| {
            let name = match &value {
                Value::String(name) => Some(name.as_str()),
                other => other.get("name").and_then(Value::as_str),
            };
            name.map(str::to_owned).ok_or_else(|| reader.error("a scheduler has no name"))
        })
        .collect()
}

fn config(reader: &Reader<'_>, raw: &Value) -> Result<BTreeMap<String, String>, PdDocumentError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, body: &str) -> PdDocument {
        PdDocument::parse(&format!("/pd/api/v1/{path}"), body.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn ids_past_two_to_the_53_keep_every_digit() {
        let PdDocument::Members(members) = parse(
            "members",
            r#"{"header":{"cluster_id":7711775287312631573},"members":[{"name":"pd1",
            "member_id":13817025920978715359,"peer_urls":["http://10.77.0.11:2380"],
            "client_urls":["http://10.77.0.11:2379"]}],"leader":{"name":"pd1",
            "member_id":13817025920978715359}}"#,
        ) else {
            panic!("not members")
        };
        assert_eq!(members.cluster_id, Some(7_711_775_287_312_631_573));
        assert!(members.members.contains_key(&MemberId(13_817_025_920_978_715_359)));
        assert_eq!(members.leader.as_deref(), Some("pd1"));
        assert_eq!(members.etcd_leader, None);
    }

    #[test]
    fn an_omitted_state_is_the_first_one_and_a_bare_store_is_readable() {
        let PdDocument::Stores(stores) = parse(
            "stores?state=0&state=1&state=2",
            r#"{"count":1,"stores":[{"store":{"id":4,"address":"10.77.0.20:20160",
            "last_heartbeat":1795538171756874635,"state_name":"Disconnected"},
            "status":{"capacity":"2.813GiB"}}]}"#,
        ) else {
            panic!("not stores")
        };
        let store = &stores[&StoreId(4)];
        assert_eq!(store.node_state, NodeState::Preparing);
        assert_eq!(store.state_name, "Disconnected");
        assert_eq!(store.last_heartbeat_unix_ns, Some(1_795_538_171_756_874_635));
        assert_eq!(store.leader_count, 0);
        let capacity = store.capacity.as_ref().unwrap();
        assert_eq!(capacity.text, "2.813GiB");
        assert_eq!(capacity.approximate_bytes, Some(3_020_435_750));
    }

    #[test]
    fn operators_are_read_from_objects_and_from_text() {
        let object = parse(
            "operators?object=true",
            r#"[{"desc":"evict-leader-scheduler","brief":"evict leader: from store 5","region_id":67,
            "region_epoch":{"conf_ver":5,"version":25},"kind":256,"timeout":"1m0s","status":1}]"#,
        );
        let text = parse(
            "operators",
            r#"["evict-leader-scheduler {evict leader: from store 5} (kind:leader, region:67(5, 25), size:1)"]"#,
        );
        assert_eq!(object, text);
        assert_eq!(parse("operators", "null"), PdDocument::Operators(vec![]));
    }

    #[test]
    fn configuration_is_flattened_to_dotted_keys() {
        let PdDocument::Config(config) = parse(
            "config",
            r#"{"schedule":{"leader-schedule-limit":4,"store-limit":{"1":{"add-peer":15}}},"join":""}"#,
        ) else {
            panic!("not a configuration")
        };
        let keys: Vec<_> = config.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            keys,
            ["join=", "schedule.leader-schedule-limit=4", "schedule.store-limit.1.add-peer=15"]
        );
    }

    #[test]
    fn bodies_that_are_not_what_they_promise_are_named() {
        for (route, body) in [
            ("members", "[PD:apiutil:ErrRedirect]redirect failed"),
            ("stores", r#"{"stores":[{"store":{"id":-1}}]}"#),
            ("stores", r#"{"stores":[{"store":{"id":4"#),
            ("schedulers", r#"[{"paused_at":1}]"#),
            ("config", "[]"),
            ("regions/check/down-peer", "{}"),
        ] {
            let path = format!("/pd/api/v1/{route}");
            let error = PdDocument::parse(&path, body.as_bytes()).unwrap_err();
            assert_eq!(error.path, path);
        }
        assert_eq!(PdDocument::parse("/pd/api/v1/ping", b""), Ok(None));
    }
}
