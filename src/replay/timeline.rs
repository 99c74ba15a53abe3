//! Everything that happened in a window, in one order.
//!
//! The timeline is made after the fact: an entry stands where something was first observed, and
//! may say how it went on. What was knowable at an instant is [`Replay`](super::Replay)'s.

use crate::model::{Event, Gap, TimeRange, joined};

use super::bodies::PdSource;
use super::entry::{Entry, EntryKind, Evidence, duration_text};
use super::order::{Evaluation, Ordered, map_split};
use super::pd_told::PdTold;
use super::recording::Recording;
use super::series_rules::series_entries;

/// Entries in ascending order of time; ties by source, kind, subject, text.
pub fn timeline(recording: &Recording) -> Vec<Entry> {
    let ordered = Ordered::new(recording, Evaluation::Sequential);
    let gaps = joined(ordered.gaps.iter().copied());
    let told = PdTold::of(PdSource::Held(&recording.pd), Evaluation::Sequential);
    let told = told.expect("answers in memory are read from no capture");
    timeline_of(&ordered, recording.window, 1, &gaps, told)
}

/// The same with `gaps` joined and PD's answers read already.
pub(super) fn timeline_of(
    ordered: &Ordered<'_>,
    window: TimeRange,
    threads: usize,
    gaps: &[Gap],
    told: PdTold,
) -> Vec<Entry> {
    let mut entries = told.into_entries();
    let of_series =
        map_split(&ordered.series, threads, |series| series_entries(series, &ordered.gaps, window));
    entries.extend(of_series.into_iter().flatten());
    entries.extend(ordered.events.iter().map(|event| event_entry(event)));
    entries.extend(gaps.iter().flat_map(|gap| gap_entries(gap, window)));
    entries.sort();
    entries.dedup();
    entries
}

fn event_entry(event: &Event) -> Entry {
    let fields: Vec<String> =
        event.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Entry {
        at: event.at,
        source: "event".to_owned(),
        kind: EntryKind::Marked,
        subject: event.kind.to_string(),
        text: event.text.clone(),
        evidence: Evidence { reference: "event".to_owned(), at: event.at, value: fields.join(" ") },
    }
}

/// A gap's end is told only where it lies inside the window.
fn gap_entries(gap: &Gap, window: TimeRange) -> Vec<Entry> {
    let entry = |kind, at, text: String| Entry {
        at,
        source: "recorder".to_owned(),
        kind,
        subject: gap.source.to_string(),
        text,
        evidence: Evidence { reference: "gap".to_owned(), at, value: gap.reason.name().to_owned() },
    };
    let healed = if gap.healed_at.is_some() { "; fetched later" } else { "" };
    let began = format!("nothing observed from here ({}: {}){healed}", gap.reason, gap.detail);
    let mut entries = vec![entry(EntryKind::GapBegan, gap.range.start.max(window.start), began)];
    if gap.range.end < window.end {
        let lasted = duration_text(gap.range.millis());
        let ended = format!("observed again after {lasted}");
        entries.push(entry(EntryKind::GapEnded, gap.range.end, ended));
    }
    entries
}

#[cfg(test)]
pub(super) mod tests;
