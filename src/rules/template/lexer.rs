//! Splits a template into text and the tokens of its actions.

/// A token of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Plain text between actions.
    Text(String),
    /// The end of an action.
    End,
    /// A word: a keyword, a function, `true`, `nil`.
    Word(String),
    /// `$name`; holds the name without `$`.
    Variable(String),
    /// `.name`; `attached` if it directly follows the operand that it belongs to.
    Field { name: String, attached: bool },
    /// A single `.`, the current value.
    Dot,
    /// A string in quotes or backquotes.
    String(String),
    /// An integer or a character constant.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// The pipe `|` between commands.
    Pipe,
    /// The declaration sign `:=`.
    Declare,
    /// The assignment sign `=`.
    Assign,
    /// The comma between two variables.
    Comma,
    /// An opening parenthesis `(`.
    Open,
    /// A closing parenthesis `)`.
    Close,
}

/// Splits a template into tokens.
pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let (mut rest, mut trim) = (text, false);
    while let Some(start) = rest.find("{{") {
        let mut plain = &rest[..start];
        let mut action = &rest[start + 2..];
        if trim {
            plain = plain.trim_start_matches(BLANKS);
        }
        if let Some(after) = action.strip_prefix('-').filter(|after| after.starts_with(BLANKS)) {
            plain = plain.trim_end_matches(BLANKS);
            action = after;
        }
        if !plain.is_empty() {
            tokens.push(Token::Text(plain.to_owned()));
        }
        (rest, trim) = if action.trim_start_matches(BLANKS).starts_with("/*") {
            comment(action)?
        } else {
            let end = action_tokens(action, &mut tokens)?;
            tokens.push(Token::End);
            end
        };
    }
    let plain = if trim { rest.trim_start_matches(BLANKS) } else { rest };
    if !plain.is_empty() {
        tokens.push(Token::Text(plain.to_owned()));
    }
    Ok(tokens)
}

/// Characters that Go treats as blank in a template.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn comment(action: &str) -> Result<(&str, bool), String> {
    let (_, after) = action.split_once("*/").ok_or("unclosed comment")?;
    end_of_action(after).ok_or_else(|| "comment ends before closing delimiter".to_owned())
}

/// The text after the end of an action, and whether blanks at its start are trimmed.
fn end_of_action(rest: &str) -> Option<(&str, bool)> {
    if let Some(after) = rest.strip_prefix("}}") {
        return Some((after, false));
    }
    let trimmed = rest.trim_start_matches(BLANKS);
    (trimmed.len() < rest.len())
        .then(|| trimmed.strip_prefix("-}}"))
        .flatten()
        .map(|after| (after, true))
}

fn action_tokens<'a>(action: &'a str, tokens: &mut Vec<Token>) -> Result<(&'a str, bool), String> {
    let mut rest = action;
    let mut attached = false;
    loop {
        if let Some(end) = end_of_action(rest) {
            return Ok(end);
        }
        let first = rest.chars().next().ok_or("unclosed action")?;
        if BLANKS.contains(&first) {
            rest = &rest[1..];
            attached = false;
            continue;
        }
        let (token, taken) = match first {
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '=' => (Token::Assign, 1),
            '$' => {
                let word = word(&rest[1..]);
                (Token::Variable(word.to_owned()), 1 + word.len())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                if name.is_empty() {
                    (Token::Dot, 1)
                } else {
                    (Token::Field { name: name.to_owned(), attached }, 1 + name.len())
                }
            }
            '"' => quoted(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::String(rest[1..=end].to_owned()), end + 2)
            }
            '\'' => character(rest)?,
            '+' | '-' | '.' | '0'..='9' => number(rest)?,
            _ => {
                let word = word(rest);
                if word.is_empty() {
                    return Err(format!("unexpected {first:?} in an action"));
                }
                (Token::Word(word.to_owned()), word.len())
            }
        };
        attached =
            matches!(token, Token::Variable(_) | Token::Field { .. } | Token::Close | Token::Dot);
        tokens.push(token);
        rest = &rest[taken..];
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::String(value), at + 1)),
            '\n' => break,
            '\\' => value.push(escaped(&mut chars)?),
            c => value.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn character(text: &str) -> Result<(Token, usize), String> {
    let mut chars = text.char_indices().skip(1);
    let value = match chars.next() {
        Some((_, '\\')) => Some(escaped(&mut chars)?),
        Some((_, c)) if c != '\'' => Some(c),
        _ => None,
    };
    match (value, chars.next()) {
        (Some(value), Some((at, '\''))) => Ok((Token::Int(i64::from(u32::from(value))), at + 1)),
        _ => Err("malformed character constant".to_owned()),
    }
}

/// Decodes an escape sequence after its backslash.
fn escaped(chars: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let malformed = || "malformed escape in a string".to_owned();
    let digits = match chars.next().ok_or_else(malformed)?.1 {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        plain @ ('\\' | '"' | '\'') => return Ok(plain),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(malformed()),
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        let digit = chars.next().and_then(|(_, c)| c.to_digit(16)).ok_or_else(malformed)?;
        code =
            code.checked_mul(16).and_then(|code| code.checked_add(digit)).ok_or_else(malformed)?;
    }
    char::from_u32(code).ok_or_else(malformed)
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let mut end = 1;
    while end < bytes.len() {
        let sign = matches!(bytes[end], b'+' | b'-') && matches!(bytes[end - 1], b'e' | b'E');
        if !(bytes[end].is_ascii_alphanumeric() || bytes[end] == b'.' || sign) {
            break;
        }
        end += 1;
    }
    let written = &text[..end];
    let wrong = || format!("bad number syntax: {written:?}");
    let (negative, digits) = match written.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    let whole = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    let token = match whole {
        Some(whole) => Token::Int(if negative { -whole } else { whole }),
        None => {
            if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return Err(wrong());
            }
            let value: f64 = digits.parse().map_err(|_| wrong())?;
            Token::Float(if negative { -value } else { value })
        }
    };
    Ok((token, end))
}
