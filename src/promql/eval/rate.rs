//! How a series changes over a window: rates, differences, trends.

use super::statistics::Kahan;
use super::window::Window;
use crate::model::Sample;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;

/// Which change over a window is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RateKind {
    /// The growth of a counter per second; a fall is a reset to zero.
    Rate,
    /// The growth of a counter; a fall is a reset to zero.
    Increase,
    /// The difference of a gauge: a fall is no reset.
    Delta,
}

impl RateKind {
    /// Whether a fall of the value is a reset to zero.
    pub fn is_counter(self) -> bool {
        self != Self::Delta
    }
}

/// The change over the window, extrapolated to its ends.
///
/// Where the first or last sample lies about an interval or less from the window's end, the
/// series is assumed to go on to that end, else for half an interval; a counter is not
/// extrapolated below zero. The two generations of Prometheus do the last two in different order.
pub fn extrapolated(window: &Window<'_>, kind: RateKind, dialect: Dialect) -> Option<f64> {
    let [first, .., last] = window.samples else { return None };
    let is_counter = kind.is_counter();
    let mut change = last.value - first.value;
    if is_counter {
        match &window.falls {
            Some(falls) => falls.values(window.samples).for_each(|value| change += value),
            None => {
                for pair in window.samples.windows(2) {
                    if pair[1].value < pair[0].value {
                        change += pair[0].value;
                    }
                }
            }
        }
    }
    let mut to_start = seconds(first.at.as_millis() - window.start);
    let mut to_end = seconds(window.end - last.at.as_millis());
    let sampled = seconds(last.at - first.at);
    let average = sampled / (window.samples.len() - 1) as f64;
    let threshold = average * 1.1;
    let to_zero = (is_counter && change > 0.0 && first.value >= 0.0)
        .then(|| sampled * (first.value / change));
    let factor = match dialect {
        Dialect::V2 => {
            if let Some(to_zero) = to_zero.filter(|to_zero| *to_zero < to_start) {
                to_start = to_zero;
            }
            let mut extended = sampled;
            extended += if to_start < threshold { to_start } else { average / 2.0 };
            extended += if to_end < threshold { to_end } else { average / 2.0 };
            extended / sampled
        }
        Dialect::V3 => {
            if to_start >= threshold {
                to_start = average / 2.0;
            }
            if let Some(to_zero) = to_zero.filter(|to_zero| *to_zero < to_start) {
                to_start = to_zero;
            }
            if to_end >= threshold {
                to_end = average / 2.0;
            }
            if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
        }
    };
    let factor =
        if kind == RateKind::Rate { factor / seconds(window.end - window.start) } else { factor };
    Some(change * factor)
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// The change between the last two samples, per second for a counter.
pub fn instantaneous(window: &Window<'_>, kind: RateKind) -> Option<f64> {
    let [.., before, last] = window.samples else { return None };
    let interval = last.at - before.at;
    if interval == 0 {
        return None;
    }
    let was_reset = kind.is_counter() && last.value < before.value;
    let change = if was_reset { last.value } else { last.value - before.value };
    Some(if kind == RateKind::Rate { change / seconds(interval) } else { change })
}

/// How often the value fell from one sample to the next.
pub fn resets(window: &Window<'_>) -> f64 {
    window.samples.windows(2).filter(|pair| pair[1].value < pair[0].value).count() as f64
}

/// How often the value changed; NaN equals NaN.
pub fn changes(window: &Window<'_>) -> f64 {
    let differs = |pair: &&[Sample]| {
        let (before, after) = (pair[0].value, pair[1].value);
        after != before && !(after.is_nan() && before.is_nan())
    };
    window.samples.windows(2).filter(differs).count() as f64
}

/// The slope of the least-squares line, per second; needs two samples.
pub fn derivative(window: &Window<'_>, dialect: Dialect) -> Option<f64> {
    let [first, _, ..] = window.samples else { return None };
    Some(regression(window.samples, first.at.as_millis(), dialect).0)
}

/// Where the trend will be, `ahead` seconds after the instant of evaluation.
pub fn prediction(window: &Window<'_>, ahead: f64, dialect: Dialect) -> Option<f64> {
    if window.samples.len() < 2 {
        return None;
    }
    let (slope, intercept) = regression(window.samples, window.at, dialect);
    Some(slope * ahead + intercept)
}

/// Slope and value at `origin` of the least-squares line.
fn regression(samples: &[Sample], origin: i64, dialect: Dialect) -> (f64, f64) {
    let initial = samples[0].value;
    if samples.iter().all(|sample| sample.value == initial)
        || (samples.len() == 1 && initial.is_nan())
    {
        return if initial.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, initial) };
    }
    let (mut x_sum, mut y_sum) = (Kahan::default(), Kahan::default());
    let (mut xy_sum, mut xx_sum) = (Kahan::default(), Kahan::default());
    let add = match dialect {
        Dialect::V2 => Kahan::add,
        Dialect::V3 => Kahan::add_bounded,
    };
    for sample in samples {
        let x = (sample.at.as_millis() - origin) as f64 / 1e3;
        add(&mut x_sum, x);
        add(&mut y_sum, sample.value);
        add(&mut xy_sum, x * sample.value);
        add(&mut xx_sum, x * x);
    }
    let n = samples.len() as f64;
    let (x_sum, y_sum) = (x_sum.total(), y_sum.total());
    let covariance = xy_sum.total() - x_sum * y_sum / n;
    let variance = xx_sum.total() - x_sum * x_sum / n;
    let slope = covariance / variance;
    (slope, y_sum / n - slope * x_sum / n)
}

