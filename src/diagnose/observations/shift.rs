//! Shifts: load that concentrates on one store while its sum stays the same, as clients turn to few
//! regions.
//!
//! Load that rises is found in `rises`.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::departures::{Departure, departures, median};
use crate::diagnose::observations::load::{Load, before_and_in, mean_over};
use crate::diagnose::observations::rises::{Hot, Rise, hot_regions, kind_of_load};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::thresholds::SHIFT;
use crate::model::{TimeRange, Timestamp};
use crate::pd::FlowKind;

/// A shift of load to one store.
#[derive(Clone, Debug)]
pub struct Shift {
    /// The departure of the store's share of all requests, from 0 to 1.
    pub departure: Departure,
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// The store's requests a second, before and meanwhile.
    pub requests: (f64, f64),
    /// The store's writes a second, before and meanwhile.
    pub writes: (f64, f64),
    /// Whether reads or writes were added.
    pub kind: FlowKind,
    /// The region that takes most of the flow, of that kind where PD names one.
    pub hot: Hot,
    /// The findings that show the shift.
    pub findings: Vec<FindingRef>,
}

/// The least number of requests a second of which a share means anything.
const LEAST: f64 = 20.0;

/// Shifts of load to a store where PD names a region that takes most of the flow and that the
/// store leads. Load that moved with leaders is no shift, and load that rose is a [`Rise`].
pub fn shifts(evidence: &Evidence, load: &Load, rises: &[&Rise]) -> Vec<Shift> {
    let mut found = Vec::new();
    for (store, own) in load.requests.iter().enumerate() {
        for departure in departures(&share(own, &load.all), evidence.thresholds.of(SHIFT)) {
            let range = departure.range(evidence.as_of.saturating_add_millis(1));
            let rose = rises.iter().any(|rise| {
                rise.departure.range(evidence.as_of.saturating_add_millis(1)).overlaps(&range)
            });
            let Some(id) = evidence.nodes.stores[store].id else { continue };
            if rose || led_more(evidence, store, range) {
                continue;
            }
            let requests = before_and_in(own, range);
            let writes = before_and_in(&load.writes[store], range);
            let added = |(before, now): (f64, f64)| (now - before).max(0.0);
            let kind = kind_of_load(added(requests), added(writes));
            let hot = hot_regions(evidence, range, &[]).into_iter();
            let hot = hot.filter(|hot| hot.region.store == id).max_by_key(|hot| hot.kind == kind);
            let Some(hot) = hot else { continue };
            found.push(Shift {
                departure,
                store,
                requests,
                writes,
                kind,
                hot,
                findings: Vec::new(),
            });
        }
    }
    found
}

/// A store's share of all requests over time, from 0 to 1.
pub fn share(own: &Track, all: &Track) -> Track {
    let point = |total: &Point| {
        let own = mean_over(own, TimeRange::new(total.since, total.at))?;
        (total.value >= LEAST).then(|| Point { value: own / total.value, ..*total })
    };
    Track(all.0.iter().filter_map(point).collect())
}

/// Whether the store led clearly more regions in `range` than before.
fn led_more(evidence: &Evidence, store: usize, range: TimeRange) -> bool {
    let history = evidence.nodes.stores[store].id.and_then(|id| evidence.pd.stores.get(&id));
    let Some(history) = history else { return false };
    let leaders = |at: Timestamp| history.counts_at(at).map(|counts| counts.leaders as f64);
    let before = (1..=4).filter_map(|k| leaders(range.start.saturating_add_millis(-k * 15_000)));
    let within = (1..=4).filter_map(|k| leaders(range.start.saturating_add_millis(k * 15_000)));
    let (before, within) = (median(before).unwrap_or(0.0), median(within).unwrap_or(0.0));
    within >= before * 1.3 + 1.0
}
