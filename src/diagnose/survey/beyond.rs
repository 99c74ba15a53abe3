//! What is past a fixed limit from the first sample to the last, at one node or at all alike: it departs from no past
//! and from no peer, and is bad all the same.
//!
//! A limit is taken from what the programs themselves or their official alerts call too much, or was measured; each
//! says which. It holds for every value but one in [`ODD`], so that no chance of one step makes it.

use super::quantity::{Quantity, Reading};
use super::sign::{
    Sign, is_asked, is_failing, is_job, is_left_over, is_never, is_of_settings, is_soft,
};
use super::standing_out::StandingOut;
use super::tail::is_of_seconds;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::{Point, Track};

/// The fewest values: six minutes at a step of 30 s.
pub(super) const LEAST: usize = 12;
/// What part of the values may be anything: a scrape comes late, a step holds nothing.
pub(super) const ODD: usize = 12;

/// From how many on tasks that wait are too many: the official alert `TiKV_pending_task`.
const MANY: f64 = 1_000.0;
/// How old is too old, in seconds: as for what [stands still](super::clock).
const OLD_S: f64 = 1_800.0;
/// How many bytes that wait are too many: from there on TiKV throttles writes for compactions that lag behind
/// (`storage.flow-control.soft-pending-compaction-bytes-limit`).
const DEBT: f64 = 192.0 * 1024.0 * 1024.0 * 1024.0;
/// How many failures a second are no accident. In the quiet run what fails all the while fails 0.6 times a second at
/// most: PD's streams that are `Unavailable`.
const FAILS: f64 = 1.0;
/// What part of all attempts must fail, where those are counted by the same metric.
const FAILING_PART: f64 = 0.1;
/// What part of all attempts is most of them, where a metric counts an attempt and its outcome, and its beginning too;
/// and how many failures a second are then no accident: as many as where none was before.
const MOST_ATTEMPTS: f64 = 0.25;
const MOST_FAIL: f64 = 0.05;
/// What part of all that a node serves must fail, where that is counted: the more clients there are, the more of them go
/// away or time out.
const FAILING_OF_SERVED: f64 = 0.01;
/// The requests that TiKV serves, and those that PD does.
const SERVED: [&str; 2] = ["tikv_grpc_msg_duration_seconds_count", "grpc_server_handled_total"];
/// How long is long for anything that a store or PD does once, in seconds. Official alerts call that critical of one in
/// a hundred.
const SLOW_S: f64 = 1.0;
/// What part of all observations must be slow: the p99.9, of which official alerts of TiKV's raftstore are, is then
/// above one second.
const SLOW_PART: f64 = 0.001;
/// How many observations a second must be slow: three a minute, as many as failures that never were before.
const SLOW_OFTEN: f64 = 0.05;

/// The least value that is too much of a quantity whatever it was before, among the quantities `beside` it of the same
/// target; `None` where there is no such value.
pub fn limit_of(quantity: &Quantity, sign: Sign, beside: &[Quantity]) -> Option<f64> {
    let metric = quantity.metric.as_str();
    let takes_long =
        is_job(metric) || quantity.label.as_ref().is_some_and(|(_, kind)| is_asked(kind));
    if is_of_settings(quantity) || is_mixed(quantity, beside) {
        return None;
    }
    match (quantity.reading, sign) {
        (Reading::Level, Sign::Waiting) if is_never(quantity) => Some(0.5),
        (Reading::Level, Sign::Waiting) if is_left_over(quantity) => Some(DEBT),
        (Reading::Level, Sign::Waiting) => most_waiting(metric),
        (Reading::Rate, Sign::Failing) if is_of_events(metric) && !is_soft(quantity) => {
            let least = FAILS.max(FAILING_OF_SERVED * served(beside));
            match part_that_fails(quantity, beside) {
                Some(part) if part >= MOST_ATTEMPTS => Some(MOST_FAIL),
                Some(part) if part < FAILING_PART => None,
                _ => Some(least),
            }
        }
        (Reading::Unsuccessful, _) => Some(MOST_FAIL),
        (Reading::Mean, Sign::Slow) if is_of_seconds(metric) && !takes_long => Some(SLOW_S),
        (Reading::SlowShare, Sign::Slow) if is_often_slow(quantity, beside) => Some(SLOW_PART),
        _ => None,
    }
}

/// Whether a counter counts events, and not bytes or time of a thread or a task whose name says that it looks after
/// failures.
fn is_of_events(metric: &str) -> bool {
    let measures = metric.contains("bytes") || is_of_seconds(metric) || metric.contains("micro");
    metric.ends_with("_count") || !measures
}

/// By the unit in the name.
fn most_waiting(metric: &str) -> Option<f64> {
    let has = |part: &str| metric.contains(part);
    match () {
        () if has("micro") || has("nano") => None,
        () if has("milli") => Some(OLD_S * 1000.0),
        () if has("second") || has("duration") => Some(OLD_S),
        () if has("bytes") => Some(DEBT),
        () => Some(MANY),
    }
}

