//! Shared by the modes about load: how a rise is spread over the stores, and what else may explain it.

use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{REQUESTS, Rise, kind_of_load};
use crate::pd::FlowKind;

/// The metrics that show the load.
pub const METRICS: [&str; 2] = [REQUESTS, "up"];

/// How a rise is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Over the stores that it is about, in proportion to their load before.
    Even,
    /// Onto one place, by reads or by writes.
    Concentrated(FlowKind),
}

/// Whether a rise concentrates in one place.
///
/// A region with most of the flow brings the added load to the store that leads it: more than that
/// store's share before. Without such a store, PD's list shows something else: its averages contain for
/// minutes what was loaded before clients began. Without PD's list, a store that takes four fifths of
/// the added load and far more than its share before is a sign too: an even rise is spread as the load
/// was.
pub fn spread(rise: &Rise) -> Spread {
    let (before, now) = rise.writes;
    let by_store = || rise.stores().map(|store| rise.by_store[store]);
    let added: f64 = by_store().map(|(a, b)| (b - a).max(0.0)).sum();
    let kind = kind_of_load(added, now - before);
    let total: f64 = by_store().map(|(before, _)| before).sum();
    let Some((store, share)) = rise.greatest else {
        return if rise.hot.is_empty() { Spread::Even } else { Spread::Concentrated(kind) };
    };
    let usual = if total > 0.0 { rise.by_store[store].0 / total } else { 1.0 };
    let concentrates = match rise.hot_of(kind) {
        // A region that takes half of the flow or more brings its store that much of what was added,
        // and its usual share of the rest; some of that is lost where PD moves the region meanwhile.
        Some(_) => {
            share >= usual + BROUGHT_BY_HOT_REGION * (1.0 - usual) || rise.stores().count() < 2
        }
        None => total > 0.0 && share >= 0.8 && share >= usual + 0.3,
    };
    if concentrates { Spread::Concentrated(kind) } else { Spread::Even }
}

/// The least part of the added load beyond a store's usual share that a hot region brings to it.
const BROUGHT_BY_HOT_REGION: f64 = 0.35;

/// Lowers a claim about a rise to a confidence of at most `most` where something else may explain it:
/// clients that catch up, or load that moved with leaders from a store of which not all requests are
/// seen.
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
