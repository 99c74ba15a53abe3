//! Findings of nodes that an observer could not reach, and of changes of PD's leader.
//!
//! Each observer of an outage makes a finding of its own: PD, Prometheus, the other stores, and the
//! node's own counters.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{
    Citation, Finding, FindingKind, FindingRef, Findings, Plot, PlotHow, Target, counted, number,
    seconds,
};
use crate::diagnose::findings::{About, cite, finding, lasted, of_pd, plot};
use crate::diagnose::observations::pd_history::Ask;
use crate::diagnose::observations::pd_tracks::{
    ANSWERS, CHECKED, HEARTBEAT_AGE, LEADER_COUNT, LEADS,
};
use crate::diagnose::observations::tracks::Point;
use crate::diagnose::observations::{
    FailedScrapes, LeaderChange, Liveness, MemberOutage, Outage, Restart, Silence, dated_by_pd,
    listed_at,
};
use crate::model::{Labels, TimeRange, Timestamp};
use crate::nodes::StoreNode;

/// The findings of what PD counted after a node failed: leaders that were elected elsewhere, and
/// regions that lack peers.
pub(in crate::diagnose) fn aftermath(
    evidence: &Evidence,
    outages: &[Outage],
    findings: &mut Findings,
) {
    for outage in outages {
        let known = &evidence.nodes.stores[outage.store];
        let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) else { continue };
        let had = history.counts_at(outage.last_sign).map_or(0, |counts| counts.leaders);
        let until = outage.end.unwrap_or(evidence.as_of);
        let gone = history
            .counts
            .iter()
            .find(|(at, counts)| *at > outage.onset && *at <= until && counts.leaders == 0);
        let Some((at, _)) = gone.filter(|_| had > 0) else { continue };
        let about = About {
            kind: FindingKind::LeadersLeft,
            target: Target::store(known),
            onset: *at,
            uncertainty_ms: 5_000,
            end: None,
        };
        let text = match had {
            1 => "the region that it led elects a leader elsewhere".to_owned(),
            _ => format!("the {had} regions that it led elect leaders elsewhere"),
        };
        let citations = vec![cite("PD /stores leader_count".to_owned(), *at, "0".to_owned())];
        let id = known.id.map_or_else(String::new, |id| id.to_string());
        findings.add(finding(about, text, citations, vec![of_pd(LEADER_COUNT, &id)]));
    }
    for (name, counts) in &evidence.pd.checks {
        // What was so when the recording began is no departure, and that it falls is none either.
        let rise = counts.windows(2).find(|pair| pair[1].1 > pair[0].1);
        let Some([(_, before), (at, count)]) = rise else { continue };
        let over = counts.iter().find(|(later, count)| later > at && count <= before);
        let about = About {
            kind: FindingKind::RegionsAbnormal,
            target: Target::cluster(),
            onset: *at,
            // PD is asked for these once a minute.
            uncertainty_ms: 60_000,
            end: over.map(|(at, _)| *at),
        };
        let regions = counted(*count, "region");
        let text = format!("{regions} with {name}, {}", lasted(*at, over.map(|(at, _)| *at)));
        let reference = format!("PD /regions/check/{name}");
        let citations = vec![cite(reference, *at, count.to_string())];
        findings.add(finding(about, text, citations, vec![of_pd(CHECKED, name)]));
    }
}

/// The findings of a store's outage: one per observer.
pub(in crate::diagnose) fn outage(
    evidence: &Evidence,
    outage: &Outage,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let store = &evidence.nodes.stores[outage.store];
    let target = Target::store(store);
    let instance = store.instance.clone().unwrap_or_default();
    let mut found = Vec::new();
    found.extend(
        outage.heartbeats.as_ref().map(|silence| missed_heartbeats(evidence, store, silence)),
    );
    let scrapes = outage.scrapes.as_ref();
    found.extend(
        scrapes.map(|scrapes| failed_scrapes_of_store(evidence, &target, &instance, scrapes)),
    );
    found.extend(undelivered_by_peers(evidence, outage));
    found.extend(undelivered_to_peers(evidence, outage));
    let restarted = |restart| restarted_store(evidence, store, &instance, restart);
    found.extend(outage.restart.map(restarted));
    found.extend(liveness(&outage.liveness, &target, &instance));
    found.into_iter().map(|finding| findings.add(finding)).collect()
}

