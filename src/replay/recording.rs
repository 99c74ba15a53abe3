//! What a replay works on, held in memory. Selecting and storing are `capture`'s.

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{Event, Gap, LabelMatcher, PdAnswer, RunMeta, Series, TimeRange};

/// Metrics that the timeline reads, of all targets.
const TIMELINE_METRICS: [&str; 2] = ["up", "process_start_time_seconds"];

/// The observations of one run, or of a part of it, in any order.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What is known of the run.
    pub meta: RunMeta,
    /// The part of the run that is looked at.
    pub window: TimeRange,
    /// Answers of PD, sent inside the window.
    pub pd: Vec<PdAnswer>,
    /// Marks inside the window.
    pub events: Vec<Event>,
    /// Gaps that touch the window.
    pub gaps: Vec<Gap>,
    /// Series with their samples inside the window.
    pub series: Vec<Series>,
}

impl Recording {
    /// Loads what the timeline needs: everything but samples, and of those `up` and
    /// `process_start_time_seconds`. [`TimeRange::ALL`] means the whole run.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read. Damaged parts are left out instead;
    /// ask [`CaptureReader::damage`] afterwards.
    pub fn load(reader: &CaptureReader, range: TimeRange) -> Result<Self, CaptureError> {
        let recording = Self::load_without_pd(reader, range)?;
        Ok(Self { pd: reader.pd_answers(recording.window)?, ..recording })
    }

    /// The same without PD's answers, which [`PdSource::Stored`](super::PdSource) reads as they are
    /// needed.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_without_pd(reader: &CaptureReader, range: TimeRange) -> Result<Self, CaptureError> {
        let whole = reader.window();
        let window = TimeRange::new(range.start.max(whole.start), range.end.min(whole.end));
        let mut series = Vec::new();
        for metric in TIMELINE_METRICS {
            series.extend(reader.select(&[LabelMatcher::equal("__name__", metric)], window)?);
        }
        let inside = |event: &Event| window.contains(event.at);
        Ok(Self {
            meta: reader.meta().clone(),
            window,
            pd: Vec::new(),
            events: reader.events()?.into_iter().filter(inside).collect(),
            gaps: reader.gaps()?.into_iter().filter(|gap| gap.range.overlaps(&window)).collect(),
            series,
        })
    }
}
