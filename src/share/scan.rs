//! Looks for originals in what is about to be handed out: in everything that a reader decodes of it, and in
//! its bytes as they are.
//!
//! It shares nothing with the code that puts pseudonyms in: it knows the secrets, finds addresses by itself,
//! and knows the ways in which text is written inside other text.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::bytes::Regex;

use crate::capture::{CaptureError, CaptureReader, PdOrder, PdVisit};
use crate::model::{PdOutcome, TimeRange};

/// Fewest bytes of a secret that is looked for in decoded text, where it has to stand alone.
const SHORTEST: usize = 3;
/// Fewest bytes of a secret that is looked for within words, encoded, or in compressed bytes: shorter ones
/// are found there by chance.
const SHORTEST_WITHIN: usize = 6;

/// An address of either version, or what stands before and behind an `@`.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?-u)\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){3,7}|[\w.+-]+@[\w-]+\.[\w.-]+";
    Regex::new(pattern).expect("the pattern is valid")
});

/// Whether a text is the MAC address of an interface, other than of one that has none.
fn is_mac(text: &str) -> bool {
    let groups: Vec<&str> = text.split(':').collect();
    groups.len() == 6
        && groups.iter().all(|group| group.len() == 2)
        && groups.iter().any(|group| *group != "00")
}

/// What must not be found.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeSet<Vec<u8>>);

impl Secrets {
    /// Adds a secret. Short ones and numbers of up to six digits are found everywhere and are left out.
    pub fn add(&mut self, secret: &[u8]) {
        let is_short_number = secret.len() <= 6 && secret.iter().all(u8::is_ascii_digit);
        if secret.len() >= SHORTEST && !is_short_number {
            self.0.insert(secret.to_vec());
        }
    }

    /// Adds a key of a region: as text only where it is long, since short ones are ordinary words.
    pub fn add_key(&mut self, key: &[u8]) {
        let hexadecimal: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(hexadecimal.as_bytes());
        let says_something = key.iter().any(|byte| byte != &key[0]);
        if key.len() >= SHORTEST_WITHIN + SHORTEST && says_something {
            self.add(key);
        }
    }

