//! The modifiers `fill`, `fill_left` and `fill_right`: the value of a series that one side lacks.

use std::collections::HashMap;

use super::column::{Column, Metric, is_absent};
use super::matching::{Sides, matched};
use super::{Query, Steps, empty};
use crate::promql::error::EvalError;
use crate::promql::syntax::ast::Matching;

/// Whether a match fills any side.
pub fn fills(matching: &Matching) -> bool {
    matching.fill_left.is_some() || matching.fill_right.is_some()
}

/// Series of both sides that share a signature: the labels in common, and at which steps there is
/// any of the many side and of the one side.
struct Signature {
    metric: Metric,
    many: Vec<bool>,
    one: Vec<bool>,
}

impl Query<'_> {
    /// Adds a series for each signature to the sides that are filled. It has a value where only
    /// the other side has one.
    pub(super) fn fill(
        &self,
        matching: &Matching,
        sides: &mut Sides,
        steps: Steps,
    ) -> Result<(), EvalError> {
        if !fills(matching) {
            return Ok(());
        }
        let signature = self.signature(matching);
        let mut places: HashMap<u128, usize> = HashMap::new();
        let mut met: Vec<Signature> = Vec::new();
        let both = sides.many.iter().map(|column| (column, true));
        for (column, is_many) in both.chain(sides.one.iter().map(|column| (column, false))) {
            let place = *places.entry(signature(&column.metric)).or_insert(met.len());
            if place == met.len() {
                let metric = matched(matching, &column.metric);
                let nowhere = || vec![false; steps.count];
                met.push(Signature { metric, many: nowhere(), one: nowhere() });
            }
            let there = if is_many { &mut met[place].many } else { &mut met[place].one };
            for (there, value) in there.iter_mut().zip(&column.values) {
                *there |= !is_absent(*value);
            }
        }
        let (left, right) = (matching.fill_left, matching.fill_right);
        let (for_many, for_one) = if sides.swapped { (right, left) } else { (left, right) };
        self.budget.hold(met.len().saturating_mul(steps.count).saturating_mul(2))?;
        for Signature { metric, many, one } in met {
            let add = |side: &mut Vec<Column>, value: Option<f64>, own: &[bool], other: &[bool]| {
                let Some(value) = value else { return };
                let mut values = empty(steps);
                for (slot, (own, other)) in values.iter_mut().zip(own.iter().zip(other)) {
                    if *other && !*own {
                        *slot = value;
                    }
                }
                side.push(Column::new(metric.clone(), values));
            };
            add(&mut sides.many, for_many, &many, &one);
            add(&mut sides.one, for_one, &one, &many);
        }
        Ok(())
    }
}
