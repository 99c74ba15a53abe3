//! Sums, quantiles and comparisons of floats as Prometheus computes them, to the bit.

use super::column::is_absent;
use crate::promql::dialect::Dialect;

/// A running sum with Neumaier's compensation for rounding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kahan {
    /// The running sum, without compensation.
    pub sum: f64,
    /// The part of the terms that rounding has lost.
    pub lost: f64,
}

impl Kahan {
    /// Adds one term to the sum.
    #[inline]
    pub fn add(&mut self, term: f64) {
        let total = self.sum + term;
        if self.sum.abs() >= term.abs() {
            self.lost += (self.sum - total) + term;
        } else {
            self.lost += (term - total) + self.sum;
        }
        self.sum = total;
    }

    /// Adds one term as Prometheus 3 does: a sum that becomes infinite loses its compensation,
    /// which would be NaN.
    #[inline]
    pub fn add_bounded(&mut self, term: f64) {
        let total = self.sum + term;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= term.abs() {
            self.lost += (self.sum - total) + term;
        } else {
            self.lost += (term - total) + self.sum;
        }
        self.sum = total;
    }

    /// The sum with its compensation.
    pub fn total(&self) -> f64 {
        self.sum + self.lost
    }
}

/// The quantile of values in any order. NaN counts as the smallest. Prometheus 2 also weighs the
/// neighbour that has no weight, which makes NaN of infinities.
pub fn quantile(q: f64, values: &mut [f64], dialect: Dialect) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| {
        b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let last = (values.len() - 1) as f64;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    if weight == 0.0 && dialect == Dialect::V3 {
        return values[lower as usize];
    }
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// Whether two numbers differ by no more than rounding explains, as Prometheus judges it.
pub fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    if is_absent(a) || is_absent(b) {
        return is_absent(a) && is_absent(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < tolerance * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compensation_keeps_what_rounding_loses() {
        let mut sum = Kahan::default();
        for term in [1.0, 1e100, 1.0, -1e100] {
            sum.add(term);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn quantiles_interpolate() {
        let quantile = |q, values: &[f64]| super::quantile(q, &mut values.to_vec(), Dialect::V3);
        assert_eq!(quantile(0.5, &[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(quantile(0.0, &[1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(2.0, &[1.0]), f64::INFINITY);
        let infinite = [f64::NEG_INFINITY, 1.0, f64::INFINITY];
        assert_eq!(quantile(0.0, &infinite), f64::NEG_INFINITY);
        assert!(super::quantile(0.5, &mut infinite.to_vec(), Dialect::V2).is_nan());
    }
}
