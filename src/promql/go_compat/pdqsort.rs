//! Pattern-defeating quicksort (pdqsort), step by step as Go's `sort.Sort` does it.
//!
//! Prometheus shows the order in which that sort leaves equal elements, and elements whose
//! comparison contradicts itself, so each step has to be the same. `before` need not be an order:
//! whatever it returns, the sort ends and keeps every element.

use std::ops::Range;

/// Up to this length a part is sorted by insertion.
const INSERTION_SORT_UP_TO: usize = 12;
/// From this length on, a pivot is a median of medians, and almost sorted parts are repaired.
const MEDIAN_OF_MEDIANS_FROM: usize = 50;
/// How many pairs in the wrong order are repaired before a part counts as unsorted.
const MAX_REPAIRS: usize = 5;
/// How many comparisons choose the pivot of a long part; where all ask for a swap, the part is
/// descending.
const MAX_SWAPS: usize = 12;

/// Sorts so that no element is before the one to its left.
pub fn sort<T>(items: &mut [T], before: impl Fn(&T, &T) -> bool) {
    let length = items.len();
    let mut sorter = Sorter { items, before };
    sorter.part(0..length, (usize::BITS - length.leading_zeros()) as usize);
}

struct Sorter<'a, T, F> {
    items: &'a mut [T],
    before: F,
}

/// The order of the elements that the choice of a pivot compared.
#[derive(PartialEq, Eq)]
enum Hint {
    Ascending,
    Descending,
    Neither,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    fn before(&self, a: usize, b: usize) -> bool {
        (self.before)(&self.items[a], &self.items[b])
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.items.swap(a, b);
    }

