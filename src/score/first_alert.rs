//! The bundled alert rules as a baseline of diagnosis: the first critical alert names the cause.
//!
//! Like the other baselines it is told when the injection was; what fires before does not count.

use std::path::Path;

use crate::capture::CaptureError;
use crate::diagnose::{Evidence, Target};
use crate::model::{Labels, StoreId, Timestamp, escape_path};
use crate::promql::{Engine, EngineOptions, StorageError};
use crate::rules::{
    self, AlertHistory, AlertState, External, MOST_EVALUATIONS, Near, RuleReport, Settings,
};
use crate::score::Guess;
use crate::session::{Session, window_of_steps};

/// The name in tables.
pub const NAME: &str = "first critical alert";

/// The interval of evaluation, Prometheus's own default in the bundled environment.
const INTERVAL_MS: i64 = 15_000;

/// What the first critical alert at or after `at` would make somebody say; `None` where none
/// fires. Alerts that fire at the same evaluation count in the order of the rule file.
///
/// # Errors
///
/// Where the capture cannot be read.
pub fn guess(path: &Path, evidence: &Evidence, at: Timestamp) -> anyhow::Result<Option<Guess>> {
    let cannot = || format!("cannot replay rules over {}", escape_path(path));
    let session = Session::open(path)?;
    let storage = session.storage();
    let files = rules::bundled();
    storage.announce(rules::metrics_read(&files));
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let window = window_of_steps(session.reader(), INTERVAL_MS, MOST_EVALUATIONS)?;
    let external = External::default();
    let settings = Settings {
        window,
        run_in_from: session.reader().run_in_from(window),
        interval_ms: INTERVAL_MS,
        metrics: &[],
        external,
        near: Near::None,
    };
    let report = rules::replay(&files, &storage, &engine, &settings)
        .map_err(|error| as_it_is(error).context(cannot()))?;
    let fired = report.rules().enumerate().flat_map(|(place, rule)| {
        fires(rule, at).map(move |(when, alert)| (when, place, rule, alert))
    });
    let first = fired.min_by_key(|(when, place, ..)| (*when, *place));
    Ok(first.map(|(when, _, rule, alert)| Guess {
        mode: stands_for(&rule.name),
        target: target(evidence, &alert.labels),
        named_at: Some(when),
        onset: alert
            .changes
            .iter()
            .filter(|change| change.from == AlertState::Inactive && change.at <= when)
            .map(|change| change.at)
            .max(),
    }))
}

/// When each critical alert of a rule began to fire.
fn fires(rule: &RuleReport, at: Timestamp) -> impl Iterator<Item = (Timestamp, &AlertHistory)> {
    let critical = rule
        .alerts
        .iter()
        .filter(|alert| matches!(alert.labels.get("severity"), Some("critical" | "emergency")));
    critical.filter_map(move |alert| {
        let mut began = alert.changes.iter().filter(|change| change.to == AlertState::Firing);
        began.find(|change| change.at >= at).map(|change| (change.at, alert))
    })
}

fn target(evidence: &Evidence, labels: &Labels) -> Option<Target> {
    let by_id = labels.get("store_id").or(labels.get("store")).and_then(|id| id.parse().ok());
    let store = by_id
        .and_then(|id| evidence.nodes.store(StoreId(id)))
        .or_else(|| evidence.nodes.store_of_instance(labels.get("instance").unwrap_or_default()));
    if let Some(store) = store {
        return Some(Target::store(&evidence.nodes.stores[store]));
    }
    let member = labels.get("name").or(labels.get("instance"))?;
    let is_it = |name: &&String| {
        *name == member || evidence.nodes.instance_of_member(name).as_deref() == Some(member)
    };
    let name = evidence.pd.listed.keys().find(is_it)?;
    Some(Target::member(name, evidence.nodes.member_address(name)))
}

/// The mode that somebody who sees only this alert would name, by what its rule says.
fn stands_for(alert: &str) -> &'static str {
    match alert {
        "TargetDown" | "PeersUnreachable" | "StoreUnhealthy" | "StoreDown" => "store_crash",
        "StoreSlow" | "RaftAppendSlow" | "RaftReadySlow" | "RaftLogLag" | "HostDiskSlow" => {
            "slow_disk"
        }
        "PdNoLeader" => "pd_quorum_loss",
        "PdMemberUnhealthy" => "pd_follower_crash",
        "PdEtcdSlowDisk" => "pd_overloaded",
        "PdClockJumped" => "clock_drift",
        "PeersWithoutLeader" | "RegionsShortOfPeers" => "region_unavailable",
        "CriticalError" => "data_corruption",
        "RaftApplySlow" | "ApplyBusy" => "apply_bound",
        "RaftstoreBusy" | "ChannelFull" => "raftstore_bound",
        "LatchWaitSlow" => "scheduler_busy",
        "WriteStall" | "Level0Files" | "EngineWriteSlow" | "EngineSnapshotSlow" => "write_stall",
        "CoprocessorErrors" | "CoprocessorWaitSlow" => "coprocessor_pressure",
        "GarbageStays" => "gc_stall",
        "StoreLowSpace" | "HostLowSpace" => "disk_full",
        "HostFilesystemReadOnly" => "disk_hang",
        "MemoryNearQuota" | "MemoryGrowsFast" | "HostOutOfMemory" | "HostLowMemory" => "oom_kill",
        "ProcessorsNearQuota" | "HostBusy" => "cpu_starved",
        _ => "",
    }
}

/// The error of a storage; that of a capture decides on the exit code.
fn as_it_is(error: StorageError) -> anyhow::Error {
    match error.downcast::<CaptureError>() {
        Ok(error) => anyhow::Error::new(*error),
        Err(error) => anyhow::anyhow!(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleKind;

    /// Every critical rule that is bundled stands for a mode, unless it names none on purpose.
    #[test]
    fn every_critical_alert_stands_for_a_mode() {
        let files = rules::bundled();
        let rules = files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules);
        for rule in rules.filter(|rule| matches!(rule.kind, RuleKind::Alert { .. })) {
            let critical = rule.labels.iter().any(|(name, value)| {
                name == "severity" && format!("{value:?}").contains("critical")
            });
            assert!(!critical || !stands_for(&rule.name).is_empty(), "{}", rule.name);
        }
    }
}
