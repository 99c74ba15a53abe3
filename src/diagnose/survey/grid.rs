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

/// The longest distance of scrapes that counts, in milliseconds: a longer one is a hole, or no time at all.
const LONGEST_INTERVAL_MS: i64 = 3_600_000;

impl Grid {
    /// A grid over `window`, where the usual distance of scrapes is `interval_ms`.
    pub fn over(window: TimeRange, interval_ms: i64) -> Self {
        if window.is_empty() {
            return Self::default();
        }
        let scrapes_ms = SCRAPES_PER_STEP * interval_ms.clamp(1, LONGEST_INTERVAL_MS);
        let wanted = scrapes_ms.max(window.millis() / MOST_STEPS);
        let step_ms = (wanted + UNIT_MS - 1) / UNIT_MS * UNIT_MS;
        let start_ms = window.start.as_millis().div_euclid(step_ms).saturating_mul(step_ms);
        let covered_ms = (window.end.as_millis() - 1).saturating_sub(start_ms);
        Self { start_ms, step_ms, len: (covered_ms / step_ms) as usize + 1 }
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

    /// The end of a step.
    pub fn end_of(&self, step: usize) -> Timestamp {
        let steps = (step as i64).saturating_add(1);
        Timestamp::from_millis(self.start_ms.saturating_add(steps.saturating_mul(self.step_ms)))
    }

    /// The steps that `(since, at]` lies in, each with the milliseconds inside it. Both ends lie inside
    /// the grid.
    pub fn parts(&self, since: Timestamp, at: Timestamp) -> impl Iterator<Item = (usize, i64)> {
        let (since, at) = (since.as_millis(), at.as_millis());
        let (start, step) = (self.start_ms, self.step_ms.max(1));
        let steps = (since - start) / step..=(at - start) / step;
        steps.filter_map(move |number| {
            let from = start + number * step;
            let to = from.saturating_add(step);
            let millis = at.min(to) - since.max(from);
            (millis > 0).then_some((number as usize, millis))
        })
    }

    /// Each value with the stretch of time that its step covers.
    pub fn points(&self, values: &[f64]) -> impl Iterator<Item = (TimeRange, f64)> {
        let starts = (0_i64..).map(|step| self.start_ms + step * self.step_ms);
        starts.zip(values).map(|(start, value)| {
            let start = Timestamp::from_millis(start);
            (TimeRange::new(start, start.saturating_add_millis(self.step_ms)), *value)
        })
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
    fn windows_at_the_ends_of_time_have_a_grid() {
        for (start, end) in [(i64::MIN, i64::MIN + 9_000), (i64::MAX - 9_000, i64::MAX)] {
            let whole = TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end));
            let grid = Grid::over(whole, i64::MAX);
            assert!((1..=2).contains(&grid.steps()), "{grid:?}");
            assert_eq!(grid.points(&vec![0.0; grid.steps()]).count(), grid.steps());
            let (since, at) = (whole.start, whole.end.saturating_add_millis(-1));
            let inside: i64 = grid.parts(since, at).map(|(_, millis)| millis).sum();
            assert_eq!(inside, at - since);
        }
        let all = Grid::over(TimeRange::ALL, 15_000);
        assert!(all.steps() <= MOST_STEPS as usize + 2, "{all:?}");
    }

    #[test]
    fn a_long_window_has_longer_steps_and_no_more_of_them() {
        let day = Grid::over(window(0, 86_400), 15_000);
        assert_eq!((day.step_ms(), day.steps()), (240_000, 360));
    }
}
