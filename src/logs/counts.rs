//! Counts of lines by message and of bytes by level, per interval, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::address::NodeNames;
use super::listed::{self, Listed};
use super::mask::mask_into;
use super::parse::{Level, LogLine};
use super::redact::redact;

/// How many messages are told apart; lines of further ones are counted together by level.
const MOST_KEYS: usize = 1_000;
/// How many texts of messages, and how many masked ones, are remembered with their keys, so that they need
/// not be masked and redacted again.
const MOST_KNOWN: usize = 20_000;
/// Intervals of a key from which on its list is looked through for those that stand twice, whenever it has
/// doubled.
const LONG_LIST: usize = 8_192;
/// The message of the lines that are counted together.
pub const OTHER: &str = "(other messages)";

/// What is counted under one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// How grave the lines are.
    pub level: Level,
    /// The source file that writes them.
    pub file: String,
    /// The masked message.
    pub message: String,
}

/// The lines of one key.
#[derive(Debug)]
pub struct Counted {
    /// The key.
    pub key: Key,
    /// The listed message that they are.
    pub listed: Option<&'static Listed>,
    /// All lines.
    pub total: u64,
    /// The lines of each interval that has any, in the order of reading; an interval may stand twice.
    steps: Vec<(u32, u32)>,
}

impl Counted {
    fn new(key: Key, listed: Option<&'static Listed>) -> Self {
        Self { key, listed, total: 0, steps: Vec::new() }
    }

    fn add(&mut self, step: u32, count: u32) {
        self.total += u64::from(count);
        match self.steps.last_mut() {
            Some((last, sum)) if *last == step => *sum = sum.saturating_add(count),
            _ => self.steps.push((step, count)),
        }
    }

    /// Joins what stands twice, where lines out of order have made the list long.
    fn shorten(&mut self) {
        if self.steps.len() >= LONG_LIST && self.steps.len().is_power_of_two() {
            self.steps = self.steps();
        }
    }

    /// The lines of each interval that has any, ascending by interval, each once.
    pub fn steps(&self) -> Vec<(u32, u32)> {
        let mut steps = self.steps.clone();
        steps.sort_unstable();
        steps.dedup_by(|next, held| {
            let same = next.0 == held.0;
            if same {
                held.1 = held.1.saturating_add(next.1);
            }
            same
        });
        steps
    }
}

/// The counts of one node's log.
#[derive(Debug)]
pub struct Counts {
    keys: Vec<Counted>,
    by_key: BTreeMap<Key, usize>,
    /// The places of messages as they stand in lines, by the hash of level, file and text.
    known: HashMap<u128, usize, Xxh3DefaultBuilder>,
    /// The same of masked messages.
    known_masked: HashMap<u128, usize, Xxh3DefaultBuilder>,
    /// Bytes by level, in the order of [`Level::ALL`].
    bytes: [Counted; Level::ALL.len()],
    masked: String,
    hashed: Vec<u8>,
}

impl Default for Counts {
    fn default() -> Self {
        let bytes = Level::ALL.map(|level| {
            Counted::new(Key { level, file: String::new(), message: String::new() }, None)
        });
        Self {
            keys: Vec::new(),
            by_key: BTreeMap::new(),
            known: HashMap::default(),
            known_masked: HashMap::default(),
            bytes,
            masked: String::new(),
            hashed: Vec::new(),
        }
    }
}

impl Counts {
    /// Counts a line of so many bytes in the interval `step`, and returns the place of its key.
    pub fn add(&mut self, line: &LogLine<'_>, step: u32, bytes: u64) -> usize {
        let place = self.place(line);
        self.keys[place].add(step, 1);
        self.keys[place].shorten();
        self.add_bytes(line.level, step, bytes);
        place
    }

    /// Counts the bytes of a line.
    pub fn add_bytes(&mut self, level: Level, step: u32, bytes: u64) {
        let at = Level::ALL.iter().position(|one| *one == level).unwrap_or_default();
        let counted = &mut self.bytes[at];
        counted.add(step, u32::try_from(bytes).unwrap_or(u32::MAX));
        counted.shorten();
    }

    /// The key at a place that [`add`](Self::add) returned.
    pub fn key(&self, place: usize) -> &Counted {
        &self.keys[place]
    }

