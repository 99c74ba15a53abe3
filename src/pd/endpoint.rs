//! The endpoints of PD's HTTP API: one enum of those whose bodies are read, one table of those that
//! the recorder asks.
//!
//! `/regions`, whose answer has no bound, is not among them.

use super::hot_regions::FlowKind;
use crate::model::ProfileKind;

/// What an answer is about, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// `/ping`: an empty answer at next to no cost, which shows that the member lives.
    Ping,
    /// `/health`: which members the answering one reaches.
    Health,
    /// `/status`: version and start of the answering member's process.
    Status,
    /// `/members`: the members and who leads.
    Members,
    /// `/version`: PD's version.
    Version,
    /// `/cluster`: the cluster's id.
    Cluster,
    /// `/config`: the configuration, which also names the member that answers.
    Config,
    /// `/stores`: the stores with their state, counts and sizes.
    Stores,
    /// `/operators`: the scheduling steps under way.
    Operators,
    /// `/schedulers`: the names of all schedulers.
    Schedulers,
    /// `/schedulers?status=paused`: the names of those that are paused.
    PausedSchedulers,
    /// `/gc/safepoint`: how far GC may go, and who holds it back.
    SafePoint,
    /// `/min-resolved-ts`: up to when every store has resolved its transactions.
    MinResolvedTs,
    /// `/regions/count`: how many regions there are.
    RegionCount,
    /// `/regions/check/<name>`: how many regions a check names.
    RegionCheck(&'a str),
    /// `/hotspot/regions/read` and `/hotspot/regions/write`: the hot regions of each store.
    HotRegions(FlowKind),
    /// `/regions/readflow` and `/regions/writeflow`: the regions with the greatest flow.
    BusyRegions(FlowKind),
    /// Everything else: recorded, and read by nothing in this program.
    Unread,
}

impl<'a> Endpoint<'a> {
    /// The endpoint of a path with its query.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::pd::Endpoint;
    /// assert_eq!(Endpoint::of("/pd/api/v1/stores?state=0"), Endpoint::Stores);
    /// assert_eq!(Endpoint::of("/pd/api/v1/labels"), Endpoint::Unread);
    /// ```
    pub fn of(path: &'a str) -> Self {
        let (route, query) = path.split_once('?').unwrap_or((path, ""));
        let Some(route) = route.strip_prefix(V1) else { return Self::Unread };
        match route {
            "/ping" => Self::Ping,
            "/health" => Self::Health,
            "/status" => Self::Status,
            "/members" => Self::Members,
            "/version" => Self::Version,
            "/cluster" => Self::Cluster,
            "/config" => Self::Config,
            "/stores" => Self::Stores,
            "/operators" => Self::Operators,
            "/schedulers" if query.is_empty() => Self::Schedulers,
            "/schedulers" if query == "status=paused" => Self::PausedSchedulers,
            "/gc/safepoint" => Self::SafePoint,
            "/min-resolved-ts" => Self::MinResolvedTs,
            "/regions/count" => Self::RegionCount,
            "/hotspot/regions/read" => Self::HotRegions(FlowKind::Read),
            "/hotspot/regions/write" => Self::HotRegions(FlowKind::Write),
            "/regions/readflow" => Self::BusyRegions(FlowKind::Read),
            "/regions/writeflow" => Self::BusyRegions(FlowKind::Write),
            other => match other.strip_prefix("/regions/check/") {
                Some(name) if !name.starts_with("hist-") => Self::RegionCheck(name),
                _ => Self::Unread,
            },
        }
    }

    /// Of whom it is asked: what a member says of itself, and of its view of the others, is asked of each.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Ping | Self::Health | Self::Status | Self::Members | Self::Version => {
                Scope::EveryMember
            }
            _ => Scope::Leader,
        }
    }
}

/// The prefix of PD's first API, which has nearly everything.
const V1: &str = "/pd/api/v1";

/// A path without the prefix that nearly all of them share: `/stores`.
pub fn short_path(path: &str) -> &str {
    path.strip_prefix(V1).unwrap_or(path)
}

/// The path of [`Endpoint::Ping`].
pub const PING: &str = "/pd/api/v1/ping";
/// The path of [`Endpoint::Status`].
pub const STATUS: &str = "/pd/api/v1/status";
/// The path of [`Endpoint::Members`].
pub const MEMBERS: &str = "/pd/api/v1/members";
/// The path of the list of stores, those that are being removed among them.
pub const STORES: &str = "/pd/api/v1/stores?state=0&state=1&state=2";
/// The path of [`Endpoint::Config`].
pub const CONFIG: &str = "/pd/api/v1/config";
/// The path of [`Endpoint::Health`].
pub const HEALTH: &str = "/pd/api/v1/health";
/// The path of [`Endpoint::Version`].
pub const VERSION: &str = "/pd/api/v1/version";
/// The path of [`Endpoint::Cluster`].
pub const CLUSTER: &str = "/pd/api/v1/cluster";

/// The path of a profile of a member's process (`server/api/pprof.go` of tikv/pd), which is taken on demand only.
pub fn profile_path(what: ProfileKind) -> &'static str {
    match what {
        ProfileKind::Heap => "/pd/api/v1/debug/pprof/heap",
        ProfileKind::Goroutines => "/pd/api/v1/debug/pprof/goroutine",
    }
}

