//! What node_exporter says of a node's machine: kills for memory, reboots, file systems, its clock.

use super::{HostSign, HostSignKind, gauge, selector};
use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::number;
use crate::diagnose::observations::invariants::{above, below};
use crate::diagnose::observations::scrapes::Scrape;
use crate::diagnose::observations::series_table::Increment;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Labels, Series, Timestamp};
use crate::nodes::{Beside, NodeIndex};

/// Kills by the kernel for want of memory, of whatever process; Linux 4.13 and later.
const OOM_KILLS: &str = "node_vmstat_oom_kill";
/// When the machine started, in Unix seconds.
const BOOT: &str = "node_boot_time_seconds";
/// Memory in bytes that processes can still get.
const AVAILABLE: &str = "node_memory_MemAvailable_bytes";
const READ_ONLY: &str = "node_filesystem_readonly";
const FREE: &str = "node_filesystem_avail_bytes";
const SIZE: &str = "node_filesystem_size_bytes";
/// By how many seconds the kernel's clock is off what it is synchronized with.
const OFFSET: &str = "node_timex_offset_seconds";
/// 1 while the kernel's clock is synchronized.
const SYNCHRONIZED: &str = "node_timex_sync_status";
const UP: &str = "up";

/// The metrics that are read here.
pub(super) const METRICS: [&str; 8] =
    [OOM_KILLS, BOOT, AVAILABLE, READ_ONLY, FREE, SIZE, OFFSET, SYNCHRONIZED];

/// The sizes of a TiKV's disk in bytes, by `type`.
const TIKV_SIZE: &str = "tikv_store_size_bytes";

/// The free share at which a file system has no space left for a process that is not root's.
const NO_SPACE: f64 = 0.01;
/// The free share that it must have had before, so that it filled up meanwhile.
const HAD_SPACE: f64 = 0.03;
/// How far a boot may be dated before the last sample before it, in milliseconds: the machine dates it by its own
/// clock, which is set while it starts.
const BOOT_SLACK_MS: i64 = 120_000;

/// What is said of the machine of a node.
pub(super) fn signs(evidence: &Evidence, node: NodeIndex, beside: &Beside) -> Vec<HostSign> {
    let Some(name) = beside.machine.as_deref() else { return Vec::new() };
    let own = Machine { evidence, node, name };
    let mut found = own.kills();
    found.extend(own.reboots());
    found.extend(own.read_only());
    found.extend(own.filled());
    found.extend(own.unsynchronized());
    found.extend(own.silent());
    found
}

struct Machine<'a> {
    evidence: &'a Evidence,
    node: NodeIndex,
    /// The name of its target.
    name: &'a str,
}

