//! The one order of observations, and ways to compute that must not change the outcome.

use crate::model::{Event, Gap, PdAnswer, Series};
use crate::timeline::recording::Recording;

/// How to compute. Every way gives the same bytes; `--verify` compares two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// As loaded, on one thread.
    Sequential,
    /// Inputs shuffled first, work split over threads.
    Shuffled {
        /// Seed of the shuffle.
        seed: u64,
        /// How many threads; at least one is used.
        threads: usize,
    },
}

impl Evaluation {
    /// How many threads to split over.
    pub(crate) fn threads(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Shuffled { threads, .. } => threads.max(1),
        }
    }
}

/// A recording's observations but PD's answers, by reference, each kind in its total order.
pub(crate) struct Ordered<'a> {
    pub(crate) events: Vec<&'a Event>,
    pub(crate) gaps: Vec<&'a Gap>,
    pub(crate) series: Vec<&'a Series>,
}

/// PD's answers in the order in which they were known; ties by everything else that they say.
pub(crate) fn ordered_pd(answers: &[PdAnswer], evaluation: Evaluation) -> Vec<&PdAnswer> {
    let mut ordered: Vec<&PdAnswer> = answers.iter().collect();
    if let Evaluation::Shuffled { seed, .. } = evaluation {
        XorShift::new(seed).shuffle(&mut ordered);
    }
    ordered.sort_unstable_by_key(|answer| (answer.observed(), *answer));
    ordered
}

impl<'a> Ordered<'a> {
    /// Sorts by instant of observation; ties by everything else that the observation says.
    pub(crate) fn new(recording: &'a Recording, evaluation: Evaluation) -> Self {
        let mut ordered = Self {
            events: recording.events.iter().collect(),
            gaps: recording.gaps.iter().collect(),
            series: recording.series.iter().collect(),
        };
        if let Evaluation::Shuffled { seed, .. } = evaluation {
            let mut random = XorShift::new(seed);
            random.shuffle(&mut ordered.events);
            random.shuffle(&mut ordered.gaps);
            random.shuffle(&mut ordered.series);
        }
        ordered.events.sort_unstable();
        ordered.gaps.sort_unstable();
        ordered.series.sort_unstable_by(|a, b| {
            let bits = |series: &'a Series| {
                series.samples.iter().map(|sample| (sample.at, sample.value.to_bits()))
            };
            a.labels.cmp(&b.labels).then_with(|| bits(a).cmp(bits(b)))
        });
        ordered
    }
}

/// Splits `items` over `threads`, maps each, and returns results in the order of `items`.
pub(crate) fn map_split<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    map: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    if threads <= 1 {
        return items.iter().map(map).collect();
    }
    let map = &map;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(map).collect::<Vec<R>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

/// Marsaglia's xorshift64: enough to disorder, and the same everywhere.
struct XorShift(u64);

impl XorShift {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, other as usize);
        }
    }
}
