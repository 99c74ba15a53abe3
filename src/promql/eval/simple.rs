//! Functions of one value: mathematics and the calendar.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// The function of that name, where it maps each value alone.
pub fn of_value(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "sqrt" => f64::sqrt,
        "exp" => libm::exp,
        "ln" => libm::log,
        "log2" => log2,
        "log10" => log10,
        "sin" => libm::sin,
        "cos" => libm::cos,
        "tan" => libm::tan,
        "asin" => libm::asin,
        "acos" => libm::acos,
        "atan" => libm::atan,
        "sinh" => libm::sinh,
        "cosh" => libm::cosh,
        "tanh" => libm::tanh,
        "asinh" => libm::asinh,
        "acosh" => libm::acosh,
        "atanh" => libm::atanh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "sgn" => sign,
        _ => return None,
    })
}

/// As Go computes it: exact for powers of two.
fn log2(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return libm::log2(value);
    }
    let (fraction, exponent) = libm::frexp(value);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    libm::log(fraction) * (1.0 / std::f64::consts::LN_2) + f64::from(exponent)
}

/// As Go computes it.
fn log10(value: f64) -> f64 {
    log2(value) * (std::f64::consts::LN_2 / std::f64::consts::LN_10)
}

fn sign(value: f64) -> f64 {
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

/// Rounds to the nearest multiple; ties go up.
pub fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// The function of that name, where it reads the calendar, of seconds since the Unix epoch.
pub fn of_calendar(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |seconds| date(seconds, |at| at.minute()),
        "hour" => |seconds| date(seconds, |at| at.hour()),
        "day_of_week" => |seconds| date(seconds, |at| at.weekday().num_days_from_sunday()),
        "day_of_month" => |seconds| date(seconds, |at| at.day()),
        "day_of_year" => |seconds| date(seconds, |at| at.ordinal()),
        "days_in_month" => {
            |seconds| date(seconds, |at| u32::from(at.date_naive().num_days_in_month()))
        }
        "month" => |seconds| date(seconds, |at| at.month()),
        "year" => |seconds| instant(seconds).map_or(f64::NAN, |at| f64::from(at.year())),
        _ => return None,
    })
}

fn date(seconds: f64, part: fn(DateTime<Utc>) -> u32) -> f64 {
    instant(seconds).map_or(f64::NAN, |at| f64::from(part(at)))
}

fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    if seconds.is_finite() { DateTime::from_timestamp(seconds as i64, 0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_in_utc() {
        let of = |name: &str, seconds: f64| of_calendar(name).expect("it exists")(seconds);
        // 2024-02-29T23:59:59Z, a Thursday.
        let at = 1_709_251_199.0;
        let parts = ["year", "month", "day_of_month", "day_of_week", "day_of_year", "hour"];
        let values: Vec<f64> = parts.iter().map(|part| of(part, at)).collect();
        assert_eq!(values, [2024.0, 2.0, 29.0, 4.0, 60.0, 23.0]);
        assert_eq!(of("days_in_month", at), 29.0);
        assert!(of("hour", f64::NAN).is_nan());
    }

    #[test]
    fn extremes_follow_go() {
        assert!(most(f64::NAN, 1.0).is_nan() && least(1.0, f64::NAN).is_nan());
        assert_eq!(most(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(least(0.0, -0.0).is_sign_negative() && most(-0.0, 0.0).is_sign_positive());
    }

    #[test]
    fn logarithms_of_powers_are_whole() {
        assert_eq!(of_value("log2").expect("it exists")(1024.0), 10.0);
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
    }
}
