//! What the modes about load share.

use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{REQUESTS, Rise};
use crate::pd::FlowKind;

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
/// A region with most of the flow gathers what was added at the store that leads it: of that store's
/// requests more than of the others', beyond its share before. Without such a store, PD's list tells
/// of something else: its averages remember for minutes what was loaded before clients began. Without
/// PD's list, the store that takes four fifths of what was added and far more than its share before
/// is a sign too: an even rise is spread as the load was.
pub fn spread(rise: &Rise) -> Spread {
    let (before, now) = rise.writes;
    let added: f64 = rise.by_store.iter().map(|(a, b)| (b - a).max(0.0)).sum();
    // Writes read too: what is updated is often read first. A quarter of writes in what was
    // added makes it a write hotspot.
    let kind = if now - before >= 0.25 * added.max(1.0) { FlowKind::Write } else { FlowKind::Read };
    let total: f64 = rise.by_store.iter().map(|(before, _)| before).sum();
    let Some((store, share)) = rise.greatest else {
        return if rise.hot.is_some() { Spread::Gathered(kind) } else { Spread::Even };
    };
    let usual = if total > 0.0 { rise.by_store[store].0 / total } else { 1.0 };
    let gathers = match rise.hot {
        // A region that takes half of the flow or more brings its store that much of what was added,
        // and its usual share of the rest; some of that is lost where PD moves the region meanwhile.
        Some(_) => share >= usual + GATHERS * (1.0 - usual) || rise.by_store.len() < 2,
        None => total > 0.0 && share >= 0.8 && share >= usual + 0.3,
    };
    if gathers { Spread::Gathered(kind) } else { Spread::Even }
}

/// Of what was added beyond a store's usual share, the part that a hot region brings it at least.
const GATHERS: f64 = 0.35;

/// Leaves at most `most` of a claim about a rise where something else may have made it: clients that
/// catch up, or leaders that brought along what a store served of which not all is seen.
pub fn weigh(observed: &ObservedWindow<'_>, rise: &Rise, most: f64, mut claim: Claim) -> Claim {
    if observed.disturbed(rise.departure.onset) {
        claim.confidence = claim.confidence.min(most);
        claim = claim.but("it follows a fault: clients catch up");
    }
    if !rise.handed_on.is_empty() {
        claim.confidence = claim.confidence.min(most);
        claim = claim.but("stores of which not all requests are seen may have handed it on");
    }
    claim
}