impl<'a> Machine<'a> {
    fn changes(&self, metric: &'static str) -> Vec<(&'a Series, Increment)> {
        let table = &self.evidence.series;
        let of = |series: &'a Series| {
            let changes = table.increments(series).into_iter().map(move |one| (series, one));
            changes.collect::<Vec<_>>()
        };
        self.evidence.series.of(metric, self.name).flat_map(of).collect()
    }

    fn sign(&self, kind: HostSignKind, since: Timestamp, at: Timestamp, text: String) -> HostSign {
        let read = (String::new(), 0.0);
        HostSign { node: self.node, kind, since, at, end: None, text, read, plot: None }
    }

    fn kills(&self) -> Vec<HostSign> {
        let is_kill = |(_, one): &(&Series, Increment)| one.by > 0.0 && !one.is_reset;
        let kills = self.changes(OOM_KILLS).into_iter().filter(is_kill);
        let free = self.evidence.series.gauge(AVAILABLE, self.name, |_| true);
        let sign = |(series, one): (&Series, Increment)| {
            let left = free.last_by(one.since).map_or_else(String::new, |left| {
                format!("; {} MiB were available before", number(left.value / 1_048_576.0))
            });
            let processes = match one.by {
                1.0 => "a process".to_owned(),
                many => format!("{} processes", number(many)),
            };
            let text =
                format!("the kernel of its machine killed {processes} for want of memory{left}");
            HostSign {
                read: self.read(series, &[], one.at),
                plot: Some(gauge(OOM_KILLS, self.name)),
                ..self.sign(HostSignKind::OutOfMemory { is_own: false }, one.since, one.at, text)
            }
        };
        kills.map(sign).collect()
    }

    fn reboots(&self) -> Vec<HostSign> {
        let boots = self.evidence.series.gauge(BOOT, self.name, |_| true);
        let pairs = boots.0.windows(2).map(|pair| (pair[0], pair[1]));
        let rebooted = pairs.filter_map(|(before, after)| {
            let boot = Timestamp::from_millis((after.value * 1000.0) as i64);
            let is_new = after.value > before.value
                && boot >= before.at.saturating_add_millis(-BOOT_SLACK_MS)
                && boot <= after.at;
            is_new.then(|| {
                let text = format!("its machine started anew at {boot}");
                HostSign {
                    read: (selector(self.evidence, BOOT, self.name, &[]), after.value),
                    plot: Some(gauge(BOOT, self.name)),
                    ..self.sign(HostSignKind::Rebooted, before.at, after.at, text)
                }
            })
        });
        rebooted.collect()
    }

    /// The file systems that lie on devices, as pairs of the label `mountpoint` and a test for their series.
    fn mounts(&self, metric: &'static str) -> Vec<&'a Series> {
        let on_device = |one: &&Series| {
            let label = |name: &str| one.labels.get(name).unwrap_or_default();
            label("device").starts_with("/dev/")
                && !["squashfs", "iso9660"].contains(&label("fstype"))
        };
        self.evidence.series.of(metric, self.name).filter(on_device).collect()
    }

    fn read_only(&self) -> Vec<HostSign> {
        let mounts = self.mounts(READ_ONLY).into_iter();
        let turned = mounts.filter_map(|series| {
            let track = track(series);
            let stretch =
                above(&track, 1.0, 1).into_iter().find(|one| one.since < one.range.start)?;
            let text = format!("the file system at {} became read-only", mount(&series.labels));
            Some(HostSign {
                end: (!stretch.lasts).then_some(stretch.range.end),
                read: self.read(series, &["mountpoint", "device"], stretch.range.start),
                ..self.sign(HostSignKind::ReadOnly, stretch.since, stretch.range.start, text)
            })
        });
        turned.collect()
    }

    fn filled(&self) -> Vec<HostSign> {
        let own = own_mount(self.evidence, self.node, self.name);
        let mounts = self.mounts(FREE).into_iter();
        let others = mounts.filter(|one| own.as_deref() != Some(mount(&one.labels)));
        let filled = others.filter_map(|series| {
            let share = share(self, series);
            let stretch = below(&share, NO_SPACE, 1).into_iter().next()?;
            let before = share.0.iter().filter(|point| point.at < stretch.range.start);
            let had_space = before.clone().any(|point| point.value >= HAD_SPACE);
            had_space.then(|| {
                let text = format!("the file system at {} filled up", mount(&series.labels));
                HostSign {
                    end: (!stretch.lasts).then_some(stretch.range.end),
                    read: self.read(series, &["mountpoint", "device"], stretch.range.start),
                    ..self.sign(HostSignKind::Filled, stretch.since, stretch.range.start, text)
                }
            })
        });
        filled.collect()
    }

    fn unsynchronized(&self) -> Vec<HostSign> {
        let track = self.evidence.series.gauge(SYNCHRONIZED, self.name, |_| true);
        let lost = below(&track, 0.0, 2).into_iter().find(|one| one.since < one.range.start);
        let sign = lost.map(|stretch| {
            let text = "its machine's clock is no longer synchronized".to_owned();
            let (since, at) = (stretch.since, stretch.range.start);
            HostSign {
                end: (!stretch.lasts).then_some(stretch.range.end),
                read: (selector(self.evidence, SYNCHRONIZED, self.name, &[]), 0.0),
                plot: Some(gauge(SYNCHRONIZED, self.name)),
                ..self.sign(HostSignKind::ClockAlone, since, at, text)
            }
        });
        sign.into_iter().collect()
    }

    /// The exporter of the machine does not answer Prometheus: two scrapes or more.
    fn silent(&self) -> Vec<HostSign> {
        let scrapes = self.evidence.series.scrapes().get(self.name).map_or(&[][..], Vec::as_slice);
        let runs = scrapes.chunk_by(|a, b| a.up == b.up);
        let mut before: Option<Scrape> = None;
        let mut found = Vec::new();
        let mut index = 0;
        for run in runs {
            index += run.len();
            let answered = before.replace(run[run.len() - 1]);
            let Some(answered) = answered.filter(|_| !run[0].up && run.len() >= 2) else {
                continue;
            };
            let text = "node_exporter on its machine does not answer Prometheus".to_owned();
            found.push(HostSign {
                end: scrapes.get(index).map(|next| next.at),
                read: (selector(self.evidence, UP, self.name, &[]), 0.0),
                plot: Some(gauge(UP, self.name)),
                ..self.sign(HostSignKind::HostSilent, answered.at, run[0].at, text)
            });
        }
        found
    }

    /// A selector of one series of the machine by these labels, and its value at an instant.
    fn read(&self, series: &Series, labels: &[&str], at: Timestamp) -> (String, f64) {
        let own = labels.iter().filter_map(|name| Some((*name, series.labels.get(name)?)));
        let own: Vec<(&str, &str)> = own.collect();
        let value = series.samples.iter().find(|sample| sample.at == at);
        let selector = selector(self.evidence, series.labels.metric(), self.name, &own);
        (selector, value.map_or(0.0, |sample| sample.value))
    }
}

