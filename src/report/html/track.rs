//! What lies behind every curve and every lane: faults as shades, gaps hatched, the axis of time.
//!
//! Widths are percentages of the drawing and heights are pixels, so that a drawing fits any screen and its
//! text keeps its size.

use maud::{Markup, html};

use super::text::text;
use crate::diagnose::{Cause, Verdict};
use crate::model::{Gap, TimeRange, Timestamp};
use crate::report::plot::{share_of, time_ticks};

/// The most labels on an axis of time: as many as fit on a phone.
const TIME_LABELS: usize = 5;

/// What all drawings of a page share.
pub(super) struct Background<'a> {
    /// The time that is drawn.
    pub window: TimeRange,
    /// When something was broken.
    pub faults: Vec<TimeRange>,
    /// What was not recorded.
    pub gaps: &'a [Gap],
}

impl<'a> Background<'a> {
    pub(super) fn new(window: TimeRange, verdict: &Verdict, gaps: &'a [Gap]) -> Self {
        let until = |end: Option<Timestamp>| end.unwrap_or(window.end);
        let fault = |cause: &Cause| TimeRange::new(cause.onset_ms, until(cause.end_ms));
        Self { window, faults: verdict.causes.iter().map(fault).collect(), gaps }
    }

    /// Where an instant lies, as a percentage of the width.
    pub(super) fn x(&self, at: Timestamp) -> String {
        format!("{:.2}%", share_of(self.window, at) * 100.0)
    }

    /// The width of a range as a percentage, at least wide enough to be seen.
    pub(super) fn width(&self, range: TimeRange) -> String {
        let width = share_of(self.window, range.end) - share_of(self.window, range.start);
        format!("{:.2}%", (width * 100.0).max(0.15))
    }

    /// A rectangle of the drawing's whole height.
    pub(super) fn block(&self, class: &str, range: TimeRange) -> Markup {
        html! {
            rect class=(class) x=(self.x(range.start)) y="0" width=(self.width(range)) height="100%" {}
        }
    }

    /// The shades of all faults.
    pub(super) fn faults(&self) -> Markup {
        html! { @for fault in &self.faults { (self.block("fault", *fault)) } }
    }

    /// Gaps of the sources that `concerns` picks, unless they were filled later.
    pub(super) fn gaps(&self, concerns: impl Fn(&Gap) -> bool) -> Markup {
        let open = self.gaps.iter().filter(|gap| gap.healed_at.is_none() && !gap.is_partial());
        let inside = open.filter(|gap| gap.range.overlaps(&self.window) && concerns(gap));
        html! { @for gap in inside { (self.block("gap", gap.range)) } }
    }

    /// The labels of the axis of time, at `y` pixels from the top.
    pub(super) fn time_labels(&self, y: u32) -> Markup {
        html! {
            @for (at, label) in time_ticks(self.window, TIME_LABELS) {
                @let share = share_of(self.window, at);
                // At the ends, a label that is centred would be cut off.
                @let anchor = if share < 0.06 { "start" } else if share > 0.94 { "end" } else { "middle" };
                text class="tick" x=(self.x(at)) y=(y) text-anchor=(anchor) { (text(label)) }
            }
        }
    }

    /// Lines of the labelled instants, from the top down to `y`.
    pub(super) fn time_lines(&self, y: u32) -> Markup {
        html! {
            @for (at, _) in time_ticks(self.window, TIME_LABELS) {
                line class="grid" x1=(self.x(at)) x2=(self.x(at)) y1="0" y2=(y) {}
            }
        }
    }
}
