//! Health checks that TiKV nodes make of each other: whether the link between two works, and how long
//! a round trip takes, whatever regions the two share.

use std::collections::BTreeMap;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::invariants::{Stretch, above};
use crate::model::{Labels, StoreId, TimeRange};

/// Whether a store's health checks of each other one come back over `range`, by
/// `tikv_raftstore_inspect_network_duration_seconds`: `(by, to)` to whether they do. TiKV checks each
/// other store every 100 ms, whatever regions they share, and records only what takes longer than
/// that; so a pair without a series is healthy, if any other pair has one and the checking store was
/// scraped. For a slow link TiKV records its round trips, for a broken one the seconds since the last
/// answer.
pub fn health_checks(evidence: &Evidence, range: TimeRange) -> BTreeMap<(usize, usize), bool> {
    let table = &evidence.series;
    let counts = format!("{HEALTH}_count");
    let mut found = BTreeMap::new();
    if !table.has(&counts) {
        return found;
    }
    for (by, known) in evidence.nodes.stores.iter().enumerate() {
        let Some(instance) = known.instance.as_deref() else { continue };
        let scraped = table.scrapes().get(instance);
        let scraped = scraped.is_some_and(|list| {
            list.iter()
                .any(|scrape| scrape.up && scrape.at >= range.start && scrape.at <= range.end)
        });
        if !scraped {
            continue;
        }
        let others = (0..evidence.nodes.stores.len()).filter(|to| *to != by);
        found.extend(others.map(|to| ((by, to), true)));
        for one in table.of(&counts, instance) {
            let Some(to) = checked(evidence, &one.labels) else { continue };
            let late = |labels: &Labels| labels.get("target") == one.labels.get("target");
            let rate = table.rate(&counts, instance, late);
            let times = table.mean(HEALTH, instance, 1.0, late);
            let within = TimeRange::new(range.start, range.end.saturating_add_millis(1));
            let many = rate.within(within).iter().filter(|p| p.value >= LATE_A_SECOND).count();
            let long = times.within(within).iter().filter(|p| p.value >= BROKEN_S).count();
            if many > 0 && long > 0 {
                found.insert((by, to), false);
            }
        }
    }
    found
}

/// Stretches of at least three scrape intervals in which nearly all of a store's health checks of
/// another take longer than their interval of 100 ms and are still answered, by `(by, to)`. The peak
/// is in seconds.
pub fn late_checks(evidence: &Evidence) -> BTreeMap<(usize, usize), Stretch> {
    let table = &evidence.series;
    let counts = format!("{HEALTH}_count");
    let mut found = BTreeMap::new();
    for one in table.metric(&counts) {
        let labels = &one.labels;
        let by = labels.get("instance").and_then(|name| evidence.nodes.store_of_instance(name));
        let (Some(by), Some(to), Some(instance)) =
            (by, checked(evidence, labels), labels.get("instance"))
        else {
            continue;
        };
        let same = |other: &Labels| other.get("target") == labels.get("target");
        let times = table.mean(HEALTH, instance, 1.0, same);
        let mut track = table.rate(&counts, instance, same);
        for point in &mut track.0 {
            let time = times.0.binary_search_by_key(&point.at, |time| time.at);
            if time.map_or(true, |place| times.0[place].value >= BROKEN_S) {
                point.value = 0.0;
            }
        }
        if let Some(stretch) = above(&track, LATE_A_SECOND, 3).into_iter().next() {
            let peak = times.within(TimeRange::new(stretch.range.start, stretch.range.end + 1));
            let seconds = median(peak.iter().map(|point| point.value)).unwrap_or(0.0);
            found.insert((by, to), Stretch { peak: seconds, ..stretch });
        }
    }
    found
}

/// The store that the health checks of a series go to, as an index.
fn checked(evidence: &Evidence, labels: &Labels) -> Option<usize> {
    evidence.nodes.store(StoreId(labels.get("target")?.parse().ok()?))
}

/// The histogram of health checks of other stores that take longer than 100 ms, in seconds.
pub const HEALTH: &str = "tikv_raftstore_inspect_network_duration_seconds";
/// The least number of late checks a second on a slow link, of ten that are made.
const LATE_A_SECOND: f64 = 5.0;
/// The least time of a check on a broken link, in seconds: no round trip takes as long.
const BROKEN_S: f64 = 1.0;
