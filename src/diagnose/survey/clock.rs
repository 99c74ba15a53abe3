//! Progress that stands still: an instant that does not move on, or an age that grows as fast as time passes.
//!
//! What has to advance is exported as the instant that it has reached, or as how long ago that was. Work that
//! stands still departs from nothing where it stood from the beginning; its instant says since when.

use super::quantity::{Quantity, Reading};
use super::sign::has_word;
use super::standing_out::StandingOut;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::Timestamp;

/// How samples say how far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The instant that it has reached.
    Instant,
    /// How long ago that was, in a unit that its pace tells.
    Age,
}

/// Words in names of instants that have to advance. The safe point of GC is not among them: it advances as seldom
/// as GC runs, and diagnosis reads it from PD.
const PROGRESS: &[&str] = &["checkpoint", "resolved", "watermark"];
/// Words in names of instants.
const INSTANT: &[&str] = &["ts", "timestamp"];
/// Words in names of what belongs to an instant and is none: the region whose instant it is, how far it is behind.
const NO_INSTANT: &[&str] = &["region", "gap", "lag", "duration", "zero"];
/// Words in names of ages.
const AGE: &[&str] = &["oldest", "age", "behind", "gap", "lag"];
/// Words in names of ages of what is meant to become old.
const UPTIME: &[&str] = &["uptime", "start", "boot", "region"];

/// What a metric says of progress by its name; `None` where it says nothing of it.
pub fn clock_of(metric: &str) -> Option<Clock> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| metric.ends_with(ending));
    if ends(&["_sum", "_count", "_bucket", "_total"]) {
        return None;
    }
    let is_instant = has_word(metric, PROGRESS) && has_word(metric, INSTANT);
    if is_instant && !has_word(metric, NO_INSTANT) {
        return Some(Clock::Instant);
    }
    (has_word(metric, AGE) && !has_word(metric, UPTIME)).then_some(Clock::Age)
}

/// Whether a quantity says how far something has come.
pub fn clock(quantity: &Quantity) -> Option<Clock> {
    (quantity.reading == Reading::Level).then(|| clock_of(&quantity.metric)).flatten()
}

/// The expression of PromQL for the age of a quantity at one target, in seconds.
pub fn age_expression(quantity: &Quantity, (instance, step_ms): (&str, i64), age_s: f64) -> String {
    let of = quantity.expression(instance, step_ms);
    let last = quantity.values.iter().rev().find(|value| value.is_finite());
    let last = last.copied().unwrap_or_default();
    match (clock(quantity), Unit::of_instant(last)) {
        (Some(Clock::Instant), Some(Unit::Instant(per_ms))) => {
            format!("time() - {of} / {}", per_ms * 1000.0)
        }
        _ if last > 10.0 * age_s => format!("{of} / 1000"),
        _ => of,
    }
}

/// For how long progress must stand still, in milliseconds: a log backup moves its checkpoint every three to five
/// minutes.
const STANDS_MS: i64 = 600_000;
/// How old it must be by then, in seconds.
const LEAST_AGE_S: f64 = 1_800.0;
/// What part of the time that passes it may move on by, and still stands.
const MOVES: f64 = 0.1;
/// An age that is nothing special, in seconds: standing out is counted in multiples of it.
const USUAL_AGE_S: f64 = 180.0;

/// The stretch at the end over which something stands still, with its age in seconds as values; nothing where it
/// advances.
pub fn standing_still(track: &Track, clock: Clock) -> Option<StandingOut> {
    let points = &track.0;
    let last = points.last()?;
    let long_ago = last.at.saturating_add_millis(-STANDS_MS);
    let from = points.partition_point(|point| point.at <= long_ago).checked_sub(1)?;
    let unit = match clock {
        Clock::Instant => Unit::of_instant(last.value)?,
        Clock::Age => Unit::of_age(points[from], *last)?,
    };
    // Samples are taken at some time within their step.
    let step_ms = (last.at - last.since) as f64;
    let reached = |point: &Point| unit.reached_ms(*point);
    let stands = |point: &Point| {
        let passed_ms = (last.at - point.at) as f64;
        (reached(last) - reached(point)).abs() <= MOVES * passed_ms + step_ms
    };
    if !points[from..].iter().all(stands) {
        return None;
    }
    let age_s = |point: &Point| (point.at.as_millis() as f64 - reached(point)) / 1000.0;
    let age = age_s(last);
    let since = points[..=from].iter().rev().take_while(|point| stands(point)).last()?;
    // It stood as long before the first sample as that says.
    let stood = Timestamp::from_millis(reached(last) as i64);
    (LEAST_AGE_S..MOST_AGE_S).contains(&age).then(|| StandingOut {
        onset: stood.max(points[0].since).min(since.at),
        first: since.at,
        end: None,
        baseline: age_s(since),
        typical: age,
        peak: age,
        times: age / USUAL_AGE_S,
    })
}

/// An age that nothing of a running cluster has, in seconds: ten years.
const MOST_AGE_S: f64 = 10.0 * 365.0 * 86_400.0;

/// How a value becomes an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// An instant, of which so many make a millisecond.
    Instant(f64),
    /// An age, of which so many make a millisecond.
    Age(f64),
}

/// A timestamp of PD's has milliseconds above a counter of 18 bits.
const TSO_PER_MS: f64 = 262_144.0;

