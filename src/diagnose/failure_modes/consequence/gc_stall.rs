//! The GC safe point or a resolved timestamp stands still.

use std::collections::BTreeMap;

use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, seconds};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::{Stretch, above};
use crate::model::{TimeRange, Timestamp};
use crate::nodes::StoreNode;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "gc_stall",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "the GC safe point or a resolved timestamp stands still",
    said: Some("the GC safe point or a resolved timestamp stood still"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &[GAP, GAP_REGION],
    surest: 0.8,
    advice: Advice {
        check: "curl PD:2379/pd/api/v1/gc/safepoint: which service holds it back?",
        remedy: "end the backup, CDC task or transaction that holds it (a change)",
        risk: "a task that lost its safe point has to start over",
        documentation: "https://docs.pingcap.com/tidb/stable/garbage-collection-overview",
        section: None,
    },
    judge,
};

/// GC runs every ten minutes by default (`tidb_gc_run_interval`); three missed rounds are a stall, in
/// milliseconds. A cluster that never had a safe point runs no GC, such as one used through the raw API.
const STALL_MS: i64 = 30 * 60_000;

/// How many rounds of GC in the window are needed to know its usual interval.
const ROUNDS: usize = 3;

/// The shortest stall in milliseconds: PD is asked for the safe point once a minute, and three equal
/// answers are the fewest that can be a stall.
const SHORTEST_MS: i64 = 180_000;

/// The stretch over which the cluster's safe point stood still, and whether it moved again.
fn stall(moves: &[Timestamp], open: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    for (index, since) in moves.iter().enumerate() {
        let next = moves.get(index + 1).copied();
        let mut rounds: Vec<i64> =
            moves[..=index].windows(2).map(|pair| pair[1] - pair[0]).collect();
        rounds.sort_unstable();
        // When the first value began is unknown.
        let usual = (rounds.len() >= ROUNDS).then(|| rounds[rounds.len() / 2]);
        let longest = usual.map_or(STALL_MS, |usual| (3 * usual).max(SHORTEST_MS));
        if next.unwrap_or(open) - *since >= longest {
            return Some((*since, next));
        }
    }
    None
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = resolved(observed);
    let Some(stands) = safe_point(observed) else { return found };
    // A change feed, and GC behind it, wait for the least resolved timestamp.
    let follows = |one: &&mut Claim| {
        stands.onset >= one.onset.saturating_add_millis(-STALL_MS)
            && one.end.is_none_or(|end| end >= stands.onset)
    };
    match found.iter_mut().find(follows) {
        Some(deeper) => deeper.readings.extend(stands.readings),
        None => found.push(stands),
    }
    found
}

/// The gap between a store's clock and the least resolved timestamp of its regions, in milliseconds.
const GAP: &str = "tikv_resolved_ts_min_resolved_ts_gap_millis";
/// The region with that timestamp.
const GAP_REGION: &str = "tikv_resolved_ts_min_resolved_ts_region";

/// How far a resolved timestamp must lag, in milliseconds. TiKV advances it every 20 s at most
/// (`resolved-ts.advance-ts-interval`), but not past the start of a transaction that still holds locks.
const LAGS_MS: f64 = 300_000.0;

/// A claim for each store whose least resolved timestamp lags, or for the cluster where all of them do.
fn resolved(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let series = &observed.evidence.series;
    let stores = observed.evidence.nodes.stores.iter().enumerate();
    let scraped: Vec<(usize, &StoreNode, &str)> = stores
        .filter_map(|(index, store)| Some((index, store, store.instance.as_deref()?)))
        .filter(|(_, _, instance)| series.of(GAP, instance).next().is_some())
        .collect();
    if scraped.is_empty() {
        return by_pd(observed).into_iter().collect();
    }
    let mut found: BTreeMap<usize, Claim> = BTreeMap::new();
    for (index, store, instance) in &scraped {
        let gaps = series.gauge(GAP, instance, |_| true);
        if let Some(stretch) = above(&gaps, LAGS_MS, 2).into_iter().next() {
            found.insert(*index, lagging(observed, (*index, store, instance), stretch));
        }
    }
    let all = found.len() >= 2 && found.len() == scraped.len();
    let mut claims: Vec<Claim> = found.into_values().collect();
    if all {
        claims.sort_by_key(|claim| claim.onset);
        claims.truncate(1);
        claims[0].target = Target::cluster();
    }
    claims
}

