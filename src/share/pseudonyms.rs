//! Which original has which pseudonym.
//!
//! The number of a pseudonym follows from the key and the original alone, so that every export under one key calls
//! the same thing by the same name, and says nothing about what it stands for. Only where two originals of one
//! capture would meet in a name, or the name stands in the capture already, the second one gets another.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::key::{Key, from_hex, to_hex};
use super::message_words::is_of_messages;
use super::text::{Class, Kind, Words, rewrite};
use super::vocabulary::{PSEUDONYM_DIGITS, STEMS, is_pseudonym, is_public};
use super::walk::Content;

/// What a host is, by which PD or Prometheus know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A TiKV store.
    Tikv,
    /// A TiFlash store.
    Tiflash,
    /// A PD member.
    Pd,
    /// A TiDB server.
    Tidb,
    /// A machine or another target.
    Host,
}

impl Role {
    fn stem(self) -> &'static str {
        match self {
            Self::Tikv => "tikv",
            Self::Tiflash => "tiflash",
            Self::Pd => "pd",
            Self::Tidb => "tidb",
            Self::Host => "host",
        }
    }
}

/// Everything in a capture that may need a pseudonym.
#[derive(Debug, Default)]
pub struct Originals {
    words: BTreeMap<String, Kind>,
    /// Public words in names of hosts and in paths, each with the path up to it or the name from it on.
    parts: BTreeMap<String, Kind>,
    roles: BTreeMap<String, BTreeSet<Role>>,
    ids: BTreeSet<u64>,
    keys: BTreeSet<Vec<u8>>,
    /// Plain words of metrics and of labels with fixed values: the program's own, not the reporter's.
    code: BTreeSet<String>,
    /// Names of the form of pseudonyms that stand in the capture already, as in one that was redacted before.
    taken: BTreeSet<String>,
}

impl Words for Originals {
    fn unlisted(&mut self, word: &str, kind: Kind) -> Option<String> {
        let known = self.words.entry(word.to_owned()).or_insert(kind);
        *known = (*known).min(kind);
        if kind == Kind::Host {
            // A part of a host's name may stand alone elsewhere.
            for part in word.split('-').filter(|part| *part != word && !is_of_messages(part)) {
                self.words.entry(part.to_owned()).or_insert(Kind::Name);
            }
        }
        None
    }

    fn listed(&mut self, _: &str) -> Option<String> {
        None
    }

    fn part(&mut self, whole: &str, kind: Kind) -> Option<String> {
        self.parts.insert(whole.to_owned(), kind);
        None
    }
}

impl Content for Originals {
    fn text(&mut self, text: &str, class: Class) -> String {
        self.note_taken(text);
        rewrite(text, class, self)
    }

    fn fixed(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let plain = |word: &&str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let new: Vec<&str> =
            words.filter(plain).filter(|word| !self.code.contains(*word)).collect();
        self.code.extend(new.into_iter().map(str::to_owned));
    }

    fn host(&mut self, host: &str, role: Role) {
        if !is_public(host) {
            self.roles.entry(host.to_owned()).or_default().insert(role);
        }
    }

    fn id(&mut self, id: u64) -> u64 {
        self.ids.insert(id);
        id
    }

    fn key(&mut self, key: &str) -> String {
        if !key.is_empty() {
            self.keys.insert(key_bytes(key));
        }
        key.to_owned()
    }
}

impl Originals {
    /// Notes names such as `tikv-483920`, which pass and which no original may have as its pseudonym.
    fn note_taken(&mut self, text: &str) {
        for (at, _) in text.match_indices('-') {
            let number: &str = text.get(at + 1..at + 1 + PSEUDONYM_DIGITS).unwrap_or_default();
            let stem = STEMS.iter().find(|stem| text[..at].ends_with(*stem));
            let name = stem.map(|stem| format!("{stem}-{number}"));
            self.taken.extend(name.filter(|name| is_pseudonym(name)));
        }
    }

