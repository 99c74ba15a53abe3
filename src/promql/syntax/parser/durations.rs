//! Durations in brackets and after `offset`, and arithmetic with them.

use crate::promql::error::ParseError;
use crate::promql::syntax::duration::{AllowedSign, DurationExpr, DurationOp, QueryTimes};
use crate::promql::syntax::lexer::TokenKind;
use crate::promql::syntax::parser::{MAX_DEPTH, Parser};

/// A duration as it is known before a query is evaluated.
pub(super) struct Length {
    /// Milliseconds; zero where they depend on the query.
    pub millis: i64,
    /// How it is computed, where it is not written as one number.
    pub computed: Option<DurationExpr>,
}

impl Parser<'_> {
    /// The length of a window or of a step.
    pub(super) fn length(&mut self, context: &str) -> Result<Length, ParseError> {
        let (start, level) = (self.span(), self.level);
        let duration = self.duration(1, context)?;
        self.level = level;
        self.known(duration, AllowedSign::Positive).map_err(|why| self.error_at(start, why))
    }

    /// An offset. Arithmetic begins with a parenthesis and may continue after it: `x offset (1m) +
    /// 2` looks 62 s back, whereas `x offset 1m + 2` and `x offset -(1m) + 2` add to `x`.
    pub(super) fn offset(&mut self) -> Result<Length, ParseError> {
        let (start, level) = (self.span(), self.level);
        let context = "offset";
        let duration = if self.peek() == &TokenKind::Mark("(") {
            self.duration(1, context)?
        } else if self.takes("-") {
            negated(self.operand(context)?)
        } else {
            self.takes("+");
            self.operand(context)?
        };
        self.level = level;
        self.known(duration, AllowedSign::Any).map_err(|why| self.error_at(start, why))
    }

    fn known(&self, duration: DurationExpr, sign: AllowedSign) -> Result<Length, &'static str> {
        if duration.depends_on_query() {
            return Ok(Length { millis: 0, computed: Some(duration) });
        }
        let millis = duration.millis(QueryTimes { step: 0, range: 0 }, sign)?;
        let written = matches!(duration, DurationExpr::Seconds(_));
        Ok(Length { millis, computed: (!written).then_some(duration) })
    }

    /// Counts a level, which is released at the end of the whole duration only, so that no duration
    /// has more parts than an expression may have levels.
    fn deepen(&mut self) -> Result<(), ParseError> {
        self.level += 1;
        if self.level > MAX_DEPTH { Err(self.too_deep()) } else { Ok(()) }
    }

    fn duration(&mut self, least: u8, context: &str) -> Result<DurationExpr, ParseError> {
        self.deepen()?;
        let negative = self.takes("-");
        let mut left = if negative || self.takes("+") {
            // A sign binds like `*`, so only `^` goes into its operand.
            let operand = self.duration(DurationOp::Pow.precedence(), context)?;
            if negative { negated(operand) } else { operand }
        } else {
            self.operand(context)?
        };
        while let Some(op) = self.duration_operator().filter(|op| op.precedence() >= least) {
            let span = self.span();
            self.advance();
            let above = if op == DurationOp::Pow { op.precedence() } else { op.precedence() + 1 };
            let right = self.duration(above, context)?;
            let by_zero = right == DurationExpr::Seconds(0.0);
            match op {
                DurationOp::Div if by_zero => return Err(self.error_at(span, "division by zero")),
                DurationOp::Mod if by_zero => return Err(self.error_at(span, "modulo by zero")),
                _ => left = DurationExpr::Binary(op, Box::new(left), Box::new(right)),
            }
        }
        Ok(left)
    }

    fn duration_operator(&self) -> Option<DurationOp> {
        let TokenKind::Mark(mark) = self.peek() else { return None };
        Some(match *mark {
            "+" => DurationOp::Add,
            "-" => DurationOp::Sub,
            "*" => DurationOp::Mul,
            "/" => DurationOp::Div,
            "%" => DurationOp::Mod,
            "^" => DurationOp::Pow,
            _ => return None,
        })
    }

    fn operand(&mut self, context: &str) -> Result<DurationExpr, ParseError> {
        let word = self.keyword().filter(|_| self.opens_after_next());
        let duration = match (self.peek().clone(), word.as_deref()) {
            (TokenKind::Duration(millis), _) => DurationExpr::Seconds(millis as f64 / 1000.0),
            (TokenKind::Number(seconds), _) => DurationExpr::Seconds(seconds),
            (TokenKind::Mark("("), _) => {
                self.advance();
                let inner = self.duration(1, context)?;
                self.expect(")", context)?;
                return Ok(match inner {
                    // A duration in parentheses counts as computed.
                    DurationExpr::Seconds(_) => plus(DurationExpr::Seconds(0.0), inner),
                    inner => inner,
                });
            }
            (_, Some("step" | "range")) => {
                self.advance();
                self.expect("(", context)?;
                self.expect(")", context)?;
                return Ok(if word.as_deref() == Some("step") {
                    DurationExpr::Step
                } else {
                    DurationExpr::Range
                });
            }
            (_, Some("min_of" | "max_of")) => {
                self.advance();
                self.expect("(", context)?;
                let left = self.duration(1, context)?;
                self.expect(",", context)?;
                let right = self.duration(1, context)?;
                self.expect(")", context)?;
                let least = word.as_deref() == Some("min_of");
                let op = if least { DurationOp::Least } else { DurationOp::Most };
                return Ok(DurationExpr::Binary(op, Box::new(left), Box::new(right)));
            }
            _ => return Err(self.unexpected(context, "number, duration, step(), or range()")),
        };
        self.advance();
        Ok(duration)
    }
}

fn plus(left: DurationExpr, right: DurationExpr) -> DurationExpr {
    DurationExpr::Binary(DurationOp::Add, Box::new(left), Box::new(right))
}

fn negated(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Seconds(seconds) => DurationExpr::Seconds(-seconds),
        other => DurationExpr::Binary(
            DurationOp::Sub,
            Box::new(DurationExpr::Seconds(0.0)),
            Box::new(other),
        ),
    }
}
