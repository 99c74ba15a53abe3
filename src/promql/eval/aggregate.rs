//! Aggregation operators that make one value of each group.
//!
//! Those that choose some series of a group are in `top`.

use std::collections::HashMap;

use super::column::{ABSENT, Column, Metric, is_absent, is_metadata};
use super::fold::Fold;
use super::labels::text;
use super::statistics::quantile;
use super::{Collision, Query, Steps, empty, present};
use crate::promql::error::EvalError;
use crate::promql::go_compat::number::plain;
use crate::promql::syntax::ast::{Aggregate, Expr, Grouping};
use crate::promql::syntax::operators::AggregateOp;

/// Which group each column belongs to. Groups are numbered in the order of their first columns.
pub struct Groups {
    /// The group of each column.
    pub of: Vec<usize>,
    /// The first column of each group.
    pub first: Vec<usize>,
}

impl Query<'_> {
    pub(super) fn aggregate(
        &self,
        aggregate: &Aggregate,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        use AggregateOp as Op;
        let parameter = |expr: &Option<Expr>| match expr {
            Some(expr) => self.scalar(expr, steps),
            None => Ok(Vec::new()),
        };
        match aggregate.op {
            Op::CountValues => self.count_values(aggregate, steps),
            Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio => {
                let parameters = parameter(&aggregate.param)?;
                let columns = self.vector(&aggregate.expr, steps)?;
                self.choose(aggregate, &parameters, columns, steps)
            }
            Op::Quantile => {
                let parameters = parameter(&aggregate.param)?;
                if let Some(param) = &aggregate.param {
                    self.remark_quantiles(&parameters, param.span);
                }
                let columns = self.vector(&aggregate.expr, steps)?;
                let groups = self.groups(&columns, &aggregate.grouping);
                Ok(self.quantiles(aggregate, &parameters, &columns, &groups))
            }
            Op::Sum
            | Op::Avg
            | Op::Count
            | Op::Min
            | Op::Max
            | Op::Group
            | Op::Stddev
            | Op::Stdvar => self.fold(aggregate, steps),
        }
    }

    /// Aggregations that go through the columns once, in their order.
    fn fold(&self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Column>, EvalError> {
        let columns = self.vector(&aggregate.expr, steps)?;
        let groups = self.groups(&columns, &aggregate.grouping);
        let new = |_: &usize| Fold::new(aggregate.op, self.options.dialect, steps.count);
        let mut folded: Vec<Fold> = groups.first.iter().map(new).collect();
        for (column, group) in columns.iter().zip(&groups.of) {
            folded[*group].add(&column.values);
        }
        let values = folded.into_iter().map(Fold::finish);
        Ok(self.grouped(aggregate, &columns, &groups, values))
    }

    /// Finds the group of each column.
    pub(super) fn groups(&self, columns: &[Column], grouping: &Grouping) -> Groups {
        let mut groups = Groups { of: Vec::with_capacity(columns.len()), first: Vec::new() };
        if matches!(grouping, Grouping::By(labels) if labels.is_empty()) {
            groups.of = vec![0; columns.len()];
            groups.first = if columns.is_empty() { Vec::new() } else { vec![0] };
            return groups;
        }
        let mut names = match grouping {
            Grouping::By(names) | Grouping::Without(names) => names.clone(),
        };
        names.sort();
        names.dedup();
        let mut numbers: HashMap<u128, usize> = HashMap::new();
        for (index, column) in columns.iter().enumerate() {
            let key = match grouping {
                Grouping::By(_) => column.metric.key_of_names(&names),
                Grouping::Without(_) => {
                    column.metric.key_of(|name| !self.goes_with_name(name) && !has(&names, name))
                }
            };
            let next = groups.first.len();
            let number = *numbers.entry(key).or_insert(next);
            if number == next {
                groups.first.push(index);
            }
            groups.of.push(number);
        }
        groups
    }

    /// The labels of a group, going by one of its columns.
    fn group_metric(&self, metric: &Metric, grouping: &Grouping) -> Metric {
        Metric::from_pairs(match grouping {
            Grouping::By(names) => metric.pairs(|name| names.iter().any(|kept| kept == name)),
            Grouping::Without(names) => metric.pairs(|name| {
                !self.goes_with_name(name) && !names.iter().any(|dropped| dropped == name)
            }),
        })
    }

    fn goes_with_name(&self, name: &str) -> bool {
        if self.is_v3() { is_metadata(name) } else { name == "__name__" }
    }

    fn grouped(
        &self,
        aggregate: &Aggregate,
        columns: &[Column],
        groups: &Groups,
        values: impl Iterator<Item = Vec<f64>>,
    ) -> Vec<Column> {
        let mut drops = vec![false; groups.first.len()];
        for (column, group) in columns.iter().zip(&groups.of) {
            drops[*group] |= column.drop_name;
        }
        let results = groups.first.iter().zip(values).zip(drops);
        let results = results.map(|((first, values), drop_name)| {
            let metric = self.group_metric(&columns[*first].metric, &aggregate.grouping);
            Column { metric, drop_name, values }
        });
        present(results.collect())
    }

    fn quantiles(
        &self,
        aggregate: &Aggregate,
        parameters: &[f64],
        columns: &[Column],
        groups: &Groups,
    ) -> Vec<Column> {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.first.len()];
        for (index, group) in groups.of.iter().enumerate() {
            members[*group].push(index);
        }
        let mut held = Vec::new();
        let mut values = Vec::with_capacity(members.len());
        for group in &members {
            let mut of_group = vec![ABSENT; parameters.len()];
            for (step, slot) in of_group.iter_mut().enumerate() {
                held.clear();
                held.extend(group.iter().map(|index| columns[*index].values[step]));
                held.retain(|value| !is_absent(*value));
                if !held.is_empty() {
                    *slot = quantile(parameters[step], &mut held, self.options.dialect);
                }
            }
            values.push(of_group);
        }
        self.grouped(aggregate, columns, groups, values.into_iter())
    }

    fn count_values(&self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Column>, EvalError> {
        let label = aggregate.param.as_ref().map_or("", text);
        if !self.allows_label(label) {
            return Err(EvalError::Expression(format!("invalid label name {label:?}")));
        }
        let columns = self.vector(&aggregate.expr, steps)?;
        let mut places: HashMap<u128, usize> = HashMap::new();
        let mut counted: Vec<Column> = Vec::new();
        for column in &columns {
            let mut known: HashMap<u64, usize> = HashMap::new();
            for (step, value) in column.values.iter().enumerate() {
                if is_absent(*value) {
                    continue;
                }
                let place = *known.entry(value.to_bits()).or_insert_with(|| {
                    let metric =
                        self.counted_metric(&column.metric, &aggregate.grouping, label, *value);
                    let next = counted.len();
                    let place = *places.entry(metric.key()).or_insert(next);
                    if place == next {
                        counted.push(Column::new(metric, empty(steps)));
                    }
                    place
                });
                let slot = &mut counted[place].values[step];
                *slot = if is_absent(*slot) { 1.0 } else { *slot + 1.0 };
            }
            self.budget.hold(known.len().saturating_mul(steps.count))?;
        }
        self.merge(counted, Collision::Merges)
    }

    fn counted_metric(
        &self,
        metric: &Metric,
        grouping: &Grouping,
        label: &str,
        value: f64,
    ) -> Metric {
        let mut pairs: Vec<(String, String)> = match grouping {
            Grouping::By(names) => metric.pairs(|name| names.iter().any(|kept| kept == name)),
            Grouping::Without(names) => metric.pairs(|name| {
                !self.goes_with_name(name) && !names.iter().any(|dropped| dropped == name)
            }),
        };
        pairs.retain(|(name, _)| name != label);
        let dropped =
            matches!(grouping, Grouping::Without(names) if names.iter().any(|n| n == label));
        if !dropped {
            pairs.push((label.to_owned(), plain(value)));
        }
        Metric::from_pairs(pairs)
    }
}

fn has(sorted: &[String], name: &str) -> bool {
    sorted.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
}
