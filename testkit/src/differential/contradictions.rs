//! Differences in which the server contradicts itself, each shown by an experiment: asked in another
//! way that has to mean the same, it says what we say.

use std::collections::BTreeMap;

use anyhow::Result;
use operator::promql::{At, Dialect, Expr, ExprKind};

use super::{Compared, When, World};
use crate::prometheus::api::Points;

/// How the server contradicts itself, where it does.
pub async fn contradiction(
    world: &World,
    (node, part): (&Expr, &str),
    when: When,
    compared: &Compared,
) -> Result<Option<&'static str>> {
    Ok(if is_other_over_a_range(world, part, when, compared).await? {
        Some("over a range")
    } else if is_other_in_a_subquery(world, (node, part), when, compared).await? {
        Some("in a subquery")
    } else if is_other_with_several_quantiles(world, (node, part), when, compared).await? {
        Some("in several quantiles")
    } else {
        None
    })
}

/// Whether the server says something else over a range than at each of its instants, where it
/// agrees with us. Before Prometheus 3 the window of `x[2m] @ T` moves on with the steps in a call
/// whose other argument varies, and in `predict_linear`, since `@` becomes an offset from the
/// first step; so does that of `x @ T` in the parameter of an aggregation.
async fn is_other_over_a_range(
    world: &World,
    part: &str,
    when: When,
    compared: &Compared,
) -> Result<bool> {
    let (When::Range(..), Ok(ours)) = (when, &compared.ours) else { return Ok(false) };
    let part = with_ends_written_out(part, when);
    for at in when.instants() {
        let now = world.ask(&part, When::At(at)).await?;
        let Ok(alone) = &now.ours else { return Ok(false) };
        let among = ours.iter().filter_map(|(labels, values)| Some((labels, values.get(&at)?)));
        let alone = alone.iter().filter_map(|(labels, values)| Some((labels, values.get(&at)?)));
        let bits = |(labels, value): (_, &f64)| (labels, value.to_bits());
        if now.differs() || !among.map(bits).eq(alone.map(bits)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An expression with the range's own times where it asks for them.
pub fn with_times_written_out(text: &str, when: When) -> String {
    let When::Range(start, end, step) = when else { return text.to_owned() };
    let seconds = |millis: i64| format!("{}", millis as f64 / 1000.0);
    text.replace("step()", &seconds(step)).replace("range()", &seconds(end - start))
}

fn with_ends_written_out(part: &str, when: When) -> String {
    let (start, end) = match when {
        When::At(at) => (at, at),
        When::Range(start, end, _) => (start, end),
    };
    let seconds = |millis: i64| format!("@ {}.{:03}", millis / 1000, millis % 1000);
    part.replace("@ start()", &seconds(start)).replace("@ end()", &seconds(end))
}

/// Whether the server, asked for what stands in a subquery at each of its steps, says what we say
/// of the whole. Prometheus reads `(x @ T)[2m:] offset -1m` as of `T - 1m` where the subquery's
/// first step falls on the instant of evaluation, since it then leaves an offset in `@` for which
/// it has accounted.
async fn is_other_in_a_subquery(
    world: &World,
    (node, part): (&Expr, &str),
    when: When,
    compared: &Compared,
) -> Result<bool> {
    let (ExprKind::Subquery(subquery), When::At(at), Ok(ours)) = (&node.kind, when, &compared.ours)
    else {
        return Ok(false);
    };
    let inner = subquery.expr.span;
    let inner = &part[inner.start - node.span.start..inner.end - node.span.start];
    let inner = with_ends_written_out(inner, when);
    let step = subquery.step_ms.unwrap_or(world.engine.options().subquery_step_ms);
    let last = match subquery.at {
        Some(At::Millis(fixed)) => fixed - subquery.offset_ms,
        _ => at - subquery.offset_ms,
    };
    let earliest = last - subquery.range_ms;
    let first = match world.dialect() {
        Dialect::V2 => earliest + (-earliest).rem_euclid(step),
        Dialect::V3 => earliest + step - earliest.rem_euclid(step),
    };
    let mut together = Points::new();
    for at in (first..=last).step_by(step as usize) {
        let Ok(found) = world.ask(&inner, When::At(at)).await?.server else { return Ok(false) };
        for (labels, values) in found {
            together.entry(labels).or_default().extend(values);
        }
    }
    Ok(bits(&together) == bits(ours))
}

/// Whether the server, asked for one quantile at a time, says what we say of all. Prometheus 3 makes
/// buckets sound in place for the first quantile and reads the others from what that leaves.
async fn is_other_with_several_quantiles(
    world: &World,
    (node, part): (&Expr, &str),
    when: When,
    compared: &Compared,
) -> Result<bool> {
    let (ExprKind::Call { function, args }, Ok(ours)) = (&node.kind, &compared.ours) else {
        return Ok(false);
    };
    let ("histogram_quantiles", [vector, label, quantiles @ ..]) =
        (function.name(), args.as_slice())
    else {
        return Ok(false);
    };
    let written =
        |arg: &Expr| &part[arg.span.start - node.span.start..arg.span.end - node.span.start];
    let mut together = Points::new();
    for quantile in quantiles {
        let (vector, label, quantile) = (written(vector), written(label), written(quantile));
        let one = format!("histogram_quantiles({vector}, {label}, {quantile})");
        let Ok(found) = world.ask(&one, when).await?.server else { return Ok(false) };
        for (labels, values) in found {
            together.entry(labels).or_default().extend(values);
        }
    }
    Ok(bits(&together) == bits(ours))
}

/// An answer to the bit: times and values by labels.
type Bits<'a> = BTreeMap<&'a Vec<(String, String)>, Vec<(i64, u64)>>;

fn bits(points: &Points) -> Bits<'_> {
    let of = |value: f64| if value.is_nan() { 0 } else { value.to_bits() };
    let values = |values: &BTreeMap<i64, f64>| values.iter().map(|(at, v)| (*at, of(*v))).collect();
    points.iter().map(|(labels, held)| (labels, values(held))).collect()
}
