//! Range selectors and subqueries: the samples of a window at each step.

use std::cell::OnceCell;
use std::sync::Arc;

use super::column::{Column, Metric, is_absent, samples};
use super::select::Cursor;
use super::{Query, Steps, empty, extended};
use crate::model::{Sample, Series, is_stale};
use crate::promql::error::EvalError;
use crate::promql::syntax::ast::{Expr, ExprKind, RangeExtension, Subquery};

/// From this many windows of this many samples on, the falls of the whole series are searched once
/// rather than in each window.
const LONG: usize = 64;

/// Samples of one series in one window.
pub struct Window<'a> {
    /// The samples, at least one; with a range extension also samples beyond the window's ends.
    pub samples: &'a [Sample],
    /// The instant of evaluation, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The window's earlier end, in milliseconds since the Unix epoch.
    pub start: i64,
    /// The window's later end, in milliseconds since the Unix epoch.
    pub end: i64,
    /// The falls of the whole series, where windows are long and many.
    pub falls: Option<Falls<'a>>,
}

/// The samples after which a lower one follows, searched when they are first needed.
#[derive(Clone, Copy)]
pub struct Falls<'a> {
    series: &'a [Sample],
    /// Where the window begins in the series.
    first: usize,
    /// The positions of all samples after which a lower one follows.
    found: &'a OnceCell<Vec<usize>>,
}

