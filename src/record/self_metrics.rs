//! The recorder's metrics about itself. They are stored as series of the capture, so that the load
//! that recording causes can be ruled out as a cause of a fault.

use std::collections::BTreeMap;

use crate::capture::{SampleBatch, SeriesIndex};
use crate::model::{EncodedLabels, Labels, LabelsError, Sample, Timestamp};

/// The value of the label `result`: how a request ended, such as `ok` or `timeout`.
pub type ResultName = &'static str;

/// Whether a metric is one of the recorder's own, which say nothing about a cluster.
pub fn is_own_metric(metric: &str) -> bool {
    metric.starts_with("operator_")
}

/// Counters since the recorder started. A resumed recording starts at zero again, which readers treat
/// as a counter reset.
#[derive(Clone, Debug, Default)]
pub struct SelfMetrics {
    requests: BTreeMap<(String, ResultName), u64>,
    seconds: BTreeMap<String, (f64, u64)>,
    commit_seconds: (f64, u64),
    capture_bytes: u64,
    samples: u64,
}

impl SelfMetrics {
    /// Counts a request to `source` that ended with `result` after `seconds`.
    pub fn count_request(&mut self, source: &str, result: ResultName, seconds: f64) {
        *self.requests.entry((source.to_owned(), result)).or_default() += 1;
        let (sum, count) = self.seconds.entry(source.to_owned()).or_default();
        *sum += seconds;
        *count += 1;
    }

    /// Counts a commit that took `seconds` and wrote `samples`; `bytes` is the capture's size after it.
    pub fn count_commit(&mut self, seconds: f64, samples: u64, bytes: u64) {
        self.commit_seconds.0 += seconds;
        self.commit_seconds.1 += 1;
        self.samples += samples;
        self.capture_bytes = bytes;
    }

    /// Adds a sample of every series at the instant `at` to `batch`.
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

    /// Every series with its value: by metric, then ascending by source and result.
    pub fn series(&self) -> Vec<(Labels, f64)> {
        let mut all = Vec::new();
        for ((source, result), count) in &self.requests {
            let labels = [("source", source.as_str()), ("result", result)];
            all.push(series_of("operator_source_requests_total", &labels, *count as f64));
        }
        for (source, (sum, count)) in &self.seconds {
            let labels = [("source", source.as_str())];
            all.push(series_of("operator_source_request_seconds_sum", &labels, *sum));
            all.push(series_of("operator_source_request_seconds_count", &labels, *count as f64));
        }
        all.push(series_of("operator_commit_seconds_sum", &[], self.commit_seconds.0));
        all.push(series_of("operator_commit_seconds_count", &[], self.commit_seconds.1 as f64));
        all.push(series_of("operator_capture_bytes", &[], self.capture_bytes as f64));
        all.push(series_of("operator_samples_total", &[], self.samples as f64));
        all
    }
}

fn series_of(metric: &str, extra: &[(&str, &str)], value: f64) -> (Labels, f64) {
    let mut pairs = vec![("__name__", metric), ("job", "operator"), ("instance", "self")];
    pairs.extend_from_slice(extra);
    (Labels::from_pairs(&pairs), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_source_and_result() {
        let mut own = SelfMetrics::default();
        own.count_request("prometheus", "ok", 0.5);
        own.count_request("prometheus", "ok", 0.25);
        own.count_request("pd/pd0", "timeout", 3.0);
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
