//! The load: how much clients request, of which stores.
//!
//! Load that rises is found in `rises`.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::client_metrics::{REQUESTS, client, client_write};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::plans::leaving;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Component, Labels, TimeRange, Timestamp};
use crate::nodes::StoreNode;

/// The requests of clients, without the loading of a data set at the beginning of a run.
#[derive(Clone, Debug)]
pub struct Load {
    /// The requests a second of each store, in the order of `evidence.nodes.stores`.
    pub requests: Vec<Track>,
    /// The writes a second of each store, likewise.
    pub writes: Vec<Track>,
    /// The requests a second over all stores, on a regular grid.
    pub all: Track,
}

impl Load {
    /// The load of a window, by the request counters of all stores.
    pub fn new(evidence: &Evidence) -> Self {
        let mut requests = per_store(evidence, client);
        let mut writes = per_store(evidence, client_write);
        let mut all = total(evidence, &requests);
        let begin = loaded(&all, &total(evidence, &writes));
        for track in requests.iter_mut().chain(&mut writes).chain([&mut all]) {
            track.0.retain(|point| point.since >= begin);
        }
        Self { requests, writes, all }
    }
}

/// When the loading of a data set at the beginning was complete, if there was one: nearly all requests
/// are writes, until clients send another mix and those writes stop. The load of the loading is no
/// baseline for the load after it.
fn loaded(all: &Track, writes: &Track) -> Timestamp {
    let mixed = |point: &Point| {
        let written = writes.last_by(point.at).filter(|write| write.at == point.at)?.value;
        // Without requests there is no mix.
        (point.value >= 1.0).then(|| (point.since, written, written / point.value))
    };
    let mixes: Vec<(Timestamp, f64, f64)> = all.0.iter().filter_map(mixed).collect();
    let loading = mixes.iter().take_while(|(.., share)| *share >= NEARLY_ALL).count();
    let (first, rest) = mixes.split_at(loading);
    // The points over which one mix goes over into the other hold some of both.
    let settled = rest.windows(2).find(|pair| pair[0].2 - pair[1].2 <= SAME_MIX);
    let (Some(settled), Some(usual)) = (settled, median(first.iter().map(|mix| mix.1))) else {
        return Timestamp::MIN;
    };
    let (since, written, share) = settled[0];
    let over = share <= NEARLY_ALL - OTHER_MIX && written <= usual / 2.0;
    if over { since } else { Timestamp::MIN }
}

/// The least share of writes while a data set is loaded: all but some reads of the loader's own.
const NEARLY_ALL: f64 = 0.9;
/// How far the share of writes varies within one mix of requests: by a few hundredths.
const SAME_MIX: f64 = 0.05;
/// By how much the share of writes must fall, so that another program took over from the loader.
const OTHER_MIX: f64 = 0.2;

/// Whether the requests of clients to a store were recorded.
pub fn measures_load(evidence: &Evidence, instance: &str) -> bool {
    evidence.series.of(REQUESTS, instance).any(|one| client(&one.labels))
}

/// The scans a second of each store: of ranges of keys, or pushed down to the coprocessor.
pub fn scans(evidence: &Evidence) -> Vec<Track> {
    per_store(evidence, |labels| {
        let kind = labels.get("type").unwrap_or_default();
        client(labels) && (kind.contains("scan") || kind.starts_with("coprocessor"))
    })
}

fn per_store(evidence: &Evidence, keep: fn(&Labels) -> bool) -> Vec<Track> {
    let of = |instance: &Option<String>| {
        let rate = |name: &String| evidence.series.rate(REQUESTS, name, keep);
        instance.as_ref().map(rate).unwrap_or_default()
    };
    evidence.nodes.stores.iter().map(|store| of(&store.instance)).collect()
}

