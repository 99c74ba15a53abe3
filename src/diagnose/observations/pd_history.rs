//! PD's answers as histories: each store's heartbeats and counts, each member's availability, PD's
//! leaders, schedulers and configuration.
//!
//! Parsing the bodies is left to `pd`, and what a history means to `observations`.

use std::collections::{BTreeMap, BTreeSet};

use super::pd_reading::{PdReading, counts_again};
use crate::model::{
    GapReason, MemberId, NodeState, PdAnswer, PdOperator, PdOutcome, RegionCounts, RegionId, Store,
    StoreId, Timestamp,
};
use crate::pd::{
    Endpoint, FlowKind, HotRegion, MembersDocument, MinResolvedTs, PdDocument, SafePoint, Topology,
};

/// The history of one PD member, by its own answers.
#[derive(Clone, Debug, Default)]
pub struct MemberHistory {
    /// The client URL under which it was asked last.
    pub url: String,
    /// The requests to it, ascending by the time of sending.
    pub asks: Vec<Ask>,
    /// The starts of its process: when each was first reported, and the start itself in Unix seconds.
    pub starts: Vec<(Timestamp, i64)>,
}

/// One request to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When it was sent.
    pub at: Timestamp,
    /// Why there was no answer; `None` where there was one, whatever its status.
    pub failed: Option<GapReason>,
    /// Microseconds to the last byte of an answered `/ping`; `None` for other paths and failures.
    pub ping_us: Option<u32>,
}

/// The history of one store, by PD's answers. Lists hold an entry for each change.
#[derive(Clone, Debug, Default)]
pub struct StoreHistory {
    /// The host and port for clients.
    pub address: String,
    /// The host and port of its metrics.
    pub status_address: String,
    /// Addresses that it had before, for clients and for metrics.
    pub former_addresses: Vec<String>,
    /// Whether it is a TiFlash, by its label `engine`.
    pub is_tiflash: bool,
    /// The version of its binary, such as `8.5.8`, as PD listed it last; empty where PD does not say.
    pub version: String,
    /// When PD first listed it.
    pub first_seen: Timestamp,
    /// Each heartbeat that PD listed: when it was listed first, and when PD received it by PD's clock.
    pub heartbeats: Vec<(Timestamp, Timestamp)>,
    /// How many regions it leads and holds, at each change.
    pub counts: Vec<(Timestamp, RegionCounts)>,
    /// The name of its state and its node state, at each change.
    pub states: Vec<(Timestamp, String, NodeState)>,
    /// The start of its process in Unix seconds, at each change.
    pub starts: Vec<(Timestamp, i64)>,
    /// Its slow score from 1 to 100, at each change.
    pub slow: Vec<(Timestamp, u64)>,
    /// Whether it says that it is busy, at each change.
    pub busy: Vec<(Timestamp, bool)>,
    /// The free share of its disk from 0 to 1, by PD's rounded sizes, at each change.
    pub free: Vec<(Timestamp, f64)>,
}

/// A configuration item that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// When the new value was first listed.
    pub at: Timestamp,
    /// The dotted key of the item, such as `schedule.leader-schedule-limit`.
    pub key: String,
    /// The value before; empty where the item did not exist.
    pub from: String,
    /// The value since; empty where the item was removed.
    pub to: String,
}

/// The region that took most of the flow in one answer. Only this is kept of the list: in a day of a
/// thousand stores the lists of hot regions are hundreds of megabytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopRegion {
    /// When the answer was observed.
    pub at: Timestamp,
    /// The region with its leader's store and its flow in bytes a second.
    pub region: HotRegion,
    /// Its share of all flow of the answer, 0 to 1.
    pub share: f64,
    /// Which list the answer is.
    pub list: FlowList,
}

/// A list of PD's that says which regions take most of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowList {
    /// `/hotspot/regions/*`: averages of some minutes, in bytes a second.
    Hot,
    /// `/regions/*flow`: what the last heartbeats of regions say, in bytes a minute.
    Busy,
}