fn mount(labels: &Labels) -> &str {
    labels.get("mountpoint").unwrap_or_default()
}

fn track(series: &Series) -> Track {
    let mut before = None;
    let live = series.samples.iter().filter(|sample| !crate::model::is_stale(sample.value));
    let point = |sample: &crate::model::Sample| {
        let since = before.replace(sample.at).unwrap_or(sample.at);
        Point { since, at: sample.at, value: sample.value }
    };
    Track(live.map(point).collect())
}

/// The free share of a file system over time, from 0 to 1.
fn share(machine: &Machine<'_>, free: &Series) -> Track {
    let of_mount = |labels: &Labels| mount(labels) == mount(&free.labels);
    let size = machine.evidence.series.gauge(SIZE, machine.name, of_mount);
    let point = |point: &Point| {
        let size = size.last_by(point.at).filter(|size| size.value > 0.0)?;
        Some(Point { value: point.value / size.value, ..*point })
    };
    Track(track(free).0.iter().filter_map(point).collect())
}

/// The mount point that holds a store's data: the only one of its machine that is as large as TiKV says its disk
/// is, to the byte. `None` where the capacity is configured, or several are as large.
fn own_mount(evidence: &Evidence, node: NodeIndex, machine: &str) -> Option<String> {
    let NodeIndex::Store(index) = node else { return None };
    let instance = evidence.nodes.stores[index].instance.as_deref()?;
    let of_capacity = |labels: &Labels| labels.get("type") == Some("capacity");
    let capacity = evidence.series.gauge(TIKV_SIZE, instance, of_capacity).values().last()?;
    let sizes = evidence.series.of(SIZE, machine);
    let as_large = sizes.filter(|one| track(one).values().last() == Some(capacity));
    let mut mounts: Vec<&str> = as_large.map(|one| mount(&one.labels)).collect();
    mounts.sort_unstable();
    mounts.dedup();
    match mounts.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => None,
    }
}

/// The free share of the disk of a store over time by its machine, with the expression that computes it; `None`
/// where it is unknown which of the machine's file systems holds its data.
pub fn free_share(evidence: &Evidence, store: usize) -> Option<(Track, String)> {
    let node = NodeIndex::Store(store);
    let name = evidence.nodes.beside(node)?.machine.as_deref()?;
    let own = own_mount(evidence, node, name)?;
    let free = evidence.series.of(FREE, name).find(|one| mount(&one.labels) == own)?;
    let part = |metric: &str| selector(evidence, metric, name, &[("mountpoint", &own)]);
    let machine = Machine { evidence, node, name };
    Some((share(&machine, free), format!("{} / {}", part(FREE), part(SIZE))))
}

/// A clock that left what it is synchronized with.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockOff {
    /// The last sample before.
    pub since: Timestamp,
    /// The first sample of it.
    pub at: Timestamp,
    /// Its end; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// How far it is off at most, in seconds, and when.
    pub most: (f64, Timestamp),
    /// The name of the machine's target.
    pub machine: String,
    /// A selector of its samples.
    pub reference: String,
}

impl ClockOff {
    /// The metric that shows it.
    pub const METRIC: &'static str = OFFSET;
}

/// How far a clock must be off, in seconds: PD warns of its own from 0.15 s on, and 0.5 s is far above what any
/// synchronization leaves.
const CLOCK_OFF_S: f64 = 0.5;

/// Whether the clock of a node's machine is off by [`CLOCK_OFF_S`] or more for two samples.
pub fn clock_off(evidence: &Evidence, node: NodeIndex) -> Option<ClockOff> {
    let machine = evidence.nodes.beside(node)?.machine.clone()?;
    let mut track = evidence.series.gauge(OFFSET, &machine, |_| true);
    for point in &mut track.0 {
        point.value = point.value.abs();
    }
    let stretch = above(&track, CLOCK_OFF_S, 2).into_iter().next()?;
    Some(ClockOff {
        since: stretch.since,
        at: stretch.range.start,
        end: (!stretch.lasts).then_some(stretch.range.end),
        most: (stretch.peak, stretch.peak_at),
        reference: selector(evidence, OFFSET, &machine, &[]),
        machine,
    })
}
