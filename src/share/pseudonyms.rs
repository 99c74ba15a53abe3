//! Which original has which pseudonym.
//!
//! Originals are collected from the whole capture first. Their order is then drawn by a keyed hash, so that
//! the number of a pseudonym says nothing about what it stands for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::key::{Key, from_hex, to_hex};
use super::text::{Class, Kind, Words, rewrite};
use super::vocabulary::is_public;
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

/// The stems of pseudonyms, which are numbered.
const STEMS: [&str; 9] = ["tikv", "tiflash", "pd", "tidb", "host", "name", "user", "path", "word"];

/// Everything in a capture that may need a pseudonym.
#[derive(Debug, Default)]
pub struct Originals {
    words: BTreeMap<String, Kind>,
    roles: BTreeMap<String, BTreeSet<Role>>,
    ids: BTreeSet<u64>,
    keys: BTreeSet<Vec<u8>>,
    /// Plain words of metrics and of labels with fixed values: the program's own, not the reporter's.
    code: BTreeSet<String>,
    /// Numbers of each stem that stand in the capture already, as parts of names that pass.
    taken: BTreeSet<(String, u64)>,
}

impl Words for Originals {
    fn unlisted(&mut self, word: &str, kind: Kind) -> Option<String> {
        let known = self.words.entry(word.to_owned()).or_insert(kind);
        *known = (*known).min(kind);
        None
    }

    fn listed(&mut self, _: &str) -> Option<String> {
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
    /// Notes names such as `tikv-3`, which pass and whose numbers pseudonyms must not have.
    fn note_taken(&mut self, text: &str) {
        for stem in STEMS {
            for (at, _) in text.match_indices(stem) {
                let Some(rest) = text[at + stem.len()..].strip_prefix('-') else { continue };
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                if let Ok(number) = rest[..digits].parse() {
                    self.taken.insert((stem.to_owned(), number));
                }
            }
        }
    }

    /// Whether a word is the program's own after all, or a key of a region, which has a rank.
    fn is_other(&self, word: &str) -> bool {
        self.code.contains(word) || self.keys.contains(&key_bytes(word))
    }

    fn stem(&self, word: &str, kind: Kind) -> &'static str {
        let mut roles = self.roles.get(word).into_iter().flatten();
        match (roles.next(), roles.next()) {
            (Some(only), None) => only.stem(),
            (Some(_), Some(_)) => "host",
            _ => match kind {
                Kind::Address => "host",
                Kind::Name => "name",
                Kind::User => "user",
                Kind::Path => "path",
                Kind::Token => "word",
            },
        }
    }

    /// Gives every original its pseudonym.
    pub fn mapping(&self, key: &Key) -> Mapping {
        let mut by_stem: BTreeMap<&str, Vec<([u8; 32], &str)>> = BTreeMap::new();
        for (word, kind) in self.words.iter().filter(|(word, _)| !self.is_other(word)) {
            let stem = self.stem(word, *kind);
            by_stem.entry(stem).or_default().push((key.rank(stem, word), word));
        }
        let mut mapping = Mapping::default();
        for (stem, mut words) in by_stem {
            words.sort_unstable();
            mapping.counts.insert(stem.to_owned(), words.len() as u64);
            let free = (1..).filter(|number| !self.taken.contains(&(stem.to_owned(), *number)));
            for ((_, word), number) in words.into_iter().zip(free) {
                mapping.words.insert(word.to_owned(), format!("{stem}-{number}"));
            }
        }
        self.add_ids(key, &mut mapping);
        self.add_keys(&mut mapping);
        mapping
    }

