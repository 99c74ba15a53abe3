//! Surveys a capture: its samples stream by once and are reduced.

use crate::capture::{CaptureError, CaptureReader, Reads, SampleRun, Selection};
use crate::diagnose::survey::{
    Grid, SeriesNumber, Survey, SurveyFilter, Surveyor, can_stand_out, usual_interval_ms,
};
use crate::diagnose::{LATENCIES, STATEMENTS, is_latency, is_named, requested_types};
use crate::model::{Labels, Series, TargetKey, TimeRange};
use crate::session::window::diagnosis_series;

/// What is surveyed of a capture in `range`. The series `up` among `series` say how far apart scrapes are.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(super) fn survey(
    reader: &CaptureReader,
    range: TimeRange,
    series: &[Series],
) -> Result<Survey, CaptureError> {
    let mut surveying = Surveying::over(grid(range, series));
    let mut filter = SurveyFilter::default();
    reader.scan_accepted(|set| filter.accepts(set), range, |run| surveying.take(&run))?;
    Ok(surveying.surveyor.finish(&filter))
}

/// The series that [`diagnosis_series`] returns, the buckets of latencies from their first count on, and what is
/// surveyed, of one pass over the samples: they stand in the same groups, and decoding takes most of the time. No
/// survey where the window is too short for anything to stand out.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(super) fn series_and_survey(
    reader: &CaptureReader,
    range: TimeRange,
    up: &[Series],
) -> Result<(Vec<Series>, Option<Survey>), CaptureError> {
    let grid = grid(range, up);
    if !can_stand_out(grid) {
        return Ok((diagnosis_series(reader, range)?, None));
    }
    let mut surveying = Surveying::over(grid);
    let mut filter = SurveyFilter::default();
    let reads = |set: &Labels| {
        let select = match (is_named(set), is_latency(set)) {
            (true, _) => Selection::All,
            (false, true) => Selection::FromFirstCount,
            (false, false) => Selection::No,
        };
        Reads { select, scan: filter.accepts(set) }
    };
    let mut series = reader.select_and_scan(reads, range, |run| surveying.take(&run))?;
    let types = requested_types(&series);
    let has_statements = series.iter().any(|one| one.labels.metric() == STATEMENTS);
    let is_used = |labels: &Labels| match labels.metric() {
        LATENCIES => labels.get("type").is_some_and(|one| types.iter().any(|used| used == one)),
        _ => has_statements,
    };
    series.retain(|one| is_named(&one.labels) || is_used(&one.labels));
    Ok((series, Some(surveying.surveyor.finish(&filter))))
}

fn grid(range: TimeRange, series: &[Series]) -> Grid {
    let up = series.iter().filter(|one| one.labels.metric() == "up");
    Grid::over(range, usual_interval_ms(up))
}

/// Gives a surveyor runs of samples, target by target.
struct Surveying {
    surveyor: Surveyor,
    target: Option<TargetKey>,
    /// The numbers of the series of that target, by ordinal.
    known: Vec<Option<SeriesNumber>>,
}

impl Surveying {
    fn over(grid: Grid) -> Self {
        Self { surveyor: Surveyor::new(grid), target: None, known: Vec::new() }
    }

    fn take(&mut self, run: &SampleRun<'_>) {
        if self.target.as_ref() != Some(run.target()) {
            self.target = Some(run.target().clone());
            self.known.clear();
        }
        if self.known.len() <= run.ordinal() {
            self.known.resize(run.ordinal() + 1, None);
        }
        let number = &mut self.known[run.ordinal()];
        let number = *number.get_or_insert_with(|| self.surveyor.announce(&run.labels()));
        self.surveyor.add(number, run.samples());
    }
}
