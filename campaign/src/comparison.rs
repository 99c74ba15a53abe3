//! What a recording has in common with what Prometheus itself returns, as columns of a table.
//!
//! Which columns a table has, and what stands before them, is decided by the campaign that prints it.

use std::time::Duration;

use testkit::prometheus::remote_read::Comparison;

/// A column of numbers, aligned to the right.
pub struct Column {
    heading: &'static str,
    width: usize,
    /// The number, of a comparison and of how long it took to record what is compared.
    value: fn(&Comparison, Duration) -> String,
}

pub const SERIES: Column = column("series", 8, |found, _| found.series.to_string());
pub const SAMPLES: Column = column("samples", 9, |found, _| found.samples.to_string());
pub const MISSING: Column = column("missing", 7, |found, _| found.missing.to_string());
pub const EXTRA: Column = column("extra", 5, |found, _| found.extra.to_string());
pub const DIFFER: Column = column("differ", 7, |found, _| found.differ.to_string());
/// Of those that differ, numbers that are equal but for the digits that VictoriaMetrics keeps.
pub const ROUNDED: Column = column("rounded", 7, |found, _| found.rounded.to_string());
/// The largest difference of two numbers, as a part of the value.
pub const FURTHEST: Column = column("furthest", 8, |found, _| format!("{:.1e}", found.furthest));
/// Staleness markers that were recorded.
pub const STALE: Column = column("stale", 6, |found, _| found.stale.to_string());
/// Staleness markers that only Prometheus returns.
pub const STALE_MISSING: Column = column("stale -", 7, |found, _| found.stale_missing.to_string());
/// Staleness markers where Prometheus returns none.
pub const STALE_EXTRA: Column = column("stale +", 7, |found, _| found.stale_extra.to_string());
/// NaNs with other payloads.
pub const NAN: Column = column("NaN", 6, |found, _| found.nan_payload.to_string());
/// Zeros whose sign the comparison cannot see.
pub const NEGATIVE_ZERO: Column = column("-0", 4, |found, _| found.negative_zero.to_string());
/// How long reading and writing took, in seconds.
pub const TOOK: Column = column("s", 6, |_, took| format!("{:.2}", took.as_secs_f64()));
/// Millions of samples that were recorded in a second.
pub const SPEED: Column = column("M/s", 5, |found, took| {
    format!("{:.2}", found.samples as f64 / 1e6 / took.as_secs_f64())
});

const fn column(
    heading: &'static str,
    width: usize,
    value: fn(&Comparison, Duration) -> String,
) -> Column {
    Column { heading, width, value }
}

/// The headings of columns, each with a space before it.
pub fn headings(columns: &[Column]) -> String {
    columns.iter().map(|column| format!(" {:>1$}", column.heading, column.width)).collect()
}

/// The numbers below them.
pub fn numbers(columns: &[Column], found: &Comparison, took: Duration) -> String {
    let number = |column: &Column| format!(" {:>1$}", (column.value)(found, took), column.width);
    columns.iter().map(number).collect()
}