    /// Sorts a part; after `limit` unbalanced pivots, by heap sort.
    fn part(&mut self, mut part: Range<usize>, mut limit: usize) {
        let (mut was_balanced, mut was_partitioned) = (true, true);
        while part.len() > INSERTION_SORT_UP_TO {
            if limit == 0 {
                return self.heap_sort(part);
            }
            if !was_balanced {
                self.break_patterns(&part);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.pivot(&part);
            if hint == Hint::Descending {
                self.items[part.clone()].reverse();
                pivot = part.end - 1 - (pivot - part.start);
                hint = Hint::Ascending;
            }
            if was_balanced && was_partitioned && hint == Hint::Ascending && self.repair(&part) {
                return;
            }
            if part.start > 0 && !self.before(part.start - 1, pivot) {
                part.start = self.partition_equal(&part, pivot);
                continue;
            }
            let middle;
            (middle, was_partitioned) = self.partition(&part, pivot);
            let (left, right) = (part.start..middle, middle + 1..part.end);
            was_balanced = left.len().min(part.end - middle) >= part.len() / 8;
            if left.len() < part.end - middle {
                self.part(left, limit);
                part = right;
            } else {
                self.part(right, limit);
                part = left;
            }
        }
        for from in part.start + 1..part.end {
            self.insert_left(from, part.start);
        }
    }

    /// Moves an element to the left, no further than `least`, as long as it is before its
    /// neighbour.
    fn insert_left(&mut self, mut at: usize, least: usize) {
        while at > least && self.before(at, at - 1) {
            self.swap(at, at - 1);
            at -= 1;
        }
    }

    /// Lesser elements to the left of the pivot; returns where the pivot is then, and whether
    /// they were there already.
    fn partition(&mut self, part: &Range<usize>, pivot: usize) -> (usize, bool) {
        let first = part.start;
        self.swap(first, pivot);
        let (mut low, mut high) = (first + 1, part.end - 1);
        let mut was_partitioned = true;
        loop {
            while low <= high && self.before(low, first) {
                low += 1;
            }
            while low <= high && !self.before(high, first) {
                high -= 1;
            }
            if low > high {
                break;
            }
            self.swap(low, high);
            (low, high) = (low + 1, high - 1);
            was_partitioned = false;
        }
        self.swap(high, first);
        (high, was_partitioned)
    }

    /// Elements equal to the pivot to the left, where none is less; returns where they end.
    fn partition_equal(&mut self, part: &Range<usize>, pivot: usize) -> usize {
        let first = part.start;
        self.swap(first, pivot);
        let (mut low, mut high) = (first + 1, part.end - 1);
        loop {
            while low <= high && !self.before(first, low) {
                low += 1;
            }
            while low <= high && self.before(first, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.swap(low, high);
            (low, high) = (low + 1, high - 1);
        }
    }

    /// Repairs a part that is almost sorted; returns whether it is sorted then.
    fn repair(&mut self, part: &Range<usize>) -> bool {
        let mut at = part.start + 1;
        for _ in 0..MAX_REPAIRS {
            while at < part.end && !self.before(at, at - 1) {
                at += 1;
            }
            if at == part.end {
                return true;
            }
            if part.len() < MEDIAN_OF_MEDIANS_FROM {
                return false;
            }
            self.swap(at, at - 1);
            if at - part.start >= 2 {
                // As in Go, the part's start is no bound here.
                self.insert_left(at - 1, 0);
            }
            if part.end - at >= 2 {
                let mut right = at + 1;
                while right < part.end && self.before(right, right - 1) {
                    self.swap(right, right - 1);
                    right += 1;
                }
            }
        }
        false
    }

    /// Swaps three elements in the middle of a part with others that a random number seeded by its
    /// length chooses.
    fn break_patterns(&mut self, part: &Range<usize>) {
        let length = part.len();
        let mask = (1_u64 << (usize::BITS - length.leading_zeros())) - 1;
        let middle = part.start + length / 4 * 2;
        let mut random = length as u64;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let drawn = (random & mask) as usize;
            let other = if drawn >= length { drawn - length } else { drawn };
            self.swap(at, part.start + other);
        }
    }

    fn pivot(&self, part: &Range<usize>) -> (usize, Hint) {
        let quarter = part.len() / 4;
        let mut places = [1, 2, 3].map(|quarters| part.start + quarter * quarters);
        let mut swaps = 0;
        if part.len() >= MEDIAN_OF_MEDIANS_FROM {
            places = places.map(|at| self.median([at - 1, at, at + 1], &mut swaps));
        }
        let pivot = self.median(places, &mut swaps);
        let hint = match swaps {
            0 => Hint::Ascending,
            MAX_SWAPS => Hint::Descending,
            _ => Hint::Neither,
        };
        (pivot, hint)
    }

    fn median(&self, mut at: [usize; 3], swaps: &mut usize) -> usize {
        for pair in [0, 1, 0] {
            if self.before(at[pair + 1], at[pair]) {
                *swaps += 1;
                at.swap(pair, pair + 1);
            }
        }
        at[1]
    }

    fn heap_sort(&mut self, part: Range<usize>) {
        for root in (0..part.len().div_ceil(2)).rev() {
            self.sift(part.start, root, part.len());
        }
        for last in (0..part.len()).rev() {
            self.swap(part.start, part.start + last);
            self.sift(part.start, 0, last);
        }
    }

    /// Restores a heap of `length` elements from `first` on, whose `root` may be out of place.
    fn sift(&mut self, first: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.before(first + child, first + child + 1) {
                child += 1;
            }
            if !self.before(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, `ways` of them different.
    fn drawn(length: usize, ways: u64) -> Vec<(u64, usize)> {
        let mut state = length as u64 + 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % ways
        };
        (0..length).map(|place| (next(), place)).collect()
    }

    #[test]
    fn whatever_comes_is_sorted() {
        type Shape = fn(usize) -> Vec<(u64, usize)>;
        let shapes: [Shape; 6] = [
            |length| drawn(length, 3),
            |length| drawn(length, 1 << 20),
            |length| (0..length).map(|place| (place as u64, place)).collect(),
            |length| (0..length).map(|place| ((length - place) as u64, place)).collect(),
            |length| (0..length).map(|place| ((place % 7 * place) as u64, place)).collect(),
            // Almost sorted.
            |length| {
                (0..length).map(|place| ((place ^ usize::from(place == 9)) as u64, place)).collect()
            },
        ];
        for length in (0..80).chain([200, 1_000, 5_000]) {
            for shape in shapes {
                let mut items = shape(length);
                sort(&mut items, |a, b| a.0 < b.0);
                assert!(items.is_sorted_by_key(|item| item.0), "{length}");
                let mut sorter = Sorter {
                    items: &mut shape(length),
                    before: |a: &(u64, usize), b: &(u64, usize)| a.0 < b.0,
                };
                sorter.heap_sort(0..length);
                assert!(sorter.items.is_sorted_by_key(|item| item.0), "{length}");
                items.sort_by_key(|item| item.1);
                assert!(items.iter().enumerate().all(|(place, item)| item.1 == place));
            }
        }
    }

    /// Lengths, and for each of five orders a hash of where Go's `sort.Sort` puts each element.
    const LEFT_BY_GO: [(usize, [u64; 5]); 4] = [
        (
            13,
            [
                5_970_854_617_900_144_453,
                17_457_079_714_848_077_745,
                16_952_460_641_464_536_905,
                5_683_108_942_249_331_233,
                12_232_298_847_160_655_775,
            ],
        ),
        (
            60,
            [
                12_108_251_895_167_902_377,
                2_183_638_357_789_427_177,
                4_567_781_936_146_177_633,
                17_645_833_082_195_350_297,
                2_029_274_279_393_259_693,
            ],
        ),
        (
            500,
            [
                17_871_988_613_129_890_381,
                16_265_746_640_649_524_459,
                385_861_147_634_647_507,
                15_069_203_764_751_284_441,
                15_817_118_124_845_412_799,
            ],
        ),
        (
            5000,
            [
                17_400_800_805_785_583_773,
                15_693_190_023_660_820_781,
                11_506_070_149_672_954_877,
                5_991_865_277_348_037_301,
                4_938_491_058_506_165_783,
            ],
        ),
    ];

    /// What Go's `sort.Sort` leaves of five orders, as a hash of where each element came from. In
    /// two of them the comparison contradicts itself.
    #[test]
    fn equal_elements_lie_where_go_leaves_them() {
        let less: fn(usize, usize) -> bool = |a, b| a < b;
        let odd: fn(usize, usize) -> bool = |a, b| (a + 3) % 7 < b % 7;
        for (length, hashes) in LEFT_BY_GO {
            let key = |way: usize, i: usize| match way {
                0 => i * i % 7,
                1 | 2 => i * 7919 % 1009,
                3 if i.is_multiple_of(2) => i,
                3 => length - i,
                _ => i * i % 101 / (1 + i % 3),
            };
            for (way, expected) in hashes.into_iter().enumerate() {
                let before = [less, less, odd, less, odd][way];
                let mut items: Vec<(usize, usize)> =
                    (0..length).map(|place| (key(way, place), place)).collect();
                sort(&mut items, |a, b| before(a.0, b.0));
                let hash = items.iter().fold(14_695_981_039_346_656_037_u64, |hash, item| {
                    (hash ^ item.1 as u64).wrapping_mul(1_099_511_628_211)
                });
                assert_eq!(hash, expected, "{length} elements, order {way}");
            }
        }
    }

    #[test]
    fn a_comparison_that_contradicts_itself_loses_nothing() {
        let rules: [fn(u64, u64) -> bool; 4] =
            [|_, _| true, |_, _| false, |a, b| (a + 3) % 7 < b % 7, |a, b| (a ^ b) & 1 == 1];
        for length in [13, 40, 60, 500, 3_000] {
            for rule in rules {
                let mut items = drawn(length, 100);
                sort(&mut items, |a, b| rule(a.0, b.0));
                items.sort_by_key(|item| item.1);
                assert_eq!(items, drawn(length, 100));
            }
        }
    }
}
