//! The survey: every recorded quantity of every target, reduced to a value for each step of a grid.
//!
//! Failure modes read the metrics that they name. The survey reads all others too, so that what no mode
//! knows of is seen when it departs. What departs is decided in `standing_out`, and what that means for
//! the verdict in `failure_modes/unexplained.rs`.

mod attempts;
mod beyond;
mod clock;
mod falling;
mod from_start;
mod grid;
mod growing;
mod histograms;
mod lasting;
mod quantity;
mod quota;
mod reduction;
mod sign;
mod standing_out;
mod sums;
mod tail;
mod unusual;
mod waits;
mod words;

pub use falling::falling;
pub use grid::Grid;
pub use growing::ascending;
pub use quantity::{Quantity, Reading};
pub use reduction::{SeriesNumber, Surveyor};
pub use sign::{Sign, SurveyFilter, is_surveyed};
pub use standing_out::{StandingOut, can_stand_out, standing_out};
pub use unusual::{Course, Scope, Unusual, unusual};

use std::sync::Arc;

use self::quantity::SurveyedTarget;
pub use super::observations::scrapes::usual_interval_ms;
use super::observations::tracks::Track;
use crate::model::{Labels, Sample, Series, Stretches, TimeRange, Timestamp};

/// Every quantity of every target, as known at an instant.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    grid: Grid,
    targets: Arc<Vec<SurveyedTarget>>,
    /// The instant up to which everything is known.
    until: Option<Timestamp>,
    /// Times whose samples an outage of Prometheus hid at that instant.
    hidden: Stretches,
}

impl Survey {
    /// The survey of these series, in any order, of which those that [`is_surveyed`] leaves out are ignored.
    pub fn of(series: &[Series], window: TimeRange) -> Self {
        let up = series.iter().filter(|one| one.labels.metric() == "up");
        let each = series.iter().map(|one| (&one.labels, one.samples.iter().copied()));
        Self::of_each(each, Grid::over(window, usual_interval_ms(up)))
    }

    /// The same on a grid, of series that come one after the other.
    pub fn of_each<'l, S: Iterator<Item = Sample>>(
        series: impl Iterator<Item = (&'l Labels, S)>,
        grid: Grid,
    ) -> Self {
        let mut surveyor = Surveyor::new(grid);
        let mut filter = SurveyFilter::default();
        for (labels, samples) in series {
            if filter.accepts(labels) {
                let number = surveyor.announce(labels);
                surveyor.add(number, samples);
            }
        }
        surveyor.finish(&filter)
    }

    /// The same as of `until`: steps that end later are not known, nor those that overlap `hidden`.
    #[must_use]
    pub fn as_of(&self, until: Timestamp, hidden: Stretches) -> Self {
        Self { until: Some(until), hidden, ..self.clone() }
    }

    /// The quantities of the scrape target with these labels; `None` where nothing of it was surveyed.
    pub fn target(&self, labels: &Labels) -> Option<&[Quantity]> {
        let has_all = |one: &&SurveyedTarget| {
            labels.iter().all(|(name, value)| one.example.get(name) == Some(value))
        };
        self.targets.iter().find(has_all).map(|one| one.quantities.as_slice())
    }

    /// The length of a step in milliseconds.
    pub fn step_ms(&self) -> i64 {
        self.grid.step_ms()
    }

    /// The values of a quantity that are known, one for each step that has one.
    pub fn track(&self, quantity: &Quantity) -> Track {
        let known = |at: Timestamp| self.until.is_none_or(|until| at <= until);
        let points = self.grid.points(&quantity.values);
        let seen = points.filter(|(range, value)| {
            value.is_finite() && known(range.end) && !self.hidden.overlap(*range)
        });
        Track(seen.map(|(range, value)| quantity::point(range, value)).collect())
    }
}