/// The claim of a store whose least resolved timestamp lags. It stood still as long before the first sample
/// as that sample says.
fn lagging(
    observed: &ObservedWindow<'_>,
    (index, store, instance): (usize, &StoreNode, &str),
    stretch: Stretch,
) -> Claim {
    let series = &observed.evidence.series;
    let gaps = series.gauge(GAP, instance, |_| true);
    let first = gaps.last_by(stretch.range.start).map_or(LAGS_MS, |point| point.value);
    let since = stretch.range.start.saturating_add_millis(-(first as i64));
    let since = since.max(observed.evidence.window.start);
    let regions = series.gauge(GAP_REGION, instance, |_| true);
    let region = regions.last_by(stretch.range.end).filter(|point| point.value > 0.0);
    let mut target = Target::store(store);
    target.concerns.extend(region.map(|point| format!("region {}", point.value)));
    let uncertainty_ms = series.interval_of(instance);
    let mut claim = Claim::new(target.clone(), since, uncertainty_ms, 0.8);
    claim.stores = vec![index];
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let of_region = target.concerns.first().map_or(String::new(), |name| format!(" of {name}"));
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SafePointStill,
        target,
        range: stretch.range,
        uncertainty_ms,
        lasts: stretch.lasts,
        text: format!(
            "the least resolved timestamp{of_region} lags up to {} behind",
            seconds(stretch.peak / 1000.0)
        ),
        read: (&format!("{GAP}{{instance=\"{instance}\"}}"), format!("{first}")),
        plot: vec![plot(GAP, PlotHow::Gauge, instance)],
    }));
    claim.unchecked_now("what holds it back", "tikv-ctl get-region-read-progress -r REGION")
}

/// The claim by PD's answers, where the stores do not export their gap.
fn by_pd(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let answers = &observed.evidence.pd.resolved;
    let lags = |at: Timestamp, since: Timestamp| (at - since) as f64 >= LAGS_MS;
    let first = answers.iter().find(|one| lags(one.until, one.answer.instant()))?;
    let over = answers.iter().find(|one| one.at > first.at && !lags(one.at, one.answer.instant()));
    let store = first.answer.store.and_then(|id| observed.evidence.nodes.store(id));
    let target = store.map_or_else(Target::cluster, |index| {
        Target::store(&observed.evidence.nodes.stores[index])
    });
    let since = first.answer.instant().max(observed.evidence.window.start);
    let mut claim = Claim::new(target.clone(), since, 15_000, 0.75);
    claim.stores.extend(store);
    claim.end = over.map(|one| one.at);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SafePointStill,
        target,
        range: TimeRange::new(first.at, over.map_or(observed.open(), |one| one.at)),
        uncertainty_ms: 15_000,
        lasts: over.is_none(),
        text: "the least resolved timestamp of all stores does not move".to_owned(),
        read: ("PD /min-resolved-ts", first.answer.cluster.to_string()),
        plot: Vec::new(),
    }));
    Some(claim)
}

/// The claim of a safe point that stands still.
fn safe_point(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let points: Vec<_> =
        observed.evidence.pd.safe_points.iter().filter(|(_, point)| point.cluster > 0).collect();
    let moved = points.chunk_by(|a, b| a.1.cluster == b.1.cluster);
    let moves: Vec<Timestamp> = moved.filter_map(|same| Some(same.first()?.0)).collect();
    let (since, end) = stall(&moves, observed.open())?;
    let until = end.unwrap_or(observed.open());
    let (_, point) = points.iter().rev().find(|(at, _)| *at < until)?;
    let mut target = Target::cluster();
    target.concerns.extend(point.holder.iter().map(|(service, _)| format!("service {service}")));
    let mut claim = Claim::new(target.clone(), since, 60_000, 0.75);
    claim.end = end;
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SafePointStill,
        target,
        range: TimeRange::new(since, until),
        uncertainty_ms: 60_000,
        lasts: end.is_none(),
        text: match &point.holder {
            Some((service, _)) => {
                format!("the safe point does not move; {service} holds the least")
            }
            None => "the safe point does not move, and no service holds it".to_owned(),
        },
        read: ("PD /gc/safepoint", point.cluster.to_string()),
        plot: Vec::new(),
    }));
    Some(claim)
}
