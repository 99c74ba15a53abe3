//! The states of aggregations that go through columns once: sums, means, counts, extremes,
//! variances.

use super::column::{ABSENT, is_absent};
use super::over_time::Mean;
use super::statistics::Kahan;
use crate::promql::dialect::Dialect;
use crate::promql::syntax::operators::AggregateOp;

/// The state of an aggregation while columns are added, one slot for each step.
pub enum Fold {
    /// Sums, with compensation in the dialect of Prometheus 3.
    Sum(Vec<Option<Kahan>>, Dialect),
    /// Means of Prometheus 3.
    Mean(Vec<Option<Mean>>),
    /// Means of Prometheus 2.
    IncrementalMean(Vec<IncrementalMean>),
    /// Numbers of values.
    Count(Vec<f64>),
    /// The smallest values; the absent value is a NaN, which any value replaces.
    Min(Vec<f64>),
    /// The largest values; the absent value is a NaN, which any value replaces.
    Max(Vec<f64>),
    /// One where there is a value.
    Group(Vec<f64>),
    /// Population variances, one for each step.
    Variance(Vec<Variance>, Dialect),
    /// Population standard deviations.
    Deviation(Vec<Variance>, Dialect),
}

/// The incremental mean of Prometheus 2, without compensation.
#[derive(Clone, Copy)]
pub struct IncrementalMean {
    mean: f64,
    count: f64,
}

/// A population variance by Welford's algorithm.
#[derive(Clone, Copy, Default)]
pub struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold {
    /// The state before any column is added.
    pub fn new(op: AggregateOp, dialect: Dialect, steps: usize) -> Self {
        use AggregateOp as Op;
        let absent = || vec![ABSENT; steps];
        let variances = || vec![Variance::default(); steps];
        match op {
            Op::Sum => Self::Sum(vec![None; steps], dialect),
            Op::Avg => match dialect {
                Dialect::V2 => {
                    Self::IncrementalMean(vec![IncrementalMean { mean: ABSENT, count: 0.0 }; steps])
                }
                Dialect::V3 => Self::Mean(vec![None; steps]),
            },
            Op::Count => Self::Count(absent()),
            Op::Min => Self::Min(absent()),
            Op::Max => Self::Max(absent()),
            Op::Group => Self::Group(absent()),
            Op::Stdvar => Self::Variance(variances(), dialect),
            Op::Stddev => Self::Deviation(variances(), dialect),
            Op::Topk
            | Op::Bottomk
            | Op::CountValues
            | Op::Quantile
            | Op::Limitk
            | Op::LimitRatio => unreachable!("{} needs all values of a group", op.name()),
        }
    }

    /// Adds a column: its values, one for each step.
    pub fn add(&mut self, values: &[f64]) {
        match self {
            Self::Sum(sums, dialect) => each(sums, values, |sum, value| match sum {
                None => *sum = Some(Kahan { sum: value, lost: 0.0 }),
                Some(sum) if *dialect == Dialect::V2 => sum.sum += value,
                Some(sum) => sum.add_bounded(value),
            }),
            Self::Mean(means) => each(means, values, |mean, value| match mean {
                Some(mean) => mean.add(value),
                None => *mean = Some(Mean::new(value)),
            }),
            Self::IncrementalMean(means) => each(means, values, IncrementalMean::add),
            Self::Count(counts) => each(counts, values, |count, _| {
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }),
            Self::Min(held) => each(held, values, |held, value| {
                if *held > value || held.is_nan() {
                    *held = value;
                }
            }),
            Self::Max(held) => each(held, values, |held, value| {
                if *held < value || held.is_nan() {
                    *held = value;
                }
            }),
            Self::Group(held) => each(held, values, |held, _| *held = 1.0),
            Self::Variance(variances, dialect) | Self::Deviation(variances, dialect) => {
                each(variances, values, |variance, value| variance.add(value, *dialect));
            }
        }
    }

    /// The result at each step.
    pub fn finish(self) -> Vec<f64> {
        match self {
            Self::Sum(sums, _) => sums.iter().map(|s| s.map_or(ABSENT, |s| s.total())).collect(),
            Self::Mean(means) => means.iter().map(|m| m.map_or(ABSENT, |m| m.value())).collect(),
            Self::IncrementalMean(means) => means.iter().map(|mean| mean.mean).collect(),
            Self::Count(values) | Self::Min(values) | Self::Max(values) | Self::Group(values) => {
                values
            }
            Self::Variance(variances, _) => variances.iter().map(Variance::value).collect(),
            Self::Deviation(variances, _) => {
                let deviation = |variance: &Variance| match variance.value() {
                    absent if is_absent(absent) => absent,
                    value => value.sqrt(),
                };
                variances.iter().map(deviation).collect()
            }
        }
    }
}

/// Calls `f` for each value that is not absent, with the slot of its step.
fn each<T>(slots: &mut [T], values: &[f64], mut f: impl FnMut(&mut T, f64)) {
    for (slot, value) in slots.iter_mut().zip(values) {
        if !is_absent(*value) {
            f(slot, *value);
        }
    }
}

impl IncrementalMean {
    /// Adds a value. An infinite mean stays while finite values come.
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if is_absent(self.mean) {
            self.mean = value;
            return;
        }
        if self.mean.is_infinite() {
            let same_sign = value.is_infinite() && (self.mean > 0.0) == (value > 0.0);
            if same_sign || value.is_finite() {
                return;
            }
        }
        self.mean += value / self.count - self.mean / self.count;
    }
}

impl Variance {
    fn add(&mut self, value: f64, dialect: Dialect) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            let odd = dialect == Dialect::V3 && !value.is_finite();
            self.squares = if odd { f64::NAN } else { 0.0 };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn value(&self) -> f64 {
        if self.count == 0.0 { ABSENT } else { self.squares / self.count }
    }
}