    fn add_ids(&self, key: &Key, mapping: &mut Mapping) {
        let mut ids: Vec<([u8; 32], u64)> =
            self.ids.iter().map(|&id| (key.rank("id", &id.to_string()), id)).collect();
        ids.sort_unstable();
        for (number, (_, id)) in (1_u64..).zip(ids) {
            // Metrics write these in hexadecimal, PD in decimal; both forms have digits only.
            let pseudonym = u64::from_str_radix(&format!("1{number:04}"), 16).unwrap_or(number);
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

fn note_count(mapping: &mut Mapping, kind: &str, count: usize) {
    if count > 0 {
        mapping.counts.insert(kind.to_owned(), count as u64);
    }
}

/// The private table of originals and pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Words and addresses.
    words: BTreeMap<String, String>,
    /// Identifiers of clusters and members, in decimal: numbers of JSON would lose digits elsewhere.
    ids: BTreeMap<String, u64>,
    /// Keys of regions in hexadecimal, with their ranks.
    keys: BTreeMap<String, String>,
    /// How many originals of each kind there are.
    counts: BTreeMap<String, u64>,
}

impl Mapping {
    /// How many different originals of each kind have a pseudonym.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// The originals that must not be found in what is handed out.
    pub fn originals(&self) -> impl Iterator<Item = &str> {
        self.words.keys().map(String::as_str)
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
    pub fn scrub(&self, text: &str) -> String {
        rewrite(text, Class::Message, &mut Masked(self))
    }

    /// The text with originals in the place of pseudonyms. Numbers alone stay: they may be anything.
    ///
    /// # Errors
    ///
    /// [`regex::Error`] where there are too many pseudonyms for one pattern.
    pub fn reverse(&self, text: &str) -> Result<String, regex::Error> {
        let by_pseudonym: BTreeMap<&str, &str> = self
            .words
            .iter()
            .map(|(original, pseudonym)| (pseudonym.as_str(), original.as_str()))
            .filter(|(pseudonym, _)| pseudonym.contains('-'))
            .collect();
        let pattern = format!(r"\b(?:{})-\d+\b", STEMS.join("|"));
        let replaced =
            regex::Regex::new(&pattern)?.replace_all(text, |found: &regex::Captures<'_>| {
                let pseudonym = &found[0];
                by_pseudonym.get(pseudonym).copied().unwrap_or(pseudonym).to_owned()
            });
        Ok(replaced.into_owned())
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

/// Replaces what a mapping knows, and masks the rest.
struct Masked<'m>(&'m Mapping);

impl Words for Masked<'_> {
    fn unlisted(&mut self, word: &str, _: Kind) -> Option<String> {
        let known = self.0.word(word).or_else(|| self.0.of_key(word).cloned());
        Some(known.unwrap_or_else(|| "redacted".to_owned()))
    }

    fn listed(&mut self, word: &str) -> Option<String> {
        self.0.word(word)
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
mod tests {
    use super::*;
    use crate::share::key::KEY_BYTES;

    fn originals(texts: &[&str]) -> Originals {
        let mut originals = Originals::default();
        for text in texts {
            originals.text(text, Class::Name);
        }
        originals
    }

    fn key(seed: u8) -> Key {
        Key::new([seed; KEY_BYTES])
    }

    #[test]
    fn names_keep_their_parts_and_hosts_their_kind() {
        let mut originals = originals(&["shop-tikv-0.shop-tikv-peer", "10.1.2.3:20160", "name-1"]);
        originals.host("10.1.2.3", Role::Tikv);
        let mapping = originals.mapping(&key(1));
        assert_eq!(
            mapping.known("shop-tikv-0.shop-tikv-peer:1"),
            "name-2-tikv-0.name-2-tikv-peer:1"
        );
        assert_eq!(mapping.known("http://10.1.2.3:20180/x"), "http://tikv-1:20180/x");
        assert_eq!(mapping.scrub("10.1.2.3 other-db at noon"), "tikv-1 redacted-redacted at noon");
        let back =
            mapping.reverse("tikv-1 and name-2-tikv-0, name-9").expect("the pattern is fine");
        assert_eq!(back, "10.1.2.3 and shop-tikv-0, name-9");
    }

    #[test]
    fn the_key_decides_the_order() {
        let hosts: Vec<String> = (0..40).map(|number| format!("10.0.0.{number}")).collect();
        let texts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let order = |seed| originals(&texts).mapping(&key(seed)).words;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let numbers: Vec<String> = order(1).into_values().collect();
        assert!(!numbers.is_sorted(), "the order of the originals shows");
    }

    #[test]
    fn identifiers_are_the_same_in_both_notations() {
        let mut originals = originals(&["1628dba6517fd499"]);
        originals.id(0x1628_dba6_517f_d499);
        let mapping = originals.mapping(&key(1));
        assert_eq!(mapping.known("1628dba6517fd499"), "10001");
        assert_eq!(mapping.known("1596767575281226905"), 0x10001.to_string());
        assert_eq!(content(&mapping).id(0x1628_dba6_517f_d499), 0x10001);
    }

    #[test]
    fn keys_of_regions_become_ranks_in_their_order() {
        let mut originals = Originals::default();
        for key in ["74800000FF", "7480", "", "99"] {
            originals.key(key);
        }
        let mapping = originals.mapping(&key(1));
        let ranks = ["7480", "74800000ff", "99", ""].map(|key| content(&mapping).key(key));
        assert_eq!(ranks, ["000001", "000002", "000003", ""]);
    }

    #[test]
    fn words_of_the_program_stay() {
        let mut originals = originals(&["apply", "acme"]);
        originals.fixed("apply_wait");
        originals.fixed("apply-low");
        let mapping = originals.mapping(&key(1));
        assert_eq!(mapping.known("apply acme"), "apply name-1");
    }
}
