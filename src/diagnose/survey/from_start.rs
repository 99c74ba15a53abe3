//! What one node shows from the first sample to the last, and its peers do not: it departs from no past, and from
//! nothing but them.
//!
//! Nodes differ by what they lead and hold, so every value of the node must be far above every value of each
//! peer. If the values of all nodes came from one distribution in any order, all `n` of one node would be the
//! greatest of `k` nodes with a probability of one in `kn` over `n` (the rank-sum test of Wilcoxon, 1945, at its
//! extreme): for twelve values of each of three nodes one in 10^9.

use super::beyond::throughout;
use super::standing_out::{StandingOut, TIMES};
use crate::diagnose::observations::tracks::Track;

/// How many times the greatest value of any peer every value must be.
pub(super) const BESIDE: f64 = 8.0;

/// The track as one stretch, where it lies `beside` times above `greatest`, the greatest value of any peer, from first
/// to last. Below `floor` nothing does.
pub fn from_start(track: &Track, greatest: f64, floor: f64, beside: f64) -> Option<StandingOut> {
    let one = throughout(track, floor.max(beside * greatest), greatest)?;
    Some(StandingOut { times: one.typical / greatest.max(floor / TIMES), ..one })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(30_000, values.iter().copied())
    }

    #[test]
    fn a_node_far_above_its_peers_from_first_to_last_is_found() {
        let own = track(&[20.0; 14]);
        let found = from_start(&own, 1.0, 0.5, BESIDE).expect("it stands out");
        assert_eq!((found.onset.as_millis(), found.typical, found.times), (0, 20.0, 20.0));
        assert_eq!(from_start(&own, 3.0, 0.5, BESIDE), None);
        assert_eq!(from_start(&own, 1.0, 50.0, BESIDE), None);
        assert_eq!(from_start(&track(&[20.0; 11]), 1.0, 0.5, BESIDE), None);
    }

    #[test]
    fn what_is_low_more_than_once_is_not_found() {
        let low = [vec![20.0; 10], vec![0.0; 4]].concat();
        assert_eq!(from_start(&track(&low), 0.0, 0.5, BESIDE), None);
        let once = [vec![20.0; 13], vec![0.0]].concat();
        assert!(from_start(&track(&once), 0.0, 0.5, BESIDE).is_some());
    }
}
