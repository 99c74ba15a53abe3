//! Numbers that must agree whatever the load, and do not.
//!
//! Each region has one leader, which PD knows within a heartbeat of the region, 60 s; and PD learns how many peers and
//! leaders a store has from what the store itself counts. Where the numbers differ for minutes, regions have no leader,
//! or PD decides by a picture that is wrong.

use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::{LEADERS, ObservedWindow};
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::observations::tracks::Track;
use crate::model::{RegionCounts, TimeRange, Timestamp};
use crate::nodes::StoreNode;

/// How long numbers must differ, in milliseconds: five heartbeats of a region.
const LASTS_MS: i64 = 300_000;
/// By how much they must, as a part of all regions and in regions: while regions split and move, counts of
/// different instants differ by a few.
const PART: f64 = 0.2;
const APART: u64 = 10;
/// How far apart two listings of the stores are, in milliseconds.
const LISTED_MS: i64 = 10_000;
/// How long before and after a listing what a store counted itself may be what PD lists, in milliseconds: two
/// heartbeats of a region.
const LATE_MS: i64 = 120_000;
/// How sure such a contradiction is a fault.
const SURE: f64 = 0.6;

/// The claims of contradictions that last to the end.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let stores = observed.evidence.nodes.stores.iter();
    let miscounted = stores.filter_map(|store| miscounted(observed, store));
    without_leader(observed).into_iter().chain(miscounted).collect()
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

/// What PD lists of a store, as the store's own gauge has it in the label `type`.
type Count = (&'static str, &'static str, fn(RegionCounts) -> u64);

/// The counts that both PD and the store have.
const COUNTS: [Count; 2] = [
    ("leader", "leader_count", |counts| counts.leaders),
    ("region", "region_count", |counts| counts.regions),
];

/// PD counts another number of leaders or peers at a store than the store itself: it decides by what it counts.
fn miscounted(observed: &ObservedWindow<'_>, store: &StoreNode) -> Option<Claim> {
    let pd = &observed.evidence.pd;
    let history = pd.stores.get(&store.id?).filter(|one| !one.is_removed() && !one.is_tiflash)?;
    let instance = store.instance.as_deref()?;
    COUNTS.iter().find_map(|(kind, listed, of)| {
        let own =
            observed.evidence.series.gauge(LEADERS, instance, |l| l.get("type") == Some(*kind));
        let by_pd = |at: Timestamp| history.counts_at(at).map(of);
        let differ = |at: &Timestamp| {
            by_pd(*at).is_some_and(|listed| is_another(listed, &own_about(&own, *at)))
        };
        let lately = lately(observed);
        let last = *lately.last()?;
        if !lately.iter().all(differ) {
            return None;
        }
        let since = pd.listings.iter().rev().copied().take_while(|at| differ(at)).last()?;
        let (by_pd, by_store) = (by_pd(last)?, own.last_by(last)?.value);
        let name = store.name();
        let text = format!("PD counts {by_pd} {kind}s at {name}, which has {by_store}");
        let read = (format!("PD /stores {listed}"), by_pd.to_string());
        let at = (since, last);
        let mut target = match pd.leader_at(last) {
            Some(leader) => Target::member(leader, observed.evidence.nodes.member_address(leader)),
            None => Target::cluster(),
        };
        target.concerns = vec![name];
        Some(claim(observed, at, target, text, (&read.0, read.1)))
    })
}

/// What a store counted itself about the time of a listing.
fn own_about(own: &Track, at: Timestamp) -> Vec<f64> {
    let range =
        TimeRange::new(at.saturating_add_millis(-LATE_MS), at.saturating_add_millis(LATE_MS + 1));
    own.within(range).iter().map(|point| point.value).collect()
}

/// Whether a number is far from each that a store counted itself, and on the same side of all: none is where the store
/// was not seen.
fn is_another(listed: u64, own: &[f64]) -> bool {
    let listed = listed as f64;
    let least = own.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_far = |one: f64| {
        let apart = (one - listed).abs();
        apart >= APART as f64 && apart >= PART * one.max(listed)
    };
    let one_sided = listed < least || listed > greatest;
    !own.is_empty() && one_sided && is_far(least) && is_far(greatest)
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

    #[test]
    fn a_store_counts_another_number_where_all_its_values_are_far_on_one_side() {
        assert!(is_another(40, &[53.0, 53.0]));
        assert!(is_another(53, &[40.0, 41.0]));
        assert!(!is_another(45, &[53.0, 53.0]), "eight leaders");
        assert!(!is_another(85, &[100.0, 100.0]), "less than a fifth");
        assert!(!is_another(40, &[53.0, 42.0]), "it was about as many a moment ago");
        assert!(!is_another(40, &[53.0, 20.0]), "it passed that number");
        assert!(!is_another(40, &[]), "the store was not seen");
    }

    #[test]
    fn what_a_store_counted_about_a_listing_is_of_two_minutes_before_and_after() {
        let own = Track::every(30_000, (1..=20).map(f64::from));
        let about = own_about(&own, Timestamp::from_millis(300_000));
        assert_eq!((about.first(), about.last()), (Some(&6.0), Some(&14.0)));
    }
}
