//! Silences: stretches in which one observer received nothing from a node. PD misses a store's
//! heartbeats, Prometheus's scrapes fail, a store cannot deliver messages to another.
//!
//! Putting the silences of one node together is left to `outages`.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::thresholds::REPORTS_AT_LEAST;
use crate::model::{TimeRange, Timestamp};

/// A stretch in which an observer received nothing from a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// The last sign of life.
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

    /// This silence and a later one as one, although a sign of life lay between them.
    pub fn joined(&self, later: &Self) -> Self {
        let next = self.next.zip(later.next).map(|(one, other)| one.max(other));
        Self { last: self.last, missed: self.missed, next }
    }
}

/// A store sends a heartbeat every 10 s (`pd-store-heartbeat-tick-interval`).
const HEARTBEAT_MS: i64 = 10_000;

/// How long heartbeats must be missing, in milliseconds, where another observer misses the store at the
/// same time: PD calls a store Disconnected after that.
pub const MISSED_MS: i64 = 20_000;

/// Heartbeats that were missing for at least `least_ms` milliseconds, as PD's answers show. A new PD
/// leader has not yet received any, so its answers count only after it has led for as long; while PD
/// has no leader, no heartbeat can be received. Where nobody was asked who leads, some member has led since it
/// first listed the stores.
pub fn silences_to_pd(evidence: &Evidence, store: &StoreHistory, least_ms: i64) -> Vec<Silence> {
    timed_silences(evidence, store, least_ms).into_iter().map(|(silence, _)| silence).collect()
}

/// The first of the longest silences of a store, and how long it was, in milliseconds, as PD's answers show.
pub fn longest_silence_to_pd(evidence: &Evidence, store: &StoreHistory) -> Option<(Silence, i64)> {
    let all = timed_silences(evidence, store, i64::MIN).into_iter();
    all.reduce(|longest, one| if one.1 > longest.1 { one } else { longest })
}

/// What follows each heartbeat until the next one, where PD listed the store meanwhile, and for how many milliseconds
/// PD's answers show that heartbeats were missing. Shorter ones are left out at once: of a day, there are thousands
/// for each store.
fn timed_silences(evidence: &Evidence, store: &StoreHistory, least_ms: i64) -> Vec<(Silence, i64)> {
    let pd = &evidence.pd;
    let skew = clock_skew_ms(evidence, store);
    let first =
        pd.listings.first().copied().filter(|_| pd.leaders.iter().all(|(_, one)| one.is_none()));
    let leads_since = |seen: Timestamp| pd.leads_since(seen).or(first).unwrap_or(seen);
    let mut found = Vec::new();
    for (index, &(_, last)) in store.heartbeats.iter().enumerate() {
        let next = store.heartbeats.get(index + 1);
        let until = next.map_or(evidence.as_of, |(seen, _)| *seen);
        let heard = last.saturating_add_millis(skew);
        let late = pd.listings.partition_point(|seen| *seen < heard.max(store.first_seen));
        let listed = pd.listings[late..].iter().take_while(|seen| **seen < until);
        let shown_ms = listed.map(|&seen| {
            let led = leads_since(seen).max(heard.min(seen));
            (seen - led - evidence.clocks.moved_between(led, seen)).min(seen - heard)
        });
        if let Some(shown_ms) = shown_ms.max().filter(|shown_ms| *shown_ms >= least_ms) {
            let silence = Silence {
                last: heard,
                missed: heard.saturating_add_millis(HEARTBEAT_MS),
                next: next.map(|(_, sent)| sent.saturating_add_millis(skew)),
            };
            found.push((silence, shown_ms));
        }
    }
    found
}

/// When PD first listed the heartbeat that it received at `heard`, by the recorder's clock; `None` where it
/// listed no such heartbeat.
pub fn listed_at(evidence: &Evidence, store: &StoreHistory, heard: Timestamp) -> Option<Timestamp> {
    let skew = clock_skew_ms(evidence, store);
    let is_it = |sent: Timestamp| sent.saturating_add_millis(skew) == heard;
    store.heartbeats.iter().find(|(_, sent)| is_it(*sent)).map(|(seen, _)| *seen)
}

/// The date that PD itself gives the heartbeat that it received at `heard`, by the recorder's clock.
pub fn dated_by_pd(evidence: &Evidence, store: &StoreHistory, heard: Timestamp) -> Timestamp {
    heard.saturating_add_millis(-clock_skew_ms(evidence, store))
}

/// How many milliseconds the clock that dates heartbeats runs behind the recorder's. Where the two
/// agree, the youngest heartbeat ever listed is between 0 and 10 s old.
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
    /// The stretch of time in which they failed.
    pub silence: Silence,
    /// The number of scrapes that failed.
    pub failed: usize,
    /// The median time that a failing scrape took, in seconds. A refusal at once comes from a host
    /// without the process; a timeout means that not even the host answers.
    pub took_s: Option<f64>,
}

