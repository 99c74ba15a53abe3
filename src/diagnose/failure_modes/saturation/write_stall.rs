//! RocksDB cannot keep up and slows writers down or stops them, or flow control does so before it.

use std::collections::BTreeMap;

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::failure_modes::saturation::scheduler_busy::{self, BUSY, refusals};
use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::{Sample, Series, TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "write_stall",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "RocksDB stalls writers: compaction cannot keep up",
    said: Some("RocksDB stalled writers: compaction could not keep up"),
    // Commands that flow control delays or drops fill the scheduler, which then refuses others.
    subsumes: &[&scheduler_busy::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[REASONS, THROTTLE, DISCARD, PENDING, BUSY],
    surest: 0.9,
    advice: Advice {
        check: "grep Stalling in RocksDB's LOG; iostat -x 1 3 on its machine",
        remedy: "slow the writers; a faster disk, more sub-compactions (a change)",
        risk: "higher limits of pending bytes hide the debt and slow reads",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.3"),
    },
    judge,
};

const REASONS: &str = "tikv_engine_write_stall_reason";
const THROTTLE: &str = "tikv_scheduler_throttle_flow";
const DISCARD: &str = "tikv_scheduler_discard_ratio";
const PENDING: &str = "tikv_engine_pending_compaction_bytes";

/// What TiKV multiplies the discard ratio with, to export it as an integer (`RATIO_SCALE_FACTOR`).
const RATIO_SCALE: f64 = 1e7;

/// The debt of compaction, in bytes of one column family, from which on flow control drops writes
/// (`storage.flow-control.soft-pending-compaction-bytes-limit`, 192 GiB by default).
const SOFT_LIMIT: f64 = 192.0 * 1024.0 * 1024.0 * 1024.0;

/// A claim for each store whose writers are held up, by all that shows it.
fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut by_store: BTreeMap<Vec<usize>, Claim> = BTreeMap::new();
    let shown = [stalled(observed), dropped(observed), throttled(observed), in_debt(observed)];
    for claim in shown.into_iter().flatten() {
        match by_store.get_mut(&claim.stores) {
            Some(known) => add(known, claim),
            None => {
                by_store.insert(claim.stores.clone(), claim);
            }
        }
    }
    by_store.into_values().collect()
}

/// Adds what another claim shows about the same store. The onset is the earlier one; it is over when
/// both are.
fn add(known: &mut Claim, other: Claim) {
    if other.onset < known.onset {
        known.onset = other.onset;
        known.onset_uncertainty_ms = other.onset_uncertainty_ms;
    }
    known.end = known.end.zip(other.end).map(|(a, b)| a.max(b));
    known.confidence = known.confidence.max(other.confidence);
    known.readings.extend(other.readings);
}

/// RocksDB counts each time that it slowed down or stopped a writer. Stopping is a stall whatever
/// the load; slowing down must last two scrapes.
fn stalled(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: REASONS,
        how: PlotHow::Rate,
        kind: FindingKind::EngineStalled,
        text: |peak| {
            let meaning = "writers stopped or slowed down a second, over all reasons";
            format!("{meaning}: {}", number(peak))
        },
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.85,
    };
    let series = &observed.evidence.series;
    crossings(observed, &limit, |instance| series.rate(REASONS, instance, |_| true))
}

/// Flow control delays writers before RocksDB has to: its rate is set only then.
fn throttled(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: THROTTLE,
        how: PlotHow::Gauge,
        kind: FindingKind::EngineStalled,
        text: |peak| format!("flow control lets through, bytes a second: {}", number(peak)),
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.7,
    };
    let series = &observed.evidence.series;
    crossings(observed, &limit, |instance| series.gauge(THROTTLE, instance, |_| true))
}

/// Above the limit for the debt of compaction, flow control drops a part of the writes and delays none:
/// the ratio is the only trace.
fn dropped(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: DISCARD,
        how: PlotHow::Gauge,
        kind: FindingKind::EngineStalled,
        text: |peak| {
            let percent = number((100.0 * peak / RATIO_SCALE).min(100.0));
            format!("flow control drops up to {percent} % of the writes")
        },
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.9,
    };
    let series = &observed.evidence.series;
    crossings(observed, &limit, |instance| series.gauge(DISCARD, instance, |_| true))
}

/// Stores whose scheduler refuses commands while the debt of compaction is above the limit.
fn in_debt(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    refusals(observed).into_iter().filter_map(|claim| over_limit(observed, claim)).collect()
}

fn over_limit(observed: &ObservedWindow<'_>, mut claim: Claim) -> Option<Claim> {
    let known = &observed.evidence.nodes.stores[*claim.stores.first()?];
    let instance = known.instance.as_deref()?;
    let held = |series: &Series| last_by(series, claim.onset).map(|sample| sample.value);
    let debts = observed.evidence.series.of(PENDING, instance);
    let most = debts.max_by(|a, b| held(a).unwrap_or(0.0).total_cmp(&held(b).unwrap_or(0.0)))?;
    let sample = last_by(most, claim.onset).filter(|sample| sample.value >= SOFT_LIMIT)?;
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::EngineStalled,
        target: Target::store(known),
        range: TimeRange::new(sample.at, claim.end.unwrap_or(observed.open()).max(sample.at)),
        uncertainty_ms: observed.evidence.series.interval_of(instance),
        lasts: claim.end.is_none(),
        text: format!(
            "{} GiB wait for compaction, more than the 192 from which on writes are dropped",
            number(sample.value / 1024_f64.powi(3))
        ),
        read: (&most.labels.to_string(), number(sample.value)),
        plot: vec![plot(PENDING, PlotHow::Gauge, instance)],
    }));
    Some(claim)
}

/// The last sample at or before an instant.
fn last_by(series: &Series, instant: Timestamp) -> Option<Sample> {
    let by = series.samples.partition_point(|sample| sample.at <= instant);
    series.samples[..by].last().copied()
}
