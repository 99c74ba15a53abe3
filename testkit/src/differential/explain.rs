//! Finds the part of an expression at which the two sides begin to differ, and a small expression that
//! shows it.

use anyhow::Result;
use operator::promql::{Expr, ExprKind, Expression, Span, ValueType};

use super::contradictions::{contradiction, with_times_written_out};
use super::undecided::{is_resorted, is_tie};
use super::{Compared, When, World};
use crate::prometheus::api::{Points, Verdict};

/// How often the server is asked again before we are suspected.
const REPEATED: usize = 40;
/// Queries that one difference may take to be made smaller.
const TRIES: usize = 300;

/// Why two answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A part of the expression is rounded differently, within 1e-12, and the rest of it makes
    /// more of that: a comparison, a difference of almost equal numbers, a large power.
    Rounding,
    /// The server answers the same question in different ways: it walks a hash map, whose order
    /// decides between equal values and in sums, or says something else where the same is asked in
    /// another way.
    Server,
    /// The language leaves open which answer is right, as an experiment shows.
    Undecided,
    /// All parts are equal to the bit, and the whole is not: we are wrong.
    Ours,
}

/// A difference that was explained.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Why the answers differ.
    pub cause: Cause,
    /// The function or operator in which it arises, or how the server contradicts itself.
    pub at: String,
    /// A small expression that shows it.
    pub text: String,
    /// When it is evaluated.
    pub when: When,
    /// The first values that differ.
    pub why: String,
}

/// Asks both sides for every part of an expression on which they were seen to differ.
pub async fn explain(
    world: &World,
    text: &str,
    when: When,
    compared: &Compared,
) -> Result<Difference> {
    let mut difference = Difference {
        cause: Cause::Ours,
        at: "the whole".to_owned(),
        text: text.to_owned(),
        when,
        why: compared.why(),
    };
    if !repeats_itself(world, text, when, compared).await? {
        let at = "when asked again".to_owned();
        return Ok(Difference { cause: Cause::Server, at, ..difference });
    }
    // Parts are also asked for at instants, where `step()` and `range()` are zero.
    let written_out = with_times_written_out(text, when);
    let still_differs = world.ask(&written_out, when).await?.differs();
    let text = if still_differs { written_out.as_str() } else { text };
    let Ok(parsed) = Expression::parse(text) else { return Ok(difference) };
    let mut rounded: Vec<(Span, String)> = Vec::new();
    // Children come after their parents.
    for node in parsed.nodes().into_iter().rev() {
        let part = &text[node.span.start..node.span.end];
        for when in moments(node, when) {
            let compared = world.ask(part, when).await?;
            if compared.verdict == Verdict::Rounded {
                rounded.push((node.span, name(node)));
            }
            if !compared.differs() {
                continue;
            }
            let inside = rounded.iter().find(|(span, _)| within(*span, node.span));
            if let Some((_, at)) = inside {
                return Ok(Difference { cause: Cause::Rounding, at: at.clone(), ..difference });
            }
            difference.at = name(node);
            difference.when = when;
            if is_tie(node, &compared) || is_resorted(world, (node, part), when, &compared).await? {
                return Ok(Difference { cause: Cause::Undecided, ..difference });
            }
            if let Some(how) = contradiction(world, (node, part), when, &compared).await? {
                let at = how.to_owned();
                return Ok(Difference { cause: Cause::Server, at, ..difference });
            }
            difference.text = shrunk(world, part.to_owned(), when).await?;
            difference.why = world.ask(&difference.text, when).await?.why();
            return Ok(difference);
        }
    }
    Ok(difference)
}

/// Whether the server says the same, and so compares the same, each time that it is asked again.
async fn repeats_itself(
    world: &World,
    text: &str,
    when: When,
    compared: &Compared,
) -> Result<bool> {
    for _ in 0..REPEATED {
        let again = world.ask(text, when).await?;
        let same = match (&again.server, &compared.server) {
            (Ok(again), Ok(server)) => bits(again) == bits(server),
            (again, server) => again.is_ok() == server.is_ok(),
        };
        if !same || again.verdict != compared.verdict {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The values of an answer to the bit, in the order of labels and times.
fn bits(points: &Points) -> Vec<(i64, u64)> {
    let all = points.values().flatten();
    all.map(|(at, value)| (*at, if value.is_nan() { 0 } else { value.to_bits() })).collect()
}

/// The queries that show a part's values. A range vector can only be asked for at an instant.
fn moments(node: &Expr, when: When) -> Vec<When> {
    match (&node.kind, node.value_type()) {
        (ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Range { .. }, _) => Vec::new(),
        (_, ValueType::Matrix) => when.instants().map(When::At).collect(),
        _ => vec![when],
    }
}

fn name(node: &Expr) -> String {
    match &node.kind {
        ExprKind::Call { function, .. } => function.name().to_owned(),
        ExprKind::Aggregate(aggregate) => aggregate.op.name().to_owned(),
        ExprKind::Binary(binary) => format!("{:?} {}", binary.op, left_and_right(binary)),
        ExprKind::Negate(_) => "negation".to_owned(),
        ExprKind::Subquery(_) => "subquery".to_owned(),
        ExprKind::Paren(inner) => name(inner),
        _ => "selector".to_owned(),
    }
}

fn left_and_right(binary: &operator::promql::Binary) -> String {
    let kind = |side: &Expr| format!("{:?}", side.value_type()).to_lowercase();
    format!("of {} and {}", kind(&binary.left), kind(&binary.right))
}

fn within(inner: Span, outer: Span) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Replaces parts by smaller ones of the same type as long as the two sides differ.
async fn shrunk(world: &World, text: String, when: When) -> Result<String> {
    let mut smallest = text;
    let mut tries = 0;
    'again: loop {
        for candidate in smaller(&smallest) {
            tries += 1;
            if tries > TRIES {
                return Ok(smallest);
            }
            if world.ask(&candidate, when).await?.differs() {
                smallest = candidate;
                continue 'again;
            }
        }
        return Ok(smallest);
    }
}

/// Shorter expressions of the same type, the shortest first.
fn smaller(text: &str) -> Vec<String> {
    let Ok(parsed) = Expression::parse(text) else { return Vec::new() };
    let nodes = parsed.nodes();
    let cut = |span: Span| &text[span.start..span.end];
    let mut found = Vec::new();
    for outer in &nodes {
        let mut replace = |by: &str| {
            found.push(format!("{}{by}{}", &text[..outer.span.start], &text[outer.span.end..]));
        };
        match &outer.kind {
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
                // Without conditions and modifiers.
                if let (Some(metric), ExprKind::Selector(_)) = (selector.metric(), &outer.kind) {
                    replace(metric);
                }
                continue;
            }
            _ => {}
        }
        for inner in &nodes {
            let fits = within(inner.span, outer.span)
                && inner.value_type() == outer.value_type()
                && inner.span != outer.span;
            match inner.kind {
                ExprKind::Binary(_) if fits => replace(&format!("({})", cut(inner.span))),
                _ if fits => replace(cut(inner.span)),
                _ => {}
            }
        }
        if outer.value_type() == ValueType::Scalar && !matches!(outer.kind, ExprKind::Number(_)) {
            replace("1");
        }
    }
    found.retain(|candidate| candidate.len() < text.len());
    found.sort_by_key(String::len);
    found.dedup();
    found
}
