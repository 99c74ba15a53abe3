//! Quantiles and fractions of classic histograms: one series for each bucket.

use std::collections::HashMap;

use super::call::Call;
use super::column::{ABSENT, Column, Metric, is_absent};
use super::statistics::almost_equal;
use super::{Collision, Query, Steps, labels, present};
use crate::promql::annotations::Remark;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::go_compat::number::open_metrics;
use crate::promql::go_compat::pdqsort;
use crate::promql::syntax::ast::Span;

/// Counts of neighbouring buckets that differ relatively by less than this differ by rounding only;
/// Prometheus's `smallDeltaTolerance`.
const SMALL_DELTA: f64 = 1e-12;

/// A bucket at one step: how many observations are at or below its bound.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The range of bounds in which counts fell from one bucket to the next and were raised, and by how
/// much at most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Forced {
    from: f64,
    to: f64,
    largest: f64,
}

/// The buckets of one histogram: each its bound and its column, ascending by bound unless one of
/// them is NaN.
struct Histogram {
    metric: Metric,
    drop_name: bool,
    has_nan_bound: bool,
    buckets: Vec<(f64, Vec<f64>)>,
}

impl Query<'_> {
    /// Evaluates `histogram_quantile(φ, buckets)`.
    pub(super) fn histogram_quantile(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [q, vector] = call.first();
        let quantiles = self.scalar(q, call.steps)?;
        let columns = self.vector(vector, call.steps)?;
        self.quantiles_of_histograms(&quantiles, columns, (q.span, vector.span), call.steps)
    }

    fn quantiles_of_histograms(
        &self,
        quantiles: &[f64],
        columns: Vec<Column>,
        (quantile_span, vector_span): (Span, Span),
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        self.remark_quantiles(quantiles, quantile_span);
        let dialect = self.options.dialect;
        let mut forced: Option<Forced> = None;
        let columns = self.per_histogram(columns, vector_span, steps, |step, buckets| {
            let (value, fixed) = quantile(quantiles[step], buckets, dialect);
            forced = match (forced, fixed) {
                (Some(a), Some(b)) => Some(Forced {
                    from: a.from.min(b.from),
                    to: a.to.max(b.to),
                    largest: a.largest.max(b.largest),
                }),
                (held, fixed) => fixed.or(held),
            };
            value
        })?;
        if let Some(Forced { from, to, largest }) = forced {
            self.remark(vector_span, &Remark::ForcedMonotonicity { from, to, largest });
        }
        Ok(columns)
    }

    /// Evaluates `histogram_quantiles`: one series for each quantile, which a label names.
    pub(super) fn histogram_quantiles(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let ([vector, label], quantiles) = call.first_and_rest();
        let (label, steps) = (labels::text(label), call.steps);
        let columns = self.vector(vector, steps)?;
        let quantiles: Vec<(Span, Vec<f64>)> = quantiles
            .iter()
            .map(|q| Ok((q.span, self.scalar(q, steps)?)))
            .collect::<Result<_, EvalError>>()?;
        let mut results = Vec::new();
        for (span, values) in &quantiles {
            let spans = (*span, vector.span);
            for column in self.quantiles_of_histograms(values, columns.clone(), spans, steps)? {
                let mut texts: Vec<String> = values.iter().map(|q| open_metrics(*q)).collect();
                texts.sort();
                texts.dedup();
                for text in texts {
                    self.budget.hold(steps.count)?;
                    let mut pairs = column.metric.pairs(|name| name != label);
                    pairs.push((label.to_owned(), text.clone()));
                    let mut column = Column { metric: Metric::from_pairs(pairs), ..column.clone() };
                    for (value, q) in column.values.iter_mut().zip(values) {
                        if open_metrics(*q) != text {
                            *value = ABSENT;
                        }
                    }
                    results.push(column);
                }
            }
        }
        self.merge(present(results), Collision::Merges)
    }

    /// Evaluates `histogram_fraction(lower, upper, buckets)`.
    pub(super) fn histogram_fraction(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let [lower, upper, vector] = call.first();
        let (lower, upper) = (self.scalar(lower, call.steps)?, self.scalar(upper, call.steps)?);
        let columns = self.vector(vector, call.steps)?;
        if !self.is_v3() {
            // Prometheus 2 knows it for native histograms only.
            return Ok(Vec::new());
        }
        self.per_histogram(columns, vector.span, call.steps, |step, buckets| {
            fraction(lower[step], upper[step], buckets)
        })
    }

    fn per_histogram(
        &self,
        columns: Vec<Column>,
        span: Span,
        steps: Steps,
        mut f: impl FnMut(usize, &mut Vec<Bucket>) -> f64,
    ) -> Result<Vec<Column>, EvalError> {
        let mut results = Vec::new();
        let mut buckets = Vec::new();
        for histogram in self.histograms(columns, span) {
            let mut values = vec![ABSENT; steps.count];
            for (step, slot) in values.iter_mut().enumerate() {
                buckets.clear();
                let at = histogram.buckets.iter().map(|(bound, counts)| (*bound, counts[step]));
                let at = at.filter(|(_, count)| !is_absent(*count));
                buckets.extend(at.map(|(bound, count)| Bucket { bound, count }));
                if histogram.has_nan_bound {
                    // Nothing is less than NaN, so Go's steps decide, over those that are there.
                    pdqsort::sort(&mut buckets, |a: &Bucket, b| a.bound < b.bound);
                }
                if !buckets.is_empty() {
                    *slot = f(step, &mut buckets);
                }
            }
            let mut column = Column::new(histogram.metric, values);
            column.drop_name = histogram.drop_name;
            self.drop_name(&mut column);
            results.push(column);
        }
        self.merge(present(results), Collision::Merges)
    }

    fn histograms(&self, columns: Vec<Column>, span: Span) -> Vec<Histogram> {
        let mut places: HashMap<u128, usize> = HashMap::new();
        let mut found: Vec<Histogram> = Vec::new();
        for column in columns {
            let bound = column.metric.get("le");
            // To Prometheus 2 a bucket up to NaN is a bucket, and the last one.
            let sound = |bound: &f64| !bound.is_nan() || !self.is_v3();
            let Some(parsed) = bound.parse().ok().filter(sound) else {
                // The name is still there only where it is dropped at the end.
                let metric = if self.delayed() { column.metric.get("__name__") } else { "" };
                let (value, metric) = (bound.to_owned(), metric.to_owned());
                self.remark(span, &Remark::BadBucketLabel { value, metric });
                continue;
            };
            let next = found.len();
            let key = column.metric.key_of(|name| name != "le");
            let place = *places.entry(key).or_insert(next);
            if place == next {
                let metric = Metric::from_pairs(column.metric.pairs(|name| name != "le"));
                let drop_name = column.drop_name;
                let (has_nan_bound, buckets) = (false, Vec::new());
                found.push(Histogram { metric, drop_name, has_nan_bound, buckets });
            }
            found[place].has_nan_bound |= parsed.is_nan();
            found[place].buckets.push((parsed, column.values));
        }
        for histogram in found.iter_mut().filter(|histogram| !histogram.has_nan_bound) {
            histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        found
    }
}