    /// All keys, in the order in which they were first met.
    pub fn keys(&self) -> &[Counted] {
        &self.keys
    }

    /// Bytes by level, of levels that have any.
    pub fn bytes(&self) -> impl Iterator<Item = &Counted> {
        self.bytes.iter().filter(|counted| counted.total > 0)
    }

    fn place(&mut self, line: &LogLine<'_>) -> usize {
        let hash = hash(&mut self.hashed, line, &line.message);
        if let Some(place) = self.known.get(&hash) {
            return *place;
        }
        mask_into(&line.message, &mut self.masked);
        let masked_hash = self::hash(&mut self.hashed, line, &self.masked);
        let place = match self.known_masked.get(&masked_hash) {
            Some(place) => *place,
            None => {
                let place = self.place_of_new(line);
                remember(&mut self.known_masked, masked_hash, place);
                place
            }
        };
        remember(&mut self.known, hash, place);
        place
    }

    /// The place of a message whose words were not met before.
    fn place_of_new(&mut self, line: &LogLine<'_>) -> usize {
        // What a value is, is seen before words are masked.
        let clean = redact(&line.message, &NodeNames::default());
        mask_into(&clean, &mut self.masked);
        let key =
            Key { level: line.level, file: line.file.to_owned(), message: self.masked.clone() };
        if let Some(place) = self.by_key.get(&key) {
            return *place;
        }
        let listed = listed::find(line.level, &line.message);
        let is_full = self.keys.len() >= MOST_KEYS && listed.is_none();
        let key = match is_full {
            true => Key { file: String::new(), message: OTHER.to_owned(), ..key },
            false => key,
        };
        if let Some(place) = self.by_key.get(&key) {
            return *place;
        }
        let place = self.keys.len();
        self.keys.push(Counted::new(key.clone(), listed));
        self.by_key.insert(key, place);
        place
    }
}

fn hash(buffer: &mut Vec<u8>, line: &LogLine<'_>, message: &str) -> u128 {
    buffer.clear();
    buffer.push(line.level as u8);
    buffer.extend_from_slice(line.file.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(message.as_bytes());
    xxhash_rust::xxh3::xxh3_128(buffer)
}

fn remember(known: &mut HashMap<u128, usize, Xxh3DefaultBuilder>, hash: u128, place: usize) {
    if known.len() < MOST_KNOWN {
        known.insert(hash, place);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::logs::fields::Fields;
    use crate::model::Timestamp;

    fn line(message: &str) -> LogLine<'_> {
        LogLine {
            at: Timestamp::from_millis(0),
            level: Level::Warn,
            file: "a.rs",
            message: Cow::Borrowed(message),
            fields: Fields::Text(""),
        }
    }

    #[test]
    fn lines_of_one_message_are_counted_together_by_interval() {
        let mut counts = Counts::default();
        for (message, step) in [("term 5", 1), ("term 6", 0), ("term 7", 1), ("other", 1)] {
            counts.add(&line(message), step, 10);
        }
        let [terms, other] = counts.keys() else { panic!("not two keys") };
        assert_eq!((&*terms.key.message, terms.total), ("term *", 3));
        assert_eq!(terms.steps(), [(0, 1), (1, 2)]);
        assert_eq!(other.steps(), [(1, 1)]);
        let bytes: Vec<_> = counts.bytes().map(|one| (one.key.level, one.steps())).collect();
        assert_eq!(bytes, [(Level::Warn, vec![(0, 10), (1, 30)])]);
    }

    #[test]
    fn messages_beyond_the_bound_are_counted_together() {
        let mut counts = Counts::default();
        let word = |n: usize| -> String {
            [n / 676, n / 26 % 26, n % 26].iter().map(|at| char::from(b'a' + *at as u8)).collect()
        };
        for n in 0..MOST_KEYS + 50 {
            counts.add(&line(&word(n)), 0, 1);
        }
        let last = counts.keys().last().expect("there are keys");
        assert_eq!(
            (counts.keys().len(), &*last.key.message, last.total),
            (MOST_KEYS + 1, OTHER, 50)
        );
    }

    #[test]
    fn a_secret_is_in_no_key() {
        let mut counts = Counts::default();
        counts.add(&line("login with password: hunter failed"), 0, 1);
        assert!(!counts.keys()[0].key.message.contains("hunter"));
    }
}
