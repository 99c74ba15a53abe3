//! I/O stopped: the process runs, PD and Prometheus hear it, and nothing is written any more.

use crate::diagnose::baseline::median;
use crate::diagnose::case::Case;
use crate::diagnose::facts::View;
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
    subsumes: &["slow_disk", "cpu_starved"],
    needs: &[Need::TikvMetrics],
    metrics: &[SYNCS, "raft_engine_sync_log_duration_seconds_sum", SCORE, MESSAGES, PROBES],
    judge,
};

/// TiKV's own probe of its disk, a small synced write a second; it counts what did not succeed.
const PROBES: &str = "tikv_raftstore_disk_probe_duration_seconds_count";
const SYNCS: &str = "raft_engine_sync_log_duration_seconds_count";
const SCORE: &str = "tikv_raftstore_slow_score";
const MESSAGES: &str = "tikv_raftstore_message_recv_by_store";

/// An fsync that takes this long did not wait for a slow device but for one that had stopped:
/// ten times the worst that TiKV's own inspection waits for (`inspect-interval` and its timeouts
/// add up to a second).
const HUNG_S: f64 = 10.0;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    (0..case.evidence.stores.len()).filter_map(|store| of_store(case, store)).collect()
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
