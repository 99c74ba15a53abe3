//! A capture as diagnosis reads it, damaged or not.

use std::path::Path;
use std::sync::LazyLock;

use operator::capture::{CaptureError, CaptureReader};
use operator::diagnose::{Evidence, Parts, metrics};
use operator::model::{LabelMatcher, MatchOp, Series, TimeRange, Timestamp};
use operator::timeline::Recording;

/// The metrics that diagnosis reads.
static METRICS: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(&format!("^(?:{})$", metrics().join("|"))).expect("metrics are words")
});

/// A whole capture in memory.
pub struct Loaded {
    /// The capture.
    pub reader: CaptureReader,
    /// Everything but the samples that diagnosis reads.
    pub recording: Recording,
    series: Vec<Series>,
}

impl Loaded {
    /// Loads a capture; what is damaged is left out and noted.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let reader = CaptureReader::open(path)?;
        let mut recording = Recording::load(&reader, TimeRange::ALL)?;
        let op = MatchOp::Regex(METRICS.clone());
        let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
        let series = reader.select(&[matcher], recording.window)?;
        recording.note_damage(&reader)?;
        Ok(Self { reader, recording, series })
    }

    /// What is known of it at an instant.
    pub fn evidence(&self, as_of: Timestamp) -> Evidence {
        let parts = Parts {
            series: self.series.clone(),
            pd: &self.recording.pd,
            gaps: &self.recording.gaps,
            unreadable: &self.recording.unreadable,
            loss: self.recording.loss.as_ref(),
        };
        Evidence::new(self.recording.window, as_of, parts)
    }
}
