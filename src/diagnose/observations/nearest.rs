//! How near observations came to their thresholds, whether they crossed them or not.
//!
//! What follows from a crossing is decided elsewhere; nothing here is part of a verdict.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::{Normal, normal_before};
use crate::diagnose::observations::members::failed_stretches;
use crate::diagnose::observations::silence::{longest_silence_to_pd, undeliverable};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::thresholds::{
    DepartureThreshold, MEMBER_SILENT_MS, REPORTS_AT_LEAST, SILENT_MS,
};
use crate::model::Timestamp;

/// The value of an observation that came nearest to its threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// The observation: a metric and how it is read, or words.
    pub what: String,
    /// The node or workload where it came nearest.
    pub target: String,
    /// When that was.
    pub at_ms: Timestamp,
    /// The value, in `unit`.
    pub value: f64,
    /// The least value that counts, in `unit`. Where that depends on what is normal, it is that of the same instant.
    pub threshold: f64,
    /// `seconds`, `requests/s` and the like; empty for a plain number.
    pub unit: &'static str,
    /// The least number of values in a row that must reach the threshold.
    pub hold: usize,
    /// The most values in a row that reached it.
    pub held: usize,
}

impl Nearest {
    /// Whether it crossed the threshold for long enough.
    pub fn is_crossed(&self) -> bool {
        self.value >= self.threshold && self.held >= self.hold
    }

    /// The value as a multiple of the threshold.
    fn share(&self) -> f64 {
        self.value / self.threshold.max(f64::MIN_POSITIVE)
    }

    /// Of several values of one observation, the one that came nearest.
    pub fn most(several: impl IntoIterator<Item = Self>) -> Option<Self> {
        let rank = |one: &Self| (one.is_crossed(), one.share());
        several.into_iter().reduce(|best, one| match rank(&one) > rank(&best) {
            true => one,
            false => best,
        })
    }

    /// How near a track came to a fixed limit, which `hold` points in a row must reach.
    pub fn to_limit(track: &Track, (limit, hold): (f64, usize)) -> Option<Self> {
        let with_limit = track.0.iter().map(|point| (*point, limit));
        Self::of_points(with_limit.collect(), hold)
    }

    /// How near a track came to departing from what was normal for it before.
    pub fn to_departure(track: &Track, threshold: DepartureThreshold) -> Option<Self> {
        let mut normal: Vec<f64> = Vec::new();
        let mut with_limit = Vec::new();
        for point in track.0.iter().filter(|point| point.value.is_finite()) {
            match normal_before(&normal, threshold) {
                Some(Normal { limit, .. }) => {
                    with_limit.push((*point, limit));
                    // What departs does not become normal.
                    if point.value < limit {
                        normal.push(point.value);
                    }
                }
                None => normal.push(point.value),
            }
        }
        Self::of_points(with_limit, threshold.hold)
    }

    fn of_points(points: Vec<(Point, f64)>, hold: usize) -> Option<Self> {
        let reaches = |(point, limit): &(Point, f64)| point.value >= *limit;
        let runs = points.chunk_by(|a, b| reaches(a) == reaches(b));
        let held = runs.filter(|run| reaches(&run[0])).map(<[_]>::len).max().unwrap_or(0);
        let of_point = |(point, limit): &(Point, f64)| Self {
            what: String::new(),
            target: String::new(),
            at_ms: point.at,
            value: point.value,
            threshold: *limit,
            unit: "",
            hold,
            held,
        };
        Self::most(points.iter().map(of_point))
    }

    /// The same of this observation, in this unit, at this target.
    #[must_use]
    pub fn named(self, what: &str, unit: &'static str, target: &str) -> Self {
        Self { what: what.to_owned(), unit, target: target.to_owned(), ..self }
    }

    /// A single value beside a fixed limit.
    fn single(at_ms: Timestamp, value: f64, threshold: f64, unit: &'static str) -> Self {
        let held = usize::from(value >= threshold);
        let (what, target) = (String::new(), String::new());
        Self { what, target, at_ms, value, threshold, unit, hold: 1, held }
    }
}

/// The longest time for which PD received no heartbeat of any store.
pub fn heartbeats_missed(evidence: &Evidence) -> Option<Nearest> {
    let least = evidence.thresholds.at("silent-to-pd", SILENT_MS as f64);
    let of_store = evidence.nodes.stores.iter().filter_map(|store| {
        let history = evidence.pd.stores.get(&store.id?)?;
        let (silence, ms) = longest_silence_to_pd(evidence, history)?;
        let one = Nearest::single(silence.last, ms as f64 / 1e3, least / 1e3, "seconds");
        Some(one.named("time without a heartbeat at PD", "seconds", &store.name()))
    });
    Nearest::most(of_store)
}

/// The most messages in a row that one store could not deliver to another.
pub fn messages_undelivered(evidence: &Evidence) -> Option<Nearest> {
    let least = evidence.thresholds.at("undeliverable", REPORTS_AT_LEAST);
    let of_pair = undeliverable(evidence).into_iter().map(|one| {
        let target = evidence.nodes.stores[one.to].name();
        let single = Nearest::single(one.silence.missed, one.reports, least, "messages");
        single.named("raft messages that a peer could not deliver", "messages", &target)
    });
    Nearest::most(of_pair)
}

/// The longest time for which all requests of the recorder to a member of PD failed.
pub fn requests_failed(evidence: &Evidence) -> Option<Nearest> {
    let least = evidence.thresholds.at("member-silent", MEMBER_SILENT_MS as f64);
    let of_member = evidence.nodes.member_names().filter_map(|name| {
        let (from, ms) = failed_stretches(evidence, name).max_by_key(|(_, ms)| *ms)?;
        let one = Nearest::single(from, ms as f64 / 1e3, least / 1e3, "seconds");
        Some(one.named("time in which requests to a PD member failed", "seconds", name))
    });
    Nearest::most(of_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(15_000, values.iter().copied())
    }

    const T: DepartureThreshold =
        DepartureThreshold { name: "test", ratio: 2.0, floor: 1.0, hold: 3, baseline: 4 };

    #[test]
    fn the_nearest_value_stands_beside_the_limit_of_its_own_instant() {
        let near = Nearest::to_departure(&track(&[10., 10., 10., 10., 12., 15., 11.]), T).unwrap();
        assert_eq!((near.value, near.threshold, near.held), (15.0, 20.0, 0));
        assert_eq!(near.at_ms.as_millis(), 90_000);
        assert!(!near.is_crossed());
        assert_eq!(Nearest::to_departure(&track(&[10., 90.]), T), None);
    }

    #[test]
    fn a_value_beyond_the_limit_must_hold() {
        let short = Nearest::to_departure(&track(&[10., 10., 10., 10., 50., 50., 10.]), T).unwrap();
        assert_eq!((short.value, short.held, short.is_crossed()), (50.0, 2, false));
        let long = Nearest::to_limit(&track(&[0., 0.9, 0.8, 0.]), (0.8, 2)).unwrap();
        assert_eq!((long.value, long.held, long.is_crossed()), (0.9, 2, true));
    }

    #[test]
    fn of_several_the_one_that_crossed_comes_first() {
        let of = |values: &[f64]| Nearest::to_limit(&track(values), (1.0, 2)).unwrap();
        let most = Nearest::most([of(&[9., 0.]), of(&[1., 1.]), of(&[0.5])]).unwrap();
        assert_eq!((most.value, most.held), (1.0, 2));
    }
}
