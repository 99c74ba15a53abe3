//! Checks of types and forms that the grammar does not make, with the messages of Prometheus.

use crate::model::{Comparison, MatcherText};
use crate::promql::error::ParseError;
use crate::promql::go_compat::regexp;
use crate::promql::syntax::ast::{
    At, Binary, Cardinality, Expr, ExprKind, RangeExtension, Selector, Span, ValueType,
    accepts_empty,
};
use crate::promql::syntax::functions::Function;
use crate::promql::syntax::operators::AggregateOp;
use crate::promql::syntax::parser::{Parser, is_instant};

/// Checks a node whose children have been checked.
pub(in crate::promql) fn node(parser: &Parser<'_>, expr: &Expr) -> Result<(), ParseError> {
    match &expr.kind {
        ExprKind::Call { function, args } => call(parser, expr, *function, args),
        ExprKind::Aggregate(aggregate) => {
            let context = "aggregation expression";
            wants(parser, &aggregate.expr, ValueType::Vector, context)?;
            if let (Some(wanted), Some(param)) = (aggregate.op.parameter(), &aggregate.param) {
                wants(parser, param, wanted, context)?;
                let literal = matches!(param.unwrapped().kind, ExprKind::String(_));
                if aggregate.op == AggregateOp::CountValues && !literal {
                    return Err(parser.error_at(param.span, "expected string literal"));
                }
            }
            Ok(())
        }
        ExprKind::Subquery(subquery) if subquery.expr.value_type() != ValueType::Vector => {
            let found = short(subquery.expr.value_type());
            let message =
                format!("subquery is only allowed on instant vector, got {found} instead");
            Err(parser.error_at(expr.span, message))
        }
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
            selects_something(parser, expr.span, selector)
        }
        _ => Ok(()),
    }
}

/// Checks the operand of a sign.
pub(in crate::promql) fn sign(
    parser: &Parser<'_>,
    operand: &Expr,
    start: usize,
) -> Result<(), ParseError> {
    if is_instant(operand.value_type()) {
        return Ok(());
    }
    let message = format!(
        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
        operand.value_type().documented()
    );
    Err(parser.error_at(Span { start, end: start }, message))
}

/// Checks a binary operation, whose operator is at `span`.
pub(in crate::promql) fn operator(
    parser: &Parser<'_>,
    binary: &Binary,
    span: Span,
) -> Result<(), ParseError> {
    let at = |span: Span, message: &str| Err(parser.error_at(span, message));
    let (left, right) = (binary.left.value_type(), binary.right.value_type());
    for (side, kind) in [(&binary.left, left), (&binary.right, right)] {
        if !is_instant(kind) {
            return at(
                side.span,
                "binary expression must contain only scalar and instant vector types",
            );
        }
    }
    if binary.returns_bool && !binary.op.is_comparison() {
        return at(span, "bool modifier can only be used on comparison operators");
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if binary.op.is_comparison() && scalars && !binary.returns_bool {
        return at(span, "comparisons between scalars must use BOOL modifier");
    }
    let matching = &binary.matching;
    let vectors = left == ValueType::Vector && right == ValueType::Vector;
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if !vectors {
        if binary.op.is_set() {
            let op = binary.op.symbol();
            let message = format!("set operator {op:?} not allowed in binary scalar expression");
            return at(span, &message);
        }
        if !matching.labels.is_empty() || matching.on {
            return at(span, "vector matching only allowed between instant vectors");
        }
        if fills {
            return at(span, "filling in missing series only allowed between instant vectors");
        }
    }
    if binary.op.is_set() && fills {
        return at(span, "filling in missing series not allowed for set operators");
    }
    if let (true, Cardinality::ManyToOne(labels) | Cardinality::OneToMany(labels)) =
        (matching.on, &matching.cardinality)
        && let Some(label) = labels.iter().find(|label| matching.labels.contains(label))
    {
        let message = format!("label {label:?} must not occur in ON and GROUP clause at once");
        return at(span, &message);
    }
    Ok(())
}

/// Checks a matcher, whose value is at `span`.
pub(in crate::promql) fn matcher(
    parser: &Parser<'_>,
    matcher: &MatcherText,
    span: Span,
) -> Result<(), ParseError> {
    if matches!(matcher.comparison, Comparison::Equal | Comparison::NotEqual) {
        return Ok(());
    }
    regexp::validate(&matcher.value).map_err(|why| parser.error_at(span, why))
}

/// The field of a selector or a subquery that an `@` modifier sets.
pub(in crate::promql) fn place_for_at<'e>(
    parser: &Parser<'_>,
    expr: &'e mut Expr,
) -> Result<&'e mut Option<At>, ParseError> {
    let span = expr.span;
    let slot = match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => &mut selector.at,
        ExprKind::Subquery(subquery) => &mut subquery.at,
        _ => {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(parser.error_at(span, message));
        }
    };
    if slot.is_some() {
        return Err(parser.error_at(span, "@ <timestamp> may not be set multiple times"));
    }
    Ok(slot)
}