    /// Whether a word is the program's own after all, a key of a region, which has a rank, or an identifier, which
    /// has a number.
    fn is_other(&self, word: &str) -> bool {
        self.code.contains(word) || self.keys.contains(&key_bytes(word)) || self.is_id(word)
    }

    /// Whether a word is an identifier, in decimal as PD writes it or in hexadecimal as metrics do.
    fn is_id(&self, word: &str) -> bool {
        let id = |radix| u64::from_str_radix(word, radix).ok().filter(|id| self.ids.contains(id));
        id(10).is_some_and(|id| word == id.to_string())
            || id(16).is_some_and(|id| word == format!("{id:x}"))
    }

    /// What the pseudonym of a word begins with: what is known of it as a host, else the component that its name
    /// has, else its kind.
    fn stem(&self, word: &str, kind: Kind) -> &'static str {
        let mut roles = self.roles.get(word).into_iter().flatten();
        let component = || {
            let parts =
                word.rsplit('-').map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
            parts.into_iter().find_map(|part| COMPONENTS.into_iter().find(|stem| *stem == part))
        };
        match (roles.next(), roles.next()) {
            (Some(only), None) => only.stem(),
            (Some(_), Some(_)) => "host",
            _ => match kind {
                Kind::Address => "host",
                Kind::Host => component().unwrap_or("host"),
                Kind::Name => "name",
                Kind::User => "user",
                Kind::Path => "path",
                Kind::Token => "word",
            },
        }
    }

    /// Gives every original its pseudonym.
    pub fn mapping(&self, key: &Key) -> Mapping {
        let mut mapping = Mapping::default();
        let mut taken = self.taken.clone();
        let words = self.words.iter().filter(|(word, _)| !self.is_other(word));
        for (word, kind) in words {
            let stem = self.stem(word, *kind);
            *mapping.counts.entry(stem.to_owned()).or_default() += 1;
            mapping.words.insert(word.clone(), pseudonym(key, stem, word, &mut taken));
        }
        for (whole, kind) in &self.parts {
            let stem = if *kind == Kind::Path { "path" } else { "name" };
            mapping.parts.insert(whole.clone(), pseudonym(key, stem, whole, &mut taken));
        }
        self.add_ids(key, &mut mapping);
        self.add_keys(&mut mapping);
        mapping
    }

    fn add_ids(&self, key: &Key, mapping: &mut Mapping) {
        let mut taken = BTreeSet::new();
        for id in &self.ids {
            // Metrics write these in hexadecimal, PD in decimal. Both forms have digits only, so many that neither
            // is a port, and so few that they pass in an export of the export.
            let number = free(|attempt| {
                let number = FIRST_ID + key.number(&id.to_string(), attempt) % (99_999 - FIRST_ID);
                taken.insert(number).then_some(number)
            });
            let pseudonym = u64::from_str_radix(&number.to_string(), 16).unwrap_or(number);
            mapping.ids.insert(id.to_string(), pseudonym);
            mapping.words.insert(id.to_string(), pseudonym.to_string());
            mapping.words.insert(format!("{id:x}"), format!("{pseudonym:x}"));
        }
        note_count(mapping, "id", self.ids.len());
    }

    fn add_keys(&self, mapping: &mut Mapping) {
        for (rank, key) in (1_u64..).zip(&self.keys) {
            mapping.keys.insert(to_hex(key), format!("{rank:06}"));
        }
        note_count(mapping, "region_key", self.keys.len());
    }
}

/// The least pseudonym of an identifier, read in decimal.
const FIRST_ID: u64 = 70_000;

/// Components that the name of a host may have, and pseudonyms begin with.
const COMPONENTS: [&str; 4] = ["tikv", "tiflash", "tidb", "pd"];

