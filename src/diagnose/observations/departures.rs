//! Departures: stretches of a track that lie far above the median of the points before.
//!
//! What is normal is taken from the run itself; how far is far stands in `thresholds`.

use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::thresholds::DepartureThreshold;
use crate::model::{TimeRange, Timestamp};

/// How far back normal is taken from, in points. Sixteen scrapes of 15 s are four minutes: long
/// enough for a median that a burst does not move, short enough to follow a load that drifts.
const BASELINE_POINTS: usize = 16;

/// A stretch of points above a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    /// When it began: inside the first interval, as far from its end as that interval's partial value
    /// implies.
    pub onset: Timestamp,
    /// How far the onset may be off, either way, in milliseconds.
    pub uncertainty_ms: i64,
    /// The end of the first interval that departs.
    pub first: Timestamp,
    /// When it was over; `None` where it lasts to the end of the track.
    pub end: Option<Timestamp>,
    /// The median of the points before, in the track's unit.
    pub baseline: f64,
    /// The median of its own points, in the track's unit.
    pub typical: f64,
    /// The largest of its own points, in the track's unit.
    pub peak: f64,
    /// The end of the interval with the largest value.
    pub peak_at: Timestamp,
}

impl Departure {
    /// The typical value divided by the baseline.
    pub fn ratio(&self) -> f64 {
        self.typical / self.baseline.max(f64::MIN_POSITIVE)
    }

    /// From the onset to the end, or to `open` where it lasts.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.onset, self.end.unwrap_or(open).max(self.onset))
    }
}

/// The median of the finite values; of an even number of them, the mean of the middle two. `None`
/// where there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// The median absolute deviation: the median distance of the values from their median. `None` where
/// there are none.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values.iter().copied())?;
    median(values.iter().map(|value| (value - middle).abs()))
}

/// Stretches of `track` far above what went before. The baseline slides and stands still while a
/// departure lasts, so a long fault does not become normal. Whether a point departs is judged by the
/// points before it alone; a departure is reported only after it has held for long enough.
pub fn departures(track: &Track, threshold: DepartureThreshold) -> Vec<Departure> {
    let points: Vec<Point> =
        track.0.iter().copied().filter(|point| point.value.is_finite()).collect();
    let mut normal: Vec<f64> = Vec::new();
    let mut found = Vec::new();
    let mut next = 0;
    while next < points.len() {
        let stretch = normal_before(&normal, threshold).and_then(|normal| {
            let length = stretch_length(&points[next..], normal.limit);
            (length > 0).then_some((normal, length))
        });
        match stretch {
            Some((normal, length)) => {
                let within = &points[next..next + length];
                let before = next.checked_sub(1).map(|index| points[index]);
                if length >= threshold.hold || is_beyond_doubt(within, before, normal) {
                    let last = next + length >= points.len();
                    found.push(departure(within, before, normal, last));
                }
                next += length;
            }
            None => {
                normal.push(points[next].value);
                next += 1;
            }
        }
    }
    found
}

/// What is normal for a track before one of its points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normal {
    baseline: f64,
    /// How far a point may lie above the baseline by noise alone.
    noise: f64,
    /// From this value on, a point departs.
    pub(super) limit: f64,
}

/// What is normal after these points, of which the last count; `None` where they are too few.
pub(super) fn normal_before(points: &[f64], threshold: DepartureThreshold) -> Option<Normal> {
    normal_of(&points[points.len().saturating_sub(BASELINE_POINTS)..], threshold)
}

/// What is normal after these points; `None` where they are too few. Six median deviations keep a noisy track quiet: for normal noise
/// that is four standard deviations.
fn normal_of(recent: &[f64], threshold: DepartureThreshold) -> Option<Normal> {
    if recent.len() < threshold.baseline {
        return None;
    }
    let baseline = median(recent.iter().copied())?;
    let noise = 6.0 * deviation(recent)?;
    let limit = (baseline * threshold.ratio).max(baseline + threshold.floor).max(baseline + noise);
    Some(Normal { baseline, noise, limit })
}

/// How many times the median of other nodes a track must reach that has no past to compare with: nodes
/// of a kind differ a few times by their share of the work and their hardware.
const OF_PEERS: f64 = 10.0;
/// How many times the floor of its threshold such a track must lie above the other nodes.
const FLOOR_OF_PEERS: f64 = 10.0;
/// How many points such a departure must hold: a minute, which is longer than a process takes to start.
const HOLD_OF_PEERS: usize = 4;

/// A departure that begins before the track has a baseline: a stretch far above `usual`, the median of
/// the other nodes meanwhile.
pub fn early_departure(
    track: &Track,
    usual: f64,
    threshold: DepartureThreshold,
) -> Option<Departure> {
    let finite = track.0.iter().copied().filter(|point| point.value.is_finite());
    let points: Vec<Point> = finite.collect();
    let limit = (OF_PEERS * usual).max(usual + FLOOR_OF_PEERS * threshold.floor);
    let from = points.iter().position(|point| point.value >= limit)?;
    let length = stretch_length(&points[from..], limit);
    if from >= threshold.baseline || length < HOLD_OF_PEERS {
        return None;
    }
    let before = from.checked_sub(1).map(|index| points[index]);
    let normal = Normal { baseline: usual, noise: 0.0, limit };
    Some(departure(&points[from..from + length], before, normal, from + length >= points.len()))
}