impl FlowList {
    /// The path, and the field with the bytes, of this list for one kind of flow.
    pub fn path_and_field(self, kind: FlowKind) -> (&'static str, &'static str) {
        match (self, kind) {
            (Self::Hot, FlowKind::Read) => ("/hotspot/regions/read", "flow_bytes"),
            (Self::Hot, FlowKind::Write) => ("/hotspot/regions/write", "flow_bytes"),
            (Self::Busy, FlowKind::Read) => ("/regions/readflow", "read_bytes"),
            (Self::Busy, FlowKind::Write) => ("/regions/writeflow", "written_bytes"),
        }
    }
}

/// Something that PD answered, and for how long it went on answering the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// When it was answered first.
    pub at: Timestamp,
    /// When it was answered last.
    pub until: Timestamp,
    /// What was answered.
    pub answer: T,
}

impl<T> Listed<T> {
    fn once(at: Timestamp, answer: T) -> Self {
        Self { at, until: at, answer }
    }
}

/// Who leads PD and who leads etcd, as one answer to `/members` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The name of PD's leader; `None` where none is named.
    pub leader: Option<String>,
    /// The name of etcd's leader; `None` where none is named.
    pub etcd_leader: Option<String>,
}

/// Whether the answering member reaches each member, by name: one row of the health matrix.
pub type HealthRow = BTreeMap<String, bool>;

/// All that diagnosis uses of PD's answers, up to one instant.
#[derive(Clone, Debug, Default)]
pub struct PdHistory {
    /// The histories of the members that were asked, by name.
    pub members: BTreeMap<String, MemberHistory>,
    /// The members that `/members` lists, by name, with their first client URL.
    pub listed: BTreeMap<String, String>,
    /// The ids of the members that `/members` lists, by name.
    pub member_ids: BTreeMap<String, MemberId>,
    /// Which members each member reaches, at each change, by the name of the member that says so.
    pub health: BTreeMap<String, Vec<(Timestamp, HealthRow)>>,
    /// PD's leader, at each change; `None` while no answering member named one.
    pub leaders: Vec<(Timestamp, Option<String>)>,
    /// Who leads PD and etcd as each member says, at each change, by the name of the member.
    pub leaderships: BTreeMap<String, Vec<(Timestamp, Leadership)>>,
    /// The histories of the stores, by id.
    pub stores: BTreeMap<StoreId, StoreHistory>,
    /// When the stores were listed, ascending.
    pub listings: Vec<Timestamp>,
    /// That PD has no stores to list since none has joined it, in PD's words; `None` where PD never said so,
    /// or only after it had listed stores: a member without a leader answers the same.
    pub not_bootstrapped: Option<Listed<String>>,
    /// The names of PD's schedulers, at each change.
    pub schedulers: Vec<(Timestamp, BTreeSet<String>)>,
    /// The names of the paused schedulers, at each change.
    pub paused: Vec<(Timestamp, BTreeSet<String>)>,
    /// Planned changes of the configuration, ascending in time.
    pub config_changes: Vec<ConfigChange>,
    /// The configuration as last listed, by dotted key.
    pub config: BTreeMap<String, String>,
    /// PD's operators under way, at each change; a list is empty while there was none.
    pub operators: Vec<Listed<Vec<PdOperator>>>,
    /// The number of regions that each check names, by the check's name, at each change.
    pub checks: BTreeMap<String, Vec<(Timestamp, u64)>>,
    /// How many regions PD counts, at each change.
    pub region_counts: Vec<(Timestamp, u64)>,
    /// The flow of hot regions by kind, at each answer.
    pub flows: BTreeMap<FlowKind, Vec<TopRegion>>,
    /// The stores with a peer of a region, as last listed among the busy regions.
    pub peers: BTreeMap<RegionId, BTreeSet<StoreId>>,
    /// The GC safe point, at each change.
    pub safe_points: Vec<(Timestamp, SafePoint)>,
    /// The least resolved timestamp of all stores, at each change.
    pub resolved: Vec<Listed<MinResolvedTs>>,
}

