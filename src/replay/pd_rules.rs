//! What PD's answers put on the timeline: each answer is compared with the state before it.
//!
//! Repetition is compressed: an entry may tell how far what it announces went within
//! [`SETTLE_MS`], so an entry reads what came shortly after it. It keeps the time of the first
//! observation.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    MembersDocument, PdAnswer, PdDocument, PdDocumentError, PdOperator, PdOutcome, RegionId, Store,
    StoreId, Timestamp, Topology,
};

use super::entry::{Entry, EntryKind, Evidence, clock_text, duration_text};

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

/// An answer with its body parsed.
pub(super) type Parsed<'a> = (&'a PdAnswer, Result<Option<PdDocument>, PdDocumentError>);

/// Entries out of all answers, which come in the order of their observation.
pub(super) fn pd_entries(answers: &[Parsed<'_>]) -> Vec<Entry> {
    let mut rules = PdRules::default();
    for (answer, document) in answers {
        rules.observe(answer, document);
    }
    rules.entries
}

#[derive(Default)]
struct PdRules {
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
    operators_seen: bool,
    config: BTreeMap<String, String>,
    checks: BTreeMap<String, Check>,
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

/// A count as told last, and the entry that told it.
struct Count {
    told: u64,
    drift: Option<Drift>,
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

impl PdRules {
    fn observe(
        &mut self,
        answer: &PdAnswer,
        document: &Result<Option<PdDocument>, PdDocumentError>,
    ) {
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
            PdDocument::RegionCount(_) | PdDocument::Version(_) => {}
        }
    }

    /// A member is unreachable once two requests to it in a row got no answer of any status; the
    /// entry stands at the first. A single lost request is not told here.
    fn reachability(&mut self, answer: &PdAnswer) {
        let member = &answer.member;
        match &answer.outcome {
            PdOutcome::Failed { reason, detail } => {
                let failures = self.failures.entry(member.clone()).or_insert(Failures {
                    since: answer.observed(),
                    count: 0,
                    announced: false,
                });
                failures.count += 1;
                if failures.count < 2 || failures.announced {
                    return;
                }
                failures.announced = true;
                let since = failures.since;
                let text = format!("does not answer ({reason}: {detail})");
                let mut entry = made(
                    answer,
                    EntryKind::PdMemberUnreachable,
                    member.clone(),
                    text,
                    reason.name(),
                );
                entry.at = since;
                // The recorder saw this, not the member.
                entry.source = "recorder".to_owned();
                self.entries.push(entry);
            }
            PdOutcome::Answered { status, .. } => {
                let Some(failures) = self.failures.remove(member) else { return };
                if failures.announced {
                    let silent = duration_text(answer.observed() - failures.since);
                    let count = failures.count;
                    let text = format!("answers again after {silent} ({count} requests lost)");
                    let value = format!("HTTP {status}");
                    self.push(answer, EntryKind::PdMemberReachable, member.clone(), text, &value);
                }
            }
        }
    }

    /// A path that begins to answer with an error status; 404 is how PD says that it has no such
    /// thing, so it does not count.
    fn errors(&mut self, answer: &PdAnswer) {
        let PdOutcome::Answered { status, body } = &answer.outcome else { return };
        if (200..300).contains(status) || *status == 404 {
            self.erring.remove(&key(answer));
        } else if self.erring.insert(key(answer)) {
            let body = excerpt(&String::from_utf8_lossy(body), 80);
            let route = answer.path.trim_start_matches("/pd/api/v1");
            let text = format!("answers {route} with HTTP {status}: {body}");
            let value = format!("HTTP {status}");
            self.push(answer, EntryKind::PdErrorAnswer, answer.member.clone(), text, &value);
        }
    }

    fn members(&mut self, answer: &PdAnswer, members: &MembersDocument) {
        let known = std::mem::replace(&mut self.members_known, true);
        if !known {
            return;
        }
        let before = self.topology.members.clone();
        for (id, member) in &members.members {
            if !before.contains_key(id) {
                let urls = member.client_urls.join(", ");
                let text = format!("joined, at {urls}");
                let value = format!("member_id {id}");
                self.push(answer, EntryKind::PdMemberJoined, member.name.clone(), text, &value);
            }
        }
        for (id, member) in &before {
            if !members.members.contains_key(id) {
                let value = format!("member_id {id} is not listed");
                let text = "left".to_owned();
                self.push(answer, EntryKind::PdMemberLeft, member.name.clone(), text, &value);
            }
        }
    }

    /// Compares PD's leader after an answer with the one before; see [`Topology::leader`].
    fn leader(&mut self, answer: &PdAnswer) {
        let at = answer.observed();
        let leader = self.topology.leader.clone();
        match (self.last_leader.clone(), leader) {
            (Some(before), None) if self.leader_lost.is_none() => {
                self.leader_lost = Some(at);
                let text = format!("no member names a leader (was {before})");
                let kind = EntryKind::PdLeaderLost;
                self.push(answer, kind, "pd leader".to_owned(), text, "no leader");
            }
            (before, Some(leader)) => {
                let lost = self.leader_lost.take();
                let without = lost.map_or_else(String::new, |lost| {
                    format!(", {} without one", duration_text(at - lost))
                });
                let text = match &before {
                    Some(before) if *before != leader => {
                        Some(format!("{before} -> {leader}{without}"))
                    }
                    Some(_) if lost.is_some() => Some(format!("{leader} again{without}")),
                    _ => None,
                };
                if let Some(text) = text {
                    self.leader_changed = Some(at);
                    let value = format!("leader {leader}");
                    let kind = EntryKind::PdLeaderChanged;
                    self.push(answer, kind, "pd leader".to_owned(), text, &value);
                }
                self.last_leader = Some(leader);
            }
            _ => {}
        }
    }

    /// One entry per change of the set of members that find a member unhealthy; changes in the
    /// same direction within [`SETTLE_MS`] extend the entry.
    fn health(&mut self, answer: &PdAnswer, row: &BTreeMap<String, bool>) {
        let at = answer.observed();
        for (name, healthy) in row {
            let health = self.health.entry(name.clone()).or_default();
            let observer = answer.member.clone();
            let changed = if *healthy {
                health.healthy_by.insert(observer.clone());
                health.unhealthy_by.remove(&observer)
            } else {
                health.healthy_by.remove(&observer);
                health.unhealthy_by.insert(observer)
            };
            if !changed {
                continue;
            }
            let since = *health.since.get_or_insert(at);
            let (kind, text) = if !*healthy {
                let text = format!("unhealthy, says {}", list(&health.unhealthy_by));
                (EntryKind::PdMemberUnhealthy, text)
            } else if health.unhealthy_by.is_empty() {
                health.since = None;
                let text = format!("healthy again after {}", duration_text(at - since));
                (EntryKind::PdMemberHealthy, text)
            } else {
                let by = list(&health.healthy_by);
                let text = format!("healthy, says {by}; not {}", list(&health.unhealthy_by));
                (EntryKind::PdMemberHealthy, text)
            };
            let last = health.last.filter(|(index, last)| {
                self.entries[*index].kind == kind && at - *last <= SETTLE_MS
            });
            let index = match last {
                Some((index, _)) => {
                    self.entries[index].text = text;
                    index
                }
                None => {
                    let value = format!("{name} health {healthy}");
                    self.entries.push(made(answer, kind, name.clone(), text, &value));
                    self.entries.len() - 1
                }
            };
            health.last = Some((index, at));
        }
    }

    fn stores(&mut self, answer: &PdAnswer, stores: &BTreeMap<StoreId, Store>) {
        let first = self.topology.stores_seen.is_none();
        let before = std::mem::take(&mut self.topology.stores);
        for (id, store) in stores {
            match before.get(id) {
                Some(before) => self.store(answer, before, store),
                None if first => {
                    self.baseline(store);
                    self.slowness(answer, store);
                }
                None => {
                    self.baseline(store);
                    let text = format!("appeared, {} {}", store.state_name, store.node_state);
                    let value = format!("state_name {}", store.state_name);
                    self.push(answer, EntryKind::StoreAppeared, subject(store), text, &value);
                }
            }
        }
        for (id, store) in &before {
            if !stores.contains_key(id) {
                let text = format!("no longer listed, was {}", store.state_name);
                let kind = EntryKind::StoreRemoved;
                self.push(answer, kind, subject(store), text, "not listed");
            }
        }
    }

    fn store(&mut self, answer: &PdAnswer, before: &Store, store: &Store) {
        if before.state_name != store.state_name {
            self.state(answer, before, store);
        }
        if before.node_state != store.node_state {
            let change = format!("{} -> {}", before.node_state, store.node_state);
            let value = format!("node_state {}", store.node_state);
            let kind = EntryKind::StoreNodeStateChanged;
            self.push(answer, kind, subject(store), change, &value);
        }
        if let (Some(old), Some(new)) = (before.started_unix_s, store.started_unix_s)
            && old != new
        {
            let text = format!("restarted, started {}", clock_text(new));
            let value = format!("start_timestamp {old} -> {new}");
            self.push(answer, EntryKind::StoreRestarted, subject(store), text, &value);
        }
        self.slowness(answer, store);
        self.count(answer, store, EntryKind::StoreLeaderCount, store.leader_count);
        self.count(answer, store, EntryKind::StoreRegionCount, store.region_count);
    }

    fn state(&mut self, answer: &PdAnswer, before: &Store, store: &Store) {
        let at = answer.observed();
        let mut text = format!("{} -> {}", before.state_name, store.state_name);
        if store.state_name == "Up" {
            if let Some(since) = self.not_up.remove(&store.id) {
                text.push_str(&format!(" after {}", duration_text(at - since)));
            }
        } else {
            self.not_up.entry(store.id).or_insert(at);
        }
        if let Some(nanos) = store.last_heartbeat_unix_ns
            && store.state_name != "Up"
        {
            let heartbeat = clock_text(nanos.div_euclid(1_000_000_000));
            text.push_str(&format!(", last heartbeat {heartbeat}"));
        }
        if let Some(changed) = self.leader_changed
            && store.state_name == "Disconnected"
            && at - changed <= LEADER_WARM_UP_MS
        {
            text.push_str("; PD's leader is new and may not have heard from it yet");
        }
        let value = format!("state_name {}", store.state_name);
        self.push(answer, EntryKind::StoreStateChanged, subject(store), text, &value);
    }

    fn slowness(&mut self, answer: &PdAnswer, store: &Store) {
        let at = answer.observed();
        let score = store.slow_score.unwrap_or(0);
        let value = format!("slow_score {score}");
        if score >= SLOW_SCORE {
            if let std::collections::btree_map::Entry::Vacant(slow) = self.slow.entry(store.id) {
                slow.insert(at);
                let text = format!("slow: score {score} of 100 ({SLOW_SCORE} counts as slow)");
                self.push(answer, EntryKind::StoreSlow, subject(store), text, &value);
            }
        } else if score == 1
            && let Some(since) = self.slow.remove(&store.id)
        {
            let text = format!("no longer slow after {}", duration_text(at - since));
            self.push(answer, EntryKind::StoreNotSlow, subject(store), text, &value);
        }
    }

    fn baseline(&mut self, store: &Store) {
        for (kind, told) in [
            (EntryKind::StoreLeaderCount, store.leader_count),
            (EntryKind::StoreRegionCount, store.region_count),
        ] {
            self.counts.insert((store.id, kind), Count { told, drift: None });
        }
    }

    /// A count is told where it differs from the one told last by at least 5 and by at least a
    /// fifth of it, and always where it falls to zero or rises from zero. Where it goes on in the
    /// same direction within [`DRIFT_MS`], the entry tells how far.
    fn count(&mut self, answer: &PdAnswer, store: &Store, kind: EntryKind, now: u64) {
        let at = answer.observed();
        let key = (store.id, kind);
        let Some(Count { told, drift }) = self.counts.remove(&key) else {
            self.counts.insert(key, Count { told: now, drift: None });
            return;
        };
        let substantial = now.abs_diff(told) >= told.div_ceil(5).max(5);
        if now == told || !(substantial || now == 0 || told == 0) {
            self.counts.insert(key, Count { told, drift });
            return;
        }
        let (noun, field) = match kind {
            EntryKind::StoreLeaderCount => ("leaders", "leader_count"),
            _ => ("regions", "region_count"),
        };
        let goes_on = drift
            .filter(|drift| at - drift.last <= DRIFT_MS && (now > told) == (told > drift.from));
        let drift = match goes_on {
            Some(drift) => {
                let entry = &mut self.entries[drift.entry];
                let lasted = duration_text(at - entry.at);
                entry.text = format!("{noun} {} -> {now} within {lasted}", drift.from);
                entry.evidence.at = at;
                entry.evidence.value = format!("{field} {now}");
                Drift { last: at, ..drift }
            }
            None => {
                let text = format!("{noun} {told} -> {now}");
                self.push(answer, kind, subject(store), text, &format!("{field} {now}"));
                Drift { entry: self.entries.len() - 1, from: told, last: at }
            }
        };
        self.counts.insert(key, Count { told: now, drift: Some(drift) });
    }

    /// One entry per burst of PD operators with the same description.
    fn operators(&mut self, answer: &PdAnswer, operators: &[PdOperator]) {
        let at = answer.observed();
        let mut by_desc: BTreeMap<&str, Vec<&PdOperator>> = BTreeMap::new();
        for operator in operators {
            by_desc.entry(&operator.desc).or_default().push(operator);
        }
        let first = !std::mem::replace(&mut self.operators_seen, true);
        for (desc, operators) in by_desc {
            let running = self.bursts.remove(desc).filter(|burst| at - burst.last <= BURST_MS);
            let mut burst = running.unwrap_or_else(|| {
                let brief = operators.first().map_or("", |operator| operator.brief.as_str());
                let value = format!("{} x {desc}: {brief}", operators.len());
                let kind = EntryKind::PdOperators;
                self.push(answer, kind, "scheduling".to_owned(), String::new(), &value);
                Burst { entry: self.entries.len() - 1, last: at, regions: BTreeSet::new() }
            });
            burst.last = at;
            burst.regions.extend(operators.iter().filter_map(|operator| operator.region));
            let entry = &mut self.entries[burst.entry];
            let lasted = match at - entry.at {
                0 => String::new(),
                millis => format!(" within {}", duration_text(millis)),
            };
            let regions = burst.regions.len().max(1);
            let noun = if regions == 1 { "region" } else { "regions" };
            let since = if first { ", under way at the start" } else { "" };
            entry.text = format!("{desc}: {regions} {noun}{lasted}{since}");
            self.bursts.insert(desc.to_owned(), burst);
        }
    }

    fn schedulers(
        &mut self,
        answer: &PdAnswer,
        before: &BTreeSet<String>,
        now: &BTreeSet<String>,
        (more, fewer): (EntryKind, EntryKind),
    ) {
        let word = |kind: EntryKind| match kind {
            EntryKind::SchedulerAdded => "added",
            EntryKind::SchedulerRemoved => "removed",
            EntryKind::SchedulerPaused => "paused",
            _ => "resumed",
        };
        for name in now.difference(before) {
            let mut text = word(more).to_owned();
            if more == EntryKind::SchedulerAdded && name.starts_with("evict-leader") {
                text.push_str(": somebody or something drains a store's leaders");
            }
            self.push(answer, more, name.clone(), text, &format!("lists {name}"));
        }
        for name in before.difference(now) {
            let value = format!("does not list {name}");
            self.push(answer, fewer, name.clone(), word(fewer).to_owned(), &value);
        }
    }

    /// Shared keys are compared from one leader's answer to the next: `/config` is answered by
    /// the member that was asked, and a follower may hold defaults (`cluster-version` 0.0.0).
    /// Other keys are compared with what the same member said before. `schedulers-v2` repeats
    /// `/schedulers`; `security` stays out of reports.
    fn config(&mut self, answer: &PdAnswer, config: &BTreeMap<String, String>) {
        let leads = self.topology.leader.as_ref() == Some(&answer.member);
        let is_shared = |key: &str| SHARED_CONFIG.iter().any(|prefix| key.starts_with(prefix));
        let shared = |key: &str| leads && is_shared(key);
        let ignored = |key: &str| {
            key.starts_with("security")
                || key == "schedule.schedulers-v2"
                || (!leads && is_shared(key))
        };
        let mut before = if leads { std::mem::take(&mut self.config) } else { BTreeMap::new() };
        let own = self.topology.config.get(&answer.member).cloned();
        if let Some(own) = own {
            before.extend(own.into_iter().filter(|(key, _)| !is_shared(key)));
        }
        let pick = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned();
        let keys: BTreeSet<&String> = before.keys().chain(config.keys()).collect();
        let known_shared = before.keys().any(|key| shared(key));
        let known_own = before.keys().any(|key| !shared(key));
        for key in keys {
            let known = if shared(key) { known_shared } else { known_own };
            let (old, new) = (pick(&before, key), pick(config, key));
            if !known || old == new || ignored(key) {
                continue;
            }
            let show = |value: Option<String>| match value {
                Some(value) if value.is_empty() => "\"\"".to_owned(),
                Some(value) => excerpt(&value, 40),
                None => "unset".to_owned(),
            };
            let (old, new) = (show(old), show(new));
            let value = format!("{key} = {new}");
            let text = format!("{old} -> {new}");
            self.push(answer, EntryKind::ConfigChanged, key.clone(), text, &value);
        }
        if leads {
            let shared = config.iter().filter(|(key, _)| is_shared(key));
            self.config = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
    }

    /// A check is told when it begins and when it ceases to name regions, with the peak.
    fn check(&mut self, answer: &PdAnswer, name: &str, count: u64) {
        let at = answer.observed();
        let value = format!("count {count}");
        let subject = name.to_owned();
        match (self.checks.remove(name), count) {
            (None, 0) => {}
            (None, count) => {
                let noun = if count == 1 { "region" } else { "regions" };
                let text = format!("{count} {noun}");
                self.push(answer, EntryKind::RegionCheckRaised, subject, text, &value);
                self.checks.insert(name.to_owned(), Check { since: at, peak: count });
            }
            (Some(check), 0) => {
                let lasted = duration_text(at - check.since);
                let text = format!("none any more after {lasted}, peak {}", check.peak);
                self.push(answer, EntryKind::RegionCheckCleared, subject, text, &value);
            }
            (Some(check), count) => {
                let check = Check { peak: check.peak.max(count), ..check };
                self.checks.insert(name.to_owned(), check);
            }
        }
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
pub(super) fn subject(store: &Store) -> String {
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