/// The number of points, from the first on, that depart; a single one below the limit does not end
/// the stretch.
fn stretch_length(points: &[Point], limit: f64) -> usize {
    let above = |index: usize| points.get(index).is_some_and(|point| point.value >= limit);
    let mut length = 0;
    while above(length) || (length > 0 && above(length + 1)) {
        length += 1;
    }
    length
}

/// How many times the limit must be reached by a departure with fewer points than usually needed.
const BEYOND_DOUBT: f64 = 4.0;
/// How long such a departure must have stayed at its peak, in milliseconds, as the sum over its points:
/// a single stall of a busy machine is shorter, even where two scrapes saw it.
const STAYED_MS: f64 = 24_000.0;

/// Whether at least two points that reach far beyond the limit stand for a stretch that is long
/// enough: a point of which a part departed is so much lower.
fn is_beyond_doubt(within: &[Point], before: Option<Point>, normal: Normal) -> bool {
    let Normal { baseline, limit, .. } = normal;
    let peak = within.iter().map(|point| point.value).fold(f64::MIN, f64::max);
    if within.len() < 2 || peak < BEYOND_DOUBT * limit {
        return false;
    }
    let height = |point: &Point| {
        let share = (point.value - baseline) / (peak - baseline);
        share.max(0.0) * (point.at - point.since) as f64
    };
    let stayed: f64 = within.iter().chain(&before).map(height).sum();
    stayed >= STAYED_MS
}

fn departure(within: &[Point], before: Option<Point>, normal: Normal, last: bool) -> Departure {
    let Normal { baseline, noise, .. } = normal;
    let first = within[0];
    let typical = median(within.iter().map(|point| point.value)).unwrap_or(first.value);
    let peak = within.iter().copied().reduce(|a, b| if b.value > a.value { b } else { a });
    let peak = peak.unwrap_or(first);
    // A rate over an interval in which the change fell is a mixture: its share dates the change.
    let share = |point: Point| ((point.value - baseline) / (typical - baseline)).clamp(0.0, 1.0);
    let mixed = before.filter(|point| point.value > baseline + noise);
    let earlier = mixed.map_or(0.0, share);
    let (at, length, share) = match before {
        Some(point) if earlier > 0.2 && point.at == first.since => {
            (point.at, point.at - point.since, earlier)
        }
        _ => (first.at, first.at - first.since, share(first)),
    };
    let onset = at.saturating_add_millis(-((length as f64 * share) as i64));
    let end = (!last).then(|| within[within.len() - 1].at);
    Departure {
        onset,
        uncertainty_ms: length,
        first: first.at,
        end,
        baseline,
        typical,
        peak: peak.value,
        peak_at: peak.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(15_000, values.iter().copied())
    }

    const T: DepartureThreshold =
        DepartureThreshold { name: "test", ratio: 2.0, floor: 1.0, hold: 3, baseline: 4 };

    #[test]
    fn a_median_is_not_moved_by_one_outlier() {
        assert_eq!(median([1.0, 2.0, 900.0]), Some(2.0));
        assert_eq!(median([1.0, 2.0]), Some(1.5));
        assert_eq!(median([f64::NAN]), None);
        assert_eq!(deviation(&[1.0, 2.0, 4.0]), Some(1.0));
    }

    #[test]
    fn a_departure_has_an_onset_inside_its_first_interval_and_an_end() {
        let found = departures(&track(&[10., 10., 10., 10., 25., 40., 40., 40., 10., 10.]), T);
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.baseline, one.typical, one.peak), (10.0, 40.0, 40.0));
        // Half of the interval from 60 s to 75 s was at 40.
        assert_eq!(one.onset.as_millis(), 67_500);
        assert_eq!(one.end, Some(Timestamp::from_millis(120_000)));
    }

    #[test]
    fn noise_before_a_departure_does_not_begin_it() {
        // Half of the way up by chance, where the points before vary as much.
        let noisy = [10., 16., 10., 16., 10., 16., 10., 19., 40., 40., 40.];
        let found = departures(&track(&noisy), T);
        assert_eq!(found[0].onset.as_millis(), 120_000);
    }

    #[test]
    fn without_a_past_only_what_is_far_above_its_peers_departs() {
        let threshold = DepartureThreshold { floor: 0.1, ..T };
        let early = |values: &[f64]| early_departure(&track(values), 2.0, threshold);
        let found = early(&[2., 60., 60., 60., 60., 2.]).unwrap();
        assert_eq!((found.onset.as_millis(), found.baseline), (15_000, 2.0));
        assert_eq!(early(&[18., 18., 18., 18., 18.]), None);
        assert_eq!(early(&[60., 60., 60., 2.]), None);
        assert_eq!(early(&[2., 2., 2., 2., 60., 60., 60., 60.]), None);
    }

    #[test]
    fn a_long_departure_does_not_become_normal() {
        let mut values = vec![10.0; 6];
        values.extend([50.0; 40]);
        let found = departures(&track(&values), T);
        assert_eq!((found.len(), found[0].end), (1, None));
    }

    #[test]
    fn bursts_short_baselines_and_noise_are_no_departures() {
        assert_eq!(departures(&track(&[10., 10., 10., 10., 50., 50., 10., 10.]), T), []);
        assert_eq!(departures(&track(&[10., 10., 50., 50., 50., 50.]), T), []);
        let noisy = [5., 30., 8., 25., 4., 28., 60., 7., 61., 60., 5.];
        assert_eq!(departures(&track(&noisy), T), []);
    }
}
