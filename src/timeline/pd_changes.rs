//! What PD's answers put on the timeline: each answer is compared with the state before it.
//!
//! Repetition is compressed: an entry may tell how far what it announces went within
//! [`SETTLE_MS`], so an entry reads what came shortly after it. It keeps the time of the first
//! observation.

mod members;
mod scheduling;
mod stores;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{PdAnswer, PdOutcome, RegionId, Store, StoreId, Timestamp};
use crate::pd::{ParsedBody, PdDocument, Topology, short_path};
use crate::timeline::entry::{Entry, EntryKind, Evidence, clock_text};

/// Observers of one change in the health matrix answer within this of each other: two rounds of
/// a recorder that samples every five seconds.
const SETTLE_MS: i64 = 10_000;

/// PD operators of one kind belong to one burst until none was seen for this long.
const BURST_MS: i64 = 60_000;

/// A count that moves on in the same direction within this of its last step is one change.
const DRIFT_MS: i64 = 60_000;

/// After a change of PD's leader its record of heartbeats may be five minutes old; stores report
/// anew within their ten-second heartbeat, and PD calls them disconnected until then.
const LEADER_WARM_UP_MS: i64 = 30_000;

/// TiKV's slow score from which PD counts a store as slow (`pd_cluster_status`,
/// `store_slow_count`).
const SLOW_SCORE: u64 = 80;

/// Keys under which all members have the same configuration. Others, such as `name`, differ by
/// member, and are compared per member.
const SHARED_CONFIG: [&str; 6] = [
    "schedule.",
    "replication.",
    "pd-server.",
    "replication-mode.",
    "label-property.",
    "cluster-version",
];

/// Compares answers, which come in the order of their observation, with the state before each.
#[derive(Default)]
pub(crate) struct PdChanges {
    entries: Vec<Entry>,
    topology: Topology,
    failures: BTreeMap<String, Failures>,
    /// Paths that answer with errors, and those whose bodies could not be read.
    erring: BTreeSet<(String, String)>,
    malformed: BTreeSet<(String, String)>,
    members_known: bool,
    leader_changed: Option<Timestamp>,
    leader_lost: Option<Timestamp>,
    last_leader: Option<String>,
    health: BTreeMap<String, Health>,
    counts: BTreeMap<(StoreId, EntryKind), Count>,
    slow: BTreeMap<StoreId, Timestamp>,
    not_up: BTreeMap<StoreId, Timestamp>,
    bursts: BTreeMap<String, Burst>,
    erring_paths: BTreeMap<String, ErringPaths>,
    operators_seen: bool,
    config: BTreeMap<String, String>,
    checks: BTreeMap<String, Check>,
    /// The checks that were answered at least once.
    checked: BTreeSet<String>,
}

/// Paths of one member that began to answer with one error, one after the other.
struct ErringPaths {
    /// The entry that tells of them.
    entry: usize,
    /// The status and the beginning of the body.
    error: String,
    /// How many there are.
    count: u64,
    /// When the last one began.
    last: Timestamp,
}

/// Requests to one member that failed in a row.
struct Failures {
    since: Timestamp,
    count: u64,
    announced: bool,
}

/// Who finds one member unhealthy, and the entry that says so.
#[derive(Default)]
struct Health {
    unhealthy_by: BTreeSet<String>,
    healthy_by: BTreeSet<String>,
    since: Option<Timestamp>,
    last: Option<(usize, Timestamp)>,
}

/// A count as told last, as seen just before, and the entry that told it.
struct Count {
    told: u64,
    /// The counts of the last [`DRIFT_MS`], and the one before, each with when it was first seen.
    recent: Vec<(Timestamp, u64)>,
    drift: Option<Drift>,
}

impl Count {
    fn new(at: Timestamp, count: u64) -> Self {
        Self { told: count, recent: vec![(at, count)], drift: None }
    }

    /// Notes a count.
    fn note(&mut self, at: Timestamp, count: u64) {
        if self.recent.last().is_none_or(|(_, last)| *last != count) {
            self.recent.push((at, count));
        }
    }

    /// The recent count that differs most from `now`, on the side from which it came: the greatest before a fall
    /// below what was told, else the least.
    fn just_before(&mut self, at: Timestamp, now: u64) -> u64 {
        // A count held until the next one was seen.
        let old = self.recent.partition_point(|(seen, _)| at - *seen > DRIFT_MS);
        self.recent.drain(..old.saturating_sub(1));
        let recent = self.recent.iter().map(|(_, count)| *count);
        let from = if now < self.told { recent.max() } else { recent.min() };
        from.unwrap_or(self.told)
    }
}

/// A change that may go on in the same direction.
struct Drift {
    entry: usize,
    from: u64,
    last: Timestamp,
}

struct Burst {
    entry: usize,
    last: Timestamp,
    regions: BTreeSet<RegionId>,
}

struct Check {
    since: Timestamp,
    peak: u64,
}

