//! Sums over the series of a quantity, for each step, and how they are read: as rates or as levels.

use super::grid::Grid;
use super::quantity::Reading;
use super::sign::{is_now, is_waiting};
use super::tail::BUCKET;

/// A metric, with a label and its value where only some of the series are meant.
pub(super) type Key = (String, Option<(String, String)>);

/// Sums over series, for each step.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Which series they are of: the sum of a hash of each one's labels without the metric, the bound, and what tells all
    /// attempts from those that succeeded.
    pub series: u64,
    /// The first step with a sample.
    pub first: Option<usize>,
    /// The values; `None` as long as every sample was zero, which most series are from first to last.
    pub steps: Option<Steps>,
    pub rises: u32,
    pub falls: u32,
}

/// The values of sums that were not always zero.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// How much the series increased, counted as counters.
    pub increase: Vec<f64>,
    /// The sum of the last values.
    pub level: Vec<f64>,
    /// Whether any series has a sample.
    pub seen: Vec<bool>,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// What its name says.
    ByName,
    /// Things, whatever its name ends with.
    Things,
}

/// Endings of the names of counters, as Prometheus's conventions have them.
const COUNTERS: [&str; 2] = ["_total", "_count"];

/// In how many steps at the beginning a quantity that never falls must stand still to be a level that began
/// to rise: a counter that is not called one counts from the beginning.
const AT_REST: usize = 6;

impl Steps {
    /// No increase yet, and zero wherever the target has samples since the step `since`.
    pub fn new(seen: &[bool], since: usize) -> Self {
        let zeros = || vec![0.0; seen.len()];
        let seen = seen.iter().enumerate().map(|(step, seen)| *seen && step >= since).collect();
        Self { increase: zeros(), level: zeros(), seen }
    }
}

impl Sums {
    /// Whether anything counted: a level that is not zero, or a counter that rose.
    pub fn counted(&self, metric: &str) -> bool {
        let is_counter = COUNTERS.iter().any(|ending| metric.ends_with(ending));
        self.steps.is_some() && (!is_counter || self.rises > 0)
    }

    /// Adds to the increase in a step. Where all was zero so far, so is what is added.
    pub fn add(&mut self, step: usize, increase: f64) {
        if let Some(steps) = &mut self.steps {
            steps.increase[step] += increase;
        }
    }

    /// The values of the quantity, read as what its name and its course say it is: as a rate, as a level,
    /// or, where a level cannot be told from a counter, as both. None for the sum of a histogram, which is
    /// read as a mean. No values where every sample was zero.
    pub fn values(
        &self,
        metric: &str,
        counts: Counts,
        (covered_ms, grid): (&[i64], Grid),
    ) -> Vec<(Reading, Vec<f64>)> {
        if metric.ends_with("_sum") || metric.ends_with(BUCKET) {
            return Vec::new();
        }
        let is_counter =
            counts == Counts::ByName && COUNTERS.iter().any(|ending| metric.ends_with(ending));
        let only_rises = self.falls == 0 && self.rises > 0;
        let increase = self.steps.as_ref().map_or(&[][..], |steps| &steps.increase);
        let rested = increase.iter().take(AT_REST).all(|by| *by == 0.0);
        let mut readings = Vec::new();
        if is_counter || only_rises {
            readings.push((Reading::Rate, rates(increase, covered_ms, grid)));
        }
        // TiKV has gauges called `_total`, such as `tikv_worker_pending_task_total`.
        let may_be_level = !is_counter || metric.ends_with("_total") && is_waiting(metric);
        if may_be_level && (!only_rises || rested) || is_now(metric) {
            let levels = self.steps.iter().flat_map(|steps| steps.level.iter().zip(&steps.seen));
            let levels = levels.map(|(level, seen)| if *seen { *level } else { f64::NAN });
            readings.push((Reading::Level, levels.collect()));
        }
        readings
    }
}

/// The increase per second of each step of which at least half lies between two samples.
pub(super) fn rates(increase: &[f64], covered_ms: &[i64], grid: Grid) -> Vec<f64> {
    let rate = |(by, millis): (&f64, &i64)| match 2 * millis >= grid.step_ms() {
        true => by * 1000.0 / *millis as f64,
        false => f64::NAN,
    };
    increase.iter().zip(covered_ms).map(rate).collect()
}
