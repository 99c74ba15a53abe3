//! A capture, loaded and judged: what `explain`, `score` and `diff` begin with.

use std::path::Path;

use anyhow::Context;

use crate::capture::CaptureReader;
use crate::diagnose::{Evidence, Verdict, diagnose};
use crate::model::{Series, TimeRange, Timestamp, escape_path};
use crate::session::PdSource;
use crate::session::evidence;
use crate::timeline::Recording;

/// A capture that is judged at one instant or at many.
pub struct Judged {
    reader: CaptureReader,
    /// Everything but samples and PD's answers, which are read anew for each instant: a day of a
    /// large cluster's do not fit into memory.
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
        Ok(Self { reader, recording, series })
    }

    /// The evidence as known at `as_of`.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be read.
    pub fn evidence(&self, as_of: Timestamp) -> anyhow::Result<Evidence> {
        let Self { reader, recording, series } = self;
        let pd = PdSource::Stored { reader, range: recording.window, as_of };
        Ok(evidence::evidence(recording, pd, series.clone(), as_of)?)
    }

    /// The verdict on the whole.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be read.
    pub fn verdict(&self) -> anyhow::Result<Verdict> {
        Ok(diagnose(&self.evidence(self.recording.window.end)?))
    }

    /// What damage has cost the capture, in a line; `None` where it is whole.
    pub fn damage(&self) -> Option<String> {
        self.recording.loss.as_ref().map(|loss| format!("damaged: {loss}"))
    }
}
