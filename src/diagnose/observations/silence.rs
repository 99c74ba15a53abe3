//! Who no longer hears whom: PD a store, Prometheus a target, a store its peers.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::thresholds::REPORTS_AT_LEAST;
use crate::model::{TimeRange, Timestamp};

/// A stretch in which an observer did not hear somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// The last sign of liveness.
    pub last: Timestamp,
    /// The first sign that was missing.
    pub missed: Timestamp,
    /// The next sign of life; `None` where there was none yet.
    pub next: Option<Timestamp>,
}

impl Silence {
    /// From the last sign of life to the next, or to `open`.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.last, self.next.unwrap_or(open).max(self.last))
    }
}

/// A store sends a heartbeat every 10 s (`pd-store-heartbeat-tick-interval`).
const HEARTBEAT_MS: i64 = 10_000;

/// Where somebody else misses the store at the same time, PD's own measure is enough.
pub const MISSED_MS: i64 = 20_000;

/// Heartbeats that stayed away for at least `least_ms`, as PD's answers show. A new PD leader has
/// heard nobody, so it is believed only after it has led for as long; while nobody leads, nobody
/// can be heard.
pub fn silences_to_pd(evidence: &Evidence, store: &StoreHistory, least_ms: i64) -> Vec<Silence> {
    let pd = &evidence.pd;
    let skew = clock_skew_ms(evidence, store);
    let mut found = Vec::new();
    for (index, &(_, last)) in store.heartbeats.iter().enumerate() {
        let next = store.heartbeats.get(index + 1);
        let until = next.map_or(evidence.as_of, |(seen, _)| *seen);
        let heard = last.saturating_add_millis(skew);
        let from = heard.saturating_add_millis(least_ms).max(store.first_seen);
        let late = pd.listings.partition_point(|seen| *seen < from);
        let silent = pd.listings[late..].iter().take_while(|seen| **seen < until).any(|&seen| {
            let led = pd.leads_since(seen).map_or(seen, |since| since.max(heard));
            seen - led >= least_ms
        });
        if silent {
            let last = last.saturating_add_millis(skew);
            found.push(Silence {
                last,
                missed: last.saturating_add_millis(HEARTBEAT_MS),
                next: next.map(|(_, sent)| sent.saturating_add_millis(skew)),
            });
        }
    }
    found
}

/// How far the clock that stamps heartbeats runs behind the recorder's. The youngest heartbeat
/// ever seen is between no and 10 s old where the two agree.
fn clock_skew_ms(evidence: &Evidence, store: &StoreHistory) -> i64 {
    let ages = store.heartbeats.iter().map(|(seen, sent)| *seen - *sent);
    let enough = evidence.pd.listings.len() >= 6 && store.heartbeats.len() >= 3;
    match ages.min() {
        Some(youngest) if enough && !(-500..HEARTBEAT_MS).contains(&youngest) => youngest,
        _ => 0,
    }
}

/// Scrapes that failed one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedScrapes {
    /// When.
    pub silence: Silence,
    /// How many failed; none where samples are missing altogether.
    pub failed: usize,
    /// Median time that a failing scrape took, in seconds. Refused at once: a host without the
    /// process. A timeout: nobody at all.
    pub took_s: Option<f64>,
}

/// Stretches of failed scrapes of a target.
pub fn failed_scrapes(evidence: &Evidence, instance: &str) -> Vec<FailedScrapes> {
    let Some(scrapes) = evidence.series.scrapes().get(instance) else { return Vec::new() };
    let took = evidence.series.gauge("scrape_duration_seconds", instance, |_| true);
    let mut found = Vec::new();
    for run in scrapes.chunk_by(|a, b| a.up == b.up) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        if first.up {
            continue;
        }
        let before = scrapes.iter().rev().find(|scrape| scrape.at < first.at);
        let after = scrapes.iter().find(|scrape| scrape.at > last.at);
        let range = TimeRange::new(first.at, last.at.saturating_add_millis(1));
        found.push(FailedScrapes {
            silence: Silence {
                last: before.map_or(evidence.window.start.min(first.at), |scrape| scrape.at),
                missed: first.at,
                next: after.map(|scrape| scrape.at),
            },
            failed: run.len(),
            took_s: median(took.within(range).iter().map(|point| point.value)),
        });
    }
    found
}

/// Stretches without any sample of `up`: Prometheus did not look, or its samples are lost. Three
/// intervals are granted, the least that cannot be one late scrape. What was recorded and cannot be
/// read is no such stretch.
pub fn missing_scrapes(evidence: &Evidence, instance: &str) -> Vec<Silence> {
    let Some(scrapes) = evidence.series.scrapes().get(instance) else { return Vec::new() };
    let interval = evidence.series.scrape_interval_ms();
    let mut ends: Vec<Timestamp> = scrapes.iter().map(|scrape| scrape.at).collect();
    ends.push(evidence.window.end);
    let hole = |pair: &[Timestamp]| {
        let (last, next) = (pair[0], pair[1]);
        let long = next - last > 3 * interval;
        let read = !evidence.series.is_unreadable(instance, TimeRange::new(last, next));
        (long && read).then_some((last, next))
    };
    let silence = |(last, next): (Timestamp, Timestamp)| Silence {
        last,
        missed: last.saturating_add_millis(interval),
        next: (next < evidence.window.end).then_some(next),
    };
    ends.windows(2).filter_map(hole).map(silence).collect()
}

