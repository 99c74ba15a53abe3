//! Everything that happened in a window, in one order.
//!
//! The timeline is made after the fact: an entry stands where something was first observed, and
//! may say how it went on.

use crate::model::{
    Event, EventKind, Gap, LogEvent, SettingsEvent, TimeRange, Timestamp, duration_text, joined,
};
use crate::timeline::entry::{Entry, EntryKind, Evidence};
use crate::timeline::log_entries::log_entries;
use crate::timeline::ordering::{Evaluation, Ordered, map_split};
use crate::timeline::pd_summary::PdSummary;
use crate::timeline::recording::Recording;
use crate::timeline::setting_entries::setting_entries;
use crate::timeline::target_changes::{UnobservedTime, series_entries};

/// Gaps, and events, that are told one by one: a timeline of more is no use and takes memory.
const MOST_TOLD: usize = 20_000;

/// Entries in ascending order of time; ties by source, kind, subject, text.
pub fn timeline(recording: &Recording) -> Vec<Entry> {
    let ordered = Ordered::new(recording, Evaluation::Sequential);
    let gaps = joined(ordered.gaps.iter().copied());
    let pd = PdSummary::of(&recording.pd, Evaluation::Sequential);
    timeline_of(&ordered, recording, 1, &gaps, pd)
}

/// The same with `gaps` joined and PD's answers read already.
pub(crate) fn timeline_of(
    ordered: &Ordered<'_>,
    recording: &Recording,
    threads: usize,
    gaps: &[Gap],
    told: PdSummary,
) -> Vec<Entry> {
    let is_over = |gap: &Gap| {
        let next = gaps.partition_point(|one| one.range.start < gap.range.end);
        let mut next = gaps[next..].iter().take_while(|one| one.range.start == gap.range.end);
        // An outage may go on for another reason.
        let goes_on = next.any(|next| next.source == gap.source && !next.is_partial());
        !goes_on && told.has_answered_since(&gap.source, gap.range.end)
    };
    let over: Vec<bool> = gaps.iter().take(MOST_TOLD).map(is_over).collect();
    let mut entries = told.into_entries();
    let window = recording.window;
    let unseen = UnobservedTime::new(&ordered.gaps, &recording.unreadable);
    let scraped_by = recording.meta.scraped_by();
    let of_series = map_split(&ordered.series, threads, |series| {
        series_entries(series, &unseen, window, scraped_by)
    });
    entries.extend(of_series.into_iter().flatten());
    let settings = ordered.events.iter().filter_map(|event| SettingsEvent::of_event(event));
    entries.extend(setting_entries(settings, window));
    let is_told = |event: &&&Event| SettingsEvent::of_event(event).is_none();
    let told: Vec<&Event> = ordered.events.iter().filter(is_told).copied().collect();
    let events = told.iter().take(MOST_TOLD);
    entries.extend(log_entries(events.clone().filter_map(|event| LogEvent::of_event(event))));
    let marks = events.filter(|event| LogEvent::of_event(event).is_none());
    entries.extend(marks.map(|event| event_entry(event)));
    if let Some(event) = told.get(MOST_TOLD) {
        let more = told.len() - MOST_TOLD;
        entries.push(not_told(event.at, EntryKind::Marked, format!("{more} more events")));
    }
    let told = gaps.iter().zip(over);
    entries.extend(told.flat_map(|(gap, is_over)| gap_entries(gap, is_over, window)));
    if let Some(gap) = gaps.get(MOST_TOLD) {
        let at = gap.range.start.max(window.start);
        let more = gaps.len() - MOST_TOLD;
        entries.push(not_told(at, EntryKind::GapBegan, format!("{more} more gaps")));
    }
    entries.sort();
    entries.dedup();
    entries
}

/// What is not told one by one from `at` on.
fn not_told(at: Timestamp, kind: EntryKind, what: String) -> Entry {
    Entry {
        at,
        source: "recorder".to_owned(),
        kind,
        subject: what,
        text: "from here on, not told one by one".to_owned(),
        evidence: Evidence { reference: "show --format json".to_owned(), at, value: String::new() },
    }
}

fn event_entry(event: &Event) -> Entry {
    // The stacks of a profile are for whoever looks at profiles.
    let is_told = |name: &str| event.kind.0 != EventKind::PROFILE || !name.starts_with("stack");
    let fields = event.fields.iter().filter(|(name, _)| is_told(name));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}={value}")).collect();
    Entry {
        at: event.at,
        source: "event".to_owned(),
        kind: EntryKind::Marked,
        subject: event.kind.to_string(),
        text: event.text.clone(),
        evidence: Evidence { reference: "event".to_owned(), at: event.at, value: fields.join(" ") },
    }
}

/// A gap's end is told only where it lies inside the window and the source was observed again.
fn gap_entries(gap: &Gap, is_over: bool, window: TimeRange) -> Vec<Entry> {
    let entry = |kind, at, text: String| Entry {
        at,
        source: "recorder".to_owned(),
        kind,
        subject: gap.source.to_string(),
        text,
        evidence: Evidence { reference: "gap".to_owned(), at, value: gap.reason.name().to_owned() },
    };
    let healed = if gap.healed_at.is_some() { "; fetched later" } else { "" };
    let (what, again) = match gap.is_partial() {
        true => ("some of it is not recorded", "recorded"),
        false => ("nothing observed", "observed"),
    };
    let began = format!("{what} from here ({}: {}){healed}", gap.reason, gap.detail);
    let mut entries = vec![entry(EntryKind::GapBegan, gap.range.start.max(window.start), began)];
    if is_over && gap.range.end < window.end {
        let lasted = duration_text(gap.range.millis());
        let ended = format!("{again} again after {lasted}");
        entries.push(entry(EntryKind::GapEnded, gap.range.end, ended));
    }
    entries
}
