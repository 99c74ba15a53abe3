//! `anchored` and `smoothed`: windows extended by samples beyond their ends.
//!
//! An anchored window begins with the newest sample before it, and a smoothed one has values at
//! both its ends, drawn between the samples on either side. Neither extrapolates.

use super::rate::RateKind;
use super::window::Window;
use crate::model::{Sample, Timestamp};
use crate::promql::syntax::ast::RangeExtension;

/// The value of `rate`, `increase` or `delta` of an extended window.
pub fn change(window: &Window<'_>, kind: RateKind, extension: RangeExtension) -> Option<f64> {
    let ends = Ends::of(window, extension, kind)?;
    if extension == RangeExtension::Smoothed
        && window.samples[ends.first].at.as_millis() > window.end
    {
        return None;
    }
    let mut change = ends.right - ends.left;
    if kind.is_counter() {
        // What was lost is summed up on its own first, which shows where there are infinities.
        let (mut before, mut lost) = (ends.left, 0.0);
        let inside = ends.inside(window).iter().map(|sample| sample.value);
        for value in inside.chain([ends.right]) {
            if value < before {
                lost += before;
            }
            before = value;
        }
        change += lost;
    }
    let seconds = (window.end - window.start) as f64 / 1000.0;
    Some(if kind == RateKind::Rate { change / seconds } else { change })
}

/// The samples inside the window with one at each of its ends.
pub fn with_ends(window: &Window<'_>, extension: RangeExtension) -> Vec<Sample> {
    let Some(ends) = Ends::of(window, extension, RateKind::Delta) else { return Vec::new() };
    let at = Timestamp::from_millis;
    let mut samples = vec![Sample { at: at(window.start), value: ends.left }];
    samples.extend_from_slice(ends.inside(window));
    samples.push(Sample { at: at(window.end), value: ends.right });
    samples
}

/// The samples from the newest one at or before the window on, where any lies inside.
pub fn from_anchor<'a>(window: &Window<'a>) -> Option<Window<'a>> {
    let inside = window.samples.partition_point(|sample| sample.at.as_millis() <= window.start);
    if inside == window.samples.len() {
        return None;
    }
    let samples = &window.samples[inside.saturating_sub(1)..];
    Some(Window { samples, falls: None, ..*window })
}

/// The value at an instant, between the samples on either side; that of the last sample where
/// none follows. The samples are those around the instant.
pub fn smoothed_value(samples: &[Sample], at: i64) -> Option<f64> {
    let next = samples.partition_point(|sample| sample.at.as_millis() < at);
    match (next.checked_sub(1).map(|last| &samples[last]), samples.get(next)) {
        (_, Some(sample)) if sample.at.as_millis() == at => Some(sample.value),
        (Some(before), Some(after)) => Some(between(before, after, at, RateKind::Delta)),
        (Some(before), None) => Some(before.value),
        (None, _) => None,
    }
}

/// Values at the ends of a window, and which samples they were taken from.
struct Ends {
    first: usize,
    last: usize,
    left: f64,
    right: f64,
}

impl Ends {
    fn of(window: &Window<'_>, extension: RangeExtension, kind: RateKind) -> Option<Self> {
        let samples = window.samples;
        let time = |place: usize| samples[place].at.as_millis();
        let smoothed = extension == RangeExtension::Smoothed;
        let mut last = samples.len().checked_sub(1)?;
        let upto = |last: usize, holds: &dyn Fn(i64) -> bool| {
            samples[..last].partition_point(|sample| holds(sample.at.as_millis()))
        };
        let first = upto(last, &|at| at <= window.start).saturating_sub(1);
        if smoothed {
            last = upto(last, &|at| at < window.end);
        }
        if time(last) <= window.start {
            return None;
        }
        let left = if smoothed && time(first) < window.start {
            between(&samples[first], &samples[first + 1], window.start, kind)
        } else {
            samples[first].value
        };
        let right = if time(last) > window.end && last > 0 {
            between(&samples[last - 1], &samples[last], window.end, kind)
        } else {
            samples[last].value
        };
        Some(Self { first, last, left, right })
    }

    /// The samples that lie between both ends.
    fn inside<'a>(&self, window: &Window<'a>) -> &'a [Sample] {
        let time = |place: usize| window.samples[place].at.as_millis();
        let first = self.first + usize::from(time(self.first) <= window.start);
        let end = self.last + usize::from(time(self.last) < window.end);
        window.samples.get(first..end).unwrap_or_default()
    }
}

/// The value on the line between two samples. A counter that fell rose from zero.
fn between(before: &Sample, after: &Sample, at: i64, kind: RateKind) -> f64 {
    let from = if kind.is_counter() && after.value < before.value { 0.0 } else { before.value };
    let passed = (at - before.at.as_millis()) as f64;
    from + (after.value - from) * passed / (after.at - before.at) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample every minute from 0 on, in a window from 90 s to 210 s.
    fn with<T>(values: &[f64], f: impl Fn(&Window<'_>) -> T) -> T {
        let sample = |(minute, value): (usize, &f64)| Sample {
            at: Timestamp::from_millis(minute as i64 * 60_000),
            value: *value,
        };
        let samples: Vec<Sample> = values.iter().enumerate().map(sample).collect();
        f(&Window { samples: &samples, at: 210_000, start: 90_000, end: 210_000, falls: None })
    }

    #[test]
    fn an_anchored_window_begins_before_it_begins() {
        let change = |values: &[f64]| {
            with(values, |window| change(window, RateKind::Increase, RangeExtension::Anchored))
        };
        assert_eq!(change(&[1.0, 5.0, 6.0, 9.0]), Some(4.0));
        assert_eq!(change(&[1.0, 5.0, 2.0, 9.0]), Some(9.0), "a reset counts from zero");
        assert_eq!(change(&[1.0, 5.0]), None, "no sample lies inside");
        let anchored =
            with(&[1.0, 5.0, 6.0], |window| from_anchor(window).map(|w| w.samples.len()));
        assert_eq!(anchored, Some(2));
    }

    #[test]
    fn what_resets_lost_is_summed_up_on_its_own() {
        let rate =
            |values: &[f64]| with(values, |w| change(w, RateKind::Rate, RangeExtension::Anchored));
        let found = rate(&[0.0, f64::MAX, f64::MAX * 0.9, f64::NEG_INFINITY]);
        assert!(found.is_some_and(f64::is_nan), "{found:?}");
    }

    #[test]
    fn a_smoothed_window_has_values_at_both_ends() {
        let change = |values: &[f64], kind| {
            with(values, |window| change(window, kind, RangeExtension::Smoothed))
        };
        let values = [0.0, 4.0, 6.0, 9.0, 19.0];
        // 5 at 90 s and 14 at 210 s.
        assert_eq!(change(&values, RateKind::Delta), Some(9.0));
        assert_eq!(change(&values, RateKind::Rate), Some(9.0 / 120.0));
        let ends = with(&values, |window| with_ends(window, RangeExtension::Smoothed));
        let ends: Vec<f64> = ends.iter().map(|sample| sample.value).collect();
        assert_eq!(ends, [5.0, 6.0, 9.0, 14.0]);
        let at = |at| with(&values, |window| smoothed_value(window.samples, at));
        assert_eq!(
            (at(60_000), at(30_000), at(300_000), at(-1)),
            (Some(4.0), Some(2.0), Some(19.0), None)
        );
    }
}
