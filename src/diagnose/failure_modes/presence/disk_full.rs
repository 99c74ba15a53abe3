//! No space left on a store's disk.

use crate::diagnose::failure_modes::presence::{store_crash, store_flap, store_restart};
use crate::diagnose::failure_modes::resource::{disk_hang, slow_disk};
use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Logged;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::hosts::free_share;
use crate::diagnose::observations::invariants::{Stretch, below};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Labels, Timestamp};
use crate::nodes::NodeIndex;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "disk_full",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's disk is full",
    said: Some("the store's disk was full"),
    subsumes: &[
        &store_crash::MODE,
        &store_restart::MODE,
        &store_flap::MODE,
        &disk_hang::MODE,
        &slow_disk::MODE,
    ],
    never_explains: &[],
    needs: &[Need::TikvMetrics, Need::PdStores],
    metrics: &[SIZE],
    surest: 0.98,
    advice: Advice {
        check: "on its machine: df -h, and du of what is not TiKV's on that disk",
        remedy: "free what is not TiKV's, enlarge the disk, add a store (a change)",
        risk: "nothing in the data directory may be deleted: it is data",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.1"),
    },
    judge,
};

const SIZE: &str = "tikv_store_size_bytes";

/// The free share at which a disk is full: TiKV stops writing below its reserve, by default 5 GB or 5 %
/// of the disk, whichever is less.
const FREE_SHARE: f64 = 0.05;

/// The free share at which a disk is being filled whose greater part was free before: half of what PD
/// calls low space (`low-space-ratio` 0.8).
const FILLING_SHARE: f64 = 0.1;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    (0..observed.evidence.nodes.stores.len())
        .filter_map(|store| of_store(observed, store).or_else(|| by_log(observed, store)))
        .collect()
}

/// The claim where a log says so and no sample does: a full disk may be seen between two scrapes, or on
/// another mount than the one that is measured.
fn by_log(observed: &ObservedWindow<'_>, store: usize) -> Option<Claim> {
    let of_store = |logged: &Logged| logged.node == Some(NodeIndex::Store(store));
    let mut logged = observed.logged.iter();
    let (logged, finding) = logged.find(|(logged, _)| logged.is_full_disk() && of_store(logged))?;
    let target = Target::store(&observed.evidence.nodes.stores[store]);
    let mut claim = Claim::new(target, logged.line.at, 1_000, 0.95);
    claim.stores = vec![store];
    claim.evidence = vec![*finding];
    Some(claim)
}

/// The exact free share of the disk over time by Prometheus, with the series as its reference.
fn by_metrics(observed: &ObservedWindow<'_>, store: usize) -> Option<(Track, String)> {
    let instance = observed.evidence.nodes.stores[store].instance.as_deref()?;
    let of = |kind: &'static str| {
        let keep = move |labels: &Labels| labels.get("type") == Some(kind);
        observed.evidence.series.gauge(SIZE, instance, keep)
    };
    let (available, capacity) = (of("available"), of("capacity"));
    let share = |point: &Point| {
        let capacity = capacity.last_by(point.at).filter(|all| all.value > 0.0)?;
        Some(Point { value: point.value / capacity.value, ..*point })
    };
    let track = Track(available.0.iter().filter_map(share).collect());
    let part = |kind: &str| format!("{SIZE}{{type=\"{kind}\",instance=\"{instance}\"}}");
    Some((track, format!("{} / {}", part("available"), part("capacity"))))
}

/// The free share of the disk over time by PD, to four digits. PD has it also of a process that died
/// before the next scrape.
fn by_pd(observed: &ObservedWindow<'_>, store: usize) -> Option<(Track, String)> {
    let history = observed.evidence.pd.stores.get(&observed.evidence.nodes.stores[store].id?)?;
    let mut before: Option<Timestamp> = None;
    let point = |&(at, value): &(Timestamp, f64)| {
        let since = before.replace(at).unwrap_or(at);
        Point { since, at, value }
    };
    let track = Track(history.free.iter().map(point).collect());
    Some((track, "PD /stores available".to_owned()))
}

/// The first stretch without space. A disk that loses most of its free space within the window is being
/// filled, and counts as full a little earlier than one that always had little space.
fn without_space(track: &Track) -> Option<Stretch> {
    let full = below(track, FREE_SHARE, 1).into_iter().next();
    full.or_else(|| {
        let usual = median(track.values())?.max(track.0.first()?.value);
        let filling = usual >= 3.0 * FILLING_SHARE;
        below(track, FILLING_SHARE, 2).into_iter().next().filter(|_| filling)
    })
}

fn of_store(observed: &ObservedWindow<'_>, store: usize) -> Option<Claim> {
    let by_host = free_share(observed.evidence, store);
    let tracks = [by_metrics(observed, store), by_pd(observed, store), by_host];
    let found = tracks
        .into_iter()
        .flatten()
        .find_map(|(track, reference)| Some((without_space(&track)?, track, reference)));
    let (stretch, track, reference) = found?;
    let known = &observed.evidence.nodes.stores[store];
    let most = track.values().fold(0.0, f64::max);
    let mut claim = Claim::new(
        Target::store(known),
        stretch.range.start,
        (stretch.range.start - stretch.since).max(1_000),
        0.98,
    );
    claim.stores = vec![store];
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let reading = crossing(Crossing {
        kind: FindingKind::DiskFilled,
        target: Target::store(known),
        range: stretch.range,
        uncertainty_ms: stretch.range.start - stretch.since,
        lasts: stretch.lasts,
        text: format!(
            "{} % of the disk is free, {} % at best before",
            number(stretch.peak * 100.0),
            number(most * 100.0)
        ),
        read: (&reference, number(stretch.peak)),
        plot: known
            .instance
            .iter()
            .map(|instance| Plot {
                metric: SIZE.to_owned(),
                how: PlotHow::Gauge,
                instance: instance.clone(),
                label: Some(("type".to_owned(), "available".to_owned())),
            })
            .collect(),
    });
    claim.readings.push(reading.read_at(stretch.peak_at));
    let way = observed.evidence.nodes.way_to_store(store);
    let command = way.run("df -h; du -xh --max-depth=2 / | sort -h | tail");
    Some(claim.unchecked_now("what fills it", &command))
}
