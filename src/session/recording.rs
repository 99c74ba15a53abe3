//! Loads out of a capture what the timeline is made of.

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{Event, EventKind, LabelMatcher, TimeRange, joined_unreadable};
use crate::session::own_scrapes::OwnScrapes;
use crate::timeline::Recording;

/// Metrics that the timeline reads, of all targets.
const TIMELINE_METRICS: [&str; 2] = ["up", "process_start_time_seconds"];

/// Loads what the timeline needs, except PD's answers, which
/// [`PdSource::Stored`](super::PdSource) reads as they are needed: events, gaps, and the samples of
/// `up` and `process_start_time_seconds`. [`TimeRange::ALL`] means the whole run.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read. Damaged parts are left out instead;
/// [`note_damage`] adds what they held.
pub(super) fn load(reader: &CaptureReader, range: TimeRange) -> Result<Recording, CaptureError> {
    let whole = reader.window();
    let window = TimeRange::new(range.start.max(whole.start), range.end.min(whole.end));
    let mut series = Vec::new();
    for metric in TIMELINE_METRICS {
        series.extend(reader.select(&[LabelMatcher::equal("__name__", metric)], window)?);
    }
    // What somebody did stands on the timeline also where nothing was observed any more, and what was read of
    // settings holds until something else is read.
    let inside = |event: &Event| {
        let is_known = event.kind.0 == EventKind::SETTINGS && event.at < window.end;
        range.contains(event.at) || is_known
    };
    // Of a source that never came back, nothing was observed after the last sample of any.
    let until_asked = TimeRange::new(window.start, range.end.max(window.end));
    if let Some(own) = OwnScrapes::of(reader)? {
        series = own.filled_in(series, window);
    }
    Ok(Recording {
        meta: reader.meta().clone(),
        window,
        unreadable: Vec::new(),
        loss: None,
        pd: Vec::new(),
        events: reader.events()?.into_iter().filter(inside).collect(),
        gaps: reader.gaps()?.into_iter().filter(|gap| gap.range.overlaps(&until_asked)).collect(),
        series,
    })
}

/// Notes what could not be read, once everything that is needed has been read.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(super) fn note_damage(
    recording: &mut Recording,
    reader: &CaptureReader,
) -> Result<(), CaptureError> {
    // PD's answers are read as they are needed, by when it is too late to note what is lost.
    reader.find_damaged_pd_answers()?;
    // Asked first: counting what is left reads parts that nobody needed.
    let before = reader.meta().unreadable_before();
    recording.unreadable = joined_unreadable(reader.unreadable().into_iter().chain(before));
    recording.loss = reader.loss()?;
    Ok(())
}

/// Longer than any outage of a source that is still the same recording.
const APART_MS: i64 = 24 * 3_600_000;

/// The part of a run in which something is to be evaluated every `step_ms`, at most `most` times: the
/// whole run, or, where samples years apart make that too long, the stretch in which most was
/// observed.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn window_of_steps(
    reader: &CaptureReader,
    step_ms: i64,
    most: u64,
) -> Result<TimeRange, CaptureError> {
    let whole = reader.window();
    let millis = i128::from(whole.end.as_millis()) - i128::from(whole.start.as_millis());
    if millis / i128::from(step_ms.max(1)) <= i128::from(most) {
        return Ok(whole);
    }
    reader.busiest_stretch(APART_MS)
}
