//! Facts told as findings: a sentence each, with the readings that show it.

use crate::model::{TimeRange, Timestamp};

use super::evidence::Evidence;
use super::facts::{
    Drain, LeaderChange, Life, MemberOutage, Moved, Outage, REQUESTS, Rise, SchedulerChange, Slow,
    Stage,
};
use super::finding::{
    Citation, Finding, FindingKind, FindingRef, Findings, Magnitude, Plot, PlotHow, Target,
    TargetKind, number, seconds,
};

/// Everything of a finding that is not told by its text.
struct About {
    kind: FindingKind,
    target: Target,
    onset: Timestamp,
    uncertainty_ms: i64,
    end: Option<Timestamp>,
}

fn finding(about: About, text: String, citations: Vec<Citation>, plot: Vec<Plot>) -> Finding {
    Finding {
        id: String::new(),
        kind: about.kind,
        target: about.target,
        onset_ms: about.onset,
        onset_uncertainty_ms: about.uncertainty_ms,
        end_ms: about.end,
        text,
        magnitude: None,
        citations,
        plot,
    }
}

fn cite(reference: String, at: Timestamp, value: String) -> Citation {
    Citation { reference, at_ms: at, value }
}

fn plot(metric: &str, how: PlotHow, instance: &str) -> Plot {
    Plot { metric: metric.to_owned(), how, instance: instance.to_owned(), label: None }
}

/// `for 2m 30s`, or `since`, where it lasts.
fn lasted(from: Timestamp, to: Option<Timestamp>) -> String {
    match to {
        Some(to) => format!("for {}", seconds((to - from).max(0) as f64 / 1000.0)),
        None => "until the end of what was seen".to_owned(),
    }
}

/// The findings of a store's outage: one per observer.
pub(super) fn outage(
    evidence: &Evidence,
    outage: &Outage,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let store = &evidence.stores[outage.store];
    let target = Target::store(store);
    let about = |kind, onset: Timestamp, last: Timestamp, end| About {
        kind,
        target: target.clone(),
        onset,
        uncertainty_ms: (onset - last).max(0),
        end,
    };
    let instance = store.instance.clone().unwrap_or_default();
    let mut told = Vec::new();
    if let Some(silence) = &outage.heartbeats {
        let text = format!("no heartbeat reaches PD {}", lasted(silence.last, silence.next));
        let path = "PD /stores last_heartbeat".to_owned();
        let mut citations =
            vec![cite(path.clone(), silence.last, "the last one before".to_owned())];
        citations.extend(silence.next.map(|at| cite(path, at, "the next one".to_owned())));
        let about = about(FindingKind::SilentToPd, silence.missed, silence.last, silence.next);
        told.push(findings.add(finding(about, text, citations, Vec::new())));
    }
    if let Some(scrapes) = &outage.scrapes {
        let silence = &scrapes.silence;
        let how = match scrapes.took_s {
            Some(took) if took < 1.0 => format!(", refused within {}", seconds(took)),
            Some(took) => format!(", each given up after {}", seconds(took)),
            None => String::new(),
        };
        let failed = scrapes.failed;
        let text = format!("{failed} scrapes fail {}{how}", lasted(silence.missed, silence.next));
        let series = format!("up{{instance=\"{instance}\"}}");
        let mut citations = vec![cite(series.clone(), silence.missed, "0".to_owned())];
        citations.extend(silence.next.map(|at| cite(series, at, "1".to_owned())));
        if let Some(took) = scrapes.took_s {
            let series = format!("scrape_duration_seconds{{instance=\"{instance}\"}}");
            citations.push(cite(series, silence.missed, number(took)));
        }
        let about = about(FindingKind::ScrapesFail, silence.missed, silence.last, silence.next);
        let plots = vec![plot("up", PlotHow::Gauge, &instance)];
        told.push(findings.add(finding(about, text, citations, plots)));
    }
    told.extend(peers(evidence, outage, &target, findings));
    if let Some(restart) = outage.restart {
        let text = format!(
            "its process started anew, {} after the last sign of the old one",
            seconds((restart.at - restart.last_sign).max(0) as f64 / 1000.0)
        );
        let series = format!("process_start_time_seconds{{instance=\"{instance}\"}}");
        let value = number(restart.at.as_millis() as f64 / 1000.0);
        let citations = vec![cite(series, restart.seen, value)];
        let about =
            about(FindingKind::Restarted, restart.at, restart.last_sign, Some(restart.seen));
        let plots = vec![plot("process_start_time_seconds", PlotHow::Gauge, &instance)];
        told.push(findings.add(finding(about, text, citations, plots)));
    }
    told.extend(life(&outage.life, &target, &instance, findings));
    told
}