/// The code of PD's error as long as no store has joined it.
const NOT_BOOTSTRAPPED: &str = "ErrNotBootstrapped";

/// Prefixes of the keys that only an operator of the cluster changes. Others differ by member or are
/// PD's own bookkeeping: `schedulers-v2` repeats `/schedulers`, store limits appear as stores join.
const DECIDED: [&str; 4] = ["schedule.", "replication.", "pd-server.", "replication-mode."];

fn is_decided(key: &str) -> bool {
    DECIDED.iter().any(|prefix| key.starts_with(prefix))
        && !key.starts_with("schedule.schedulers")
        && !key.starts_with("schedule.store-limit.")
}

impl PdHistory {
    /// The history of answers in any order.
    pub fn new<'a>(answers: impl IntoIterator<Item = &'a PdAnswer>) -> Self {
        let mut ordered: Vec<&PdAnswer> = answers.into_iter().collect();
        ordered.sort_unstable_by_key(|answer| (answer.observed(), *answer));
        let mut reading = PdReading::default();
        for answer in ordered {
            let body = answer.success().filter(|_| reading.needs_body(answer));
            let parsed = body.map(|body| PdDocument::parse(&answer.path, body));
            let document = parsed.and_then(Result::ok).flatten();
            reading.observe(answer, document.as_ref());
        }
        reading.finish()
    }

    /// Adds an answer that came after all others; `document` is its parsed body, and `repeats` whether the body
    /// is that of the answer before.
    pub(super) fn take(
        &mut self,
        answer: &PdAnswer,
        document: Option<&PdDocument>,
        topology: &mut Topology,
        repeats: bool,
    ) {
        self.ask(answer);
        if repeats && !counts_again(answer) {
            self.repeat(answer);
            return;
        }
        // Only who leads is needed of the topology, and the stores are most of it.
        let needed = document.filter(|document| !matches!(document, PdDocument::Stores(_)));
        topology.apply_parsed(answer, needed);
        let at = answer.observed();
        if self.leaders.last().map(|(_, leader)| leader) != Some(&topology.leader) {
            self.leaders.push((at, topology.leader.clone()));
        }
        if let Some(document) = document {
            self.document(at, answer, topology, document);
        }
        self.refusal(answer);
    }

    /// Takes in that PD refuses to list stores because it has none.
    fn refusal(&mut self, answer: &PdAnswer) {
        let PdOutcome::Answered { status: 500, body } = &answer.outcome else { return };
        let says_so = || String::from_utf8_lossy(body).contains(NOT_BOOTSTRAPPED);
        let of_stores = Endpoint::of(&answer.path) == Endpoint::Stores;
        if self.listings.is_empty() && of_stores && says_so() {
            let at = answer.observed();
            let said = || Listed::once(at, NOT_BOOTSTRAPPED.to_owned());
            self.not_bootstrapped.get_or_insert_with(said).until = at;
        }
    }

    /// Takes in an answer like the one before.
    fn repeat(&mut self, answer: &PdAnswer) {
        let at = answer.observed();
        let until = match Endpoint::of(&answer.path) {
            Endpoint::Operators => self.operators.last_mut().map(|last| &mut last.until),
            Endpoint::MinResolvedTs => self.resolved.last_mut().map(|last| &mut last.until),
            _ => None,
        };
        if let Some(until) = until {
            *until = at.max(*until);
        }
    }

    fn ask(&mut self, answer: &PdAnswer) {
        let member = self.members.entry(answer.member.clone()).or_default();
        member.url.clone_from(&answer.url);
        let failed = match &answer.outcome {
            PdOutcome::Answered { .. } => None,
            PdOutcome::Failed { reason, .. } => Some(*reason),
        };
        let ping = Endpoint::of(&answer.path) == Endpoint::Ping && failed.is_none();
        let ping_us = ping.then_some(answer.elapsed_us);
        member.asks.push(Ask { at: answer.sent, failed, ping_us });
    }

    fn document(
        &mut self,
        at: Timestamp,
        answer: &PdAnswer,
        topology: &Topology,
        document: &PdDocument,
    ) {
        match document {
            PdDocument::Members(members) => self.member_list(at, answer, members),
            PdDocument::Status(status) => {
                let member = self.members.entry(answer.member.clone()).or_default();
                if let Some(start) = status.started_unix_s {
                    push_changed(&mut member.starts, at, &start);
                }
            }
            PdDocument::Stores(stores) => {
                self.listings.push(at);
                for (id, store) in stores {
                    self.stores.entry(*id).or_default().take(at, store);
                }
            }
            PdDocument::Schedulers(names) => push_changed(&mut self.schedulers, at, names),
            PdDocument::PausedSchedulers(names) => push_changed(&mut self.paused, at, names),
            // Of members that name no leader, any has what the cluster decided.
            PdDocument::Config(config)
                if topology.leader.as_ref().is_none_or(|leader| *leader == answer.member) =>
            {
                self.config(at, config);
            }
            PdDocument::Operators(operators) => {
                self.operators.push(Listed::once(at, operators.clone()));
            }
            PdDocument::RegionCheck { name, count } => {
                push_changed(self.checks.entry(name.clone()).or_default(), at, count);
            }
            PdDocument::HotRegions { kind, flow } => {
                let list = FlowList::Hot;
                let top = flow.top().map(|(region, share)| TopRegion { at, region, share, list });
                self.flows.entry(*kind).or_default().extend(top);
            }
            PdDocument::BusyRegions { kind, flow, peers } => {
                self.peers.extend(peers.clone());
                let top = flow.as_ref().and_then(|flow| flow.top());
                let list = FlowList::Busy;
                let top = top.map(|(region, share)| TopRegion { at, region, share, list });
                self.flows.entry(*kind).or_default().extend(top);
            }
            PdDocument::SafePoint(safe_point) => {
                push_changed(&mut self.safe_points, at, safe_point);
            }
            PdDocument::MinResolvedTs(least) => self.resolved.push(Listed::once(at, *least)),
            PdDocument::Health(row) => {
                push_changed(self.health.entry(answer.member.clone()).or_default(), at, row);
            }
            PdDocument::RegionCount(count) => push_changed(&mut self.region_counts, at, count),
            PdDocument::Config(_) | PdDocument::Version(_) => {}
        }
    }

    fn member_list(&mut self, at: Timestamp, answer: &PdAnswer, document: &MembersDocument) {
        let said = Leadership {
            leader: document.leader.clone(),
            etcd_leader: document.etcd_leader.clone(),
        };
        push_changed(self.leaderships.entry(answer.member.clone()).or_default(), at, &said);
        for member in document.members.values() {
            let url = member.client_urls.first().cloned().unwrap_or_default();
            self.listed.insert(member.name.clone(), url);
            self.member_ids.insert(member.name.clone(), member.id);
        }
    }

    fn config(&mut self, at: Timestamp, config: &BTreeMap<String, String>) {
        if !self.config.is_empty() {
            let keys: BTreeSet<&String> = self.config.keys().chain(config.keys()).collect();
            for key in keys.into_iter().filter(|key| is_decided(key)) {
                let value =
                    |map: &BTreeMap<String, String>| map.get(key).cloned().unwrap_or_default();
                let (from, to) = (value(&self.config), value(config));
                if from != to {
                    self.config_changes.push(ConfigChange { at, key: key.clone(), from, to });
                }
            }
        }
        self.config.clone_from(config);
    }

    /// The name of PD's leader at `instant`; `None` where none was named.
    pub fn leader_at(&self, instant: Timestamp) -> Option<&str> {
        let by = self.leaders.partition_point(|(at, _)| *at <= instant);
        self.leaders[..by].last().and_then(|(_, leader)| leader.as_deref())
    }

    /// The name of PD's leader at `instant`, or of the first that was named after it, and when it was named first;
    /// `None` where none was.
    pub fn leader_by(&self, instant: Timestamp) -> Option<(Timestamp, &str)> {
        let by = self.leaders.partition_point(|(at, _)| *at <= instant);
        let mut known = self.leaders[by.saturating_sub(1)..].iter();
        known.find_map(|(at, leader)| Some((*at, leader.as_deref()?)))
    }

    /// Since when PD's leader at `instant` has been named; `None` where none is named.
    pub fn leads_since(&self, instant: Timestamp) -> Option<Timestamp> {
        let by = self.leaders.partition_point(|(at, _)| *at <= instant);
        let (at, leader) = self.leaders[..by].last()?;
        leader.is_some().then_some(*at)
    }
}

