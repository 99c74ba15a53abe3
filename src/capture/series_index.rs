//! The writer's index of all series: number, fingerprint and time of the newest sample of each.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use super::codec::JournalRow;
use super::digest::sample_hash;
use super::fingerprint_map::FingerprintMap;
use super::series_segment::{SeriesSegment, target_labels};
use crate::model::{EncodedLabels, Fingerprint, Labels, LabelsError, Sample, TargetKey, Timestamp};

/// Where a series is stored: the index of its target, counted from 0, and its ordinal there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesPlace {
    pub target: u32,
    pub ordinal: u32,
}

impl SeriesPlace {
    /// The place this many series further on in the same target.
    fn ahead(self, series: usize) -> Self {
        Self { ordinal: self.ordinal + series as u32, ..self }
    }
}

/// What the index keeps of one series.
struct SeriesState {
    fingerprint: Fingerprint,
    /// Hash of the encoded labels with which the series arrived last.
    check: u64,
    /// Time of its newest sample.
    newest: Timestamp,
    place: SeriesPlace,
}

/// All series of a capture, and up to which time each has been written.
///
/// Label sets are not kept: with 500,000 series, each takes about 90 bytes.
///
/// Prometheus sends series in the same order each time, so the index keeps them in the order of
/// their arrival and looks at the expected one first. Sequential access is several times as fast as
/// a map, whose lookups miss the caches of the processor. The expected series is recognized by a
/// 64-bit hash of its encoded labels, which is cheaper than a fingerprint. The key of that hash is
/// random for each index, so nobody can construct labels that collide.
#[derive(Default)]
pub struct SeriesIndex {
    series: Vec<SeriesState>,
    checks: foldhash::quality::RandomState,
    /// Position in `series` by fingerprint.
    positions: FingerprintMap<u32>,
    targets: BTreeMap<TargetKey, u32>,
    /// Number of series of each target, by target index.
    sizes: Vec<u32>,
    /// Position in `series` of the series that is expected next.
    next: usize,
    /// Number of series that arrived in this commit, and how many of them were not the expected
    /// one.
    arrived: usize,
    unexpected: usize,
    /// Positions in the order of arrival, while the known order is out of date and is being
    /// learned.
    learned: Option<Vec<u32>>,
}

/// Hash of a series that has not arrived since the file was opened. A real hash may equal it by
/// chance, as any other.
const UNCHECKED: u64 = 0;

/// The order is learned anew when more than one in this many series was unexpected.
const UNEXPECTED: usize = 16;

impl SeriesIndex {
    /// Number of series in the capture.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether the capture has no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn place(&self, fingerprint: Fingerprint) -> Option<SeriesPlace> {
        self.positions.get(&fingerprint).map(|&position| self.series[position as usize].place)
    }

    fn check(&self, labels: EncodedLabels<'_>) -> u64 {
        self.checks.hash_one(labels.0)
    }

    /// Position of a series that arrives, if it is the expected one.
    fn arrive_expected(&mut self, check: u64) -> Option<usize> {
        let expected = self.series.get(self.next)?;
        (expected.check == check).then(|| self.arrive_at(self.next))
    }

    /// Position of a series that arrives; `None` where it is new.
    fn arrive(&mut self, fingerprint: Fingerprint, check: u64) -> Option<usize> {
        let position = *self.positions.get(&fingerprint)? as usize;
        self.unexpected += usize::from(position != self.next);
        self.series[position].check = check;
        Some(self.arrive_at(position))
    }

    fn arrive_at(&mut self, position: usize) -> usize {
        self.next = position + 1;
        self.arrived += 1;
        if let Some(learned) = &mut self.learned {
            learned.push(position as u32);
        }
        position
    }

    /// Ends the commit: series that arrive from here on belong to the next one.
    fn end_of_commit(&mut self) {
        let arrived = std::mem::take(&mut self.arrived);
        let unexpected = std::mem::take(&mut self.unexpected);
        if arrived == 0 {
            return;
        }
        self.next = 0;
        if let Some(learned) = self.learned.take() {
            self.reorder(learned);
        } else if unexpected > arrived / UNEXPECTED {
            self.learned = Some(Vec::with_capacity(arrived));
        }
    }

    /// Sorts series by the order of their arrival; those that did not arrive come last.
    fn reorder(&mut self, arrived: Vec<u32>) {
        let mut before: Vec<Option<SeriesState>> =
            std::mem::take(&mut self.series).into_iter().map(Some).collect();
        let mut moved = vec![0; before.len()];
        self.series.reserve(before.len());
        for position in arrived.into_iter().chain(0..before.len() as u32) {
            if let Some(state) = before[position as usize].take() {
                moved[position as usize] = self.series.len() as u32;
                self.series.push(state);
            }
        }
        for position in self.positions.values_mut() {
            *position = moved[*position as usize];
        }
    }

    /// Sets the time of the newest sample of each series, by target index and ordinal.
    pub(super) fn set_newest(&mut self, newest: &[Vec<Timestamp>]) {
        for SeriesState { newest: held, place, .. } in &mut self.series {
            let of_target = newest.get(place.target as usize);
            if let Some(&at) = of_target.and_then(|all| all.get(place.ordinal as usize)) {
                *held = at;
            }
        }
    }

    /// Adds the series of a segment.
    pub(super) fn add_segment(&mut self, segment: &SeriesSegment) {
        let firsts = self.number(segment);
        for ((key, sets), first) in segment.targets.iter().zip(firsts) {
            let added = target_labels(key);
            for (ahead, &set) in sets.iter().enumerate() {
                let fingerprint = segment.sets[set as usize].fingerprint_with(&added);
                self.add(fingerprint, UNCHECKED, first.ahead(ahead));
            }
        }
    }

    /// Numbers the series of a segment in the same order as readers do. Returns the place of the
    /// first series of each target.
    fn number(&mut self, segment: &SeriesSegment) -> Vec<SeriesPlace> {
        let mut firsts = Vec::with_capacity(segment.targets.len());
        for (key, sets) in &segment.targets {
            let next = self.sizes.len() as u32;
            let target = *self.targets.entry(key.clone()).or_insert(next);
            if target == next {
                self.sizes.push(0);
            }
            let size = &mut self.sizes[target as usize];
            firsts.push(SeriesPlace { target, ordinal: *size });
            *size += sets.len() as u32;
        }
        firsts
    }

    fn add(&mut self, fingerprint: Fingerprint, check: u64, place: SeriesPlace) -> usize {
        let position = self.series.len();
        self.series.push(SeriesState { fingerprint, check, newest: Timestamp::MIN, place });
        self.positions.insert(fingerprint, position as u32);
        position
    }
}

