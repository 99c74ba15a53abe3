//! What the writer remembers of every series: its number, its fingerprint and its newest sample.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::catalog::{SeriesSegment, target_labels};
use super::codec::JournalRow;
use crate::model::{EncodedLabels, Fingerprint, Labels, LabelsError, Sample, TargetKey, Timestamp};

/// A series' place: its target and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub target: u32,
    pub ordinal: u32,
}

/// What is known of a series.
pub struct SeriesState {
    pub fingerprint: Fingerprint,
    /// Its newest sample.
    pub newest: Timestamp,
    /// The series that arrived after it, the last time.
    next: Place,
}

/// Hashes a fingerprint to itself: it is a hash already.
#[derive(Default)]
struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

type ByFingerprint<T> = HashMap<Fingerprint, T, BuildHasherDefault<FingerprintHasher>>;

/// Which series exist, and how far each has been written.
///
/// Label sets are not kept: 500,000 series take about 70 bytes each.
#[derive(Default)]
pub struct SeriesIndex {
    places: ByFingerprint<Place>,
    target_numbers: BTreeMap<TargetKey, u32>,
    /// By target number and ordinal.
    pub(super) targets: Vec<Vec<SeriesState>>,
    /// The series that arrived last.
    last: Option<Place>,
}

impl SeriesIndex {
    /// How many series there are.
    pub fn len(&self) -> usize {
        self.targets.iter().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn place(&self, fingerprint: Fingerprint) -> Option<Place> {
        self.places.get(&fingerprint).copied()
    }

    /// As [`place`](Self::place), for a series that arrives.
    ///
    /// Prometheus sends series in the same order each time. To look first at the one that came
    /// next the last time spares the map, whose lookups miss the processor's caches.
    fn arrive(&mut self, fingerprint: Fingerprint) -> Option<Place> {
        let expected = self.last.map(|last| self.state(last).next);
        if let Some(place) = expected
            && self.state(place).fingerprint == fingerprint
        {
            self.last = Some(place);
            return Some(place);
        }
        let place = self.place(fingerprint)?;
        if let Some(last) = self.last.replace(place) {
            self.targets[last.target as usize][last.ordinal as usize].next = place;
        }
        Some(place)
    }

    fn state(&self, place: Place) -> &SeriesState {
        &self.targets[place.target as usize][place.ordinal as usize]
    }

    fn alias(&mut self, raw: Fingerprint, place: Place) {
        self.places.insert(raw, place);
    }

    /// Numbers the series of a segment in the order in which readers will.
    pub(super) fn add_segment(&mut self, segment: &SeriesSegment) {
        for (key, sets) in &segment.targets {
            let target = self.number_target(key);
            let series = &mut self.targets[target as usize];
            for &set in sets {
                let set = &segment.sets[set as usize];
                let fingerprint = set.fingerprint_with(&target_labels(key));
                let place = Place { target, ordinal: series.len() as u32 };
                series.push(SeriesState { fingerprint, newest: Timestamp::MIN, next: place });
                self.places.insert(fingerprint, place);
            }
        }
    }

    fn number_target(&mut self, key: &TargetKey) -> u32 {
        if let Some(&number) = self.target_numbers.get(key) {
            return number;
        }
        let number = self.targets.len() as u32;
        self.target_numbers.insert(key.clone(), number);
        self.targets.push(Vec::new());
        number
    }
}

/// A new series on its way into the catalogue.
struct Fresh {
    fingerprint: Fingerprint,
    labels: Labels,
    samples: Vec<Sample>,
}

/// Samples that go into one tick.
///
/// Only what is newer than its series' newest sample is kept, so windows may overlap.
#[derive(Default)]
pub struct SampleBatch {
    /// By target number.
    scrapes: Vec<Scrapes>,
    placed: usize,
    by_fingerprint: ByFingerprint<usize>,
    fresh: Vec<Fresh>,
}

/// Samples of one target, ascending in time; within an instant as they came.
#[derive(Default)]
struct Scrapes {
    rows: Vec<JournalRow>,
    /// The row that the last sample went into: the next one mostly goes there or right behind.
    last: usize,
}

impl Scrapes {
    fn push(&mut self, at: i64, ordinal: u32, bits: u64) {
        let guess = self.last..(self.last + 2).min(self.rows.len());
        let row = match self.rows[guess].iter().position(|row| row.at == at) {
            Some(ahead) => self.last + ahead,
            None => self.rows.binary_search_by_key(&at, |row| row.at).unwrap_or_else(|row| {
                self.rows.insert(row, JournalRow { at, samples: Vec::new() });
                row
            }),
        };
        self.last = row;
        self.rows[row].samples.push((ordinal, bits));
    }
}

impl SampleBatch {
    /// Adds samples of one series, ascending in time, skipping what has been written before.
    /// Returns how many were new.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the series is new and its labels cannot be read.
    pub fn push(
        &mut self,
        index: &mut SeriesIndex,
        labels: EncodedLabels<'_>,
        samples: &[Sample],
    ) -> Result<usize, LabelsError> {
        let raw = labels.fingerprint();
        if let Some(place) = index.arrive(raw) {
            return Ok(self.push_placed(index, place, samples));
        }
        let number = match self.by_fingerprint.get(&raw) {
            Some(&number) => number,
            None => {
                let labels = labels.decode()?;
                let fingerprint = labels.fingerprint();
                if let Some(place) = index.place(fingerprint) {
                    index.alias(raw, place);
                    return Ok(self.push_placed(index, place, samples));
                }
                let next = self.fresh.len();
                let number = *self.by_fingerprint.entry(fingerprint).or_insert(next);
                if number == next {
                    self.fresh.push(Fresh { fingerprint, labels, samples: Vec::new() });
                }
                self.by_fingerprint.insert(raw, number);
                number
            }
        };
        let held = &mut self.fresh[number].samples;
        let before = held.len();
        for sample in samples {
            if held.last().is_none_or(|last| last.at < sample.at) {
                held.push(*sample);
            }
        }
        Ok(held.len() - before)
    }

