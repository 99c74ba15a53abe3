//! RE2's regular expressions, as Go writes them, compiled by the `regex` crate.
//!
//! Both match the same way; the notations differ. In RE2 `\d`, `\w`, `\s` and `\b` are ASCII, `[`
//! is ordinary inside a class, a `{` that begins no repetition is ordinary, and there are octal
//! escapes and `\Q…\E`.

use regex::{Regex, RegexBuilder};

use crate::promql::dialect::Dialect;

/// The largest size of a compiled expression, in bytes.
const SIZE_LIMIT: usize = 16 << 20;

/// Checks that a pattern is a regular expression.
///
/// # Errors
///
/// The message of Prometheus where it is none, or where it is too large.
pub fn validate(pattern: &str) -> Result<(), String> {
    anchored(pattern, Dialect::V3).map(|_| ())
}

/// Compiles a pattern that has to match the whole text. Since Prometheus 3 a dot matches a
/// newline too.
pub fn anchored(pattern: &str, dialect: Dialect) -> Result<Regex, String> {
    let body = translate(pattern);
    let text = match dialect {
        Dialect::V2 => format!("^(?:{body})$"),
        Dialect::V3 => format!("^(?s:{body})$"),
    };
    let built = RegexBuilder::new(&text).size_limit(SIZE_LIMIT).nest_limit(100).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("regular expression {pattern:?} is too large"),
        _ => format!("error parsing regexp: {pattern:?} is not a regular expression"),
    })
}

/// Rewrites RE2's notation.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' => taken = escape(rest, in_class, &mut out),
            '[' if in_class && !rest.starts_with("[:") => out.push_str("\\["),
            '[' if in_class => {
                taken = rest.find(":]").map_or(1, |at| at + 2);
                out.push_str(&rest[..taken]);
            }
            '[' => {
                in_class = true;
                // A bracket or a hyphen right after the opening is an ordinary one.
                let negated = rest.starts_with("[^");
                taken = 1 + usize::from(negated);
                out.push_str(&rest[..taken]);
                if let Some(first @ (']' | '-')) = rest[taken..].chars().next() {
                    taken += 1;
                    out.push('\\');
                    out.push(first);
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && rest.starts_with("--") => {
                // A range up to a hyphen; `--` would be a difference.
                taken = 2;
                out.push_str("-\\-");
            }
            '{' if !in_class && !begins_repetition(rest) => out.push_str("\\{"),
            _ => out.push(c),
        }
        rest = &rest[taken..];
    }
    out
}

/// Writes the escape that `rest` begins with; returns how many bytes it takes.
fn escape(rest: &str, in_class: bool, out: &mut String) -> usize {
    let Some(c) = rest[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let class = |inside: &str, negated: bool| match (in_class, negated) {
        (true, false) => inside.to_owned(),
        (false, false) => format!("[{inside}]"),
        (_, true) => format!("[^{inside}]"),
    };
    match c {
        'd' | 'D' => out.push_str(&class("0-9", c == 'D')),
        'w' | 'W' => out.push_str(&class("0-9A-Za-z_", c == 'W')),
        's' | 'S' => out.push_str(&class(r"\t\n\x0c\r ", c == 'S')),
        'b' | 'B' => out.push_str(&format!("(?-u:\\{c})")),
        '<' | '>' => out.push(c),
        '0'..='7' if c == '0' || rest[2..].starts_with(|c: char| matches!(c, '0'..='7')) => {
            let digits = rest[1..].bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
            let digits = digits.count();
            let value = u32::from_str_radix(&rest[1..=digits], 8).unwrap_or_default();
            out.push_str(&format!("\\x{{{value:x}}}"));
            return 1 + digits;
        }
        'Q' => {
            let body = &rest[2..];
            let (quoted, taken) = match body.find("\\E") {
                Some(end) => (&body[..end], end + 4),
                None => (body, body.len() + 2),
            };
            out.push_str(&regex::escape(quoted));
            return taken;
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    1 + c.len_utf8()
}

/// Whether a text that starts with `{` starts with `{n}`, `{n,}` or `{n,m}`.
fn begins_repetition(text: &str) -> bool {
    let Some(end) = text.find('}') else { return false };
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, high)) => (low, Some(high)),
        None => (&text[1..end], None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && digits(low) && high.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        anchored(pattern, Dialect::V3).expect("the pattern compiles").is_match(text)
    }

    #[test]
    fn patterns_match_the_whole_text() {
        assert!(matches("a|b", "b") && !matches("a|b", "bc") && !matches("b", "ab"));
        assert!(matches("a.b", "a\nb"));
        assert!(!anchored("a.b", Dialect::V2).expect("it compiles").is_match("a\nb"));
    }

    #[test]
    fn notation_is_that_of_re2() {
        assert!(matches(r"\d", "1") && !matches(r"\d", "٣"), "digits are ASCII");
        assert!(matches(r"[\w.]+", "a_1.b") && !matches(r"\w", "é"));
        assert!(matches(r"[^\D]", "7") && !matches(r"[^\D]", "x"));
        assert!(matches("[[a]", "[") && matches("[[:alpha:]]", "q"));
        assert!(matches("a{b", "a{b") && matches("a{2}", "aa") && matches("a{,2}", "a{,2}"));
        assert!(matches(r"\Qa.b\E+", "a.bb") && matches(r"\101", "A"));
        assert!(matches("[a&&b]", "&") && matches("[]a]", "]") && matches("[+--]", ","));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "a**(", "[", "*", "(?=a)", "a{1000000}"] {
            assert!(validate(pattern).is_err(), "{pattern}");
        }
    }
}