/// The quantile of buckets ascending by bound, and where their counts had to be fixed.
fn quantile(q: f64, buckets: &mut Vec<Bucket>, dialect: Dialect) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let forced = match dialect {
        Dialect::V2 => {
            make_monotonic(buckets);
            None
        }
        Dialect::V3 => make_monotonic_but_for_rounding(buckets),
    };
    (interpolated(q, buckets), forced)
}

fn interpolated(q: f64, buckets: &[Bucket]) -> f64 {
    let [.., before_last, last] = buckets else { return f64::NAN };
    let observations = last.count;
    if observations == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * observations;
    // Go's binary search for the first bucket that reaches the rank, step by step: where a count is
    // NaN, which no rank reaches, the steps decide what is found.
    let (mut found, mut end) = (0, buckets.len() - 1);
    while found < end {
        let middle = (found + end) / 2;
        if buckets[middle].count >= rank {
            end = middle;
        } else {
            found = middle + 1;
        }
    }
    if found == buckets.len() - 1 {
        return before_last.bound;
    }
    if found == 0 && buckets[0].bound <= 0.0 {
        return buckets[0].bound;
    }
    let (mut start, end, mut count) = (0.0, buckets[found].bound, buckets[found].count);
    if found > 0 {
        start = buckets[found - 1].bound;
        count -= buckets[found - 1].count;
        rank -= buckets[found - 1].count;
    }
    start + (end - start) * (rank / count)
}

/// Adds up buckets of one bound, which labels such as `1` and `1.0` make.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, held| {
        let same = next.bound == held.bound;
        if same {
            held.count += next.count;
        }
        same
    });
}

fn make_monotonic(buckets: &mut [Bucket]) {
    let mut most = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count > most {
            most = bucket.count;
        } else if bucket.count < most {
            bucket.count = most;
        }
    }
}

fn make_monotonic_but_for_rounding(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut held = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == held {
            continue;
        }
        if almost_equal(held, bucket.count, SMALL_DELTA) {
            bucket.count = held;
        } else if bucket.count < held {
            let (bound, fall) = (bucket.bound, held - bucket.count);
            let known = forced.unwrap_or(Forced { from: bound, to: bound, largest: fall });
            forced = Some(Forced {
                from: known.from.min(bound),
                to: known.to.max(bound),
                largest: known.largest.max(fall),
            });
            bucket.count = held;
        } else {
            held = bucket.count;
        }
    }
    forced
}

/// The share of observations between two values.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |value: f64| {
        let mut rank = 0.0;
        let mut low = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        for bucket in buckets.iter() {
            if low >= value {
                return rank;
            }
            if value < bucket.bound {
                return if low == f64::NEG_INFINITY {
                    bucket.count
                } else {
                    rank + (bucket.count - rank) * (value - low) / (bucket.bound - low)
                };
            }
            rank = bucket.count;
            low = bucket.bound;
        }
        count
    };
    // Counts that fall may reach a rank above the last one.
    let rank_of = |value| if rank_of(value) > count { count } else { rank_of(value) };
    (rank_of(upper) - rank_of(lower)) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles_interpolate_inside_a_bucket() {
        let mut held = buckets(&[(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)]);
        assert_eq!(quantile(0.5, &mut held, Dialect::V3).0, 1.5);
        assert_eq!(quantile(1.0, &mut held, Dialect::V2).0, 2.0);
        assert!(quantile(0.5, &mut buckets(&[(1.0, 1.0)]), Dialect::V3).0.is_nan());
    }

    #[test]
    fn falling_counts_are_lifted_and_named() {
        let mut held = buckets(&[(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 10.0)]);
        let (value, forced) = quantile(0.5, &mut held, Dialect::V3);
        assert_eq!((value, forced), (0.5, Some(Forced { from: 2.0, to: 2.0, largest: 5.0 })));
    }

    #[test]
    fn fractions_add_up() {
        let held = [(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(fraction(0.5, 1.5, &mut buckets(&held)), (20.0 - 5.0) / 40.0);
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &mut buckets(&held)), 1.0);
        let falling = [(1.0, 30.0), (2.0, 50.0), (f64::INFINITY, 40.0)];
        assert_eq!(fraction(0.0, 2.0, &mut buckets(&falling)), 1.0);
    }
}
