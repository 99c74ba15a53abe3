//! Rises of the load, and the regions that take most of it.
//!
//! Whether a rise is a fault is decided by the failure modes.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::client_metrics::{REQUESTS, client};
use crate::diagnose::observations::departures::{Departure, departures, median};
use crate::diagnose::observations::load::{Load, before_and_in, total};
use crate::diagnose::observations::pd_history::{FlowList, TopRegion};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::thresholds::{DepartureThreshold, RISE};
use crate::model::{TimeRange, Timestamp};
use crate::nodes::StoreNode;
use crate::pd::{FlowKind, HotRegion};

/// A rise of the load, for a while.
#[derive(Clone, Debug)]
pub struct Rise {
    /// The departure of the requests a second over all stores.
    pub departure: Departure,
    /// The requests a second of each store, before and meanwhile.
    pub by_store: Vec<(f64, f64)>,
    /// The writes a second over all stores, before and meanwhile.
    pub writes: (f64, f64),
    /// The store with most of the added load, and its share of it from 0 to 1; `None` where no store
    /// has more than before.
    pub greatest: Option<(usize, f64)>,
    /// The regions that took most of the flow according to PD: of reads, of writes, or of none.
    pub hot: Vec<Hot>,
    /// Stores whose load may only have moved to others together with their leaders: not all of their
    /// requests are seen. Empty where the rise is larger than that.
    pub handed_on: Vec<usize>,
}

impl Rise {
    /// The region that took most of the flow of one kind; that of the other kind where PD names none: its list
    /// of writes comes up to a minute later, and what is written is often read first.
    pub fn hot_of(&self, kind: FlowKind) -> Option<Hot> {
        let own = self.hot.iter().find(|hot| hot.kind == kind);
        own.or(self.hot.first()).copied()
    }
}

/// A region that took an outsized share of the flow.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Whether the flow is of reads or of writes.
    pub kind: FlowKind,
    /// The region, the store that leads it, and its flow.
    pub region: HotRegion,
    /// The region's share of all flow, from 0 to 1.
    pub share: f64,
    /// The greatest share of any region before, from 0 to 1.
    pub before: f64,
    /// When PD listed it so with the greatest flow.
    pub at: Timestamp,
    /// In which list.
    pub list: FlowList,
}

/// Below this share of the usual load no client uses the cluster.
const IDLE: f64 = 0.05;

/// Rises of the load, ascending by onset. Load that only comes back after a fault is none.
pub fn rises(evidence: &Evidence, load: &Load) -> Vec<Rise> {
    let mut all = load.all.clone();
    // An idle cluster has no load that could rise: a workload that begins is none that surges.
    let usual = median(all.values().filter(|value| *value >= 1.0)).unwrap_or(0.0);
    all.0.retain(|point| point.value >= IDLE * usual);
    let unseen = partly_unseen(evidence);
    let rise = |departure: Departure| {
        let range = departure.range(evidence.as_of.saturating_add_millis(1));
        let by_store: Vec<(f64, f64)> =
            load.requests.iter().map(|track| before_and_in(track, range)).collect();
        let added: Vec<f64> =
            by_store.iter().map(|(before, now)| (now - before).max(0.0)).collect();
        let sum: f64 = added.iter().sum();
        let most = (0..added.len()).max_by(|a, b| added[*a].total_cmp(&added[*b]));
        let greatest = most.filter(|_| sum > 0.0).map(|store| (store, added[store] / sum));
        let by_store_writes = load.writes.iter().map(|track| before_and_in(track, range));
        let writes =
            by_store_writes.fold((0.0, 0.0), |(a, b), (before, now)| (a + before, b + now));
        let hot = hot_regions(evidence, range);
        let brought = !unseen.is_empty() && brought_along(evidence, &by_store, range.start);
        let handed_on = if brought { unseen.clone() } else { Vec::new() };
        Rise { departure, by_store, writes, greatest, hot, handed_on }
    };
    let is_new = |departure: &Departure| {
        let before = all.within(TimeRange::new(Timestamp::MIN, departure.onset));
        !was_as_high(before, departure) && !makes_up(&all, before, departure, evidence.as_of)
    };
    departures(&all, evidence.thresholds.of(RISE)).into_iter().filter(is_new).map(rise).collect()
}

/// When the load rose while too few scrapes came before for a baseline that would show whether it had been
/// as high before. `None` where scrapes are close enough, or nothing rose. `requests` are those of a
/// [`Load`].
pub fn rise_without_baseline(evidence: &Evidence, requests: &[Track]) -> Option<Timestamp> {
    let stores = evidence.nodes.stores.iter().filter_map(|store| store.instance.as_deref());
    if evidence.series.longest_interval(stores) < COARSE_MS {
        return None;
    }
    let all = total(evidence, requests);
    let shortest = DepartureThreshold { baseline: 1, ..evidence.thresholds.of(RISE) };
    let first = departures(&all, shortest).into_iter().next()?;
    let before = all.0.partition_point(|point| point.at < first.first);
    // Load that begins low and stays higher to the end is that of clients which start.
    let starts = before < 2 && first.end.is_none();
    (before <= RISE.baseline && !starts).then_some(first.onset)
}

/// From which distance of scrapes on a baseline takes minutes, in milliseconds.
const COARSE_MS: i64 = 45_000;

