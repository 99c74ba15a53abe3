//! Functions of one value: rounding, signs, angles, and extremes as Go has them.

use crate::promql::dialect::Dialect;
use crate::promql::go_compat::number::ABSENT;

/// Radians to degrees. Prometheus 2 overflows where Prometheus 3 does not.
pub fn degrees(dialect: Dialect) -> fn(f64) -> f64 {
    match dialect {
        Dialect::V2 => |value| value * 180.0 / std::f64::consts::PI,
        Dialect::V3 => |value| value * (180.0 / std::f64::consts::PI),
    }
}

/// Degrees to radians. Prometheus 2 overflows where Prometheus 3 does not.
pub fn radians(dialect: Dialect) -> fn(f64) -> f64 {
    match dialect {
        Dialect::V2 => |value| value * std::f64::consts::PI / 180.0,
        Dialect::V3 => |value| value * (std::f64::consts::PI / 180.0),
    }
}

/// The sign as -1 or 1; zero and NaN stay what they are.
pub fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The smaller one; NaN where one is, as Go's `math.Min`.
pub fn least(a: f64, b: f64) -> f64 {
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
pub fn most(a: f64, b: f64) -> f64 {
    -least(-a, -b)
}

/// Limits a value to between two bounds; no value where the lower bound exceeds the upper one.
pub fn clamp(value: f64, [lower, upper]: [f64; 2]) -> f64 {
    if upper < lower { ABSENT } else { most(lower, least(upper, value)) }
}

/// Rounds to the nearest multiple; ties go up.
pub fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_follow_go() {
        assert!(most(f64::NAN, 1.0).is_nan() && least(1.0, f64::NAN).is_nan());
        assert_eq!(most(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(least(0.0, -0.0).is_sign_negative() && most(-0.0, 0.0).is_sign_positive());
    }

    #[test]
    fn ties_round_up() {
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
    }
}
