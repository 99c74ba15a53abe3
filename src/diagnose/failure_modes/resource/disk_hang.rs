//! I/O stopped: the process runs, PD and Prometheus reach it, and nothing is written any more.

use crate::diagnose::failure_modes::presence::store_presence::claim;
use crate::diagnose::failure_modes::presence::{
    store_pause, store_pd_partition, store_unreachable,
};
use crate::diagnose::failure_modes::resource::{cpu_starved, slow_disk};
use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number, seconds};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Selected;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::invariants::{above, below};
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::observations::{HostSignKind, Liveness, Outage, Reachability};
use crate::model::{Labels, TimeRange};
use crate::nodes::NodeIndex;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "disk_hang",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the store's disk does not answer",
    said: Some("the store's disk did not answer"),
    // Behind a disk that stopped, heartbeats stop too, and so do a process's own inspections.
    subsumes: &[
        &slow_disk::MODE,
        &cpu_starved::MODE,
        &store_pd_partition::MODE,
        &store_pause::MODE,
        &store_unreachable::MODE,
    ],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[SYNCS, SYNC_TIME, SCORE, MESSAGES, PROBES, PROBE_TIME],
    surest: 0.97,
    advice: Advice {
        check: "on its machine: dmesg -T, iostat -x 1 3, mount (is it read-only?)",
        remedy: "pd-ctl scheduler add evict-leader-scheduler ID (a change); new disk",
        risk: "other stores take its load; the scheduler stays until removed",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-high-disk-io",
        section: None,
    },
    judge,
};

/// TiKV's own probe of its disk, a small synced write a second; it counts what did not succeed.
const PROBES: &str = "tikv_raftstore_disk_probe_duration_seconds_count";
const PROBE_TIME: &str = "tikv_raftstore_disk_probe_duration_seconds_sum";
const SYNC_TIME: &str = "raft_engine_sync_log_duration_seconds_sum";
const SYNCS: &str = "raft_engine_sync_log_duration_seconds_count";
const SCORE: &str = "tikv_raftstore_slow_score";
const MESSAGES: &str = "tikv_raftstore_message_recv_by_store";

/// An fsync that takes this many seconds waited for a device that had stopped, rather than for a slow
/// one: ten times the longest wait of TiKV's own inspection (`inspect-interval` and its timeouts add up
/// to a second).
const HUNG_S: f64 = 10.0;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let stores = 0..observed.evidence.nodes.stores.len();
    let mut found: Vec<Claim> = stores.filter_map(|store| of_store(observed, store)).collect();
    found.extend(observed.outages.iter().filter_map(|outage| behind_a_gap(observed, outage)));
    found.extend(read_only(observed, &found));
    found
}

/// Stores on whose machine a file system became read-only, as Linux makes it after errors of the disk.
fn read_only(observed: &ObservedWindow<'_>, told: &[Claim]) -> Vec<Claim> {
    let stores = &observed.evidence.nodes.stores;
    let claims = observed.host_signs.iter().filter_map(|(sign, finding)| {
        let NodeIndex::Store(store) = sign.node else { return None };
        let is_told = told.iter().any(|claim| claim.stores.contains(&store));
        if sign.kind != HostSignKind::ReadOnly || is_told {
            return None;
        }
        let uncertainty_ms = (sign.at - sign.since).max(1_000);
        let mut claim = Claim::new(Target::store(&stores[store]), sign.at, uncertainty_ms, 0.95);
        claim.stores = vec![store];
        claim.end = sign.end;
        claim.detail = Some("a file system of its machine became read-only".to_owned());
        claim.evidence = vec![*finding];
        Some(claim)
    });
    claims.collect()
}

/// A store that neither PD nor Prometheus heard, while its peers' connections to it stayed intact: it
/// answered their keepalives, which a frozen process does not. Its fsyncs account for half of the
/// scrape gap or more.
fn behind_a_gap(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Claim> {
    let instance = observed.evidence.nodes.stores[outage.store].instance.as_deref()?;
    let Liveness::StoodStill { gap, .. } = outage.liveness else { return None };
    let connected = outage.column.is_empty() && outage.outbound == Reachability::Silent;
    if !connected || outage.link.is_some() || !peers_reach(observed, outage, gap) {
        return None;
    }
    let spent = observed.evidence.series.across(SYNC_TIME, instance, gap)?;
    if spent.by * 2000.0 < gap.millis() as f64 {
        return None;
    }
    let found = claim(observed, outage, 0.97);
    Some(found.but("its own inspections stood still, as they do behind a disk that stopped"))
}

/// Whether the health checks of the other stores are answered: TiKV scores its links from 1 to 100
/// (`tikv_raftstore_slow_score` of type `network`), and an unanswered check raises the score at once.
fn peers_reach(observed: &ObservedWindow<'_>, outage: &Outage, gap: TimeRange) -> bool {
    let others = observed.evidence.nodes.stores.iter().enumerate();
    let others = others.filter(|(store, _)| *store != outage.store);
    let scores: Vec<f64> = others
        .filter_map(|(_, known)| known.instance.as_deref())
        .flat_map(|instance| {
            let of_links = |labels: &Labels| labels.get("type") == Some("network");
            let track = observed.evidence.series.gauge(SCORE, instance, of_links);
            track.within(gap).iter().map(|point| point.value).collect::<Vec<f64>>()
        })
        .collect();
    !scores.is_empty() && scores.iter().all(|score| *score < 10.0)
}

/// A time in which one measure shows that the disk stopped.
struct Stop {
    range: TimeRange,
    lasts: bool,
    text: String,
    metric: &'static str,
    value: f64,
}

fn of_store(observed: &ObservedWindow<'_>, store: usize) -> Option<Claim> {
    let instance = observed.evidence.nodes.stores[store].instance.as_deref()?;
    let stops = [
        no_probes(observed, instance),
        failed_probes(observed, instance),
        no_syncs(observed, instance),
        endless(observed, instance),
    ];
    let stop = stops.into_iter().flatten().min_by_key(|stop| stop.range.start)?;
    let silent = observed.outages.iter().any(|outage| {
        outage.store == store
            && outage.pd == Reachability::Silent
            && outage.range(observed.open()).overlaps(&stop.range)
    });
    let known = &observed.evidence.nodes.stores[store];
    let mut claim = Claim::new(Target::store(known), stop.range.start, UNCERTAIN_MS, 0.95);
    claim.stores = vec![store];
    claim.end = (!stop.lasts).then_some(stop.range.end);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::DeviceStopped,
        target: Target::store(known),
        range: stop.range,
        uncertainty_ms: UNCERTAIN_MS,
        lasts: stop.lasts,
        text: stop.text,
        read: (&Selected::all(stop.metric, instance).rate(), number(stop.value)),
        plot: vec![Plot {
            metric: stop.metric.to_owned(),
            how: PlotHow::Rate,
            instance: instance.to_owned(),
            label: None,
        }],
    }));
    Some(if silent { claim.but("PD does not hear it either") } else { claim })
}

