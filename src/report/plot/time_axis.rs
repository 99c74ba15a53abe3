//! The axis of time: where an instant lies in a window, and at which instants the axis is labelled.

use crate::model::{TimeRange, Timestamp};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Distances between two labels, in milliseconds.
const STEPS: [i64; 28] = [
    1,
    10,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
    365 * DAY,
    3_650 * DAY,
];

/// Where an instant lies in a window: 0 at its start, 1 at its end, and no further.
pub(in crate::report) fn share_of(window: TimeRange, at: Timestamp) -> f64 {
    let length = wide(window.end) - wide(window.start);
    let inside = wide(at) - wide(window.start);
    if length <= 0 { 0.0 } else { (inside as f64 / length as f64).clamp(0.0, 1.0) }
}

/// At most `most` round instants inside a window, each with its label in UTC. A window of more than
/// a thousand years has none.
pub(in crate::report) fn time_ticks(window: TimeRange, most: usize) -> Vec<(Timestamp, String)> {
    let (start, end) = (wide(window.start), wide(window.end));
    let count = |step: i64| {
        let step = i128::from(step);
        end.div_euclid(step) - (start - 1).div_euclid(step)
    };
    let Some(step) = STEPS.into_iter().find(|step| count(*step) <= most as i128) else {
        return Vec::new();
    };
    let first = (start - 1).div_euclid(i128::from(step)) + 1;
    let ticks = (first..first + count(step)).map(|number| number * i128::from(step));
    let tick = |millis: i128| {
        let at = Timestamp::from_millis(i64::try_from(millis).ok()?);
        Some((at, label(at, step)))
    };
    ticks.filter_map(tick).collect()
}

fn wide(at: Timestamp) -> i128 {
    i128::from(at.as_millis())
}

/// An instant with as much of it as labels `step` apart differ in; midnight is the day that begins.
fn label(at: Timestamp, step: i64) -> String {
    let text = at.to_string();
    if (MINUTE..DAY).contains(&step) && at.as_millis().rem_euclid(DAY) == 0 {
        return text.get(5..10).unwrap_or(&text).to_owned();
    }
    let part = match step {
        ..SECOND => text.get(11..23),
        SECOND..MINUTE => text.get(11..19),
        MINUTE..DAY => text.get(11..16),
        _ => text.get(..10),
    };
    part.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(start: &str, end: &str, most: usize) -> Vec<String> {
        let at = |text| Timestamp::parse(text, Timestamp::from_millis(0)).expect("it is RFC 3339");
        let ticks = time_ticks(TimeRange::new(at(start), at(end)), most);
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn labels_are_round_and_few() {
        assert_eq!(
            labels("2026-11-24T16:27:04.128Z", "2026-11-24T16:36:20.333Z", 5),
            ["16:28", "16:30", "16:32", "16:34", "16:36"]
        );
        assert_eq!(
            labels("2026-11-24T16:27:04Z", "2026-11-24T16:27:41Z", 5),
            ["16:27:10", "16:27:20", "16:27:30", "16:27:40"]
        );
        assert_eq!(
            labels("2026-11-24T12:00:00Z", "2026-11-26T12:00:00Z", 5),
            ["12:00", "11-25", "12:00", "11-26", "12:00"]
        );
        assert_eq!(
            labels("2026-11-24T12:00:00Z", "2026-11-26T12:00:00Z", 2),
            ["2026-11-25", "2026-11-26"]
        );
    }

    #[test]
    fn no_window_is_too_long_or_too_short() {
        let at = Timestamp::from_millis;
        assert!(time_ticks(TimeRange::ALL, 5).is_empty());
        assert_eq!(time_ticks(TimeRange::new(at(5), at(5)), 5).len(), 1);
        assert!(time_ticks(TimeRange::new(at(5), at(0)), 5).is_empty());
        assert_eq!(share_of(TimeRange::ALL, at(0)), 0.5);
        assert_eq!(share_of(TimeRange::new(at(5), at(5)), at(7)), 0.0);
        assert_eq!(share_of(TimeRange::new(at(0), at(8)), at(9)), 1.0);
    }
}
