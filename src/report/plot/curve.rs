//! A curve: points in time, interrupted where nothing was observed.

use crate::diagnose::PlotHow;
use crate::model::{Gap, Sample, Timestamp};

/// Two points further apart than this many times the usual distance are not connected: one scrape is
/// missing between them.
const MOST_DISTANCE: f64 = 1.6;

/// The points of one series, ascending in time.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Curve {
    /// Stretches of finite values without an interruption, none of them empty.
    pub stretches: Vec<Vec<Sample>>,
    /// Values of plus or minus infinity, which no stretch crosses.
    pub infinite: Vec<Sample>,
}

impl Curve {
    /// Cuts samples where a value is not finite, where one is missing, and where a gap lies between two.
    pub(in crate::report) fn new(samples: &[Sample], gaps: &[Gap]) -> Self {
        let usual = usual_distance(samples);
        let mut curve = Self::default();
        let mut last: Option<Timestamp> = None;
        for sample in samples {
            if !sample.value.is_finite() {
                last = None;
                if sample.value.is_infinite() {
                    curve.infinite.push(*sample);
                }
                continue;
            }
            let connects = last.is_some_and(|last| {
                ((sample.at - last) as f64) <= usual * MOST_DISTANCE
                    && !gaps.iter().any(|gap| lies_between(gap, last, sample.at))
            });
            match curve.stretches.last_mut().filter(|_| connects) {
                Some(stretch) => stretch.push(*sample),
                None => curve.stretches.push(vec![*sample]),
            }
            last = Some(sample.at);
        }
        curve
    }

    /// A history of changes: each value holds until the next one, and the last until `until`. A gap interrupts.
    pub(in crate::report) fn held(samples: &[Sample], until: Timestamp, gaps: &[Gap]) -> Self {
        let mut curve = Self::default();
        for (number, sample) in samples.iter().enumerate() {
            let end = samples.get(number + 1).map_or(until.max(sample.at), |next| next.at);
            let last = Sample { at: end, value: sample.value };
            let is_cut = gaps.iter().any(|gap| lies_between(gap, sample.at, end));
            match curve.stretches.last_mut() {
                Some(stretch) => stretch.push(*sample),
                None => curve.stretches.push(vec![*sample]),
            }
            match curve.stretches.last_mut().filter(|_| !is_cut) {
                Some(stretch) => stretch.push(last),
                None => curve.stretches.push(vec![last]),
            }
        }
        curve
    }

    /// The same in steps: a value holds until the next one.
    fn stepped(mut self) -> Self {
        for stretch in &mut self.stretches {
            let ends = stretch.windows(2).map(|two| Sample { at: two[1].at, value: two[0].value });
            let ends: Vec<Sample> = ends.collect();
            let first = stretch[0];
            let rest = ends.into_iter().zip(stretch.split_off(1));
            let rest = rest.flat_map(|(end, next)| [end, next]);
            *stretch = std::iter::once(first).chain(rest).collect();
        }
        self
    }

    /// The least and the greatest finite value; `None` where there is none.
    pub(in crate::report) fn bounds(&self) -> Option<(f64, f64)> {
        let values = self.stretches.iter().flatten().map(|sample| sample.value);
        values.fold(None, |bounds, value| match bounds {
            None => Some((value, value)),
            Some((least, most)) => Some((least.min(value), most.max(value))),
        })
    }
}

/// Quantities of PD's of which only changes are held: its answers in between said the same.
const CHANGES: [&str; 2] = ["/members leader", "/regions/check count"];

/// Metrics whose values are states, between which nothing lies.
const STATES: [&str; 2] = ["up", "etcd_server_is_leader"];

/// The curve of a quantity of diagnosis, of at most about `most` of its points. A history of changes ends at
/// `until`.
pub(in crate::report) fn curve_of(
    (metric, how): (&str, PlotHow),
    points: &[(i64, f64)],
    (until, most): (Timestamp, usize),
    gaps: &[Gap],
) -> Curve {
    let samples = thinned(&samples_of(points), most);
    match how == PlotHow::Pd && CHANGES.contains(&metric) {
        true => Curve::held(&samples, until, gaps),
        false if STATES.contains(&metric) => Curve::new(&samples, gaps).stepped(),
        false => Curve::new(&samples, gaps),
    }
}

/// Samples of points whose time is in milliseconds since the Unix epoch.
fn samples_of(points: &[(i64, f64)]) -> Vec<Sample> {
    let sample =
        |(at, value): &(i64, f64)| Sample { at: Timestamp::from_millis(*at), value: *value };
    points.iter().map(sample).collect()
}

/// Whether a gap that was never filled begins after one sample and before the next.
fn lies_between(gap: &Gap, before: Timestamp, after: Timestamp) -> bool {
    gap.healed_at.is_none()
        && !gap.is_partial()
        && gap.range.start < after
        && before < gap.range.end
}