/// How far the onset may be off, in milliseconds: a counter is read at each scrape.
const UNCERTAIN_MS: i64 = 15_000;

/// A stretch without a single event of a counter that had so many a second before. The interval
/// before it holds the events up to the stop: their share dates the stop.
fn stands_still(track: &Track, at_least: f64) -> Option<Stop> {
    below(track, 0.0, 2).into_iter().find_map(|stretch| {
        let before =
            TimeRange::new(stretch.since.saturating_add_millis(-120_000), stretch.since + 1);
        let usual = median(track.within(before).iter().map(|point| point.value))?;
        if usual < at_least {
            return None;
        }
        let partly = track.last_by(stretch.since)?;
        let share = (partly.value / usual).clamp(0.0, 1.0);
        let since = partly
            .at
            .saturating_add_millis(-(((partly.at - partly.since) as f64 * (1.0 - share)) as i64));
        let range = TimeRange::new(since, stretch.range.end);
        let text = String::new();
        Some(Stop { range, lasts: stretch.lasts, text, metric: PROBES, value: 0.0 })
    })
}

fn succeeded(labels: &Labels) -> bool {
    labels.get("outcome").is_none_or(|outcome| outcome == "success")
}

/// TiKV probes its disk once a second, whatever it has to do: two scrapes without one, and the
/// last has not come back.
fn no_probes(observed: &ObservedWindow<'_>, instance: &str) -> Option<Stop> {
    let probes = observed.evidence.series.rate(PROBES, instance, succeeded);
    let text = "not one probe of the disk finishes".to_owned();
    stands_still(&probes, 0.5).map(|stop| Stop { text, ..stop })
}

fn failed_probes(observed: &ObservedWindow<'_>, instance: &str) -> Option<Stop> {
    let failed = |labels: &Labels| !succeeded(labels);
    let rate = observed.evidence.series.rate(PROBES, instance, failed);
    let stretch = above(&rate, f64::MIN_POSITIVE, 2).into_iter().next()?;
    let range = TimeRange::new(stretch.since, stretch.range.end);
    let text = "probes of the disk fail".to_owned();
    Some(Stop { range, lasts: stretch.lasts, text, metric: PROBES, value: stretch.peak })
}

/// Two intervals without a single fsync, where there had been at least two a second, while
/// messages keep coming in and the store scores itself as slow.
fn no_syncs(observed: &ObservedWindow<'_>, instance: &str) -> Option<Stop> {
    let table = &observed.evidence.series;
    let stop = stands_still(&table.rate(SYNCS, instance, |_| true), 2.0)?;
    let score = table.gauge(SCORE, instance, |labels| labels.get("type") == Some("raft"));
    let messages = table.rate(MESSAGES, instance, |_| true);
    let within = TimeRange::new(stop.range.start, stop.range.end + UNCERTAIN_MS + 1);
    let most =
        |track: &Track| track.within(within).iter().map(|point| point.value).fold(0.0, f64::max);
    let text = "not one fsync finishes, while messages keep coming in and the store scores itself \
                as slow";
    (most(&messages) > 0.0 && most(&score) >= 80.0).then(|| Stop {
        text: text.to_owned(),
        metric: SYNCS,
        ..stop
    })
}

/// An operation that took as long as the disk was away. Probes follow one another, so that their
/// times add up to no more than the time that passed, unless one had begun long before.
fn endless(observed: &ObservedWindow<'_>, instance: &str) -> Option<Stop> {
    let table = &observed.evidence.series;
    let spent = table.rate(PROBE_TIME, instance, succeeded);
    let probe = spent.0.iter().find_map(|point| {
        let span = (point.at - point.since) as f64 / 1000.0;
        let took = point.value * span;
        (took >= span + HUNG_S / 2.0).then_some((*point, took, PROBES, "probe of the disk"))
    });
    let syncs = table.mean("raft_engine_sync_log_duration_seconds", instance, 1.0, |_| true);
    let sync = syncs.0.iter().find(|point| point.value >= HUNG_S);
    let sync = sync.map(|point| (*point, point.value, SYNCS, "fsync"));
    let (point, took, metric, what) = probe.into_iter().chain(sync).min_by_key(|(p, ..)| p.at)?;
    Some(Stop {
        range: TimeRange::new(point.at.saturating_add_millis(-((took * 1000.0) as i64)), point.at),
        lasts: false,
        text: format!("a single {what} takes {}", seconds(took)),
        metric,
        value: took,
    })
}
