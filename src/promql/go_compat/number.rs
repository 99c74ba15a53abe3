//! Powers, extremes and printed numbers as in Go, to the bit.

use crate::promql::go_compat::transcendental::{exp, ln};

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

/// The smaller one; NaN where one is, as Go's `math.Min`.
pub fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// The larger one; NaN where one is, as Go's `math.Max`.
pub fn max(a: f64, b: f64) -> f64 {
    -min(-a, -b)
}

/// Prints the fewest decimal digits that identify the number, without an exponent: Go's `%f` with
/// the precision -1.
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

/// Prints the fewest digits that identify the number, with an exponent below 1e-4 and from 1e6 on:
/// Go's `%v` and `%g`.
pub fn short(value: f64) -> String {
    with_exponent_outside(value, 1e-4, 1e6)
}

/// Prints a number as Prometheus's HTTP API does: with an exponent below 1e-6 and from 1e21 on.
pub fn api(value: f64) -> String {
    with_exponent_outside(value, 1e-6, 1e21)
}

/// Prints a number as OpenMetrics writes bounds and quantiles: never as an integer, zero without a
/// sign, with an exponent below 1e-4 and from 1e6 on.
pub fn open_metrics(value: f64) -> String {
    let text = short(if value == 0.0 { 0.0 } else { value });
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

fn with_exponent_outside(value: f64, least: f64, most: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (least..most).contains(&size) {
        return plain(value);
    }
    // Rust writes `1e-7`, Go `1e-07`.
    let text = scientific_digits(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The fewest digits with an exponent, and the even ones of two texts that are as near.
fn scientific_digits(value: f64) -> String {
    let text = format!("{value:e}");
    let decimals = text.find('.').zip(text.find('e')).map_or(0, |(point, end)| end - point - 1);
    if decimals + 1 < TIES_FROM_DIGITS {
        return text;
    }
    let nearest = format!("{value:.decimals$e}");
    if nearest.parse() == Ok(value) { nearest } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_follow_go() {
        assert!(max(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(min(0.0, -0.0).is_sign_negative() && max(-0.0, 0.0).is_sign_positive());
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
        assert_eq!((short(1e6), short(999_999.0)), ("1e+06".to_owned(), "999999".to_owned()));
        assert_eq!(short(21_474_836_480.0), "2.147483648e+10");
        assert_eq!(short(100_019_814_223_265.0 + 0.125), "1.0001981422326512e+14");
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
}
