//! Outages of PD members, and changes of PD's leader.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::liveness::{Liveness, PD_CLOCKS, liveness_in_gap};
use crate::diagnose::observations::outages::Reachability;
use crate::diagnose::observations::restarts::{Restart, member_restarts};
use crate::diagnose::observations::silence::{FailedScrapes, failed_scrapes};
use crate::diagnose::thresholds::MEMBER_SILENT_MS;
use crate::model::{GapReason, TimeRange, Timestamp};

/// A PD member that the recorder or Prometheus could not reach, or that was restarted.
#[derive(Clone, Debug)]
pub struct MemberOutage {
    /// The name of the member.
    pub member: String,
    /// The last sign of life before.
    pub last_sign: Timestamp,
    /// The first sign that was missing.
    pub onset: Timestamp,
    /// The next sign of life; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// Whether the recorder's requests were answered.
    pub recorder: Reachability,
    /// Whether Prometheus could scrape it.
    pub prometheus: Reachability,
    /// Whether requests were refused at once rather than left without an answer; `None` where that is
    /// unknown.
    pub refused: Option<bool>,
    /// Whether it was PD's leader before.
    pub led: bool,
    /// The last restart of its process; `None` where it was not restarted.
    pub restart: Option<Restart>,
    /// Whether its own counters went on meanwhile.
    pub liveness: Liveness,
    /// The number of the recorder's requests that failed.
    pub failed_asks: usize,
    /// The scrapes that failed meanwhile; `None` where none did.
    pub scrapes: Option<FailedScrapes>,
    /// The findings that show the outage.
    pub findings: Vec<FindingRef>,
}

impl MemberOutage {
    /// How far the onset may be off, in milliseconds; at least a second.
    pub fn uncertainty_ms(&self) -> i64 {
        (self.onset - self.last_sign).max(1_000)
    }

    /// From the onset to the next sign, or to `open`.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.onset, self.end.unwrap_or(open).max(self.onset))
    }

    /// Whether no observer that asked it got an answer, and at least one asked.
    pub fn is_silent(&self) -> bool {
        let observers = [self.recorder, self.prometheus];
        observers.contains(&Reachability::Silent) && !observers.contains(&Reachability::Heard)
    }
}

/// Every outage of a PD member, ascending by onset and name.
pub fn member_outages(evidence: &Evidence) -> Vec<MemberOutage> {
    let mut found = Vec::new();
    for name in evidence.nodes.member_names() {
        found.extend(of_member(evidence, name));
    }
    found.sort_by(|a, b| (a.onset, &a.member).cmp(&(b.onset, &b.member)));
    found
}

/// Whether any member ever answered the recorder.
pub fn pd_ever_answered(evidence: &Evidence) -> bool {
    let asks = evidence.pd.members.values().flat_map(|history| &history.asks);
    asks.into_iter().any(|ask| ask.failed.is_none())
}

/// A stretch of the recorder's failed requests to a member.
#[derive(Clone)]
struct FailedRequests {
    last: Timestamp,
    missed: Timestamp,
    next: Option<Timestamp>,
    asks: usize,
    refused: bool,
}

impl FailedRequests {
    /// These requests and later ones as one stretch, refused where most of the greater number were.
    fn joined(&self, later: &Self) -> Self {
        let longer = if later.asks > self.asks { later } else { self };
        Self {
            last: self.last,
            missed: self.missed,
            next: self.next.zip(later.next).map(|(one, other)| one.max(other)),
            asks: self.asks + later.asks,
            refused: longer.refused,
        }
    }
}

/// Every stretch of failed requests to a member: when it began, and for how many milliseconds it lasted.
pub fn failed_stretches(evidence: &Evidence, name: &str) -> impl Iterator<Item = (Timestamp, i64)> {
    let asks = evidence.pd.members.get(name).map_or(&[][..], |history| history.asks.as_slice());
    let runs = asks.chunk_by(|a, b| a.failed.is_some() == b.failed.is_some());
    runs.filter_map(move |run| {
        let (first, last) = (run.first()?, run.last()?);
        first.failed.as_ref()?;
        let next = asks.iter().find(|ask| ask.at > last.at && ask.failed.is_none());
        Some((first.at, next.map_or(evidence.as_of, |ask| ask.at) - first.at))
    })
}