/// The pseudonym of an original: the first of those that the key gives it which is not taken.
fn pseudonym(key: &Key, stem: &str, original: &str, taken: &mut BTreeSet<String>) -> String {
    let first = 10_u64.pow(PSEUDONYM_DIGITS as u32 - 1);
    free(|attempt| {
        let number = first + key.number(original, attempt) % (9 * first);
        let name = format!("{stem}-{number}");
        taken.insert(name.clone()).then_some(name)
    })
}

/// The first of the numbers from 0 for which there is something.
fn free<T>(find: impl FnMut(u64) -> Option<T>) -> T {
    (0..).find_map(find).expect("there are fewer originals than pseudonyms")
}

fn note_count(mapping: &mut Mapping, kind: &str, count: usize) {
    if count > 0 {
        mapping.counts.insert(kind.to_owned(), count as u64);
    }
}

/// The private table of originals and pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Words, names and addresses.
    words: BTreeMap<String, String>,
    /// Public words in names of hosts and in paths, each with the path up to it or the name from it on.
    #[serde(default)]
    parts: BTreeMap<String, String>,
    /// Identifiers of clusters and members, in decimal: numbers of JSON would lose digits elsewhere.
    ids: BTreeMap<String, u64>,
    /// Keys of regions in hexadecimal, with their ranks.
    keys: BTreeMap<String, String>,
    /// How many originals of each kind there are.
    counts: BTreeMap<String, u64>,
}

impl Mapping {
    /// Whether any pseudonym in it follows from a key: ranks of region keys do not.
    pub fn needs_key(&self) -> bool {
        !(self.words.is_empty() && self.parts.is_empty() && self.ids.is_empty())
    }

    /// How many different originals of each kind have a pseudonym.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// The originals that must not be found in what is handed out. Words that messages are made of are no secrets,
    /// even where one also names something: they stand in what this program writes itself.
    pub fn originals(&self) -> impl Iterator<Item = &str> {
        self.words.keys().map(String::as_str).filter(|word| {
            !word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                || !is_of_messages(word)
        })
    }

    /// The keys of regions that must not be found in what is handed out.
    pub fn keys(&self) -> impl Iterator<Item = Vec<u8>> {
        self.keys.keys().filter_map(|key| from_hex(key))
    }

    /// The text with the pseudonyms of everything that the mapping knows, and nothing else replaced.
    pub fn known(&self, text: &str) -> String {
        rewrite(text, Class::Message, &mut Known(self))
    }

    /// The text with the pseudonyms of what the mapping knows; what else may name something is masked.
    pub fn scrub(&self, text: &str) -> Scrubbed {
        let mut masked = Masked { mapping: self, passed: 0, replaced: 0 };
        // Line by line, since what a message names stands on the same line.
        let lines = text.split_inclusive('\n');
        let text = lines.map(|line| rewrite(line, Class::Message, &mut masked)).collect();
        Scrubbed { text, passed: masked.passed, replaced: masked.replaced }
    }

    /// The text with originals in the place of pseudonyms: of names, and of numbers that stand for keys and
    /// identifiers.
    ///
    /// # Errors
    ///
    /// [`regex::Error`] where there are too many pseudonyms for one pattern.
    pub fn reverse(&self, text: &str) -> Result<Reversed, regex::Error> {
        let pattern = format!(r"\b(?:(?:{})-\d+|\d{{5,}})\b", STEMS.join("|"));
        let originals = self.by_pseudonym();
        let (mut translated, mut unknown) = (0, BTreeSet::new());
        let replaced =
            regex::Regex::new(&pattern)?.replace_all(text, |found: &regex::Captures<'_>| {
                let pseudonym = &found[0];
                if let Some(original) = originals.get(pseudonym) {
                    translated += 1;
                    return original.clone();
                }
                // A number alone is hardly ever a pseudonym.
                if pseudonym.contains('-') {
                    unknown.insert(pseudonym.to_owned());
                }
                pseudonym.to_owned()
            });
        Ok(Reversed { text: replaced.into_owned(), translated, unknown })
    }

    /// Every original by its pseudonym. Keys are in hexadecimal, as PD writes them.
    fn by_pseudonym(&self) -> BTreeMap<&str, String> {
        let part = |whole: &str| match whole.rsplit_once('/') {
            Some((_, part)) => part.to_owned(),
            None => whole.split('.').next().unwrap_or(whole).to_owned(),
        };
        let keys = self.keys.iter().map(|(key, rank)| (rank.as_str(), key.to_ascii_uppercase()));
        let parts = self.parts.iter().map(|(whole, name)| (name.as_str(), part(whole)));
        let words = self.words.iter().map(|(word, name)| (name.as_str(), word.clone()));
        keys.chain(parts).chain(words).collect()
    }

    fn word(&self, word: &str) -> Option<String> {
        self.words.get(word).cloned()
    }

    fn of_key(&self, key: &str) -> Option<&String> {
        self.keys.get(&to_hex(&key_bytes(key)))
    }
}

