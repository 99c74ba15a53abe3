//! Rises of the load, and the regions that take most of it.
//!
//! Whether a rise is a fault is decided by the failure modes.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::client_metrics::{REQUESTS, client};
use crate::diagnose::observations::departures::{Departure, departures, median};
use crate::diagnose::observations::load::{Load, before_and_in, total};
use crate::diagnose::observations::part_rises::part_rises;
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
    /// The stores whose clients ask for more, as indices, where they are so few that the sum of all stores does not
    /// show it; empty where it is the load of all that rose.
    pub part: Vec<usize>,
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

    /// The stores that it is about, as indices: those of the part, or all.
    pub fn stores(&self) -> impl Iterator<Item = usize> {
        (0..self.by_store.len()).filter(|store| self.part.is_empty() || self.part.contains(store))
    }

    /// A departure of the load of `part`, or of all stores where that is empty.
    pub(super) fn new(
        evidence: &Evidence,
        load: &Load,
        departure: Departure,
        part: Vec<usize>,
    ) -> Self {
        let range = departure.range(evidence.as_of.saturating_add_millis(1));
        let middles = |tracks: &[Track]| -> Vec<(f64, f64)> {
            tracks.iter().map(|track| before_and_in(track, range)).collect()
        };
        let (by_store, writes) = (middles(&load.requests), middles(&load.writes));
        let hot = hot_regions(evidence, range, &part);
        let rise = Self {
            departure,
            by_store,
            writes: (0.0, 0.0),
            greatest: None,
            hot,
            part,
            handed_on: Vec::new(),
        };
        let writes = rise.stores().map(|store| writes[store]);
        let writes = writes.fold((0.0, 0.0), |(a, b), (before, now)| (a + before, b + now));
        let added: Vec<(usize, f64)> =
            rise.stores().map(|store| (store, rise.added(store))).collect();
        let sum: f64 = added.iter().map(|(_, added)| added).sum();
        let most = added.iter().max_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| sum > 0.0);
        let greatest = most.map(|(store, added)| (*store, added / sum));
        Self { writes, greatest, ..rise }
    }

    /// What clients ask a store for more than before, in requests a second.
    pub(super) fn added(&self, store: usize) -> f64 {
        let (before, now) = self.by_store[store];
        (now - before).max(0.0)
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

/// Rises of the load, of all stores and of parts of a large cluster. Load that only comes back after a fault is none.
pub fn rises(evidence: &Evidence, load: &Load) -> Vec<Rise> {
    let unseen = partly_unseen(evidence);
    let rise = |departure: Departure| {
        let rise = Rise::new(evidence, load, departure, Vec::new());
        let brought = !unseen.is_empty() && brought_along(evidence, &rise);
        Rise { handed_on: if brought { unseen.clone() } else { Vec::new() }, ..rise }
    };
    let whole = new_departures(evidence, &load.all, evidence.thresholds.of(RISE));
    let mut found: Vec<Rise> = whole.into_iter().map(rise).collect();
    found.extend(part_rises(evidence, load, &found));
    found
}

/// Departures of a load, without those where it only comes back or clients catch up.
pub(super) fn new_departures(
    evidence: &Evidence,
    load: &Track,
    threshold: DepartureThreshold,
) -> Vec<Departure> {
    let mut load = load.clone();
    // An idle cluster has no load that could rise: a workload that begins is none that surges.
    let usual = median(load.values().filter(|value| *value >= 1.0)).unwrap_or(0.0);
    load.0.retain(|point| point.value >= IDLE * usual);
    let is_new = |departure: &Departure| {
        let before = load.within(TimeRange::new(Timestamp::MIN, departure.onset));
        !was_as_high(before, departure) && !makes_up(&load, before, departure, evidence.as_of)
    };
    departures(&load, threshold).into_iter().filter(is_new).collect()
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

/// Whether leaders that moved may account for the load that its stores have more in its first two minutes: each store
/// serves as many times more requests as it leads more regions. Where PD does not list the leaders, they may.
pub(super) fn brought_along(evidence: &Evidence, rise: &Rise) -> bool {
    let (mut expected, at) = (0.0, rise.departure.onset);
    for index in rise.stores() {
        let (store, (before, now)) = (&evidence.nodes.stores[index], rise.by_store[index]);
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
    rise.stores().map(|store| rise.by_store[store].1).sum::<f64>() < RISE.ratio * expected
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

/// For each kind of flow, the region with the greatest, if it takes at least half of all flow, or half of that of its
/// store where that is one of `part`, and three times what the greatest region took in the two minutes before. Regions
/// report their flow once a minute and PD averages over some, so two minutes after the range still count.
pub fn hot_regions(evidence: &Evidence, range: TimeRange, part: &[usize]) -> Vec<Hot> {
    let until = range.end.saturating_add_millis(120_000);
    let from = range.start.saturating_add_millis(-120_000);
    let takes_most = |top: &TopRegion| {
        let store = || evidence.nodes.store(top.region.store);
        let is_of_part = || store().is_some_and(|store| part.contains(&store));
        top.share >= 0.5 || (top.region.share_of_store() >= 0.5 && is_of_part())
    };
    let mut found: Vec<Hot> = Vec::new();
    for (kind, answers) in &evidence.pd.flows {
        let near = answers.iter().filter(|top| top.at >= from);
        let (earlier, later): (Vec<&TopRegion>, _) = near.partition(|top| top.at < range.start);
        let bytes_before = earlier.iter().map(|top| top.region.bytes).fold(0.0, f64::max);
        let before = earlier.iter().map(|top| top.share).fold(0.0, f64::max);
        let grown = later.into_iter().filter(|top| {
            top.at <= until && takes_most(top) && top.region.bytes >= 3.0 * bytes_before
        });
        let most = grown.max_by(|a, b| a.region.bytes.total_cmp(&b.region.bytes));
        found.extend(most.map(|top| {
            let TopRegion { at, region, share, list } = *top;
            Hot { kind: *kind, region, share, before, at, list }
        }));
    }
    found
}
