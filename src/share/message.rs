//! Messages of programs and notes of persons, part by part.
//!
//! Of what a program prints, words of a list pass; of what a person writes, every plain word does. What stands
//! where a message names something, as after `lookup`, passes nowhere unless it is a public word.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex::Regex;

use super::message_words::is_of_messages;
use super::names::{Named, rewrite_names};
use super::text::{Class, Kind, Words, is_quantity};
use super::vocabulary::{is_pseudonym, is_public};

/// The path of a source file in the tree of its program, with the numbers of a line and a column.
static SOURCE_FILE: LazyLock<Regex> = LazyLock::new(|| {
    let folders =
        "components|src|server|pkg|cmd|client|tests|db|util|table|lib|raft|etcdserver|mvcc|wal";
    let pattern = format!(
        r"^(?<before>(?:/[^/:]+)*?/|)(?<own>(?:{folders})/(?:[\w.@+-]+/)*[\w+-]+\.(?:rs|go|cc|cpp|c|h|s|S)(?::\d+)*)$"
    );
    Regex::new(&pattern).expect("the pattern is valid")
});

/// A path in Rust's modules, as a backtrace names functions.
static FUNCTION: LazyLock<Regex> = LazyLock::new(|| {
    let segment = r"[A-Za-z_&*#][\w#&*$+-]*";
    Regex::new(&format!(r"^(?:::)?{segment}(?:::{segment})+(?:::)?$|^(?:::{segment})+(?:::)?$"))
        .expect("the pattern is valid")
});

/// What stands between a colon and an `@`, as a password does in a URL and in the name of a data source, or behind
/// the name of a password.
static PASSWORD: LazyLock<Regex> = LazyLock::new(|| {
    let named = "(?i:password|passwd|pwd|secret|token)=";
    Regex::new(&format!(
        "^(?:(?<before>.*?:)(?<password>[^:/@]+)(?<rest>@.*)|(?<name>.*?{named})(?<value>[^&=]+)(?<more>.*))$"
    ))
    .expect("the pattern is valid")
});

/// What separates the parts of a message that are looked at one by one.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;|‹›\\".contains(c)
}

/// The text with everything replaced that may name something.
pub fn message(text: &str, class: Class, words: &mut dyn Words) -> String {
    let mut written = String::with_capacity(text.len());
    let mut position = Position::default();
    let mut rest = text;
    while !rest.is_empty() {
        let mut start = rest.find(|c| !is_separator(c)).unwrap_or(rest.len());
        if rest[..start].ends_with('\\') && rest[start..].starts_with(['n', 't', 'r']) {
            // A line break that is escaped, as in a backtrace in one line.
            start += 1;
        }
        written.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(is_separator).unwrap_or(rest.len());
        let part = &rest[..end];
        let replaced = rewrite_part(part, (class, position.names_something()), words);
        position.pass(part);
        rest = &rest[end..];
        // The pseudonym of an address in brackets stands without them, as everywhere else.
        let is_in_brackets = written.ends_with('[') && rest.starts_with(']');
        if is_in_brackets && replaced != part && part.parse::<Ipv6Addr>().is_ok() {
            written.pop();
            rest = &rest[1..];
        }
        written.push_str(&replaced);
    }
    written
}

/// The two parts before the one that is looked at.
#[derive(Default)]
struct Position<'t> {
    last: &'t str,
    before: &'t str,
}

impl<'t> Position<'t> {
    fn pass(&mut self, part: &'t str) {
        if !part.is_empty() {
            self.before = std::mem::replace(&mut self.last, part);
        }
    }

    /// Whether a name follows: in errors of name services, of certificates and of logins.
    fn names_something(&self) -> bool {
        let is = |part: &str, name: &str| part.eq_ignore_ascii_case(name);
        is(self.last, "lookup")
            || is(self.last, "for") && is(self.before, "valid")
            || is(self.last, "user") && is(self.before, "for")
            || ["-u", "-p"].contains(&self.last)
            || ["user", "password", "database", "host", "hostname", "username", "schema"]
                .iter()
                .any(|name| {
                    is(self.last.trim_end_matches([':', '=']), name) && self.last.len() > name.len()
                })
    }
}

fn rewrite_part(part: &str, (class, names): (Class, bool), words: &mut dyn Words) -> String {
    let bare = part.trim_end_matches(['.', ':', '!', '?']);
    let end = &part[bare.len()..];
    if bare.is_empty() || is_quantity(bare) {
        return part.to_owned();
    }
    if let Some((before, password, rest)) = password(part) {
        let replaced = words.unlisted(password, Kind::User);
        return rewrite_part(before, (class, names), words)
            + replaced.as_deref().unwrap_or(password)
            + &rewrite_part(rest, (class, names), words);
    }
    let is_plain = bare.bytes().all(|byte| byte.is_ascii_lowercase());
    if class == Class::Note && is_plain {
        return words.listed(bare).unwrap_or_else(|| bare.to_owned()) + end;
    }
    if let Some(source) = source_file(bare, words) {
        return source + end;
    }
    if is_function(bare) {
        return part.to_owned();
    }
    let passes = if names { is_public } else { is_of_messages };
    let named = if names { Named::Everywhere } else { Named::InMessages };
    rewrite_names(part, named, words, &mut |word, kind, words| {
        if passes(word) { words.listed(word) } else { words.unlisted(word, kind) }
    })
}

/// What stands before a password in a part of a message, the password, and what stands behind it.
fn password(part: &str) -> Option<(&str, &str, &str)> {
    let found = PASSWORD.captures(part)?;
    let of = |name| found.name(name).map(|found| found.as_str());
    let (before, password, rest) = match of("password") {
        Some(password) => (of("before")?, password, of("rest")?),
        None => (of("name")?, of("value")?, of("more")?),
    };
    let is_one = !is_public(password) && !is_pseudonym(password) && !is_quantity(password);
    is_one.then_some((before, password, rest))
}

/// A source file in the tree of its program. The folder of the machine that built the program is replaced.
fn source_file(text: &str, words: &mut dyn Words) -> Option<String> {
    let found = SOURCE_FILE.captures(text)?;
    let (before, own) = (&found["before"], &found["own"]);
    let folder = before.strip_suffix('/').filter(|folder| !folder.is_empty());
    let Some(folder) = folder else { return Some(text.to_owned()) };
    let replaced = rewrite_names(folder, Named::Everywhere, words, &mut |word, kind, words| {
        if is_public(word) { words.listed(word) } else { words.unlisted(word, kind) }
    });
    Some(format!("{replaced}/{own}"))
}

/// Whether a part is the path of a function. Hexadecimal groups, as an address has, are none.
fn is_function(text: &str) -> bool {
    if !FUNCTION.is_match(text) {
        return false;
    }
    let segments: Vec<&str> = text.split("::").filter(|segment| !segment.is_empty()).collect();
    let is_hex = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    !segments.iter().all(is_hex)
        && (segments.len() > 2 || segments.iter().all(|segment| is_of_messages(segment)))
}