fn failed_requests(evidence: &Evidence, name: &str) -> Vec<FailedRequests> {
    let Some(history) = evidence.pd.members.get(name) else { return Vec::new() };
    let mut found = Vec::new();
    let mut last_good = None;
    for run in history.asks.chunk_by(|a, b| a.failed.is_some() == b.failed.is_some()) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        if first.failed.is_none() {
            last_good = Some(last.at);
            continue;
        }
        let next = history.asks.iter().find(|ask| ask.at > last.at && ask.failed.is_none());
        let next = next.map(|ask| ask.at);
        let least = evidence.thresholds.at("member-silent", MEMBER_SILENT_MS as f64) as i64;
        if next.unwrap_or(evidence.as_of) - first.at < least {
            continue;
        }
        let refused = run.iter().filter(|ask| ask.failed == Some(GapReason::Connect)).count();
        found.push(FailedRequests {
            last: last_good.unwrap_or(evidence.window.start.min(first.at)),
            missed: first.at,
            next,
            asks: run.len(),
            refused: 2 * refused > run.len(),
        });
    }
    found
}

fn of_member(evidence: &Evidence, name: &str) -> Vec<MemberOutage> {
    let silences = Silences::new(evidence, name);
    let stretches = silences.stretches(evidence.as_of).into_iter();
    let mut found: Vec<MemberOutage> =
        stretches.map(|range| silences.outage(evidence, range)).collect();
    for restart in member_restarts(evidence, name) {
        let ends = found.iter_mut().find(|outage| {
            let end = outage.end.unwrap_or(evidence.as_of);
            restart.at >= outage.last_sign.saturating_add_millis(-2_000)
                && restart.at <= end.saturating_add_millis(5_000)
        });
        match ends {
            Some(outage) => outage.restart = Some(restart),
            None => found.push(unnoticed_restart(evidence, name, restart)),
        }
    }
    found
}

/// A restart that was too short for the recorder or Prometheus to miss the member.
fn unnoticed_restart(evidence: &Evidence, name: &str, restart: Restart) -> MemberOutage {
    MemberOutage {
        member: name.to_owned(),
        last_sign: restart.last_sign,
        onset: restart.last_sign.max(restart.at.saturating_add_millis(-10_000)),
        end: Some(restart.seen),
        recorder: Reachability::Unknown,
        prometheus: Reachability::Unknown,
        refused: None,
        led: led(evidence, name, restart.last_sign),
        restart: Some(restart),
        liveness: Liveness::Unknown,
        failed_asks: 0,
        scrapes: None,
        findings: Vec::new(),
    }
}

/// What the recorder and Prometheus missed of one member.
struct Silences<'a> {
    name: &'a str,
    instance: Option<String>,
    requests: Vec<FailedRequests>,
    scrapes: Vec<FailedScrapes>,
}

impl<'a> Silences<'a> {
    fn new(evidence: &Evidence, name: &'a str) -> Self {
        let instance = evidence.nodes.instance_of_member(name);
        let scrapes = instance.as_deref().map(|name| failed_scrapes(evidence, name));
        // Where PD never answered, the recorder had a wrong URL or no way to it: that is no sign of anybody.
        let requests = match pd_ever_answered(evidence) {
            true => failed_requests(evidence, name),
            false => Vec::new(),
        };
        Self { name, instance, requests, scrapes: scrapes.unwrap_or_default() }
    }

    /// Times in which one or both got no answer; times less than 15 s apart are merged.
    fn stretches(&self, open: Timestamp) -> Vec<TimeRange> {
        let range = |missed: Timestamp, next: Option<Timestamp>| {
            TimeRange::new(missed, next.unwrap_or(open))
        };
        let requests = self.requests.iter().map(|one| range(one.missed, one.next));
        let scrapes = self.scrapes.iter().map(|one| range(one.silence.missed, one.silence.next));
        let mut ranges: Vec<TimeRange> = requests.chain(scrapes).collect();
        ranges.sort_by_key(|range| range.start);
        let mut merged: Vec<TimeRange> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start - last.end <= 15_000 => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        merged
    }

