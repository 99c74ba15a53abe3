//! Aggregations over the samples of a window: the functions named `…_over_time`.

use super::statistics::{Kahan, quantile};
use super::window::Window;
use crate::model::Sample;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;

fn values(window: &Window<'_>) -> impl Iterator<Item = f64> {
    window.samples.iter().map(|sample| sample.value)
}

/// The sum of the samples, with compensation of what rounding loses.
pub fn sum(window: &Window<'_>, dialect: Dialect) -> f64 {
    let mut sum = Kahan::default();
    match dialect {
        Dialect::V2 => values(window).for_each(|value| sum.add(value)),
        Dialect::V3 => values(window).for_each(|value| sum.add_bounded(value)),
    }
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

/// The mean: incremental before Prometheus 3, since then of the sum while that is finite.
pub fn average(window: &Window<'_>, dialect: Dialect) -> f64 {
    match dialect {
        Dialect::V2 => incremental_average(window),
        Dialect::V3 => {
            let mut mean = Mean::new(window.samples[0].value);
            values(window).skip(1).for_each(|value| mean.add(value));
            mean.value()
        }
    }
}

fn incremental_average(window: &Window<'_>) -> f64 {
    let (mut mean, mut count) = (Kahan::default(), 0.0);
    for value in values(window) {
        count += 1.0;
        if mean.sum.is_infinite() {
            let same_sign = value.is_infinite() && (mean.sum > 0.0) == (value > 0.0);
            if same_sign || value.is_finite() {
                continue;
            }
        }
        mean.add(value / count - mean.sum / count);
    }
    if mean.sum.is_infinite() { mean.sum } else { mean.total() }
}

/// Prometheus 3's mean: the compensated sum divided, or incremental from where the sum overflows.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    sum: Kahan,
    mean: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    pub fn new(value: f64) -> Self {
        let sum = Kahan { sum: value, lost: 0.0 };
        Self { sum, mean: value, count: 1.0, incremental: false }
    }

    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.sum;
            sum.add_bounded(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.mean = self.sum.sum / (self.count - 1.0);
            self.sum.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        let mut mean = Kahan { sum: share * self.mean, lost: share * self.sum.lost };
        mean.add_bounded(value / self.count);
        self.mean = mean.sum;
        self.sum.lost = mean.lost;
    }

    /// The mean of the values added so far.
    pub fn value(&self) -> f64 {
        if self.incremental {
            self.mean + self.sum.lost
        } else {
            self.sum.sum / self.count + self.sum.lost / self.count
        }
    }
}

/// The population variance of the samples, with compensation of what rounding loses.
pub fn variance(window: &Window<'_>, dialect: Dialect) -> f64 {
    let (mut mean, mut squares, mut count) = (Kahan::default(), Kahan::default(), 0.0);
    for value in values(window) {
        count += 1.0;
        let delta = value - mean.total();
        let add = if dialect == Dialect::V2 { Kahan::add } else { Kahan::add_bounded };
        add(&mut mean, delta / count);
        add(&mut squares, delta * (value - mean.total()));
    }
    squares.total() / count
}

/// The sample that `replaces` the one held until then, from the first on. NaN is always replaced.
fn chosen(window: &Window<'_>, replaces: impl Fn(f64, f64) -> bool) -> Sample {
    window.samples.iter().fold(window.samples[0], |held, sample| {
        if replaces(sample.value, held.value) || held.value.is_nan() { *sample } else { held }
    })
}

/// The oldest sample of a window, which holds at least one.
pub fn first(samples: &[Sample]) -> Sample {
    samples[0]
}

/// The newest sample of a window, which holds at least one.
pub fn last(samples: &[Sample]) -> Sample {
    samples[samples.len() - 1]
}

/// The largest value.
pub fn maximum(window: &Window<'_>) -> f64 {
    chosen(window, |value, held| value > held).value
}

/// The smallest value.
pub fn minimum(window: &Window<'_>) -> f64 {
    chosen(window, |value, held| value < held).value
}

/// When the largest value was seen last, in seconds.
pub fn time_of_maximum(window: &Window<'_>) -> f64 {
    time(&chosen(window, |value, held| value >= held))
}

/// When the smallest value was seen last, in seconds.
pub fn time_of_minimum(window: &Window<'_>) -> f64 {
    time(&chosen(window, |value, held| value <= held))
}

/// A sample's time in seconds.
pub fn time(sample: &Sample) -> f64 {
    sample.at.as_millis() as f64 / 1000.0
}

/// The quantile of the values.
pub fn quantile_of(window: &Window<'_>, q: f64, dialect: Dialect) -> f64 {
    quantile(q, &mut values(window).collect::<Vec<_>>(), dialect)
}

