//! Takes values of the reporter's out of a line that is kept: keys, SQL, what TiKV marks as a value,
//! secrets by their names, and addresses, of which those of the cluster's nodes become the nodes' names.
//!
//! What an export replaces beyond that, such as paths and names, it replaces when it is made.

use std::sync::LazyLock;

use regex::Regex;

use super::address::{NodeNames, is_address};

/// A statement of SQL, from its first words to the end of the text: what ends it cannot be told.
static SQL: LazyLock<Regex> = LazyLock::new(|| {
    let object = "(?:table|database|schema|user|index|view|sequence|role|placement|resource)";
    let statements = [
        r"select\s.{0,400}?\sfrom\s".to_owned(),
        r"(?:insert|replace)\s+(?:ignore\s+)?into\s".to_owned(),
        r"update\s+\S+\s+set\s".to_owned(),
        r"delete\s+from\s".to_owned(),
        format!(r"(?:create|alter|drop|truncate)\s+(?:or\s+replace\s+)?{object}\s"),
        r"(?:grant|revoke)\s.{0,200}?\son\s".to_owned(),
        r"set\s+(?:password|@@|global\s|session\s)".to_owned(),
    ];
    Regex::new(&format!(r"(?is)\b(?:{}).*", statements.join("|"))).expect("the pattern is valid")
});

/// What a name ends with whose value is never kept.
const SECRET_NAMES: [&str; 16] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "access_key",
    "credential",
    "credentials",
    "authorization",
    "key",
    "keys",
    "primary",
    "value",
    "sql",
    "query",
    "user",
];

/// Fewest hexadecimal digits that are a key, a hash or a token.
const LONG_HEX: usize = 16;
/// Fewest characters of mixed kinds that are taken for a token.
const LONG_MIXED: usize = 16;

/// The text without what it must not hold.
pub fn redact(text: &str, names: &NodeNames) -> String {
    let text = SQL.replace(text, "<sql>");
    let mut redacted = Redacted { written: String::with_capacity(text.len()), names };
    redacted.run(&text);
    redacted.written
}

/// What separates the words of a line. Colons, slashes, dots and hyphens are parts of words.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;|=‹›".contains(c)
}

struct Redacted<'a> {
    written: String,
    names: &'a NodeNames,
}

impl Redacted<'_> {
    fn run(&mut self, text: &str) {
        let mut rest = text;
        // Whether the word before names a value that is never kept.
        let mut after_secret = false;
        while let Some(first) = rest.chars().next() {
            if first == '‹' {
                self.written.push_str("<value>");
                rest = rest.split_once('›').map_or("", |(_, rest)| rest);
            } else if after_secret && "\"'[{".contains(first) {
                self.written.push_str("<hidden>");
                rest = past_closing(rest, first);
                after_secret = false;
            } else if is_separator(first) {
                self.written.push(first);
                after_secret &= first == '=' || first.is_whitespace();
                rest = &rest[first.len_utf8()..];
            } else {
                let end = rest.find(is_separator).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if after_secret {
                    self.written.push_str("<hidden>");
                } else {
                    self.word(word);
                }
                after_secret = names_secret(word, after);
                rest = after;
            }
        }
    }

    fn word(&mut self, word: &str) {
        let core = word.trim_end_matches([':', '.', '!', '?']);
        let written = match core.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split('/').next().unwrap_or(rest);
                let is_plain = scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
                let scheme = if is_plain { scheme } else { "url" };
                format!("{scheme}://{}", self.address(host))
            }
            None if is_address(core) => self.address(core),
            None => match hidden(core) {
                Some(what) => what.to_owned(),
                None => core.to_owned(),
            },
        };
        self.written.push_str(&written);
        self.written.push_str(&word[core.len()..]);
    }

    fn address(&self, address: &str) -> String {
        self.names.of(address).map_or_else(|| "<addr>".to_owned(), |name| format!("<{name}>"))
    }
}

