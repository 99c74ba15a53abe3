//! Stages of a node's work that became slow: its device, its threads, or the network to it.
//!
//! Each stage has quantities that only it slows down. Each quantity is compared with the node's own
//! past and with that of the other nodes at the same time: a machine that all share, or a load that
//! rose for all, slows all of them alike and is evidence against none.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Plot, PlotHow};
use crate::diagnose::observations::client_metrics::REQUESTS;
use crate::diagnose::observations::departures::{Departure, departures, early_departure, median};
use crate::diagnose::observations::load::before_and_in;
use crate::diagnose::observations::pd_tracks::PING;
use crate::diagnose::observations::selected::Selected;
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::thresholds::{
    DEVICE, DepartureThreshold, GO_THREADS, PING_SLOW, ROUND_TRIP, ROUND_TRIP_SPARSE, SCRAPE,
    SCRAPE_PD, THREADS,
};
use crate::model::{Labels, TimeRange, Timestamp};

/// A stage of a node's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Writing to the disk, which a slow device delays.
    Device,
    /// Waiting for a thread, which a lack of CPU delays.
    Threads,
    /// Getting an answer over the network, which a bad link delays, and a process without CPU too.
    Network,
}

/// One quantity of a stage: the mean of a histogram, or a gauge, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The stage that it measures.
    pub stage: Stage,
    /// The histogram without suffix, or the gauge.
    pub metric: &'static str,
    /// How samples become seconds.
    pub how: PlotHow,
    /// A label and its values, separated by `|`, one of which series must have; `None` where all count.
    pub only: Option<(&'static str, &'static str)>,
    /// From which values on it counts as slow.
    threshold: DepartureThreshold,
}

type Only = Option<(&'static str, &'static str)>;

const ANY: Only = None;
const OF_STORE: Only = Some(("type", "store"));
/// Requests that PD answers from memory. Watches last for any time, and the requests at the start of a
/// process are rare.
const PROMPT: Only =
    Some(("type", "tso|store_heartbeat|get_store_async|min_resolved_ts|get_gc_safe_point"));
const POINT_READ: Only = Some(("type", "raw_get|kv_get|raw_batch_get|kv_batch_get"));
const SUCCEEDED: Only = Some(("outcome", "success"));

/// Whether a label has one of the values, which are separated by `|`.
pub fn has_one_of(labels: &Labels, (name, values): (&str, &str)) -> bool {
    labels
        .get(name)
        .is_some_and(|value| value == values || values.split('|').any(|one| one == value))
}

impl Quantity {
    /// From which values on it counts as slow.
    pub fn threshold(&self) -> DepartureThreshold {
        self.threshold
    }

    /// Whether a series with these labels counts.
    fn keeps(&self, labels: &Labels) -> bool {
        self.only.is_none_or(|only| has_one_of(labels, only))
    }
}

const fn mean(
    stage: Stage,
    metric: &'static str,
    only: Only,
    threshold: DepartureThreshold,
) -> Quantity {
    Quantity { stage, metric, how: PlotHow::Mean, only, threshold }
}

/// The quantities of a TiKV node, the most reliable first within each stage. TiKV probes its disk every
/// second with a small synced write of its own, whatever the load.
pub const STORE_QUANTITIES: [Quantity; 9] = [
    mean(Stage::Device, "tikv_raftstore_disk_probe_duration_seconds", SUCCEEDED, DEVICE),
    mean(Stage::Device, "raft_engine_sync_log_duration_seconds", ANY, DEVICE),
    mean(Stage::Device, "tikv_raftstore_store_write_raftdb_duration_seconds", ANY, DEVICE),
    mean(Stage::Device, "tikv_raftstore_append_log_duration_seconds", ANY, DEVICE),
    mean(Stage::Threads, "tikv_batch_system_fsm_schedule_wait_seconds", OF_STORE, THREADS),
    mean(Stage::Threads, "tikv_yatp_pool_schedule_wait_duration", ANY, THREADS),
    mean(Stage::Threads, READS, POINT_READ, THREADS),
    mean(Stage::Network, "tikv_pd_request_duration_seconds", PROMPT, ROUND_TRIP),
    Quantity {
        stage: Stage::Network,
        metric: "scrape_duration_seconds",
        how: PlotHow::Gauge,
        only: ANY,
        threshold: SCRAPE,
    },
];

const READS: &str = "tikv_grpc_msg_duration_seconds";

/// The quantities of a PD member, the most reliable first within each stage.
pub const MEMBER_QUANTITIES: [Quantity; 6] = [
    mean(Stage::Device, "etcd_disk_wal_fsync_duration_seconds", ANY, DEVICE),
    mean(Stage::Device, "etcd_disk_backend_commit_duration_seconds", ANY, DEVICE),
    mean(Stage::Threads, "go_sched_latencies_seconds", ANY, GO_THREADS),
    mean(Stage::Network, ROUND_TRIPS, ANY, ROUND_TRIP_SPARSE),
    Quantity {
        stage: Stage::Network,
        metric: PING,
        how: PlotHow::Pd,
        only: ANY,
        threshold: PING_SLOW,
    },
    Quantity {
        stage: Stage::Network,
        metric: "scrape_duration_seconds",
        how: PlotHow::Gauge,
        only: ANY,
        threshold: SCRAPE_PD,
    },
];

