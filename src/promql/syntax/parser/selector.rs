//! Series selectors: a metric's name and matchers on labels.

use crate::model::{Comparison, MatcherText};
use crate::promql::error::ParseError;
use crate::promql::syntax::ast::{RangeExtension, Selector};
use crate::promql::syntax::check;
use crate::promql::syntax::lexer::TokenKind;
use crate::promql::syntax::parser::Parser;

impl Parser<'_> {
    pub(super) fn selector(&mut self, name: Option<String>) -> Result<Selector, ParseError> {
        let mut matchers = Vec::new();
        let mut quoted_name = None;
        if self.takes("{") {
            while !self.takes("}") {
                self.matcher(&mut matchers, &mut quoted_name)?;
                if !self.takes(",") && self.peek() != &TokenKind::Mark("}") {
                    return Err(self.unexpected("label matching", "\",\" or \"}\""));
                }
            }
        }
        if let (Some(name), Some(quoted)) = (&name, &quoted_name) {
            let message = format!("metric name must not be set twice: {name:?} or {quoted:?}");
            return Err(self.error(message));
        }
        let quotes_name = quoted_name.is_some();
        if let Some(value) = name.or(quoted_name) {
            let twice = matchers.iter().find(|matcher| matcher.name == "__name__");
            if let Some(other) = twice {
                let message =
                    format!("metric name must not be set twice: {value:?} or {:?}", other.value);
                return Err(self.error(message));
            }
            let name = "__name__".to_owned();
            matchers.push(MatcherText { name, comparison: Comparison::Equal, value });
        }
        Ok(Selector {
            matchers,
            at: None,
            offset_ms: 0,
            extension: RangeExtension::None,
            quotes_name,
        })
    }

    fn matcher(
        &mut self,
        matchers: &mut Vec<MatcherText>,
        quoted_name: &mut Option<String>,
    ) -> Result<(), ParseError> {
        let context = "label matching";
        let name = match self.peek().clone() {
            TokenKind::Word(word) if !word.contains(':') => word,
            TokenKind::Text(text) => {
                let follows = self.tokens.get(self.next + 1).map(|token| &token.kind);
                if matches!(follows, Some(TokenKind::Mark("," | "}"))) {
                    if let Some(first) = quoted_name {
                        let message =
                            format!("metric name must not be set twice: {text:?} or {first:?}");
                        return Err(self.error(message));
                    }
                    self.advance();
                    *quoted_name = Some(text);
                    return Ok(());
                }
                text
            }
            _ => return Err(self.unexpected(context, "identifier or \"}\"")),
        };
        if name.is_empty() {
            return Err(self.error("invalid label name for matching: \"\""));
        }
        self.advance();
        let comparison = match self.peek() {
            TokenKind::Mark("=") => Comparison::Equal,
            TokenKind::Mark("!=") => Comparison::NotEqual,
            TokenKind::Mark("=~") => Comparison::Regex,
            TokenKind::Mark("!~") => Comparison::NotRegex,
            _ => return Err(self.unexpected(context, "label matching operator")),
        };
        self.advance();
        let TokenKind::Text(value) = self.peek().clone() else {
            return Err(self.unexpected(context, "string"));
        };
        let matcher = MatcherText { name, comparison, value };
        check::matcher(self, &matcher, self.span())?;
        self.advance();
        matchers.push(matcher);
        Ok(())
    }
}
