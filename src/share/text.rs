//! Finds in a text the words and addresses that may name something of the reporter's, and puts others in
//! their place.
//!
//! Whatever separates words stays, so that a host and its port, the labels of a DNS name, the parts of a path
//! and of a pod's name stay what they are, and two texts that share a word share its pseudonym.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use super::vocabulary::{is_of_messages, is_public};

/// Where a text comes from, which decides what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A name, an address, a path, or text without a form of its own: only public words pass.
    Name,
    /// Prose of a person or of a program: plain words in lower case pass too.
    Message,
    /// Fixed by a program: all but addresses, long hexadecimal numbers and names known from elsewhere.
    Code,
}

/// What a replaced word was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An IP address.
    Address,
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
}

/// An address in brackets or not, before anything else; a word otherwise. IPv4 is also found with hyphens, as
/// in `ip-10-0-1-13`, and behind letters.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let v4 = r"[\p{Alphabetic}_]*\d{1,3}(?:[.\-]\d{1,3}){3}";
    let v6 =
        r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?\]|[0-9A-Fa-f:]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*";
    let pattern = format!(r"(?<v4>{v4})|(?<v6>{v6})|{WORD}");
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
    let number = r"\d{1,12}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,3})?";
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
    if text.is_empty() || QUANTITY.is_match(text) && is_short_number(text) {
        return text.to_owned();
    }
    match class {
        Class::Name => tokens(text, words, &mut |word, kind, words| {
            if is_public(word) { words.listed(word) } else { words.unlisted(word, kind) }
        }),
        Class::Code => tokens(text, words, &mut |word, kind, words| {
            let long_hex =
                word.len() >= LONG_HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            if kind == Kind::User || long_hex {
                words.unlisted(word, if long_hex { Kind::Token } else { kind })
            } else {
                words.listed(word)
            }
        }),
        Class::Message => message(text, words),
    }
}

/// A quantity may be long, but a number alone that is longer than a timestamp is rather an identifier.
fn is_short_number(text: &str) -> bool {
    text.len() <= 13 || text.bytes().any(|byte| !byte.is_ascii_digit())
}

/// What separates the parts of a message that are looked at one by one.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;|".contains(c)
}

fn message(text: &str, words: &mut dyn Words) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(|c| !is_separator(c)).unwrap_or(rest.len());
        written.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = if rest.starts_with(|c| !is_separator(c)) {
            rest.find(is_separator).unwrap_or(rest.len())
        } else {
            0
        };
        written.push_str(&part_of_message(&rest[..end], words));
        rest = &rest[end..];
    }
    written
}

fn part_of_message(part: &str, words: &mut dyn Words) -> String {
    let bare = part.trim_end_matches(['.', ':', '!', '?']);
    let plain = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_lowercase());
    if plain {
        let kept = words.listed(bare).unwrap_or_else(|| bare.to_owned());
        return kept + &part[bare.len()..];
    }
    if QUANTITY.is_match(bare) && is_short_number(bare) {
        return part.to_owned();
    }
    tokens(part, words, &mut |word, kind, words| {
        if is_of_messages(word) { words.listed(word) } else { words.unlisted(word, kind) }
    })
}

type Replace<'a> = &'a mut dyn FnMut(&str, Kind, &mut dyn Words) -> Option<String>;

/// Replaces addresses and words, and keeps what stands between them.
fn tokens(text: &str, words: &mut dyn Words, replace: Replace<'_>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut done = 0;
    for found in TOKEN.captures_iter(text) {
        let token = found.get(0).expect("the whole match is there");
        written.push_str(&text[done..token.start()]);
        done = token.end();
        let before = text[..token.start()].chars().next_back();
        let is_address = match (found.name("v4"), found.name("v6")) {
            (Some(_), _) => true,
            (_, Some(_)) => v6(token.as_str(), before).is_some(),
            _ => false,
        };
        if !is_address {
            words_of(text, token.range(), &mut written, words, replace);
        } else if let Some(replaced) = address(token.as_str(), words) {
            written.push_str(&replaced);
        } else {
            written.push_str(token.as_str());
        }
    }
    written.push_str(&text[done..]);
    written
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
    range: std::ops::Range<usize>,
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
mod tests {
    use super::*;

    /// Writes what it replaces in angle brackets.
    struct Marked;

    impl Words for Marked {
        fn unlisted(&mut self, word: &str, kind: Kind) -> Option<String> {
            Some(format!("<{word}:{kind:?}>"))
        }

        fn listed(&mut self, word: &str) -> Option<String> {
            (word == "known").then(|| "<known>".to_owned())
        }
    }

    fn marked(text: &str, class: Class) -> String {
        rewrite(text, class, &mut Marked)
    }

    #[test]
    fn names_keep_their_form() {
        for (text, expected) in [
            ("10.77.0.20:20160", "<10.77.0.20:Address>:20160"),
            ("http://[fd00::1]:2379", "http://<fd00::1:Address>:2379"),
            ("145.63.124.208", "<145.63.124.208:Address>"),
            ("127.9.8.7", "<127.9.8.7:Address>"),
            ("fd00::1", "<fd00::1:Address>"),
            ("[::1]:2379", "[::1]:2379"),
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("ip-10-0-1-13.internal", "ip-<10-0-1-13:Address>.<internal:Name>"),
            (
                "acme-tikv-3.acme-tikv-peer.shop.svc:20160",
                "<acme:Name>-tikv-3.<acme:Name>-tikv-peer.<shop:Name>.svc:20160",
            ),
            ("/home/bob/pd0", "/home/<bob:Path>/pd0"),
            ("https://bob@db17x:1", "https://<bob:User>@<db17x:Name>:1"),
            ("10.229806477s", "10.229806477s"),
            ("v8.5.8", "v8.5.8"),
            ("4.167999999999999e-05", "4.167999999999999e-05"),
            ("2026-11-24T16:20:07.97702249Z", "2026-11-24T16:20:07.97702249Z"),
            ("7711772636774947891", "<7711772636774947891:Name>"),
            ("cluster7711772636774947891", "cluster<7711772636774947891:Name>"),
        ] {
            assert_eq!(marked(text, Class::Name), expected);
        }
    }

    #[test]
    fn messages_keep_plain_words() {
        for (text, expected) in [
            ("the disk of known was slow.", "the disk of <known> was slow."),
            ("Acme's db17x, bob@x.y!", "<Acme:Name>'s <db17x:Name>, <bob:User>@x.y!"),
            (
                "cannot reach http://10.0.0.1:2379/pd/api/v1/ping: client error (Connect)",
                "cannot reach http://<10.0.0.1:Address>:2379/pd/api/v1/ping: client error (Connect)",
            ),
            ("[PD:server:ErrLeaderNil]leader is nil", "[PD:server:ErrLeaderNil]leader is nil"),
            ("注 ✓", "<注:Name> ✓"),
        ] {
            assert_eq!(marked(text, Class::Message), expected);
        }
    }

    #[test]
    fn code_loses_addresses_and_what_is_known() {
        for (text, expected) in [
            ("balance-leader-scheduler", "balance-leader-scheduler"),
            ("mv peer: store [1] to [4]", "mv peer: store [1] to [4]"),
            ("to known", "to <known>"),
            ("std::fs::add", "std::fs::add"),
            ("at 16:26:55.586 of 10.1.2.3", "at 16:26:55.586 of <10.1.2.3:Address>"),
            ("7480000000000000FF", "<7480000000000000FF:Token>"),
        ] {
            assert_eq!(marked(text, Class::Code), expected);
        }
    }
}
