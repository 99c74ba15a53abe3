//! Invariants: quantities that stay on one side of a fixed limit whatever the load.
//!
//! Quantities whose normal value depends on the run are compared in `departures`.

use crate::diagnose::observations::tracks::Track;
use crate::model::{TimeRange, Timestamp};

/// A stretch of a track on the wrong side of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// From the end of the first point to the end of the last.
    pub range: TimeRange,
    /// When the first point's interval began.
    pub since: Timestamp,
    /// Whether it lasts to the end of the track.
    pub lasts: bool,
    /// The value farthest beyond the limit.
    pub peak: f64,
    /// The end of the point with that value.
    pub peak_at: Timestamp,
}

/// Stretches of at least `hold` points at or above `limit`.
pub fn above(track: &Track, limit: f64, hold: usize) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut index = 0;
    for run in track.0.chunk_by(|a, b| (a.value >= limit) == (b.value >= limit)) {
        let (first, last) = (run[0], run[run.len() - 1]);
        index += run.len();
        if first.value < limit || run.len() < hold {
            continue;
        }
        let peak = run.iter().copied().reduce(|a, b| if b.value > a.value { b } else { a });
        let peak = peak.unwrap_or(first);
        found.push(Stretch {
            range: TimeRange::new(first.at, last.at),
            since: first.since,
            lasts: index == track.0.len(),
            peak: peak.value,
            peak_at: peak.at,
        });
    }
    found
}

/// Stretches of at least `hold` points at or below `limit`.
pub fn below(track: &Track, limit: f64, hold: usize) -> Vec<Stretch> {
    let mut negated = track.clone();
    for point in &mut negated.0 {
        point.value = -point.value;
    }
    let back = |stretch: Stretch| Stretch { peak: -stretch.peak, ..stretch };
    above(&negated, -limit, hold).into_iter().map(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(1_000, values.iter().copied())
    }

    #[test]
    fn stretches_hold_and_end() {
        let found = above(&track(&[0., 9., 0., 5., 8., 6., 0.]), 5.0, 2);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].peak, found[0].range.start.as_millis()), (8.0, 4000));
        assert!(!found[0].lasts);
        let found = below(&track(&[9., 1., 1.]), 2.0, 2);
        assert_eq!((found[0].peak, found[0].lasts), (1.0, true));
    }
}
