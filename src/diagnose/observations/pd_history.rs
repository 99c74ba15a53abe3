//! PD's answers as histories: each store's heartbeats and counts, each member's availability,
//! who led when, what was scheduled and configured.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{
    GapReason, NodeState, PdAnswer, PdOperator, PdOutcome, RegionId, Store, StoreId, Timestamp,
};
use crate::pd::{Endpoint, Flow, FlowKind, PdDocument, SafePoint, Topology};

/// What one member's answers tell about it.
#[derive(Clone, Debug, Default)]
pub struct MemberHistory {
    /// Its client URL.
    pub url: String,
    /// Requests to it, in the order of sending.
    pub asks: Vec<Ask>,
    /// When it was first seen with each start of its process, in Unix seconds.
    pub starts: Vec<(Timestamp, i64)>,
}

/// One request to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When it was sent.
    pub at: Timestamp,
    /// Why there was no answer; `None` where there was one, whatever its status.
    pub failed: Option<GapReason>,
    /// Time to the last byte or the error, of the cheap `/ping`; `None` of other paths.
    pub ping_us: Option<u32>,
}

/// What PD told about a store over time. Entries are added where something changed.
#[derive(Clone, Debug, Default)]
pub struct StoreHistory {
    /// Where clients reach it.
    pub address: String,
    /// Where it serves metrics.
    pub status_address: String,
    /// When PD listed it first.
    pub first_seen: Timestamp,
    /// Each heartbeat that PD showed: when it was seen, and its own time.
    pub heartbeats: Vec<(Timestamp, Timestamp)>,
    /// Leaders and regions.
    pub counts: Vec<(Timestamp, Counts)>,
    /// State name and place in its liveness.
    pub states: Vec<(Timestamp, String, NodeState)>,
    /// Start of its process, in Unix seconds.
    pub starts: Vec<(Timestamp, i64)>,
    /// Slow score.
    pub slow: Vec<(Timestamp, u64)>,
    /// Free share of the disk, by PD's rounded sizes.
    pub free: Vec<(Timestamp, f64)>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Regions it leads.
    pub leaders: u64,
    /// Regions with a peer on it.
    pub regions: u64,
}

/// A configuration item that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// When it was first seen.
    pub at: Timestamp,
    /// Dotted key.
    pub key: String,
    /// The value before; empty where there was none.
    pub from: String,
    /// The value since; empty where it is gone.
    pub to: String,
}

/// Everything that PD's answers tell, up to one instant.
#[derive(Clone, Debug, Default)]
pub struct PdHistory {
    /// Members by name.
    pub members: BTreeMap<String, MemberHistory>,
    /// Members that `/members` lists, by name, with their first client URL.
    pub listed: BTreeMap<String, String>,
    /// Who led, at each change; `None` while no answering member named anybody.
    pub leaders: Vec<(Timestamp, Option<String>)>,
    /// Stores by id.
    pub stores: BTreeMap<StoreId, StoreHistory>,
    /// When stores were listed.
    pub listings: Vec<Timestamp>,
    /// Schedulers at each change.
    pub schedulers: Vec<(Timestamp, BTreeSet<String>)>,
    /// Paused schedulers at each change.
    pub paused: Vec<(Timestamp, BTreeSet<String>)>,
    /// Configuration changes, in order.
    pub config_changes: Vec<ConfigChange>,
    /// Configuration as last seen.
    pub config: BTreeMap<String, String>,
    /// Operators under way, at each answer that listed any.
    pub operators: Vec<(Timestamp, Vec<PdOperator>)>,
    /// Regions that each check names, at each change.
    pub checks: BTreeMap<String, Vec<(Timestamp, u64)>>,
    /// Hot regions by kind, at each answer.
    pub flows: BTreeMap<FlowKind, Vec<(Timestamp, Flow)>>,
    /// Stores with a peer of a region, as last seen in the lists of busy regions.
    pub peers: BTreeMap<RegionId, BTreeSet<StoreId>>,
    /// GC safe point at each change.
    pub safe_points: Vec<(Timestamp, SafePoint)>,
}

/// Keys under which a change is somebody's decision. Others differ by member or are PD's own
/// bookkeeping: `schedulers-v2` repeats `/schedulers`, store limits appear as stores join.
const DECIDED: [&str; 4] = ["schedule.", "replication.", "pd-server.", "replication-mode."];

fn is_decided(key: &str) -> bool {
    DECIDED.iter().any(|prefix| key.starts_with(prefix))
        && !key.starts_with("schedule.schedulers")
        && !key.starts_with("schedule.store-limit.")
}

/// Whether an answer that says what it said before has to be read again. A health row or a list
/// changes nothing then but the fact that the member answers; in `/members` and `/stores` time
/// passes.
fn counts_again(answer: &PdAnswer) -> bool {
    matches!(Endpoint::of(&answer.path), Endpoint::Members | Endpoint::Stores)
}

impl PdHistory {
    /// Takes answers in any order.
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