/// Whether `word`, with what follows it, names a value that is never kept: `start_key:`, `password=`.
fn names_secret(word: &str, after: &str) -> bool {
    if !(word.ends_with(':') || after.starts_with('=')) {
        return false;
    }
    let name = word.trim_end_matches(':').to_ascii_lowercase().replace('-', "_");
    SECRET_NAMES.iter().any(|secret| {
        let before = name.strip_suffix(secret);
        before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
    })
}

/// What follows the quote or bracket that closes the one at the beginning of a text.
fn past_closing(text: &str, open: char) -> &str {
    let close = match open {
        '[' => ']',
        '{' => '}',
        quote => quote,
    };
    let mut is_escaped = false;
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == close && at > 0 {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return &text[at + c.len_utf8()..];
            }
        } else if c == open {
            depth += 1;
        }
    }
    ""
}

/// What stands in the place of a word that must not be kept; `None` where it may.
fn hidden(word: &str) -> Option<&'static str> {
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let digits = count(u8::is_ascii_digit);
    let upper = count(u8::is_ascii_uppercase);
    let lower = count(u8::is_ascii_lowercase);
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_name = word.contains("::") || word.contains('_');
    if word.contains('@') {
        Some("<user>")
    } else if word.contains('\\') || has_percent_code(word) {
        Some("<bytes>")
    } else if is_hex
        && (word.len() >= LONG_HEX && digits < word.len() || is_short_key(word, digits))
    {
        Some("<hex>")
    } else if digits == word.len() && digits > 20 {
        Some("<number>")
    } else if word.len() >= LONG_MIXED && digits > 0 && upper > 0 && lower > 0 && !is_name
        || word.len() >= LONG_MIXED
            && digits >= 4
            && digits + upper + lower == word.len()
            && upper + lower > 0
    {
        Some("<token>")
    } else if !word.is_ascii() {
        Some("<text>")
    } else {
        None
    }
}

/// A short key in hexadecimal: digits and letters mixed, such as `7480000F`.
fn is_short_key(word: &str, digits: usize) -> bool {
    word.len() >= 8 && digits > 0 && digits < word.len()
}

fn has_percent_code(word: &str) -> bool {
    word.as_bytes().windows(3).any(|three| {
        three[0] == b'%' && three[1].is_ascii_hexdigit() && three[2].is_ascii_hexdigit()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        let names = NodeNames::new([("10.0.0.4:20160", "store 4")]);
        redact(text, &names)
    }

    #[test]
    fn values_go_and_the_sentence_stays() {
        for (text, expected) in [
            ("key ‹alice› not in region 12", "key <value> not in region 12"),
            (
                "range start_key: 748000FF, end_key: \"z\\\"y\", id: 4",
                "range start_key: <hidden>, end_key: <hidden>, id: 4",
            ),
            ("slow: SELECT name FROM users WHERE id = 4", "slow: <sql>"),
            ("lookup 7480000000000000FF in cf write", "lookup <hex> in cf write"),
            (
                "dial tcp 10.0.0.4:20160: connection refused",
                "dial tcp <store 4>: connection refused",
            ),
            ("dial tcp 10.9.9.9:1234 failed", "dial tcp <addr> failed"),
            ("http://root:pw@db.prod.svc:2379/pd failed", "http://<addr> failed"),
            ("password=hunter2 user: bob x", "password=<hidden> user: <hidden> x"),
            (r"t\200\000\000_r bytes", "<bytes> bytes"),
            ("token eyJhbGciOiJIUzI1NiJ9abc", "token <token>"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn what_explains_a_failure_stays() {
        for text in [
            "[region 12] 34 unexpected raft log index: last_index 5 < applied_index 8",
            "Corruption: block checksum mismatch in /data/db/000123.sst offset 4096 size 8192",
            "IO error: No space left on device: While appending to file",
            "RpcFailure: 14-UNAVAILABLE failed to connect to all addresses",
            "index out of bounds: the len is 3 but the index is 5",
            "update pd client",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_redacted_without_a_panic(text: String) {
            redacted(&text);
        }
    }
}
