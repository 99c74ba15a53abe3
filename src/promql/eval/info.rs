//! `info`: adds to series the labels of the info metrics of the same instance and job.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::call::Call;
use super::column::{Column, Metric, is_absent, is_metadata};
use super::select::Cursor;
use super::{Collision, Query, Steps, empty, present};
use crate::model::{Comparison, MatcherText};
use crate::promql::error::EvalError;
use crate::promql::syntax::ast::{Expr, ExprKind, ValueType, accepts_empty};
use crate::promql::syntax::functions::Function;

/// The info metric that is taken where the call does not name another one.
const DEFAULT: &str = "target_info";
/// The labels by which series and info metrics are matched.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The instant at which info metrics are looked up: that of an `@` modifier, or else each step,
/// less an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    pub fixed: Option<i64>,
    pub offset_ms: i64,
}

impl Reference {
    fn is_same_as(self, other: Self) -> bool {
        match (self.fixed, other.fixed) {
            (None, None) => self.offset_ms == other.offset_ms,
            (Some(a), Some(b)) => a - self.offset_ms == b - other.offset_ms,
            _ => false,
        }
    }
}

/// The matchers of info metrics: those of their data labels, and those of their name.
pub fn matchers(args: &[Expr]) -> (Vec<MatcherText>, Vec<MatcherText>) {
    let selector = args.get(1).and_then(|arg| match &arg.kind {
        ExprKind::Selector(selector) => Some(selector),
        _ => None,
    });
    let written = selector.map(|selector| selector.matchers.clone()).unwrap_or_default();
    let (mut names, data): (Vec<_>, Vec<_>) =
        written.into_iter().partition(|matcher| matcher.name == "__name__");
    let asks =
        |matcher: &MatcherText| matches!(matcher.comparison, Comparison::Equal | Comparison::Regex);
    if !names.iter().any(asks) {
        let (comparison, value) = if names.is_empty() {
            (Comparison::Equal, DEFAULT)
        } else {
            (Comparison::Regex, ".+_info")
        };
        let name = "__name__".to_owned();
        names.insert(0, MatcherText { name, comparison, value: value.to_owned() });
    }
    (data, names)
}

/// An info series: the key by which it is matched, and the time of its sample at each step.
struct Info<'a> {
    metric: Metric,
    key: Key<'a>,
    /// Times of the samples; `None` where there is none.
    times: Vec<Option<i64>>,
}

/// The info series that the series of an expression are matched with.
struct InfoLookup<'a> {
    infos: &'a [Info<'a>],
    /// The newest info series of each key at each step.
    newest: HashMap<Key<'a>, Vec<Option<usize>>>,
    /// Labels that are added; all where there are none.
    wanted: BTreeSet<&'a str>,
    /// Whether a series without a matching info series is kept.
    keeps_unmatched: bool,
}

/// The metric's name and the identifying labels.
type Key<'a> = (&'a str, [&'a str; 2]);

impl Query<'_> {
    /// The instant at which the info metrics of an expression are looked up: that of its selectors,
    /// where all of them agree.
    pub(super) fn info_reference(&self, expr: &Expr) -> Reference {
        let mut found = Vec::new();
        let all = self.references(expr, &mut Vec::new(), &mut found);
        match found.split_first() {
            Some((first, others)) if all && others.iter().all(|other| first.is_same_as(*other)) => {
                *first
            }
            _ => Reference::default(),
        }
    }

    /// Collects the references of all selectors; says whether every vector comes from one.
    fn references<'e>(
        &self,
        expr: &'e Expr,
        around: &mut Vec<&'e Expr>,
        found: &mut Vec<Reference>,
    ) -> bool {
        let is_series =
            |expr: &Expr| matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix);
        if let ExprKind::Selector(selector) | ExprKind::Range { selector, .. } = &expr.kind {
            let mut reference =
                Reference { fixed: self.fixed(selector.at), offset_ms: selector.offset_ms };
            for outer in around.iter().rev() {
                if let (None, ExprKind::Subquery(subquery)) = (reference.fixed, &outer.kind) {
                    reference.offset_ms = reference.offset_ms.saturating_add(subquery.offset_ms);
                    reference.fixed = self.fixed(subquery.at);
                }
            }
            found.push(reference);
            return true;
        }
        let mut children = expr.children();
        if let ExprKind::Call { function, .. } = &expr.kind
            && *function == Function::Info
        {
            children.truncate(1);
        }
        children.retain(|child| is_series(child));
        around.push(expr);
        let mut all = !children.is_empty();
        for child in children {
            all &= self.references(child, around, found);
        }
        around.pop();
        all
    }

    /// Evaluates `info`, whose series were selected for the place of the call.
    pub(super) fn info(&self, call: &Call<'_>) -> Result<Vec<Column>, EvalError> {
        let (place, args, steps) = (call.span.start, call.args, call.steps);
        let base = self.vector(&args[0], steps)?;
        let (data, _) = matchers(args);
        let wanted: BTreeSet<&str> = data.iter().map(|matcher| matcher.name.as_str()).collect();
        let names = self.infos.get(&place).map_or(&[][..], Vec::as_slice);
        let is_info =
            |column: &Column| names.iter().all(|name| name.accepts(column.metric.get("__name__")));
        let (ignored, base): (Vec<Column>, Vec<Column>) = base.into_iter().partition(is_info);
        let stored = self.series_at(place);
        let metrics: Vec<Metric> = stored.iter().map(Metric::stored).collect();
        let near = may_match(&base, &metrics);
        let reference = self.info_reference(&args[0]);
        let mut infos = Vec::new();
        for ((series, metric), _) in stored.iter().zip(&metrics).zip(near).filter(|(_, near)| *near)
        {
            self.budget.work(steps.count as u64)?;
            let mut cursor = Cursor::new(&series.samples);
            let time = |at: i64| {
                let instant = reference.fixed.unwrap_or(at).saturating_sub(reference.offset_ms);
                let sample = cursor.newest(instant)?;
                let there = self.in_lookback(sample, instant) && !is_absent(sample.value);
                there.then(|| sample.at.as_millis())
            };
            let times = steps.instants().map(time).collect();
            infos.push(Info { metric: metric.clone(), key: key(metric), times });
        }
        let there = any(base.iter().chain(&ignored), steps);
        let newest = newest(&infos, &there)?;
        let keeps_unmatched = data.iter().all(accepts_empty);
        let search = InfoLookup { infos: &infos, newest, wanted, keeps_unmatched };
        let mut enriched = Vec::new();
        for column in base {
            self.budget.hold(steps.count)?;
            enriched.extend(enrich(&column, &search, steps)?);
        }
        enriched.extend(ignored);
        self.merge(present(enriched), Collision::Merges)
    }
}