    fn take(
        &mut self,
        answer: &PdAnswer,
        document: Option<&PdDocument>,
        topology: &mut Topology,
        repeats: bool,
    ) {
        self.ask(answer);
        if repeats && !counts_again(answer) {
            return;
        }
        // Only who leads is needed of the topology, and the stores are most of it.
        let told = document.filter(|document| !matches!(document, PdDocument::Stores(_)));
        topology.apply_parsed(answer, told);
        let at = answer.observed();
        if self.leaders.last().map(|(_, leader)| leader) != Some(&topology.leader) {
            self.leaders.push((at, topology.leader.clone()));
        }
        if let Some(document) = document {
            self.document(at, answer, topology, document);
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
            PdDocument::Members(members) => {
                let listed = members.members.values().map(|member| {
                    let url = member.client_urls.first().cloned().unwrap_or_default();
                    (member.name.clone(), url)
                });
                self.listed.extend(listed);
            }
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
            PdDocument::Config(config) if topology.leader.as_ref() == Some(&answer.member) => {
                self.config(at, config);
            }
            PdDocument::Operators(operators) if !operators.is_empty() => {
                self.operators.push((at, operators.clone()));
            }
            PdDocument::RegionCheck { name, count } => {
                push_changed(self.checks.entry(name.clone()).or_default(), at, count);
            }
            PdDocument::HotRegions { kind, flow } => {
                self.flows.entry(*kind).or_default().push((at, flow.clone()));
            }
            PdDocument::BusyRegions { kind, flow, peers } => {
                self.peers.extend(peers.clone());
                let flow = flow.clone().map(|flow| (at, flow));
                self.flows.entry(*kind).or_default().extend(flow);
            }
            PdDocument::SafePoint(safe_point) => {
                push_changed(&mut self.safe_points, at, safe_point);
            }
            PdDocument::Config(_)
            | PdDocument::Operators(_)
            | PdDocument::Health(_)
            | PdDocument::RegionCount(_)
            | PdDocument::Version(_) => {}
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

    /// Who led at `instant`.
    pub fn leader_at(&self, instant: Timestamp) -> Option<&str> {
        let by = self.leaders.partition_point(|(at, _)| *at <= instant);
        self.leaders[..by].last().and_then(|(_, leader)| leader.as_deref())
    }

    /// When the leader that leads at `instant` was first seen to lead; `None` where nobody does.
    pub fn leads_since(&self, instant: Timestamp) -> Option<Timestamp> {
        let by = self.leaders.partition_point(|(at, _)| *at <= instant);
        let (at, leader) = self.leaders[..by].last()?;
        leader.is_some().then_some(*at)
    }
}

/// Makes a history of answers that come one by one, in the order in which they were known. No body
/// is held.
#[derive(Default)]
pub struct PdReading {
    history: PdHistory,
    topology: Topology,
    /// By whom was asked and for what, the hash of the last body.
    bodies: HashMap<String, HashMap<String, u128>>,
}

impl PdReading {
    /// Whether the next answer tells more by its body than that it came.
    pub fn needs_body(&self, answer: &PdAnswer) -> bool {
        let before = self.bodies.get(&answer.member).and_then(|one| one.get(&answer.path));
        let repeats = |body| before == Some(&xxhash_rust::xxh3::xxh3_128(body));
        counts_again(answer) || !answer.success().is_some_and(repeats)
    }

    /// Takes the next answer and what its body says, where that can be read and is needed.
    pub fn observe(&mut self, answer: &PdAnswer, document: Option<&PdDocument>) {
        let repeats = self.repeats(answer);
        self.history.take(answer, document, &mut self.topology, repeats);
    }

    /// Whether a success says what the last one said.
    fn repeats(&mut self, answer: &PdAnswer) -> bool {
        let Some(body) = answer.success() else { return false };
        let hash = xxhash_rust::xxh3::xxh3_128(body);
        let known = self.bodies.get_mut(&answer.member).and_then(|one| one.get_mut(&answer.path));
        match known {
            Some(before) => std::mem::replace(before, hash) == hash,
            None => {
                let of_member = self.bodies.entry(answer.member.clone()).or_default();
                of_member.insert(answer.path.clone(), hash);
                false
            }
        }
    }

    /// What the answers tell.
    pub fn finish(mut self) -> PdHistory {
        for member in self.history.members.values_mut() {
            member.asks.sort_by_key(|ask| ask.at);
        }
        self.history
    }
}

impl StoreHistory {
    fn take(&mut self, at: Timestamp, store: &Store) {
        if self.address.is_empty() {
            self.first_seen = at;
        }
        self.address.clone_from(&store.address);
        self.status_address.clone_from(&store.status_address);
        if let Some(nanos) = store.last_heartbeat_unix_ns {
            let sent = Timestamp::from_millis(nanos / 1_000_000);
            // A new PD leader shows what was persisted, which may be minutes old.
            if self.heartbeats.last().is_none_or(|(_, last)| sent > *last) {
                push(&mut self.heartbeats, (at, sent));
            }
        }
        let counts = Counts { leaders: store.leader_count, regions: store.region_count };
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
        let bytes = |size: &Option<crate::model::Size>| {
            size.as_ref().and_then(|size| size.approximate_bytes)
        };
        if let (Some(free), Some(all)) = (bytes(&store.available), bytes(&store.capacity))
            && all > 0
        {
            push_changed(&mut self.free, at, &(free as f64 / all as f64));
        }
    }

    /// Counts as known at `instant`.
    pub fn counts_at(&self, instant: Timestamp) -> Option<Counts> {
        let by = self.counts.partition_point(|(at, _)| *at <= instant);
        self.counts[..by].last().map(|(_, counts)| *counts)
    }
}

fn push_changed<T: PartialEq + Clone>(list: &mut Vec<(Timestamp, T)>, at: Timestamp, value: &T) {
    if list.last().is_none_or(|(_, last)| last != value) {
        push(list, (at, value.clone()));
    }
}

/// Adds to a list that thousands of stores have each, a day long: were each to double when it is
/// full, all of them would do so at once, and hold nothing in half of their memory.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 16);
    }
    list.push(value);
}