fn missed_heartbeats(evidence: &Evidence, store: &StoreNode, silence: &Silence) -> Finding {
    let text = format!("no heartbeat reaches PD {}", lasted(silence.last, silence.next));
    let path = "PD /stores last_heartbeat".to_owned();
    let history = store.id.and_then(|id| evidence.pd.stores.get(&id));
    let listed = |heard| history.and_then(|history| listed_at(evidence, history, heard));
    let cited = |heard: Timestamp, which: &str| {
        let dated = history.map_or(heard, |history| dated_by_pd(evidence, history, heard));
        let whose = if dated == heard { "" } else { " by PD's clock" };
        cite(path.clone(), listed(heard).unwrap_or(heard), format!("{dated}{whose}, {which}"))
    };
    let mut citations = vec![cited(silence.last, "the last before")];
    citations.extend(silence.next.map(|next| cited(next, "the next")));
    let about = About {
        kind: FindingKind::SilentToPd,
        target: Target::store(store),
        onset: silence.missed,
        uncertainty_ms: (silence.missed - silence.last).max(0),
        end: silence.next,
    };
    let id = store.id.map_or_else(String::new, |id| id.to_string());
    finding(about, text, citations, vec![of_pd(HEARTBEAT_AGE, &id)])
}

fn scrapes_failed(count: usize) -> String {
    match count {
        1 => "1 scrape fails".to_owned(),
        more => format!("{more} scrapes fail"),
    }
}

fn failed_scrapes_of_store(
    evidence: &Evidence,
    target: &Target,
    instance: &str,
    scrapes: &FailedScrapes,
) -> Finding {
    let silence = &scrapes.silence;
    let took = scrapes.took_s.map(seconds).unwrap_or_default();
    let typical = if scrapes.failed > 1 { " (median)" } else { "" };
    let how = match scrapes.refused() {
        Some(true) => format!(", refused after {took}{typical}"),
        Some(false) => format!(", given up after {took}{typical}"),
        None => String::new(),
    };
    let failed = scrapes_failed(scrapes.failed);
    let text = format!("{failed} {}{how}", lasted(silence.missed, silence.next));
    let series = format!("up{{instance=\"{instance}\"}}");
    let mut citations = vec![cite(series.clone(), silence.missed, "0".to_owned())];
    citations.extend(silence.next.map(|at| cite(series, at, "1".to_owned())));
    let failing = TimeRange::new(silence.missed, silence.next.unwrap_or(evidence.as_of));
    let took = evidence.series.gauge("scrape_duration_seconds", instance, |_| true);
    let usual = scrapes.took_s.unwrap_or_default();
    let off = |point: &&Point| (point.value - usual).abs();
    let typical = took.within(failing).iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    citations.extend(typical.map(|point| {
        let series = format!("scrape_duration_seconds{{instance=\"{instance}\"}}");
        cite(series, point.at, number(point.value))
    }));
    let about = About {
        kind: FindingKind::ScrapesFail,
        target: target.clone(),
        onset: silence.missed,
        uncertainty_ms: (silence.missed - silence.last).max(0),
        end: silence.next,
    };
    finding(about, text, citations, vec![plot("up", PlotHow::Gauge, instance)])
}

/// The start of a process as a citation: of its metric where that was scraped when the start was first seen,
/// else of what PD said then, which is `by_pd`'s list of starts.
fn cite_start(
    evidence: &Evidence,
    instance: &str,
    restart: Restart,
    (by_pd, listed): (&str, &[(Timestamp, i64)]),
) -> Citation {
    let starts = evidence.series.gauge(START, instance, |_| true);
    let seen = TimeRange::new(restart.seen, restart.seen.saturating_add_millis(1));
    match starts.within(seen).first() {
        Some(point) => {
            cite(format!("{START}{{instance=\"{instance}\"}}"), point.at, number(point.value))
        }
        None => {
            let listed = listed.iter().find(|(at, _)| *at == restart.seen);
            let start_s = listed.map_or(restart.said.as_millis() / 1000, |(_, start_s)| *start_s);
            cite(by_pd.to_owned(), restart.seen, start_s.to_string())
        }
    }
}

/// The metric of when a process started, in Unix seconds.
const START: &str = "process_start_time_seconds";

/// How far a start that a process tells may be off, in milliseconds: PD is told the second in which a store has come
/// so far as to say so, one or two after the one that its process tells Prometheus.
const START_GRAIN_MS: i64 = 2_000;

fn restarted_store(
    evidence: &Evidence,
    store: &StoreNode,
    instance: &str,
    restart: Restart,
) -> Finding {
    let text = format!(
        "its process started again, {} after the last sign of the old one",
        seconds((restart.at - restart.last_sign).max(0) as f64 / 1000.0)
    );
    let about = About {
        kind: FindingKind::Restarted,
        target: Target::store(store),
        onset: restart.at,
        uncertainty_ms: START_GRAIN_MS,
        end: Some(restart.seen),
    };
    let history = store.id.and_then(|id| evidence.pd.stores.get(&id));
    let listed = history.map_or(&[][..], |history| &history.starts);
    let cited = cite_start(evidence, instance, restart, ("PD /stores start_timestamp", listed));
    finding(about, text, vec![cited], vec![plot(START, PlotHow::Gauge, instance)])
}

