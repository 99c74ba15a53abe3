//! Whether a node's machine or container shows why the node became slow: its disk takes longer, its packets are
//! sent again, its CPU is throttled.
//!
//! Looked at only where a node became slow alone, and compared with its own minutes before and with the machines of
//! the other nodes.

use std::collections::BTreeSet;

use super::kubernetes::selector as of_pod_selector;
use super::selector;
use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{number, seconds};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::stages::Stage;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Labels, Series, TimeRange, Timestamp};
use crate::nodes::{Beside, NodeIndex, PodName};

const READ_TIME: &str = "node_disk_read_time_seconds_total";
const WRITE_TIME: &str = "node_disk_write_time_seconds_total";
const READS: &str = "node_disk_reads_completed_total";
const WRITES: &str = "node_disk_writes_completed_total";
const BUSY: &str = "node_disk_io_time_seconds_total";
const IO_PRESSURE: &str = "node_pressure_io_waiting_seconds_total";
const CPU_PRESSURE: &str = "node_pressure_cpu_waiting_seconds_total";
const SENT: &str = "node_netstat_Tcp_OutSegs";
const SENT_AGAIN: &str = "node_netstat_Tcp_RetransSegs";
const LOST: [&str; 4] = [
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
];
const PING: &str = "probe_icmp_duration_seconds";
const PROBE: &str = "probe_duration_seconds";
const PERIODS: &str = "container_cpu_cfs_periods_total";
/// How often a container was kept from a CPU, in periods of its quota.
const THROTTLED: &str = "container_cpu_cfs_throttled_periods_total";

/// The metrics that are read here.
pub(super) const METRICS: [&str; 17] = [
    READ_TIME,
    WRITE_TIME,
    READS,
    WRITES,
    BUSY,
    IO_PRESSURE,
    CPU_PRESSURE,
    SENT,
    SENT_AGAIN,
    LOST[0],
    LOST[1],
    LOST[2],
    LOST[3],
    PING,
    PROBE,
    PERIODS,
    THROTTLED,
];

/// How far back the usual value is measured, in milliseconds.
const BEFORE_MS: i64 = 300_000;

/// What a process runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confines {
    /// Its machine, which it may share with others.
    Machine,
    /// Its container, which has limits of its own.
    Container,
}

/// A quantity of a node's machine or container that rose while the node was slow.
#[derive(Clone, Debug, PartialEq)]
pub struct Pressed {
    /// What the node waits for, going by it.
    pub stage: Stage,
    /// Whose quantity it is.
    pub of: Confines,
    /// From the first to the last sample that was compared.
    pub range: TimeRange,
    /// The distance of samples before the first one, in milliseconds.
    pub uncertainty_ms: i64,
    /// What rose, from how much to how much, in a sentence without a full stop.
    pub text: String,
    /// The expression that computes it.
    pub reference: String,
    /// The median meanwhile.
    pub value: f64,
}

/// A quantity, and from where on it shows something.
struct Quantity {
    stage: Stage,
    confines: Confines,
    /// The sentence that says it, with `{}` in place of its value.
    says: &'static str,
    /// How its values are written.
    unit: Unit,
    /// The least value that hinders a node.
    least: f64,
    /// How many times more than usual it must be.
    times: f64,
    /// Its values of a node, each with the expression that computes it.
    of: fn(&Evidence, &Beside) -> Vec<(Track, String)>,
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Share,
    Rate,
}

/// What is compared, the most telling first.
const QUANTITIES: [Quantity; 8] = [
    Quantity {
        stage: Stage::Threads,
        confines: Confines::Container,
        says: "{} of the CPU periods of its container are throttled",
        unit: Unit::Share,
        // cgroup periods last 0.1 s: at a quarter of them, a thread waits every other tick.
        least: 0.25,
        times: 2.0,
        of: throttled,
    },
    Quantity {
        stage: Stage::Threads,
        confines: Confines::Machine,
        says: "processes of its machine wait for a CPU {} of the time",
        unit: Unit::Share,
        least: 0.3,
        times: 2.0,
        of: |evidence, beside| rates(evidence, beside, CPU_PRESSURE),
    },
    Quantity {
        stage: Stage::Device,
        confines: Confines::Machine,
        says: "its machine's disk takes {} for a request",
        unit: Unit::Seconds,
        // Below that, a disk hinders nobody who syncs a few times a second.
        least: 0.005,
        times: 2.0,
        of: waits,
    },
    Quantity {
        stage: Stage::Device,
        confines: Confines::Machine,
        says: "its machine's disk is busy {} of the time",
        unit: Unit::Share,
        least: 0.8,
        times: 2.0,
        of: busy,
    },
    Quantity {
        stage: Stage::Device,
        confines: Confines::Machine,
        says: "processes of its machine wait for a disk {} of the time",
        unit: Unit::Share,
        least: 0.2,
        times: 2.0,
        of: |evidence, beside| rates(evidence, beside, IO_PRESSURE),
    },
    Quantity {
        stage: Stage::Network,
        confines: Confines::Machine,
        says: "its machine sends {} of its TCP segments again",
        unit: Unit::Share,
        least: 0.01,
        times: 4.0,
        of: sent_again,
    },
    Quantity {
        stage: Stage::Network,
        confines: Confines::Machine,
        says: "a probe of it takes {}",
        unit: Unit::Seconds,
        least: 0.002,
        times: 3.0,
        of: probes,
    },
    Quantity {
        stage: Stage::Network,
        confines: Confines::Machine,
        says: "its machine drops or breaks {} packets a second",
        unit: Unit::Rate,
        least: 5.0,
        times: 4.0,
        of: lost,
    },
];

