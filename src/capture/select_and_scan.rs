//! Selects series and streams others by in one pass, so that no group is decoded twice.

use std::sync::atomic::Ordering;

use super::CaptureError;
use super::codec::{Columns, DecodeError};
use super::memory_budget::MemoryBudget;
use super::reader::{CaptureReader, Target};
use super::scan_samples::{SampleRun, touched};
use super::select_series::SELECTED;
use crate::model::{Labels, Sample, Series, TimeRange};

/// What a pass over a capture does with a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Whether its samples are returned.
    pub select: Selection,
    /// Whether its samples stream by.
    pub scan: bool,
}

/// Whether the samples of a series are returned, and from which one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// They are not.
    No,
    /// All are.
    All,
    /// Those from the first one on that is not zero: a bucket of a histogram may have counted nothing for a day.
    FromFirstCount,
}

/// The selected series of one target, with the samples that are decoded so far.
struct Selected<'a> {
    target: &'a Target,
    reads: Vec<Reads>,
    /// The samples of each series, by ordinal.
    samples: Vec<Vec<Sample>>,
    /// About how many samples a series has in the whole range.
    room: usize,
}

impl<'a> Selected<'a> {
    fn new(target: &'a Target, reads: Vec<Reads>) -> Self {
        let samples = vec![Vec::new(); reads.len()];
        Self { target, reads, samples, room: 0 }
    }

    /// Adds what a run has of a selected series, and charges it to `budget` before.
    fn take(
        &mut self,
        run: &SampleRun<'_>,
        instants: usize,
        budget: &mut MemoryBudget,
    ) -> Result<(), DecodeError> {
        let held = &mut self.samples[run.ordinal()];
        let is_idle =
            self.reads[run.ordinal()].select == Selection::FromFirstCount && held.is_empty();
        if is_idle && run.is_zero() {
            return Ok(());
        }
        let mut samples = run.samples().peekable();
        if is_idle {
            while samples.next_if(|sample| sample.value == 0.0).is_some() {}
            if samples.peek().is_none() {
                return Ok(());
            }
        }
        budget.take(instants, size_of::<Sample>())?;
        if held.is_empty() {
            budget.take_labels(self.target.text_len(run.ordinal()))?;
            held.reserve_exact(self.room.max(instants));
        }
        held.extend(samples);
        Ok(())
    }

    fn series(self) -> impl Iterator<Item = Series> + use<'a> {
        let target = self.target;
        let found = self.samples.into_iter().enumerate();
        found.filter(|(_, samples)| !samples.is_empty()).map(move |(ordinal, samples)| {
            let samples = ascending(samples);
            Series { labels: target.labels(ordinal), samples }
        })
    }
}

/// Samples in order of time, each instant once.
pub(super) fn ascending(mut samples: Vec<Sample>) -> Vec<Sample> {
    if !samples.is_sorted_by(|a, b| a.at < b.at) {
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
    }
    samples
}

impl CaptureReader {
    /// Asks of every series, by its labels without `job` and `instance`, what is to be done with its samples in
    /// `range`; calls `each` with those that stream by, in the order of [`scan`](Self::scan), and returns the selected
    /// series as [`select`](Self::select) does.
    ///
    /// # Errors
    ///
    /// As [`select`](Self::select).
    pub fn select_and_scan(
        &self,
        mut reads: impl FnMut(&Labels) -> Reads,
        range: TimeRange,
        mut each: impl FnMut(SampleRun<'_>),
    ) -> Result<Vec<Series>, CaptureError> {
        let (mut budget, mut columns) = (self.budget_to_select(), Columns::default());
        let mut found = Vec::new();
        for (number, target) in (1_u32..).zip(&self.targets) {
            let mut selected = Selected::new(target, target.sets.iter().map(&mut reads).collect());
            let wanted: Vec<bool> = selected.reads.iter().map(Reads::any).collect();
            if !wanted.contains(&true) {
                continue;
            }
            let mut take = |selected: &mut Selected<'_>, columns: &Columns| {
                for (row, &ordinal) in columns.ordinals.iter().enumerate() {
                    let Reads { select, scan } = selected.reads[ordinal as usize];
                    let run = || SampleRun::new(target, ordinal as usize, (columns, row), range);
                    if select != Selection::No {
                        selected.take(&run(), columns.times.len(), &mut budget)?;
                    }
                    if scan {
                        each(run());
                    }
                }
                Ok::<(), DecodeError>(())
            };
            let oversized = |_| self.oversized(SELECTED);
            let mut left = self.blocks_in(number, range).count();
            for block in self.blocks_in(number, range) {
                if let Some((body, header)) = self.block_header(block, wanted.len())? {
                    // Blocks of a target hold about as many instants, but for the last one.
                    selected.room = left * header.times.len();
                    for group in touched(&header, &wanted) {
                        let cells = group.1 * header.times.len();
                        self.decoded.fetch_add(cells as u64, Ordering::Relaxed);
                        if self.group(block, (&body, &header), group, &mut columns) {
                            take(&mut selected, &columns).map_err(oversized)?;
                        }
                    }
                }
                left -= 1;
            }
            for columns in self.journal_columns(number) {
                take(&mut selected, columns).map_err(oversized)?;
            }
            found.extend(selected.series());
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

impl Reads {
    fn any(&self) -> bool {
        self.scan || self.select != Selection::No
    }
}
