//! Baseline root-cause methods, which `score` compares with the verdict. They are given the true
//! instant of the injection, which diagnosis is not, and still have to find what it did where.
//! The alert rules, another baseline, read all series of a capture: `first_alert.rs`.

use std::collections::BTreeMap;

use crate::diagnose::{Evidence, Target, Track, deviation, median};
use crate::model::{Series, TimeRange, Timestamp};

/// What a baseline names.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The mode that its strongest metric stands for; empty where it stands for none.
    pub mode: &'static str,
    /// The node whose metric it was.
    pub target: Option<Target>,
    /// When it could be named, where the baseline tells that itself.
    pub named_at: Option<Timestamp>,
    /// When it began, likewise.
    pub onset: Option<Timestamp>,
}

/// A way to guess.
#[derive(Clone, Copy)]
pub struct BaselineMethod {
    /// Its name in tables.
    pub name: &'static str,
    /// Guesses, given the true instant.
    pub guess: fn(&Evidence, Timestamp) -> Option<Guess>,
}

/// All baseline methods, in the order of the table.
pub const BASELINES: [BaselineMethod; 2] = [
    BaselineMethod { name: "largest z-score", guess: largest_z },
    BaselineMethod { name: "RobustScorer (BARO)", guess: robust },
];

/// The metric that lies furthest from its mean, in standard deviations.
fn largest_z(evidence: &Evidence, at: Timestamp) -> Option<Guess> {
    strongest(evidence, at, |before, after| {
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        let variance =
            before.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / before.len() as f64;
        furthest(after, mean, variance.sqrt())
    })
}

/// The metric that lies furthest from its median, in interquartile ranges: the scorer of Pham et
/// al., "BARO: Robust Root Cause Analysis for Microservices via Multivariate Bayesian Online
/// Change Point Detection", FSE 2024.
fn robust(evidence: &Evidence, at: Timestamp) -> Option<Guess> {
    strongest(evidence, at, |before, after| {
        let middle = median(before.iter().copied()).unwrap_or(0.0);
        // The interquartile range of a symmetric distribution is twice the median deviation.
        furthest(after, middle, 2.0 * deviation(before).unwrap_or(0.0))
    })
}

/// The greatest distance of `after` from `middle` in units of `scale`. What never varied before
/// has no scale; a unit is taken, as both methods' implementations do.
fn furthest(after: &[f64], middle: f64, scale: f64) -> f64 {
    let scale = if scale > 0.0 { scale } else { 1.0 };
    after.iter().map(|value| (value - middle).abs() / scale).fold(0.0, f64::max)
}

fn strongest(
    evidence: &Evidence,
    at: Timestamp,
    score: impl Fn(&[f64], &[f64]) -> f64,
) -> Option<Guess> {
    let mut best: Option<(f64, &Series)> = None;
    for series in evidence.series.all() {
        let track = values(evidence, series);
        let split = |range: TimeRange| -> Vec<f64> {
            track.within(range).iter().map(|p| p.value).filter(|v| v.is_finite()).collect()
        };
        let before = split(TimeRange::new(Timestamp::MIN, at));
        let after = split(TimeRange::new(at, Timestamp::MAX));
        if before.len() < 4 || after.is_empty() {
            continue;
        }
        let score = score(&before, &after);
        if best.is_none_or(|(known, _)| score > known) {
            best = Some((score, series));
        }
    }
    let (_, series) = best?;
    Some(Guess {
        mode: stands_for(series.labels.metric()),
        target: target(evidence, series),
        named_at: None,
        onset: None,
    })
}

/// A counter's rate, anything else as it is.
fn values(evidence: &Evidence, series: &Series) -> Track {
    let metric = series.labels.metric();
    let instance = series.labels.get("instance").unwrap_or_default();
    let counter = ["_total", "_count", "_sum"].iter().any(|suffix| metric.ends_with(suffix));
    let same = |labels: &crate::model::Labels| *labels == series.labels;
    if counter {
        evidence.series.rate(metric, instance, same)
    } else {
        evidence.series.gauge(metric, instance, same)
    }
}

fn target(evidence: &Evidence, series: &Series) -> Option<Target> {
    let instance = series.labels.get("instance")?;
    if let Some(store) = evidence.nodes.store_of_instance(instance) {
        return Some(Target::store(&evidence.nodes.stores[store]));
    }
    let members: BTreeMap<String, &String> = evidence
        .pd
        .listed
        .keys()
        .filter_map(|name| Some((evidence.nodes.instance_of_member(name)?, name)))
        .collect();
    members.get(instance).map(|name| Target::member(name, evidence.nodes.member_address(name)))
}

/// The mode that somebody who sees only this metric would name.
fn stands_for(metric: &str) -> &'static str {
    let table = [
        ("up", "store_crash"),
        ("process_start_time", "store_restart"),
        ("scrape_duration", "slow_network"),
        ("tikv_server_report_failure", "store_crash"),
        ("tikv_raftstore_message_recv", "store_partition"),
        ("raft_engine_sync", "slow_disk"),
        ("tikv_raftstore_disk_probe", "slow_disk"),
        ("tikv_raftstore_append_log", "slow_disk"),
        ("tikv_raftstore_store_write", "slow_disk"),
        ("tikv_raftstore_slow_score", "slow_disk"),
        ("tikv_grpc_msg", "traffic_surge"),
        ("tikv_pd_request", "pd_leader_crash"),
        ("etcd_disk", "pd_overloaded"),
        ("etcd_network", "slow_network"),
        ("process_resident", "oom_kill"),
        ("tikv_store_size", "disk_full"),
        ("tikv_thread_cpu", "cpu_starved"),
        ("process_cpu", "cpu_starved"),
        ("tikv_batch_system", "cpu_starved"),
        ("tikv_yatp", "cpu_starved"),
        ("tikv_engine_write_stall", "write_stall"),
    ];
    let found = table.iter().find(|(prefix, _)| metric.starts_with(prefix));
    found.map_or("", |(_, mode)| mode)
}
