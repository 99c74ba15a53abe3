//! The recorder's metrics about itself, stored as series of the capture, so that its own load
//! can be ruled out as a cause.

use std::collections::BTreeMap;

use crate::capture::{SampleBatch, SeriesIndex};
use crate::model::{EncodedLabels, Labels, LabelsError, Sample, Timestamp};

/// How a request ended, as the label `result`.
pub type ResultName = &'static str;

/// Counters since the recorder started; a resumed recording begins again at zero, which readers
/// treat as a reset.
#[derive(Clone, Debug, Default)]
pub struct OwnMetrics {
    requests: BTreeMap<(String, ResultName), u64>,
    seconds: BTreeMap<String, (f64, u64)>,
    commit_seconds: (f64, u64),
    capture_bytes: u64,
    samples: u64,
}

impl OwnMetrics {
    /// Counts a request to `source` that took `seconds`.
    pub fn request(&mut self, source: &str, result: ResultName, seconds: f64) {
        *self.requests.entry((source.to_owned(), result)).or_default() += 1;
        let (sum, count) = self.seconds.entry(source.to_owned()).or_default();
        *sum += seconds;
        *count += 1;
    }

    /// Counts a commit that took `seconds`, wrote `samples` and left a file of `bytes`.
    pub fn commit(&mut self, seconds: f64, samples: u64, bytes: u64) {
        self.commit_seconds.0 += seconds;
        self.commit_seconds.1 += 1;
        self.samples += samples;
        self.capture_bytes = bytes;
    }

    /// Adds a sample of every metric to `batch`.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the batch refuses a label set.
    pub fn push(
        &self,
        batch: &mut SampleBatch,
        index: &mut SeriesIndex,
        at: Timestamp,
    ) -> Result<(), LabelsError> {
        for (labels, value) in self.series() {
            let mut encoded = Vec::with_capacity(160);
            labels.encode(&mut encoded);
            batch.push(index, EncodedLabels(&encoded), &[Sample { at, value }])?;
        }
        Ok(())
    }

    /// Every series with its value, in a fixed order.
    pub fn series(&self) -> Vec<(Labels, f64)> {
        let mut all = Vec::new();
        for ((source, result), count) in &self.requests {
            let labels = [("source", source.as_str()), ("result", result)];
            all.push(own("operator_source_requests_total", &labels, *count as f64));
        }
        for (source, (sum, count)) in &self.seconds {
            let labels = [("source", source.as_str())];
            all.push(own("operator_source_request_seconds_sum", &labels, *sum));
            all.push(own("operator_source_request_seconds_count", &labels, *count as f64));
        }
        all.push(own("operator_commit_seconds_sum", &[], self.commit_seconds.0));
        all.push(own("operator_commit_seconds_count", &[], self.commit_seconds.1 as f64));
        all.push(own("operator_capture_bytes", &[], self.capture_bytes as f64));
        all.push(own("operator_samples_total", &[], self.samples as f64));
        all
    }
}

fn own(metric: &str, extra: &[(&str, &str)], value: f64) -> (Labels, f64) {
    let mut pairs = vec![("__name__", metric), ("job", "operator"), ("instance", "self")];
    pairs.extend_from_slice(extra);
    (Labels::from_pairs(&pairs), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_source_and_result() {
        let mut own = OwnMetrics::default();
        own.request("prometheus", "ok", 0.5);
        own.request("prometheus", "ok", 0.25);
        own.request("pd/pd0", "timeout", 3.0);
        let series = own.series();
        let value = |metric: &str, source: &str| {
            series
                .iter()
                .find(|(labels, _)| {
                    labels.metric() == metric && labels.get("source") == Some(source)
                })
                .map(|(_, value)| *value)
        };
        assert_eq!(value("operator_source_requests_total", "prometheus"), Some(2.0));
        assert_eq!(value("operator_source_request_seconds_sum", "prometheus"), Some(0.75));
        assert_eq!(value("operator_source_requests_total", "pd/pd0"), Some(1.0));
    }
}
