//! Selects series by matchers, and decodes only the groups that contain them.

use std::sync::atomic::Ordering;

use super::codec::{BlockHeader, Columns, DecodeError, decode_group};
use super::memory_budget::MemoryBudget;
use super::metric_index::MetricIndex;
use super::reader::{BlockRow, CaptureReader, Target};
use super::scan_samples::{SampleRun, touched};
use super::select_and_scan::ascending;
use super::{CaptureError, parallel};
use crate::model::{LabelMatcher, Sample, Series, TimeRange, Timestamp};

/// Bytes of blocks that are read before their groups are decoded.
const BYTES_AT_ONCE: usize = 16 << 20;
/// Name in the error of a selection that is too large.
pub(super) const SELECTED: &str = "what was selected";
/// Cells that are decoded together before their samples are appended.
const CELLS_AT_ONCE: usize = 4 << 20;

/// The selected series of one target, with the samples that are decoded so far.
struct TargetSelection<'a> {
    number: u32,
    target: &'a Target,
    /// For each ordinal, whether it is selected.
    wanted: Vec<bool>,
    /// The selected ordinals, ascending.
    ordinals: Vec<u32>,
    /// Samples of each selected series, in the order of `ordinals`.
    samples: Vec<Vec<Sample>>,
}

/// A block with selected series, read but not decoded.
struct LoadedBlock<'a> {
    pick: usize,
    block: &'a BlockRow,
    body: Vec<u8>,
    header: BlockHeader,
}

/// A group that has to be decoded.
struct DecodeJob<'a> {
    part: &'a LoadedBlock<'a>,
    group: usize,
    /// Number of its first rows that are needed.
    rows: usize,
    /// Number of samples per series for which memory is reserved.
    room: usize,
}

impl DecodeJob<'_> {
    fn cells(&self) -> usize {
        self.rows * self.part.header.times.len()
    }
}

impl<'a> TargetSelection<'a> {
    fn new(number: u32, target: &'a Target, wanted: Vec<bool>) -> Self {
        let ordinals = (0..).zip(&wanted).filter(|(_, wanted)| **wanted);
        let ordinals: Vec<u32> = ordinals.map(|(ordinal, _)| ordinal).collect();
        Self { number, target, wanted, samples: vec![Vec::new(); ordinals.len()], ordinals }
    }

    /// Number of these ordinals that are selected.
    fn wanted_of(&self, ordinals: &[u32]) -> usize {
        ordinals.iter().filter(|ordinal| self.wanted[**ordinal as usize]).count()
    }

    /// Charges the labels of the series that have samples to `budget`.
    fn take_labels(&self, budget: &mut MemoryBudget) -> Result<(), DecodeError> {
        let found = self.ordinals.iter().zip(&self.samples);
        found.filter(|(_, samples)| !samples.is_empty()).try_for_each(|(ordinal, _)| {
            budget.take_labels(self.target.text_len(*ordinal as usize))
        })
    }

    /// The selected samples of a group by ordinal, each list with capacity for `room` samples.
    fn cut(&self, columns: &Columns, range: TimeRange, room: usize) -> Vec<(u32, Vec<Sample>)> {
        let rows = columns.ordinals.iter().enumerate();
        let rows = rows.filter(|(_, ordinal)| self.wanted[**ordinal as usize]);
        let cut = |(row, &ordinal): (usize, &u32)| {
            let mut samples = Vec::with_capacity(room);
            let run = SampleRun::new(self.target, ordinal as usize, (columns, row), range);
            samples.extend(run.samples());
            (ordinal, samples)
        };
        rows.map(cut).collect()
    }

    fn take(&mut self, runs: Vec<(u32, Vec<Sample>)>) {
        for (ordinal, mut run) in runs {
            let place = self.ordinals.binary_search(&ordinal).expect("only what is wanted is cut");
            let held = &mut self.samples[place];
            if held.is_empty() {
                *held = run;
            } else {
                held.append(&mut run);
            }
        }
    }

    fn series(self) -> impl Iterator<Item = Series> + use<'a> {
        let target = self.target;
        let found = self.ordinals.into_iter().zip(self.samples);
        found.filter(|(_, samples)| !samples.is_empty()).map(move |(ordinal, samples)| {
            let samples = ascending(samples);
            Series { labels: target.labels(ordinal as usize), samples }
        })
    }
}

impl LoadedBlock<'_> {
    fn instants_in(&self, range: TimeRange) -> usize {
        let times = &self.header.times;
        let before = |end: Timestamp| times.partition_point(|at| *at < end.as_millis());
        before(range.end).saturating_sub(before(range.start))
    }
}