/// How neighbouring samples become an area under the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quadrature {
    /// The earlier sample holds until the later one.
    Left,
    /// The later sample held since the earlier one.
    Right,
    /// A straight line between both.
    Trapezoid,
}

/// The integral over time in value times seconds. Between two samples, a scalar of 0
/// takes the left value, 1 the right one, and any other or none the trapezoid between both.
pub fn integral_by(
    window: &Window<'_>,
    strategy: &[f64],
    _dialect: Dialect,
) -> Result<Option<f64>, EvalError> {
    let quadrature = match strategy.first() {
        Some(0.0) => Quadrature::Left,
        Some(1.0) => Quadrature::Right,
        _ => Quadrature::Trapezoid,
    };
    Ok(Some(integral(window, quadrature)))
}

/// The integral over time, in seconds. What is no number counts as zero.
fn integral(window: &Window<'_>, quadrature: Quadrature) -> f64 {
    let of = |value: f64| if value.is_nan() { 0.0 } else { value };
    let mut sum = Kahan::default();
    for pair in window.samples.windows(2) {
        let (left, right) = (of(pair[0].value), of(pair[1].value));
        let height = match quadrature {
            Quadrature::Left => Kahan { sum: left, lost: 0.0 },
            Quadrature::Right => Kahan { sum: right, lost: 0.0 },
            Quadrature::Trapezoid => middle(left, right),
        };
        if height.sum != 0.0 || height.lost != 0.0 {
            let seconds = (pair[1].at - pair[0].at) as f64 / 1000.0;
            sum.lost += height.lost * seconds;
            sum.add_bounded(height.sum * seconds);
        }
    }
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

/// Half the sum of two values, with what rounding loses of it. The sum comes before the halving,
/// which rounds the smallest numbers to zero.
fn middle(left: f64, right: f64) -> Kahan {
    let mut sum = Kahan { sum: left, lost: 0.0 };
    sum.add_bounded(right);
    if sum.sum.is_infinite() && left.is_finite() && right.is_finite() {
        sum = Kahan { sum: left / 2.0, lost: 0.0 };
        sum.add_bounded(right / 2.0);
        return sum;
    }
    Kahan { sum: sum.sum / 2.0, lost: sum.lost / 2.0 }
}

/// The median of the distances from the median; NaN where a value is.
pub fn median_deviation(window: &Window<'_>) -> f64 {
    let mut held: Vec<f64> = values(window).collect();
    if held.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, &mut held, Dialect::V3);
    for value in &mut held {
        *value = (*value - median).abs();
    }
    quantile(0.5, &mut held, Dialect::V3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn with<T>(values: &[f64], f: impl Fn(&Window<'_>) -> T) -> T {
        let sample = |(at, value): (usize, &f64)| Sample {
            at: Timestamp::from_millis(at as i64 * 1000),
            value: *value,
        };
        let samples: Vec<Sample> = values.iter().enumerate().map(sample).collect();
        f(&Window { samples: &samples, at: 60_000, start: 0, end: 60_000, falls: None })
    }

    #[test]
    fn means_survive_an_overflowing_sum() {
        for dialect in [Dialect::V2, Dialect::V3] {
            let mean = with(&[f64::MAX, f64::MAX], |window| average(window, dialect));
            assert_eq!(mean, f64::MAX);
            assert_eq!(with(&[1.0, 2.0, 6.0], |window| average(window, dialect)), 3.0);
        }
    }

    #[test]
    fn extremes_skip_what_is_no_number() {
        assert_eq!(with(&[f64::NAN, 2.0, 1.0], maximum), 2.0);
        assert_eq!(with(&[f64::NAN, 2.0, 1.0], minimum), 1.0);
        assert_eq!(with(&[3.0, 1.0, 3.0], time_of_maximum), 2.0);
    }

    #[test]
    fn integrals_neither_lose_the_smallest_nor_exceed_the_largest() {
        let trapezoid = |values: &[f64]| with(values, |w| integral(w, Quadrature::Trapezoid));
        assert_eq!(trapezoid(&[5e-324, 5e-324]), 5e-324);
        assert_eq!(trapezoid(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(trapezoid(&[f64::NAN, 2.0, 4.0]), 4.0, "what is no number counts as zero");
    }

    #[test]
    fn variance_is_of_the_population() {
        assert_eq!(with(&[1.0, 3.0], |window| variance(window, Dialect::V3)), 1.0);
        assert_eq!(with(&[1.0, 2.0, 9.0], median_deviation), 1.0);
    }
}