/// A series of the current batch that the index does not have yet.
struct NewSeries {
    fingerprint: Fingerprint,
    check: u64,
    labels: Labels,
    samples: Vec<Sample>,
}

/// Collects the samples of one tick.
///
/// Samples that are not newer than the newest sample of their series are dropped, so the windows of
/// successive ticks may overlap.
#[derive(Default)]
pub struct SampleBatch {
    /// Samples of known series, by target index.
    scrapes: Vec<TargetScrapes>,
    placed: usize,
    /// Sum of [`sample_hash`] over the samples of known series.
    sum: u128,
    by_fingerprint: FingerprintMap<usize>,
    fresh: Vec<NewSeries>,
}

/// Samples of one target, ascending in time; within an instant in the order of arrival.
#[derive(Default)]
struct TargetScrapes {
    rows: Vec<JournalRow>,
    /// Index of the row of the last sample: the next sample usually belongs to this row or the
    /// next.
    last: usize,
}

impl TargetScrapes {
    /// Adds a sample. The first row is allocated for `expected` samples.
    fn push(&mut self, at: i64, ordinal: u32, bits: u64, expected: u32) {
        let guess = self.last..(self.last + 2).min(self.rows.len());
        let row = match self.rows[guess].iter().position(|row| row.at == at) {
            Some(ahead) => self.last + ahead,
            None => self.rows.binary_search_by_key(&at, |row| row.at).unwrap_or_else(|row| {
                let last = self.rows.get(self.last).map(|row| row.samples.len());
                let samples = Vec::with_capacity(last.unwrap_or(expected as usize));
                self.rows.insert(row, JournalRow { at, samples });
                row
            }),
        };
        self.last = row;
        self.rows[row].samples.push((ordinal, bits));
    }
}