/// Double exponential smoothing, known as Holt-Winters before Prometheus 3. The factors are that of
/// smoothing and that of the trend.
///
/// # Errors
///
/// Where a factor does not lie between 0 and 1.
pub fn smoothed_by(
    window: &Window<'_>,
    factors: &[f64],
    _dialect: Dialect,
) -> Result<Option<f64>, EvalError> {
    let (smoothing, trend) = (factors[0], factors[1]);
    check_factor("smoothing", "sf", smoothing)?;
    check_factor("trend", "tf", trend)?;
    Ok(smoothed(window, smoothing, trend))
}

fn check_factor(name: &str, short: &str, factor: f64) -> Result<(), EvalError> {
    if factor <= 0.0 || factor >= 1.0 {
        return Err(EvalError::Expression(format!(
            "invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
        )));
    }
    Ok(())
}

fn smoothed(window: &Window<'_>, smoothing: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = window.samples else { return None };
    let (mut before, mut level) = (0.0, first.value);
    let mut slope = second.value - first.value;
    for (index, sample) in window.samples[1..].iter().enumerate() {
        if index > 0 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn samples(values: &[(i64, f64)]) -> Vec<Sample> {
        let sample = |(at, value): &(i64, f64)| Sample {
            at: Timestamp::from_millis(at * 1000),
            value: *value,
        };
        values.iter().map(sample).collect()
    }

    fn window(samples: &[Sample]) -> Window<'_> {
        Window { samples, at: 60_000, start: 0, end: 60_000, falls: None }
    }

    #[test]
    fn rate_treats_a_drop_as_a_reset() {
        let samples = samples(&[(0, 10.0), (20, 30.0), (40, 5.0), (60, 25.0)]);
        for dialect in [Dialect::V2, Dialect::V3] {
            let increase = extrapolated(&window(&samples), RateKind::Increase, dialect);
            assert_eq!(increase, Some(45.0));
            let delta = extrapolated(&window(&samples), RateKind::Delta, dialect);
            assert_eq!(delta, Some(15.0));
        }
    }

    #[test]
    fn a_counter_is_not_extrapolated_below_zero() {
        let samples = samples(&[(15, 1.0), (30, 16.0), (45, 31.0)]);
        let increase = extrapolated(&window(&samples), RateKind::Increase, Dialect::V3);
        // One second to zero at the start, the whole interval at the end.
        assert_eq!(increase, Some(30.0 * (30.0 + 1.0 + 15.0) / 30.0));
    }

    #[test]
    fn one_sample_has_no_rate() {
        let samples = samples(&[(30, 1.0)]);
        assert_eq!(extrapolated(&window(&samples), RateKind::Rate, Dialect::V3), None);
        assert_eq!(instantaneous(&window(&samples), RateKind::Rate), None);
    }

    #[test]
    fn a_line_is_continued() {
        let samples = samples(&[(0, 0.0), (30, 3.0), (60, 6.0)]);
        assert_eq!(derivative(&window(&samples), Dialect::V3), Some(0.1));
        assert_eq!(prediction(&window(&samples), 40.0, Dialect::V3), Some(10.0));
    }
}
