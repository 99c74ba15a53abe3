//! Which stretches of a quantity lie so far below everything before, and for so long, that chance does not
//! explain them: work that stops, or falls to a trickle.
//!
//! The mirror image of `standing_out`, with the same argument: a stretch is compared with the least of what
//! came before, so that of `n` values before and `m` in the stretch all of the stretch would be the least with
//! a probability of one in `n + m` over `m` (the rank-sum test of Wilcoxon, 1945, at its extreme). Events that
//! are few vary by themselves, since a count of `c` deviates by the root of `c` (Poisson, 1837); so means over
//! some steps are compared instead of single values, and only where at least [`EXPECTED`] events were due: that
//! a fifth of twenty or less come has a probability of 1 in 59,000.

use super::standing_out::{StandingOut, length_of};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::{Point, Track};

/// How many steps a mean is taken over.
const OVER: usize = 6;
/// The fewest values before: two means that have none in common.
const BEFORE: usize = 2 * OVER;
/// Up to how many steps a quantity may take on its way down.
const ON_THE_WAY: usize = 10;
/// How long a stretch must last, in milliseconds: a store that is restarted, and clients that wait for it, are
/// back sooner.
const LASTED_MS: i64 = 300_000;
/// What part of the least mean before the values of a stretch may be.
const PART: f64 = 0.2;
/// Below what part of the least mean before a value is on its way down: single values vary more than means do.
const LEAVES: f64 = 0.4;
/// How many events must have been due in the stretch.
const EXPECTED: f64 = 20.0;

/// The stretches in which a rate lies below everything before, ascending in time. Their peak is their least
/// value, and their times say how many times less than the least mean before it typically is, 1000 at most.
pub fn falling(track: &Track) -> Vec<StandingOut> {
    let points = &track.0;
    let mut found = Vec::new();
    let (mut next, mut since) = (BEFORE, 0);
    let mut least = Least::default();
    while next < points.len() {
        let usual_to = next - ON_THE_WAY.min(next.saturating_sub(since + BEFORE));
        let greatest = least.mean_by(points, since, usual_to) * PART;
        let enough = usual_to >= since + BEFORE;
        let stretch = (enough && points[next].value <= greatest)
            .then(|| stretch_at(points, next, (since, usual_to), greatest / PART));
        match stretch.flatten() {
            Some((one, length)) => {
                found.push(one);
                since = next + length;
                next = since + BEFORE;
                least = Least::default();
            }
            None => next += 1,
        }
    }
    found
}

/// The least mean so far, and up to which point it was looked for.
#[derive(Default)]
struct Least {
    mean: Option<f64>,
    by: usize,
}

impl Least {
    /// The least mean of the points from `since` up to `to`; no less than nothing where there are too few.
    fn mean_by(&mut self, points: &[Point], since: usize, to: usize) -> f64 {
        let from = self.by.max(since + OVER);
        for end in from..=to.min(points.len()) {
            let values = points[end - OVER..end].iter().map(|point| point.value);
            let mean = values.sum::<f64>() / OVER as f64;
            self.mean = Some(self.mean.map_or(mean, |least| least.min(mean)));
        }
        self.by = self.by.max(to + 1);
        self.mean.unwrap_or(0.0)
    }
}

/// The stretch that begins at `from`, and the number of its points; `None` where it is too short, or too little
/// was due in it.
fn stretch_at(
    points: &[Point],
    from: usize,
    (since, usual_to): (usize, usize),
    least: f64,
) -> Option<(StandingOut, usize)> {
    let length = length_of(&points[from..], |value| value <= least * PART);
    let own = &points[from..from + length];
    let end = own.last()?.at;
    let lasted_ms = end - own[0].since;
    let usual = points[since..usual_to].iter().map(|point| point.value);
    let baseline = median(usual)?;
    let due = baseline * lasted_ms as f64 / 1000.0;
    if lasted_ms < LASTED_MS || due < EXPECTED {
        return None;
    }
    let on_the_way =
        points[usual_to..from].iter().rev().take_while(|point| point.value < LEAVES * least);
    let onset = on_the_way.last().unwrap_or(&own[0]);
    let typical = median(own.iter().map(|point| point.value))?;
    let found = StandingOut {
        onset: onset.since,
        first: own[0].at,
        end: (from + length < points.len()).then_some(end),
        baseline,
        typical,
        peak: own.iter().map(|point| point.value).fold(typical, f64::min),
        times: least / typical.max(least / 1000.0),
    };
    Some((found, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// A value for each step of 30 s.
    fn track(values: &[f64]) -> Track {
        Track::every(30_000, values.iter().copied())
    }

    fn calm(steps: usize) -> Vec<f64> {
        (0..steps).map(|step| 40.0 + 10.0 * (step % 4) as f64).collect()
    }

    #[test]
    fn a_stretch_far_below_everything_before_is_found() {
        let values = [calm(14), vec![1.0; 12], calm(6)].concat();
        let found = falling(&track(&values));
        assert_eq!(found.len(), 1);
        let one = &found[0];
        let ends = (one.onset.as_millis(), one.end.map(Timestamp::as_millis));
        assert_eq!(ends, (14 * 30_000, Some(26 * 30_000)));
        assert_eq!((one.baseline, one.typical, one.peak), (55.0, 1.0, 1.0));
        assert!((45.0..55.0).contains(&one.times), "{}", one.times);
    }

    #[test]
    fn few_events_are_judged_by_their_number() {
        let few = |every: usize, steps: usize| -> Vec<f64> {
            (0..steps).map(|step| f64::from(u8::from(step % every == 0)) / 30.0).collect()
        };
        // Three a minute and half a minute: 100 are due in twenty minutes, and 10.
        let often = [vec![0.05; 20], vec![0.0; 40]].concat();
        assert_eq!(falling(&track(&often)).len(), 1);
        let seldom = [few(4, 20), vec![0.0; 40]].concat();
        assert_eq!(falling(&track(&seldom)), []);
    }

    #[test]
    fn what_is_short_half_or_comes_in_bursts_does_not_fall() {
        let after = |values: &[f64]| falling(&track(&[&calm(14)[..], values].concat()));
        assert_eq!(after(&[vec![1.0; 9], calm(6)].concat()), []);
        assert_eq!(after(&[15.0; 12]), []);
        let bursts: Vec<f64> = (0..60).map(|step| f64::from(u8::from(step % 12 < 3))).collect();
        assert_eq!(falling(&track(&bursts)), []);
    }

    #[test]
    fn what_ebbs_away_begins_where_it_left_the_usual() {
        let ebb: Vec<f64> = (1..=8).map(|step| 40.0 / f64::from(1 << step)).collect();
        let values = [calm(14), ebb, vec![0.1; 12]].concat();
        let found = falling(&track(&values));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].onset.as_millis(), found[0].end), (14 * 30_000, None));
    }
}
