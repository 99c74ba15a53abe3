//! Whether work stops because clients ask for less, or because its leaders went to another store.

use crate::diagnose::hypotheses::observed::{LEADERS, ObservedWindow};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::{Labels, TimeRange, Timestamp};

/// The fewest requests a second of a store that clients use.
const USED: f64 = 1.0;
/// What part of their requests clients still make at most, at every store, where they ask for less.
const LESS: f64 = 0.5;
/// By how much that part may differ from store to store: clients that ask for less do so of all alike.
const ALIKE: f64 = 0.2;
/// How far back the usual requests are looked for, in milliseconds.
const BEFORE_MS: i64 = 600_000;

/// The requests a second of all stores before and in a stretch, where clients ask all stores alike for less;
/// `None` where they do not.
pub fn clients_fell(observed: &ObservedWindow<'_>, range: TimeRange) -> Option<(f64, f64)> {
    let earlier = range.start.saturating_add_millis(-BEFORE_MS);
    let middle = |track: &Track, range: TimeRange| {
        median(track.within(range).iter().map(|point| point.value))
    };
    let (mut before_all, mut now_all) = (0.0, 0.0);
    let mut parts: Vec<f64> = Vec::new();
    for track in &observed.requests {
        let before = middle(track, TimeRange::new(earlier, range.start));
        let now = middle(track, TimeRange::new(range.start + 1, range.end + 1));
        let (Some(before), Some(now)) = (before, now) else { continue };
        before_all += before;
        now_all += now;
        parts.extend((before >= USED).then(|| now / before));
    }
    let most = parts.iter().copied().reduce(f64::max)?;
    let least = parts.iter().copied().reduce(f64::min)?;
    (most <= LESS && most - least <= ALIKE).then_some((before_all, now_all))
}

/// How long after the leaders left, in milliseconds, work may stop that they did.
const LEFT_MS: i64 = 120_000;

/// Whether more than half of a store's leaders left it about `at`, by PD's listings or by its own count.
pub fn leaders_left(observed: &ObservedWindow<'_>, store: usize, at: Timestamp) -> bool {
    let known = &observed.evidence.nodes.stores[store];
    let history = known.id.and_then(|id| observed.evidence.pd.stores.get(&id));
    let by_pd =
        |at: Timestamp| history.and_then(|one| one.counts_at(at)).map(|one| one.leaders as f64);
    let of_leaders = |labels: &Labels| labels.get("type") == Some("leader");
    let own = known.instance.as_deref();
    let own = own.map(|name| observed.evidence.series.gauge(LEADERS, name, of_leaders));
    let by_store = |at: Timestamp| own.as_ref()?.last_by(at).map(|point| point.value);
    let (before, after) = (at.saturating_add_millis(-LEFT_MS), at.saturating_add_millis(LEFT_MS));
    let left = |before: Option<f64>, after: Option<f64>| {
        before.zip(after).is_some_and(|(before, after)| 2.0 * after < before)
    };
    left(by_pd(before), by_pd(after)) || left(by_store(before), by_store(after))
}