/// Replaces what a mapping knows.
struct Known<'m>(&'m Mapping);

impl Words for Known<'_> {
    fn unlisted(&mut self, word: &str, _: Kind) -> Option<String> {
        self.0.word(word).or_else(|| self.0.of_key(word).cloned())
    }

    fn listed(&mut self, word: &str) -> Option<String> {
        self.0.word(word)
    }

    fn part(&mut self, whole: &str, _: Kind) -> Option<String> {
        self.0.parts.get(whole).cloned()
    }
}

impl Content for Known<'_> {
    fn text(&mut self, text: &str, class: Class) -> String {
        rewrite(text, class, self)
    }

    fn id(&mut self, id: u64) -> u64 {
        self.0.ids.get(&id.to_string()).copied().unwrap_or(id)
    }

    fn key(&mut self, key: &str) -> String {
        self.0.of_key(key).cloned().unwrap_or_else(|| key.to_owned())
    }
}

/// A text without what names something, with how many words it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// The text.
    pub text: String,
    /// Words that passed.
    pub passed: u64,
    /// Words that were replaced.
    pub replaced: u64,
}

/// A text whose pseudonyms were translated back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversed {
    /// The text with originals.
    pub text: String,
    /// How many pseudonyms were translated.
    pub translated: u64,
    /// Names that look like pseudonyms and are none of the mapping, which stand as they were.
    pub unknown: BTreeSet<String>,
}

/// Replaces what a mapping knows, and masks the rest.
struct Masked<'m> {
    mapping: &'m Mapping,
    passed: u64,
    replaced: u64,
}

/// What stands in the place of what a mapping does not know.
const MASK: &str = "redacted";

impl Words for Masked<'_> {
    fn unlisted(&mut self, word: &str, _: Kind) -> Option<String> {
        self.replaced += 1;
        let known = self.mapping.word(word).or_else(|| self.mapping.of_key(word).cloned());
        Some(known.unwrap_or_else(|| MASK.to_owned()))
    }

    fn listed(&mut self, word: &str) -> Option<String> {
        let known = self.mapping.word(word);
        match &known {
            Some(_) => self.replaced += 1,
            // Names with hyphens are only asked for, and then looked at word by word.
            None if !word.contains('-') && word.bytes().any(|byte| byte.is_ascii_alphabetic()) => {
                self.passed += 1;
            }
            None => {}
        }
        known
    }

    fn part(&mut self, whole: &str, _: Kind) -> Option<String> {
        self.replaced += 1;
        Some(self.mapping.parts.get(whole).cloned().unwrap_or_else(|| MASK.to_owned()))
    }
}

/// Puts the pseudonyms of a mapping in the place of originals.
pub fn content(mapping: &Mapping) -> impl Content + '_ {
    Known(mapping)
}

/// The bytes of a key that PD writes in hexadecimal; the text itself where it is none.
fn key_bytes(key: &str) -> Vec<u8> {
    from_hex(key).unwrap_or_else(|| key.as_bytes().to_vec())
}

#[cfg(test)]
mod tests;