/// What peers and the store say of each other.
fn peers(
    evidence: &Evidence,
    outage: &Outage,
    target: &Target,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let id = evidence.stores[outage.store].id.map_or_else(String::new, |id| id.to_string());
    let metric = "tikv_server_report_failure_msg_total";
    let mut told = Vec::new();
    let names = |stores: &std::collections::BTreeSet<usize>| {
        stores.iter().map(|store| evidence.stores[*store].name()).collect::<Vec<_>>().join(", ")
    };
    let mut add = |kind, text: String, by: &[usize], series: String| {
        let instances = by.iter().filter_map(|store| evidence.stores[*store].instance.clone());
        let plots = instances.map(|name| Plot {
            label: Some(("store_id".to_owned(), id.clone()))
                .filter(|_| kind == FindingKind::UnreachableForPeers),
            ..plot(metric, PlotHow::Rate, &name)
        });
        let about = About {
            kind,
            target: target.clone(),
            onset: outage.onset,
            uncertainty_ms: outage.uncertainty_ms(),
            end: outage.end,
        };
        let value = format!("rises, {} in all", number(outage.reports));
        let citations = vec![cite(series, outage.onset, value)];
        told.push(findings.add(finding(about, text, citations, plots.collect())));
    };
    if !outage.column.is_empty() {
        let by: Vec<usize> = outage.column.iter().copied().collect();
        let text = format!("{} cannot deliver raft messages to it", names(&outage.column));
        let series = format!("{metric}{{type=\"unreachable\",store_id=\"{id}\"}}");
        add(FindingKind::UnreachableForPeers, text, &by, series);
    }
    if !outage.row.is_empty() {
        let text = format!("it cannot deliver raft messages to {}", names(&outage.row));
        let instance = evidence.stores[outage.store].instance.clone().unwrap_or_default();
        let series = format!("{metric}{{type=\"unreachable\",instance=\"{instance}\"}}");
        add(FindingKind::ReachesNoPeers, text, &[outage.store], series);
    }
    told
}

fn life(
    life: &Life,
    target: &Target,
    instance: &str,
    findings: &mut Findings,
) -> Option<FindingRef> {
    let (kind, text, hole, counter) = match life {
        Life::StoodStill { frozen_ms, hole, counter } => {
            let frozen = seconds(*frozen_ms as f64 / 1000.0);
            let text = format!("its own counters stood still for {frozen} of the hole");
            (FindingKind::CountersStoodStill, text, *hole, *counter)
        }
        Life::MovedOn { share, hole, counter } => {
            let share = number(share * 100.0);
            let text =
                format!("its own counters went on through the hole, at {share} % of their pace");
            (FindingKind::CountersMovedOn, text, *hole, *counter)
        }
        Life::Unknown => return None,
    };
    let series = format!("{counter}{{instance=\"{instance}\"}}");
    let about = About {
        kind,
        target: target.clone(),
        onset: hole.start,
        uncertainty_ms: 0,
        end: Some(hole.end),
    };
    let citations = vec![cite(series, hole.end, "first sample after the hole".to_owned())];
    let plots = vec![plot(counter, PlotHow::Gauge, instance)];
    Some(findings.add(finding(about, text, citations, plots)))
}