/// The counter of raft messages that a store could not deliver to another.
const UNDELIVERED: &str = "tikv_server_report_failure_msg_total";

/// That other stores could not deliver messages to the store.
fn undelivered_by_peers(evidence: &Evidence, outage: &Outage) -> Option<Finding> {
    let stores = &evidence.nodes.stores;
    let id = stores[outage.store].id.map_or_else(String::new, |id| id.to_string());
    let text = format!("{} cannot deliver raft messages to it", names(stores, &outage.column));
    let series = format!("{UNDELIVERED}{{type=\"unreachable\",store_id=\"{id}\"}}");
    let instances = outage.column.iter().filter_map(|peer| stores[*peer].instance.clone());
    let to_it = Some(("store_id".to_owned(), id.clone()));
    let plots = instances
        .map(|name| Plot { label: to_it.clone(), ..plot(UNDELIVERED, PlotHow::Rate, &name) });
    let plots = plots.collect();
    (!outage.column.is_empty()).then(|| {
        let rises = |labels: &Labels| labels.get("store_id") == Some(id.as_str());
        let at = first_report(evidence, outage, rises);
        undelivered(FindingKind::UnreachableForPeers, stores, outage, (text, series, plots))
            .read_at(at)
    })
}

/// That the store could not deliver messages to others.
fn undelivered_to_peers(evidence: &Evidence, outage: &Outage) -> Option<Finding> {
    let stores = &evidence.nodes.stores;
    let instance = stores[outage.store].instance.as_deref();
    let text = format!("it cannot deliver raft messages to {}", names(stores, &outage.row));
    let name = instance.unwrap_or_default();
    let series = format!("{UNDELIVERED}{{type=\"unreachable\",instance=\"{name}\"}}");
    let plots = instance.iter().map(|name| plot(UNDELIVERED, PlotHow::Rate, name)).collect();
    (!outage.row.is_empty()).then(|| {
        let at = first_report(evidence, outage, |labels| labels.get("instance") == instance);
        undelivered(FindingKind::ReachesNoPeers, stores, outage, (text, series, plots)).read_at(at)
    })
}

fn undelivered(
    kind: FindingKind,
    stores: &[StoreNode],
    outage: &Outage,
    (text, series, plots): (String, String, Vec<Plot>),
) -> Finding {
    let about = About {
        kind,
        target: Target::store(&stores[outage.store]),
        onset: outage.onset,
        uncertainty_ms: outage.uncertainty_ms(),
        end: outage.end,
    };
    let value = format!("rises, {} in all", number(outage.reports));
    finding(about, text, vec![cite(series, outage.onset, value)], plots)
}

/// When the counters of undeliverable messages that `keep` accepts first rise during an outage; its onset
/// where none does.
fn first_report(evidence: &Evidence, outage: &Outage, keep: impl Fn(&Labels) -> bool) -> Timestamp {
    let counters = evidence.series.metric(UNDELIVERED).iter();
    let kept = counters
        .filter(|series| series.labels.get("type") == Some("unreachable") && keep(&series.labels));
    let rises = kept.flat_map(|series| evidence.series.increments(series));
    let rises = rises.filter(|one| one.by > 0.0 && one.at >= outage.last_sign);
    rises.map(|one| one.at).min().unwrap_or(outage.onset)
}

fn names(stores: &[StoreNode], chosen: &BTreeSet<usize>) -> String {
    chosen.iter().map(|store| stores[*store].name()).collect::<Vec<_>>().join(", ")
}

/// That a node's own counters stood still or went on while no observer reached it; `None` where that is
/// unknown.
fn liveness(liveness: &Liveness, target: &Target, instance: &str) -> Option<Finding> {
    let (kind, text, gap, counter) = match liveness {
        Liveness::StoodStill { frozen_ms, gap, counter } => {
            let frozen = seconds(*frozen_ms as f64 / 1000.0);
            let text = format!("its own counters stood still for {frozen} of the scrape gap");
            (FindingKind::CountersStoodStill, text, *gap, *counter)
        }
        Liveness::MovedOn { share, gap, counter } => {
            let share = number(share * 100.0);
            let text = format!(
                "its own counters went on through the scrape gap, at {share} % of their pace"
            );
            (FindingKind::CountersMovedOn, text, *gap, *counter)
        }
        Liveness::Unknown => return None,
    };
    let series = format!("{counter}{{instance=\"{instance}\"}}");
    let about = About {
        kind,
        target: target.clone(),
        onset: gap.start,
        uncertainty_ms: 0,
        end: Some(gap.end),
    };
    let citations = vec![cite(series, gap.end, "first sample after the scrape gap".to_owned())];
    Some(finding(about, text, citations, vec![plot(counter, PlotHow::Gauge, instance)]))
}

