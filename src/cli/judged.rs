//! A capture, loaded and judged: what `explain`, `score` and `diff` begin with.

use std::path::Path;

use anyhow::Context;

use super::evidence;
use crate::capture::CaptureReader;
use crate::diagnose::{Evidence, Verdict, diagnose};
use crate::model::{Series, TimeRange, Timestamp, escape_path};
use crate::replay::Recording;

/// A capture in memory.
pub struct Judged {
    /// Everything but samples.
    pub recording: Recording,
    /// Samples that diagnosis reads.
    pub series: Vec<Series>,
}

impl Judged {
    /// Loads a whole capture.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be read.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot judge {}", escape_path(path));
        let reader = CaptureReader::open(path)?;
        let (recording, series) = evidence::load(&reader, TimeRange::ALL).with_context(cannot)?;
        Ok(Self { recording, series })
    }

    /// The evidence as known at `as_of`.
    pub fn evidence(&self, as_of: Timestamp) -> Evidence {
        evidence::evidence(&self.recording, self.series.clone(), as_of)
    }

    /// The verdict on the whole.
    pub fn verdict(&self) -> Verdict {
        diagnose(&self.evidence(self.recording.window.end))
    }

    /// What damage has cost the capture, in a line; `None` where it is whole.
    pub fn damage(&self) -> Option<String> {
        self.recording.loss.as_ref().map(|loss| format!("damaged: {loss}"))
    }
}