/// The distance in milliseconds that at most one in seven distances between two samples exceeds; infinite where
/// there are fewer than two. It is no median, since several requests to PD are made in one round.
fn usual_distance(samples: &[Sample]) -> f64 {
    let mut distances: Vec<i64> = samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    distances.sort_unstable();
    let place = distances.len().saturating_sub(1) * 6 / 7;
    distances.get(place).map_or(f64::INFINITY, |distance| *distance as f64)
}

/// At most about `most` of the samples, the least and the greatest of each part among them, so that no peak
/// is lost.
fn thinned(samples: &[Sample], most: usize) -> Vec<Sample> {
    if samples.len() <= most {
        return samples.to_vec();
    }
    let part = samples.len().div_ceil((most / 2).max(1)).max(2);
    let extremes = |part: &[Sample]| {
        let by_value = |a: &&Sample, b: &&Sample| a.value.total_cmp(&b.value);
        let ends = [part.iter().min_by(by_value), part.iter().max_by(by_value)];
        let mut ends: Vec<Sample> = ends.into_iter().flatten().copied().collect();
        ends.sort_by_key(|sample| sample.at);
        ends.dedup_by_key(|sample| sample.at);
        ends
    };
    samples.chunks(part).flat_map(extremes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Source, TimeRange};

    fn samples(values: &[(i64, f64)]) -> Vec<Sample> {
        let sample = |(at, value): &(i64, f64)| Sample { at: at_second(*at), value: *value };
        values.iter().map(sample).collect()
    }

    fn at_second(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn lengths(curve: &Curve) -> Vec<usize> {
        curve.stretches.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_state_holds_until_the_next_one() {
        let points = [(0, 1.0), (15_000, 0.0), (30_000, 0.0)];
        let curve = curve_of(("up", PlotHow::Gauge), &points, (Timestamp::MAX, 100), &[]);
        let drawn: Vec<(i64, f64)> =
            curve.stretches[0].iter().map(|sample| (sample.at.as_millis(), sample.value)).collect();
        let expected = [(0, 1.0), (15_000, 1.0), (15_000, 0.0), (30_000, 0.0), (30_000, 0.0)];
        assert_eq!(drawn, expected);
        let slope = curve_of(("load", PlotHow::Gauge), &points, (Timestamp::MAX, 100), &[]);
        assert_eq!(slope.stretches[0].len(), 3);
    }

    #[test]
    fn a_missing_scrape_an_infinity_and_a_gap_interrupt() {
        let inf = f64::INFINITY;
        let taken =
            samples(&[(0, 1.0), (10, 2.0), (30, 3.0), (40, inf), (50, 4.0), (60, 5.0), (70, 6.0)]);
        let gap = Gap {
            range: TimeRange::new(at_second(61), at_second(62)),
            source: Source::Prometheus,
            reason: GapReason::Timeout,
            detail: String::new(),
            healed_at: None,
        };
        let curve = Curve::new(&taken, std::slice::from_ref(&gap));
        assert_eq!(lengths(&curve), [2, 1, 2, 1]);
        assert_eq!(curve.infinite.len(), 1);
        assert_eq!(curve.bounds(), Some((1.0, 6.0)));
        let healed = Gap { healed_at: Some(at_second(90)), ..gap };
        assert_eq!(lengths(&Curve::new(&taken, &[healed])), [2, 1, 3]);
    }

    #[test]
    fn rounds_of_several_requests_are_one_stretch() {
        let rounds = (0..20).flat_map(|round| (0..5).map(move |ask| (round * 500 + ask, 1.0)));
        let rounds: Vec<(i64, f64)> = rounds.collect();
        assert_eq!(lengths(&Curve::new(&samples(&rounds), &[])), [100]);
    }

    #[test]
    fn a_history_of_changes_is_drawn_in_steps() {
        let changes = samples(&[(0, 0.0), (100, 9.0), (160, 0.0)]);
        let curve = Curve::held(&changes, at_second(200), &[]);
        let expected = [(0, 0.0), (100, 0.0), (100, 9.0), (160, 9.0), (160, 0.0), (200, 0.0)];
        assert_eq!(curve.stretches, [samples(&expected)]);
    }

    #[test]
    fn thinning_keeps_peaks() {
        let mut taken: Vec<(i64, f64)> = (0..10_000).map(|second| (second, 1.0)).collect();
        taken[5_432].1 = 99.0;
        taken[7_777].1 = -3.0;
        let thin = thinned(&samples(&taken), 100);
        assert!(thin.len() <= 100, "{}", thin.len());
        assert!(thin.iter().any(|sample| sample.value == 99.0));
        assert!(thin.iter().any(|sample| sample.value == -3.0));
        assert!(thin.is_sorted_by_key(|sample| sample.at));
    }
}
