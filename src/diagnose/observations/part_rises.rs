//! Rises of the load of a few stores in a large cluster: of a table, a tenant or a hot region.
//!
//! The sum over all stores hides what few of them have more. Load that moved from other stores, or with leaders,
//! is no rise.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::{Departure, departures};
use crate::diagnose::observations::load::{Load, before_and_in, total};
use crate::diagnose::observations::rises::{Hot, Rise, brought_along, new_departures};
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::thresholds::DepartureThreshold;
use crate::model::Component;

/// A store's requests, half as many again for a minute. One store's load is less steady than the sum of all, and a
/// large cluster has many stores that may rise by chance.
const OF_A_STORE: DepartureThreshold =
    DepartureThreshold { name: "part", ratio: 1.5, floor: 20.0, hold: 4, baseline: 4 };

/// The fewest stores of a cluster of which a part is looked at: where there are fewer, two stores with half as many
/// requests again show in the sum, or are half of the cluster.
const LARGE: usize = 8;

/// The part of what the stores have more that the others must have less, for load to have moved between them.
const MOVED: f64 = 0.5;

/// Rises of the load of a part of the stores, ascending by onset, apart from `whole`, those of all. One store alone
/// counts where PD names a region of its that takes most of the flow; several as they rise together.
pub(super) fn part_rises(evidence: &Evidence, load: &Load, whole: &[Rise]) -> Vec<Rise> {
    let served = load.requests.iter().filter(|track| !track.0.is_empty()).count();
    if served < LARGE {
        return Vec::new();
    }
    let open = evidence.as_of.saturating_add_millis(1);
    let is_known = |departure: &Departure| {
        whole.iter().any(|rise| rise.departure.range(open).overlaps(&departure.range(open)))
    };
    let mut risen: Vec<(Departure, usize)> = Vec::new();
    for (store, own) in load.requests.iter().enumerate() {
        let own = departures(own, OF_A_STORE).into_iter();
        risen.extend(own.filter(|one| !is_known(one)).map(|one| (one, store)));
    }
    risen.sort_by_key(|(departure, store)| (departure.onset, *store));
    let interval = evidence.longest_interval(Component::Tikv);
    let together =
        |a: &(Departure, usize), b: &(Departure, usize)| b.0.onset - a.0.onset <= 2 * interval;
    let groups = risen.chunk_by(together);
    groups.filter_map(|group| rise_of(evidence, load, group)).collect()
}

/// The rise of stores whose requests rose about the same time; `None` where it is not theirs.
fn rise_of(evidence: &Evidence, load: &Load, group: &[(Departure, usize)]) -> Option<Rise> {
    let mut part: Vec<usize> = group.iter().map(|(_, store)| *store).collect();
    part.sort_unstable();
    part.dedup();
    let open = evidence.as_of.saturating_add_millis(1);
    let of_part = total(evidence, &only(&load.requests, |store| part.contains(&store)));
    let all = new_departures(evidence, &of_part, OF_A_STORE).into_iter();
    let range = group[0].0.range(open);
    let departure = all.into_iter().find(|one| one.range(open).overlaps(&range))?;
    let rise = Rise::new(evidence, load, departure, part);
    let is_its = |hot: &Hot| evidence.nodes.store(hot.region.store) == Some(rise.part[0]);
    let is_theirs = rise.part.len() > 1 || rise.hot.iter().any(is_its);
    let is_new =
        is_theirs && !came_from_others(evidence, load, &rise) && !brought_along(evidence, &rise);
    is_new.then_some(rise)
}

/// Whether other stores have so much less meanwhile that the load may have moved.
fn came_from_others(evidence: &Evidence, load: &Load, rise: &Rise) -> bool {
    let others = total(evidence, &only(&load.requests, |store| !rise.part.contains(&store)));
    let range = rise.departure.range(evidence.as_of.saturating_add_millis(1));
    let (before, now) = before_and_in(&others, range);
    let added: f64 = rise.part.iter().map(|store| rise.added(*store)).sum();
    before - now >= MOVED * added
}

/// The tracks of some stores, in the place of all.
fn only(tracks: &[Track], keep: impl Fn(usize) -> bool) -> Vec<Track> {
    let own = tracks.iter().enumerate();
    own.map(|(store, track)| if keep(store) { track.clone() } else { Track::default() }).collect()
}
