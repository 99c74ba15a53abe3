//! Merges what replicas of one Prometheus recorded of the same target.
//!
//! As Thanos does, one replica is followed and another one fills in where it has no samples.

use std::collections::{BTreeMap, HashMap};

use super::target::{REPLICA_LABELS, TargetIndex};
use crate::model::{Fingerprint, Labels, Sample, Series, TimeRange, Timestamp};

/// Targets whose labels differ in those of replicas alone: the one that is followed, then the others.
type Group = Vec<usize>;

/// The series with those of replicas merged, in no particular order.
pub(super) fn merged(series: Vec<Series>) -> Vec<Series> {
    let index = TargetIndex::new(&series);
    let groups = groups(&index);
    if groups.is_empty() {
        return series;
    }
    let mut role: HashMap<usize, (usize, bool)> = HashMap::new();
    for (number, group) in groups.iter().enumerate() {
        role.extend(group.iter().enumerate().map(|(rank, target)| (*target, (number, rank == 0))));
    }
    let mut kept = Vec::new();
    let mut followed: Vec<Vec<Series>> = vec![Vec::new(); groups.len()];
    let mut others: Vec<Vec<Series>> = vec![Vec::new(); groups.len()];
    for one in series {
        match index.of(&one.labels).and_then(|target| role.get(&target)) {
            None => kept.push(one),
            Some((group, true)) => followed[*group].push(one),
            Some((group, false)) => others[*group].push(one),
        }
    }
    for (followed, others) in followed.into_iter().zip(others) {
        kept.extend(filled_in(followed, others));
    }
    kept
}

/// Groups of more than one target. Replicas are ranked by how much they scraped altogether, so that as many
/// targets as possible follow the same one; a target follows another replica where that has clearly more.
fn groups(index: &TargetIndex) -> Vec<Group> {
    let replica = |target: usize| -> String {
        let labels = &index.labels[target];
        let values = REPLICA_LABELS.iter().filter_map(|name| labels.get(name));
        values.collect::<Vec<_>>().join("\u{0}")
    };
    let mut total: BTreeMap<String, usize> = BTreeMap::new();
    let mut same: BTreeMap<Labels, Group> = BTreeMap::new();
    for (target, labels) in index.labels.iter().enumerate() {
        *total.entry(replica(target)).or_default() += index.scrapes[target];
        same.entry(labels.without(&REPLICA_LABELS)).or_default().push(target);
    }
    let mut groups: Vec<Group> = same.into_values().filter(|group| group.len() > 1).collect();
    for group in &mut groups {
        let most = group.iter().map(|target| index.scrapes[*target]).max().unwrap_or(0);
        group.sort_by_cached_key(|target| {
            let has_less = index.scrapes[*target] * 10 < most * 9;
            let name = replica(*target);
            (has_less, std::cmp::Reverse(total.get(&name).copied()), name)
        });
    }
    groups
}

/// The series of the replica that is followed, with samples of the others where its scrapes stopped.
fn filled_in(mut followed: Vec<Series>, others: Vec<Series>) -> Vec<Series> {
    let holes = holes(&followed);
    if holes.is_empty() {
        return followed;
    }
    let key = |labels: &Labels| labels.fingerprint_without(&REPLICA_LABELS);
    let mut places: HashMap<Fingerprint, usize> =
        followed.iter().enumerate().map(|(place, one)| (key(&one.labels), place)).collect();
    for other in others {
        let within = |sample: &&Sample| holes.iter().any(|hole| hole.contains(sample.at));
        let samples: Vec<Sample> = other.samples.iter().filter(within).copied().collect();
        if samples.is_empty() {
            continue;
        }
        match places.get(&key(&other.labels)) {
            Some(place) => followed[*place].samples.extend(samples),
            None => {
                places.insert(key(&other.labels), followed.len());
                followed.push(Series { labels: other.labels, samples });
            }
        }
    }
    for one in &mut followed {
        one.samples.sort_by_key(|sample| sample.at);
        one.samples.dedup_by_key(|sample| sample.at);
    }
    followed
}

/// Where scrapes of the followed replica are missing for more than two and a half intervals, without half an
/// interval at either end.
fn holes(followed: &[Series]) -> Vec<TimeRange> {
    let up = followed.iter().find(|one| one.labels.metric() == "up");
    let times: Vec<Timestamp> =
        up.map_or_else(Vec::new, |up| up.samples.iter().map(|sample| sample.at).collect());
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let Some(interval) = steps.get(steps.len() / 2).copied() else { return Vec::new() };
    let long = times.windows(2).filter(|pair| (pair[1] - pair[0]) * 2 > interval * 5);
    let inside = long.map(|pair| {
        let half = interval / 2;
        TimeRange::new(pair[0].saturating_add_millis(half), pair[1].saturating_add_millis(-half))
    });
    let first =
        times.first().map(|at| TimeRange::new(Timestamp::MIN, at.saturating_add_millis(-interval)));
    let last =
        times.last().map(|at| TimeRange::new(at.saturating_add_millis(interval), Timestamp::MAX));
    first.into_iter().chain(inside).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(replica: &str, seconds: &[i64]) -> Series {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let labels = [("__name__", "up"), ("instance", "a:1"), ("replica", replica)];
        let samples = seconds.iter().map(|second| Sample { at: at(*second), value: 1.0 });
        Series { labels: Labels::from_pairs(&labels), samples: samples.collect() }
    }

    fn seconds(series: &Series) -> Vec<i64> {
        series.samples.iter().map(|sample| sample.at.as_millis() / 1000).collect()
    }

    #[test]
    fn one_replica_is_followed_and_the_other_fills_its_holes() {
        let first = series("a", &[0, 15, 30, 90, 105, 120]);
        let other = series("b", &[7, 22, 37, 52, 67, 82]);
        let merged = merged(vec![other, first]);
        assert_eq!(merged.len(), 1);
        assert_eq!(seconds(&merged[0]), [0, 15, 30, 52, 67, 82, 90, 105, 120]);
    }

    #[test]
    fn targets_of_one_replica_stay_as_they_are() {
        let only = series("a", &[0, 15]);
        assert_eq!(merged(vec![only.clone()]), [only]);
    }
}
