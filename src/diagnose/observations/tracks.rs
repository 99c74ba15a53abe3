//! A quantity over time: what diagnosis compares, whatever it was derived from.
//!
//! Metrics become tracks in `series_table`, PD's answers in `pd_tracks`.

use crate::model::{TimeRange, Timestamp};

/// A value that holds over `(since, at]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When the sample before was taken; equals `at` for a gauge's first sample.
    pub since: Timestamp,
    /// When the sample was taken.
    pub at: Timestamp,
    /// The value, in the unit of the track.
    pub value: f64,
}

/// Points ascending in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track(pub Vec<Point>);

impl Track {
    /// Points that end inside `range`.
    pub fn within(&self, range: TimeRange) -> &[Point] {
        let from = self.0.partition_point(|point| point.at < range.start);
        let to = self.0.partition_point(|point| point.at < range.end);
        self.0.get(from..to).unwrap_or_default()
    }

    /// The last point that ends at or before `instant`.
    pub fn last_by(&self, instant: Timestamp) -> Option<&Point> {
        let to = self.0.partition_point(|point| point.at <= instant);
        self.0[..to].last()
    }

    /// The values alone, ascending in time.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|point| point.value)
    }
}

#[cfg(test)]
impl Track {
    /// A value for each step of so many milliseconds, from 1970 on.
    pub fn every(step_ms: i64, values: impl IntoIterator<Item = f64>) -> Self {
        let at = |step: usize| Timestamp::from_millis(step as i64 * step_ms);
        let values = values.into_iter().enumerate();
        Self(
            values
                .map(|(step, value)| Point { since: at(step), at: at(step + 1), value })
                .collect(),
        )
    }
}
