//! Copies a part of one capture into another that begins, so that a recording which goes on in the
//! next file brings along what came before.

use super::CaptureError;
use super::reader::CaptureReader;
use super::writer::{CaptureWriter, Tick};
use crate::model::{EncodedLabels, TimeRange};

/// What is copied in one transaction: bounds memory, whatever the range.
const SLICE_MS: i64 = 300_000;

/// Writes what `reader` holds of `range` into `writer`, which then goes on from where that capture
/// had been copied to. Gaps and events that touch the range come along whole.
///
/// # Errors
///
/// [`CaptureError`] where either file refuses; damaged parts are left out.
pub fn excerpt(
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
