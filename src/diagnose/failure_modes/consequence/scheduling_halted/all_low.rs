//! Every store is low on space: PD gives regions to none of them while regions wait for it.

use crate::diagnose::findings::finding::{FindingKind, Target, counted, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::{ObservedWindow, REGIONS};
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::model::{Labels, TimeRange, Timestamp};

/// From how many empty regions on PD has something to merge: tables that were dropped leave more.
const EMPTY: f64 = 100.0;

/// From which used share on PD calls a store low on space, where its configuration is unknown
/// (`low-space-ratio`).
const RATIO: f64 = 0.8;
/// How long that must last at every store, in milliseconds.
const LASTS_MS: i64 = 300_000;

/// The claim of a cluster in which PD calls every store low on space, so that nothing is balanced, repaired or merged,
/// while regions wait for that: `lacks_peers` says whether any lack a peer in a stretch.
pub fn claim(
    observed: &ObservedWindow<'_>,
    lacks_peers: impl Fn(&ObservedWindow<'_>, TimeRange) -> bool,
) -> Option<Claim> {
    let (evidence, open) = (observed.evidence, observed.open());
    let ratio = evidence.pd.config.get("schedule.low-space-ratio");
    let ratio: f64 = ratio.and_then(|ratio| ratio.parse().ok()).unwrap_or(RATIO);
    let present = |history: &&StoreHistory| !history.is_tiflash && !history.is_removed();
    let stores: Vec<&StoreHistory> = evidence.pd.stores.values().filter(present).collect();
    let low = stores.iter().map(|history| low_since(history, 1.0 - ratio));
    let low: Vec<(Timestamp, f64)> = low.collect::<Option<_>>()?;
    let since = low.iter().map(|(since, _)| *since).max()?;
    let range = TimeRange::new(since, open.max(since));
    if stores.len() < 2 || range.millis() < LASTS_MS {
        return None;
    }
    let empty = empty_regions(observed, since);
    if empty.is_none() && !lacks_peers(observed, range) {
        return None;
    }
    let most = low.iter().map(|(_, free)| *free).fold(0.0, f64::max);
    let waiting = empty.map_or("regions lack peers".to_owned(), |count| {
        format!("{} wait to be merged", counted(count as u64, "empty region"))
    });
    let mut claim = Claim::new(Target::cluster(), since, 10_000, 0.7);
    let reading = crossing(Crossing {
        kind: FindingKind::OperatorsStill,
        target: Target::cluster(),
        range,
        uncertainty_ms: 10_000,
        lasts: true,
        text: format!(
            "PD calls every store low on space, {} % free at most, while {waiting}",
            number(most * 100.0)
        ),
        read: ("PD /stores available", number(most)),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(since));
    Some(claim)
}

/// Since when a store has had less than this share of its disk free, and how much it has at last; `None` where it
/// has more, or PD does not say.
fn low_since(history: &StoreHistory, limit: f64) -> Option<(Timestamp, f64)> {
    let (_, last) = history.free.last()?;
    let low = history.free.iter().rev().take_while(|(_, free)| *free < limit);
    let (since, _) = low.last()?;
    Some((*since, *last))
}

/// The fewest empty regions that PD's leader has counted since then; `None` where they are few.
fn empty_regions(observed: &ObservedWindow<'_>, since: Timestamp) -> Option<f64> {
    let (series, nodes) = (&observed.evidence.series, &observed.evidence.nodes);
    let leader = observed.evidence.pd.leader_at(observed.open())?;
    let instance = nodes.instance_of_member(leader)?;
    let is_empty = |labels: &Labels| labels.get("type") == Some("empty-region-count");
    let counted = series.gauge(REGIONS, &instance, is_empty);
    let least = counted.within(TimeRange::new(since, Timestamp::MAX)).iter().map(|one| one.value);
    least.reduce(f64::min).filter(|least| *least >= EMPTY)
}