/// The findings of a PD member's outage.
pub(super) fn member_outage(
    evidence: &Evidence,
    outage: &MemberOutage,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let target = Target::member(&outage.member, evidence.member_address(&outage.member));
    let instance = evidence.instance_of_member(&outage.member).unwrap_or_default();
    let about = |kind, onset, end| About {
        kind,
        target: target.clone(),
        onset,
        uncertainty_ms: outage.uncertainty_ms(),
        end,
    };
    let mut told = Vec::new();
    if outage.failed_asks > 0 {
        let how = match outage.refused {
            Some(true) => "refused",
            _ => "without an answer",
        };
        let led = if outage.led { "; it led until then" } else { "" };
        let text = format!(
            "{} requests {how} {}{led}",
            outage.failed_asks,
            lasted(outage.onset, outage.end)
        );
        let reference = format!("PD {} /ping", outage.member);
        let citations = vec![cite(reference, outage.onset, how.to_owned())];
        let about = about(FindingKind::NoAnswer, outage.onset, outage.end);
        told.push(findings.add(finding(about, text, citations, Vec::new())));
    }
    if let Some(scrapes) = &outage.scrapes {
        let silence = &scrapes.silence;
        let failed = scrapes.failed;
        let text = format!("{failed} scrapes fail {}", lasted(silence.missed, silence.next));
        let series = format!("up{{instance=\"{instance}\"}}");
        let citations = vec![cite(series, silence.missed, "0".to_owned())];
        let about = about(FindingKind::ScrapesFail, silence.missed, silence.next);
        let plots = vec![plot("up", PlotHow::Gauge, &instance)];
        told.push(findings.add(finding(about, text, citations, plots)));
    }
    if let Some(restart) = outage.restart {
        let reference = format!("PD {} /status start_timestamp", outage.member);
        let value = (restart.at.as_millis() / 1000).to_string();
        let citations = vec![cite(reference, restart.seen, value)];
        let about = about(FindingKind::Restarted, restart.at, Some(restart.seen));
        let text = "its process started anew".to_owned();
        told.push(findings.add(finding(about, text, citations, Vec::new())));
    }
    told.extend(life(&outage.life, &target, &instance, findings));
    told
}

pub(super) fn leader_change(
    evidence: &Evidence,
    change: &LeaderChange,
    findings: &mut Findings,
) -> FindingRef {
    let onset = change.leaderless_since.unwrap_or(change.at);
    let (kind, text) = match &change.to {
        Some(to) => {
            let without = change.leaderless_since.map_or_else(String::new, |since| {
                format!(", {} without one", seconds((change.at - since) as f64 / 1000.0))
            });
            (FindingKind::PdLeaderChanged, format!("PD's leader: {} -> {to}{without}", change.from))
        }
        None => (FindingKind::PdLeaderless, format!("nobody leads PD after {}", change.from)),
    };
    let about = About {
        kind,
        target: Target::member(&change.from, evidence.member_address(&change.from)),
        onset,
        uncertainty_ms: 5_000,
        end: change.to.is_some().then_some(change.at),
    };
    let value = change.to.clone().unwrap_or_else(|| "none".to_owned());
    let citations = vec![cite("PD /members leader".to_owned(), change.at, value)];
    findings.add(finding(about, text, citations, Vec::new()))
}

pub(super) fn drain(
    evidence: &Evidence,
    drain: &Drain,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let target = Target::store(&evidence.stores[drain.store]);
    let about = About {
        kind: FindingKind::LeadersLeft,
        target,
        onset: drain.at,
        uncertainty_ms: drain.at - drain.since,
        end: drain.end,
    };
    let beside =
        if drain.scheduler.is_some() { ", with an evict-leader scheduler in place" } else { "" };
    let text = format!("all {} leaders left it while it was well{beside}", drain.had);
    let citations = vec![cite("PD /stores leader_count".to_owned(), drain.at, "0".to_owned())];
    vec![findings.add(finding(about, text, citations, Vec::new()))]
}

pub(super) fn moved(evidence: &Evidence, moved: &Moved, findings: &mut Findings) -> FindingRef {
    let (kind, text) = if moved.leaves {
        (FindingKind::StoreRemoving, "it is being removed from the cluster")
    } else {
        (FindingKind::StoreJoined, "it joined the cluster")
    };
    let about = About {
        kind,
        target: Target::store(&evidence.stores[moved.store]),
        onset: moved.at,
        uncertainty_ms: 5_000,
        end: None,
    };
    let value = if moved.leaves { "Removing" } else { "listed" };
    let citations = vec![cite("PD /stores node_state".to_owned(), moved.at, value.to_owned())];
    findings.add(finding(about, text.to_owned(), citations, Vec::new()))
}

pub(super) fn scheduler(change: &SchedulerChange, findings: &mut Findings) -> FindingRef {
    let (kind, verb) = if change.paused {
        (FindingKind::SchedulerPaused, "was paused")
    } else {
        (FindingKind::SchedulerAdded, "was added")
    };
    let about = About {
        kind,
        target: Target::cluster(),
        onset: change.at,
        uncertainty_ms: 60_000,
        end: change.end,
    };
    let path = if change.paused { "PD /schedulers?status=paused" } else { "PD /schedulers" };
    let citations = vec![cite(path.to_owned(), change.at, change.name.clone())];
    findings.add(finding(about, format!("{} {verb}", change.name), citations, Vec::new()))
}

