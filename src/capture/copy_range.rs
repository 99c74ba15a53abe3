//! Copies a part of one capture into a new one: a recording that continues in the next file includes the
//! time before, and what is handed to somebody else is written anew.

use std::path::Path;

use super::CaptureError;
use super::file::CaptureFile;
use super::maintain::{put_truth, read_truths};
use super::reader::CaptureReader;
use super::writer::{CaptureWriter, Tick};
use crate::model::{
    EncodedLabels, Event, Gap, KnownSettings, LabelMatcher, Labels, Loss, PdAnswer, RunMeta,
    SettingsEvent, TimeRange, Timestamp, joined_unreadable, unreadable_within,
};

/// Length of the range that is copied in one transaction, which bounds memory.
const SLICE_MS: i64 = 300_000;

/// What is written instead of what was recorded. Whatever is not overridden is copied as it is.
pub trait Rewrite {
    /// The labels of a series; `None` leaves the series out. Different series have to stay different.
    fn labels(&mut self, labels: &Labels) -> Option<Labels> {
        Some(labels.clone())
    }

    /// An answer of PD.
    fn answer(&mut self, answer: PdAnswer) -> PdAnswer {
        answer
    }

    /// A gap.
    fn gap(&mut self, gap: Gap) -> Gap {
        gap
    }

    /// An event; `None` leaves it out.
    fn event(&mut self, event: Event) -> Option<Event> {
        Some(event)
    }

    /// A sealed ground truth.
    fn truth(&mut self, truth: Vec<u8>) -> Vec<u8> {
        truth
    }
}

/// Copies everything as it was recorded.
struct AsRecorded;

impl Rewrite for AsRecorded {}

/// Writes the observations of `reader` in `range` into `writer`, which then continues at the end of
/// what that capture had copied. Gaps and events that touch the range are copied whole, and
/// what was known of the settings of stores at its start stands there.
///
/// # Errors
///
/// [`CaptureError`] where one of the files cannot be read or written. Damaged parts are left out, and the
/// metadata of the copy says which.
pub fn copy_range(
    reader: &CaptureReader,
    range: TimeRange,
    writer: &mut CaptureWriter,
) -> Result<(), CaptureError> {
    rewrite_range(reader, (range, &[]), &mut AsRecorded, writer)?;
    let before = reader.meta().lost_before().flat_map(|lost| lost.parts.clone());
    let lost = joined_unreadable(reader.unreadable().into_iter().chain(before));
    let parts = unreadable_within(&lost, range);
    let lost = (!parts.is_empty()).then(|| Loss { parts, ..Loss::default() });
    if lost != writer.meta().lost {
        writer.set_meta(RunMeta { lost, ..writer.meta().clone() });
        writer.commit(Tick::default())?;
    }
    Ok(())
}

/// As [`copy_range`], of the series that match all matchers, and with everything changed by `rewrite`.
///
/// # Errors
///
/// The same errors as [`copy_range`].
pub fn rewrite_range(
    reader: &CaptureReader,
    (range, matchers): (TimeRange, &[LabelMatcher]),
    rewrite: &mut dyn Rewrite,
    writer: &mut CaptureWriter,
) -> Result<(), CaptureError> {
    let whole = reader.recorded();
    let end = range.end.min(whole.end);
    let mut start = range.start.max(whole.start);
    let gaps = reader.gaps()?.into_iter().filter(|gap| gap.range.overlaps(&range));
    let events = events_of(reader.events()?, range, start);
    let first = Tick {
        gaps: gaps.map(|gap| rewrite.gap(gap)).collect(),
        events: events.into_iter().filter_map(|event| rewrite.event(event)).collect(),
        copied_from: Some(start),
        ..Tick::default()
    };
    writer.commit(first)?;
    let mut encoded = Vec::new();
    while start < end {
        let slice = TimeRange::new(start, end.min(start.saturating_add_millis(SLICE_MS)));
        let answers = reader.pd_answers(slice)?.into_iter();
        let pd = answers.map(|answer| rewrite.answer(answer)).collect();
        let mut tick = Tick { pd, ..Tick::default() };
        for series in reader.select(matchers, slice)? {
            let Some(labels) = rewrite.labels(&series.labels) else { continue };
            encoded.clear();
            labels.encode(&mut encoded);
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

/// The events inside `range`, and the settings of stores as they were known at its `start`.
fn events_of(events: Vec<Event>, range: TimeRange, start: Timestamp) -> Vec<Event> {
    let (before, rest): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| event.at < range.start);
    let read: Vec<SettingsEvent> = before.iter().filter_map(SettingsEvent::of_event).collect();
    let carried = KnownSettings::of(&read).carried(start).into_iter().map(|one| one.to_event());
    carried.chain(rest.into_iter().filter(|event| range.contains(event.at))).collect()
}

/// Calls `each` with every sealed ground truth of a capture.
///
/// # Errors
///
/// [`CaptureError`] where it cannot be read.
pub fn visit_truths(from: &Path, each: &mut dyn FnMut(Vec<u8>)) -> Result<(), CaptureError> {
    read_truths(&CaptureFile::open_to_read(from)?)?.into_iter().for_each(each);
    Ok(())
}

/// Writes the sealed ground truths of the capture at `from` into that at `to`, changed by `rewrite`. Nothing
/// of them is returned.
///
/// # Errors
///
/// [`CaptureError`] where one of the files cannot be read or written.
pub fn rewrite_truths(
    from: &Path,
    rewrite: &mut dyn Rewrite,
    to: &Path,
) -> Result<(), CaptureError> {
    let truths = read_truths(&CaptureFile::open_to_read(from)?)?;
    for truth in truths {
        super::maintain::alter(to, |file| put_truth(file, &rewrite.truth(truth)))?;
    }
    Ok(())
}