/// When a store counted messages to another as undeliverable: `tikv_server_report_failure_msg_total`
/// of type `unreachable`, per reporting store and missing store.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreachable {
    /// Who reports, an index of [`Evidence::stores`].
    pub by: usize,
    /// Whom it does not reach, likewise.
    pub whom: usize,
    /// When.
    pub silence: Silence,
    /// Reports, in all.
    pub reports: f64,
}

/// All stretches of undeliverable messages, by reporter and missing store.
pub fn unreachable(evidence: &Evidence) -> Vec<Unreachable> {
    let table = &evidence.series;
    let slack = 2 * table.scrape_interval_ms() + table.scrape_interval_ms() / 2;
    let mut found = Vec::new();
    for series in table.metric("tikv_server_report_failure_msg_total") {
        let labels = &series.labels;
        let whom = labels.get("store_id").and_then(|id| id.parse().ok());
        let whom = whom.and_then(|id| evidence.nodes.store(crate::model::StoreId(id)));
        let by = labels.get("instance").and_then(|name| evidence.nodes.store_of_instance(name));
        let (Some(by), Some(whom), Some("unreachable")) = (by, whom, labels.get("type")) else {
            continue;
        };
        let mut stretch: Option<Unreachable> = None;
        let mut last_seen = None;
        for increment in table.increments(series) {
            last_seen = Some(increment.at);
            if increment.by <= 0.0 {
                continue;
            }
            match &mut stretch {
                Some(open)
                    if increment.since - open.silence.next.unwrap_or(increment.at) <= slack =>
                {
                    open.silence.next = Some(increment.at);
                    open.reports += increment.by;
                }
                _ => {
                    let silence = Silence {
                        last: increment.since,
                        missed: increment.at,
                        next: Some(increment.at),
                    };
                    let fresh = Unreachable { by, whom, silence, reports: increment.by };
                    found.extend(stretch.replace(fresh));
                }
            }
        }
        if let Some(mut open) = stretch {
            // Still counting at the last sample: not over yet.
            if open.silence.next == last_seen {
                open.silence.next = None;
            }
            found.push(open);
        }
    }
    let least = evidence.thresholds.at("undeliverable", REPORTS_AT_LEAST);
    found.retain(|one| one.reports >= least);
    found.sort_by_key(|one| (one.silence.missed, one.by, one.whom));
    found
}

/// Whether raft messages of each store arrive at each other store over `range`, by
/// `tikv_raftstore_message_recv_by_store`: `(from, to)` to whether any came. Pairs that exchanged
/// hardly anything before are left out: idle regions hibernate.
pub fn messages(evidence: &Evidence, range: TimeRange) -> BTreeMap<(usize, usize), bool> {
    let table = &evidence.series;
    let mut found = BTreeMap::new();
    for series in table.metric("tikv_raftstore_message_recv_by_store") {
        let labels = &series.labels;
        let from = labels.get("store").and_then(|id| id.parse().ok());
        let from = from.and_then(|id| evidence.nodes.store(crate::model::StoreId(id)));
        let to = labels.get("instance").and_then(|name| evidence.nodes.store_of_instance(name));
        let (Some(from), Some(to)) = (from, to) else { continue };
        let increments = table.increments(series);
        let rate = |start: Timestamp, end: Timestamp| {
            let within = increments.iter().filter(|one| one.since >= start && one.at <= end);
            let (by, millis) = within
                .fold((0.0, 0), |(by, millis), one| (by + one.by, millis + (one.at - one.since)));
            (millis > 0).then(|| by * 1000.0 / millis as f64)
        };
        let Some(before) = rate(range.start.saturating_add_millis(-120_000), range.start) else {
            continue;
        };
        // One message a second is what a few leaders' heartbeats cost; less may pause by itself.
        if before >= 1.0
            && let Some(during) = rate(range.start, range.end)
        {
            found.insert((from, to), during > 0.02 * before);
        }
    }
    found
}

/// Stores that `stretches` name, as seen from `store`: who reports it, and whom it reports.
pub fn row_and_column(
    stretches: &[&Unreachable],
    store: usize,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let column = stretches.iter().filter(|one| one.whom == store).map(|one| one.by).collect();
    let row = stretches.iter().filter(|one| one.by == store).map(|one| one.whom).collect();
    (row, column)
}
