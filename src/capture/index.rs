//! What the writer remembers of every series: its number, its fingerprint and its newest sample.

use std::collections::{BTreeMap, HashMap};

use super::catalog::SeriesSegment;
use crate::model::{EncodedLabels, Fingerprint, Labels, LabelsError, Sample, TargetKey, Timestamp};

/// A series' place: its target and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub target: u32,
    pub ordinal: u32,
}

/// What is known of one target's series, by ordinal.
#[derive(Default)]
pub struct TargetSeries {
    pub fingerprints: Vec<Fingerprint>,
    pub newest: Vec<Timestamp>,
}

/// Which series exist, and how far each has been written.
///
/// Label sets are not kept: 500,000 series take about 50 bytes each.
#[derive(Default)]
pub struct SeriesIndex {
    places: HashMap<Fingerprint, Place>,
    target_numbers: BTreeMap<TargetKey, u32>,
    pub(super) targets: Vec<TargetSeries>,
}

impl SeriesIndex {
    /// How many series there are.
    pub fn len(&self) -> usize {
        self.targets.iter().map(|target| target.fingerprints.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn place(&self, fingerprint: Fingerprint) -> Option<Place> {
        self.places.get(&fingerprint).copied()
    }

    pub(super) fn alias(&mut self, raw: Fingerprint, place: Place) {
        self.places.insert(raw, place);
    }

    /// Numbers the series of a segment in the order in which readers will.
    pub(super) fn add_segment(&mut self, segment: &SeriesSegment) {
        for (key, sets) in &segment.targets {
            let target = self.number_target(key);
            for &set in sets {
                let labels = super::catalog::with_target(&segment.sets[set as usize], key);
                let series = &mut self.targets[target as usize];
                let ordinal = series.fingerprints.len() as u32;
                series.fingerprints.push(labels.fingerprint());
                series.newest.push(Timestamp::MIN);
                self.places.insert(labels.fingerprint(), Place { target, ordinal });
            }
        }
    }

    fn number_target(&mut self, key: &TargetKey) -> u32 {
        if let Some(&number) = self.target_numbers.get(key) {
            return number;
        }
        let number = self.targets.len() as u32;
        self.target_numbers.insert(key.clone(), number);
        self.targets.push(TargetSeries::default());
        number
    }

    pub(super) fn advance(&mut self, place: Place, at: Timestamp) {
        let newest = &mut self.targets[place.target as usize].newest[place.ordinal as usize];
        *newest = at.max(*newest);
    }

    pub(super) fn newest(&self, place: Place) -> Timestamp {
        self.targets[place.target as usize].newest[place.ordinal as usize]
    }
}

/// A sample on its way into the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    pub place: Place,
    pub at: i64,
    pub bits: u64,
}

/// Samples that go into one tick.
///
/// Only what is newer than its series' newest sample is kept, so windows may overlap.
#[derive(Default)]
pub struct SampleBatch {
    pub(super) placed: Vec<Placed>,
    fresh: HashMap<Fingerprint, usize>,
    fresh_series: Vec<(Labels, Vec<Sample>)>,
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
        if let Some(place) = index.place(raw) {
            return Ok(self.push_placed(index, place, samples));
        }
        let number = match self.fresh.get(&raw) {
            Some(&number) => number,
            None => {
                let decoded = labels.decode()?;
                let canonical = decoded.fingerprint();
                if let Some(place) = index.place(canonical) {
                    index.alias(raw, place);
                    return Ok(self.push_placed(index, place, samples));
                }
                let next = self.fresh_series.len();
                let number = *self.fresh.entry(canonical).or_insert(next);
                if number == next {
                    self.fresh_series.push((decoded, Vec::new()));
                }
                self.fresh.insert(raw, number);
                number
            }
        };
        let held = &mut self.fresh_series[number].1;
        let before = held.len();
        for sample in samples {
            if held.last().is_none_or(|last| last.at < sample.at) {
                held.push(*sample);
            }
        }
        Ok(held.len() - before)
    }

    fn push_placed(&mut self, index: &mut SeriesIndex, place: Place, samples: &[Sample]) -> usize {
        let before = self.placed.len();
        let mut newest = index.newest(place);
        for sample in samples.iter().filter(|sample| sample.at > newest) {
            let (at, bits) = (sample.at.as_millis(), sample.value.to_bits());
            self.placed.push(Placed { place, at, bits });
        }
        if let Some(last) = samples.last() {
            newest = newest.max(last.at);
            index.advance(place, newest);
        }
        self.placed.len() - before
    }

    /// Samples held.
    pub fn len(&self) -> usize {
        self.placed.len() + self.fresh_series.iter().map(|(_, held)| held.len()).sum::<usize>()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers the new series; returns their segment, or `None` where there are none.
    pub(super) fn settle(&mut self, index: &mut SeriesIndex) -> Option<SeriesSegment> {
        let fresh = std::mem::take(&mut self.fresh_series);
        self.fresh.clear();
        if fresh.is_empty() {
            return None;
        }
        let segment = SeriesSegment::new(fresh.iter().map(|(labels, _)| labels.clone()));
        index.add_segment(&segment);
        for (labels, samples) in fresh {
            let place = index.place(labels.fingerprint()).expect("the segment was just added");
            self.push_placed(index, place, &samples);
        }
        Some(segment)
    }
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