/// The longest time that a refusal takes, in seconds. It takes microseconds, a timeout the whole of
/// Prometheus's `scrape_timeout` (10 s by default); one second lies between the two on any network.
const REFUSED_S: f64 = 1.0;

impl FailedScrapes {
    /// Whether they were refused at once: the host answers, the process does not. `None` where it is not known
    /// how long they took.
    pub fn refused(&self) -> Option<bool> {
        self.took_s.map(|took| took < REFUSED_S)
    }

    /// These scrapes and later ones as one stretch. How long they took is that of the greater number.
    pub fn joined(&self, later: &Self) -> Self {
        let longer = if later.failed > self.failed { later } else { self };
        Self {
            silence: self.silence.joined(&later.silence),
            failed: self.failed + later.failed,
            took_s: longer.took_s,
        }
    }
}

/// The stretches of failed scrapes of a target, ascending.
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

/// Stretches without any sample of `up`: Prometheus did not scrape, or its samples are lost. Shorter
/// ones than three intervals may be a late scrape. Samples that were recorded and cannot be read are no
/// such stretch.
pub fn missing_scrapes(evidence: &Evidence, instance: &str) -> Vec<Silence> {
    let Some(scrapes) = evidence.series.scrapes().get(instance) else { return Vec::new() };
    let interval = evidence.series.interval_of(instance);
    let mut ends: Vec<Timestamp> = scrapes.iter().map(|scrape| scrape.at).collect();
    ends.push(evidence.window.end);
    let gap = |pair: &[Timestamp]| {
        let (last, next) = (pair[0], pair[1]);
        let long = next - last > 3 * evidence.series.interval_at(instance, next);
        let read = !evidence.series.is_unreadable(instance, TimeRange::new(last, next));
        (long && read).then_some((last, next))
    };
    let silence = |(last, next): (Timestamp, Timestamp)| Silence {
        last,
        missed: last.saturating_add_millis(interval),
        next: (next < evidence.window.end).then_some(next),
    };
    ends.windows(2).filter_map(gap).map(silence).collect()
}

/// When a store counted messages to another as undeliverable: `tikv_server_report_failure_msg_total`
/// of type `unreachable`, per reporting store and missing store.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreachable {
    /// The store that reports, as an index of `evidence.nodes.stores`.
    pub by: usize,
    /// The store that it does not reach, as an index of `evidence.nodes.stores`.
    pub to: usize,
    /// The stretch of time in which messages were undeliverable.
    pub silence: Silence,
    /// The number of undeliverable messages.
    pub reports: f64,
}

/// The stretches of undeliverable messages that are enough to show a broken link, ascending by onset, reporter and
/// missing store.
pub fn unreachable(evidence: &Evidence) -> Vec<Unreachable> {
    let least = evidence.thresholds.at("undeliverable", REPORTS_AT_LEAST);
    let mut found = undeliverable(evidence);
    found.retain(|one| one.reports >= least);
    found.sort_by_key(|one| (one.silence.missed, one.by, one.to));
    found
}

/// All stretches of undeliverable messages, in the order of the series.
pub fn undeliverable(evidence: &Evidence) -> Vec<Unreachable> {
    let table = &evidence.series;
    let mut found = Vec::new();
    for series in table.metric("tikv_server_report_failure_msg_total") {
        let labels = &series.labels;
        let to = labels.get("store_id").and_then(|id| id.parse().ok());
        let to = to.and_then(|id| evidence.nodes.store(crate::model::StoreId(id)));
        let instance = labels.get("instance").unwrap_or_default();
        let by = evidence.nodes.store_of_instance(instance);
        let (Some(by), Some(to), Some("unreachable")) = (by, to, labels.get("type")) else {
            continue;
        };
        let slack = table.interval_of(instance) * 5 / 2;
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
                    let fresh = Unreachable { by, to, silence, reports: increment.by };
                    found.extend(stretch.replace(fresh));
                }
            }
        }
        if let Some(mut open) = stretch {
            // It still rises at the last sample, so it is not over yet.
            if open.silence.next == last_seen {
                open.silence.next = None;
            }
            found.push(open);
        }
    }
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

/// The stores that `store` cannot reach (its row of the reachability matrix), and those that cannot
/// reach it (its column).
pub fn row_and_column(
    stretches: &[&Unreachable],
    store: usize,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let column = stretches.iter().filter(|one| one.to == store).map(|one| one.by).collect();
    let row = stretches.iter().filter(|one| one.by == store).map(|one| one.to).collect();
    (row, column)
}