impl CaptureReader {
    /// Series that match all matchers, with their samples in `range`, ascending by labels.
    /// A series without a sample in `range` is left out.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read; [`CaptureError::Oversized`] where the
    /// selection exceeds the memory budget of the file.
    pub fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<Vec<Series>, CaptureError> {
        let spans = self.spans(matchers);
        let matching = (1..)
            .zip(&self.targets)
            .zip(&spans)
            .map(|((number, target), spans)| (number, target, target.matching(matchers, spans)));
        let mut picks: Vec<TargetSelection<'_>> = matching
            .filter(|(.., wanted)| wanted.contains(&true))
            .map(|(number, target, wanted)| TargetSelection::new(number, target, wanted))
            .collect();
        let mut budget = self.budget_to_select();
        self.fill(&mut picks, range, &mut budget)?;
        for pick in &picks {
            pick.take_labels(&mut budget).map_err(|_| self.oversized(SELECTED))?;
        }
        let mut found: Vec<Series> = picks.into_iter().flat_map(TargetSelection::series).collect();
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// Decodes the selected samples in `range` on several threads, and charges their memory to
    /// `budget`.
    fn fill(
        &self,
        picks: &mut [TargetSelection<'_>],
        range: TimeRange,
        budget: &mut MemoryBudget,
    ) -> Result<(), CaptureError> {
        let blocks = picks.iter().enumerate().flat_map(|(pick, picked)| {
            self.blocks_in(picked.number, range).map(move |block| (pick, block))
        });
        let blocks: Vec<(usize, &BlockRow)> = blocks.collect();
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let (mut parts, mut bytes) = (Vec::new(), 0);
            while let Some((pick, block)) = blocks.next_if(|_| bytes < BYTES_AT_ONCE) {
                let series = picks[pick].wanted.len();
                if let Some((body, header)) = self.block_header(block, series)? {
                    bytes += body.len();
                    let part = LoadedBlock { pick, block, body, header };
                    let wanted = picks[pick].wanted_of(&part.header.ordinals);
                    self.take_samples(budget, wanted, part.instants_in(range))?;
                    parts.push(part);
                }
            }
            self.fill_from(picks, &parts, range);
        }
        for pick in picks {
            for columns in self.journal_columns(pick.number) {
                let wanted = pick.wanted_of(&columns.ordinals);
                self.take_samples(budget, wanted, columns.times.len())?;
                pick.take(pick.cut(columns, range, columns.times.len()));
            }
        }
        Ok(())
    }

    /// Charges the samples of `series` series at `instants` instants to `budget`.
    fn take_samples(
        &self,
        budget: &mut MemoryBudget,
        series: usize,
        instants: usize,
    ) -> Result<(), CaptureError> {
        let cells = series.saturating_mul(instants);
        budget.take(cells, size_of::<Sample>()).map_err(|_| self.oversized(SELECTED))
    }

    /// Decodes the selected series in these blocks, a bounded number of groups at a time.
    fn fill_from(
        &self,
        picks: &mut [TargetSelection<'_>],
        parts: &[LoadedBlock<'_>],
        range: TimeRange,
    ) {
        let mut to_come = vec![0; picks.len()];
        for part in parts {
            to_come[part.pick] += part.instants_in(range);
        }
        let mut jobs = Vec::new();
        for part in parts {
            // The first block of a series reserves memory for the samples of the others.
            let own = part.instants_in(range);
            let room = std::mem::replace(&mut to_come[part.pick], 0).max(own);
            for (group, rows) in touched(&part.header, &picks[part.pick].wanted) {
                jobs.push(DecodeJob { part, group, rows, room });
            }
        }
        let mut jobs = jobs.as_slice();
        while !jobs.is_empty() {
            let mut sum = 0;
            let within = |job: &&DecodeJob<'_>| {
                sum += job.cells();
                sum <= CELLS_AT_ONCE
            };
            let count = jobs.iter().take_while(within).count().max(1);
            let now;
            (now, jobs) = jobs.split_at(count);
            let cells = now.iter().map(DecodeJob::cells).sum();
            self.decoded.fetch_add(cells as u64, Ordering::Relaxed);
            let cut = parallel::map(now, cells, |columns: &mut Columns, job| {
                let DecodeJob { part, group, rows, room } = job;
                decode_group(&part.body, &part.header, (*group, *rows), columns)?;
                Ok::<_, DecodeError>(picks[part.pick].cut(columns, range, *room))
            });
            for (cut, DecodeJob { part, group, .. }) in cut.into_iter().zip(now) {
                match cut {
                    Ok(runs) => picks[part.pick].take(runs),
                    Err(why) => self.note_block(part.block, &format!(" group {group}"), why),
                }
            }
        }
    }

    /// Number of samples in the capture.
    pub fn samples(&self) -> u64 {
        self.state().samples
    }

    /// Number of samples that [`select`](Self::select) has decoded so far, including those that
    /// precede selected ones in a group.
    pub fn decoded_samples(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Estimated number of samples of a metric in `range`, with the average number of samples per
    /// series.
    pub fn estimated_samples(&self, metric: &str, range: TimeRange) -> u64 {
        let metrics = self.metrics.get_or_init(|| MetricIndex::new(&self.targets));
        let places = metrics.0.get(metric).map_or(&[][..], Vec::as_slice);
        let series: usize = places.iter().map(|(_, span)| span.len()).sum();
        let all: usize = self.targets.iter().map(|target| target.sets.len()).sum();
        let window = self.recorded();
        let (start, end) = (range.start.max(window.start), range.end.min(window.end));
        if start >= end {
            return 0;
        }
        let share = (end - start) as f64 / window.millis().max(1) as f64;
        (self.samples() as f64 * (series as f64 / all.max(1) as f64) * share).ceil() as u64
    }
}
