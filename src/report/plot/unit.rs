//! Units of plotted quantities, and how values in them are written.

use crate::diagnose::PlotHow;
use crate::model::Timestamp;
use crate::report::page::clock;

/// The unit of a quantity, as its name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    /// A number without a unit.
    Plain,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Events a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
    /// Seconds since the Unix epoch.
    Instant,
    /// Seconds of work in each second: how many processors or threads were occupied.
    Occupied,
}

/// How values of one axis are written: multiplied by a factor, with a suffix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Shown {
    /// What a value is multiplied by.
    pub factor: f64,
    /// What follows it.
    pub suffix: &'static str,
    /// Whether it is an instant in seconds, written as the time of day.
    pub is_instant: bool,
}

/// How the names of gauges end whose values are instants.
const INSTANTS: [&str; 2] = ["_time_seconds", "_timestamp_seconds"];

impl Unit {
    /// The unit of a quantity of diagnosis.
    pub(in crate::report) fn of(name: &str, how: PlotHow) -> Self {
        let base = name.strip_suffix("_total").unwrap_or(name);
        let seconds = base.ends_with("seconds") || base.ends_with("seconds_sum");
        let bytes = base.ends_with("bytes") || base.ends_with("bytes_sum");
        match (how, seconds, bytes) {
            (PlotHow::Gauge, true, _) if INSTANTS.iter().any(|end| base.ends_with(end)) => {
                Self::Instant
            }
            (PlotHow::Rate, true, _) => Self::Occupied,
            (PlotHow::Rate, _, true) => Self::BytesPerSecond,
            (PlotHow::Rate | PlotHow::Slow, ..) => Self::PerSecond,
            (PlotHow::SlowShare, ..) => Self::Plain,
            (_, true, _) => Self::Seconds,
            (_, _, true) => Self::Bytes,
            _ => Self::Plain,
        }
    }

    /// What the axis is called, where its labels and the name of the quantity do not say it; else empty.
    pub(in crate::report) fn name(self) -> &'static str {
        match self {
            Self::Occupied => "seconds of work a second",
            Self::Instant => "time of day",
            _ => "",
        }
    }

    /// How values are written on an axis up to `most`.
    pub(super) fn shown(self, most: f64) -> Shown {
        let choose = |choices: &[(f64, &'static str)]| {
            let fits = choices.iter().find(|(least, _)| most >= *least);
            let (least, suffix) = fits.or(choices.last()).copied().unwrap_or((1.0, ""));
            Shown { factor: 1.0 / least, suffix, ..PLAIN }
        };
        const KIB: f64 = 1024.0;
        match self {
            Self::Plain | Self::Occupied => PLAIN,
            Self::Instant => Shown { is_instant: true, ..PLAIN },
            Self::PerSecond => Shown { suffix: "/s", ..PLAIN },
            Self::Seconds if most == 0.0 => Shown { suffix: " s", ..PLAIN },
            Self::Seconds => choose(&[(1.0, " s"), (1e-3, " ms"), (1e-6, " us")]),
            Self::Bytes => {
                choose(&[(KIB.powi(3), " GiB"), (KIB.powi(2), " MiB"), (KIB, " KiB"), (1.0, " B")])
            }
            Self::BytesPerSecond => choose(&[
                (KIB.powi(3), " GiB/s"),
                (KIB.powi(2), " MiB/s"),
                (KIB, " KiB/s"),
                (1.0, " B/s"),
            ]),
        }
    }
}

/// Values as they are.
const PLAIN: Shown = Shown { factor: 1.0, suffix: "", is_instant: false };

impl Shown {
    /// A value with as many decimals as tell it from one that is `step` away; with three significant digits
    /// where the step is zero.
    pub(in crate::report) fn text(self, value: f64, step: f64) -> String {
        if self.is_instant {
            let clock = clock(Timestamp::from_millis((value * 1000.0) as i64));
            return clock.split('.').next().unwrap_or_default().to_owned();
        }
        let (value, step) = (value * self.factor, step * self.factor);
        // Rounding leaves a negative zero of a sum of steps.
        let value = if value.abs() < step / 1e6 { 0.0 } else { value };
        let size = value.abs();
        let number = if size != 0.0 && !(1e-4..1e7).contains(&size) {
            let text = format!("{value:.2e}");
            match text.split_once('e') {
                Some((digits, power)) if digits.contains('.') => {
                    format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
                }
                _ => text,
            }
        } else if step > 0.0 {
            // The distance of labels is a round number, so its first digit is its last.
            let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
            format!("{value:.decimals$}")
        } else {
            three_digits(value)
        };
        format!("{number}{}", self.suffix)
    }
}

/// A number without a unit, with three significant digits.
pub(in crate::report) fn plain_number(value: f64) -> String {
    Unit::Plain.shown(value.abs()).text(value, 0.0)
}

/// A number with three significant digits, all of them before the point included.
fn three_digits(value: f64) -> String {
    let power = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = usize::try_from(2 - power).unwrap_or(0).min(6);
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_from_names() {
        let of = Unit::of;
        assert_eq!(of("tikv_wal_duration_seconds", PlotHow::Mean), Unit::Seconds);
        assert_eq!(of("tikv_thread_cpu_seconds_total", PlotHow::Rate), Unit::Occupied);
        assert_eq!(of("process_resident_memory_bytes", PlotHow::Gauge), Unit::Bytes);
        assert_eq!(of("tikv_flow_bytes_total", PlotHow::Rate), Unit::BytesPerSecond);
        assert_eq!(of("tikv_requests_total", PlotHow::Rate), Unit::PerSecond);
        assert_eq!(of("/ping seconds", PlotHow::Pd), Unit::Seconds);
        assert_eq!(of("process_start_time_seconds", PlotHow::Gauge), Unit::Instant);
        assert_eq!(of("up", PlotHow::Gauge), Unit::Plain);
    }

    #[test]
    fn values_read_well() {
        let seconds = |value: f64| Unit::Seconds.shown(value).text(value, 0.0);
        assert_eq!(
            [0.0, 0.00045, 0.3012, 1.5, 150.0].map(seconds),
            ["0 s", "450 us", "301 ms", "1.5 s", "150 s"]
        );
        let plain = |value: f64| Unit::Plain.shown(value).text(value, 0.0);
        assert_eq!([12_345.6, 1e9, 1.5e-9].map(plain), ["12346", "1e9", "1.5e-9"]);
        assert_eq!(Unit::Bytes.shown(3e6).text(3e6, 0.0), "2.86 MiB");
    }
}
