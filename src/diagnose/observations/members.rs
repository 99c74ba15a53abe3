//! PD members that did not answer, and who led meanwhile.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::liveness::{Liveness, PD_CLOCKS, life_in_hole};
use crate::diagnose::observations::outages::Reachability;
use crate::diagnose::observations::restarts::{Restart, member_restarts};
use crate::diagnose::observations::silence::{FailedScrapes, failed_scrapes};
use crate::diagnose::thresholds::MEMBER_SILENT_MS;
use crate::model::{GapReason, TimeRange, Timestamp};

/// A PD member that somebody did not hear.
#[derive(Clone, Debug)]
pub struct MemberOutage {
    /// Its name.
    pub member: String,
    /// The last sign of life before.
    pub last_sign: Timestamp,
    /// The first sign that was missing.
    pub onset: Timestamp,
    /// The next sign; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// The recorder's view.
    pub recorder: Reachability,
    /// Prometheus's.
    pub prometheus: Reachability,
    /// Whether other members said that they reach it.
    pub members: Reachability,
    /// Requests were refused at once rather than left without answer.
    pub refused: Option<bool>,
    /// Whether it led before.
    pub led: bool,
    /// Its process started anew.
    pub restart: Option<Restart>,
    /// Whether its own counters went on.
    pub liveness: Liveness,
    /// Requests that failed.
    pub failed_asks: usize,
    /// Scrapes that failed.
    pub scrapes: Option<FailedScrapes>,
    /// What shows all that.
    pub findings: Vec<FindingRef>,
}

impl MemberOutage {
    /// How far the onset may be off.
    pub fn uncertainty_ms(&self) -> i64 {
        (self.onset - self.last_sign).max(1_000)
    }

    /// From the onset to the next sign, or to `open`.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.onset, self.end.unwrap_or(open).max(self.onset))
    }

    /// Whether both who ask it get no answer; where only one asks, that one.
    pub fn is_silent(&self) -> bool {
        let views = [self.recorder, self.prometheus];
        views.contains(&Reachability::Silent) && !views.contains(&Reachability::Heard)
    }
}

/// Members that did not answer the recorder or Prometheus, and those that restarted.
pub fn member_outages(evidence: &Evidence) -> Vec<MemberOutage> {
    let mut found = Vec::new();
    for name in evidence.nodes.member_names() {
        found.extend(of_member(evidence, &name));
    }
    found.sort_by(|a, b| (a.onset, &a.member).cmp(&(b.onset, &b.member)));
    found
}

/// A stretch of failed requests.
struct Failed {
    last: Timestamp,
    missed: Timestamp,
    next: Option<Timestamp>,
    asks: usize,
    refused: bool,
}

