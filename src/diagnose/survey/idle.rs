//! Work that a node never does while its peers do it all the while.
//!
//! It departs from no past. Were events to come to any of `k` nodes alike, none of `n` would come to one of them with
//! a probability of `(1 - 1/k)^n`: of a thousand events at three nodes, less than 10^-170. Whether the node had any
//! work to do is left to who judges.

use super::beyond::{LEAST, ODD};
use super::standing_out::StandingOut;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::{TimeRange, Timestamp};

/// How much every peer must do, in events a second.
const WORKS: f64 = 1.0;
/// How much at most an idle node does, in events a second: one in a hundred of what each peer does at least.
const IDLE: f64 = 0.01;

/// The whole time as one stretch, where a node does nothing and each of its peers works. `known` is the time in which
/// the node was scraped.
pub fn idle(track: &Track, peers: &[&Track], known: TimeRange) -> Option<StandingOut> {
    let works = |peer: &&Track| {
        let at_work = peer.values().filter(|value| *value >= WORKS).count();
        peer.0.len() >= LEAST && peer.0.len() - at_work <= peer.0.len() / ODD
    };
    let is_idle = track.values().all(|value| value <= IDLE);
    if peers.len() < 2 || !is_idle || !peers.iter().all(works) {
        return None;
    }
    let done = median(peers.iter().filter_map(|peer| median(peer.values())))?;
    Some(StandingOut {
        onset: known.start,
        first: known.start,
        end: None,
        baseline: done,
        typical: 0.0,
        peak: 0.0,
        times: done / IDLE,
    })
}

/// The time that tracks cover.
pub fn covered(tracks: &[&Track]) -> TimeRange {
    let points = || tracks.iter().flat_map(|track| &track.0);
    let start = points().map(|point| point.since).min().unwrap_or(Timestamp::MIN);
    let end = points().map(|point| point.at).max().unwrap_or(start);
    TimeRange::new(start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_nothing_beside_peers_that_work_is_found() {
        let every = |value: f64, steps: usize| Track::every(30_000, vec![value; steps]);
        let (busy, quiet, none) = (every(20.0, 20), every(0.2, 20), every(0.0, 20));
        let known = covered(&[&busy]);
        let found = idle(&none, &[&busy, &busy], known).expect("it does nothing");
        assert_eq!((found.baseline, found.typical, found.times), (20.0, 0.0, 2_000.0));
        assert!(idle(&Track(Vec::new()), &[&busy, &busy], known).is_some(), "nothing is recorded");
        assert_eq!(idle(&none, &[&busy, &quiet], known), None);
        assert_eq!(idle(&none, &[&busy], known), None, "one peer alone");
        assert_eq!(idle(&quiet, &[&busy, &busy], known), None, "it does a little");
        assert_eq!(idle(&none, &[&every(20.0, 11), &busy], known), None);
    }
}