impl Unit {
    /// By the magnitude of an instant of this century: seconds, milliseconds, timestamps of PD's, nanoseconds.
    fn of_instant(value: f64) -> Option<Self> {
        const FIRST_MS: f64 = 1.2e12;
        const LAST_MS: f64 = 4.1e12;
        let units = [0.001, 1.0, TSO_PER_MS, 1e6];
        let is_it = |per_ms: &f64| (FIRST_MS..LAST_MS).contains(&(value / per_ms));
        units.into_iter().find(is_it).map(Self::Instant)
    }

    /// By the pace of an age that grows with time: seconds or milliseconds.
    fn of_age(first: Point, last: Point) -> Option<Self> {
        let passed_ms = (last.at - first.at) as f64;
        let units = [0.001, 1.0];
        let is_it = |per_ms: &f64| {
            let grown_ms = (last.value - first.value) / per_ms;
            (grown_ms / passed_ms - 1.0).abs() <= MOVES
        };
        units.into_iter().find(is_it).map(Self::Age)
    }

    /// The instant that a value means, in milliseconds since the Unix epoch.
    fn reached_ms(self, point: Point) -> f64 {
        match self {
            Self::Instant(per_ms) => point.value / per_ms,
            Self::Age(per_ms) => point.at.as_millis() as f64 - point.value / per_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_764_000_000_000;

    /// A value every 30 s for twenty minutes.
    fn track(value: impl Fn(i64) -> f64) -> Track {
        let at = |step: i64| Timestamp::from_millis(START_MS + step * 30_000);
        let point = |step: i64| Point { since: at(step), at: at(step + 1), value: value(step + 1) };
        Track((0..40).map(point).collect())
    }

    #[test]
    fn names_say_what_has_to_advance() {
        assert_eq!(clock_of("tikv_log_backup_store_checkpoint_ts"), Some(Clock::Instant));
        assert_eq!(clock_of("tikv_resolved_ts_min_resolved_ts"), Some(Clock::Instant));
        assert_eq!(clock_of("tikv_resolved_ts_min_resolved_ts_region"), None);
        assert_eq!(clock_of("tikv_concurrency_manager_max_ts"), None);
        assert_eq!(clock_of("tikv_engine_oldest_snapshot_duration"), Some(Clock::Age));
        assert_eq!(clock_of("process_start_time_seconds"), None);
        assert_eq!(clock_of("tikv_resolved_ts_min_resolved_ts_gap_millis"), Some(Clock::Age));
    }

    #[test]
    fn an_age_is_shown_by_an_expression() {
        let of = |metric: &str, value: f64| Quantity {
            metric: metric.to_owned(),
            reading: Reading::Level,
            label: None,
            bound: String::new(),
            values: vec![value],
        };
        let checkpoint = of("tikv_log_backup_store_checkpoint_ts", 4.6e17);
        let told = age_expression(&checkpoint, ("a", 30_000), 3_600.0);
        let selected = "sum(tikv_log_backup_store_checkpoint_ts{instance=\"a\"})";
        assert_eq!(told, format!("time() - {selected} / 262144000"));
        let oldest = of("tikv_engine_oldest_snapshot_duration", 3_600.0);
        let told = age_expression(&oldest, ("a", 30_000), 3_600.0);
        assert_eq!(told, "sum(tikv_engine_oldest_snapshot_duration{instance=\"a\"})");
        let gap = of("tikv_resolved_ts_min_resolved_ts_gap_millis", 3_600_000.0);
        assert!(age_expression(&gap, ("a", 30_000), 3_600.0).ends_with(" / 1000"));
    }

    #[test]
    fn an_instant_that_does_not_move_stands_since_then() {
        let stood_ms = START_MS - 3_600_000;
        for per_ms in [0.001, 1.0, TSO_PER_MS, 1e6] {
            let still = standing_still(&track(|_| stood_ms as f64 * per_ms), Clock::Instant);
            let still = still.expect("it stands");
            assert_eq!((still.onset.as_millis(), still.end), (START_MS, None));
            assert!((still.typical - 4_800.0).abs() < 1.0, "{still:?}");
        }
        let moves = |step: i64| (stood_ms + step * 30_000) as f64;
        assert_eq!(standing_still(&track(moves), Clock::Instant), None);
    }

    #[test]
    fn what_stood_for_a_short_time_or_is_young_does_not_stand() {
        let moved_lately = |step: i64| if step < 25 { 1.0 } else { 2.0 };
        let stood = |step| (START_MS as f64 - 7_200_000.0) + 200_000.0 * moved_lately(step);
        assert_eq!(standing_still(&track(stood), Clock::Instant), None);
        assert_eq!(standing_still(&track(|_| START_MS as f64), Clock::Instant), None);
        assert_eq!(standing_still(&track(|_| 0.0), Clock::Instant), None);
    }

    #[test]
    fn an_age_that_grows_with_time_stands_and_another_does_not() {
        let seconds = standing_still(&track(|step| 86_400.0 + 30.0 * step as f64), Clock::Age);
        assert!((seconds.expect("it stands").typical - 87_600.0).abs() < 1.0);
        let millis = standing_still(&track(|step| 30_000.0 * (step + 200) as f64), Clock::Age);
        assert!((millis.expect("it stands").typical - 7_200.0).abs() < 1.0);
        assert_eq!(standing_still(&track(|_| 86_400.0), Clock::Age), None);
        assert_eq!(standing_still(&track(|step| 86_400.0 + step as f64), Clock::Age), None);
    }
}
