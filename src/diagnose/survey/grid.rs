//! The steps of time over which a survey reduces samples.

use crate::model::{TimeRange, Timestamp};

/// Steps of equal length that cover a window, aligned to multiples of their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// When the first step begins, in milliseconds since the Unix epoch.
    start_ms: i64,
    /// The length of a step in milliseconds; 0 where the grid is empty.
    step_ms: i64,
    /// The number of steps.
    len: usize,
}

/// Scrapes in a step: with two, a scrape that comes late does not leave a step empty.
const SCRAPES_PER_STEP: i64 = 2;

/// The most steps of a grid. A window longer than three hours at 15 s gets longer steps instead: memory
/// stays bounded, and what departs for hours shows in any step.
const MOST_STEPS: i64 = 360;

/// Steps are a multiple of this, in milliseconds.
const UNIT_MS: i64 = 5_000;

impl Grid {
    /// A grid over `window`, where the usual distance of scrapes is `interval_ms`.
    pub fn over(window: TimeRange, interval_ms: i64) -> Self {
        if window.is_empty() {
            return Self::default();
        }
        let wanted = (SCRAPES_PER_STEP * interval_ms.max(1)).max(window.millis() / MOST_STEPS);
        let step_ms = (wanted + UNIT_MS - 1) / UNIT_MS * UNIT_MS;
        let start_ms = window.start.as_millis().div_euclid(step_ms) * step_ms;
        let last_ms = (window.end.as_millis() - 1).div_euclid(step_ms) * step_ms;
        Self { start_ms, step_ms, len: ((last_ms - start_ms) / step_ms) as usize + 1 }
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.len
    }

    /// The length of a step in milliseconds.
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// The step that an instant lies in; `None` outside the grid.
    pub fn step_of(&self, at: Timestamp) -> Option<usize> {
        let since = at.as_millis().checked_sub(self.start_ms)?;
        let step = usize::try_from(since.checked_div(self.step_ms)?).ok()?;
        (since >= 0 && step < self.len).then_some(step)
    }

    /// The steps that `(since, at]` lies in, each with the milliseconds inside it. Both ends lie inside
    /// the grid.
    pub fn parts(&self, since: Timestamp, at: Timestamp) -> impl Iterator<Item = (usize, i64)> {
        let (since, at) = (since.as_millis(), at.as_millis());
        let (start, step) = (self.start_ms, self.step_ms.max(1));
        let steps = (since - start) / step..=(at - start) / step;
        steps.filter_map(move |number| {
            let (from, to) = (start + number * step, start + (number + 1) * step);
            let millis = at.min(to) - since.max(from);
            (millis > 0).then_some((number as usize, millis))
        })
    }

    /// Each value with the stretch of time that its step covers.
    pub fn points(&self, values: &[f64]) -> impl Iterator<Item = (TimeRange, f64)> {
        let at = |step: usize| Timestamp::from_millis(self.start_ms + step as i64 * self.step_ms);
        values
            .iter()
            .enumerate()
            .map(move |(step, value)| (TimeRange::new(at(step), at(step + 1)), *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_millis(start * 1000), Timestamp::from_millis(end * 1000))
    }

    #[test]
    fn steps_are_aligned_and_cover_the_window() {
        let grid = Grid::over(window(100, 200), 15_000);
        assert_eq!((grid.step_ms(), grid.steps()), (30_000, 4));
        assert_eq!(grid.step_of(Timestamp::from_millis(90_000)), Some(0));
        assert_eq!(grid.step_of(Timestamp::from_millis(199_999)), Some(3));
        assert_eq!(grid.step_of(Timestamp::from_millis(210_000)), None);
        assert_eq!(grid.step_of(Timestamp::from_millis(89_999)), None);
        assert_eq!(Grid::over(window(5, 5), 15_000).step_of(Timestamp::from_millis(5_000)), None);
    }

    #[test]
    fn a_long_window_has_longer_steps_and_no_more_of_them() {
        let day = Grid::over(window(0, 86_400), 15_000);
        assert_eq!((day.step_ms(), day.steps()), (240_000, 360));
    }
}
