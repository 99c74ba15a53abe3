//! Holds the first and the last lines of each sort as they came, in bounded memory. What is left out is
//! counted.

use std::collections::VecDeque;

use crate::model::Timestamp;

/// A line as it came.
#[derive(Clone, Debug, Default)]
pub struct HeldLine {
    /// When it was written.
    pub at: Timestamp,
    /// Its rank among all lines that were read, so that equal instants have an order.
    pub rank: u64,
    /// Its file, as an index.
    pub file: usize,
    /// Its number in the file.
    pub number: u64,
    /// Its bytes, cut.
    pub bytes: Vec<u8>,
}

impl HeldLine {
    fn order(&self) -> (Timestamp, u64) {
        (self.at, self.rank)
    }
}

/// A line that is offered.
#[derive(Clone, Copy, Debug)]
pub struct OfferedLine<'a> {
    /// When it was written.
    pub at: Timestamp,
    /// As in [`HeldLine`].
    pub rank: u64,
    /// As in [`HeldLine`].
    pub file: usize,
    /// As in [`HeldLine`].
    pub number: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The earliest and the latest lines of one sort.
#[derive(Debug)]
pub struct FirstAndLast {
    first: Vec<HeldLine>,
    last: VecDeque<HeldLine>,
    each: usize,
    longest: usize,
    /// All lines that were offered.
    pub total: u64,
}

impl FirstAndLast {
    /// Holds the `each` earliest and the `each` latest lines, at most `longest` bytes of each.
    pub fn new(each: usize, longest: usize) -> Self {
        Self { first: Vec::new(), last: VecDeque::new(), each, longest, total: 0 }
    }

    /// Offers a line.
    pub fn offer(&mut self, line: OfferedLine<'_>) {
        self.total += 1;
        let order = (line.at, line.rank);
        let is_early = self.first.len() < self.each
            || self.first.last().is_some_and(|last| order < last.order());
        if is_early {
            let at = self.first.partition_point(|held| held.order() < order);
            let line = self.held(line, Vec::new());
            self.first.insert(at, line);
            if self.first.len() <= self.each {
                return;
            }
            let pushed = self.first.pop().expect("a line was added");
            self.hold_late(pushed);
            return;
        }
        let is_late = self.last.len() < self.each
            || self.last.front().is_some_and(|first| order > first.order());
        if is_late {
            // In order of time, a buffer is filled again and again.
            let buffer = match self.last.len() < self.each {
                true => Vec::new(),
                false => self.last.pop_front().map_or_else(Vec::new, |oldest| oldest.bytes),
            };
            let line = self.held(line, buffer);
            self.hold_late(line);
        }
    }

    /// The line in `bytes`, whose room is used again.
    fn held(&self, line: OfferedLine<'_>, mut bytes: Vec<u8>) -> HeldLine {
        bytes.clear();
        bytes.extend_from_slice(&line.bytes[..line.bytes.len().min(self.longest)]);
        HeldLine { at: line.at, rank: line.rank, file: line.file, number: line.number, bytes }
    }

    fn hold_late(&mut self, line: HeldLine) {
        let at = self.last.partition_point(|held| held.order() < line.order());
        self.last.insert(at, line);
        if self.last.len() > self.each {
            self.last.pop_front();
        }
    }

    /// The held lines in order of time.
    pub fn lines(&self) -> impl Iterator<Item = &HeldLine> {
        self.first.iter().chain(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_earliest_and_the_latest_are_held_whatever_the_order(
            times in prop::collection::vec(0_i64..20, 0..30),
        ) {
            let mut kept = FirstAndLast::new(3, 16);
            for (rank, at) in times.iter().enumerate() {
                let at = Timestamp::from_millis(*at);
                kept.offer(OfferedLine { at, rank: rank as u64, file: 0, number: 1, bytes: b"x" });
            }
            let mut expected: Vec<(i64, u64)> =
                times.iter().zip(0..).map(|(at, rank)| (*at, rank)).collect();
            expected.sort_unstable();
            if expected.len() > 6 {
                expected.drain(3..expected.len() - 3);
            }
            let held: Vec<(i64, u64)> =
                kept.lines().map(|line| (line.at.as_millis(), line.rank)).collect();
            prop_assert_eq!(held, expected);
            prop_assert_eq!(kept.total, times.len() as u64);
        }
    }
}
