//! A set of instants, as the stretches of time that make it up.

use super::time::{TimeRange, Timestamp};

/// Stretches of time, ascending, none empty, none meeting the next. Made of any number of ranges in
/// `n log n`; asking takes `log n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches(Vec<TimeRange>);

impl Stretches {
    /// Whether an instant lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        let next = self.0.partition_point(|stretch| stretch.end <= at);
        self.0.get(next).is_some_and(|stretch| stretch.contains(at))
    }

    /// Whether an instant of `range` lies inside.
    pub fn overlap(&self, range: TimeRange) -> bool {
        let next = self.0.partition_point(|stretch| stretch.end <= range.start);
        self.0.get(next).is_some_and(|stretch| stretch.overlaps(&range))
    }

    /// Whether all of `range` lies inside.
    pub fn contain(&self, range: TimeRange) -> bool {
        let next = self.0.partition_point(|stretch| stretch.end <= range.start);
        let around = |stretch: &TimeRange| stretch.start <= range.start && range.end <= stretch.end;
        range.is_empty() || self.0.get(next).is_some_and(around)
    }

    /// Whether nothing lies inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<TimeRange> for Stretches {
    /// The union of ranges in any order; empty ones add nothing.
    fn from_iter<I: IntoIterator<Item = TimeRange>>(ranges: I) -> Self {
        let mut ranges: Vec<TimeRange> =
            ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, held| {
            let meets = next.start <= held.end;
            if meets {
                held.end = held.end.max(next.end);
            }
            meets
        });
        Self(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_answers_as_its_ranges_do_one_by_one() {
        let mut random = fastrand::Rng::with_seed(14);
        let range = |random: &mut fastrand::Rng| {
            let (start, length) = (random.i64(0..60), random.i64(-1..6));
            let at = Timestamp::from_millis;
            TimeRange::new(at(start), at(start + length))
        };
        for _ in 0..300 {
            let ranges: Vec<TimeRange> =
                (0..random.usize(0..12)).map(|_| range(&mut random)).collect();
            let union: Stretches = ranges.iter().copied().collect();
            let asked = range(&mut random);
            assert_eq!(union.overlap(asked), ranges.iter().any(|one| one.overlaps(&asked)));
            let mut instants = asked.start.as_millis()..asked.end.as_millis();
            let all = instants.all(|at| union.contains(Timestamp::from_millis(at)));
            assert_eq!(union.contain(asked), all);
            for at in (0..70).map(Timestamp::from_millis) {
                assert_eq!(union.contains(at), ranges.iter().any(|one| one.contains(at)));
            }
        }
    }
}
