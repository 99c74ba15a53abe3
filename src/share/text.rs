//! Finds in a text the words and addresses that may name something of the reporter's, and puts others in
//! their place.
//!
//! Names of hosts and paths are found before, by `names.rs`. Of everything else, what separates words stays, and
//! two texts that share a word share its pseudonym.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::message::message;
use super::names::{Named, rewrite_names};
use super::vocabulary::is_public;

/// Where a text comes from, which decides what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A name, an address, a path, or text without a form of its own: only public words pass.
    Name,
    /// The name or the address of a host, a pod or a member of PD, which is replaced as a whole unless all of its
    /// words are public ones, as in `tikv-3`.
    Host,
    /// What a program prints: words that messages are made of pass too.
    Message,
    /// What a person wrote, or a command printed: plain words in lower case pass too.
    Note,
    /// Fixed by a program: all but addresses, long hexadecimal numbers and names known from elsewhere.
    Code,
}

/// What a replaced word was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An IP address.
    Address,
    /// The name of a host or a pod.
    Host,
    /// A part of the name of a host, a pod, a cluster or anything else.
    Name,
    /// What stands before an `@`.
    User,
    /// A part of a path.
    Path,
    /// A long hexadecimal number: a key, a hash, a token.
    Token,
}

/// Decides what stands in the place of a word.
pub trait Words {
    /// The pseudonym of a word that no list lets pass; `None` keeps it.
    fn unlisted(&mut self, word: &str, kind: Kind) -> Option<String>;

    /// The pseudonym of a word that passes, unless it names something elsewhere.
    fn listed(&mut self, word: &str) -> Option<String>;

    /// The pseudonym of a public word that belongs to the name of a host or to a path. `whole` is the path up to
    /// it, or the name from it on; the word alone is no secret.
    fn part(&mut self, whole: &str, kind: Kind) -> Option<String>;
}

/// An address in brackets or not, before anything else; a word otherwise. IPv4 is also found with hyphens, as
/// in `ip-10-0-1-13`, and behind letters. A MAC address names a machine as well.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let v4 = r"[\p{Alphabetic}_]*\d{1,3}(?:[.\-]\d{1,3}){3}";
    let v6 =
        r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?\]|[0-9A-Fa-f:]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*";
    let mac = r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b";
    let pattern = format!(r"(?<v4>{v4})|(?<mac>{mac})|(?<v6>{v6})|{WORD}");
    Regex::new(&pattern).expect("the pattern is valid")
});

/// A word: letters, digits and underscores of any script.
const WORD: &str = r"[\p{Alphabetic}\p{M}\p{N}_]+";

static ONLY_WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(WORD).expect("the pattern is valid"));

/// Sizes, durations, times and versions as Go, PD and Prometheus print them.
static QUANTITY: LazyLock<Regex> = LazyLock::new(|| {
    let unit = "(?:[kKMGTPE]i?B|B|ns|us|µs|ms|s|m|h|d|%)";
    let time = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?";
    let version =
        r"v?\d{1,3}\.\d{1,3}\.\d{1,3}(?:[-+](?:alpha|beta|rc|pre|nightly|dirty|ds)[.\d]*)*";
    let number = r"\d{1,12}(?:\.\d{1,24})?(?:[eE][+-]?\d{1,3})?";
    let pattern =
        format!("^(?:-?{number}{unit}?|-?(?:{number}{unit})+|{time}|{version}|[+-]?Inf|NaN)$");
    Regex::new(&pattern).expect("the pattern is valid")
});

/// Fewest digits at the end of a word that are an identifier by themselves.
const LONG_NUMBER: usize = 10;
/// Fewest hexadecimal digits of what is taken for a key, a hash or a token.
const LONG_HEX: usize = 16;

/// The text with everything replaced that `words` replaces.
pub fn rewrite(text: &str, class: Class, words: &mut dyn Words) -> String {
    if text.is_empty() || is_quantity(text) {
        return text.to_owned();
    }
    match class {
        Class::Name => rewrite_names(text, Named::WhereUnlisted, words, &mut by_public),
        Class::Host => rewrite_names(text, Named::Everywhere, words, &mut by_public),
        Class::Code => rewrite_names(text, Named::WhereKnown, words, &mut |word, kind, words| {
            let long_hex =
                word.len() >= LONG_HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            if kind == Kind::User || long_hex {
                words.unlisted(word, if long_hex { Kind::Token } else { kind })
            } else {
                words.listed(word)
            }
        }),
        Class::Message | Class::Note => message(text, class, words),
    }
}

