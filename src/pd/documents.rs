//! Reads the bodies of PD's HTTP API. What PD may omit is optional; a body that is not what its
//! path promises is an error, never a panic.
//!
//! Identifiers are read as `u64`: cluster and member ids exceed 2^53.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::configuration::config;
use super::endpoint::Endpoint;
use super::hot_regions::{Flow, FlowKind, RegionPeers, busy_and_peers};
use super::members::{MembersDocument, health, members, status};
use super::scheduling::{
    MinResolvedTs, SafePoint, min_resolved_ts, operators, safe_point, scheduler_names,
};
use super::stores::stores;
use crate::model::{MemberStatus, PdAnswer, PdOperator, Store, StoreId};

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
    /// The body of `/members`.
    Members(MembersDocument),
    /// `/health`: whether the answering member reaches each member, by name.
    Health(BTreeMap<String, bool>),
    /// The body of `/status`.
    Status(MemberStatus),
    /// The body of `/stores`, by id.
    Stores(BTreeMap<StoreId, Store>),
    /// `/operators`, in PD's order.
    Operators(Vec<PdOperator>),
    /// The names in the body of `/schedulers`.
    Schedulers(BTreeSet<String>),
    /// The names in the body of `/schedulers?status=paused`.
    PausedSchedulers(BTreeSet<String>),
    /// `/config` by dotted key; values as JSON, text without quotes.
    Config(BTreeMap<String, String>),
    /// The number of regions in the body of `/regions/count`.
    RegionCount(u64),
    /// `/regions/check/<name>`: how many regions the check names.
    RegionCheck {
        /// Such as `down-peer`.
        name: String,
        /// How many regions.
        count: u64,
    },
    /// The version in the body of `/version`, such as `v8.5.8`.
    Version(String),
    /// `/hotspot/regions/read` and `/hotspot/regions/write`.
    HotRegions {
        /// Which of the two.
        kind: FlowKind,
        /// The flow of the hot regions.
        flow: Flow,
    },
    /// `/regions/readflow` and `/regions/writeflow`.
    BusyRegions {
        /// Which of the two.
        kind: FlowKind,
        /// The flow of the regions listed; `None` where none is.
        flow: Option<Flow>,
        /// Where their peers are.
        peers: RegionPeers,
    },
    /// The body of `/gc/safepoint`.
    SafePoint(SafePoint),
    /// The body of `/min-resolved-ts`.
    MinResolvedTs(MinResolvedTs),
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
    pub fn parse(path: &str, body: &[u8]) -> ParsedBody {
        let reader = Reader { path, body };
        let document = match Endpoint::of(path) {
            Endpoint::Members => Self::Members(members(reader.json()?)),
            Endpoint::Health => Self::Health(health(reader.json()?)),
            Endpoint::Status => Self::Status(status(reader.json()?)),
            Endpoint::Version => {
                let version: RawVersion = reader.json()?;
                Self::Version(version.version)
            }
            Endpoint::Stores => Self::Stores(stores(reader.json()?)),
            Endpoint::Operators => Self::Operators(operators(&reader, reader.json()?)?),
            Endpoint::Schedulers => Self::Schedulers(scheduler_names(&reader, reader.json()?)?),
            Endpoint::PausedSchedulers => {
                Self::PausedSchedulers(scheduler_names(&reader, reader.json()?)?)
            }
            Endpoint::Config => Self::Config(config(&reader, &reader.json()?)?),
            Endpoint::RegionCount => {
                let count: RawCount = reader.json()?;
                Self::RegionCount(count.count)
            }
            Endpoint::RegionCheck(name) => {
                let count: RawCount = reader.json()?;
                Self::RegionCheck { name: name.to_owned(), count: count.count }
            }
            // What says nothing of hot regions, of GC or of resolved timestamps is as good as no answer about them.
            Endpoint::HotRegions(kind) => match Flow::of_hot_regions(body) {
                Some(flow) => Self::HotRegions { kind, flow },
                None => return Ok(None),
            },
            Endpoint::BusyRegions(kind) => match busy_and_peers(kind, body) {
                Some((flow, peers)) => Self::BusyRegions { kind, flow, peers },
                None => return Ok(None),
            },
            Endpoint::SafePoint => match reader.json() {
                Ok(raw) => Self::SafePoint(safe_point(raw)),
                Err(_) => return Ok(None),
            },
            Endpoint::MinResolvedTs => match reader.json().ok().and_then(min_resolved_ts) {
                Some(least) => Self::MinResolvedTs(least),
                None => return Ok(None),
            },
            Endpoint::Ping | Endpoint::Cluster | Endpoint::Unread => return Ok(None),
        };
        Ok(Some(document))
    }
}

/// A body, and the path that an error about it names.
pub(super) struct Reader<'a> {
    path: &'a str,
    body: &'a [u8],
}

impl Reader<'_> {
    fn json<'de, T: Deserialize<'de>>(&'de self) -> Result<T, PdDocumentError> {
        serde_json::from_slice(self.body).map_err(|error| self.error(&error.to_string()))
    }

    pub(super) fn error(&self, why: &str) -> PdDocumentError {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MemberId, NodeState};

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
    fn a_resolved_timestamp_is_a_tso_of_the_store_that_has_the_least() {
        let of = |body: &str| {
            let path = "/pd/api/v1/min-resolved-ts?scope=cluster";
            PdDocument::parse(path, body.as_bytes()).unwrap()
        };
        let least = r#"{"is_real_time":true,"min_resolved_ts":470689404682240000,"persist_interval":"1s",
            "stores_min_resolved_ts":{"1":470689452673990656,"4":470689404682240000}}"#;
        let Some(PdDocument::MinResolvedTs(least)) = of(least) else { panic!("not a timestamp") };
        assert_eq!((least.cluster, least.store), (470_689_404_682_240_000, Some(StoreId(4))));
        assert_eq!(least.instant().to_string(), "2026-11-24T16:26:25.000Z");
        let seconds = r#"{"is_real_time":true,"min_resolved_ts":1795691683}"#;
        let none = r#"{"is_real_time":true,"min_resolved_ts":18446744073709551615}"#;
        let unfollowed = r#"{"is_real_time":false,"min_resolved_ts":470689404682240000}"#;
        for body in [seconds, none, unfollowed] {
            assert_eq!(of(body), None, "{body}");
        }
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
