//! RE2's regular expressions, as Go writes them, compiled by the `regex` crate.

use regex::{Regex, RegexBuilder};

use super::re2::translate;
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
///
/// # Errors
///
/// As [`validate`].
pub fn anchored(pattern: &str, dialect: Dialect) -> Result<Regex, String> {
    compiled(pattern, |body| match dialect {
        Dialect::V2 => format!("^(?:{body})$"),
        Dialect::V3 => format!("^(?s:{body})$"),
    })
}

/// Compiles a pattern that may match any part of a text, as Go's `regexp.Compile`.
///
/// # Errors
///
/// Why Go refuses the pattern, in words.
///
/// # Examples
///
/// ```
/// use operator::promql::go_regex;
/// assert!(go_regex(r" {.*}$")?.is_match("Peering {#cable}"));
/// assert!(!go_regex(r"\d")?.is_match("٣"));
/// # Ok::<(), String>(())
/// ```
pub fn go_regex(pattern: &str) -> Result<Regex, String> {
    compiled(pattern, |body| body)
}

fn compiled(pattern: &str, wrap: impl FnOnce(String) -> String) -> Result<Regex, String> {
    let refused = || format!("error parsing regexp: {pattern:?} is not a regular expression");
    let text = wrap(translate(pattern).ok_or_else(refused)?);
    let built = RegexBuilder::new(&text).size_limit(SIZE_LIMIT).nest_limit(100).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("regular expression {pattern:?} is too large"),
        _ => refused(),
    })
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
        assert!(matches("[a~~b-]", "~") && matches(r"[\d-z]+", "1-z") && matches("[-a]", "-"));
        assert!(matches(r"\p{L}+", "Zürich") && !matches(r"\PL", "a") && matches(r"\pN", "٣"));
        assert!(matches(r"[\p{Greek}_]+", "α_β") && matches(r"\p{^Lu}", "a"));
        assert!(matches(r"\x{1F600}\x41", "😀A") && matches(r"[\x{61}-\x63]", "b"));
        assert!(matches(r"a{01}", "a{01}") && matches(r"a{ 1}", "a{ 1}") && matches(r"\_", "_"));
        assert!(matches(r"(?ii-s:A)", "a") && matches(r"(?)a", "a") && matches("a{2}?", "aa"));
        assert!(matches(r".*\bé.*", "aé") && !matches(r".*\Bé.*", "aé"), "words are ASCII");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "(",
            "a**",
            "a{2}{3}",
            "a+?*",
            "[",
            "*",
            "(?=a)",
            "a{1001}",
            "a{1000000}",
            r"\Z",
            r"\1",
            r"\u0041",
            r"[\b]",
            "[[:foo:]]",
            "[b-a]",
            "[]",
            "(?x)a",
            "(?-)",
            r"\p{greek}",
            r"\p{L",
            r"\pl",
            r"\xg0",
            r"\x{110000}",
            r"\é",
            r"\",
            "(?P<a-b>c)",
        ] {
            assert!(validate(pattern).is_err(), "{pattern}");
        }
    }
}
