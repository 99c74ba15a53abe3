//! I/O stopped: the process runs, PD and Prometheus hear it, and nothing is written any more.

use super::store_presence::claim;
use crate::diagnose::baseline::median;
use crate::diagnose::case::Case;
use crate::diagnose::facts::{Life, Outage, View};
use crate::diagnose::finding::{FindingKind, Plot, PlotHow, Target, number, seconds};
use crate::diagnose::limits::{Stretch, above, below};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::{Labels, TimeRange};

/// The mode.
pub const MODE: Mode = Mode {
    name: "disk_hang",
    row: 6,
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the store's disk does not answer",
    // Behind a disk that stopped, heartbeats stop too, and so do a process's own inspections.
    subsumes: &[
        "slow_disk",
        "cpu_starved",
        "store_pd_partition",
        "store_pause",
        "store_unreachable",
    ],
    needs: &[Need::TikvMetrics],
    metrics: &[SYNCS, SYNC_TIME, SCORE, MESSAGES, PROBES],
    judge,
};

/// TiKV's own probe of its disk, a small synced write a second; it counts what did not succeed.
const PROBES: &str = "tikv_raftstore_disk_probe_duration_seconds_count";
const SYNC_TIME: &str = "raft_engine_sync_log_duration_seconds_sum";
const SYNCS: &str = "raft_engine_sync_log_duration_seconds_count";
const SCORE: &str = "tikv_raftstore_slow_score";
const MESSAGES: &str = "tikv_raftstore_message_recv_by_store";

/// An fsync that takes this long did not wait for a slow device but for one that had stopped:
/// ten times the worst that TiKV's own inspection waits for (`inspect-interval` and its timeouts
/// add up to a second).
const HUNG_S: f64 = 10.0;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let stores = 0..case.evidence.stores.len();
    let mut found: Vec<Claim> = stores.filter_map(|store| of_store(case, store)).collect();
    found.extend(case.outages.iter().filter_map(|outage| behind_a_hole(case, outage)));
    found
}

/// A store that neither PD nor Prometheus heard, while its peers' connections to it stayed whole:
/// somebody answered their keepalives, which a frozen process does not. Its fsyncs account for
/// half of the hole or more.
fn behind_a_hole(case: &Case<'_>, outage: &Outage) -> Option<Claim> {
    let instance = case.evidence.stores[outage.store].instance.as_deref()?;
    let Life::StoodStill { hole, .. } = outage.life else { return None };
    let connected = outage.column.is_empty() && outage.outbound == View::Silent;
    if !connected || outage.link.is_some() || !peers_reach(case, outage, hole) {
        return None;
    }
    let spent = case.evidence.series.across(SYNC_TIME, instance, hole)?;
    if spent.by * 2000.0 < hole.millis() as f64 {
        return None;
    }
    let found = claim(case, outage, 0.97);
    Some(found.but("its own inspections stood still, as they do behind a disk that stopped"))
}

/// Whether the health checks of the other stores go through: TiKV scores its links from 1 to 100
/// (`tikv_raftstore_slow_score` of type `network`), and one that is silent makes it jump.
fn peers_reach(case: &Case<'_>, outage: &Outage, hole: TimeRange) -> bool {
    let others = case.evidence.stores.iter().enumerate();
    let others = others.filter(|(store, _)| *store != outage.store);
    let scores: Vec<f64> = others
        .filter_map(|(_, known)| known.instance.as_deref())
        .flat_map(|instance| {
            let of_links = |labels: &Labels| labels.get("type") == Some("network");
            let track = case.evidence.series.gauge(SCORE, instance, of_links);
            track.within(hole).iter().map(|point| point.value).collect::<Vec<f64>>()
        })
        .collect();
    !scores.is_empty() && scores.iter().all(|score| *score < 10.0)
}

fn of_store(case: &Case<'_>, store: usize) -> Option<Claim> {
    let instance = case.evidence.stores[store].instance.as_deref()?;
    let table = &case.evidence.series;
    let syncs = table.rate(SYNCS, instance, |_| true);
    let sync_time = table.mean("raft_engine_sync_log_duration_seconds", instance, 1.0, |_| true);
    let score = table.gauge(SCORE, instance, |labels| labels.get("type") == Some("raft"));
    let messages = table.rate(MESSAGES, instance, |_| true);
    // Two intervals without a single fsync, where there had been at least two a second.
    let stops = "not one fsync finishes, while messages keep coming in and the store scores \
                 itself as slow";
    let stopped = below(&syncs, 0.0, 2).into_iter().find(|stretch| {
        let before =
            TimeRange::new(stretch.since.saturating_add_millis(-120_000), stretch.since + 1);
        let usual = median(syncs.within(before).iter().map(|point| point.value)).unwrap_or(0.0);
        let meanwhile = |track: &crate::diagnose::series::Track| {
            let range = TimeRange::new(stretch.range.start, stretch.range.end + 15_001);
            track.within(range).iter().map(|point| point.value).fold(0.0, f64::max)
        };
        usual >= 2.0 && meanwhile(&messages) > 0.0 && meanwhile(&score) >= 80.0
    });
    let stopped = stopped.map(|stretch| (stretch, stops));
    let failed =
        |labels: &Labels| labels.get("outcome").is_some_and(|outcome| outcome != "success");
    let probes = above(&table.rate(PROBES, instance, failed), f64::MIN_POSITIVE, 2);
    let stopped =
        probes.into_iter().next().map(|stretch| (stretch, "probes of the disk fail")).or(stopped);
    let (range, lasts, since, text, value) = match stopped {
        Some((stretch, text)) => {
            let Stretch { range, lasts, since, .. } = stretch;
            (TimeRange::new(since, range.end), lasts, since, text.to_owned(), 0.0)
        }
        None => {
            let point = sync_time.0.iter().find(|point| point.value >= HUNG_S)?;
            let began = point.at.saturating_add_millis(-((point.value * 1000.0) as i64));
            let text = format!("an fsync takes {}", seconds(point.value));
            (
                TimeRange::new(began.max(point.since), point.at),
                false,
                point.since,
                text,
                point.value,
            )
        }
    };
    let silent = case.outages.iter().any(|outage| {
        outage.store == store
            && outage.pd == View::Silent
            && outage.range(case.open()).overlaps(&range)
    });
    let known = &case.evidence.stores[store];
    let mut claim = Claim::new(Target::store(known), range.start, 15_000, 0.95);
    claim.stores = vec![store];
    claim.end = (!lasts).then_some(range.end);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::DeviceStopped,
        target: Target::store(known),
        range,
        uncertainty_ms: (range.start - since).abs().max(15_000),
        lasts,
        text,
        read: (&format!("rate({SYNCS}{{instance=\"{instance}\"}})"), number(value)),
        plot: vec![Plot {
            metric: SYNCS.to_owned(),
            how: PlotHow::Rate,
            instance: instance.to_owned(),
            label: None,
        }],
    }));
    Some(if silent { claim.but("PD does not hear it either") } else { claim })
}