    fn push_placed(&mut self, index: &mut SeriesIndex, place: Place, samples: &[Sample]) -> usize {
        let target = place.target as usize;
        if self.scrapes.len() <= target {
            self.scrapes.resize_with(target + 1, Scrapes::default);
        }
        let scrapes = &mut self.scrapes[target];
        let newest = &mut index.targets[target][place.ordinal as usize].newest;
        let before = self.placed;
        for sample in samples {
            if sample.at > *newest {
                scrapes.push(sample.at.as_millis(), place.ordinal, sample.value.to_bits());
                *newest = sample.at;
                self.placed += 1;
            }
        }
        self.placed - before
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.placed + self.fresh.iter().map(|fresh| fresh.samples.len()).sum::<usize>()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers the new series; returns their segment, or `None` where there are none.
    pub(super) fn settle(&mut self, index: &mut SeriesIndex) -> Option<SeriesSegment> {
        let fresh = std::mem::take(&mut self.fresh);
        self.by_fingerprint.clear();
        if fresh.is_empty() {
            return None;
        }
        let segment = SeriesSegment::new(fresh.iter().map(|fresh| &fresh.labels));
        index.add_segment(&segment);
        for Fresh { fingerprint, samples, .. } in fresh {
            let place = index.place(fingerprint).expect("the segment was just added");
            self.push_placed(index, place, &samples);
        }
        Some(segment)
    }

    /// Takes the samples of known series out: target numbers, each with its rows in the
    /// journal's order.
    pub(super) fn take_rows(&mut self) -> impl Iterator<Item = (u32, Vec<JournalRow>)> {
        self.placed = 0;
        let scrapes = std::mem::take(&mut self.scrapes).into_iter();
        (0..).zip(scrapes).filter(|(_, scrapes)| !scrapes.rows.is_empty()).map(
            |(target, scrapes)| {
                let mut rows = scrapes.rows;
                rows.iter_mut().for_each(|row| sort_by_ordinal(&mut row.samples));
                (target, rows)
            },
        )
    }
}

/// Sorts by ordinal, which are distinct. A scrape holds nearly all ordinals below its highest, so
/// putting each in its place beats comparing.
fn sort_by_ordinal(samples: &mut Vec<(u32, u64)>) {
    if samples.is_sorted_by_key(|(ordinal, _)| *ordinal) {
        return;
    }
    let highest = samples.iter().map(|(ordinal, _)| *ordinal as usize).max().unwrap_or(0);
    if highest / 4 > samples.len() {
        samples.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        return;
    }
    let mut placed = vec![None; highest + 1];
    for &(ordinal, bits) in samples.iter() {
        placed[ordinal as usize] = Some(bits);
    }
    samples.clear();
    samples.extend((0..).zip(placed).filter_map(|(ordinal, bits)| Some((ordinal, bits?))));
}

/// Adds up hashes of samples, so that a capture's content has one digest whatever the order in
/// which it was written and however it is cut into blocks.
pub fn sample_hash(fingerprint: Fingerprint, at: i64, bits: u64) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&fingerprint.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&at.to_le_bytes());
    bytes[24..].copy_from_slice(&bits.to_le_bytes());
    xxhash_rust::xxh3::xxh3_128(&bytes)
}