impl StoreHistory {
    fn take(&mut self, at: Timestamp, store: &Store) {
        if self.address.is_empty() {
            self.first_seen = at;
        }
        for (known, now) in
            [(&mut self.address, &store.address), (&mut self.status_address, &store.status_address)]
        {
            if known != now {
                let former = std::mem::replace(known, now.clone());
                self.former_addresses.extend(Some(former).filter(|one| !one.is_empty()));
            }
        }
        self.is_tiflash = store.is_tiflash();
        if !store.version.is_empty() && self.version != store.version {
            self.version.clone_from(&store.version);
        }
        if let Some(nanos) = store.last_heartbeat_unix_ns {
            let sent = Timestamp::from_millis(nanos / 1_000_000);
            // A new PD leader shows what was persisted, which may be minutes old.
            if self.heartbeats.last().is_none_or(|(_, last)| sent > *last) {
                push(&mut self.heartbeats, (at, sent));
            }
        }
        let counts = RegionCounts { leaders: store.leader_count, regions: store.region_count };
        push_changed(&mut self.counts, at, &counts);
        let state = (&store.state_name, store.node_state);
        if self.states.last().is_none_or(|(_, name, node)| (name, *node) != state) {
            self.states.push((at, store.state_name.clone(), store.node_state));
        }
        if let Some(start) = &store.started_unix_s {
            push_changed(&mut self.starts, at, start);
        }
        if let Some(score) = &store.slow_score {
            push_changed(&mut self.slow, at, score);
        }
        push_changed(&mut self.busy, at, &store.is_busy);
        let bytes = |size: &Option<crate::model::Size>| {
            size.as_ref().and_then(|size| size.approximate_bytes)
        };
        if let (Some(free), Some(all)) = (bytes(&store.available), bytes(&store.capacity))
            && all > 0
        {
            push_changed(&mut self.free, at, &(free as f64 / all as f64));
        }
    }

    /// Whether it had been removed when it was listed last.
    pub fn is_removed(&self) -> bool {
        self.states.last().is_some_and(|(_, _, node)| *node == NodeState::Removed)
    }

    /// Whether it was ever listed and not removed.
    pub fn was_present(&self) -> bool {
        self.states.iter().any(|(_, _, node)| *node != NodeState::Removed)
    }

    /// The counts as known at `instant`; `None` before the first listing.
    pub fn counts_at(&self, instant: Timestamp) -> Option<RegionCounts> {
        let by = self.counts.partition_point(|(at, _)| *at <= instant);
        self.counts[..by].last().map(|(_, counts)| *counts)
    }
}

fn push_changed<T: PartialEq + Clone>(list: &mut Vec<(Timestamp, T)>, at: Timestamp, value: &T) {
    if list.last().is_none_or(|(_, last)| last != value) {
        push(list, (at, value.clone()));
    }
}

/// Adds to a list that each of thousands of stores has, for a day. If each list doubled when it is
/// full, all would do so at the same time, and half of their memory would be unused.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 16);
    }
    list.push(value);
}
