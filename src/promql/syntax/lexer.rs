//! Splits the text of an expression into tokens.

use crate::model::duration_ms;
use crate::promql::error::ParseError;
use crate::promql::syntax::ast::Span;

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// The kind of a token. Keywords are words: what a word means depends on its place.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    /// Letters, digits, underscores and colons.
    Word(String),
    /// A number, its value known.
    Number(f64),
    /// A duration in milliseconds.
    Duration(i64),
    /// A quoted string, unquoted.
    Text(String),
    /// Punctuation or an operator.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// Punctuation and operators, those of two characters first.
const MARKS: [&str; 24] = [
    "==", "!=", ">=", "<=", "=~", "!~", "+", "-", "*", "/", "%", "^", "=", ">", "<", "(", ")", "{",
    "}", "[", "]", ",", "@", ":",
];

/// All tokens of `text`; the last one is [`TokenKind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, position: 0, in_brackets: false };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token()?;
        match token.kind {
            TokenKind::Mark("[") => lexer.in_brackets = true,
            TokenKind::Mark("]") => lexer.in_brackets = false,
            _ => {}
        }
        let ended = token.kind == TokenKind::End;
        tokens.push(token);
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    position: usize,
    in_brackets: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn next_token(&mut self) -> Result<Token, ParseError> {
        self.skip_blank();
        let start = self.position;
        let rest = self.rest();
        let kind = match rest.chars().next() {
            None => TokenKind::End,
            Some('"' | '\'' | '`') => self.string()?,
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some('.') if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
            Some(c) if is_word_start(c) || (c == ':' && !self.in_brackets) => self.word(),
            Some(c) => {
                let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
                let mark =
                    mark.ok_or_else(|| self.error(start, format!("unexpected character: {c:?}")))?;
                self.position += mark.len();
                TokenKind::Mark(mark)
            }
        };
        Ok(Token { kind, span: Span { start, end: self.position } })
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, at, message)
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.position += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.position += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
        }
    }

    fn word(&mut self) -> TokenKind {
        let rest = self.rest();
        let end = rest.find(|c: char| !is_word(c) && c != ':').unwrap_or(rest.len());
        self.position += end;
        TokenKind::Word(rest[..end].to_owned())
    }

    fn number(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.position;
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let hex = bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X');
        let mut end = if hex { 2 } else { 0 };
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(|byte| {
                *byte == b'_' || if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() }
            }) {
                at += 1;
            }
            at
        };
        end = digits(end);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if !hex && matches!(bytes.get(end), Some(b'e' | b'E')) {
            end += 1;
            end += usize::from(matches!(bytes.get(end), Some(b'+' | b'-')));
            end = digits(end);
        }
        let word_end = rest[end..].find(|c: char| !is_word(c)).map_or(rest.len(), |at| end + at);
        self.position = start + word_end;
        let spelled = &rest[..word_end];
        let bad = || self.error(start, format!("bad number or duration syntax: {spelled:?}"));
        if rest[word_end..].starts_with('.') {
            return Err(bad());
        }
        if word_end == end {
            return parse_number(spelled).map(TokenKind::Number).ok_or_else(bad);
        }
        match duration_ms(spelled) {
            Some(millis) => Ok(TokenKind::Duration(millis)),
            None => Err(bad()),
        }
    }

    fn string(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.position;
        let rest = self.rest();
        let quote = rest.as_bytes()[0];
        let body = &rest[1..];
        let unterminated = || self.error(start, "unterminated quoted string");
        if quote == b'`' {
            let end = body.find('`').ok_or_else(|| self.error(start, "unterminated raw string"))?;
            self.position += end + 2;
            return Ok(TokenKind::Text(body[..end].to_owned()));
        }
        let mut bytes = Vec::with_capacity(16);
        let mut at = 0;
        loop {
            match *body.as_bytes().get(at).ok_or_else(unterminated)? {
                byte if byte == quote => break,
                b'\n' => return Err(unterminated()),
                b'\\' => {
                    let (taken, next) = unescape(&body[at..], quote)
                        .ok_or_else(|| self.error(start + 1 + at, "unknown escape sequence"))?;
                    bytes.extend_from_slice(&taken);
                    at += next;
                }
                byte => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        self.position += at + 2;
        let text =
            String::from_utf8(bytes).map_err(|_| self.error(start, "string is not UTF-8"))?;
        Ok(TokenKind::Text(text))
    }
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// The bytes that an escape sequence denotes, and its length in bytes, by the rules of Go.
fn unescape(text: &str, quote: u8) -> Option<(Vec<u8>, usize)> {
    let bytes = text.as_bytes();
    let simple = |byte: u8| Some((vec![byte], 2));
    let coded = |digits: usize| {
        let value = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        let mut buffer = [0; 4];
        let encoded = char::from_u32(value)?.encode_utf8(&mut buffer);
        Some((encoded.as_bytes().to_vec(), 2 + digits))
    };
    match *bytes.get(1)? {
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(11),
        b'\\' => simple(b'\\'),
        byte if byte == quote => simple(byte),
        b'x' => Some((vec![u8::from_str_radix(text.get(2..4)?, 16).ok()?], 4)),
        b'u' => coded(4),
        b'U' => coded(8),
        b'0'..=b'7' => Some((vec![u8::from_str_radix(text.get(1..4)?, 8).ok()?], 4)),
        _ => None,
    }
}

/// Reads a number as Go does: base prefixes, a leading zero for octal where it fits, else decimal.
pub fn parse_number(text: &str) -> Option<f64> {
    let compact: String =
        text.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase();
    if text.ends_with('_') || text.contains("__") {
        return None;
    }
    if let Some(hex) = compact.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|value| value as f64);
    }
    if compact.len() > 1
        && compact.starts_with('0')
        && let Ok(octal) = i64::from_str_radix(&compact[1..], 8)
    {
        return Some(octal as f64);
    }
    compact.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_go() {
        let cases =
            [("0755", 493.0), ("08", 8.0), ("0x1F", 31.0), ("1_000", 1000.0), ("5e-3", 0.005)];
        for (text, value) in cases {
            assert_eq!(parse_number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn escapes_are_those_of_go() {
        let Ok(tokens) = tokens(r#""a\x41\u00e9\n\"" 'it\'s' `\n`"#) else { panic!("it reads") };
        let texts: Vec<_> = tokens.iter().map(|token| token.kind.clone()).collect();
        let text = |text: &str| TokenKind::Text(text.to_owned());
        assert_eq!(texts, [text("aAé\n\""), text("it's"), text("\\n"), TokenKind::End]);
    }

    #[test]
    fn a_colon_in_brackets_is_a_mark_of_its_own() {
        let tokens = tokens("a:b[1m:2s]").expect("it reads");
        assert_eq!(tokens[0].kind, TokenKind::Word("a:b".to_owned()));
        assert_eq!(tokens[3].kind, TokenKind::Mark(":"));
    }
}
