//! Arithmetic as Prometheus does it, to the bit.

use crate::model::{STALE_NAN_BITS, is_stale};
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::transcendental::{exp, ln};

/// Stands for "no value at this step" in columns. Selectors leave out staleness markers, so
/// these bits never are a value.
pub const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a column has no value at a step.
pub fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// A sum with Neumaier's compensation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kahan {
    /// The running sum.
    pub sum: f64,
    /// What rounding has lost.
    pub lost: f64,
}

impl Kahan {
    /// Adds one term.
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

/// Raises to a power as Go does: the special cases of C99, integer parts by repeated squaring.
pub fn power(x: f64, y: f64) -> f64 {
    let special = y == 0.0
        || x == 1.0
        || y == 1.0
        || x.is_nan()
        || y.is_nan()
        || x == 0.0
        || x.is_infinite()
        || y.is_infinite()
        || y == 0.5
        || y == -0.5;
    if special || (x < 0.0 && y.fract() != 0.0) || y.abs() >= 9.3e18 {
        return match y {
            0.5 if x.is_finite() && x != 0.0 => x.sqrt(),
            -0.5 if x.is_finite() && x != 0.0 => 1.0 / x.sqrt(),
            _ => libm::pow(x, y),
        };
    }
    let (mut whole, mut fraction) = (y.abs().trunc(), y.abs().fract());
    let (mut mantissa, mut exponent) = (1.0, 0_i64);
    if fraction != 0.0 {
        if fraction > 0.5 {
            fraction -= 1.0;
            whole += 1.0;
        }
        mantissa = exp(fraction * ln(x));
    }
    let (mut base, base_exponent) = libm::frexp(x);
    let mut base_exponent = i64::from(base_exponent);
    let mut bits = whole as i64;
    while bits != 0 {
        if !(-(1 << 12)..=1 << 12).contains(&base_exponent) {
            exponent += base_exponent;
            break;
        }
        if bits & 1 == 1 {
            mantissa *= base;
            exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        bits >>= 1;
    }
    if y < 0.0 {
        mantissa = 1.0 / mantissa;
        exponent = -exponent;
    }
    libm::ldexp(mantissa, exponent.clamp(-100_000, 100_000) as i32)
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

/// Decimal digits without an exponent, as few as tell the number from its neighbours.
pub fn plain(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => in_digits(value),
    }
}

/// Where two texts of the fewest digits are as near to the number, Go prints the even one.
const TIES_FROM_DIGITS: usize = 16;

fn in_digits(value: f64) -> String {
    let text = format!("{value}");
    let decimals = text.find('.').map_or(0, |point| text.len() - point - 1);
    if decimals == 0 || text.len() <= TIES_FROM_DIGITS {
        return text;
    }
    let nearest = format!("{value:.decimals$}");
    if nearest.parse() == Ok(value) { nearest } else { text }
}

/// As few digits as tell the number from its neighbours, with an exponent below 1e-4 and from
/// 1e21 on: Go's `%g`.
pub fn short(value: f64) -> String {
    with_exponent_outside(value, 1e-4, 1e21)
}

/// As Prometheus's API prints values: an exponent below 1e-6 and from 1e21 on.
pub fn api(value: f64) -> String {
    with_exponent_outside(value, 1e-6, 1e21)
}

/// As OpenMetrics writes bounds and quantiles: never as an integer, zero without a sign, with an
/// exponent below 1e-4 and from 1e6 on.
pub fn open_metrics(value: f64) -> String {
    let text = with_exponent_outside(if value == 0.0 { 0.0 } else { value }, 1e-4, 1e6);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

fn with_exponent_outside(value: f64, least: f64, most: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (least..most).contains(&size) {
        return plain(value);
    }
    // Rust writes `1e-7`, Go `1e-07`.
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
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
    fn powers_of_whole_exponents_are_exact() {
        assert_eq!(power(2.0, 18.0), 262_144.0);
        assert_eq!(power(10.0, -2.0), 0.01);
        assert_eq!(power(-3.0, 3.0), -27.0);
        assert!(power(-8.0, 1.0 / 3.0).is_nan());
        assert_eq!(power(2.0, 1024.0), f64::INFINITY);
        assert_eq!(power(f64::NAN, 0.0), 1.0);
        assert_eq!(power(f64::NEG_INFINITY, 0.5), f64::INFINITY);
    }

    #[test]
    fn numbers_print_as_in_go() {
        assert_eq!(short(1e21), "1e+21");
        assert_eq!(short(0.00001), "1e-05");
        assert_eq!(short(123456.789), "123456.789");
        assert_eq!(open_metrics(1_795_538_576.457), "1.795538576457e+09");
        assert_eq!((open_metrics(-0.0), open_metrics(2.0)), ("0.0".to_owned(), "2.0".to_owned()));
        assert_eq!(open_metrics(1e6), "1e+06");
        assert_eq!(api(1.5e-7), "1.5e-07");
        assert_eq!(api(0.00001), "0.00001");
        assert_eq!(plain(1e22), "10000000000000000000000");
        assert_eq!(plain(100_019_814_223_265.0 + 0.125), "100019814223265.12");
        assert_eq!(plain(0.1 + 0.2), "0.30000000000000004");
        assert_eq!((plain(f64::INFINITY), plain(-0.0)), ("+Inf".to_owned(), "-0".to_owned()));
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
