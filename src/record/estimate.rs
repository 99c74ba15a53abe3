//! Estimates the size and duration of a copy of history before it begins, by a few counting queries.

use super::copier::Copier;
use crate::model::TimeRange;
use crate::source::SourceError;

/// The number of instants of the window at which Prometheus is asked.
const INSTANTS: i64 = 3;
/// The time over which scrapes are counted at each instant.
const COUNTED_MS: i64 = 120_000;
/// The scrape interval that is assumed where no `up` series exists: that of a TiKV deployment.
const USUAL_INTERVAL_MS: f64 = 15_000.0;
/// Bytes of a file for each series, however many samples it has: labels, presence, a first value.
const BYTES_PER_SERIES: f64 = 2.6;
/// Bytes of a file for each further sample.
const BYTES_PER_SAMPLE: f64 = 0.025;
/// Bytes of a file that holds almost nothing.
const BYTES_PER_FILE: f64 = 20_000.0;
/// The number of samples that are copied in a second, by remote read or by queries.
const SAMPLES_PER_SECOND: f64 = 750_000.0;

/// The expected result of a copy of history, extrapolated from a few instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryEstimate {
    /// The number of series at an instant; the whole window may have more.
    pub series: u64,
    /// The number of samples of the whole window.
    pub samples: u64,
    /// Size of the file in bytes, without PD's answers.
    pub file_bytes: u64,
    /// The duration of the copy in milliseconds.
    pub copy_ms: u64,
}

impl Copier {
    /// Counts series and the scrapes of their targets at a few instants of `range`, and extends
    /// that to all of it.
    ///
    /// A series that several selectors find counts once for each. The factors for bytes and time were
    /// measured on captures of real clusters (`campaign size`, `campaign day`) and on a Prometheus on the
    /// same machine (`campaign fidelity`).
    ///
    /// # Errors
    ///
    /// [`SourceError`] where Prometheus does not answer the counting queries. It may still be possible to
    /// copy it.
    pub async fn estimate(&self, range: TimeRange) -> Result<HistoryEstimate, SourceError> {
        let step = range.millis() / INSTANTS;
        let counted = COUNTED_MS.min(step).max(1);
        let (mut series, mut samples) = (0.0, 0.0);
        for number in 0..INSTANTS {
            let at = range.start.saturating_add_millis(step * number + (step + counted) / 2);
            for selector in self.selectors() {
                let found = self.client.count(&format!("count({selector})"), at).await?;
                let up = selector.scrapes();
                let scrapes = format!("avg(count_over_time({up}[{counted}ms]))");
                let scrapes = match self.client.count(&scrapes, at).await? {
                    0.0 => counted as f64 / USUAL_INTERVAL_MS,
                    scrapes => scrapes,
                };
                series += found;
                samples += found * scrapes;
            }
        }
        let series = series / INSTANTS as f64;
        let samples = samples / INSTANTS as f64 * range.millis() as f64 / counted as f64;
        Ok(HistoryEstimate::of(series, samples))
    }
}

impl HistoryEstimate {
    fn of(series: f64, samples: f64) -> Self {
        let bytes = BYTES_PER_FILE + series * BYTES_PER_SERIES + samples * BYTES_PER_SAMPLE;
        Self {
            series: series as u64,
            samples: samples as u64,
            file_bytes: bytes as u64,
            copy_ms: (samples * 1000.0 / SAMPLES_PER_SECOND) as u64,
        }
    }
}
