//! Loads what diagnosis reads out of a capture, and no more.

use std::sync::LazyLock;

use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::{Evidence, Parts, PdHistory, PdReading, Verdict, diagnose, metrics};
use crate::model::{LabelMatcher, MatchOp, Series, TimeRange, Timestamp};
use crate::pd::PdDocument;
use crate::report::canonical_json;
use crate::session::{PdBody, PdSource};
use crate::timeline::{Evaluation, PdTold, Recording};

use crate::cli::exit::CliError;

/// One matcher on the metric's name, so that each block is decoded once.
static METRICS: LazyLock<regex::Regex> = LazyLock::new(|| {
    let names = metrics().join("|");
    regex::Regex::new(&format!("^(?:{names})$")).expect("metric names are words")
});

/// What diagnosis needs of a capture inside `range`, without PD's answers: everything but samples, and
/// the samples that it reads. [`TimeRange::ALL`] means the whole run.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn load(
    reader: &CaptureReader,
    range: TimeRange,
) -> Result<(Recording, Vec<Series>), CaptureError> {
    let mut recording = Recording::load_without_pd(reader, range)?;
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

/// The evidence of a recording as known at `as_of`, with PD's answers from elsewhere.
///
/// # Errors
///
/// [`CaptureError`] where the answers cannot be read.
pub fn evidence(
    recording: &Recording,
    pd: PdSource<'_>,
    series: Vec<Series>,
    as_of: Timestamp,
) -> Result<Evidence, CaptureError> {
    let mut history = PdReading::new(as_of);
    pd.for_each(Evaluation::Sequential, |answer, body| history.observe(answer, document(body)))?;
    Ok(with_history(recording, history.finish(), series, as_of))
}

/// The same, with what there is to tell of the answers: they are read once for both.
///
/// # Errors
///
/// As [`evidence`].
pub fn evidence_and_told(
    recording: &Recording,
    pd: PdSource<'_>,
    series: Vec<Series>,
    as_of: Timestamp,
) -> Result<(Evidence, PdTold), CaptureError> {
    let (mut history, mut told) = (PdReading::new(as_of), PdTold::default());
    pd.for_each(Evaluation::Sequential, |answer, body| {
        told.observe(answer, body);
        history.observe(answer, document(body));
    })?;
    Ok((with_history(recording, history.finish(), series, as_of), told))
}

fn document(body: &PdBody) -> Option<&PdDocument> {
    body.as_ref().ok().and_then(Option::as_ref)
}

fn with_history(
    recording: &Recording,
    history: PdHistory,
    series: Vec<Series>,
    as_of: Timestamp,
) -> Evidence {
    let parts = Parts {
        series,
        pd: &[],
        gaps: &recording.gaps,
        unreadable: &recording.unreadable,
        loss: recording.loss.as_ref(),
    };
    Evidence::with_history(recording.window, as_of, history, parts)
}

/// Judges again with everything in another order of arrival.
///
/// # Errors
///
/// [`CliError::Mismatch`] where that changes the verdict: a defect of this program. Where the
/// answers cannot be read.
pub fn verify(
    recording: &Recording,
    pd: PdSource<'_>,
    mut series: Vec<Series>,
    as_of: Timestamp,
    verdict: &Verdict,
) -> anyhow::Result<()> {
    series.reverse();
    let gaps: Vec<_> = recording.gaps.iter().rev().cloned().collect();
    let mut history = PdReading::new(as_of);
    let disordered = Evaluation::Shuffled { seed: 1, threads: 1 };
    pd.for_each(disordered, |answer, body| history.observe(answer, document(body)))?;
    let parts = Parts {
        series,
        pd: &[],
        gaps: &gaps,
        unreadable: &recording.unreadable,
        loss: recording.loss.as_ref(),
    };
    let evidence = Evidence::with_history(recording.window, as_of, history.finish(), parts);
    let again = diagnose(&evidence);
    let (first, second) = (canonical_json(verdict), canonical_json(&again));
    if first == second { Ok(()) } else { Err(CliError::Mismatch { first, second }.into()) }
}