/// The label of round trips that says which member is at the other end.
const PEER: &str = "To";
/// Round trips between PD members, by the member at the other end.
const ROUND_TRIPS: &str = "etcd_network_peer_round_trip_time_seconds";

/// A quantity of one node that departed, compared with the other nodes.
#[derive(Clone, Debug)]
pub struct Slow {
    /// The quantity that departed.
    pub quantity: Quantity,
    /// The departure of its value, in seconds.
    pub departure: Departure,
    /// How many times its own baseline the quantity was on the other nodes meanwhile: their median, at
    /// least 1.
    pub elsewhere: f64,
    /// The `instance` label of the scrape target.
    pub instance: String,
}

impl Slow {
    /// The quantity as an expression whose value at the instant of a sample is that of the track there; of PD's
    /// answers, those of the member `node`.
    pub fn expression(&self, node: &str) -> String {
        let Quantity { metric, how, only, .. } = self.quantity;
        let selected = Selected { metric, instance: &self.instance, only };
        match how {
            PlotHow::Pd => format!("PD {node} {metric}"),
            PlotHow::Gauge => selected.selector(""),
            PlotHow::Rate => selected.rate(),
            PlotHow::Mean if metric == ROUND_TRIPS => selected.least_mean(),
            // No stage is read by how many observations are slow.
            PlotHow::Mean | PlotHow::Slow | PlotHow::SlowShare => selected.mean(),
        }
    }

    /// How many times more the quantity departed than on the other nodes.
    pub fn excess(&self) -> f64 {
        self.departure.ratio() / self.elsewhere
    }

    /// The quantity as a plot; of PD's answers, that of the member `node`.
    pub fn plot(&self, node: &str) -> Plot {
        let instance = match self.quantity.how {
            PlotHow::Pd => node.to_owned(),
            _ => self.instance.clone(),
        };
        let metric = self.quantity.metric.to_owned();
        let label = self.quantity.only.map(|(name, values)| (name.to_owned(), values.to_owned()));
        Plot { metric, how: self.quantity.how, instance, label }
    }
}

/// Whether any quantity of a stage was recorded for a store. Slow reads do not count, as they may wait
/// for any stage.
pub fn is_measured(evidence: &Evidence, stage: Stage, instance: &str) -> bool {
    let of_stage = STORE_QUANTITIES.iter().filter(|quantity| quantity.stage == stage);
    of_stage.filter(|quantity| quantity.metric != READS).any(|quantity| {
        let name = match quantity.how {
            PlotHow::Mean => format!("{}_count", quantity.metric),
            _ => quantity.metric.to_owned(),
        };
        evidence.series.of(&name, instance).any(|one| quantity.keeps(&one.labels))
    })
}

/// How long a stage of a store takes in `range`, where that is not clearly longer than before: the metric, and the
/// medians of the two minutes before and of the first two of the range, in seconds.
pub fn unchanged(
    evidence: &Evidence,
    stage: Stage,
    instance: &str,
    range: TimeRange,
) -> Option<(&'static str, f64, f64)> {
    let of_stage = STORE_QUANTITIES.iter().filter(|one| one.stage == stage && one.metric != READS);
    let measured = of_stage.map(|one| {
        let (before, meanwhile) = before_and_in(&track(evidence, one, instance), range);
        (one.metric, before, meanwhile)
    });
    let mut unchanged = measured.filter(|(_, before, meanwhile)| {
        *before > 0.0 && *meanwhile > 0.0 && meanwhile <= &(before * CLEARLY)
    });
    unchanged.next()
}

/// From which multiple on a stage takes clearly longer: below it, that is noise.
const CLEARLY: f64 = 1.3;

/// Whether nothing but reads shows how long a store's requests wait for a thread, and reads of single keys
/// were answered and timed: before TiKV 6.5, which is the first release with any of [`SINCE_6_5`].
pub fn has_only_reads(evidence: &Evidence, instance: &str) -> bool {
    if SINCE_6_5.iter().any(|metric| evidence.series.has(metric)) {
        return false;
    }
    let is_read = |labels: &Labels| POINT_READ.is_some_and(|only| has_one_of(labels, only));
    let counts = evidence.series.of(REQUESTS, instance).filter(|one| is_read(&one.labels));
    counts.into_iter().any(|one| evidence.series.increments(one).iter().any(|read| read.by > 0.0))
}

