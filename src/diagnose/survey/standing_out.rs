//! Which stretches of a quantity stand out so far, and for so long, that chance does not explain them.
//!
//! Thousands of quantities are looked at, so a stretch is compared with the greatest value before and not
//! with a deviation. If the `n` values before and the `m` values of the stretch came from one distribution
//! in any order, all of the stretch would be the greatest with a probability of one in `n + m` over `m`
//! (the rank-sum test of Wilcoxon, 1945, at its extreme): with six and six 1 in 924, with twelve before
//! 1 in 18,564. Neighbouring values depend on each other, which makes it likelier; that each value must
//! also be several times the greatest before keeps a quantity that drifts or varies from standing out.

use super::grid::Grid;
use super::lasting::KEPT;
use super::quantity::{Quantity, Reading};
use super::sign::{Sign, is_left_over, is_memory, is_never};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::Timestamp;

/// A stretch of a quantity that stands out.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingOut {
    /// The beginning of the first step in which it was above everything before.
    pub onset: Timestamp,
    /// The end of the first step in which it stands out.
    pub first: Timestamp,
    /// When it was over; `None` where it lasts to the end of what was surveyed.
    pub end: Option<Timestamp>,
    /// The median before.
    pub baseline: f64,
    /// The median of its own values.
    pub typical: f64,
    /// The greatest of its own values.
    pub peak: f64,
    /// How many times the greatest value before its typical value is.
    pub times: f64,
}

/// The fewest values before, from which the usual range is taken.
const BEFORE: usize = 6;
/// How many of the values before count as usual: what was so an hour ago may have changed with the load.
const USUAL: usize = 120;
/// Up to how many steps a quantity may take on its way, five minutes at a step of 30 s: a backlog grows.
const ON_THE_WAY: usize = 10;
/// The fewest values of a stretch: three minutes at a step of 30 s.
const HOLD: usize = 6;
/// How many times the furthest value before each value of a stretch must be.
pub(super) const TIMES: f64 = 5.0;

/// The least value, in the unit of a quantity, that can stand out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Above what was usual.
    pub usual: f64,
    /// Where nothing was there before, for at least [`NEVER`] values.
    pub first: f64,
}

impl Floor {
    /// The same in both cases.
    pub const fn of(usual: f64) -> Self {
        Self { usual, first: usual }
    }

    /// The least distance above the greatest of the usual values.
    fn above(self, greatest: f64, usual: &[Point]) -> f64 {
        match greatest == 0.0 && usual.len() >= NEVER {
            true => self.first,
            false => self.usual,
        }
    }
}

/// How many values of zero make a first occurrence of what follows: six minutes at a step of 30 s.
const NEVER: usize = 12;

/// Whether a grid has enough steps for anything to stand out.
pub fn can_stand_out(grid: Grid) -> bool {
    grid.steps() >= BEFORE + HOLD
}

/// The stretches in which a quantity is above everything before, ascending in time. Below `floor` no value stands out. A quantity that was negative has another zero, so that
/// multiples say nothing.
pub fn standing_out(track: &Track, floor: Floor) -> Vec<StandingOut> {
    let points = &track.0;
    let mut found = Vec::new();
    let (mut next, mut since) = (BEFORE, 0);
    while next < points.len() {
        let usual_to = next - ON_THE_WAY.min(next.saturating_sub(since + BEFORE));
        let usual = &points[since.max(usual_to.saturating_sub(USUAL))..usual_to];
        match (usual.len() >= BEFORE).then(|| stretch_at(points, next, usual, floor)).flatten() {
            Some((one, length)) => {
                found.push(one);
                next += length;
                since = next;
            }
            None => next += 1,
        }
    }
    found
}

/// The stretch that begins at `from`, and the number of its points; `None` where it is too short, or does
/// not stand out beside `usual`.
fn stretch_at(
    points: &[Point],
    from: usize,
    usual: &[Point],
    floor: Floor,
) -> Option<(StandingOut, usize)> {
    let values = || usual.iter().map(|point| point.value);
    let greatest = values().fold(f64::MIN, f64::max);
    let floor = floor.above(greatest, usual);
    let limit = (TIMES * greatest).max(greatest + floor);
    if points[from].value < limit || values().any(|value| value < 0.0) {
        return None;
    }
    let length = length_of(&points[from..], |value| value >= limit);
    let own = &points[from..from + length];
    if length < HOLD {
        return None;
    }
    let on_the_way = points[..from].iter().rev().take_while(|point| point.value > greatest);
    let onset = on_the_way.take(ON_THE_WAY).last().unwrap_or(&own[0]);
    let typical = median(own.iter().map(|point| point.value))?;
    let found = StandingOut {
        onset: onset.since,
        first: own[0].at,
        end: (from + length < points.len()).then(|| own[length - 1].at),
        baseline: median(values())?,
        typical,
        peak: own.iter().map(|point| point.value).fold(typical, f64::max),
        times: typical / greatest.max(floor / TIMES),
    };
    Some((found, length))
}

/// The number of points, from the first on, whose value is far out; a single one that is not does not end them.
pub(super) fn length_of(points: &[Point], is_far: impl Fn(f64) -> bool) -> usize {
    let holds = |place: usize| points.get(place).is_some_and(|point| is_far(point.value));
    let mut length = 0;
    while holds(length) || (length > 0 && holds(length + 1)) {
        length += 1;
    }
    length
}

