//! Answers of PD that contradict each other.
//!
//! Some numbers must agree whatever the load: each region has one leader, which PD knows within a heartbeat of the
//! region, 60 s. Where they differ for minutes, regions have no leader, or PD decides by a picture that is wrong.

use crate::diagnose::findings::finding::{FindingKind, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::model::{TimeRange, Timestamp};

/// How long numbers must differ, in milliseconds: five heartbeats of a region.
const LASTS_MS: i64 = 300_000;
/// By how much they must, as a part of all regions and in regions: while regions split and move, counts of
/// different instants differ by a few.
const PART: f64 = 0.2;
const APART: u64 = 10;
/// How far apart two listings of the stores are, in milliseconds.
const LISTED_MS: i64 = 10_000;
/// How sure such a contradiction is a fault.
const SURE: f64 = 0.6;

/// The claims of contradictions that last to the end.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    without_leader(observed).into_iter().chain(low_beside_plenty(observed)).collect()
}

/// Whether stores lead so few of the regions that it is no matter of different instants.
fn are_apart(led: u64, regions: u64) -> bool {
    let without = regions.saturating_sub(led);
    without >= APART && without as f64 >= PART * regions as f64
}

/// The instants of the last minutes at which PD listed its stores; none where it has not for long enough.
fn lately<'a>(observed: &'a ObservedWindow<'_>) -> &'a [Timestamp] {
    let listings = &observed.evidence.pd.listings;
    let from = observed.open().saturating_add_millis(-LASTS_MS);
    let known = listings.first().is_some_and(|first| *first <= from);
    let by = listings.partition_point(|at| *at < from);
    if known { &listings[by..] } else { &[] }
}

/// The stores that are listed and not removed.
fn present<'a>(observed: &'a ObservedWindow<'_>) -> impl Iterator<Item = &'a StoreHistory> {
    observed.evidence.pd.stores.values().filter(|history| !history.is_removed())
}

/// PD counts far more regions than its stores lead.
fn without_leader(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let pd = &observed.evidence.pd;
    let led_at = |at: Timestamp| {
        present(observed).filter_map(|store| Some(store.counts_at(at)?.leaders)).sum::<u64>()
    };
    let regions_at = |at: Timestamp| {
        let by = pd.region_counts.partition_point(|(counted, _)| *counted <= at);
        pd.region_counts[..by].last().map(|(_, count)| *count)
    };
    let lacks =
        |at: &Timestamp| regions_at(*at).is_some_and(|regions| are_apart(led_at(*at), regions));
    let lately = lately(observed);
    let last = *lately.last()?;
    if !lately.iter().all(lacks) {
        return None;
    }
    let since = pd.listings.iter().rev().copied().take_while(|at| lacks(at)).last()?;
    let (led, regions) = (led_at(last), regions_at(last)?);
    let text = format!("PD counts {regions} regions, and stores lead {led} of them");
    let read = ("PD /stores leader_count", led.to_string());
    Some(claim(observed, (since, last), Target::cluster(), text, read))
}

/// From which used share on PD calls a store low on space, where its configuration is unknown, and moves regions away
/// from it (`low-space-ratio`).
const LOW_RATIO: f64 = 0.8;
/// How many times as much space is plenty.
const PLENTY: f64 = 2.0;
/// For how long PD must move nothing, in milliseconds: it looks for something to move within a minute.
const MOVES_NOTHING_MS: i64 = 600_000;

/// A store is low on space, another one has plenty, and PD moves no region.
fn low_beside_plenty(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let (pd, nodes) = (&observed.evidence.pd, &observed.evidence.nodes);
    let last = *pd.listings.last()?;
    let from = last.saturating_add_millis(-MOVES_NOTHING_MS);
    let moved = pd.operators.iter().any(|list| list.until >= from && !list.answer.is_empty());
    let asked = pd.operators.first().is_some_and(|list| list.at <= from);
    if moved || !asked {
        return None;
    }
    let ratio = pd.config.get("schedule.low-space-ratio").and_then(|ratio| ratio.parse().ok());
    let low = 1.0 - ratio.unwrap_or(LOW_RATIO);
    let holds = |store: &StoreHistory| {
        !store.is_tiflash && store.counts_at(last).is_some_and(|counts| counts.regions > 0)
    };
    let known: Vec<&StoreHistory> = present(observed).filter(|store| holds(store)).collect();
    let has_plenty = |store: &&&StoreHistory| {
        free_since(store, from).is_some_and(|(least, _)| least >= PLENTY * low)
    };
    known.iter().find(has_plenty)?;
    let (store, node) = nodes.stores.iter().enumerate().find(|(index, store)| {
        let history = store.id.and_then(|id| pd.stores.get(&id)).filter(|history| holds(history));
        let most = history.and_then(|history| free_since(history, from));
        !observed.leaving.contains(index) && most.is_some_and(|(_, most)| most < low)
    })?;
    let (_, most) = free_since(pd.stores.get(&node.id?)?, from)?;
    let percent = number((100.0 * most).round());
    let text = format!(
        "{percent} % of its space is free, another store has plenty, and PD moves no region"
    );
    let read = ("PD /stores available", number(most));
    let mut claim = claim(observed, (from, last), Target::store(node), text, read);
    claim.stores = vec![store];
    Some(claim)
}

/// The least and the greatest free share of a store's disk since an instant, at which it was known already.
fn free_since(store: &StoreHistory, from: Timestamp) -> Option<(f64, f64)> {
    let by = store.free.partition_point(|(at, _)| *at <= from);
    let known = store.free.get(by.checked_sub(1)?..)?.iter().map(|(_, free)| *free);
    Some((known.clone().reduce(f64::min)?, known.reduce(f64::max)?))
}

fn claim(
    observed: &ObservedWindow<'_>,
    (since, last): (Timestamp, Timestamp),
    target: Target,
    text: String,
    (reference, value): (&str, String),
) -> Claim {
    let mut claim = Claim::new(target.clone(), since, LISTED_MS, SURE);
    let reading = crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target,
        range: TimeRange::new(since, observed.open().max(since)),
        uncertainty_ms: LISTED_MS,
        lasts: true,
        text,
        read: (reference, value),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(last));
    claim.but("no failure mode is known that shows itself so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_without_a_leader_are_a_fifth_and_ten() {
        assert!(are_apart(80, 100));
        assert!(!are_apart(81, 100), "less than a fifth");
        assert!(!are_apart(31, 40), "nine regions");
        assert!(!are_apart(120, 100), "stores lead more than are counted");
    }
}
