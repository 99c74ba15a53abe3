//! What is held and not given back: a level that grows from the beginning to the end of what is known.
//!
//! Such a drift has no beginning to compare with. The track is cut into ten parts of equal length, and the median
//! of each part must lie above that of the one before: where values come in any order, that has a probability of
//! one in 10! (3,628,800), the extreme of Mann's test for a trend (1945).

use super::standing_out::{StandingOut, TIMES};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::{Point, Track};

/// The number of parts.
const PARTS: usize = 10;
/// The fewest values of a part: twenty values are ten minutes at a step of 30 s.
const LEAST: usize = 2;

/// The growth of a level over all that is known, where it is several times what it was, and `floor` more.
pub fn growing(track: &Track, floor: f64) -> Option<StandingOut> {
    let found = ascending(track)?;
    let is_far = found.typical >= (TIMES * found.baseline).max(found.baseline + floor);
    is_far
        .then(|| StandingOut { times: found.typical / found.baseline.max(floor / TIMES), ..found })
}

/// The growth of a level over all that is known, however far it goes.
pub fn ascending(track: &Track) -> Option<StandingOut> {
    let points = &track.0;
    if points.len() < PARTS * LEAST {
        return None;
    }
    let bound = |part: usize| part * points.len() / PARTS;
    let parts = (0..PARTS).map(|part| &points[bound(part)..bound(part + 1)]);
    let middle = |part: &[Point]| median(part.iter().map(|point| point.value));
    let medians: Vec<f64> = parts.map(middle).collect::<Option<_>>()?;
    let (first, last) = (medians[0], medians[PARTS - 1]);
    let grows = medians.windows(2).all(|pair| pair[0] < pair[1]);
    if !grows || first < 0.0 {
        return None;
    }
    let (begin, end) = (points.first()?, points.last()?);
    Some(StandingOut {
        onset: begin.since,
        first: begin.at,
        end: None,
        baseline: first,
        typical: last,
        peak: end.value.max(last),
        times: last / first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: impl Iterator<Item = f64>) -> Track {
        Track::every(30_000, values)
    }

    #[test]
    fn a_level_that_only_grows_is_found_from_its_beginning() {
        let linear = |step: i32| 200.0 + 500.0 * f64::from(step);
        let found = growing(&track((0..40).map(linear)), 1_000.0).expect("it grows");
        assert_eq!((found.onset.as_millis(), found.end), (0, None));
        assert_eq!((found.baseline, found.typical), (950.0, 18_950.0));
        // What does not divide into ten parts is no part of the beginning that is left out.
        let found = growing(&track((0..49).map(linear)), 1_000.0).expect("it grows");
        assert!(found.baseline <= 1_200.0, "{found:?}");
    }

    #[test]
    fn what_is_short_little_or_given_back_does_not_grow() {
        let linear = |step: i32| 200.0 + 500.0 * f64::from(step);
        assert_eq!(growing(&track((0..19).map(linear)), 1_000.0), None);
        assert_eq!(growing(&track((0..40).map(|step| 200.0 + f64::from(step))), 1_000.0), None);
        let given_back = |step: i32| linear(if step > 30 { step - 20 } else { step });
        assert_eq!(growing(&track((0..40).map(given_back)), 1_000.0), None);
        let doubles = |step: i32| 20_000.0 + 500.0 * f64::from(step);
        assert_eq!(growing(&track((0..40).map(doubles)), 1_000.0), None);
    }
}
