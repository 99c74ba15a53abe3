//! Selects series: which blocks and groups hold them, and what these decode to.

use std::sync::atomic::Ordering;

use super::codec::{BlockHeader, Columns, DecodeError, decode_group};
use super::memory_budget::MemoryBudget;
use super::metric_index::MetricIndex;
use super::reader::{BlockRow, CaptureReader, Target};
use super::scan_samples::{SampleRun, touched};
use super::{CaptureError, parallel};
use crate::model::{LabelMatcher, Sample, Series, TargetKey, TimeRange, Timestamp};

/// Bytes of blocks that are read before they are decoded.
const BYTES_AT_ONCE: usize = 16 << 20;
/// What is said to be too much.
const SELECTED: &str = "what was selected";
/// Cells that are decoded before their samples are put to those before them.
const CELLS_AT_ONCE: usize = 4 << 20;

/// A target's series that are selected, with their samples as far as these are decoded.
struct TargetSelection<'a> {
    number: u32,
    target: &'a Target,
    /// By ordinal.
    wanted: Vec<bool>,
    /// The wanted ordinals, ascending.
    ordinals: Vec<u32>,
    /// Their samples.
    samples: Vec<Vec<Sample>>,
}

/// A block that holds series of a pick.
struct LoadedBlock<'a> {
    pick: usize,
    block: &'a BlockRow,
    body: Vec<u8>,
    header: BlockHeader,
}

/// A group that is to be decoded.
struct DecodeJob<'a> {
    part: &'a LoadedBlock<'a>,
    group: usize,
    /// How many of its rows.
    rows: usize,
    /// For how many samples of each series room is made.
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

    /// How many of the ordinals are wanted.
    fn wanted_of(&self, ordinals: &[u32]) -> usize {
        ordinals.iter().filter(|ordinal| self.wanted[**ordinal as usize]).count()
    }

    /// Bytes that the labels of the series with samples take.
    fn bytes_of_labels(&self) -> usize {
        let TargetKey { job, instance } = &self.target.key;
        let of_series = |ordinal: u32| {
            self.target.sets[ordinal as usize].text_len() + job.len() + instance.len()
        };
        let found = self.ordinals.iter().zip(&self.samples);
        found
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(ordinal, _)| of_series(*ordinal))
            .sum()
    }

    /// The wanted samples of a group by ordinal, each list with room for others behind them.
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
        found.filter(|(_, samples)| !samples.is_empty()).map(move |(ordinal, mut samples)| {
            if !samples.is_sorted_by(|a, b| a.at < b.at) {
                samples.sort_by_key(|sample| sample.at);
                samples.dedup_by_key(|sample| sample.at);
            }
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
    /// [`CaptureError`] where the file cannot be read; [`CaptureError::Oversized`] where what is
    /// selected is more than the program holds of a file of its size.
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
        let mut budget = self.budget();
        self.fill(&mut picks, range, &mut budget)?;
        for pick in &picks {
            budget.take(pick.bytes_of_labels(), 1).map_err(|_| self.oversized(SELECTED))?;
        }
        let mut found: Vec<Series> = picks.into_iter().flat_map(TargetSelection::series).collect();
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    /// Decodes the samples in `range` of what is picked, on several threads.
    /// What they take is taken from `budget`.
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

    /// Takes room for samples of so many series at so many instants.
    fn take_samples(
        &self,
        budget: &mut MemoryBudget,
        series: usize,
        instants: usize,
    ) -> Result<(), CaptureError> {
        let cells = series.saturating_mul(instants);
        budget.take(cells, size_of::<Sample>()).map_err(|_| self.oversized(SELECTED))
    }

    /// Decodes what blocks hold of the picks, so many groups at once that what they hold is small
    /// beside the picks.
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
            // The first block of a series makes room for the others.
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
            let cut = parallel::map(now, cells, |DecodeJob { part, group, rows, room }| {
                let columns = decode_group(&part.body, &part.header, *group, *rows)?;
                Ok::<_, DecodeError>(picks[part.pick].cut(&columns, range, *room))
            });
            for (cut, DecodeJob { part, group, .. }) in cut.into_iter().zip(now) {
                match cut {
                    Ok(runs) => picks[part.pick].take(runs),
                    Err(why) => self.note_block(part.block, &format!(" group {group}"), why),
                }
            }
        }
    }

    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        self.state().samples
    }

    /// How many samples [`select`](Self::select) has decoded so far, with those that had to be
    /// decoded for others behind them.
    pub fn decoded_samples(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// About how many samples the series of a metric have in `range`: as many as the average.
    pub fn estimated_samples(&self, metric: &str, range: TimeRange) -> u64 {
        let metrics = self.metrics.get_or_init(|| MetricIndex::new(&self.targets));
        let places = metrics.0.get(metric).map_or(&[][..], Vec::as_slice);
        let series: usize = places.iter().map(|(_, span)| span.len()).sum();
        let all: usize = self.targets.iter().map(|target| target.sets.len()).sum();
        let window = self.window();
        let (start, end) = (range.start.max(window.start), range.end.min(window.end));
        if start >= end {
            return 0;
        }
        let share = (end - start) as f64 / window.millis().max(1) as f64;
        (self.samples() as f64 * (series as f64 / all.max(1) as f64) * share).ceil() as u64
    }
}
