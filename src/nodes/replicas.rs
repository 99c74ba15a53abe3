//! Merges what several targets show of the same node.
//!
//! As Thanos does with replicas, one is followed and another one fills in where it has no samples.

use std::collections::{BTreeSet, HashMap};

use super::listed_at::Places;
use super::listing::Listing;
use super::same_node::{Compared, Group, are_possible, spans};
use super::shown::shown;
use super::target::TargetIndex;
use crate::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale};

/// The series with those of the same node merged, in no particular order, under the labels of the target that
/// is followed; and the labels of the targets that another one followed in time.
pub(super) fn merged(series: Vec<Series>, listing: &Listing<'_>) -> (Vec<Series>, Vec<Labels>) {
    let index = TargetIndex::new(&series);
    let (groups, former) = groups(&index, &series, listing);
    if groups.is_empty() {
        return (series, Vec::new());
    }
    let mut role: HashMap<usize, (usize, usize)> = HashMap::new();
    for (number, group) in groups.iter().enumerate() {
        role.extend(group.iter().enumerate().map(|(rank, target)| (*target, (number, rank))));
    }
    let mut kept = Vec::new();
    let mut found: Vec<Vec<Vec<Series>>> =
        groups.iter().map(|group| vec![Vec::new(); group.len()]).collect();
    for one in series {
        match index.of(&one.labels).and_then(|target| role.get(&target)) {
            None => kept.push(one),
            Some((group, rank)) => found[*group][*rank].push(one),
        }
    }
    for (group, by_rank) in groups.iter().zip(found) {
        let followed = &index.labels[group[0]];
        let own = group.iter().map(|target| &index.labels[*target]);
        let renamed = by_rank.into_iter().zip(own).map(|(series, own)| {
            let under = |one: Series| Series { labels: rebased(&one.labels, own, followed), ..one };
            series.into_iter().map(under).collect::<Vec<Series>>()
        });
        kept.extend(renamed.reduce(filled_in).unwrap_or_default());
    }
    (kept, former)
}

fn groups(
    index: &TargetIndex,
    series: &[Series],
    listing: &Listing<'_>,
) -> (Vec<Group>, Vec<Labels>) {
    if !are_possible(index, listing) {
        return (Vec::new(), Vec::new());
    }
    let (shown, spans) = (shown(index, series), spans(index, series));
    let places = Places::new(listing);
    let targets = index.labels.iter().zip(&index.components);
    let listed_at: Vec<_> =
        targets.map(|(labels, component)| places.nodes_at(*component, labels)).collect();
    let started_as: Vec<_> = shown.iter().map(|one| one.started_as(listing)).collect();
    let compared = Compared {
        index,
        shown: &shown,
        spans: &spans,
        listed_at: &listed_at,
        started_as: &started_as,
    };
    let groups = compared.groups(listing);
    let former = groups.iter().flat_map(|group| {
        let others = group[1..].iter().filter(|target| {
            let is_own = index.labels[**target].is_scraped_by_recorder();
            !is_own && compared.follow(group[0], **target)
        });
        others.map(|target| index.labels[*target].clone())
    });
    let former = former.collect();
    (groups, former)
}

/// The labels of a series under another target: those of its own are replaced.
fn rebased(series: &Labels, own: &Labels, target: &Labels) -> Labels {
    if own == target {
        return series.clone();
    }
    // Labels that a target passes on of something else, such as a pod, stay.
    let is_own = |name: &str| series.get(name) == own.get(name);
    let names: Vec<&str> = own.iter().map(|(name, _)| name).filter(|name| is_own(name)).collect();
    let pairs: Vec<(&str, &str)> = target.iter().filter(|(name, _)| is_own(name)).collect();
    series.without(&names).with(&pairs)
}

/// The series of the replica that is followed, with samples of the others where its scrapes stopped.
fn filled_in(mut followed: Vec<Series>, others: Vec<Series>) -> Vec<Series> {
    let holes = holes(&followed);
    if holes.is_empty() {
        return followed;
    }
    let mut places: HashMap<Labels, usize> =
        followed.iter().enumerate().map(|(place, one)| (one.labels.clone(), place)).collect();
    for other in others {
        let within = |sample: &&Sample| holes.iter().any(|hole| hole.contains(sample.at));
        let samples: Vec<Sample> = other.samples.iter().filter(within).copied().collect();
        if samples.is_empty() {
            continue;
        }
        match places.get(&other.labels) {
            Some(place) => followed[*place].samples.extend(samples),
            None => {
                places.insert(other.labels.clone(), followed.len());
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

/// Where scrapes of the followed replica are missing.
fn holes(followed: &[Series]) -> Vec<TimeRange> {
    let up = followed.iter().find(|one| one.labels.metric() == "up");
    let scrapes = up.map_or(followed, std::slice::from_ref).iter();
    let samples = scrapes.flat_map(|one| &one.samples).filter(|sample| !is_stale(sample.value));
    let times: BTreeSet<Timestamp> = samples.map(|sample| sample.at).collect();
    scrape_holes(&times.into_iter().collect::<Vec<_>>())
}

/// Where scrapes of a target are missing, given the ascending times of those that there are: before the first and
/// after the last one, and where they are missing for more than two and a half intervals, without half an interval
/// at either end. All time where there is no scrape.
pub fn scrape_holes(times: &[Timestamp]) -> Vec<TimeRange> {
    if times.is_empty() {
        return vec![TimeRange::ALL];
    }
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    // Of a target that was scraped only once, as after a change of targets, no interval is known yet.
    let interval = steps.get(steps.len() / 2).copied().unwrap_or(0);
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
    use crate::model::SCRAPED_BY;

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
        let (merged, _) = merged(vec![other, first], &Listing::default());
        assert_eq!(merged.len(), 1);
        assert_eq!(seconds(&merged[0]), [0, 15, 30, 52, 67, 82, 90, 105, 120]);
    }

    #[test]
    fn the_first_scrape_of_a_target_keeps_the_history_of_the_one_before() {
        let before: Vec<i64> = (0..9).map(|step| step * 15).collect();
        let (former, now) = (series("a", &before), series("b", &[195]));
        let (merged, _) = merged(vec![former, now], &Listing::default());
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].labels.get("replica"), Some("b"));
        assert_eq!(seconds(&merged[0]), [&before[..], &[195]].concat());
    }

    #[test]
    fn what_the_recorder_scraped_only_fills_in_however_much_it_is() {
        let theirs = series("a", &[0, 15, 30]);
        let seconds: Vec<i64> = (2..20).map(|step| step * 15 + 8).collect();
        let own = series("a", &seconds);
        let own = Series { labels: own.labels.with(&[SCRAPED_BY]), ..own };
        let (merged, former) = merged(vec![own, theirs.clone()], &Listing::default());
        assert!(former.is_empty(), "it is no target that was followed: {former:?}");
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].labels, theirs.labels);
        let after = &seconds[1..];
        assert_eq!(self::seconds(&merged[0]), [&[0, 15, 30], after].concat());
    }

    #[test]
    fn targets_of_one_replica_stay_as_they_are() {
        let only = series("a", &[0, 15]);
        assert_eq!(merged(vec![only.clone()], &Listing::default()).0, [only]);
    }
}
