//! Surveys a capture: its samples stream by once and are reduced.

use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::survey::{
    Grid, SeriesNumber, Survey, SurveyFilter, Surveyor, usual_interval_ms,
};
use crate::model::{Series, TimeRange};

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
    let up = series.iter().filter(|one| one.labels.metric() == "up");
    let mut surveyor = Surveyor::new(Grid::over(range, usual_interval_ms(up)));
    let mut filter = SurveyFilter::default();
    // The numbers of the series of one target, by ordinal.
    let mut known: Vec<Option<SeriesNumber>> = Vec::new();
    let mut target = None;
    reader.scan_accepted(
        |set| filter.accepts(set),
        range,
        |run| {
            if target.as_ref() != Some(run.target()) {
                target = Some(run.target().clone());
                known.clear();
            }
            if known.len() <= run.ordinal() {
                known.resize(run.ordinal() + 1, None);
            }
            let number = &mut known[run.ordinal()];
            let number = *number.get_or_insert_with(|| surveyor.announce(&run.labels()));
            surveyor.add(number, run.samples());
        },
    )?;
    Ok(surveyor.finish())
}
