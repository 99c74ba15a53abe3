//! Instant vector selectors: the newest sample within the lookback at each step.

use std::sync::Arc;

use super::column::{Column, Metric, is_absent};
use super::{Query, Steps, empty, extended, window};
use crate::model::{Sample, Series};
use crate::promql::error::EvalError;
use crate::promql::syntax::ast::{RangeExtension, Selector};

/// What a selector takes from a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SampleField {
    /// The value of the sample.
    Value,
    /// The time of the sample, in seconds since the Unix epoch.
    Time,
}

impl Query<'_> {
    /// The series of the selector at `place` in the text.
    pub(super) fn series_at(&self, place: usize) -> &[Arc<Series>] {
        self.series.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Evaluates an instant vector selector.
    pub(super) fn select(
        &self,
        place: usize,
        selector: &Selector,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        if selector.extension == RangeExtension::Smoothed {
            return self.select_smoothed(place, selector, steps);
        }
        self.select_field(place, selector, steps, SampleField::Value)
    }

    /// Evaluates a selector between the samples on either side of each step.
    fn select_smoothed(
        &self,
        place: usize,
        selector: &Selector,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let fixed = self.fixed(selector.at);
        let lookback = self.options.lookback_ms;
        self.budget.each(self.series_at(place), steps.count, |series| {
            self.budget.work(steps.count as u64)?;
            let ranged = window::ranged(series);
            let samples = ranged.samples();
            let (mut early, mut late) = (Cursor::new(samples), Cursor::new(samples));
            let mut values = empty(steps);
            for (slot, at) in values.iter_mut().zip(steps.instants()) {
                let instant = fixed.unwrap_or(at).saturating_sub(selector.offset_ms);
                let around = early.count(instant.saturating_sub(lookback))
                    ..late.count(instant.saturating_add(lookback));
                let around = samples.get(around).unwrap_or_default();
                if let Some(value) = extended::smoothed_value(around, instant) {
                    *slot = value;
                }
            }
            if values.iter().all(|value| is_absent(*value)) {
                return Ok(None);
            }
            self.budget.hold(values.len())?;
            Ok(Some(Column::new(Metric::stored(series), values)))
        })
    }

    /// Evaluates an instant vector selector for the samples' values or times.
    pub(super) fn select_field(
        &self,
        place: usize,
        selector: &Selector,
        steps: Steps,
        field: SampleField,
    ) -> Result<Vec<Column>, EvalError> {
        let fixed = self.fixed(selector.at);
        let is_smoothed = selector.extension == RangeExtension::Smoothed;
        let ahead = if is_smoothed { self.options.lookback_ms } else { 0 };
        self.budget.each(self.series_at(place), steps.count, |series| {
            self.budget.work(steps.count as u64)?;
            let mut values = empty(steps);
            let mut cursor = Cursor::new(&series.samples);
            let mut any = false;
            for (slot, at) in values.iter_mut().zip(steps.instants()) {
                let instant = fixed.unwrap_or(at).saturating_sub(selector.offset_ms);
                let newest = match (field, fixed) {
                    // `timestamp` forgets the offset beside `@`, though not which samples were
                    // fetched for it.
                    (SampleField::Time, Some(fixed)) => {
                        let fetched = instant.saturating_add(ahead);
                        cursor.newest(fixed.min(fetched)).filter(|s| self.in_lookback(s, fixed))
                    }
                    _ => cursor.newest(instant),
                };
                let Some(sample) = newest else { continue };
                if !self.in_lookback(sample, instant) || is_absent(sample.value) {
                    continue;
                }
                any = true;
                *slot = match field {
                    SampleField::Value => sample.value,
                    SampleField::Time => sample.at.as_millis() as f64 / 1000.0,
                };
            }
            if !any {
                return Ok(None);
            }
            self.budget.hold(values.len())?;
            Ok(Some(Column::new(Metric::stored(series), values)))
        })
    }

    /// Whether a sample is new enough for an instant at or after it.
    pub(super) fn in_lookback(&self, sample: &Sample, instant: i64) -> bool {
        let at = sample.at.as_millis();
        let earliest = instant.saturating_sub(self.options.lookback_ms);
        at == instant || at > earliest || (at == earliest && !self.is_v3())
    }
}

/// Walks a series once, while instants ascend.
pub struct Cursor<'a> {
    samples: &'a [Sample],
    /// Samples before this one are at or before the last instant.
    next: usize,
    begun: bool,
}

impl<'a> Cursor<'a> {
    /// Over samples in ascending order of time.
    pub fn new(samples: &'a [Sample]) -> Self {
        Self { samples, next: 0, begun: false }
    }

    /// How many samples are at or before an instant, which is no earlier than that of the call
    /// before.
    pub fn count(&mut self, instant: i64) -> usize {
        if !self.begun {
            self.begun = true;
            self.next = self.samples.partition_point(|sample| sample.at.as_millis() <= instant);
        }
        while self.samples.get(self.next).is_some_and(|s| s.at.as_millis() <= instant) {
            self.next += 1;
        }
        self.next
    }

    /// The newest sample at or before an instant, which is no earlier than that of the call before.
    pub fn newest(&mut self, instant: i64) -> Option<&'a Sample> {
        self.count(instant).checked_sub(1).map(|last| &self.samples[last])
    }
}