/// The quantities of a node's machine, container and probes that rose while `range` lasted, and on no more than a
/// few of the other nodes' machines.
pub fn pressed(evidence: &Evidence, node: NodeIndex, range: TimeRange) -> Vec<Pressed> {
    let Some(beside) = evidence.nodes.beside(node) else { return Vec::new() };
    let others = others(evidence, node, beside);
    let own = QUANTITIES.iter().filter_map(|quantity| {
        let found = quantity.rise(evidence, beside, range)?;
        let rose = others.iter().filter(|other| quantity.rise(evidence, other, range).is_some());
        // What rises on half of the machines is a load that all have.
        (rose.count() * 2 <= others.len()).then_some(found)
    });
    own.collect()
}

/// What is beside the other nodes of the same kind, on other machines.
fn others<'a>(evidence: &'a Evidence, node: NodeIndex, own: &Beside) -> Vec<&'a Beside> {
    let all: Vec<NodeIndex> = match node {
        NodeIndex::Store(_) => (0..evidence.nodes.stores.len()).map(NodeIndex::Store).collect(),
        NodeIndex::Member(_) => (0..evidence.nodes.members.len()).map(NodeIndex::Member).collect(),
    };
    let others = all.into_iter().filter(|other| *other != node);
    let beside = others.filter_map(|other| evidence.nodes.beside(other));
    beside.filter(|other| other.machine.is_none() || other.machine != own.machine).collect()
}

impl Quantity {
    fn rise(&self, evidence: &Evidence, beside: &Beside, range: TimeRange) -> Option<Pressed> {
        let tracks = (self.of)(evidence, beside).into_iter();
        let rises = tracks.filter_map(|(track, reference)| self.rise_of(&track, reference, range));
        rises.max_by(|a, b| a.value.total_cmp(&b.value))
    }

    fn rise_of(&self, track: &Track, reference: String, range: TimeRange) -> Option<Pressed> {
        let before = TimeRange::new(range.start.saturating_add_millis(-BEFORE_MS), range.start + 1);
        let inside = track.within(TimeRange::new(range.start + 1, range.end + 1));
        let (first, last) = (inside.first()?, inside.last()?);
        let usual = median(track.within(before).iter().map(|point| point.value))?;
        let value = median(inside.iter().map(|point| point.value))?;
        let written = |value: f64| match self.unit {
            Unit::Seconds => seconds(value),
            Unit::Share => format!("{} %", number(value * 100.0)),
            Unit::Rate => number(value),
        };
        (value >= self.least && value >= self.times * usual).then(|| Pressed {
            stage: self.stage,
            of: self.confines,
            range: TimeRange::new(first.at, last.at),
            uncertainty_ms: (first.at - first.since).max(1_000),
            text: format!(
                "{}, {} before",
                self.says.replace("{}", &written(value)),
                written(usual)
            ),
            reference,
            value,
        })
    }
}

/// The quotient of two tracks at the instants of both; none where the second one is 0.
fn quotient(dividend: &Track, divisor: &Track, least: f64) -> Track {
    let point = |point: &Point| {
        let by = divisor.last_by(point.at).filter(|by| by.at == point.at && by.value > least)?;
        Some(Point { value: point.value / by.value, ..*point })
    };
    Track(dividend.0.iter().filter_map(point).collect())
}

/// The sum of two tracks over the same scrapes.
fn sum(a: Track, b: &Track) -> Track {
    let point = |point: Point| {
        let more = b.last_by(point.at).filter(|more| more.at == point.at);
        Point { value: point.value + more.map_or(0.0, |more| more.value), ..point }
    };
    Track(a.0.into_iter().map(point).collect())
}

/// The values of a label among the series of a metric of a target.
fn values<'a>(
    evidence: &'a Evidence,
    metric: &str,
    name: &'a str,
    label: &str,
) -> BTreeSet<&'a str> {
    evidence.series.of(metric, name).filter_map(|one| one.labels.get(label)).collect()
}