    /// Adds the addresses in a text, other than those that every machine has.
    fn add_addresses(&mut self, text: &[u8]) {
        for found in ADDRESS.find_iter(text) {
            let text = String::from_utf8_lossy(found.as_bytes());
            let parsed: Option<std::net::IpAddr> = text.parse().ok();
            let every = ["127.0.0.1", "0.0.0.0", "::1", "::"].contains(&&*text);
            // Pseudonyms of users, as they stand in what was redacted before.
            let pseudonym = text.strip_prefix("user-").is_some_and(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('@')
            });
            if !every && !pseudonym && (parsed.is_some() || text.contains('@') || is_mac(&text)) {
                self.add(found.as_bytes());
            }
        }
    }

    /// Adds the addresses in everything that a capture holds.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be read.
    pub fn add_addresses_of(&mut self, reader: &CaptureReader) -> Result<(), CaptureError> {
        decoded(reader, &mut |_, text| self.add_addresses(text))
    }

    /// Those that are more than letters: addresses, names with digits, dots or hyphens, keys.
    pub fn without_words(&self) -> Self {
        Self(self.0.iter().filter(|secret| !is_word(secret)).cloned().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The addresses that stand in a capture, as leaks.
///
/// # Errors
///
/// [`CaptureError`] where it cannot be read.
pub fn addresses_in(reader: &CaptureReader) -> Result<Vec<Leak>, CaptureError> {
    let mut leaks = BTreeSet::new();
    decoded(reader, &mut |place, text| {
        leaks.extend(addresses_of(place, text));
    })?;
    Ok(leaks.into_iter().collect())
}

/// The addresses that stand in a text, as leaks.
pub fn addresses_of(place: &str, text: &[u8]) -> Vec<Leak> {
    let mut found = Secrets::default();
    found.add_addresses(text);
    let leak = |secret: &Vec<u8>| Leak {
        place: place.to_owned(),
        encoding: PLAIN,
        secret: String::from_utf8_lossy(secret).into_owned(),
    };
    found.0.iter().map(leak).collect()
}

/// A secret that was found where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The part of the file.
    pub place: String,
    /// How the secret is written there.
    pub encoding: &'static str,
    /// The secret. It is for the reporter alone.
    pub secret: String,
}

/// Looks for secrets in any number of texts.
pub struct Scanner {
    automaton: AhoCorasick,
    needles: Vec<Needle>,
    /// Secrets that are words of this program's own text in the file.
    own_words: BTreeSet<Vec<u8>>,
    leaks: BTreeSet<Leak>,
}

struct Needle {
    secret: Vec<u8>,
    encoding: &'static str,
    /// Whether it counts only between bytes that are no part of a word.
    alone: bool,
    length: usize,
}

impl Needle {
    fn leak(&self, place: &str) -> Leak {
        Leak {
            place: place.to_owned(),
            encoding: self.encoding,
            secret: String::from_utf8_lossy(&self.secret).into_owned(),
        }
    }
}

impl Scanner {
    /// A scanner for these secrets.
    ///
    /// # Errors
    ///
    /// [`aho_corasick::BuildError`] where there are more than four gigabytes of them.
    pub fn new(secrets: &Secrets) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        let mut needles = Vec::new();
        for secret in &secrets.0 {
            for (encoding, pattern) in encodings(secret) {
                let length = pattern.len();
                let alone = encoding == PLAIN && secret.len() < 2 * SHORTEST_WITHIN;
                needles.push(Needle { secret: secret.clone(), encoding, alone, length });
                patterns.push(pattern);
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)?;
        Ok(Self { automaton, needles, own_words: BTreeSet::new(), leaks: BTreeSet::new() })
    }

    /// Looks into decoded text.
    pub fn text(&mut self, place: &str, text: &[u8]) {
        self.look(place, text, 0);
    }

    /// Looks into bytes that mean something else than text.
    pub fn raw(&mut self, place: &str, bytes: &[u8]) {
        self.look(place, bytes, SHORTEST_WITHIN);
    }

    fn look(&mut self, place: &str, text: &[u8], shortest: usize) {
        // What is looked into as bytes holds the text in which a word is no leak.
        let is_own = |needle: &&Needle| shortest > 0 && self.own_words.contains(&needle.secret);
        let counts = |needle: &&Needle| needle.secret.len() >= shortest && !is_own(needle);
        let found: Vec<Leak> = self.hits(text).filter(counts).map(|one| one.leak(place)).collect();
        self.leaks.extend(found);
    }

    /// The secrets that stand in a text, once for each place.
    fn hits<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = &'t Needle> {
        self.automaton.find_overlapping_iter(text).filter_map(move |found| {
            let needle = &self.needles[found.pattern().as_usize()];
            let is_part = |byte: Option<&u8>| {
                byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            };
            let start = found.end() - needle.length;
            let before = start.checked_sub(1).and_then(|at| text.get(at));
            let within = is_part(before) || is_part(text.get(found.end()));
            (!(needle.alone && within)).then_some(needle)
        })
    }

    /// Looks into everything that a capture holds.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be read.
    pub fn capture(&mut self, reader: &CaptureReader) -> Result<(), CaptureError> {
        decoded(reader, &mut |place, text| self.text(place, text))
    }

    /// As [`capture`](Self::capture), of a file that this program exports. What it says of the export itself follows
    /// from redacted content, so a name that is an ordinary word, such as `disk`, is none there.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be read.
    pub fn export(&mut self, reader: &CaptureReader) -> Result<(), CaptureError> {
        decoded(reader, &mut |place, text| match place {
            OWN_TEXT => self.own_text(text),
            place => self.text(place, text),
        })
    }

    fn own_text(&mut self, text: &[u8]) {
        let is_word = |needle: &&Needle| needle.encoding == PLAIN && is_word(&needle.secret);
        let (words, others): (Vec<&Needle>, Vec<&Needle>) = self.hits(text).partition(is_word);
        let words: Vec<Vec<u8>> = words.into_iter().map(|one| one.secret.clone()).collect();
        let leaks: Vec<Leak> = others.into_iter().map(|one| one.leak(OWN_TEXT)).collect();
        self.own_words.extend(words);
        self.leaks.extend(leaks);
    }

    /// What was found, ascending by place.
    pub fn into_leaks(self) -> Vec<Leak> {
        self.leaks.into_iter().collect()
    }
}

const PLAIN: &str = "plain";
/// What the metadata says of the export, which this program wrote.
const OWN_TEXT: &str = "what is said of the export";

fn is_word(secret: &[u8]) -> bool {
    secret.iter().all(u8::is_ascii_alphabetic)
}

/// The ways in which a secret may be written. Case does not matter to the scanner.
fn encodings(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |form: fn(u8) -> String| secret.iter().map(|&byte| form(byte)).collect::<String>();
    let mut forms = vec![(PLAIN, secret.to_vec())];
    if secret.len() < SHORTEST_WITHIN {
        return forms;
    }
    forms.push(("hexadecimal", each(|byte| format!("{byte:02x}")).into()));
    forms.push(("percent", each(|byte| format!("%{byte:02x}")).into()));
    forms.push(("partly percent", each(percent).into()));
    forms.push(("JSON escapes", each(|byte| format!("\\u{byte:04x}")).into()));
    forms.push(("escaped bytes", each(|byte| format!("\\x{byte:02x}")).into()));
    forms.push(("partly escaped bytes", each(escaped).into()));
    for shift in 0..3 {
        let padded = [vec![0; shift], secret.to_vec()].concat();
        let encoded = STANDARD_NO_PAD.encode(padded).into_bytes();
        // The characters at both ends depend on what stands beside the secret.
        let start = (shift * 8).div_ceil(6);
        let end = (shift + secret.len()) * 8 / 6;
        forms.push(("base64", encoded[start..end].to_vec()));
    }
    let mut seen = BTreeSet::new();
    forms.retain(|(_, form)| seen.insert(form.clone()));
    forms
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02x}")
    }
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
}

