//! What follows an expression: ranges, subqueries, `offset` and `@`.

use crate::promql::error::ParseError;
use crate::promql::syntax::ast::{At, Expr, ExprKind, RangeExtension, Subquery};
use crate::promql::syntax::check;
use crate::promql::syntax::duration::DurationExpr;
use crate::promql::syntax::lexer::TokenKind;
use crate::promql::syntax::parser::Parser;
use crate::promql::syntax::parser::durations::Length;

impl Parser<'_> {
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let start = expr.span.start;
        loop {
            expr = match self.peek() {
                TokenKind::Mark("[") => self.brackets(expr, start)?,
                TokenKind::Mark("@") => {
                    self.advance();
                    let at = self.at()?;
                    *check::place_for_at(self, &mut expr)? = Some(at);
                    expr.span.end = self.last_end();
                    expr
                }
                TokenKind::Word(word) if word.eq_ignore_ascii_case("offset") => {
                    self.advance();
                    let offset = self.offset()?;
                    *check::place_for_offset(self, &mut expr)? = offset.millis;
                    if let Some(computed) = offset.computed {
                        expr.computed_durations.get_or_insert_default().offset = Some(computed);
                    }
                    expr.span.end = self.last_end();
                    expr
                }
                TokenKind::Word(word) if word.eq_ignore_ascii_case("anchored") => {
                    self.extended(expr, RangeExtension::Anchored)?
                }
                TokenKind::Word(word) if word.eq_ignore_ascii_case("smoothed") => {
                    self.extended(expr, RangeExtension::Smoothed)?
                }
                _ => return Ok(expr),
            };
        }
    }

    fn extended(&mut self, mut expr: Expr, extension: RangeExtension) -> Result<Expr, ParseError> {
        check::extend(self, &mut expr, extension)?;
        self.advance();
        expr.span.end = self.last_end();
        Ok(expr)
    }

    fn brackets(&mut self, expr: Expr, start: usize) -> Result<Expr, ParseError> {
        self.advance();
        let context = "subquery or range selector";
        let range = self.length(context)?;
        if self.takes(":") {
            let ends = self.peek() == &TokenKind::Mark("]");
            let step = if ends { None } else { Some(self.length(context)?) };
            self.expect("]", context)?;
            let step_ms = step.as_ref().map(|step| step.millis);
            let range_ms = range.millis;
            let subquery = Subquery { expr, range_ms, step_ms, at: None, offset_ms: 0 };
            let node = self.node(ExprKind::Subquery(Box::new(subquery)), start)?;
            return Ok(computed(node, range, step.and_then(|step| step.computed)));
        }
        self.expect("]", context)?;
        let span = expr.span;
        let has_offset = expr.computed_durations.is_some();
        match expr.kind {
            ExprKind::Selector(selector) => {
                if selector.offset_ms != 0 || has_offset {
                    return Err(self.error_at(span, "no offset modifiers allowed before range"));
                }
                if selector.at.is_some() {
                    return Err(self.error_at(span, "no @ modifiers allowed before range"));
                }
                let range_ms = range.millis;
                let node = self.node(ExprKind::Range { selector, range_ms }, start)?;
                Ok(computed(node, range, None))
            }
            _ => Err(self.error_at(span, "ranges only allowed for vector selectors")),
        }
    }

    pub(super) fn signed_number(&mut self, context: &str) -> Result<f64, ParseError> {
        let negative = self.takes("-");
        if !negative {
            self.takes("+");
        }
        let value = match self.peek().clone() {
            TokenKind::Number(value) => value,
            TokenKind::Duration(millis) => millis as f64 / 1000.0,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("inf") => f64::INFINITY,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("nan") => f64::NAN,
            _ => return Err(self.unexpected(context, "number")),
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    fn at(&mut self) -> Result<At, ParseError> {
        let word = self.keyword().filter(|_| self.opens_after_next());
        if let Some(word) = word.filter(|word| word == "start" || word == "end") {
            self.advance();
            self.expect("(", "@ modifier")?;
            self.expect(")", "@ modifier")?;
            return Ok(if word == "start" { At::Start } else { At::End });
        }
        let span = self.span();
        let seconds = self.signed_number("@ modifier")?;
        let millis = (seconds * 1000.0).round();
        if !millis.is_finite() || millis.abs() >= 9.2e18 {
            let message = format!("timestamp out of bounds for @ modifier: {seconds}");
            return Err(self.error_at(span, message));
        }
        Ok(At::Millis(millis as i64))
    }
}

/// Notes how a node's window and step are computed.
fn computed(mut node: Expr, range: Length, step: Option<DurationExpr>) -> Expr {
    if range.computed.is_some() || step.is_some() {
        let computed = node.computed_durations.get_or_insert_default();
        (computed.range, computed.step) = (range.computed, step);
    }
    node
}