fn rates(evidence: &Evidence, beside: &Beside, metric: &str) -> Vec<(Track, String)> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let reference = format!("rate({})", selector(evidence, metric, name, &[]));
    vec![(evidence.series.rate(metric, name, |_| true), reference)]
}

/// How long each disk of the machine takes for a request, in seconds. Partitions and layers above a disk show the
/// same again.
fn waits(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let devices = values(evidence, WRITES, name, "device");
    let of_device = devices.into_iter().map(|device| {
        let of = |metric: &str| {
            let keep = |labels: &Labels| labels.get("device") == Some(device);
            evidence.series.rate(metric, name, keep)
        };
        let time = sum(of(WRITE_TIME), &of(READ_TIME));
        let done = sum(of(WRITES), &of(READS));
        let part = |metric: &str| {
            format!("rate({})", selector(evidence, metric, name, &[("device", device)]))
        };
        // A mean over a few requests says nothing.
        let track = quotient(&time, &done, 1.0);
        let reference = format!(
            "({} + {}) / ({} + {})",
            part(WRITE_TIME),
            part(READ_TIME),
            part(WRITES),
            part(READS)
        );
        (track, reference)
    });
    of_device.collect()
}

/// The share of the time in which each disk of the machine had a request.
fn busy(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let of_device = values(evidence, BUSY, name, "device").into_iter().map(|device| {
        let keep = |labels: &Labels| labels.get("device") == Some(device);
        let reference = selector(evidence, BUSY, name, &[("device", device)]);
        (evidence.series.rate(BUSY, name, keep), format!("rate({reference})"))
    });
    of_device.collect()
}

fn sent_again(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let of = |metric: &str| evidence.series.rate(metric, name, |_| true);
    let part = |metric: &str| format!("rate({})", selector(evidence, metric, name, &[]));
    let track = quotient(&of(SENT_AGAIN), &of(SENT), 10.0);
    vec![(track, format!("{} / {}", part(SENT_AGAIN), part(SENT)))]
}

fn lost(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let tracks = LOST.iter().map(|metric| {
        let is_card = |labels: &Labels| labels.get("device") != Some("lo");
        let reference = format!("rate({})", selector(evidence, metric, name, &[]));
        (evidence.series.rate(metric, name, is_card), reference)
    });
    tracks.collect()
}

/// How long probes of the node take, in seconds: pings by their way there and back.
fn probes(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let all = beside.host_probes.iter().chain(&beside.port_probes);
    let tracks = all.map(|name| {
        let is_ping = evidence.series.of(PING, name).next().is_some();
        if is_ping {
            let is_way = |labels: &Labels| labels.get("phase") == Some("rtt");
            let reference = selector(evidence, PING, name, &[("phase", "rtt")]);
            return (evidence.series.gauge(PING, name, is_way), reference);
        }
        (evidence.series.gauge(PROBE, name, |_| true), selector(evidence, PROBE, name, &[]))
    });
    tracks.collect()
}

/// The share of the periods of a container's CPU in which it was throttled.
fn throttled(evidence: &Evidence, beside: &Beside) -> Vec<(Track, String)> {
    let Some(pod) = &beside.pod else { return Vec::new() };
    let of_pod = |metric: &str| -> Track {
        let table = &evidence.series;
        let is_own =
            |one: &&Series| pod.is_of(&one.labels) && PodName::container_of(&one.labels).is_some();
        let own = table.metric(metric).iter().filter(is_own);
        let mut track = Track::default();
        for series in own {
            let rates = table.increments(series).into_iter().filter(|one| one.at > one.since);
            let rates: Vec<Point> = rates
                .map(|one| Point {
                    since: one.since,
                    at: one.at,
                    value: one.by * 1_000.0 / (one.at - one.since) as f64,
                })
                .collect();
            track = merged(track, rates);
        }
        track
    };
    let track = quotient(&of_pod(THROTTLED), &of_pod(PERIODS), 0.0);
    let part = |metric: &str| {
        let mut own = evidence.series.metric(metric).iter();
        let own = own.find(|one| pod.is_of(&one.labels));
        own.map_or_else(String::new, |one| format!("rate({})", of_pod_selector(one)))
    };
    vec![(track, format!("{} / {}", part(THROTTLED), part(PERIODS)))]
}

/// Adds rates of one more series to those at the same instants.
fn merged(track: Track, more: Vec<Point>) -> Track {
    let mut points = track.0;
    for point in more {
        let key = |one: &Point| -> Timestamp { one.at };
        match points.binary_search_by_key(&point.at, key) {
            Ok(place) => points[place].value += point.value,
            Err(place) => points.insert(place, point),
        }
    }
    Track(points)
}
