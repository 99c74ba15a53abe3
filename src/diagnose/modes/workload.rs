//! What the modes about load share.

use crate::diagnose::case::Case;
use crate::diagnose::facts::{REQUESTS, Rise};
use crate::diagnose::flows::FlowKind;

/// Metrics that tell the load.
pub const METRICS: [&str; 2] = [REQUESTS, "up"];

/// How a rise is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Over all that served before, in proportion.
    Even,
    /// Onto one place, of reads or of writes.
    Gathered(FlowKind),
}

/// Whether a rise gathers in one place.
///
/// Where PD names a region with most of the flow, that settles it. Without PD's list, the store
/// that takes four fifths of what was added and far more than its share before is a sign too:
/// an even rise is spread as the load was.
pub fn spread(rise: &Rise) -> Spread {
    let (before, now) = rise.writes;
    let added: f64 = rise.by_store.iter().map(|(a, b)| (b - a).max(0.0)).sum();
    // Writes read too: what is updated is often read first. A quarter of writes in what was
    // added makes it a write hotspot.
    let kind = if now - before >= 0.25 * added.max(1.0) { FlowKind::Write } else { FlowKind::Read };
    if rise.hot.is_some() {
        return Spread::Gathered(kind);
    }
    let total: f64 = rise.by_store.iter().map(|(before, _)| before).sum();
    match rise.greatest {
        Some((store, share)) if total > 0.0 => {
            let usual = rise.by_store[store].0 / total;
            if share >= 0.8 && share >= usual + 0.3 { Spread::Gathered(kind) } else { Spread::Even }
        }
        _ => Spread::Even,
    }
}

/// Whether clients only catch up on what a fault held back.
pub fn catches_up(case: &Case<'_>, rise: &Rise) -> bool {
    case.disturbed(rise.departure.onset)
}
