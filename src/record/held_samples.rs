//! The samples of one series in little room, for as long as a watch looks back.

use std::collections::VecDeque;

use crate::model::{Sample, Timestamp};

/// The most samples of a chunk: one bit of a word for each.
const MOST: u32 = u64::BITS;

/// Samples of one series, ascending in time.
///
/// Most series rest most of the time and are scraped at even distances, so that an instant is kept only where
/// distances differ, and a value only where it is another one than before.
#[derive(Debug, Default)]
pub(super) struct HeldSamples {
    chunks: VecDeque<Chunk>,
}

/// Samples that follow one another.
#[derive(Debug)]
struct Chunk {
    first: Timestamp,
    last: Timestamp,
    len: u32,
    /// The distance of the first two samples, in milliseconds.
    apart_ms: i64,
    /// Every instant, once distances differ.
    uneven: Vec<Timestamp>,
    /// Whether each sample has another value, to the bit, than the one before it. The first one has.
    changed: u64,
    /// The values of those that have.
    values: Vec<f64>,
}

impl HeldSamples {
    /// Adds a sample; one that is no newer than the last is left out.
    pub fn push(&mut self, sample: Sample) {
        match self.chunks.back_mut() {
            Some(last) if sample.at <= last.last => {}
            Some(last) if last.len < MOST => last.push(sample),
            _ => self.chunks.push_back(Chunk::of(sample)),
        }
    }

    /// Drops samples before `oldest`; some of them stay until all of their chunk are as old.
    pub fn forget(&mut self, oldest: Timestamp) {
        while self.chunks.front().is_some_and(|chunk| chunk.last < oldest) {
            self.chunks.pop_front();
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The samples, ascending in time.
    pub fn iter(&self) -> impl Iterator<Item = Sample> {
        self.chunks.iter().flat_map(Chunk::iter)
    }
}

impl Chunk {
    fn of(first: Sample) -> Self {
        Self {
            first: first.at,
            last: first.at,
            len: 1,
            apart_ms: 0,
            uneven: Vec::new(),
            changed: 1,
            values: vec![first.value],
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.len == 1 {
            self.apart_ms = sample.at - self.first;
        }
        if self.uneven.is_empty() && sample.at - self.last != self.apart_ms {
            self.uneven = (0..self.len).map(|place| self.at(place)).collect();
        }
        if !self.uneven.is_empty() {
            self.uneven.push(sample.at);
        }
        if self.values.last().map(|value| value.to_bits()) != Some(sample.value.to_bits()) {
            self.changed |= 1 << self.len;
            self.values.push(sample.value);
        }
        self.last = sample.at;
        self.len += 1;
    }

    fn at(&self, place: u32) -> Timestamp {
        let even = || self.first.saturating_add_millis(i64::from(place) * self.apart_ms);
        self.uneven.get(place as usize).copied().unwrap_or_else(even)
    }

    fn iter(&self) -> impl Iterator<Item = Sample> {
        let values = (0..self.len).scan(0, |known, place| {
            *known += (self.changed >> place & 1) as usize;
            Some(self.values[*known - 1])
        });
        (0..self.len).zip(values).map(|(place, value)| Sample { at: self.at(place), value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { at: Timestamp::from_millis(at), value }
    }

    fn bits(samples: impl Iterator<Item = Sample>) -> Vec<(Timestamp, u64)> {
        samples.map(|sample| (sample.at, sample.value.to_bits())).collect()
    }

    proptest! {
        #[test]
        fn what_is_held_is_what_was_added(
            steps in prop::collection::vec((prop_oneof![Just(15_000_i64), 1..40_000_i64], 0..3_u8), 1..300),
        ) {
            let mut held = HeldSamples::default();
            let mut added = Vec::new();
            let mut at = -1_000_000;
            for (apart, value) in steps {
                at += apart;
                added.push(sample(at, [f64::NAN, -0.0, 0.0][usize::from(value)]));
                held.push(added[added.len() - 1]);
            }
            prop_assert_eq!(bits(held.iter()), bits(added.iter().copied()));
        }
    }

    #[test]
    fn what_is_no_newer_is_left_out() {
        let mut held = HeldSamples::default();
        for at in [10, 20, 20, 5, 30] {
            held.push(sample(at, at as f64));
        }
        let instants: Vec<i64> = held.iter().map(|sample| sample.at.as_millis()).collect();
        assert_eq!(instants, [10, 20, 30]);
    }

    #[test]
    fn whole_chunks_are_forgotten_and_the_rest_stays() {
        let mut held = HeldSamples::default();
        (0..200).for_each(|place| held.push(sample(place * 15_000, 1.0)));
        held.forget(Timestamp::from_millis(64 * 15_000));
        assert_eq!(held.iter().next(), Some(sample(64 * 15_000, 1.0)));
        assert_eq!(held.iter().count(), 136);
        held.forget(Timestamp::from_millis(200 * 15_000));
        assert!(held.is_empty());
    }
}