/// Metrics that release 6.5 or a later one of TiKV introduced and that every store has, by its sources.
const SINCE_6_5: [&str; 4] = [
    "tikv_raftstore_message_recv_by_store",
    "tikv_yatp_pool_schedule_wait_duration_count",
    "tikv_batch_system_fsm_schedule_wait_seconds_count",
    "tikv_raftstore_disk_probe_duration_seconds_count",
];

/// The values of a quantity for one node, in seconds.
pub fn track(evidence: &Evidence, quantity: &Quantity, instance: &str) -> Track {
    let keep = |labels: &Labels| quantity.keeps(labels);
    match quantity.how {
        PlotHow::Gauge => {
            let mut track = evidence.series.gauge(quantity.metric, instance, keep);
            // A failed scrape took as long as Prometheus was willing to wait: no measurement.
            let failed = evidence.series.scrapes().get(instance);
            let up = |at: Timestamp| {
                failed.is_none_or(|list| {
                    list.binary_search_by_key(&at, |scrape| scrape.at)
                        .is_ok_and(|index| list[index].up)
                })
            };
            track.0.retain(|point| up(point.at));
            track
        }
        PlotHow::Rate => evidence.series.rate(quantity.metric, instance, keep),
        PlotHow::Pd => {
            let names = evidence.pd.members.keys();
            let mut same = names.filter(|name| {
                evidence.nodes.instance_of_member(name).as_deref() == Some(instance)
            });
            same.next().map_or_else(Track::default, |name| evidence.pd.track(PING, name))
        }
        // A member behind a bad link is slow for all its peers, and each of them for it alone.
        PlotHow::Mean if quantity.metric == ROUND_TRIPS => {
            evidence.series.least_mean(quantity.metric, instance, PEER)
        }
        PlotHow::Mean | PlotHow::Slow | PlotHow::SlowShare => {
            evidence.series.mean(quantity.metric, instance, 1.0, keep)
        }
    }
}

/// Everything that became slow on nodes that are compared with each other, in the order of
/// `instances`.
pub fn slow(evidence: &Evidence, quantities: &[Quantity], instances: &[String]) -> Vec<Vec<Slow>> {
    let mut found: Vec<Vec<Slow>> = vec![Vec::new(); instances.len()];
    for quantity in quantities {
        let tracks: Vec<Track> =
            instances.iter().map(|instance| track(evidence, quantity, instance)).collect();
        for (index, own) in tracks.iter().enumerate() {
            let mut departed = departures(own, evidence.thresholds.of(quantity.threshold));
            if let Some(early) = early(quantity, own, tracks.iter().enumerate(), index)
                && departed.iter().all(|one| one.onset > early.onset)
            {
                departed.insert(0, early);
            }
            for departure in departed {
                let range = departure.range(evidence.as_of.saturating_add_millis(1));
                let others = tracks.iter().enumerate().filter(|(other, _)| *other != index);
                let usual = departure.baseline;
                let ratios = others.filter_map(|(_, track)| ratio_in(track, range, usual));
                let elsewhere = median(ratios).unwrap_or(1.0).max(1.0);
                let instance = instances[index].clone();
                let quantity = *quantity;
                found[index].push(Slow { quantity, departure, elsewhere, instance });
            }
        }
    }
    found
}

/// A departure of a track that has no past to compare with, by what the other nodes have meanwhile. The
/// network is left out: the distances of nodes differ by more than that.
fn early<'a>(
    quantity: &Quantity,
    own: &Track,
    tracks: impl Iterator<Item = (usize, &'a Track)>,
    index: usize,
) -> Option<Departure> {
    if quantity.stage == Stage::Network {
        return None;
    }
    let first = own.0.get(..quantity.threshold.baseline.min(own.0.len()))?;
    let range = TimeRange::new(first.first()?.since, first.last()?.at.saturating_add_millis(1));
    let others = tracks.filter(|(other, _)| *other != index);
    let medians =
        others.filter_map(|(_, track)| median(track.within(range).iter().map(|point| point.value)));
    let medians: Vec<f64> = medians.collect();
    // Of two nodes, neither is known to be the usual one.
    if medians.len() < 2 {
        return None;
    }
    early_departure(own, median(medians)?, quantity.threshold)
}

/// The median inside `range` divided by that of the four minutes before. With fewer than two points
/// before, it is divided by `usual`, the baseline of the node under test, since nodes of a kind do the
/// same work. `None` where the track has no point in the range.
fn ratio_in(track: &Track, range: TimeRange, usual: f64) -> Option<f64> {
    let before = TimeRange::new(range.start.saturating_add_millis(-240_000), range.start + 1);
    let earlier = track.within(before);
    let normal = match earlier.len() {
        0 | 1 => usual,
        _ => median(earlier.iter().map(|point| point.value))?,
    };
    let inside = TimeRange::new(range.start + 1, range.end.saturating_add_millis(1));
    let now = median(track.within(inside).iter().map(|point| point.value))?;
    (normal > 0.0).then(|| now / normal)
}