/// The least value of a quantity that can stand out. What should never be stands out as soon as it is: a region
/// without a leader, a store that PD has lost. What fails and never did before is few at first: three in a minute.
/// Whether a histogram counts seconds its name says: what takes milliseconds may take several times as long where few
/// requests are counted, and counts only beside others ([`is_slight`]).
pub fn floor_of(quantity: &Quantity, sign: Sign) -> Floor {
    let metric = quantity.metric.as_str();
    Floor::of(match (quantity.reading, sign) {
        (Reading::Level, _) if is_never(quantity) => 0.5,
        (Reading::Rate | Reading::Unsuccessful | Reading::Slow, Sign::Failing) => {
            return Floor { usual: 0.5, first: 0.05 };
        }
        (Reading::Rate | Reading::Unsuccessful | Reading::Slow | Reading::SlowShare, _) => 0.5,
        (Reading::Level, Sign::Kept) => KEPT,
        (Reading::Level, Sign::Waiting) if is_left_over(quantity) => LEFT_OVER,
        (Reading::Level, Sign::Held) if is_memory(metric) => 1e9,
        (Reading::Level, Sign::Held) => 1_000.0,
        (Reading::Level, _) if metric.contains("milli") => 30_000.0,
        (Reading::Level, _) if metric.contains("second") => 30.0,
        (Reading::Level, _) if metric.contains("bytes") => 256e6,
        (Reading::Level, _) => 50.0,
        (Reading::Mean, Sign::Slow) if quantity.is_in_seconds() => LEAST_MEAN_S,
        (Reading::Mean, Sign::Waiting) => 1_000.0,
        (Reading::Mean, Sign::Kept) => GIANT,
        (Reading::Mean, _) => 100_000.0,
    })
}

/// How much longer than before anything must take to be seen at all, in seconds.
const LEAST_MEAN_S: f64 = 0.002;
/// From when on anything that a store or PD does once takes long, in seconds.
const LONG_S: f64 = 0.16;
/// How large a thing must be on average for its size to count, in bytes: regions are split at a tenth of that.
const GIANT: f64 = 1e9;

/// How much more data must be kept that somebody should have or remove, in bytes: beside so much, the logs and snapshots
/// of a store that rebalances are little.
const LEFT_OVER: f64 = 32.0 * 1024.0 * 1024.0 * 1024.0;

/// Whether a quantity that rose takes longer than before, and still not long.
pub fn is_slight(quantity: &Quantity, standing: &StandingOut) -> bool {
    let is_mean = quantity.reading == Reading::Mean && quantity.is_in_seconds();
    is_mean && standing.typical < LONG_S
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(30_000, values.iter().copied())
    }

    #[test]
    fn a_stretch_far_above_everything_before_stands_out() {
        let mut values = vec![10.0, 12.0, 9.0, 11.0, 10.0, 12.0, 10.0];
        values.extend([900.0; 6]);
        values.push(11.0);
        let found = standing_out(&track(&values), Floor::of(50.0));
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.baseline, one.typical, one.times), (10.5, 900.0, 75.0));
        assert_eq!(
            (one.onset.as_millis(), one.end.map(Timestamp::as_millis)),
            (210_000, Some(390_000))
        );
    }

    #[test]
    fn what_grows_on_its_way_begins_where_it_left_the_usual() {
        let mut values = vec![10.0; 16];
        values.extend((1..=20).map(|step| 10.0 + 20.0 * f64::from(step)));
        let found = standing_out(&track(&values), Floor::of(50.0));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].onset.as_millis(), found[0].end), (16 * 30_000, None));
    }

    #[test]
    fn bursts_noise_and_what_lies_below_the_floor_do_not_stand_out() {
        let calm = [10.0, 12.0, 9.0, 11.0, 10.0, 12.0];
        let after = |values: &[f64], floor: f64| {
            standing_out(&track(&[&calm[..], values].concat()), Floor::of(floor))
        };
        assert_eq!(after(&[900.0, 900.0, 900.0, 900.0, 900.0, 10.0, 10.0], 50.0), []);
        assert_eq!(after(&[40.0; 8], 5.0), []);
        assert_eq!(after(&[100.0; 8], 500.0), []);
        let negative = [[-1.0; 6], [900.0; 6]].concat();
        assert_eq!(standing_out(&track(&negative), Floor::of(50.0)), []);
    }

    #[test]
    fn what_stands_out_is_usual_afterwards() {
        let values = [vec![10.0; 6], vec![900.0; 8], vec![10.0; 8], vec![900.0; 8]].concat();
        assert_eq!(standing_out(&track(&values), Floor::of(50.0)).len(), 2);
        let again = [vec![10.0; 6], vec![900.0; 8], vec![850.0; 8]].concat();
        assert_eq!(standing_out(&track(&again), Floor::of(50.0)).len(), 1);
    }

    #[test]
    fn what_never_was_stands_out_sooner() {
        let floor = Floor { usual: 0.5, first: 0.05 };
        let after = |calm: &[f64]| {
            let values = [calm, &[0.1; 8][..]].concat();
            standing_out(&track(&values), floor).len()
        };
        assert_eq!(after(&[0.0; 24]), 1);
        assert_eq!(after(&[0.0; 8]), 0, "too little is known");
        let once = [[0.0; 12].to_vec(), vec![0.01], [0.0; 12].to_vec()].concat();
        assert_eq!(after(&once), 0, "it was there before");
    }
}
