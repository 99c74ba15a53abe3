//! Aggregation operators that choose some series of each group and keep their labels.

use super::column::{Column, is_absent};
use super::{Query, Steps, empty, present, sampling};
use crate::promql::annotations::Remark;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::go_compat::number::plain;
use crate::promql::go_compat::pdqsort;
use crate::promql::syntax::ast::{Aggregate, Span};
use crate::promql::syntax::operators::AggregateOp;

/// An element of a heap: a value and the index of its column.
type Entry = (f64, usize);

/// Whether the first of two values is nearer to the top of the heap, which holds the worst one.
type Before = fn(f64, f64) -> bool;

impl Query<'_> {
    /// `topk`, `bottomk`, `limitk` and `limit_ratio`.
    pub(super) fn choose(
        &self,
        aggregate: &Aggregate,
        parameters: &[f64],
        columns: Vec<Column>,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let span = aggregate.param.as_ref().map(|param| param.span).unwrap_or_default();
        self.check_parameters(aggregate.op, parameters, span)?;
        let groups = self.groups(&columns, &aggregate.grouping);
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.first.len()];
        for (index, group) in groups.of.iter().enumerate() {
            members[*group].push(index);
        }
        let mut kept: Vec<Vec<f64>> = columns.iter().map(|_| empty(steps)).collect();
        let mut order = Vec::new();
        for (step, parameter) in parameters.iter().enumerate() {
            for group in &members {
                let there = group.iter().map(|index| (columns[*index].values[step], *index));
                let there: Vec<Entry> = there.filter(|(value, _)| !is_absent(*value)).collect();
                self.budget.work(there.len() as u64)?;
                let chosen = match aggregate.op {
                    AggregateOp::LimitRatio => sampled(&columns, there, *parameter),
                    op => best(op, &there, count(*parameter, columns.len()), self.options.dialect),
                };
                for (value, index) in chosen {
                    kept[index][step] = value;
                    order.push(index);
                }
            }
        }
        if steps.count == 1 {
            // An instant query shows them in the order of choice.
            let chosen = order.into_iter().map(|index| Column {
                values: std::mem::take(&mut kept[index]),
                ..columns[index].clone()
            });
            return Ok(chosen.collect());
        }
        let chosen = columns.into_iter().zip(kept);
        Ok(present(chosen.map(|(column, values)| Column { values, ..column }).collect()))
    }

    fn check_parameters(
        &self,
        op: AggregateOp,
        parameters: &[f64],
        span: Span,
    ) -> Result<(), EvalError> {
        let fail = |message: String| Err(EvalError::Expression(message));
        let least = parameters.iter().copied().fold(f64::INFINITY, f64::min);
        let most = parameters.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let any_nan = parameters.iter().any(|parameter| parameter.is_nan());
        if op == AggregateOp::LimitRatio {
            if any_nan {
                return fail("Ratio value is NaN".to_owned());
            }
            if most > 1.0 {
                self.remark(span, &Remark::InvalidRatio { found: most, used: 1.0 });
            }
            if least < -1.0 {
                self.remark(span, &Remark::InvalidRatio { found: least, used: -1.0 });
            }
            return Ok(());
        }
        if self.is_v3() && most < 1.0 && !any_nan {
            return Ok(());
        }
        if any_nan {
            return fail(if self.is_v3() {
                "Parameter value is NaN".to_owned()
            } else {
                "Scalar value NaN overflows int64".to_owned()
            });
        }
        // The bounds of a 64-bit integer, as a float has them.
        let bound = 9_223_372_036_854_775_808.0;
        if least <= -bound {
            let way = if self.is_v3() { "underflows" } else { "overflows" };
            return fail(format!("Scalar value {} {way} int64", plain(least)));
        }
        if most >= bound {
            return fail(format!("Scalar value {} overflows int64", plain(most)));
        }
        Ok(())
    }
}

fn count(parameter: f64, most: usize) -> usize {
    if parameter < 1.0 { 0 } else { (parameter as usize).min(most) }
}