    /// The outage that one of the stretches is.
    fn outage(&self, evidence: &Evidence, range: TimeRange) -> MemberOutage {
        let meets = |from: Timestamp, to: Option<Timestamp>| {
            from <= range.end && to.unwrap_or(evidence.as_of) >= range.start
        };
        let requests = self.requests.iter().filter(|one| meets(one.missed, one.next)).cloned();
        let requests = requests.reduce(|one, later| one.joined(&later));
        let scrapes = self.scrapes.iter().filter(|one| meets(one.silence.missed, one.silence.next));
        let scrapes = scrapes.cloned().reduce(|one, later| one.joined(&later));
        let last_signs = requests.iter().map(|one| one.last);
        let last_signs = last_signs.chain(scrapes.iter().map(|one| one.silence.last));
        let ends = requests.iter().map(|one| one.next);
        let ends = ends.chain(scrapes.iter().map(|one| one.silence.next));
        let onset = range.start;
        let last_sign = last_signs.filter(|last| *last <= onset).max().unwrap_or(onset);
        let by_scrape = scrapes.as_ref().and_then(FailedScrapes::refused);
        MemberOutage {
            member: self.name.to_owned(),
            last_sign,
            onset,
            end: ends.max_by_key(|next| (next.is_none(), *next)).flatten(),
            recorder: match requests {
                Some(_) => Reachability::Silent,
                None => self.reached_by_recorder(evidence, range),
            },
            prometheus: match scrapes {
                Some(_) => Reachability::Silent,
                None => self.reached_by_prometheus(evidence, range),
            },
            refused: requests.as_ref().map(|one| one.refused).or(by_scrape),
            led: led(evidence, self.name, last_sign),
            restart: None,
            liveness: scrapes
                .as_ref()
                .map_or(Liveness::Unknown, |one| self.liveness(evidence, one)),
            failed_asks: requests.map_or(0, |one| one.asks),
            scrapes,
            findings: Vec::new(),
        }
    }

    fn reached_by_recorder(&self, evidence: &Evidence, range: TimeRange) -> Reachability {
        let history = evidence.pd.members.get(self.name);
        let answered = history.is_some_and(|history| {
            history.asks.iter().any(|ask| ask.failed.is_none() && range.contains(ask.at))
        });
        if answered { Reachability::Heard } else { Reachability::Unknown }
    }

    fn reached_by_prometheus(&self, evidence: &Evidence, range: TimeRange) -> Reachability {
        let scrapes = self.instance.as_ref().and_then(|name| evidence.series.scrapes().get(name));
        let up =
            scrapes.is_some_and(|list| list.iter().any(|one| one.up && range.contains(one.at)));
        if up { Reachability::Heard } else { Reachability::Unknown }
    }

    /// Whether the member's counters went on while its scrapes failed.
    fn liveness(&self, evidence: &Evidence, scrapes: &FailedScrapes) -> Liveness {
        match (&self.instance, scrapes.silence.next) {
            (Some(instance), Some(next)) => {
                let gap = TimeRange::new(scrapes.silence.last, next);
                liveness_in_gap(evidence, instance, gap, &PD_CLOCKS)
            }
            _ => Liveness::Unknown,
        }
    }
}

/// Whether the member was PD's leader when it was last heard. Where no member names the leader, its
/// metrics show whether it led etcd: only etcd's leader campaigns for PD's leadership.
fn led(evidence: &Evidence, name: &str, at: Timestamp) -> bool {
    if let Some(leader) = evidence.pd.leader_at(at) {
        return leader == name;
    }
    let leads = evidence.nodes.instance_of_member(name).and_then(|instance| {
        let track = evidence.series.gauge(LEADS_ETCD, &instance, |_| true);
        track.last_by(at).map(|point| point.value)
    });
    leads == Some(1.0)
}

/// The metric that is 1 while a member leads etcd, and 0 otherwise.
pub const LEADS_ETCD: &str = "etcd_server_is_leader";

/// A change of PD's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When the new leader was first named.
    pub at: Timestamp,
    /// The name of the leader before.
    pub from: String,
    /// The name of the leader since; `None` where none was named until the end.
    pub to: Option<String>,
    /// Since when no leader was named; `None` where the new leader followed at once.
    pub leaderless_since: Option<Timestamp>,
}

/// Changes of PD's leader, ascending in time; the last one may be the loss of any leader.
pub fn leader_changes(evidence: &Evidence) -> Vec<LeaderChange> {
    let mut found = Vec::new();
    let mut led: Option<&String> = None;
    let mut leaderless = None;
    for (at, leader) in &evidence.pd.leaders {
        match (led, leader) {
            (Some(from), Some(to)) => {
                if from != to || leaderless.is_some_and(|since| *at - since >= MEMBER_SILENT_MS) {
                    let (from, to) = (from.clone(), Some(to.clone()));
                    found.push(LeaderChange { at: *at, from, to, leaderless_since: leaderless });
                }
                leaderless = None;
            }
            (Some(_), None) => leaderless = leaderless.or(Some(*at)),
            (None, _) => {}
        }
        led = leader.as_ref().or(led);
    }
    if let (Some(from), Some(since)) = (led, leaderless) {
        let from = from.clone();
        found.push(LeaderChange { at: since, from, to: None, leaderless_since: leaderless });
    }
    found
}
