//! What a scrape target shows of itself and of its peers, by which it can be told which node it is.

use std::collections::BTreeSet;

use super::listing::{ListedMember, ListedStore, Listing};
use super::target::TargetIndex;
use crate::model::{MemberId, Sample, Series, StoreId, Timestamp, is_stale};

/// The counter of Raft messages that a TiKV received, by the `store` that sent them.
const MESSAGES: &str = "tikv_raftstore_message_recv_by_store";
/// The histogram of a TiKV's health checks of other stores, by the `target` that it checks.
const CHECKS: &str = "tikv_raftstore_inspect_network_duration_seconds_count";
/// The counter of messages that a TiKV could not deliver, by the `store_id` that they were meant for.
const UNDELIVERED: &str = "tikv_server_report_failure_msg_total";
/// The number of regions that a TiKV leads and holds, by `type`.
const REGIONS: &str = "tikv_raftstore_region_count";
/// The sizes of a TiKV's disk in bytes, by `type`.
const SIZES: &str = "tikv_store_size_bytes";
/// The histogram of round trips between PD's etcds, by the id of the other member in hexadecimal.
const ROUND_TRIPS: &str = "etcd_network_peer_round_trip_time_seconds_count";
/// The id of a PD member's etcd in hexadecimal, as a label.
const SERVER_ID: &str = "etcd_server_id";
/// Whether a PD member leads etcd.
pub const LEADS: &str = "etcd_server_is_leader";

/// When a process started, in Unix seconds.
const START: &str = "process_start_time_seconds";

/// Metrics that are read for telling which target is which node. Diagnosis has to load them.
pub const METRICS: [&str; 9] =
    [MESSAGES, CHECKS, UNDELIVERED, REGIONS, SIZES, ROUND_TRIPS, SERVER_ID, LEADS, START];

/// What one scrape target shows.
#[derive(Debug, Default)]
pub(super) struct Shown<'a> {
    /// Ids of stores that this TiKV exchanges messages with: its own is not among them.
    pub peers: BTreeSet<StoreId>,
    /// Ids of members that this PD exchanges messages with: its own is not among them.
    pub members: BTreeSet<MemberId>,
    /// The id that this PD says it has.
    pub member: Option<MemberId>,
    leaders: Option<&'a Series>,
    regions: Option<&'a Series>,
    available: Option<&'a Series>,
    capacity: Option<&'a Series>,
    leads: Option<&'a Series>,
    start: Option<&'a Series>,
}

/// What every target of the index shows, in its order.
pub(super) fn shown<'a>(index: &TargetIndex, series: &'a [Series]) -> Vec<Shown<'a>> {
    let mut found: Vec<Shown<'a>> = index.labels.iter().map(|_| Shown::default()).collect();
    for one in series {
        if METRICS.contains(&one.labels.metric())
            && let Some(target) = index.of(&one.labels)
        {
            found[target].take(one);
        }
    }
    found
}

impl<'a> Shown<'a> {
    fn take(&mut self, series: &'a Series) {
        let label = |name: &str| series.labels.get(name).unwrap_or_default();
        let store = |name: &str| label(name).parse().ok().map(StoreId);
        let member = |name: &str| u64::from_str_radix(label(name), 16).ok().map(MemberId);
        match (series.labels.metric(), label("type")) {
            (MESSAGES, _) => self.peers.extend(store("store")),
            (CHECKS, _) => self.peers.extend(store("target")),
            (UNDELIVERED, _) => self.peers.extend(store("store_id")),
            (ROUND_TRIPS, _) => self.members.extend(member("To")),
            (SERVER_ID, _) => self.member = member("server_id").or(self.member),
            (REGIONS, "leader") => self.leaders = Some(series),
            (REGIONS, "region") => self.regions = Some(series),
            (SIZES, "available") => self.available = Some(series),
            (SIZES, "capacity") => self.capacity = Some(series),
            (LEADS, _) => self.leads = Some(series),
            (START, _) => self.start = Some(series),
            _ => {}
        }
    }

    /// The share of a store's samples, from 0 to 1, that agree with what PD says of `listed` within the
    /// time that a heartbeat takes; `None` where fewer than [`LEAST_COMPARED`] can be compared.
    pub fn agreement(&self, listed: &ListedStore<'_>) -> Option<f64> {
        let mut tally = Tally::default();
        let leaders = |counts: &crate::model::RegionCounts| counts.leaders as f64;
        let regions = |counts: &crate::model::RegionCounts| counts.regions as f64;
        tally.compare(live(self.leaders), listed.counts, leaders, 0.0);
        tally.compare(live(self.regions), listed.counts, regions, 0.0);
        let capacity = live(self.capacity).last().map(|sample| sample.value);
        if let Some(capacity) = capacity.filter(|capacity| *capacity > 0.0) {
            let share = live(self.available)
                .map(|sample| Sample { value: sample.value / capacity, ..sample });
            tally.compare(share, listed.free, |free| *free, ROUNDED);
        }
        tally.starts(live(self.start), listed.starts);
        tally.share()
    }

    /// The share of samples, from 0 to 1, in which this PD leads exactly when `name` does and started when
    /// that did, as [`agreement`](Self::agreement).
    pub fn agrees_with_member(
        &self,
        name: &str,
        listed: &ListedMember<'_>,
        leaders: &[(Timestamp, Option<String>)],
    ) -> Option<f64> {
        let mut tally = Tally::default();
        tally.starts(live(self.start), listed.starts);
        let leads = |leader: &Option<String>| f64::from(u8::from(leader.as_deref() == Some(name)));
        tally.compare(live(self.leads), leaders, leads, 0.0);
        tally.share()
    }
}

