//! Arithmetic and comparisons between two instant vectors: which series match.

use std::collections::{HashMap, HashSet};

use super::binary::changes_metric;
use super::column::{Column, Metric, is_absent, is_metadata};
use super::fill::fills;
use super::{Collision, Query, Steps, present};
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::syntax::ast::{Binary, Cardinality, Matching};

/// Series of both sides that share a signature.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// The two sides of a match. `one` is the right side, but for `group_right`.
pub struct Sides {
    /// The side of which several series may match one series of the other side.
    pub many: Vec<Column>,
    /// The other side.
    pub one: Vec<Column>,
    /// Whether `many` is the right side.
    pub swapped: bool,
}

/// Two columns that match, and their signature.
struct MatchedPair {
    key: u128,
    many: usize,
    one: usize,
}

impl Query<'_> {
    /// The signature of a series: a hash of the labels by which it is matched.
    pub(super) fn signature(&self, matching: &Matching) -> impl Fn(&Metric) -> u128 {
        let mut names = matching.labels.clone();
        names.sort();
        names.dedup();
        let (on, is_v3) = (matching.on, self.is_v3());
        move |metric: &Metric| {
            if on {
                return metric.key_of_names(&names);
            }
            metric.key_of(|name| {
                name != "__name__"
                    && !(is_v3 && is_metadata(name))
                    && names.binary_search_by(|known| known.as_str().cmp(name)).is_err()
            })
        }
    }

    pub(super) fn match_vectors(
        &self,
        binary: &Binary,
        left: Vec<Column>,
        right: Vec<Column>,
        steps: Steps,
    ) -> Result<Vec<Column>, EvalError> {
        let matching = &binary.matching;
        let swapped = matches!(matching.cardinality, Cardinality::OneToMany(_));
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut sides = Sides { many, one, swapped };
        self.fill(matching, &mut sides, steps)?;
        let signature = self.signature(matching);
        let mut groups: HashMap<u128, Group> = HashMap::with_capacity(sides.one.len());
        for (index, column) in sides.one.iter().enumerate() {
            groups.entry(signature(&column.metric)).or_default().one.push(index);
        }
        let mut order = Vec::with_capacity(sides.many.len());
        for (index, column) in sides.many.iter().enumerate() {
            let key = signature(&column.metric);
            if let Some(group) = groups.get_mut(&key) {
                group.many.push(index);
                order.push((index, key));
            }
        }
        self.check_one_side(&sides, &groups, matching, steps)?;
        let mut results = Vec::with_capacity(order.len());
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        for (index, key) in order {
            let group = &groups[&key];
            if one_to_one && group.many.len() > 1 && group.many[0] == index {
                check_one_to_one(&sides, group, self.options.dialect, |many, one| {
                    self.matched_values(binary, &sides, &MatchedPair { key, many, one }, steps)
                })?;
            }
            for &one in &group.one {
                let pair = MatchedPair { key, many: index, one };
                let column = self.matched_column(binary, &sides, &pair, steps);
                results.push((pair, column));
                self.budget.hold(steps.count)?;
            }
        }
        if !one_to_one {
            check_unique_results(&results, &sides, self.options.dialect, |key| {
                groups[key].many.len() > 1
            })?;
        }
        let columns = results.into_iter().map(|(_, column)| column).collect();
        self.merge(present(columns), Collision::Merges)
    }

    fn matched_values(
        &self,
        binary: &Binary,
        sides: &Sides,
        pair: &MatchedPair,
        steps: Steps,
    ) -> Vec<f64> {
        let (many, one) = (&sides.many[pair.many].values, &sides.one[pair.one].values);
        if sides.swapped {
            self.combine(binary, one, many, steps)
        } else {
            self.combine(binary, many, one, steps)
        }
    }

    fn matched_column(
        &self,
        binary: &Binary,
        sides: &Sides,
        pair: &MatchedPair,
        steps: Steps,
    ) -> Column {
        let values = self.matched_values(binary, sides, pair, steps);
        let (many, one) = (&sides.many[pair.many].metric, &sides.one[pair.one].metric);
        let metric = self.matched_metric(binary, many, one);
        let drop_name = binary.returns_bool;
        Column { metric, drop_name, values }
    }

    fn matched_metric(&self, binary: &Binary, many: &Metric, one: &Metric) -> Metric {
        let matching = &binary.matching;
        let drops = changes_metric(binary.op, self.options.dialect)
            || (binary.returns_bool && !self.delayed());
        let named = |name: &str| matching.labels.iter().any(|label| label == name);
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        if !one_to_one && matching.cardinality.included().is_empty() {
            let mut metric = many.clone();
            if drops {
                metric.hide_name();
            }
            return metric;
        }
        let mut pairs = many.pairs(|name| {
            if drops && is_metadata(name) && (self.is_v3() || name == "__name__") {
                return false;
            }
            !one_to_one || named(name) == matching.on
        });
        for label in matching.cardinality.included() {
            pairs.retain(|(name, _)| name != label);
            let value = one.get(label);
            if !value.is_empty() {
                pairs.push((label.clone(), value.to_owned()));
            }
        }
        Metric::from_pairs(pairs)
    }

    /// Fails where two series of the one side share a signature at a step at which the other
    /// side has any value.
    fn check_one_side(
        &self,
        sides: &Sides,
        groups: &HashMap<u128, Group>,
        matching: &Matching,
        steps: Steps,
    ) -> Result<(), EvalError> {
        let mut crowded: Vec<&Group> =
            groups.values().filter(|group| group.one.len() > 1).collect();
        crowded.sort_by_key(|group| group.one[0]);
        for step in 0..steps.count {
            let at = |columns: &[Column], index: usize| !is_absent(columns[index].values[step]);
            let any = || (0..sides.many.len()).any(|index| at(&sides.many, index));
            if crowded.is_empty() || !(fills(matching) || any()) {
                continue;
            }
            for group in &crowded {
                let there: Vec<usize> =
                    group.one.iter().copied().filter(|index| at(&sides.one, *index)).collect();
                let [first, second, ..] = there.as_slice() else { continue };
                let metrics = (&sides.one[*first].metric, &sides.one[*second].metric);
                return Err(self.many_to_many(matching, metrics, sides));
            }
        }
        Ok(())
    }

    fn many_to_many(
        &self,
        matching: &Matching,
        (a, b): (&Metric, &Metric),
        sides: &Sides,
    ) -> EvalError {
        let group = matched(matching, a);
        let side = if sides.swapped { "left" } else { "right" };
        let mut names = [braced(a), braced(b)];
        if self.is_v3() {
            names.sort();
        } else {
            names.reverse();
        }
        EvalError::Expression(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            braced(&group),
            names[0],
            names[1]
        ))
    }
}

