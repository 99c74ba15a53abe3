//! Numbers as Go and Prometheus's `humanize` functions print them.

use chrono::{DateTime, Utc};

use crate::promql::format_short;

/// Formats as `%.<precision>g`: `precision` significant digits without trailing zeros.
pub fn significant(value: f64, precision: usize) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_short(value);
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        return format!("{}{}", shorn(mantissa), go_exponent(exponent));
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    shorn(&format!("{value:.decimals$}")).to_owned()
}

/// Formats as `%.<precision>e`, with an exponent of at least two digits.
pub fn scientific(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return format_short(value);
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}", go_exponent(exponent.parse().unwrap_or(0)))
}

fn go_exponent(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.unsigned_abs())
}

fn shorn(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// With a metric prefix: `1.234k`.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let (scaled, prefix) = scaled(value);
    format!("{}{prefix}", significant(scaled, 4))
}

fn scaled(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    if value.abs() >= 1.0 {
        for larger in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            prefix = larger;
            value /= 1000.0;
        }
    } else {
        for smaller in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if value.abs() >= 1.0 {
                break;
            }
            prefix = smaller;
            value *= 1000.0;
        }
    }
    (value, prefix)
}

/// With a binary prefix: `1.5Ki`.
pub fn humanize1024(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return significant(value, 4);
    }
    let mut prefix = "";
    for larger in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = larger;
        value /= 1024.0;
    }
    format!("{}{prefix}", significant(value, 4))
}

/// Seconds as `1d 2h 3m 4s`, or as `12.5ms`.
pub fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value, 4);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled(value);
        return format!("{}{prefix}s", significant(value, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (days, hours) = (whole / 86_400, whole / 3_600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", significant(value, 4))
    }
}

/// A fraction of one in percent, with four significant digits.
pub fn humanize_percentage(value: f64) -> String {
    format!("{}%", significant(value * 100.0, 4))
}

/// Unix seconds as Go prints an instant in UTC.
pub fn humanize_timestamp(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        return Ok(significant(value, 4));
    }
    to_time(value).map(time_text)
}

/// The instant at Unix seconds.
pub fn to_time(value: f64) -> Result<DateTime<Utc>, String> {
    if !value.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let beyond = || format!("{} cannot be represented as a timestamp", format_short(value));
    let nanos = value * 1e9;
    // Past 2^63 the cast would stop at the largest number.
    if nanos.abs() >= 9.2e18 {
        return Err(beyond());
    }
    Ok(DateTime::from_timestamp_nanos(nanos as i64))
}

/// An instant as Go prints it.
pub fn time_text(instant: DateTime<Utc>) -> String {
    let text = instant.format("%Y-%m-%d %H:%M:%S%.9f").to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} +0000 UTC")
}

/// Nanoseconds as Go prints a duration: `1h30m0.5s`, `1.5ms`.
pub fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let small = [(1, "ns"), (1_000, "µs"), (1_000_000, "ms")];
    let unit = small.into_iter().rfind(|(unit, _)| size >= *unit && size < 1_000_000_000);
    if let Some((unit, name)) = unit {
        return format!("{sign}{}{name}", decimal(size, unit));
    }
    let (minutes, seconds) = (size / 60_000_000_000, size % 60_000_000_000);
    let seconds = decimal(seconds, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// A count of nanoseconds in a unit of 1, 10³, 10⁶ or 10⁹ of them, without trailing zeros.
fn decimal(nanos: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", nanos / unit, nanos % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