impl<'a> Falls<'a> {
    /// The values from which the window's samples fall, in order.
    pub fn values(&self, window: &'a [Sample]) -> impl Iterator<Item = f64> + use<'a> {
        let found = self.found.get_or_init(|| {
            let pairs = self.series.windows(2).enumerate();
            let falls = pairs.filter(|(_, pair)| pair[1].value < pair[0].value);
            falls.map(|(place, _)| place).collect()
        });
        let (first, last) = (self.first, self.first + window.len() - 1);
        let inside = found.partition_point(|place| *place < first)
            ..found.partition_point(|place| *place < last);
        found[inside].iter().map(move |place| window[place - first].value)
    }
}

/// A series from whose samples windows are cut.
pub struct Ranged {
    /// The labels of the series.
    pub metric: Metric,
    /// Whether its metric's name is removed at the end.
    pub drop_name: bool,
    samples: Held,
}

enum Held {
    Stored(Arc<Series>),
    Own(Vec<Sample>),
}

impl Ranged {
    /// The samples of the series, without staleness markers.
    pub fn samples(&self) -> &[Sample] {
        match &self.samples {
            Held::Stored(series) => &series.samples,
            Held::Own(samples) => samples,
        }
    }
}

/// The windows of a range selector or a subquery.
pub struct Windows {
    /// The series from whose samples the windows are cut.
    pub series: Vec<Ranged>,
    /// The length of the windows in milliseconds.
    pub range_ms: i64,
    /// Which samples beyond the windows' ends count.
    pub extension: RangeExtension,
    fixed: Option<i64>,
    offset_ms: i64,
}

/// Makes a value of the window at a step; `None` where there is no value.
pub type WindowFunction<'f> =
    dyn Fn(usize, &Window<'_>) -> Result<Option<f64>, EvalError> + Sync + 'f;

impl Query<'_> {
    /// The windows of an argument that is a range vector.
    pub(super) fn windows(&self, expr: &Expr, steps: Steps) -> Result<Windows, EvalError> {
        match &expr.unwrapped().kind {
            ExprKind::Range { selector, range_ms } => Ok(Windows {
                series: self.series_at(expr.unwrapped().span.start).iter().map(ranged).collect(),
                range_ms: *range_ms,
                extension: selector.extension,
                fixed: self.fixed(selector.at),
                offset_ms: selector.offset_ms,
            }),
            ExprKind::Subquery(subquery) => self.subquery(subquery, steps),
            _ => Err(EvalError::Expression("expected a range vector".to_owned())),
        }
    }

    /// A range vector as the result of an instant query.
    pub fn matrix(&self, expr: &Expr) -> Result<Vec<Series>, EvalError> {
        let windows = self.windows(expr, self.steps)?;
        let mut found = Vec::new();
        for series in &windows.series {
            let end = windows.instant(self.steps.start);
            let start = end.saturating_sub(windows.range_ms);
            let (before, last) = self.sample_bounds(windows.extension, (start, end));
            let held = series.samples();
            let inside = held.partition_point(|sample| sample.at.as_millis() <= before)
                ..held.partition_point(|sample| sample.at.as_millis() <= last);
            let Some(samples) = held.get(inside) else { continue };
            let samples = match windows.extension {
                RangeExtension::None => samples.to_vec(),
                extension => {
                    let at = self.steps.start;
                    let window = Window { samples, at, start, end, falls: None };
                    extended::with_ends(&window, extension)
                }
            };
            self.budget.hold(samples.len())?;
            if !samples.is_empty() {
                let mut metric = series.metric.clone();
                if series.drop_name {
                    metric.hide_name();
                }
                found.push(Series { labels: metric.to_labels(), samples });
            }
        }
        Ok(found)
    }

    /// The instant after which samples belong to a window, and the one up to which they do.
    fn sample_bounds(&self, extension: RangeExtension, (start, end): (i64, i64)) -> (i64, i64) {
        let lookback = self.options.lookback_ms;
        match extension {
            RangeExtension::None if self.is_v3() => (start, end),
            RangeExtension::None => (start.saturating_sub(1), end),
            RangeExtension::Anchored => (start.saturating_sub(lookback), end),
            RangeExtension::Smoothed => {
                (start.saturating_sub(lookback), end.saturating_add(lookback))
            }
        }
    }

    /// Evaluates a subquery at its own steps, which are multiples of its interval.
    fn subquery(&self, subquery: &Subquery, steps: Steps) -> Result<Windows, EvalError> {
        let interval = subquery.step_ms.unwrap_or(self.options.subquery_step_ms).max(1);
        let fixed = self.fixed(subquery.at);
        let (first, last) = fixed.map_or((steps.start, steps.end()), |at| (at, at));
        let end = last.saturating_sub(subquery.offset_ms);
        let earliest = first.saturating_sub(subquery.offset_ms).saturating_sub(subquery.range_ms);
        let mut start = (earliest / interval).saturating_mul(interval);
        if start < earliest || (start == earliest && self.is_v3()) {
            start = start.saturating_add(interval);
        }
        let count = if end < start { 0 } else { (end.saturating_sub(start) / interval) as u64 + 1 };
        if count > self.options.limits.samples as u64 {
            return Err(EvalError::TooManySamples(self.options.limits.samples));
        }
        let inner = Steps { start, interval, count: count as usize };
        let columns =
            if inner.count == 0 { Vec::new() } else { self.vector(&subquery.expr, inner)? };
        let series = columns.into_iter().map(|column| Ranged {
            samples: Held::Own(samples(inner, &column.values)),
            metric: column.metric,
            drop_name: column.drop_name,
        });
        Ok(Windows {
            series: series.collect(),
            range_ms: subquery.range_ms,
            extension: RangeExtension::None,
            fixed,
            offset_ms: subquery.offset_ms,
        })
    }

    /// Applies a function to every window that holds a sample. Columns keep their names.
    pub(super) fn over(
        &self,
        windows: &Windows,
        steps: Steps,
        f: &WindowFunction<'_>,
    ) -> Result<Vec<Column>, EvalError> {
        self.budget.each(&windows.series, steps.count.saturating_mul(8), |series| {
            let mut values = empty(steps);
            let (mut any, mut looked_at) = (false, 0);
            let found = OnceCell::new();
            let (mut late, mut early) =
                (Cursor::new(series.samples()), Cursor::new(series.samples()));
            for (step, at) in steps.instants().enumerate() {
                let end = windows.instant(at);
                let start = end.saturating_sub(windows.range_ms);
                let (before, last) = self.sample_bounds(windows.extension, (start, end));
                let inside = early.count(before)..late.count(last);
                let first = inside.start;
                let Some(samples) = series.samples().get(inside).filter(|s| !s.is_empty()) else {
                    continue;
                };
                let falls = Falls { series: series.samples(), first, found: &found };
                let falls = (samples.len().min(steps.count) >= LONG).then_some(falls);
                looked_at += samples.len() as u64;
                if looked_at > 1 << 20 {
                    self.budget.work(std::mem::take(&mut looked_at))?;
                }
                if let Some(value) = f(step, &Window { samples, at, start, end, falls })? {
                    values[step] = value;
                    any |= !is_absent(value);
                }
            }
            self.budget.work(looked_at + steps.count as u64)?;
            if !any {
                return Ok(None);
            }
            self.budget.hold(values.len())?;
            let mut column = Column::new(series.metric.clone(), values);
            column.drop_name = series.drop_name;
            Ok(Some(column))
        })
    }
}

impl Windows {
    fn instant(&self, at: i64) -> i64 {
        self.fixed.unwrap_or(at).saturating_sub(self.offset_ms)
    }
}

/// A stored series without staleness markers, which no window holds.
pub fn ranged(series: &Arc<Series>) -> Ranged {
    let samples = if series.samples.iter().any(|sample| is_stale(sample.value)) {
        let kept = series.samples.iter().filter(|sample| !is_stale(sample.value));
        Held::Own(kept.copied().collect())
    } else {
        Held::Stored(Arc::clone(series))
    };
    Ranged { metric: Metric::stored(series), drop_name: false, samples }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn falls_are_those_between_two_samples_of_the_window() {
        let values = [5.0, 3.0, f64::NAN, 4.0, 2.0, 7.0, 1.0];
        let sample =
            |(at, value): (i64, &f64)| Sample { at: Timestamp::from_millis(at), value: *value };
        let series: Vec<Sample> = (0..).zip(&values).map(sample).collect();
        let found = OnceCell::new();
        for first in 0..series.len() {
            for end in first + 1..=series.len() {
                let falls = Falls { series: &series, first, found: &found };
                let window = &series[first..end];
                let pairs = window.windows(2).filter(|pair| pair[1].value < pair[0].value);
                let expected: Vec<f64> = pairs.map(|pair| pair[0].value).collect();
                assert_eq!(falls.values(window).collect::<Vec<_>>(), expected);
            }
        }
    }
}
