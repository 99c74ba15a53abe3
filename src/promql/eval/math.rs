//! Functions of one value: rounding, bounds, signs and angles.

use super::column::ABSENT;
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::number;

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

/// Limits a value to between two bounds; no value where the lower bound exceeds the upper one.
pub fn clamp(value: f64, [lower, upper]: [f64; 2]) -> f64 {
    if upper < lower { ABSENT } else { number::max(lower, number::min(upper, value)) }
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
    fn ties_round_up() {
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
    }
}
