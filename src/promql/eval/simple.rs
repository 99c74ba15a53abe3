//! Functions of one value: mathematics and the calendar.

use crate::promql::eval::engine::Dialect;
use crate::promql::go_compat::transcendental;

/// The function of that name, where it maps each value alone.
pub fn of_value(name: &str, dialect: Dialect) -> Option<fn(f64) -> f64> {
    Some(match (name, dialect) {
        // Prometheus 2 overflows where Prometheus 3 does not.
        ("deg", Dialect::V2) => |value| value * 180.0 / std::f64::consts::PI,
        ("rad", Dialect::V2) => |value| value * std::f64::consts::PI / 180.0,
        ("deg", Dialect::V3) => |value| value * (180.0 / std::f64::consts::PI),
        ("rad", Dialect::V3) => |value| value * (std::f64::consts::PI / 180.0),
        _ => return same_in_all(name),
    })
}

fn same_in_all(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "sqrt" => f64::sqrt,
        "exp" => transcendental::exp,
        "ln" => transcendental::ln,
        "log2" => transcendental::log2,
        "log10" => transcendental::log10,
        "sin" => transcendental::sin,
        "cos" => transcendental::cos,
        "tan" => transcendental::tan,
        "asin" => transcendental::asin,
        "acos" => transcendental::acos,
        "atan" => transcendental::atan,
        "sinh" => transcendental::sinh,
        "cosh" => transcendental::cosh,
        "tanh" => transcendental::tanh,
        "asinh" => transcendental::asinh,
        "acosh" => transcendental::acosh,
        "atanh" => transcendental::atanh,
        "sgn" => sign,
        _ => return None,
    })
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
        "minute" => |seconds| Date::of(seconds).minute as f64,
        "hour" => |seconds| Date::of(seconds).hour as f64,
        "day_of_week" => |seconds| Date::of(seconds).weekday as f64,
        "day_of_month" => |seconds| Date::of(seconds).day as f64,
        "day_of_year" => |seconds| Date::of(seconds).day_of_year as f64,
        "days_in_month" => |seconds| Date::of(seconds).days_in_month as f64,
        "month" => |seconds| Date::of(seconds).month as f64,
        "year" => |seconds| Date::of(seconds).year as f64,
        _ => return None,
    })
}

/// A date of the Gregorian calendar, for every 64-bit number of seconds, as Go's `time` has it.
struct Date {
    year: i64,
    month: usize,
    day: u64,
    day_of_year: u64,
    days_in_month: u64,
    weekday: u64,
    hour: u64,
    minute: u64,
}

/// A year that is the first of a cycle of 400 and lies before all 64-bit times.
const FIRST_YEAR: i64 = -292_277_022_399;
/// Seconds from the first year, whose first day was a Monday, to 1970; modulo 2^64.
const TO_UNIX: u64 = 9_223_371_966_579_724_800 + 62_135_596_800;
/// Beyond the largest 64-bit number.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const DAY_S: u64 = 86_400;
const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Date {
    /// What is no 64-bit number becomes the smallest one, as on the processors of servers.
    fn of(seconds: f64) -> Self {
        let fits = (-TWO_TO_63..TWO_TO_63).contains(&seconds);
        let unix = if fits { seconds as i64 } else { i64::MIN };
        let absolute = (unix as u64).wrapping_add(TO_UNIX);
        let (mut days, of_day) = (absolute / DAY_S, absolute % DAY_S);
        let weekday = (days + 1) % 7;
        let mut year = 0;
        // Cycles of 400, 100, 4 and 1 years. The last of four hundred-year cycles is a day longer,
        // and so is the last of four years.
        for (cycle, length) in [(400, 146_097), (100, 36_524), (4, 1_461), (1, 365)] {
            let mut count = days / length;
            if matches!(cycle, 1 | 100) {
                count -= count >> 2;
            }
            year += cycle * count;
            days -= count * length;
        }
        let year = (year as i64).wrapping_add(FIRST_YEAR);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = days + 1;
        let (mut month, mut days_in_month) = (0, MONTHS[0]);
        while days >= days_in_month {
            days -= days_in_month;
            month += 1;
            days_in_month = MONTHS[month] + u64::from(is_leap && month == 1);
        }
        Self {
            year,
            month: month + 1,
            day: days + 1,
            day_of_year,
            days_in_month,
            weekday,
            hour: of_day / 3_600,
            minute: of_day % 3_600 / 60,
        }
    }
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
        assert_eq!((of("day_of_year", -1.0), of("year", -1.0)), (365.0, 1969.0));
        let leap = 951_782_400.0 + 86_399.0; // 2000-02-29
        assert_eq!((of("day_of_month", leap), of("days_in_month", leap)), (29.0, 29.0));
    }

    #[test]
    fn no_time_is_the_first_one() {
        // What Prometheus answers on amd64.
        let parts = ["day_of_month", "month", "day_of_week", "day_of_year", "minute"];
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let of = |part: &str| of_calendar(part).expect("it exists")(odd);
            assert_eq!(parts.map(of), [4.0, 12.0, 0.0, 339.0, 30.0]);
        }
    }

    #[test]
    fn extremes_follow_go() {
        assert!(most(f64::NAN, 1.0).is_nan() && least(1.0, f64::NAN).is_nan());
        assert_eq!(most(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(least(0.0, -0.0).is_sign_negative() && most(-0.0, 0.0).is_sign_positive());
    }

    #[test]
    fn logarithms_of_powers_are_whole() {
        assert_eq!(of_value("log2", Dialect::V3).expect("it exists")(1024.0), 10.0);
        assert!(of_value("acosh", Dialect::V3).expect("it exists")(-1e9).is_nan());
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
    }
}