/// The `k` best entries in descending order of merit.
fn best(op: AggregateOp, entries: &[Entry], k: usize, dialect: Dialect) -> Vec<Entry> {
    if k == 0 {
        return Vec::new();
    }
    let before: Before = match op {
        AggregateOp::Limitk => {
            // The first ones, in the order of a heap.
            let mut heap = Vec::with_capacity(k.min(entries.len()));
            for entry in entries.iter().take(k) {
                push(&mut heap, *entry, |a, b| a.is_nan() || a < b);
            }
            return heap;
        }
        AggregateOp::Bottomk => |a, b| a.is_nan() || a > b,
        _ => |a, b| a.is_nan() || a < b,
    };
    let is_bottom = op == AggregateOp::Bottomk;
    let beats = |value: f64, worst: f64| {
        let better = if is_bottom { worst > value } else { worst < value };
        // Prometheus 2 lets a NaN take the place of a NaN.
        better || (worst.is_nan() && (dialect == Dialect::V2 || !value.is_nan()))
    };
    let mut heap: Vec<Entry> = Vec::with_capacity(k.min(entries.len()));
    for entry in entries {
        if heap.len() < k {
            push(&mut heap, *entry, before);
        } else if beats(entry.0, heap[0].0) {
            if dialect == Dialect::V2 && k > 1 {
                pop(&mut heap, before);
                push(&mut heap, *entry, before);
            } else {
                heap[0] = *entry;
                sink(&mut heap, 0, before);
            }
        }
    }
    // The worst are before the others, so the order is reversed.
    pdqsort::sort(&mut heap, |a, b| before(b.0, a.0));
    heap
}

// The heap of Go's `container/heap`: which of equal values it keeps depends on its steps.

fn push(heap: &mut Vec<Entry>, entry: Entry, before: Before) {
    heap.push(entry);
    let mut child = heap.len() - 1;
    while child > 0 {
        let parent = (child - 1) / 2;
        if !before(heap[child].0, heap[parent].0) {
            break;
        }
        heap.swap(parent, child);
        child = parent;
    }
}

fn pop(heap: &mut Vec<Entry>, before: Before) {
    let last = heap.len() - 1;
    heap.swap(0, last);
    heap.pop();
    sink(heap, 0, before);
}

fn sink(heap: &mut [Entry], from: usize, before: Before) {
    let mut parent = from;
    loop {
        let left = 2 * parent + 1;
        if left >= heap.len() {
            return;
        }
        let right = left + 1;
        let lower =
            if right < heap.len() && before(heap[right].0, heap[left].0) { right } else { left };
        if !before(heap[lower].0, heap[parent].0) {
            return;
        }
        heap.swap(parent, lower);
        parent = lower;
    }
}

/// Entries whose labels' hash falls into the ratio, as a share of all hashes; a negative ratio
/// counts from the other end. They are in the order of a heap.
fn sampled(columns: &[Column], entries: Vec<Entry>, ratio: f64) -> Vec<Entry> {
    let ratio = ratio.clamp(-1.0, 1.0);
    let chosen = |entry: &Entry| {
        let offset = sampling::offset(&columns[entry.1].metric);
        (ratio >= 0.0 && offset < ratio) || (ratio < 0.0 && offset >= 1.0 + ratio)
    };
    let mut heap = Vec::new();
    for entry in entries.into_iter().filter(chosen) {
        push(&mut heap, entry, |a, b| a.is_nan() || a < b);
    }
    heap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_come_as_the_steps_of_sorting_leave_them() {
        let entries: Vec<Entry> =
            (0..14).map(|index| (f64::from(index % 2), index as usize)).collect();
        let best = best(AggregateOp::Topk, &entries, 20, Dialect::V3);
        let order: Vec<usize> = best.into_iter().map(|(_, index)| index).collect();
        assert_eq!(order, [7, 13, 5, 11, 1, 9, 3, 8, 6, 12, 10, 0, 2, 4]);
    }

    #[test]
    fn the_best_come_first_and_nan_last() {
        let entries: Vec<Entry> =
            [3.0, f64::NAN, 1.0, 5.0].into_iter().enumerate().map(|(i, v)| (v, i)).collect();
        let order = |op, k| -> Vec<usize> {
            let best = best(op, &entries, k, Dialect::V3);
            best.into_iter().map(|(_, index)| index).collect()
        };
        assert_eq!(order(AggregateOp::Topk, 2), [3, 0]);
        assert_eq!(order(AggregateOp::Bottomk, 2), [2, 0]);
        assert_eq!(order(AggregateOp::Topk, 9), [3, 0, 2, 1]);
        assert_eq!(order(AggregateOp::Limitk, 1), [0]);
        assert_eq!(order(AggregateOp::Limitk, 3), [1, 0, 2]);
    }
}
