//! Series and samples, in Prometheus's sense of the words.

use super::labels::Labels;
use super::time::Timestamp;

/// Bits of the NaN by which Prometheus marks the end of a series
/// (`model/value/value.go`, `StaleNaN`). Any other NaN is an ordinary value.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// How long after its instant a sample may still show, in milliseconds: Prometheus stamps samples
/// with the start of a scrape and shows them at its end, `scrape_timeout` later at most, which is
/// 10 s unless it is configured, and a second for appending them. A judgement that waits this long
/// sees what a replay as of the same instant sees.
pub const SETTLE_MS: i64 = 11_000;

/// The staleness marker as a value.
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the staleness marker, by its bits.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One value at one instant.
///
/// Equality is that of the value's bits, so that a NaN equals itself and `-0.0` is not `0.0`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When the target was scraped, by Prometheus's clock.
    pub at: Timestamp,
    /// The value, to the bit.
    pub value: f64,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && self.value.to_bits() == other.value.to_bits()
    }
}

impl Eq for Sample {}

/// A series' samples in ascending order of time, each instant once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What identifies the series.
    pub labels: Labels,
    /// Its samples, strictly ascending in time.
    pub samples: Vec<Sample>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_compare_by_bits() {
        let at = Timestamp::from_millis(1);
        assert_eq!(Sample { at, value: stale_marker() }, Sample { at, value: stale_marker() });
        assert_ne!(Sample { at, value: 0.0 }, Sample { at, value: -0.0 });
    }
}