/// The findings of a PD member's outage: one per observer.
pub(in crate::diagnose) fn member_outage(
    evidence: &Evidence,
    outage: &MemberOutage,
    findings: &mut Findings,
) -> Vec<FindingRef> {
    let target = Target::member(&outage.member, evidence.nodes.member_address(&outage.member));
    let instance = evidence.nodes.instance_of_member(&outage.member).unwrap_or_default();
    let about = |kind, onset, end| About {
        kind,
        target: target.clone(),
        onset,
        uncertainty_ms: outage.uncertainty_ms(),
        end,
    };
    let mut found = Vec::new();
    if outage.failed_asks > 0 {
        let about = about(FindingKind::NoAnswer, outage.onset, outage.end);
        found.push(unanswered_requests(evidence, outage, about));
    }
    if let Some(scrapes) = &outage.scrapes {
        let silence = &scrapes.silence;
        let failed = scrapes_failed(scrapes.failed);
        let text = format!("{failed} {}", lasted(silence.missed, silence.next));
        let series = format!("up{{instance=\"{instance}\"}}");
        let citations = vec![cite(series, silence.missed, "0".to_owned())];
        let about = about(FindingKind::ScrapesFail, silence.missed, silence.next);
        let plots = vec![plot("up", PlotHow::Gauge, &instance)];
        found.push(finding(about, text, citations, plots));
    }
    if let Some(restart) = outage.restart {
        let reference = format!("PD {} /status start_timestamp", outage.member);
        let history = evidence.pd.members.get(&outage.member);
        let listed = history.map_or(&[][..], |history| &history.starts);
        let citations = vec![cite_start(evidence, &instance, restart, (&reference, listed))];
        let about = about(FindingKind::Restarted, restart.at, Some(restart.seen));
        let text = "its process started again".to_owned();
        let plots = vec![of_pd(ANSWERS, &outage.member)];
        found.push(finding(about, text, citations, plots));
    }
    found.extend(liveness(&outage.liveness, &target, &instance));
    found.into_iter().map(|finding| findings.add(finding)).collect()
}

fn unanswered_requests(evidence: &Evidence, outage: &MemberOutage, about: About) -> Finding {
    let how = match outage.refused {
        Some(true) => "refused",
        _ => "without an answer",
    };
    let led = if outage.led { "; this member led PD until then" } else { "" };
    let reference = format!("PD {} /ping", outage.member);
    let asks = evidence.pd.members.get(&outage.member).map_or(&[][..], |member| &member.asks[..]);
    let until = outage.end.unwrap_or(evidence.as_of);
    let during = |ask: &&Ask| ask.at >= outage.onset && ask.at <= until;
    let mut failed = asks.iter().filter(during).filter(|ask| ask.failed.is_some());
    let onset = failed.next().map_or(outage.onset, |ask| ask.at);
    let last = failed.next_back().map_or(onset, |ask| ask.at);
    // Prometheus may miss the member for longer than the recorder.
    let answered = asks.iter().find(|ask| ask.at > last && ask.failed.is_none());
    let end = answered.map(|ask| ask.at);
    let duration = lasted(onset, end);
    let requests = counted(outage.failed_asks as u64, "request");
    let text = format!("{requests} {how} {duration}{led}");
    let citations = vec![cite(reference, onset, how.to_owned())];
    let about = About { onset, end, ..about };
    finding(about, text, citations, vec![of_pd(ANSWERS, &outage.member)])
}

/// The finding of a change of PD's leader, or of PD without a leader.
pub(in crate::diagnose) fn leader_change(
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
            let moved = match change.from == *to {
                true => format!("{to} again"),
                false => format!("{} -> {to}", change.from),
            };
            (FindingKind::PdLeaderChanged, format!("PD's leader: {moved}{without}"))
        }
        None => (FindingKind::PdLeaderless, format!("nobody leads PD after {}", change.from)),
    };
    let about = About {
        kind,
        target: Target::member(&change.from, evidence.nodes.member_address(&change.from)),
        onset,
        uncertainty_ms: 5_000,
        end: change.to.is_some().then_some(change.at),
    };
    let value = change.to.clone().unwrap_or_else(|| "none".to_owned());
    let citations = vec![cite("PD /members leader".to_owned(), change.at, value)];
    let members = std::iter::once(&change.from).chain(&change.to);
    let plots = members.map(|member| of_pd(LEADS, member)).collect();
    findings.add(finding(about, text, citations, plots))
}