/// Of whom a path is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Of every member, which answers for itself.
    EveryMember,
    /// Of the member that leads; a follower passes the request on to it.
    Leader,
}

/// How often a path is asked: see [`PdCadence`](super::PdCadence).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Liveness, health, membership, of every member.
    Member,
    /// Stores, running operators, hot spots, resolved timestamps, of the leader.
    Leader,
    /// What moves slowly or costs PD a walk over its regions, and configuration.
    Slow,
}

/// A path that the recorder asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub path: &'static str,
    /// What the answer is about.
    pub endpoint: Endpoint<'static>,
    /// How often it is asked.
    pub group: Group,
}

const fn asked(group: Group, endpoint: Endpoint<'static>, path: &'static str) -> Asked {
    Asked { path, endpoint, group }
}

/// Everything that the recorder asks, in the order of asking. PD keeps finished operators for ten
/// minutes, so asking for all of them every minute leaves room for missed rounds and keeps the path
/// the same.
pub const ASKED: [Asked; 46] = [
    asked(Group::Member, Endpoint::Ping, PING),
    asked(Group::Member, Endpoint::Health, HEALTH),
    asked(Group::Member, Endpoint::Status, STATUS),
    asked(Group::Member, Endpoint::Members, MEMBERS),
    asked(Group::Leader, Endpoint::Stores, STORES),
    asked(Group::Leader, Endpoint::Operators, "/pd/api/v1/operators?object=true"),
    asked(Group::Leader, Endpoint::Unread, "/pd/api/v1/hotspot/stores"),
    asked(Group::Leader, Endpoint::HotRegions(FlowKind::Read), "/pd/api/v1/hotspot/regions/read"),
    asked(Group::Leader, Endpoint::HotRegions(FlowKind::Write), "/pd/api/v1/hotspot/regions/write"),
    asked(Group::Leader, Endpoint::MinResolvedTs, "/pd/api/v1/min-resolved-ts?scope=cluster"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/operators/records?from=0"),
    asked(Group::Slow, Endpoint::RegionCount, "/pd/api/v1/regions/count"),
    asked(
        Group::Slow,
        Endpoint::BusyRegions(FlowKind::Write),
        "/pd/api/v1/regions/writeflow?limit=16",
    ),
    asked(
        Group::Slow,
        Endpoint::BusyRegions(FlowKind::Read),
        "/pd/api/v1/regions/readflow?limit=16",
    ),
    asked(Group::Slow, Endpoint::RegionCheck("down-peer"), "/pd/api/v1/regions/check/down-peer"),
    asked(
        Group::Slow,
        Endpoint::RegionCheck("pending-peer"),
        "/pd/api/v1/regions/check/pending-peer",
    ),
    asked(Group::Slow, Endpoint::RegionCheck("miss-peer"), "/pd/api/v1/regions/check/miss-peer"),
    asked(Group::Slow, Endpoint::RegionCheck("extra-peer"), "/pd/api/v1/regions/check/extra-peer"),
    asked(
        Group::Slow,
        Endpoint::RegionCheck("offline-peer"),
        "/pd/api/v1/regions/check/offline-peer",
    ),
    asked(
        Group::Slow,
        Endpoint::RegionCheck("learner-peer"),
        "/pd/api/v1/regions/check/learner-peer",
    ),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/hotspot/buckets"),
    asked(Group::Slow, Endpoint::Schedulers, "/pd/api/v1/schedulers"),
    asked(Group::Slow, Endpoint::PausedSchedulers, "/pd/api/v1/schedulers?status=paused"),
    asked(
        Group::Slow,
        Endpoint::Unread,
        "/pd/api/v1/schedulers/diagnostic/balance-region-scheduler",
    ),
    asked(
        Group::Slow,
        Endpoint::Unread,
        "/pd/api/v1/schedulers/diagnostic/balance-leader-scheduler",
    ),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/stores/progress?action=removing"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/stores/progress?action=preparing"),
    asked(Group::Slow, Endpoint::SafePoint, "/pd/api/v1/gc/safepoint"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/replication_mode/status"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/cluster/status"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/admin/unsafe/remove-failed-stores/show"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v2/maintenance"),
    asked(Group::Slow, Endpoint::Version, VERSION),
    asked(Group::Slow, Endpoint::Cluster, CLUSTER),
    asked(Group::Slow, Endpoint::Config, CONFIG),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/config/placement-rule"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/config/region-label/rules"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/scheduler-config"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/stores/limit"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/labels"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/learner"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/replica"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/rule"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/split"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/merge"),
    asked(Group::Slow, Endpoint::Unread, "/pd/api/v1/checker/joint-state"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_is_asked_is_the_endpoint_that_its_row_says() {
        for row in ASKED {
            assert_eq!(Endpoint::of(row.path), row.endpoint, "{}", row.path);
        }
    }

    #[test]
    fn other_paths_are_recorded_and_not_read() {
        for path in ["/pd/api/v2/maintenance", "/pd/api/v1/regions/check/hist-size", "/", ""] {
            assert_eq!(Endpoint::of(path), Endpoint::Unread, "{path}");
        }
    }
}