/// Stores of which a kind of request is not recorded that clients send to others. A TiKV exports every
/// kind from its start on, whether clients use it or not.
fn partly_unseen(evidence: &Evidence) -> Vec<usize> {
    let series = || evidence.series.metric(REQUESTS).iter().filter(|one| client(&one.labels));
    let rose = series().filter(|one| {
        let ends = (one.samples.first(), one.samples.last());
        matches!(ends, (Some(first), Some(last)) if first.value != last.value)
    });
    let used: BTreeSet<Option<&str>> = rose.map(|one| one.labels.get("type")).collect();
    let is_seen = |store: &StoreNode| {
        let own = series().filter(|one| one.labels.get("instance") == store.instance.as_deref());
        let own: BTreeSet<Option<&str>> = own.map(|one| one.labels.get("type")).collect();
        store.instance.is_some() && used.is_subset(&own)
    };
    let stores = evidence.nodes.stores.iter().enumerate().filter(|(_, store)| store.is_tikv());
    stores.filter(|(_, store)| !is_seen(store)).map(|(index, _)| index).collect()
}

/// Whether leaders that moved may account for the added load in the two minutes after `at`: each store
/// serves as many times more requests as it leads more regions. `by_store` are the requests a second of
/// each store before and meanwhile. Where PD does not list the leaders, they may.
fn brought_along(evidence: &Evidence, by_store: &[(f64, f64)], at: Timestamp) -> bool {
    let mut expected = 0.0;
    for (store, &(before, now)) in evidence.nodes.stores.iter().zip(by_store) {
        if now <= before {
            expected += before;
            continue;
        }
        let history = store.id.and_then(|id| evidence.pd.stores.get(&id));
        let leaders = |steps: std::ops::RangeInclusive<i64>| {
            let instants = steps.map(|step| at.saturating_add_millis(15_000 * step));
            instants.filter_map(|at| Some(history?.counts_at(at)?.leaders as f64))
        };
        let led = leaders(-8..=0).min_by(f64::total_cmp);
        let leads = leaders(0..=8).max_by(f64::total_cmp);
        expected += match (led, leads) {
            (Some(led), Some(leads)) if led > 0.0 => before * (leads / led).max(1.0),
            (Some(_), Some(0.0)) => before,
            (Some(_), Some(_)) => now,
            _ => return true,
        };
    }
    by_store.iter().map(|(_, now)| now).sum::<f64>() < RISE.ratio * expected
}

/// Whether the load had been as high before, for two scrapes: then it only comes back, as after a
/// fault that held clients up.
fn was_as_high(before: &[Point], departure: &Departure) -> bool {
    let high = before.iter().filter(|point| point.value * RISE.ratio >= departure.typical);
    high.map(|point| point.at - point.since).sum::<i64>() >= AS_HIGH_MS
}

/// For how long the load must have been as high, in milliseconds: two scrapes of 15 s, since a single
/// burst raises one point.
const AS_HIGH_MS: i64 = 30_000;

/// Whether clients only catch up: the requests beyond the usual load are no more than those that were
/// missing from it in the minutes before. The usual load is the upper quartile of the points before.
fn makes_up(all: &Track, before: &[Point], departure: &Departure, as_of: Timestamp) -> bool {
    let mut values: Vec<f64> = before.iter().map(|point| point.value).collect();
    values.sort_by(f64::total_cmp);
    let Some(usual) = values.get(values.len() * 3 / 4).copied() else { return false };
    let requests = |point: &Point, beyond: f64| beyond.max(0.0) * (point.at - point.since) as f64;
    let recent = departure.onset.saturating_add_millis(-MISSED_MS);
    let recent = before.iter().filter(|point| point.at >= recent);
    let missed: f64 = recent.map(|point| requests(point, usual - point.value)).sum();
    let until = departure.end.unwrap_or(as_of).saturating_add_millis(1);
    let within = all.within(TimeRange::new(departure.onset, until)).iter();
    missed >= within.map(|point| requests(point, point.value - usual)).sum()
}

/// How long clients go on trying while their requests fail, in milliseconds.
const MISSED_MS: i64 = 300_000;

/// The kind of load that was added: with a quarter of writes it is writes, as those read too.
pub fn kind_of_load(added: f64, added_writes: f64) -> FlowKind {
    match added_writes >= 0.25 * added.max(1.0) {
        true => FlowKind::Write,
        false => FlowKind::Read,
    }
}

/// For each kind of flow, the region with the greatest, if it takes at least half of all flow and three times what the
/// greatest region took in the two minutes before. Regions report their flow once a minute and PD
/// averages over some, so two minutes after the range still count.
pub fn hot_regions(evidence: &Evidence, range: TimeRange) -> Vec<Hot> {
    let until = range.end.saturating_add_millis(120_000);
    let from = range.start.saturating_add_millis(-120_000);
    let mut found: Vec<Hot> = Vec::new();
    for (kind, answers) in &evidence.pd.flows {
        let near = answers.iter().filter(|top| top.at >= from);
        let (earlier, later): (Vec<&TopRegion>, _) = near.partition(|top| top.at < range.start);
        let bytes_before = earlier.iter().map(|top| top.region.bytes).fold(0.0, f64::max);
        let before = earlier.iter().map(|top| top.share).fold(0.0, f64::max);
        let grown = later.into_iter().filter(|top| {
            top.at <= until && top.share >= 0.5 && top.region.bytes >= 3.0 * bytes_before
        });
        let most = grown.max_by(|a, b| a.region.bytes.total_cmp(&b.region.bytes));
        found.extend(most.map(|top| {
            let TopRegion { at, region, share, list } = *top;
            Hot { kind: *kind, region, share, before, at, list }
        }));
    }
    found
}