/// The sum of tracks whose points do not coincide: for each step of a regular grid, the sum of the
/// tracks' means over it, weighted by how much of the step each point holds for. A step in which a known
/// track has no points is left out, so that a store that cannot be scraped is not taken for load that
/// fell; so is a step in which samples of a store are unreadable. A store that was removed from the cluster
/// serves nothing after its last sample. Targets that exist from the beginning are scraped in turn: the grid
/// begins where all of them are known. `tracks` are in the order of `evidence.nodes.stores`.
pub fn total(evidence: &Evidence, tracks: &[Track]) -> Track {
    let interval = evidence.longest_interval(Component::Tikv);
    let firsts = || tracks.iter().filter_map(|track| track.0.first()).map(|point| point.since);
    let Some(earliest) = firsts().min() else { return Track::default() };
    let together = earliest.saturating_add_millis(2 * interval);
    let start = firsts().filter(|first| *first <= together).max().unwrap_or(earliest);
    let end = tracks.iter().filter_map(|track| track.0.last()).map(|point| point.at).max();
    let removed = leaving(evidence);
    let mut points = Vec::new();
    let (mut since, mut at) = (start, start.saturating_add_millis(interval));
    while Some(at) <= end {
        let step = TimeRange::new(since, at);
        let unreadable = |store: &StoreNode| {
            let instance = store.instance.as_deref();
            instance.is_some_and(|name| evidence.series.is_unreadable(name, step))
        };
        let value = |(index, (store, track)): (usize, (&StoreNode, &Track))| {
            let served = match track.0.first() {
                Some(first) if first.since < at => mean_over(track, step),
                _ => (!unreadable(store)).then_some(0.0),
            };
            let is_over = || track.0.last().is_some_and(|last| last.at < at);
            served.or_else(|| (removed.contains(&index) && is_over()).then_some(0.0))
        };
        let values: Option<Vec<f64>> =
            evidence.nodes.stores.iter().zip(tracks).enumerate().map(value).collect();
        let mut steps = 1;
        match values {
            Some(values) => points.push(Point { since, at, value: values.iter().sum() }),
            // Years without a sample are skipped at once.
            None => match next_point(tracks, at) {
                Some(next) => steps = ((next - since) / interval).max(1),
                None => break,
            },
        }
        since = since.saturating_add_millis(interval.saturating_mul(steps));
        at = since.saturating_add_millis(interval);
    }
    Track(points)
}

/// The earliest beginning, over all tracks, of a track's first point that ends after an instant.
fn next_point(tracks: &[Track], after: Timestamp) -> Option<Timestamp> {
    let next = |track: &Track| {
        let place = track.0.partition_point(|point| point.at <= after);
        track.0.get(place).map(|point| point.since)
    };
    tracks.iter().filter_map(next).min()
}

/// The mean of a track over a stretch, each point weighted by how much of the stretch it holds for;
/// `None` where points cover less than half of it.
pub fn mean_over(track: &Track, stretch: TimeRange) -> Option<f64> {
    let from = track.0.partition_point(|point| point.at <= stretch.start);
    let within = track.0[from..].iter().take_while(|point| point.since < stretch.end);
    let (sum, covered) = within.fold((0.0, 0), |(sum, covered), point| {
        let held = point.at.min(stretch.end) - point.since.max(stretch.start);
        (sum + point.value * held as f64, covered + held)
    });
    (2 * covered >= stretch.millis() && covered > 0).then(|| sum / covered as f64)
}

/// The medians of the two minutes before a range and of its first two minutes; 0 where there are no
/// points. Later in the range, PD has moved hot regions away.
pub fn before_and_in(track: &Track, range: TimeRange) -> (f64, f64) {
    let before = TimeRange::new(range.start.saturating_add_millis(-120_000), range.start + 1);
    let until = range.end.min(range.start.saturating_add_millis(120_000));
    let inside = TimeRange::new(range.start + 1, until.saturating_add_millis(1));
    let middle = |range| median(track.within(range).iter().map(|point| point.value)).unwrap_or(0.0);
    (middle(before), middle(inside))
}

/// Whether a store served clearly more requests in `range` than before, by half, and more than the
/// others: a store is not overloaded by its fair share. `requests` are those of a [`Load`]. False where
/// the load before is unknown.
pub fn busier(requests: &[Track], store: usize, range: TimeRange) -> bool {
    let earlier = TimeRange::new(Timestamp::MIN, range.start + 1);
    if requests[store].within(earlier).is_empty() {
        return false;
    }
    let loads: Vec<(f64, f64)> = requests.iter().map(|track| before_and_in(track, range)).collect();
    let (before, now) = loads[store];
    let others = loads.iter().enumerate().filter(|(index, _)| *index != store);
    let usual = median(others.map(|(_, (_, now))| *now)).unwrap_or(0.0);
    now > before * 1.5 && now - before > 20.0 && now > usual * 1.2
}