impl Shown<'_> {
    /// Whether it is certainly another node than `other`: one exchanges messages with whom the other does not,
    /// and the other way round, or their ids differ.
    pub fn is_another(&self, other: &Self) -> bool {
        are_apart(&self.peers, &other.peers)
            || are_apart(&self.members, &other.members)
            || self.member.zip(other.member).is_some_and(|(a, b)| a != b)
    }

    /// The stores of which PD lists the start of a process that this TiKV shows.
    pub fn started_as(&self, listing: &Listing<'_>) -> BTreeSet<StoreId> {
        // A process shows the same start at every scrape.
        let mut shown: Vec<Sample> = live(self.start).collect();
        shown.dedup_by(|a, b| a.value == b.value);
        let has_one = |starts: &[(Timestamp, i64)]| {
            shown.iter().any(|sample| starts.iter().any(|start| is_near(start, sample)))
        };
        let own = listing.stores.iter().filter(|(_, store)| has_one(store.starts));
        own.map(|(id, _)| *id).collect()
    }

    /// Whether both exchange messages with the same nodes, of which there are some.
    pub fn has_peers_of(&self, other: &Self) -> bool {
        self.peers == other.peers
            && self.members == other.members
            && !(self.peers.is_empty() && self.members.is_empty())
    }

    /// Whether both show the same process at the same time: it started at the same instant, and leads and holds
    /// as many regions, or has the same id or peers.
    pub fn is_same_process(&self, other: &Self) -> bool {
        let starts = |one: &Self| live(one.start).last().map(|sample| sample.value);
        let starts = starts(self).zip(starts(other));
        if starts.is_some_and(|(a, b)| (a - b).abs() > SAME_START_S) {
            return false;
        }
        let of = |series: Option<&Series>| -> Vec<(Timestamp, f64)> {
            live(series).map(|sample| (sample.at, sample.value)).collect()
        };
        let mut tally = Tally::default();
        tally.compare(live(self.leaders), &of(other.leaders), |count| *count, 0.0);
        tally.compare(live(self.regions), &of(other.regions), |count| *count, 0.0);
        match tally.share() {
            Some(share) => share >= SAME_COUNTS,
            None => starts.is_some() && (self.member.is_some() || self.has_peers_of(other)),
        }
    }
}

/// Whether each has something that the other lacks.
fn are_apart<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> bool {
    !a.is_subset(b) && !b.is_subset(a)
}

/// By how much the start of one process may differ between two scrapes, in seconds.
const SAME_START_S: f64 = 1.0;
/// The least share of counts that agree where two targets show the same process.
const SAME_COUNTS: f64 = 0.9;

fn live(series: Option<&Series>) -> impl Iterator<Item = Sample> {
    let samples = series.into_iter().flat_map(|series| &series.samples);
    samples.filter(|sample| !is_stale(sample.value)).copied()
}

/// How many samples must be comparable before agreement says anything.
const LEAST_COMPARED: usize = 8;
/// How far apart PD's answer and a scrape of the same state may lie, in milliseconds: a heartbeat every
/// 10 s, PD asked every 5 s, and as much again for TiKV's own refresh of the metric.
const LAG_MS: i64 = 25_000;
/// By how much a free share may differ: PD prints sizes with four significant digits.
const ROUNDED: f64 = 0.002;

/// How far apart the two dates of a process's start may lie, in seconds: TiKV tells PD when it begins to
/// serve.
const START_S: f64 = 10.0;

/// Whether a start that PD lists is the one that a sample shows.
fn is_near((_, start): &(Timestamp, i64), shown: &Sample) -> bool {
    (*start as f64 - shown.value).abs() <= START_S
}

#[derive(Default)]
struct Tally {
    agree: usize,
    compared: usize,
}

impl Tally {
    /// Counts the samples that lie within what a history says around their instant.
    fn compare<T>(
        &mut self,
        samples: impl Iterator<Item = Sample>,
        history: &[(Timestamp, T)],
        value: impl Fn(&T) -> f64,
        tolerance: f64,
    ) {
        for sample in samples {
            let from = sample.at.saturating_add_millis(-LAG_MS);
            let until = sample.at.saturating_add_millis(LAG_MS);
            let first = history.partition_point(|(at, _)| *at <= from).saturating_sub(1);
            let around = history[first..].iter().take_while(|(at, _)| *at <= until);
            let values = around.map(|(_, one)| value(one));
            let (low, high) = values
                .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
            if low <= high {
                self.compared += 1;
                let within = low - tolerance <= sample.value && sample.value <= high + tolerance;
                self.agree += usize::from(within);
            }
        }
    }

    /// Counts the starts that a target shows and that PD lists.
    fn starts(&mut self, samples: impl Iterator<Item = Sample>, listed: &[(Timestamp, i64)]) {
        if listed.is_empty() {
            return;
        }
        for sample in samples {
            self.compared += 1;
            self.agree += usize::from(listed.iter().any(|start| is_near(start, &sample)));
        }
    }

    fn share(&self) -> Option<f64> {
        (self.compared >= LEAST_COMPARED).then(|| self.agree as f64 / self.compared as f64)
    }
}