fn by_public(word: &str, kind: Kind, words: &mut dyn Words) -> Option<String> {
    if is_public(word) { words.listed(word) } else { words.unlisted(word, kind) }
}

/// Whether a text is a size, a duration, a time, a number or a version. A number alone that is longer than a
/// timestamp is rather an identifier.
pub(super) fn is_quantity(text: &str) -> bool {
    QUANTITY.is_match(text) && (text.len() <= 13 || text.bytes().any(|byte| !byte.is_ascii_digit()))
}

/// What stands in the place of a word; `None` where it stays.
pub(super) type Replace<'a> = &'a mut dyn FnMut(&str, Kind, &mut dyn Words) -> Option<String>;

/// Appends a range of a text to `written`, with addresses and words replaced, and what stands between them.
pub(super) fn tokens(
    text: &str,
    range: Range<usize>,
    written: &mut String,
    words: &mut dyn Words,
    replace: Replace<'_>,
) {
    let mut done = range.start;
    for found in TOKEN.captures_iter(&text[range.clone()]) {
        let token = found.get(0).expect("the whole match is there");
        let (start, end) = (range.start + token.start(), range.start + token.end());
        written.push_str(&text[done..start]);
        done = end;
        let before = text[..start].chars().next_back();
        let is_address = match (found.name("v4"), found.name("v6")) {
            (Some(_), _) => true,
            (_, Some(_)) => v6(token.as_str(), before).is_some(),
            _ => false,
        };
        if found.name("mac").is_some() {
            let replaced = words.unlisted(token.as_str(), Kind::Address);
            written.push_str(replaced.as_deref().unwrap_or(token.as_str()));
        } else if !is_address {
            words_of(text, start..end, written, words, replace);
        } else if let Some(replaced) = address(token.as_str(), words) {
            written.push_str(&replaced);
        } else {
            written.push_str(token.as_str());
        }
    }
    written.push_str(&text[done..range.end]);
}

/// Whether an address of version 4 stands in a text, with dots or hyphens.
pub(super) fn has_v4(text: &str) -> bool {
    TOKEN.captures_iter(text).any(|found| found.name("v4").is_some())
}

/// The pseudonym of an address; `None` for those that every machine has.
fn address(text: &str, words: &mut dyn Words) -> Option<String> {
    if let Some(address) = v6(text, None) {
        let every = address.is_loopback() || address.is_unspecified();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        return if every { None } else { words.unlisted(bare, Kind::Address) };
    }
    let every =
        text.parse().is_ok_and(|v4: Ipv4Addr| v4 == Ipv4Addr::LOCALHOST || v4.is_unspecified());
    if every { None } else { words.unlisted(text, Kind::Address) }
}

/// The IPv6 address that a token is. What follows a word, as in `std::fs`, is none.
fn v6(token: &str, before: Option<char>) -> Option<Ipv6Addr> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let bare = token.trim_start_matches('[').trim_end_matches(']');
    bare.split('%').next()?.parse().ok()
}

fn words_of(
    text: &str,
    range: Range<usize>,
    written: &mut String,
    words: &mut dyn Words,
    replace: Replace<'_>,
) {
    let mut done = range.start;
    for found in ONLY_WORDS.find_iter(&text[range.clone()]) {
        let (start, end) = (range.start + found.start(), range.start + found.end());
        written.push_str(&text[done..start]);
        done = end;
        let kind = kind_by_neighbours(&text[..start], &text[end..]);
        let (head, number) = found.as_str().split_at(head_length(found.as_str()));
        for part in [head, number].into_iter().filter(|part| !part.is_empty()) {
            match replace(part, kind, words) {
                Some(replaced) => written.push_str(&replaced),
                None => written.push_str(part),
            }
        }
    }
    written.push_str(&text[done..range.end]);
}

/// Where in a word a long number begins, as in `cluster7711772636774947891`; otherwise its end.
fn head_length(word: &str) -> usize {
    let head = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = head.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if letters && word.len() - head.len() >= LONG_NUMBER { head.len() } else { word.len() }
}

fn kind_by_neighbours(before: &str, after: &str) -> Kind {
    if after.starts_with('@') {
        Kind::User
    } else if before.ends_with('/') && !before.ends_with("//") {
        Kind::Path
    } else {
        Kind::Name
    }
}

#[cfg(test)]
mod tests;
