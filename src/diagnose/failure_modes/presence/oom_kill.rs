//! A store was killed for its memory: it rose to the limit just before the process died.

use crate::diagnose::failure_modes::presence::store_presence::{claim, unplanned};
use crate::diagnose::failure_modes::presence::{store_crash, store_flap, store_restart};
use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Outage, Presence};
use crate::model::{LogKind, TimeRange, Timestamp};
use crate::nodes::NodeIndex;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "oom_kill",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process was killed for its memory",
    subsumes: &[&store_crash::MODE, &store_restart::MODE, &store_flap::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[RSS, QUOTA, START],
    judge,
};

const RSS: &str = "process_resident_memory_bytes";
const START: &str = "process_start_time_seconds";
const QUOTA: &str = "tikv_server_memory_quota_bytes";

/// The share of the limit from which on memory was near it: the kernel kills at the limit, and the last
/// scrape may be one interval before that.
const NEAR_QUOTA: f64 = 0.8;

/// How many times memory must have grown within the two minutes before, where the limit is unknown, to
/// end at its highest: block cache and memtables fill over hours, except in the first minute of a
/// process.
const GREW: f64 = 2.0;
/// How far a line about a kill may lie from the last sign of the process and from the first missing one, in
/// milliseconds: signs are a scrape apart.
const LOG_SLACK_MS: i64 = 30_000;
/// The age in milliseconds up to which a process may still be filling its caches.
const YOUNG_MS: i64 = 60_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let died = unplanned(observed, Presence::Died);
    let found =
        died.filter_map(|outage| of_outage(observed, outage).or_else(|| by_log(observed, outage)));
    found.map(|claim| Claim { asks: None, ..claim }).collect()
}

/// The claim where a log says so, whatever memory was seen: it may rise between two scrapes.
fn by_log(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Claim> {
    let from = outage.last_sign.saturating_add_millis(-LOG_SLACK_MS);
    let range = TimeRange::new(from, outage.onset.saturating_add_millis(LOG_SLACK_MS));
    let says_so = observed.logged.iter().any(|(logged, _)| {
        logged.line.kind == LogKind::OutOfMemory
            && logged.node == Some(NodeIndex::Store(outage.store))
            && range.contains(logged.line.at)
    });
    says_so.then(|| claim(observed, outage, 0.97))
}

fn of_outage(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Claim> {
    let instance = observed.evidence.nodes.stores[outage.store].instance.as_deref()?;
    let rss = observed.evidence.series.gauge(RSS, instance, |_| true);
    let quota = observed.evidence.series.gauge(QUOTA, instance, |_| true);
    let last = rss.last_by(outage.onset)?;
    let before = TimeRange::new(last.at.saturating_add_millis(-150_000), last.at);
    let usual = rss.within(before).iter().map(|point| point.value).min_by(f64::total_cmp)?;
    let starts = observed.evidence.series.gauge(START, instance, |_| true);
    let young = starts.last_by(last.at).is_some_and(|start| {
        last.at - Timestamp::from_millis((start.value * 1000.0) as i64) < YOUNG_MS
    });
    let highest = rss.values().fold(0.0, f64::max);
    // The quota is read from the cgroup at start, so the new process may report it better.
    let limits = quota.values().filter(|limit| *limit > 0.0);
    let limit = limits.fold(f64::INFINITY, f64::min);
    let share = last.value / limit;
    let grew = last.value / usual.max(1.0);
    let near = share >= NEAR_QUOTA;
    if !(near || grew >= GREW && last.value >= highest && !young) {
        return None;
    }
    let mib = |bytes: f64| number(bytes / 1_048_576.0);
    let mut found = claim(observed, outage, if near { 0.98 } else { 0.8 });
    found.readings.push(crossing(Crossing {
        kind: FindingKind::MemoryRose,
        target: Target::store(&observed.evidence.nodes.stores[outage.store]),
        range: TimeRange::new(last.at, outage.onset),
        uncertainty_ms: outage.onset - last.at,
        lasts: false,
        text: format!(
            "resident memory stood at {} MiB before it died, {} shortly before, limit {}",
            mib(last.value),
            mib(usual),
            if limit.is_finite() { mib(limit) } else { "unknown".to_owned() }
        ),
        read: (&format!("{RSS}{{instance=\"{instance}\"}}"), number(last.value)),
        plot: vec![Plot {
            metric: RSS.to_owned(),
            how: PlotHow::Gauge,
            instance: instance.to_owned(),
            label: None,
        }],
    }));
    Some(found.unchecked("the kernel's log", "dmesg | grep -i 'killed process'"))
}