/// Whether a quantity is of several kinds, which are quantities of their own: the kinds are judged, since what one of
/// them may do another may not.
fn is_mixed(quantity: &Quantity, beside: &[Quantity]) -> bool {
    let is_kind = |one: &Quantity| {
        one.label.is_some() && one.metric == quantity.metric && one.reading == quantity.reading
    };
    quantity.label.is_none() && quantity.reading != Reading::Level && beside.iter().any(is_kind)
}

/// What part of all attempts failures are, where the same metric counts those; `None` where it counts failures alone.
fn part_that_fails(quantity: &Quantity, beside: &[Quantity]) -> Option<f64> {
    let is_all = |one: &&Quantity| {
        one.label.is_none() && one.metric == quantity.metric && one.reading == quantity.reading
    };
    let named = quantity.label.is_none() || is_failing(&quantity.metric);
    let tried = beside.iter().find(is_all).filter(|_| !named).and_then(typical)?;
    Some(typical(quantity)? / tried)
}

/// How many requests a second a node serves; none where they are not counted.
fn served(beside: &[Quantity]) -> f64 {
    let is_served = |one: &&Quantity| {
        one.label.is_none() && one.reading == Reading::Rate && SERVED.contains(&one.metric.as_str())
    };
    beside.iter().filter(is_served).filter_map(typical).fold(0.0, f64::max)
}

fn typical(quantity: &Quantity) -> Option<f64> {
    median(quantity.values.iter().copied().filter(|value| value.is_finite()))
}

/// Whether observations of a histogram are slow often enough for a share of them to be more than chance.
fn is_often_slow(share: &Quantity, beside: &[Quantity]) -> bool {
    let is_count = |one: &&Quantity| {
        one.reading == Reading::Slow && one.metric == share.metric && one.label == share.label
    };
    beside.iter().find(is_count).and_then(typical).is_some_and(|often| often >= SLOW_OFTEN)
}

/// The track as one stretch, where it is at or above `limit` from first to last.
pub fn beyond(track: &Track, limit: f64) -> Option<StandingOut> {
    let one = throughout(track, limit, limit)?;
    Some(StandingOut { times: SERIOUS * one.typical / limit, ..one })
}

/// How often a quantity must be past its limit, with better times between, and in how many values together: as many as
/// what stands out must hold.
const OFTEN: usize = 4;
const IN_ALL: usize = 6;

/// The track as one stretch, where it is at or above `limit` again and again: as early as in its first third, and as
/// late as in its last.
pub fn again(track: &Track, limit: f64) -> Option<StandingOut> {
    let points = &track.0;
    let is_far = |point: &&Point| point.value >= limit;
    let far: Vec<f64> = points.iter().filter(is_far).map(|point| point.value).collect();
    let times = points.chunk_by(|a, b| is_far(&a) == is_far(&b)).filter(|some| is_far(&&some[0]));
    let third = points.len() / 3;
    let (early, late) = points.split_at(third);
    let (first, lately) =
        (early.iter().find(is_far)?, late.split_at(third).1.iter().any(|one| is_far(&one)));
    if !lately || far.len() < IN_ALL || 2 * far.len() > points.len() || times.count() < OFTEN {
        return None;
    }
    let typical = median(far.iter().copied())?;
    Some(StandingOut {
        onset: first.since,
        first: first.at,
        end: None,
        baseline: median(track.values())?,
        typical,
        peak: far.into_iter().fold(typical, f64::max),
        times: SERIOUS * typical / limit,
    })
}

/// The track of an age as one stretch, where it is at or below the negative of `limit` from first to last: what it is the
/// age of lies so far in the future, where nothing has been.
pub fn ahead(track: &Track, limit: f64) -> Option<StandingOut> {
    let negated = track.0.iter().map(|point| Point { value: -point.value, ..*point });
    let one = beyond(&Track(negated.collect()), limit)?;
    Some(StandingOut { baseline: -limit, typical: -one.typical, peak: -one.peak, ..one })
}

/// The track as one stretch, where it is at or above `limit` from first to last, but for one value in [`ODD`]. It stands
/// out as often as what is typical of it holds `baseline`.
pub(super) fn throughout(track: &Track, limit: f64, baseline: f64) -> Option<StandingOut> {
    let points = &track.0;
    let far = track.values().filter(|value| *value >= limit).count();
    if points.len() < LEAST || points.len() - far > points.len() / ODD {
        return None;
    }
    let typical = median(track.values())?;
    Some(StandingOut {
        onset: points[0].since,
        first: points[0].at,
        end: None,
        baseline,
        typical,
        peak: track.values().fold(typical, f64::max),
        times: typical / baseline,
    })
}

