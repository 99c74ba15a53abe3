//! Differences that come from what the language leaves open, each shown by an experiment.

use std::collections::BTreeMap;

use anyhow::Result;
use operator::model::{Comparison, MatcherText};
use operator::promql::{AggregateOp, Expr, ExprKind, Grouping};

use super::{Compared, When, World};
use crate::prometheus::api::Points;

/// Whether both sides choose equally many equal values of each group at each instant. Which of the
/// series that are tied stays depends on the order in which a server walks its hash maps.
pub fn is_tie(node: &Expr, compared: &Compared) -> bool {
    let ExprKind::Aggregate(aggregate) = &node.kind else { return false };
    let counts_only = match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk => false,
        AggregateOp::Limitk => true,
        _ => return false,
    };
    let (Ok(server), Ok(ours)) = (&compared.server, &compared.ours) else { return false };
    let in_group = |name: &str| match &aggregate.grouping {
        Grouping::By(names) => names.iter().any(|kept| kept == name),
        Grouping::Without(names) => {
            name != "__name__" && !names.iter().any(|dropped| dropped == name)
        }
    };
    let chosen = |points: &Points| {
        let mut chosen: BTreeMap<(Vec<String>, i64), Vec<u64>> = BTreeMap::new();
        for (labels, values) in points {
            let group = labels.iter().filter(|(name, _)| in_group(name));
            let group: Vec<String> = group.map(|(name, value)| format!("{name}={value}")).collect();
            for (at, value) in values {
                let bits = if value.is_nan() { 0 } else { value.to_bits() };
                let held = chosen.entry((group.clone(), *at)).or_default();
                held.push(if counts_only { 0 } else { bits });
            }
        }
        chosen.values_mut().for_each(|values| values.sort_unstable());
        chosen
    };
    let mut beside = server.iter().zip(ours);
    let same_series = server.len() == ours.len()
        && beside.all(|((a, theirs), (b, own))| a == b && theirs.keys().eq(own.keys()));
    !same_series && chosen(server) == chosen(ours)
}

/// Whether the server took the conditions of an absent selector in another order than they are
/// written in: Prometheus 3 sorts those that exclude behind the others, in place, where it asks
/// its newest samples, and only there. Both sides then agree on the selector in that order.
pub async fn is_resorted(
    world: &World,
    (node, part): (&Expr, &str),
    when: When,
    compared: &Compared,
) -> Result<bool> {
    // Over a range, a subquery differs whose instants do not.
    let call = match &node.kind {
        ExprKind::Subquery(subquery) => subquery.expr.unwrapped(),
        _ => node,
    };
    let ExprKind::Call { function, args } = &call.kind else { return Ok(false) };
    let ("absent" | "absent_over_time", [arg]) = (function.name(), args.as_slice()) else {
        return Ok(false);
    };
    let arg = arg.unwrapped();
    let (ExprKind::Selector(selector) | ExprKind::Range { selector, .. }) = &arg.kind else {
        return Ok(false);
    };
    let (start, end) = (arg.span.start - node.span.start, arg.span.end - node.span.start);
    let Some(close) = part[..end].rfind('}') else { return Ok(false) };
    let conditions = &selector.matchers;
    let has_to_be = |name: &str| {
        conditions.iter().any(|condition| condition.name == name && !takes_nothing(condition))
    };
    let excludes = |condition: &&MatcherText| {
        let negated = matches!(condition.comparison, Comparison::NotEqual | Comparison::NotRegex);
        !has_to_be(&condition.name) || (negated && takes_nothing(condition))
    };
    let (last, first): (Vec<_>, Vec<_>) = conditions.iter().partition(excludes);
    let written: Vec<String> = first.into_iter().chain(last).map(ToString::to_string).collect();
    let sorted = format!("{}{{{}{}", &part[..start], written.join(","), &part[close..]);
    let again = world.ask(&sorted, when).await?;
    let same = match (&again.server, &compared.server) {
        (Ok(again), Ok(server)) => again == server,
        _ => false,
    };
    Ok(same && !again.differs())
}

/// Whether a condition holds for an absent label.
fn takes_nothing(condition: &MatcherText) -> bool {
    let matches = || {
        regex::Regex::new(&format!("^(?s:{})$", condition.value))
            .is_ok_and(|pattern| pattern.is_match(""))
    };
    match condition.comparison {
        Comparison::Equal => condition.value.is_empty(),
        Comparison::NotEqual => !condition.value.is_empty(),
        Comparison::Regex => matches(),
        Comparison::NotRegex => !matches(),
    }
}