fn failed_asks(evidence: &Evidence, name: &str) -> Vec<Failed> {
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
        found.push(Failed {
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
    let instance = evidence.nodes.instance_of_member(name);
    let scrapes = instance.as_deref().map_or_else(Vec::new, |name| failed_scrapes(evidence, name));
    let asks = failed_asks(evidence, name);
    let mut ranges: Vec<TimeRange> = asks
        .iter()
        .map(|one| TimeRange::new(one.missed, one.next.unwrap_or(evidence.as_of)))
        .chain(scrapes.iter().map(|one| {
            TimeRange::new(one.silence.missed, one.silence.next.unwrap_or(evidence.as_of))
        }))
        .collect();
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<TimeRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start - last.end <= 15_000 => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    let mut found: Vec<MemberOutage> = merged
        .into_iter()
        .map(|range| member_outage(evidence, name, instance.as_deref(), range, &asks, &scrapes))
        .collect();
    for restart in member_restarts(evidence, name) {
        let ends = found.iter_mut().find(|outage| {
            let end = outage.end.unwrap_or(evidence.as_of);
            restart.at >= outage.last_sign.saturating_add_millis(-2_000)
                && restart.at <= end.saturating_add_millis(5_000)
        });
        match ends {
            Some(outage) => outage.restart = Some(restart),
            None => found.push(MemberOutage {
                member: name.to_owned(),
                last_sign: restart.last_sign,
                onset: restart.last_sign.max(restart.at.saturating_add_millis(-10_000)),
                end: Some(restart.seen),
                recorder: Reachability::Unknown,
                prometheus: Reachability::Unknown,
                members: Reachability::Unknown,
                refused: None,
                led: led(evidence, name, restart.last_sign),
                restart: Some(restart),
                liveness: Liveness::Unknown,
                failed_asks: 0,
                scrapes: None,
                findings: Vec::new(),
            }),
        }
    }
    found
}

fn member_outage(
    evidence: &Evidence,
    name: &str,
    instance: Option<&str>,
    range: TimeRange,
    asks: &[Failed],
    scrapes: &[FailedScrapes],
) -> MemberOutage {
    let open = evidence.as_of;
    let meets = |from: Timestamp, to: Option<Timestamp>| {
        from <= range.end && to.unwrap_or(open) >= range.start
    };
    let failed = asks.iter().find(|one| meets(one.missed, one.next));
    let scrapes = scrapes.iter().find(|one| meets(one.silence.missed, one.silence.next)).cloned();
    let last_signs = failed.map(|one| one.last).into_iter();
    let last_signs = last_signs.chain(scrapes.as_ref().map(|one| one.silence.last));
    let ends = failed.map(|one| one.next).into_iter();
    let ends = ends.chain(scrapes.as_ref().map(|one| one.silence.next));
    let end = ends.max_by_key(|next| (next.is_none(), *next)).flatten();
    let history = evidence.pd.members.get(name);
    let answered = history.is_some_and(|history| {
        history.asks.iter().any(|ask| ask.failed.is_none() && range.contains(ask.at))
    });
    let recorder = match (failed.is_some(), answered) {
        (true, _) => Reachability::Silent,
        (false, true) => Reachability::Heard,
        (false, false) => Reachability::Unknown,
    };
    let up = instance.and_then(|name| evidence.series.scrapes().get(name));
    let up = up.is_some_and(|list| list.iter().any(|one| one.up && range.contains(one.at)));
    let prometheus = match (scrapes.is_some(), up) {
        (true, _) => Reachability::Silent,
        (false, true) => Reachability::Heard,
        (false, false) => Reachability::Unknown,
    };
    let by_scrape = scrapes.as_ref().and_then(|one| one.took_s).map(|took| took < 1.0);
    let onset = range.start;
    let last_sign = last_signs.filter(|last| *last <= onset).max().unwrap_or(onset);
    let liveness = match (instance, scrapes.as_ref().and_then(|one| one.silence.next)) {
        (Some(instance), Some(next)) => {
            let from = scrapes.as_ref().map_or(onset, |one| one.silence.last);
            life_in_hole(evidence, instance, TimeRange::new(from, next), &PD_CLOCKS)
        }
        _ => Liveness::Unknown,
    };
    MemberOutage {
        member: name.to_owned(),
        last_sign,
        onset,
        end,
        recorder,
        prometheus,
        members: Reachability::Unknown,
        refused: failed.map(|one| one.refused).or(by_scrape),
        led: led(evidence, name, last_sign),
        restart: None,
        liveness,
        failed_asks: failed.map_or(0, |one| one.asks),
        scrapes,
        findings: Vec::new(),
    }
}

/// Whether the member led when it was last heard. Where no member told who leads, its metrics tell
/// whether it led etcd: only etcd's leader campaigns for PD's.
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

/// 1 while a member leads etcd.
pub const LEADS_ETCD: &str = "etcd_server_is_leader";

/// A change of PD's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When the new one was first named.
    pub at: Timestamp,
    /// Who led before.
    pub from: String,
    /// Who leads since; `None` where nobody was named until the end.
    pub to: Option<String>,
    /// When nobody was named any more; `None` where the two followed at once.
    pub leaderless_since: Option<Timestamp>,
}

/// Changes of PD's leader, ascending, and time without one.
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
