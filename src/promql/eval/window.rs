//! Range selectors and subqueries: the samples of a window at each step.

use std::sync::Arc;

use super::super::ast::{Expr, ExprKind, Subquery};
use super::super::error::EvalError;
use super::super::number::is_absent;
use super::column::{Column, Metric, samples};
use super::select::Cursor;
use super::{Query, Steps, empty};
use crate::model::{Sample, Series, is_stale};

/// Samples of one series in one window.
pub struct Window<'a> {
    /// The samples; at least one.
    pub samples: &'a [Sample],
    /// The instant of evaluation.
    pub at: i64,
    /// The window's earlier end.
    pub start: i64,
    /// The window's later end.
    pub end: i64,
}

/// A series whose samples windows are cut from.
pub struct Ranged {
    /// What identifies it.
    pub metric: Metric,
    /// Whether its name is to be dropped at the end.
    pub drop_name: bool,
    samples: Held,
}

enum Held {
    Stored(Arc<Series>),
    Own(Vec<Sample>),
}

impl Ranged {
    fn samples(&self) -> &[Sample] {
        match &self.samples {
            Held::Stored(series) => &series.samples,
            Held::Own(samples) => samples,
        }
    }
}

/// The windows of a range selector or a subquery.
pub struct Windows {
    /// Its series.
    pub series: Vec<Ranged>,
    /// The windows' length.
    pub range_ms: i64,
    fixed: Option<i64>,
    offset_ms: i64,
}

/// What a function makes of a window at a step; nothing where it has no value there.
pub type WindowFunction<'f> =
    dyn Fn(usize, &Window<'_>) -> Result<Option<f64>, EvalError> + Sync + 'f;

impl Query<'_> {
    /// The windows of an argument that is a range vector.
    pub(super) fn windows(&self, expr: &Expr, steps: Steps) -> Result<Windows, EvalError> {
        match &expr.unwrapped().kind {
            ExprKind::Range { selector, range_ms } => Ok(Windows {
                series: self.series_at(expr.unwrapped().span.start).iter().map(ranged).collect(),
                range_ms: *range_ms,
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
            let instant = windows.instant(self.steps.start);
            let start = instant.saturating_sub(windows.range_ms);
            let inside = |sample: &&Sample| {
                let at = sample.at.as_millis();
                at <= instant && (at > start || (at == start && !self.is_v3()))
            };
            let samples: Vec<Sample> = series.samples().iter().filter(inside).copied().collect();
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
            let (mut late, mut early) =
                (Cursor::new(series.samples()), Cursor::new(series.samples()));
            for (step, at) in steps.instants().enumerate() {
                let end = windows.instant(at);
                let start = end.saturating_sub(windows.range_ms);
                let before = if self.is_v3() { start } else { start.saturating_sub(1) };
                let inside = early.count(before)..late.count(end);
                let Some(samples) = series.samples().get(inside).filter(|s| !s.is_empty()) else {
                    continue;
                };
                looked_at += samples.len() as u64;
                if looked_at > 1 << 20 {
                    self.budget.work(std::mem::take(&mut looked_at))?;
                }
                if let Some(value) = f(step, &Window { samples, at, start, end })? {
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
fn ranged(series: &Arc<Series>) -> Ranged {
    let samples = if series.samples.iter().any(|sample| is_stale(sample.value)) {
        let kept = series.samples.iter().filter(|sample| !is_stale(sample.value));
        Held::Own(kept.copied().collect())
    } else {
        Held::Stored(Arc::clone(series))
    };
    Ranged { metric: Metric::stored(series), drop_name: false, samples }
}
