//! Which paths of PD's HTTP API are due when, and of whom they are asked.
//!
//! A pure function of time: the schedule holds no clock and does not know what was answered.

use std::time::Duration;

use super::endpoint::{ASKED, Endpoint, Group, HEALTH, Scope};
use crate::model::Timestamp;

/// One request of PD's HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PdRequest {
    /// Path and query.
    pub path: String,
    /// Of whom it is asked.
    pub scope: Scope,
    /// A JSON body. PD's history of hot regions takes its question in the body of a GET.
    pub body: Option<Vec<u8>>,
}

const HISTORY: &str = "/pd/api/v1/hotspot/regions/history";

const MIB: u64 = 1 << 20;

impl PdRequest {
    /// A request without a body; the path tells its scope.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::pd::{PdRequest, Scope};
    /// assert_eq!(PdRequest::get("/pd/api/v1/ping").scope, Scope::EveryMember);
    /// assert_eq!(PdRequest::get("/pd/api/v1/config").scope, Scope::Leader);
    /// ```
    pub fn get(path: &str) -> Self {
        Self { path: path.to_owned(), scope: Endpoint::of(path).scope(), body: None }
    }

    /// The history of hot regions from `start` to `end`, which PD keeps for days. For PD, no
    /// list of regions or stores means all of them, but no list of roles means none: both
    /// values of both flags are asked for.
    pub fn hot_region_history(start: Timestamp, end: Timestamp) -> Self {
        let body = serde_json::json!({
            "start_time": start.as_millis(),
            "end_time": end.as_millis(),
            "is_leaders": [true, false],
            "is_learners": [true, false],
            "hot_region_type": ["read", "write"],
        });
        Self {
            path: HISTORY.to_owned(),
            scope: Scope::Leader,
            body: Some(body.to_string().into_bytes()),
        }
    }

    /// How long to wait for the answer: 5 s, or 15 s where PD walks all regions or, as for
    /// `/health`, waits for other members in turn.
    pub fn timeout(&self) -> Duration {
        let slow = self.path.starts_with("/pd/api/v1/regions/")
            || self.path.starts_with("/pd/api/v1/hotspot/")
            || self.path.starts_with("/pd/api/v1/operators/records")
            || self.path == HEALTH;
        Duration::from_secs(if slow { 15 } else { 5 })
    }

    /// The largest answer that is kept, in bytes: 16 MiB, and 4 MiB for the lists of regions,
    /// which grow with what is wrong with the cluster.
    pub fn max_body_bytes(&self) -> u64 {
        if self.path.starts_with("/pd/api/v1/regions/") { 4 * MIB } else { 16 * MIB }
    }
}

/// How often each group of paths is asked. A zero counts as one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdCadence {
    /// Of every member: liveness, health, membership.
    pub member: Duration,
    /// Of the leader: stores, running operators, hot spots, resolved timestamps.
    pub leader: Duration,
    /// Of the leader: what moves slowly or costs PD a walk over its regions, and configuration,
    /// whose change has to be seen before what it leads to. What did not change is stored once.
    pub slow: Duration,
}

impl Default for PdCadence {
    /// 10 s, 10 s and 60 s. TiKV's stores send a heartbeat every 10 s, so asking for them more
    /// often shows nothing new.
    fn default() -> Self {
        Self {
            member: Duration::from_secs(10),
            leader: Duration::from_secs(10),
            slow: Duration::from_secs(60),
        }
    }
}

/// Decides which requests are due. Every group has slots, counted from the anchor; a group is
/// due once in each slot, however late, and a slot that nobody came for is not made up for.
///
/// # Examples
///
/// ```
/// use operator::model::Timestamp;
/// use operator::pd::{PdCadence, PdSchedule};
/// let at = Timestamp::from_millis;
/// let schedule = PdSchedule::new(PdCadence::default(), at(0));
/// assert!(schedule.due(Some(at(0)), at(9_999)).is_empty());
/// assert!(!schedule.due(Some(at(0)), at(10_000)).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct PdSchedule {
    cadence: PdCadence,
    anchor: Timestamp,
}

/// How far back the history of hot regions is fetched at the start.
const HISTORY_MILLIS: i64 = 24 * 3_600_000;