/// The field of a selector or a subquery that an `offset` modifier sets.
pub(in crate::promql) fn place_for_offset<'e>(
    parser: &Parser<'_>,
    expr: &'e mut Expr,
) -> Result<&'e mut i64, ParseError> {
    let span = expr.span;
    let is_computed =
        expr.computed_durations.as_ref().is_some_and(|computed| computed.offset.is_some());
    let slot = match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => &mut selector.offset_ms,
        ExprKind::Subquery(subquery) => &mut subquery.offset_ms,
        _ => {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(parser.error_at(span, message));
        }
    };
    if *slot != 0 || is_computed {
        return Err(parser.error_at(span, "offset may not be set multiple times"));
    }
    Ok(slot)
}

/// Sets the range extension of a selector.
pub(in crate::promql) fn extend(
    parser: &Parser<'_>,
    expr: &mut Expr,
    extension: RangeExtension,
) -> Result<(), ParseError> {
    let span = expr.span;
    let name = extension.keyword();
    let selector = match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => selector,
        ExprKind::Subquery(_) => {
            let message = format!("{name} modifier is not supported for subqueries");
            return Err(parser.error_at(span, message));
        }
        _ => return Err(parser.error_at(span, format!("{name} modifier not implemented"))),
    };
    if selector.extension != RangeExtension::None && selector.extension != extension {
        let message = "anchored and smoothed modifiers cannot be used together";
        return Err(parser.error_at(span, message));
    }
    selector.extension = extension;
    Ok(())
}

fn call(
    parser: &Parser<'_>,
    expr: &Expr,
    function: Function,
    args: &[Expr],
) -> Result<(), ParseError> {
    let (signature, found) = (function.signature(), args.len());
    let name = signature.name;
    let arity = |how: &str, wanted: usize| {
        let message =
            format!("expected {how}{wanted} argument(s) in call to {name:?}, got {found}");
        Err(parser.error_at(expr.span, message))
    };
    let (required, most) = (signature.required, signature.most);
    if required == most && found != required {
        return arity("", required);
    }
    if found < required {
        return arity("at least ", required);
    }
    if found > most {
        return arity("at most ", most);
    }
    if let (Function::Info, Some(arg)) = (function, args.get(1)) {
        let ExprKind::Selector(selector) = &arg.kind else {
            return Err(parser.error_at(arg.span, "expected label selectors only"));
        };
        if selector.quotes_name || !parser.text_of(arg.span).starts_with('{') {
            let message = "expected label selectors only, got vector selector instead";
            return Err(parser.error_at(arg.span, message));
        }
    }
    for (index, arg) in args.iter().enumerate() {
        let wanted = signature.args[index.min(signature.args.len() - 1)];
        wants(parser, arg, wanted, &format!("call to function {name:?}"))?;
        if wanted == ValueType::String && !matches!(arg.unwrapped().kind, ExprKind::String(_)) {
            return Err(parser.error_at(arg.span, "expected string literal"));
        }
    }
    Ok(())
}

fn wants(
    parser: &Parser<'_>,
    expr: &Expr,
    wanted: ValueType,
    context: &str,
) -> Result<(), ParseError> {
    let found = expr.value_type();
    if found == wanted {
        return Ok(());
    }
    let message =
        format!("expected type {} in {context}, got {}", wanted.documented(), found.documented());
    Err(parser.error_at(expr.span, message))
}

fn selects_something(
    parser: &Parser<'_>,
    span: Span,
    selector: &Selector,
) -> Result<(), ParseError> {
    let narrows = |matcher: &MatcherText| !accepts_empty(matcher);
    if parser.takes_any_selector || selector.matchers.iter().any(narrows) {
        return Ok(());
    }
    Err(parser.error_at(span, "vector selector must contain at least one non-empty matcher"))
}

fn short(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}