impl PdChanges {
    /// What there is to tell.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// The cluster as the answers so far tell it.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Takes the next answer.
    pub(crate) fn observe(&mut self, answer: &PdAnswer, document: &ParsedBody) {
        self.reachability(answer);
        self.errors(answer);
        match document {
            Ok(Some(document)) => {
                self.malformed.remove(&key(answer));
                self.document(answer, document);
            }
            Ok(None) => {}
            Err(error) => {
                if self.malformed.insert(key(answer)) {
                    let text = format!("unreadable answer: {}", error.why);
                    self.push(
                        answer,
                        EntryKind::PdMalformedAnswer,
                        answer.member.clone(),
                        text,
                        "unreadable",
                    );
                }
            }
        }
        self.topology.apply_parsed(answer, document.as_ref().ok().and_then(Option::as_ref));
        self.leader(answer);
    }

    fn document(&mut self, answer: &PdAnswer, document: &PdDocument) {
        match document {
            PdDocument::Members(members) => self.members(answer, members),
            PdDocument::Health(row) => self.health(answer, row),
            PdDocument::Status(status) => {
                let before = self.topology.views.get(&answer.member);
                let before =
                    before.and_then(|view| view.status.as_ref()).and_then(|s| s.started_unix_s);
                if let (Some(before), Some(now)) = (before, status.started_unix_s)
                    && before != now
                {
                    let text = format!("restarted, started {}", clock_text(now));
                    let value = format!("start_timestamp {before} -> {now}");
                    let subject = answer.member.clone();
                    self.push(answer, EntryKind::PdMemberRestarted, subject, text, &value);
                }
            }
            PdDocument::Stores(stores) => self.stores(answer, stores),
            PdDocument::Operators(operators) => self.operators(answer, operators),
            PdDocument::Schedulers(names) => {
                if let Some(before) = self.topology.schedulers.clone() {
                    let kinds = (EntryKind::SchedulerAdded, EntryKind::SchedulerRemoved);
                    self.schedulers(answer, &before, names, kinds);
                }
            }
            PdDocument::PausedSchedulers(names) => {
                if let Some(before) = self.topology.paused_schedulers.clone() {
                    let kinds = (EntryKind::SchedulerPaused, EntryKind::SchedulerResumed);
                    self.schedulers(answer, &before, names, kinds);
                }
            }
            PdDocument::Config(config) => self.config(answer, config),
            PdDocument::RegionCheck { name, count } => self.check(answer, name, *count),
            PdDocument::RegionCount(_)
            | PdDocument::Version(_)
            | PdDocument::HotRegions { .. }
            | PdDocument::BusyRegions { .. }
            | PdDocument::SafePoint(_)
            | PdDocument::MinResolvedTs(_) => {}
        }
    }

    /// A path that begins to answer with an error status. What says that there is no such thing
    /// does not count: 404, and the 500 that stands for an empty list of finished operators. Paths of a member that
    /// begin to answer with the same error within [`DRIFT_MS`] are one entry.
    fn errors(&mut self, answer: &PdAnswer) {
        let PdOutcome::Answered { status, body } = &answer.outcome else { return };
        let empty = || String::from_utf8_lossy(body).contains("ErrOperatorNotFound");
        let nothing = *status == 404 || (*status == 500 && empty());
        if (200..300).contains(status) || nothing {
            self.erring.remove(&key(answer));
        } else if self.erring.insert(key(answer)) {
            let body = excerpt(&String::from_utf8_lossy(body), 80);
            self.error(answer, format!("HTTP {status}"), &body);
        }
    }

    fn error(&mut self, answer: &PdAnswer, status: String, body: &str) {
        let (at, route) = (answer.observed(), short_path(&answer.path));
        let error = format!("with {status}: {body}");
        let run = self.erring_paths.get_mut(&answer.member);
        if let Some(run) = run.filter(|run| run.error == error && at - run.last <= DRIFT_MS) {
            run.count += 1;
            run.last = at;
            let entry = &mut self.entries[run.entry];
            let first = short_path(&entry.evidence.reference);
            let further = run.count - 1;
            entry.text = format!("answers {first} and {further} more paths {error}");
            return;
        }
        let run =
            ErringPaths { entry: self.entries.len(), error: error.clone(), count: 1, last: at };
        self.erring_paths.insert(answer.member.clone(), run);
        let text = format!("answers {route} {error}");
        self.push(answer, EntryKind::PdErrorAnswer, answer.member.clone(), text, &status);
    }

    fn push(
        &mut self,
        answer: &PdAnswer,
        kind: EntryKind,
        subject: String,
        text: String,
        value: &str,
    ) {
        self.entries.push(made(answer, kind, subject, text, value));
    }
}

fn made(answer: &PdAnswer, kind: EntryKind, subject: String, text: String, value: &str) -> Entry {
    Entry {
        at: answer.observed(),
        source: format!("pd/{}", answer.member),
        kind,
        subject,
        text,
        evidence: Evidence {
            reference: answer.path.clone(),
            at: answer.observed(),
            value: value.to_owned(),
        },
    }
}

fn key(answer: &PdAnswer) -> (String, String) {
    (answer.member.clone(), answer.path.clone())
}

/// How a store is named everywhere: `store 4 (10.77.0.20:20160)`.
pub(crate) fn subject(store: &Store) -> String {
    format!("store {} ({})", store.id, store.address)
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn excerpt(text: &str, limit: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}
