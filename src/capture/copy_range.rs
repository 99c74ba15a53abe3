//! Copies a range of time from one capture into a new one, so that a recording that continues in
//! the next file includes the time before.

use super::CaptureError;
use super::reader::CaptureReader;
use super::writer::{CaptureWriter, Tick};
use crate::model::{EncodedLabels, TimeRange};

/// Length of the range that is copied in one transaction, which bounds memory.
const SLICE_MS: i64 = 300_000;

/// Writes the observations of `reader` in `range` into `writer`, which then continues at the end of
/// what that capture had copied. Gaps and events that touch the range are copied whole.
///
/// # Errors
///
/// [`CaptureError`] where one of the files cannot be read or written. Damaged parts are left out.
pub fn copy_range(
    reader: &CaptureReader,
    range: TimeRange,
    writer: &mut CaptureWriter,
) -> Result<(), CaptureError> {
    let whole = reader.window();
    let end = range.end.min(whole.end);
    let mut start = range.start.max(whole.start);
    let first = Tick {
        gaps: reader.gaps()?.into_iter().filter(|gap| gap.range.overlaps(&range)).collect(),
        events: reader.events()?.into_iter().filter(|event| range.contains(event.at)).collect(),
        copied_from: Some(start),
        ..Tick::default()
    };
    writer.commit(first)?;
    let mut encoded = Vec::new();
    while start < end {
        let slice = TimeRange::new(start, end.min(start.saturating_add_millis(SLICE_MS)));
        let mut tick = Tick { pd: reader.pd_answers(slice)?, ..Tick::default() };
        for series in reader.select(&[], slice)? {
            encoded.clear();
            series.labels.encode(&mut encoded);
            tick.samples
                .push(writer.index(), EncodedLabels(&encoded), &series.samples)
                .expect("labels that were read are a label set");
        }
        start = slice.end;
        writer.commit(tick)?;
    }
    let copied_through = reader.state().copied_through;
    writer.commit(Tick { copied_through, ..Tick::default() })?;
    Ok(())
}