/// The labels by which a series is matched.
pub fn matched(matching: &Matching, metric: &Metric) -> Metric {
    Metric::from_pairs(metric.pairs(|name| {
        let named = matching.labels.iter().any(|label| label == name);
        named == matching.on && (matching.on || !is_metadata(name))
    }))
}

/// All labels in braces, the metric's name among them.
fn braced(metric: &Metric) -> String {
    let pairs: Vec<String> =
        metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Fails where two series of the many side match one series of the other side at the same step.
/// Prometheus 3 counts those that a comparison then leaves out.
fn check_one_to_one(
    sides: &Sides,
    group: &Group,
    dialect: Dialect,
    meet: impl Fn(usize, usize) -> Vec<f64>,
) -> Result<(), EvalError> {
    let counts_filtered = dialect == Dialect::V3;
    let mut taken: HashSet<usize> = HashSet::new();
    for &many in &group.many {
        for &one in &group.one {
            let kept = if counts_filtered { Vec::new() } else { meet(many, one) };
            let (many, one) = (&sides.many[many].values, &sides.one[one].values);
            for step in 0..many.len() {
                let met = if counts_filtered {
                    !is_absent(many[step]) && !is_absent(one[step])
                } else {
                    !is_absent(kept[step])
                };
                if met && !taken.insert(step) {
                    return Err(EvalError::Expression(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                            .to_owned(),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Fails where two results of one signature have the same labels at the same step. Prometheus 3
/// counts those that a comparison leaves out.
fn check_unique_results(
    results: &[(MatchedPair, Column)],
    sides: &Sides,
    dialect: Dialect,
    crowded: impl Fn(&u128) -> bool,
) -> Result<(), EvalError> {
    let counts_filtered = dialect == Dialect::V3;
    let mut seen: HashMap<(u128, u128), HashSet<usize>> = HashMap::new();
    for (met, column) in results.iter().filter(|(met, _)| crowded(&met.key)) {
        let steps = seen.entry((met.key, column.metric.key())).or_default();
        let (many, one) = (&sides.many[met.many].values, &sides.one[met.one].values);
        for (step, value) in column.values.iter().enumerate() {
            let met = !is_absent(many[step]) && !is_absent(one[step]);
            if (if counts_filtered { met } else { !is_absent(*value) }) && !steps.insert(step) {
                return Err(EvalError::Expression(
                    "multiple matches for labels: grouping labels must ensure unique matches"
                        .to_owned(),
                ));
            }
        }
    }
    Ok(())
}