/// How far what is at its limit stands out: as far as what leads a group of quantities must.
pub(super) const SERIOUS: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(metric: &str, reading: Reading, label: Option<&str>, values: &[f64]) -> Quantity {
        Quantity {
            metric: metric.to_owned(),
            reading,
            label: label.map(|value| ("type".to_owned(), value.to_owned())),
            bound: String::new(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn what_is_past_its_limit_from_first_to_last_is_found() {
        let track = |values: &[f64]| Track::every(30_000, values.iter().copied());
        let found = beyond(&track(&[2_000.0; 12]), 1_000.0).expect("it is too much");
        assert_eq!((found.onset.as_millis(), found.typical, found.times), (0, 2_000.0, 20.0));
        assert_eq!(beyond(&track(&[2_000.0; 11]), 1_000.0), None);
        let once = [vec![2_000.0; 12], vec![0.0]].concat();
        assert!(beyond(&track(&once), 1_000.0).is_some());
        let twice = [vec![2_000.0; 12], vec![0.0; 2]].concat();
        assert_eq!(beyond(&track(&twice), 1_000.0), None);
    }

    #[test]
    fn what_is_past_its_limit_again_and_again_is_found() {
        let burst = |high: usize, low: usize| [vec![2.0; high], vec![0.01; low]].concat();
        let times = |count: usize, high: usize| {
            let values: Vec<f64> = (0..count).flat_map(|_| burst(high, 6)).collect();
            again(&Track::every(30_000, values), 1.0)
        };
        let found = times(4, 2).expect("four times");
        assert_eq!((found.typical, found.times, found.end), (2.0, 20.0, None));
        assert_eq!(times(3, 2), None, "three times");
        assert_eq!(times(5, 1), None, "five values in all");
        let late = [vec![0.01; 20], burst(2, 2), burst(2, 2), burst(2, 2), burst(2, 2)].concat();
        assert_eq!(again(&Track::every(30_000, late), 1.0), None, "not from the beginning");
    }

    #[test]
    fn an_age_far_below_zero_is_of_the_future() {
        let track = Track::every(30_000, [-3_600.0; 12]);
        let found = ahead(&track, OLD_S).expect("it is ahead");
        assert_eq!((found.typical, found.times), (-3_600.0, 20.0));
        assert_eq!(ahead(&Track::every(30_000, [-1_000.0; 12]), OLD_S), None);
        assert_eq!(ahead(&Track::every(30_000, [3_600.0; 12]), OLD_S), None);
    }

    #[test]
    fn limits_follow_from_units_and_from_what_is_counted() {
        let of = |metric, reading, sign| {
            limit_of(&quantity(metric, reading, None, &[5.0; 12]), sign, &[])
        };
        let waiting = |metric| of(metric, Reading::Level, Sign::Waiting);
        assert_eq!(waiting("tikv_worker_pending_task_total"), Some(MANY));
        assert_eq!(waiting("tikv_resolved_ts_min_resolved_ts_gap_millis"), Some(1_800_000.0));
        assert_eq!(waiting("tikv_engine_pending_compaction_bytes"), Some(DEBT));
        assert_eq!(waiting("tikv_config_pending_tasks"), None, "it is set so");
        let fails = |metric| of(metric, Reading::Rate, Sign::Failing);
        assert_eq!(fails("tikv_critical_error_total"), Some(FAILS));
        assert_eq!(fails("tikv_scheduler_conflict_total"), None, "clients decide that");
        assert_eq!(fails("tikv_fail_fast_io_bytes_total"), None, "bytes are no failures");
        let slow = |metric| of(metric, Reading::Mean, Sign::Slow);
        assert_eq!(slow("tikv_raftstore_append_log_duration_seconds"), Some(SLOW_S));
        assert_eq!(slow("tikv_engine_compaction_duration_seconds"), None, "it is a job");
    }

    #[test]
    fn few_failures_among_many_attempts_are_none() {
        let metric = "grpc_server_handled_total";
        let failed = quantity(metric, Reading::Rate, Some("Unavailable"), &[2.0; 12]);
        let limit = |tried: f64| {
            let all = [quantity(metric, Reading::Rate, None, &[tried; 12]), failed.clone()];
            limit_of(&failed, Sign::Failing, &all)
        };
        assert_eq!(limit(100.0), None);
        assert_eq!(limit(10.0), Some(FAILS));
        assert_eq!(limit(8.0), Some(MOST_FAIL), "most of what was tried");
        // Of all that a store serves it is little.
        let fails = quantity("tikv_grpc_msg_fail_total", Reading::Rate, None, &[5.0; 12]);
        let serves = |rate: f64| quantity(SERVED[0], Reading::Rate, None, &[rate; 12]);
        let of_served = |rate: f64| limit_of(&fails, Sign::Failing, &[serves(rate)]);
        assert_eq!((of_served(50.0), of_served(9_000.0)), (Some(FAILS), Some(90.0)));
        // The sum over kinds is none of them.
        let errors = "tikv_coprocessor_request_error";
        let all = quantity(errors, Reading::Rate, None, &[50.0; 12]);
        let kind = quantity(errors, Reading::Rate, Some("meet_lock"), &[50.0; 12]);
        assert_eq!(limit_of(&all, Sign::Failing, &[all.clone(), kind]), None);
    }
}