fn key(metric: &Metric) -> Key<'_> {
    (metric.get("__name__"), IDENTIFYING.map(|name| metric.get(name)))
}

/// Which info series may match any of the series: those whose instance and whose job both occur
/// among the series that have the same of these two labels.
fn may_match(base: &[Column], infos: &[Metric]) -> Vec<bool> {
    let mut known: BTreeMap<[bool; 2], [BTreeSet<&str>; 2]> = BTreeMap::new();
    let has = |values: [&str; 2]| values.map(|value| !value.is_empty());
    for column in base {
        let values = IDENTIFYING.map(|name| column.metric.get(name));
        let sets = known.entry(has(values)).or_default();
        for (set, value) in sets.iter_mut().zip(values) {
            set.insert(value);
        }
    }
    known.remove(&[false, false]);
    let is_near = |metric: &Metric| {
        let (_, values) = key(metric);
        let sets = known.get(&has(values));
        sets.is_some_and(|sets| sets.iter().zip(values).all(|(set, value)| set.contains(value)))
    };
    infos.iter().map(is_near).collect()
}

/// At which steps any column has a value.
fn any<'a>(columns: impl Iterator<Item = &'a Column>, steps: Steps) -> Vec<bool> {
    let mut there = vec![false; steps.count];
    for column in columns {
        for (there, value) in there.iter_mut().zip(&column.values) {
            *there |= !is_absent(*value);
        }
    }
    there
}

/// The newest of the info series with the same key at each step at which `there` is anything to
/// add to.
fn newest<'a>(
    infos: &'a [Info<'a>],
    there: &[bool],
) -> Result<HashMap<Key<'a>, Vec<Option<usize>>>, EvalError> {
    let mut newest: HashMap<Key<'_>, Vec<Option<usize>>> = HashMap::new();
    for (index, info) in infos.iter().enumerate() {
        let held = newest.entry(info.key).or_insert_with(|| vec![None; there.len()]);
        for (step, (held, time)) in held.iter_mut().zip(&info.times).enumerate() {
            let Some(time) = time.filter(|_| there[step]) else { continue };
            let other = held.and_then(|index| Some((&infos[index], infos[index].times[step]?)));
            match other {
                Some((_, known)) if known > time => {}
                Some((other, known)) if known == time => {
                    let (a, b) = (other.metric.to_labels(), info.metric.to_labels());
                    return Err(EvalError::Expression(format!(
                        "found duplicate series for info metric: existing {a} @ {known}, new {b} @ {time}"
                    )));
                }
                _ => *held = Some(index),
            }
        }
    }
    Ok(newest)
}

/// A series with the labels of its info metrics: one column for each set of labels.
fn enrich(
    column: &Column,
    search: &InfoLookup<'_>,
    steps: Steps,
) -> Result<Vec<Column>, EvalError> {
    let identity = IDENTIFYING.map(|name| column.metric.get(name));
    let mut rows: Vec<(&str, &Vec<Option<usize>>)> = search
        .newest
        .iter()
        .filter(|((_, labels), _)| *labels == identity)
        .map(|((name, _), row)| (*name, row))
        .collect();
    rows.sort_by_key(|(name, _)| *name);
    let mut made: BTreeMap<Vec<usize>, Column> = BTreeMap::new();
    for (step, value) in column.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
        let met: Vec<usize> = rows.iter().filter_map(|(_, row)| row[step]).collect();
        if met.is_empty() && !search.keeps_unmatched {
            continue;
        }
        let held = match made.entry(met) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let metric = search.labelled(&column.metric, slot.key())?;
                let values = empty(steps);
                slot.insert(Column { metric, values, drop_name: column.drop_name })
            }
        };
        held.values[step] = *value;
    }
    Ok(made.into_values().collect())
}

impl InfoLookup<'_> {
    /// The labels of a series together with those of the info series that match it.
    fn labelled(&self, base: &Metric, met: &[usize]) -> Result<Metric, EvalError> {
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in met.iter().map(|index| &self.infos[*index]) {
            for (name, value) in info.metric.iter().filter(|(name, _)| !is_metadata(name)) {
                if !self.wanted.is_empty() && !self.wanted.contains(name) {
                    continue;
                }
                if added.get(name).is_some_and(|known| *known != value) {
                    return Err(EvalError::Expression(format!("conflicting label: {name}")));
                }
                if base.get(name).is_empty() {
                    added.insert(name, value);
                }
            }
        }
        if added.is_empty() {
            return Ok(base.clone());
        }
        let mut pairs = base.pairs(|_| true);
        pairs.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Metric::from_pairs(pairs))
    }
}