impl SampleBatch {
    /// Adds samples of one series, ascending in time, and skips those that were written before.
    /// Returns the number of new samples.
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
        let check = index.check(labels);
        if let Some(position) = index.arrive_expected(check) {
            return Ok(self.push_known(index, position, samples));
        }
        let raw = labels.fingerprint();
        if let Some(position) = index.arrive(raw, check) {
            return Ok(self.push_known(index, position, samples));
        }
        let number = match self.by_fingerprint.get(&raw) {
            Some(&number) => number,
            None => {
                let labels = labels.decode()?;
                let fingerprint = labels.fingerprint();
                if let Some(position) = index.arrive(fingerprint, check) {
                    index.positions.insert(raw, position as u32);
                    return Ok(self.push_known(index, position, samples));
                }
                let next = self.fresh.len();
                let number = *self.by_fingerprint.entry(fingerprint).or_insert(next);
                if number == next {
                    self.fresh.push(NewSeries { fingerprint, check, labels, samples: Vec::new() });
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

    fn push_known(
        &mut self,
        index: &mut SeriesIndex,
        position: usize,
        samples: &[Sample],
    ) -> usize {
        let state = &mut index.series[position];
        let SeriesPlace { target, ordinal } = state.place;
        let size = index.sizes[target as usize];
        if self.scrapes.len() <= target as usize {
            self.scrapes.resize_with(target as usize + 1, TargetScrapes::default);
        }
        let scrapes = &mut self.scrapes[target as usize];
        let before = self.placed;
        for sample in samples {
            if sample.at > state.newest {
                let (at, bits) = (sample.at.as_millis(), sample.value.to_bits());
                scrapes.push(at, ordinal, bits, size);
                self.sum = self.sum.wrapping_add(sample_hash(state.fingerprint, at, bits));
                state.newest = sample.at;
                self.placed += 1;
            }
        }
        self.placed - before
    }

    /// Number of samples in the batch.
    pub fn len(&self) -> usize {
        self.placed + self.fresh.iter().map(|fresh| fresh.samples.len()).sum::<usize>()
    }

    /// Whether the batch has no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the new series to the index and returns their segment; `None` where there are none.
    pub(super) fn settle(&mut self, index: &mut SeriesIndex) -> Option<SeriesSegment> {
        let fresh = std::mem::take(&mut self.fresh);
        self.by_fingerprint.clear();
        index.end_of_commit();
        if fresh.is_empty() {
            return None;
        }
        let (segment, places) = SeriesSegment::placed(fresh.iter().map(|fresh| &fresh.labels));
        let firsts = index.number(&segment);
        for (fresh, (target, ordinal)) in fresh.into_iter().zip(places) {
            let position = index.add(fresh.fingerprint, fresh.check, firsts[target].ahead(ordinal));
            self.push_known(index, position, &fresh.samples);
        }
        Some(segment)
    }

    /// Takes the sum of the sample hashes out of the batch.
    pub(super) fn take_sum(&mut self) -> u128 {
        std::mem::take(&mut self.sum)
    }

    /// Takes the samples out of the batch: target indices, each with its rows in the order of the
    /// journal.
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

/// Sorts by ordinal; ordinals are distinct. A scrape holds nearly all ordinals below its highest
/// one, so a counting sort is faster than a comparison sort.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_keep_their_places_in_whatever_order_they_arrive() {
        let labels: Vec<Labels> = (0..60)
            .map(|n| {
                let (job, metric) = (["pd", "tikv"][n % 2], format!("m{n}"));
                Labels::from_pairs(&[("__name__", &metric), ("job", job)])
            })
            .collect();
        let mut index = SeriesIndex::default();
        let mut places = Vec::new();
        let orders: [fn(usize) -> usize; 4] = [|n| n, |n| 59 - n, |n| n * 7 % 60, |n| n / 2];
        for commit in 0..24 {
            let mut batch = SampleBatch::default();
            for n in (0..60).map(orders[commit as usize / 3 % 4]) {
                let mut bytes = Vec::new();
                labels[n].encode(&mut bytes);
                let sample = Sample { at: Timestamp::from_millis(commit), value: n as f64 };
                batch.push(&mut index, EncodedLabels(&bytes), &[sample]).unwrap();
            }
            let distinct = if commit / 3 % 4 == 3 { 30 } else { 60 };
            assert_eq!(batch.len(), distinct, "in commit {commit}");
            batch.settle(&mut index);
            let now: Vec<_> =
                labels.iter().map(|labels| index.place(labels.fingerprint())).collect();
            if commit == 0 {
                places.clone_from(&now);
            }
            assert_eq!(now, places, "after commit {commit}");
            for (target, rows) in batch.take_rows() {
                for (ordinal, bits) in rows.iter().flat_map(|row| &row.samples) {
                    let n = f64::from_bits(*bits) as usize;
                    assert_eq!(places[n], Some(SeriesPlace { target, ordinal: *ordinal }));
                }
            }
        }
    }

    #[test]
    fn an_order_that_comes_twice_is_expected() {
        let mut index = SeriesIndex::default();
        let mut commit = |at: i64, order: &[u64]| {
            let mut batch = SampleBatch::default();
            for n in order {
                let mut bytes = Vec::new();
                Labels::from_pairs(&[("__name__", &format!("m{n}"))]).encode(&mut bytes);
                let sample = Sample { at: Timestamp::from_millis(at), value: 0.0 };
                batch.push(&mut index, EncodedLabels(&bytes), &[sample]).unwrap();
            }
            let unexpected = index.unexpected;
            batch.settle(&mut index);
            unexpected
        };
        let order = [5, 3, 9, 1, 0, 2];
        let unexpected = [0, 1, 2, 3].map(|at| commit(at, &order));
        assert_eq!(unexpected, [0; 4]);
        let other = [0, 1, 2, 3, 5, 9];
        let unexpected = [4, 5, 6, 7].map(|at| commit(at, &other));
        assert!(unexpected[1] > 2 && unexpected[2..] == [0, 0], "{unexpected:?}");
    }
}
