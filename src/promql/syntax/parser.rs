//! Text to tree, by precedence climbing over Prometheus's grammar.
//!
//! Types are checked in `check`. Recursion is bounded: a text that nests deeper than
//! [`MAX_DEPTH`] is refused.

mod durations;
mod modifiers;
mod selector;

use crate::promql::error::ParseError;
use crate::promql::syntax::ast::{
    Aggregate, Binary, Cardinality, Expr, ExprKind, Grouping, Matching, Selector, Span, ValueType,
};
use crate::promql::syntax::check;
use crate::promql::syntax::functions::Function;
use crate::promql::syntax::lexer::{self, Token, TokenKind};
use crate::promql::syntax::operators::{AggregateOp, BinaryOp};

/// Levels of nodes that an expression may have.
pub const MAX_DEPTH: usize = 300;

/// Bytes that an expression may have.
pub const MAX_BYTES: usize = 1 << 20;

/// Parses and checks an expression.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    if parser.peek() == &TokenKind::End {
        return Err(parser.error("no expression found in input"));
    }
    let expr = parser.binary(1)?;
    parser.expect_end()?;
    Ok(expr)
}

/// Parses a series selector, such as `up{job="tikv"}`.
pub fn parse_selector(text: &str) -> Result<Selector, ParseError> {
    let expr = parse(text)?;
    match expr.kind {
        ExprKind::Selector(selector) if selector.at.is_none() && selector.offset_ms == 0 => {
            Ok(selector)
        }
        _ => Err(ParseError::at(text, 0, "expected a series selector")),
    }
}