pub(super) fn rise(evidence: &Evidence, rise: &Rise, findings: &mut Findings) -> FindingRef {
    let departure = &rise.departure;
    let about = About {
        kind: FindingKind::LoadRose,
        target: Target::named(TargetKind::Workload, "workload"),
        onset: departure.onset,
        uncertainty_ms: departure.uncertainty_ms,
        end: departure.end,
    };
    let spread: Vec<String> = evidence
        .stores
        .iter()
        .zip(&rise.by_store)
        .map(|(store, (before, now))| {
            format!("{} {} -> {}", store.name(), number(*before), number(*now))
        })
        .collect();
    let text = format!(
        "requests rise from {} to {} a second {}; {}",
        number(departure.baseline),
        number(departure.typical),
        lasted(departure.onset, departure.end),
        spread.join(", ")
    );
    let series = format!("sum(rate({REQUESTS}{{type=~\"kv_.*|raw_.*|coprocessor.*\"}}))");
    let citations = vec![cite(series, departure.first, number(departure.typical))];
    let instances = evidence.stores.iter().filter_map(|store| store.instance.as_deref());
    let plots = instances.map(|name| plot(REQUESTS, PlotHow::Rate, name)).collect();
    let mut told = finding(about, text, citations, plots);
    told.magnitude = Some(magnitude(departure, "requests/s"));
    findings.add(told)
}

fn magnitude(departure: &super::baseline::Departure, unit: &'static str) -> Magnitude {
    Magnitude {
        baseline: departure.baseline,
        typical: departure.typical,
        peak: departure.peak,
        unit,
    }
}

pub(super) fn slow_store(
    evidence: &Evidence,
    store: usize,
    slow: &Slow,
    findings: &mut Findings,
) -> FindingRef {
    let known = &evidence.stores[store];
    findings.add(slow_finding(Target::store(known), slow))
}

pub(super) fn slow_member(
    evidence: &Evidence,
    member: &str,
    slow: &Slow,
    findings: &mut Findings,
) -> FindingRef {
    let target = Target::member(member, evidence.member_address(member));
    findings.add(slow_finding(target, slow))
}

fn slow_finding(target: Target, slow: &Slow) -> Finding {
    let departure = &slow.departure;
    let (kind, what) = match slow.quantity.stage {
        Stage::Device => (FindingKind::SlowDevice, "the disk"),
        Stage::Threads => (FindingKind::SlowThreads, "waiting for a thread"),
        Stage::Network => (FindingKind::SlowNetwork, "an answer"),
    };
    let about = About {
        kind,
        target,
        onset: departure.onset,
        uncertainty_ms: departure.uncertainty_ms,
        end: departure.end,
    };
    let elsewhere = match slow.elsewhere {
        e if e < 1.2 => "as usual".to_owned(),
        e => format!("{} times the usual", number(e)),
    };
    let text = format!(
        "{what} takes {} instead of {} ({}) {}; elsewhere {elsewhere}",
        seconds(departure.typical),
        seconds(departure.baseline),
        slow.quantity.metric,
        lasted(departure.onset, departure.end),
    );
    let series = format!("{}{{instance=\"{}\"}}", slow.quantity.metric, slow.instance);
    let citations = vec![cite(series, departure.peak_at, number(departure.peak))];
    let mut told = finding(about, text, citations, vec![slow.plot()]);
    told.magnitude = Some(magnitude(departure, "seconds"));
    told
}

/// A quantity that crossed a line, as a finding of its own.
pub(super) struct Crossing<'a> {
    /// What departed.
    pub kind: FindingKind,
    /// Where.
    pub target: Target,
    /// When.
    pub range: TimeRange,
    /// How far the beginning may be off.
    pub uncertainty_ms: i64,
    /// Whether it lasts to the end of what was seen.
    pub lasts: bool,
    /// A sentence without a full stop.
    pub text: String,
    /// What was read: the reference and the value.
    pub read: (&'a str, String),
    /// What to plot.
    pub plot: Vec<Plot>,
}

/// Tells a crossing.
pub(super) fn crossing(crossing: Crossing<'_>) -> Finding {
    let about = About {
        kind: crossing.kind,
        target: crossing.target,
        onset: crossing.range.start,
        uncertainty_ms: crossing.uncertainty_ms,
        end: (!crossing.lasts).then_some(crossing.range.end),
    };
    let (reference, value) = crossing.read;
    let citations = vec![cite(reference.to_owned(), crossing.range.start, value)];
    finding(about, crossing.text, citations, crossing.plot)
}
