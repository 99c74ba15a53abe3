//! Loads what diagnosis reads out of a capture, and no more.

use std::sync::LazyLock;

use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::{Evidence, Parts, Verdict, diagnose, metrics};
use crate::model::{LabelMatcher, MatchOp, Series, TimeRange, Timestamp};
use crate::replay::{Recording, canonical_json};

use super::exit::CliError;

/// One matcher on the metric's name, so that each block is decoded once.
static METRICS: LazyLock<regex::Regex> = LazyLock::new(|| {
    let names = metrics().join("|");
    regex::Regex::new(&format!("^(?:{names})$")).expect("metric names are words")
});

/// What diagnosis needs of a capture inside `range`: everything but samples, and the samples that
/// it reads. [`TimeRange::ALL`] means the whole run.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn load(
    reader: &CaptureReader,
    range: TimeRange,
) -> Result<(Recording, Vec<Series>), CaptureError> {
    let mut recording = Recording::load(reader, range)?;
    let series = series(reader, recording.window)?;
    recording.note_damage(reader)?;
    Ok((recording, series))
}

/// Series that diagnosis reads, inside `range`.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn series(reader: &CaptureReader, range: TimeRange) -> Result<Vec<Series>, CaptureError> {
    let op = MatchOp::Regex(METRICS.clone());
    let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
    reader.select(&[matcher], range)
}

/// The evidence of a recording as known at `as_of`.
pub fn evidence(recording: &Recording, series: Vec<Series>, as_of: Timestamp) -> Evidence {
    let parts = Parts {
        series,
        pd: &recording.pd,
        gaps: &recording.gaps,
        unreadable: &recording.unreadable,
        loss: recording.loss.as_ref(),
    };
    Evidence::new(recording.window, as_of, parts)
}

/// Judges again with everything in the opposite order of arrival.
///
/// # Errors
///
/// [`CliError::Mismatch`] where that changes the verdict: a defect of this program.
pub fn verify(
    recording: &Recording,
    mut series: Vec<Series>,
    as_of: Timestamp,
    verdict: &Verdict,
) -> Result<(), CliError> {
    series.reverse();
    let pd: Vec<_> = recording.pd.iter().rev().cloned().collect();
    let gaps: Vec<_> = recording.gaps.iter().rev().cloned().collect();
    let parts = Parts {
        series,
        pd: &pd,
        gaps: &gaps,
        unreadable: &recording.unreadable,
        loss: recording.loss.as_ref(),
    };
    let again = diagnose(&Evidence::new(recording.window, as_of, parts));
    let (first, second) = (canonical_json(verdict), canonical_json(&again));
    if first == second { Ok(()) } else { Err(CliError::Mismatch { first, second }) }
}