/// Calls `each` with the place and the text of everything that a capture holds, but sealed truths.
fn decoded(reader: &CaptureReader, each: &mut dyn FnMut(&str, &[u8])) -> Result<(), CaptureError> {
    let mut meta = reader.meta().clone();
    let export = meta.export.take();
    each("metadata", &serde_json::to_vec(&meta).expect("metadata is a plain structure"));
    each(OWN_TEXT, &serde_json::to_vec(&export).expect("metadata is a plain structure"));
    let mut seen: BTreeSet<String> = BTreeSet::new();
    reader.visit_series(|labels| {
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            if !seen.contains(text) {
                each("labels", text.as_bytes());
                seen.insert(text.to_owned());
            }
        }
    });
    for gap in reader.gaps()? {
        each("gaps", &serde_json::to_vec(&gap).expect("a gap is a plain structure"));
    }
    for event in reader.events()? {
        each("events", &serde_json::to_vec(&event).expect("an event is a plain structure"));
        each("events", event.text.as_bytes());
    }
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
    reader.visit_pd_answers(visit, |answer| {
        let place = format!("PD's answers to {}", answer.path);
        for text in [&answer.member, &answer.url, &answer.path] {
            each(&place, text.as_bytes());
        }
        match &answer.outcome {
            PdOutcome::Answered { body, .. } => each(&place, body),
            PdOutcome::Failed { detail, .. } => each(&place, detail.as_bytes()),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_our_own_text_is_no_leak_there_and_one_elsewhere() {
        let mut known = Secrets::default();
        ["workload", "db17x"].iter().for_each(|secret| known.add(secret.as_bytes()));
        let found = |text: &str, place: fn(&mut Scanner, &[u8])| {
            let mut scanner = Scanner::new(&known).expect("there are few secrets");
            scanner.own_text(b"workload: a few regions took most of the writes");
            place(&mut scanner, text.as_bytes());
            scanner.into_leaks().into_iter().map(|leak| leak.secret).collect::<Vec<_>>()
        };
        assert_eq!(found("a workload", |scanner, text| scanner.raw("bytes", text)), [""; 0]);
        assert_eq!(found("a workload", |scanner, text| scanner.text("labels", text)), ["workload"]);
        assert_eq!(found("db17x is full", Scanner::own_text), ["db17x"]);
    }

    fn leaks(secrets: &[&str], text: &str) -> Vec<(&'static str, String)> {
        let mut known = Secrets::default();
        secrets.iter().for_each(|secret| known.add(secret.as_bytes()));
        let mut scanner = Scanner::new(&known).expect("there are few secrets");
        scanner.text("a text", text.as_bytes());
        scanner.into_leaks().into_iter().map(|leak| (leak.encoding, leak.secret)).collect()
    }

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let secret = "db17/acme";
        for (encoding, text) in [
            ("plain", "at db17/acme."),
            ("hexadecimal", "key 646231372F61636D65ff"),
            ("percent", "%64%62%31%37%2f%61%63%6d%65"),
            ("partly percent", "u=db17%2Facme&"),
            ("JSON escapes", r"\u0064\u0062\u0031\u0037\u002f\u0061\u0063\u006d\u0065"),
            ("base64", "ZGIxNy9hY21l"),
            ("base64", "eGRiMTcvYWNtZXg="),
            ("base64", "eHhkYjE3L2FjbWV4"),
        ] {
            let found = leaks(&[secret], text);
            assert!(found.contains(&(encoding, secret.to_owned())), "{text}: {found:?}");
        }
    }

    #[test]
    fn short_secrets_count_only_alone() {
        assert_eq!(leaks(&["acme"], "acmeology xacme acme_1"), []);
        assert_eq!(leaks(&["acme"], "tikv-acme.svc").len(), 1);
        assert_eq!(leaks(&["10.77.0.2"], "10.77.0.20"), []);
        assert_eq!(leaks(&["20160", "ab"], "ab:20160"), []);
    }

    #[test]
    fn addresses_are_found_without_being_told() {
        let mut secrets = Secrets::default();
        secrets.add_addresses(
            b"http://10.1.2.3:1 127.0.0.1 fd00:1:2::3 bob@acme.io 8.5.8 at 16:31:02.5 of 02:42:ac:11:00:02",
        );
        let found: Vec<String> =
            secrets.0.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect();
        assert_eq!(found, ["02:42:ac:11:00:02", "10.1.2.3", "bob@acme.io", "fd00:1:2::3"]);
    }
}