impl PdSchedule {
    /// A schedule whose slots are counted from `anchor`. Recorders with different anchors do
    /// not all ask in the same second.
    pub fn new(cadence: PdCadence, anchor: Timestamp) -> Self {
        Self { cadence, anchor }
    }

    /// How often each group is asked.
    pub fn cadence(&self) -> PdCadence {
        self.cadence
    }

    /// What is due at `now` when it was last asked at `last`: everything, and the history of
    /// hot regions before `now`, when never.
    ///
    /// Should the clock step backwards over a slot, the slot is due again: nothing waits for
    /// the old time to come round.
    pub fn due(&self, last: Option<Timestamp>, now: Timestamp) -> Vec<PdRequest> {
        let mut due = Vec::new();
        for (group, interval) in self.groups() {
            let is_due =
                last.is_none_or(|last| self.slot(last, interval) != self.slot(now, interval));
            if is_due {
                let of_group = ASKED.iter().filter(|asked| asked.group == group);
                due.extend(of_group.map(|asked| PdRequest::get(asked.path)));
            }
        }
        if last.is_none() {
            due.push(PdRequest::hot_region_history(now + -HISTORY_MILLIS, now));
        }
        due
    }

    fn groups(&self) -> [(Group, Duration); 3] {
        [
            (Group::Member, self.cadence.member),
            (Group::Leader, self.cadence.leader),
            (Group::Slow, self.cadence.slow),
        ]
    }

    fn slot(&self, at: Timestamp, interval: Duration) -> i64 {
        (at - self.anchor).div_euclid(millis(interval))
    }
}

fn millis(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn schedule() -> PdSchedule {
        PdSchedule::new(PdCadence::default(), at(500))
    }

    #[test]
    fn the_first_round_asks_for_everything_and_the_history_once() {
        let first = schedule().due(None, at(1_000_000_000));
        assert!(first.iter().filter(|request| request.body.is_some()).count() == 1);
        let paths: BTreeSet<_> = first.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths.len(), first.len(), "a path is asked for twice");
        for path in ["/pd/api/v1/ping", "/pd/api/v1/config", "/pd/api/v1/regions/count"] {
            assert!(paths.contains(path), "{path}");
        }
    }

    #[test]
    fn what_diagnosis_reads_is_asked_for() {
        let first = schedule().due(None, at(0));
        for path in [
            "ping",
            "health",
            "status",
            "members",
            "stores?state=0&state=1&state=2",
            "operators?object=true",
            "hotspot/stores",
            "hotspot/regions/read",
            "hotspot/regions/write",
            "min-resolved-ts?scope=cluster",
            "regions/writeflow?limit=16",
            "regions/readflow?limit=16",
            "regions/check/down-peer",
            "regions/check/pending-peer",
            "regions/check/miss-peer",
            "regions/check/offline-peer",
            "operators/records?from=0",
            "schedulers",
            "schedulers?status=paused",
            "gc/safepoint",
            "replication_mode/status",
            "cluster/status",
            "cluster",
            "config",
            "config/placement-rule",
            "stores/limit",
            "version",
            "regions/count",
        ] {
            let path = format!("/pd/api/v1/{path}");
            assert!(first.iter().any(|request| request.path == path), "{path}");
        }
    }

    #[test]
    fn each_group_is_due_once_a_slot_however_late() {
        let schedule = schedule();
        let count = |last, now| schedule.due(Some(at(last)), at(now)).len();
        assert_eq!(count(500, 10_499), 0);
        assert_eq!(count(500, 10_500), 10);
        assert_eq!(count(10_500, 60_500), 10 + 36);
        assert_eq!(count(500, 3_600_500), 10 + 36, "an hour late: one round, not many");
    }

    #[test]
    fn a_clock_that_steps_back_does_not_stop_the_recording() {
        let schedule = schedule();
        assert!(!schedule.due(Some(at(3_600_500)), at(500)).is_empty());
        assert!(!schedule.due(Some(at(500)), at(10_500)).is_empty());
    }

    #[test]
    fn the_unbounded_list_of_regions_is_never_asked_for() {
        for request in schedule().due(None, at(0)) {
            let bare = request.path.split('?').next().unwrap_or_default();
            assert!(!bare.ends_with("/regions"), "{bare}");
            assert!(!bare.contains("/regions/store/") && !bare.contains("/regions/key"), "{bare}");
        }
    }
}
