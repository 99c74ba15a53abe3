//! What an answer lacks because it was not recorded: windows that begin before the recording, or lie in a gap of it.

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{Gap, Source, TimeRange, joined};
use crate::promql::{Expression, Reach};
use crate::session::own_scrapes::OwnScrapes;
use crate::session::pd_series::PD_METRICS;

/// The most gaps that are told of one selector.
const MOST_GAPS: usize = 2;

/// For each selector of an expression that takes samples of a time that was not recorded, a sentence about that.
/// `range` holds the first and the last step of the query.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn unrecorded(
    reader: &CaptureReader,
    expression: &Expression,
    range: TimeRange,
) -> Result<Vec<String>, CaptureError> {
    let recorded = reader.recorded();
    if recorded.is_empty() {
        return Ok(Vec::new());
    }
    let gaps = reader.gaps()?;
    // Gaps of single series say nothing of the others.
    let of_all = |gap: &&Gap| {
        gap.healed_at.is_none()
            && !gap.is_partial()
            && matches!(gap.source, Source::Prometheus | Source::Recorder)
    };
    let gaps = joined(gaps.iter().filter(of_all));
    let own = OwnScrapes::of(reader)?;
    let mut found = Vec::new();
    for reach in expression.reaches(range.start, range.end) {
        found.extend(before(&reach, recorded));
        // What PD answers is asked for by itself.
        if !reach.metric.is_some_and(|name| PD_METRICS.iter().any(|one| one.name == name)) {
            found.extend(within(&reach, &gaps, own.as_ref()));
        }
    }
    Ok(found)
}

fn before(reach: &Reach<'_>, recorded: TimeRange) -> Option<String> {
    (reach.from < recorded.start).then(|| {
        format!(
            "capture info: {} looks back to {}, and nothing was recorded before {}",
            reach.text, reach.from, recorded.start
        )
    })
}

fn within<'a>(
    reach: &'a Reach<'_>,
    gaps: &'a [Gap],
    own: Option<&'a OwnScrapes>,
) -> impl Iterator<Item = String> + use<'a> {
    let time = TimeRange::new(reach.from, reach.to.saturating_add_millis(1));
    let gaps = gaps.iter().filter(move |gap| gap.range.overlaps(&time));
    gaps.take(MOST_GAPS).map(move |gap| {
        let instead = own.and_then(|own| own.within(gap.range)).map_or_else(String::new, |own| {
            format!(", where the recorder itself scraped from {} to {}", own.start, own.end)
        });
        format!(
            "capture info: {} looks into a gap from {} to {} ({}){instead}",
            reach.text, gap.range.start, gap.range.end, gap.reason
        )
    })
}
