//! What a copy of history will bring and take, asked for before it begins.

use super::copier::Copier;
use crate::model::TimeRange;
use crate::source::SourceError;

/// At how many instants of the window Prometheus is asked.
const INSTANTS: i64 = 3;
/// Over how long scrapes are counted at each of them.
const COUNTED_MS: i64 = 120_000;
/// The scrape interval where no `up` tells one: that of a TiKV deployment.
const USUAL_INTERVAL_MS: f64 = 15_000.0;
/// What a series takes in a file, whatever its samples: names, presence, a first value.
const BYTES_PER_SERIES: f64 = 2.6;
/// What each further sample takes.
const BYTES_PER_SAMPLE: f64 = 0.025;
/// What a file takes that holds next to nothing.
const BYTES_PER_FILE: f64 = 20_000.0;
/// Samples of a second of remote read or of queries.
const SAMPLES_PER_SECOND: f64 = 750_000.0;

/// What a copy of history will bring, going by a few instants of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryEstimate {
    /// Series at an instant; over the window there may be more.
    pub series: u64,
    /// Samples of the whole window.
    pub samples: u64,
    /// Size of the file, without PD's answers.
    pub file_bytes: u64,
    /// How long copying takes.
    pub copy_ms: u64,
}

impl Copier {
    /// Counts series and the scrapes of their targets at a few instants of `range`, and extends
    /// that to all of it.
    ///
    /// Series that several selectors find count for each. Bytes and time are those of captures of
    /// real clusters (`campaign size`, `campaign day`) and of a Prometheus on the same machine
    /// (`campaign fidelity`).
    ///
    /// # Errors
    ///
    /// [`SourceError`] where Prometheus does not count, which says nothing about whether it can be
    /// copied.
    pub async fn estimate(&self, range: TimeRange) -> Result<HistoryEstimate, SourceError> {
        let step = range.millis() / INSTANTS;
        let counted = COUNTED_MS.min(step).max(1);
        let (mut series, mut samples) = (0.0, 0.0);
        for number in 0..INSTANTS {
            let at = range.start.saturating_add_millis(step * number + (step + counted) / 2);
            for selector in &self.selectors {
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
