//! What stands behind an expression: ranges, subqueries, `offset` and `@`.

use super::super::ast::{At, Expr, ExprKind, Subquery};
use super::super::check;
use super::super::error::ParseError;
use super::super::lexer::TokenKind;
use super::Parser;

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
                    *check::place_for_offset(self, &mut expr)? = offset;
                    expr.span.end = self.last_end();
                    expr
                }
                _ => return Ok(expr),
            };
        }
    }

    fn brackets(&mut self, expr: Expr, start: usize) -> Result<Expr, ParseError> {
        self.advance();
        let context = "subquery or range selector";
        let range_ms = self.duration(context)?;
        if self.takes(":") {
            let ends = self.peek() == &TokenKind::Mark("]");
            let step_ms = if ends { None } else { Some(self.duration(context)?) };
            self.expect("]", context)?;
            let subquery = Subquery { expr, range_ms, step_ms, at: None, offset_ms: 0 };
            return self.node(ExprKind::Subquery(Box::new(subquery)), start);
        }
        self.expect("]", context)?;
        let span = expr.span;
        match expr.kind {
            ExprKind::Selector(selector) => {
                if selector.offset_ms != 0 {
                    return Err(self.error_at(span, "no offset modifiers allowed before range"));
                }
                if selector.at.is_some() {
                    return Err(self.error_at(span, "no @ modifiers allowed before range"));
                }
                self.node(ExprKind::Range { selector, range_ms }, start)
            }
            _ => Err(self.error_at(span, "ranges only allowed for vector selectors")),
        }
    }

    /// A positive duration, or a positive number of seconds.
    fn duration(&mut self, context: &str) -> Result<i64, ParseError> {
        let millis = match self.peek() {
            TokenKind::Duration(millis) => *millis,
            TokenKind::Number(seconds) => self.millis(*seconds)?,
            _ => return Err(self.unexpected(context, "duration")),
        };
        if millis <= 0 {
            return Err(self.error("duration must be greater than 0"));
        }
        self.advance();
        Ok(millis)
    }

    fn millis(&self, seconds: f64) -> Result<i64, ParseError> {
        let millis = (seconds * 1000.0).round();
        // As far as Go's duration goes, in nanoseconds.
        if millis.is_finite() && millis.abs() < 9.2e15 {
            Ok(millis as i64)
        } else {
            Err(self.error("duration out of range"))
        }
    }

    fn offset(&mut self) -> Result<i64, ParseError> {
        let negative = self.takes("-");
        if !negative {
            self.takes("+");
        }
        let millis = match self.peek() {
            TokenKind::Duration(millis) => *millis,
            TokenKind::Number(seconds) => self.millis(*seconds)?,
            _ => return Err(self.unexpected("offset", "duration")),
        };
        self.advance();
        Ok(if negative { -millis } else { millis })
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