pub(in crate::promql) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    level: usize,
    /// Whether a selector may ask for nothing: that of `info`, which joins.
    pub(in crate::promql) takes_any_selector: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_BYTES {
            let message = format!("the expression is longer than {MAX_BYTES} bytes");
            return Err(ParseError::at(text, 0, message));
        }
        let tokens = lexer::tokens(text)?;
        Ok(Self { text, tokens, next: 0, level: 0, takes_any_selector: false })
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    fn span(&self) -> Span {
        self.tokens[self.next].span
    }

    /// Where the token before the next one ends.
    fn last_end(&self) -> usize {
        self.next.checked_sub(1).map_or(0, |last| self.tokens[last].span.end)
    }

    fn advance(&mut self) -> TokenKind {
        let kind = self.tokens[self.next].kind.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        kind
    }

    pub(in crate::promql) fn text_of(&self, span: Span) -> &str {
        &self.text[span.start..span.end]
    }

    pub(in crate::promql) fn error_at(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, span.start, message)
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        self.error_at(self.span(), message)
    }

    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let found = match self.peek() {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Word(word) => format!("identifier {word:?}"),
            TokenKind::Number(_) | TokenKind::Duration(_) => {
                format!("number {:?}", &self.text[self.span().start..self.span().end])
            }
            TokenKind::Text(text) => format!("string {text:?}"),
            TokenKind::Mark(mark) => format!("{mark:?}"),
        };
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        let expected =
            if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        self.error(format!("unexpected {found}{context}{expected}"))
    }

    fn takes(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), TokenKind::Mark(found) if *found == mark);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, mark: &str, context: &str) -> Result<(), ParseError> {
        if self.takes(mark) { Ok(()) } else { Err(self.unexpected(context, &format!("{mark:?}"))) }
    }

    fn expect_end(&self) -> Result<(), ParseError> {
        if self.peek() == &TokenKind::End { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    /// The next token as a keyword in lower case.
    fn keyword(&self) -> Option<String> {
        match self.peek() {
            TokenKind::Word(word) => Some(word.to_ascii_lowercase()),
            _ => None,
        }
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        let found = self.keyword().as_deref() == Some(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn opens_after_next(&self) -> bool {
        let after = self.tokens.get(self.next + 1);
        after.is_some_and(|token| token.kind == TokenKind::Mark("("))
    }

    pub(in crate::promql) fn node(&self, kind: ExprKind, start: usize) -> Result<Expr, ParseError> {
        let span = Span { start, end: self.last_end() };
        let mut expr = Expr { kind, span, depth: 1, computed_durations: None };
        let deepest = expr.children().iter().map(|child| child.depth).max().unwrap_or(0);
        expr.depth = deepest + 1;
        if expr.depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        check::node(self, &expr)?;
        Ok(expr)
    }

    fn too_deep(&self) -> ParseError {
        self.error(format!("the expression nests more than {MAX_DEPTH} levels deep"))
    }

    fn operator(&self) -> Option<BinaryOp> {
        use BinaryOp as Op;
        let op = match self.peek() {
            TokenKind::Mark(mark) => match *mark {
                "+" => Op::Add,
                "-" => Op::Sub,
                "*" => Op::Mul,
                "/" => Op::Div,
                "%" => Op::Mod,
                "^" => Op::Pow,
                "==" => Op::Eq,
                "!=" => Op::Ne,
                ">" => Op::Gt,
                "<" => Op::Lt,
                ">=" => Op::Ge,
                "<=" => Op::Le,
                _ => return None,
            },
            _ => match self.keyword()?.as_str() {
                "atan2" => Op::Atan2,
                "and" => Op::And,
                "or" => Op::Or,
                "unless" => Op::Unless,
                _ => return None,
            },
        };
        Some(op)
    }

    fn binary(&mut self, least: u8) -> Result<Expr, ParseError> {
        self.level += 1;
        if self.level > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let mut left = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.precedence() >= least) {
            let op_span = self.span();
            self.advance();
            let (returns_bool, matching) = self.modifiers(op)?;
            // Only `^` groups to the right.
            let above = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
            let right = self.binary(above)?;
            let start = left.span.start;
            let binary = Binary { op, left, right, matching, returns_bool };
            check::operator(self, &binary, op_span)?;
            left = self.node(ExprKind::Binary(Box::new(binary)), start)?;
        }
        self.level -= 1;
        Ok(left)
    }

    fn modifiers(&mut self, op: BinaryOp) -> Result<(bool, Matching), ParseError> {
        let returns_bool = self.takes_keyword("bool");
        let mut matching = Matching {
            on: false,
            labels: Vec::new(),
            cardinality: if op.is_set() { Cardinality::ManyToMany } else { Cardinality::OneToOne },
            fill_left: None,
            fill_right: None,
        };
        let on = self.keyword().as_deref() == Some("on");
        if (on || self.keyword().as_deref() == Some("ignoring")) && self.opens_after_next() {
            self.advance();
            matching.on = on;
            matching.labels = self.label_list()?;
            let left = self.keyword().as_deref() == Some("group_left");
            if left || self.keyword().as_deref() == Some("group_right") {
                if op.is_set() {
                    let message = format!("no grouping allowed for {:?} operation", op.symbol());
                    return Err(self.error(message));
                }
                self.advance();
                let opens = self.peek() == &TokenKind::Mark("(");
                let labels = if opens { self.label_list()? } else { Vec::new() };
                matching.cardinality = if left {
                    Cardinality::ManyToOne(labels)
                } else {
                    Cardinality::OneToMany(labels)
                };
            }
        }
        self.fills(&mut matching)?;
        Ok((returns_bool, matching))
    }

    fn fills(&mut self, matching: &mut Matching) -> Result<(), ParseError> {
        while self.opens_after_next() {
            let (left, right) = match self.keyword().as_deref() {
                Some("fill") => (true, true),
                Some("fill_left") => (true, false),
                Some("fill_right") => (false, true),
                _ => break,
            };
            self.advance();
            self.expect("(", "fill modifier")?;
            let value = self.signed_number("fill modifier")?;
            self.expect(")", "fill modifier")?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        let context = "grouping opts";
        self.expect("(", context)?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            let label = match self.peek().clone() {
                // Colons came with the names in quotes.
                TokenKind::Word(word) => word,
                TokenKind::Text(text) if !text.is_empty() => text,
                _ => return Err(self.unexpected(context, "label")),
            };
            self.advance();
            labels.push(label);
            if !self.takes(",") && self.peek() != &TokenKind::Mark(")") {
                return Err(self.unexpected(context, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let negative = self.peek() == &TokenKind::Mark("-");
        if !negative && self.peek() != &TokenKind::Mark("+") {
            let primary = self.primary()?;
            return self.postfix(primary);
        }
        self.advance();
        self.level += 1;
        if self.level > MAX_DEPTH {
            return Err(self.too_deep());
        }
        // A sign binds like `*`, so only `^` goes into its operand.
        let mut operand = self.binary(BinaryOp::Pow.precedence())?;
        self.level -= 1;
        check::sign(self, &operand, start)?;
        match &mut operand.kind {
            ExprKind::Number(value) => {
                *value = if negative { -*value } else { *value };
                operand.span.start = start;
                Ok(operand)
            }
            _ if !negative => Ok(operand),
            _ => self.node(ExprKind::Negate(Box::new(operand)), start),
        }
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            TokenKind::Number(value) => {
                self.advance();
                ExprKind::Number(value)
            }
            TokenKind::Duration(millis) => {
                self.advance();
                ExprKind::Number(millis as f64 / 1000.0)
            }
            TokenKind::Text(text) => {
                self.advance();
                ExprKind::String(text)
            }
            TokenKind::Mark("(") => {
                self.advance();
                let inner = self.binary(1)?;
                self.expect(")", "parentheses")?;
                ExprKind::Paren(Box::new(inner))
            }
            TokenKind::Mark("{") => ExprKind::Selector(self.selector(None)?),
            TokenKind::Word(word) => return self.word(&word, start),
            _ => return Err(self.unexpected("", "")),
        };
        self.node(kind, start)
    }

    fn word(&mut self, word: &str, start: usize) -> Result<Expr, ParseError> {
        let lower = word.to_ascii_lowercase();
        let named = AggregateOp::ALL.iter().find(|(name, _)| *name == lower);
        if let Some((_, op)) = named {
            let follows = self.tokens.get(self.next + 1).map(|token| &token.kind);
            let grouped = matches!(follows, Some(TokenKind::Word(next))
                if ["by", "without"].contains(&next.to_ascii_lowercase().as_str()));
            if grouped || self.opens_after_next() {
                self.advance();
                return self.aggregate(*op, start);
            }
        }
        if self.opens_after_next() {
            let function = Function::from_name(word)
                .ok_or_else(|| self.error(format!("unknown function with name {word:?}")))?;
            self.advance();
            let args = self.arguments(Some(function))?;
            return self.node(ExprKind::Call { function, args }, start);
        }
        if matches!(lower.as_str(), "inf" | "nan") {
            self.advance();
            let value = if lower == "inf" { f64::INFINITY } else { f64::NAN };
            return self.node(ExprKind::Number(value), start);
        }
        if matches!(
            lower.as_str(),
            "on" | "ignoring" | "bool" | "group_left" | "group_right" | "atan2"
        ) {
            return Err(self.unexpected("", ""));
        }
        self.advance();
        let selector = self.selector(Some(word.to_owned()))?;
        self.node(ExprKind::Selector(selector), start)
    }

    /// The arguments of a function, or of an aggregation where no function is given.
    fn arguments(&mut self, function: Option<Function>) -> Result<Vec<Expr>, ParseError> {
        self.expect("(", "function call")?;
        let mut args = Vec::new();
        if self.takes(")") {
            return Ok(args);
        }
        loop {
            let before = self.takes_any_selector;
            self.takes_any_selector = function == Some(Function::Info) && args.len() == 1;
            let arg = self.binary(1);
            self.takes_any_selector = before;
            args.push(arg?);
            if self.takes(")") {
                return Ok(args);
            }
            self.expect(",", "function call")?;
            if self.peek() == &TokenKind::Mark(")") {
                return Err(self.error("trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp, start: usize) -> Result<Expr, ParseError> {
        let mut grouping = self.grouping()?;
        let mut args = self.arguments(None)?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let wanted = 1 + usize::from(op.parameter().is_some());
        if args.is_empty() {
            let message = format!("no arguments for aggregate expression {:?} provided", op.name());
            return Err(self.error_at(Span { start, end: start }, message));
        }
        if args.len() != wanted {
            let found = args.len();
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {found}"
            );
            return Err(self.error_at(Span { start, end: start }, message));
        }
        let expr = args.pop().expect("there is at least one argument");
        let grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
        let aggregate = Aggregate { op, expr, param: args.pop(), grouping };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), start)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        if self.takes_keyword("by") {
            Ok(Some(Grouping::By(self.label_list()?)))
        } else if self.takes_keyword("without") {
            Ok(Some(Grouping::Without(self.label_list()?)))
        } else {
            Ok(None)
        }
    }
}

/// Whether an expression of this type can be a query's result or an argument.
pub(in crate::promql) fn is_instant(kind: ValueType) -> bool {
    matches!(kind, ValueType::Scalar | ValueType::Vector)
}
