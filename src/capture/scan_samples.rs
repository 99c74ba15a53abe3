//! Reads the samples of a capture one group of series at a time, for readers of many samples.

use std::collections::BTreeSet;

use super::CaptureError;
use super::codec::{BlockHeader, Columns, decode_group};
use super::metric_index::{NAME, Span};
use super::reader::{BlockRow, CaptureReader, Target};
use super::series_segment::target_labels;
use crate::model::{LabelMatcher, Labels, Sample, TargetKey, TimeRange, Timestamp};

/// Samples of one series from one block or from the journal.
pub struct SampleRun<'a> {
    target: &'a Target,
    ordinal: usize,
    columns: &'a Columns,
    row: usize,
    range: TimeRange,
}

impl<'a> SampleRun<'a> {
    /// The samples in `range` of one row of columns, which belongs to a series of `target`.
    pub(super) fn new(
        target: &'a Target,
        ordinal: usize,
        (columns, row): (&'a Columns, usize),
        range: TimeRange,
    ) -> Self {
        Self { target, ordinal, columns, row, range }
    }

    /// The place of the series among those of its target.
    pub fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// Labels of the series without `job` and `instance`.
    pub fn set(&self) -> &'a Labels {
        &self.target.sets[self.ordinal]
    }

    /// The target that exposes the series.
    pub fn target(&self) -> &'a TargetKey {
        &self.target.key
    }

    /// All labels of the series.
    pub fn labels(&self) -> Labels {
        self.target.labels(self.ordinal)
    }

    /// Whether every sample of the block is zero, also those that lie outside the range that was asked for.
    pub(super) fn is_zero(&self) -> bool {
        self.columns.is_zero(self.row)
    }

    /// The samples, ascending in time.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        let all = self.columns.samples(self.row);
        let samples = all.map(|(at, bits)| Sample {
            at: Timestamp::from_millis(at),
            value: f64::from_bits(bits),
        });
        let range = self.range;
        samples.filter(move |sample| range.contains(sample.at))
    }
}

impl Target {
    /// All labels of a series, with `job` and `instance`.
    pub fn labels(&self, ordinal: usize) -> Labels {
        self.sets[ordinal].with(&target_labels(&self.key))
    }

    /// Bytes of the names and values of all labels of a series.
    pub(super) fn text_len(&self, ordinal: usize) -> usize {
        self.sets[ordinal].text_len() + self.key.job.len() + self.key.instance.len()
    }

    /// For each ordinal, whether it is in `spans` and matches; empty where the target itself does
    /// not match.
    pub(super) fn matching(&self, matchers: &[LabelMatcher], spans: &[Span]) -> Vec<bool> {
        let of_target = |name: &str| match name {
            "job" => Some(self.key.job.as_str()),
            "instance" => Some(self.key.instance.as_str()),
            _ => None,
        };
        let on_target = |matcher: &LabelMatcher| {
            of_target(&matcher.name).is_none_or(|value| matcher.accepts(value))
        };
        if spans.is_empty() || !matchers.iter().all(on_target) {
            return Vec::new();
        }
        let rest: Vec<&LabelMatcher> = matchers
            .iter()
            .filter(|matcher| matcher.name != NAME && of_target(&matcher.name).is_none())
            .collect();
        let mut wanted = vec![false; self.sets.len()];
        for ordinal in spans.iter().cloned().flatten() {
            let set = &self.sets[ordinal as usize];
            wanted[ordinal as usize] = rest.iter().all(|matcher| matcher.matches(set));
        }
        wanted
    }
}

impl CaptureReader {
    /// Calls `each` with the labels of every series, target by target.
    pub fn visit_series(&self, mut each: impl FnMut(&Labels)) {
        for target in &self.targets {
            (0..target.sets.len()).for_each(|ordinal| each(&target.labels(ordinal)));
        }
    }

    /// Calls `each` with all samples in `range` of the series that match all matchers, in runs:
    /// target by target, and for each series ascending in time, unless samples were appended late.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn scan(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        mut each: impl FnMut(SampleRun<'_>),
    ) -> Result<(), CaptureError> {
        let spans = self.spans(matchers);
        for (number, target) in (1_u32..).zip(&self.targets) {
            let wanted = target.matching(matchers, &spans[number as usize - 1]);
            self.scan_wanted(number, range, &wanted, &mut each)?;
        }
        Ok(())
    }

    /// As [`scan`](Self::scan), of the series that `accepts` says by their labels without `job` and
    /// `instance`.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub fn scan_accepted(
        &self,
        mut accepts: impl FnMut(&Labels) -> bool,
        range: TimeRange,
        mut each: impl FnMut(SampleRun<'_>),
    ) -> Result<(), CaptureError> {
        for (number, target) in (1_u32..).zip(&self.targets) {
            let wanted: Vec<bool> = target.sets.iter().map(&mut accepts).collect();
            self.scan_wanted(number, range, &wanted, &mut each)?;
        }
        Ok(())
    }

    /// Calls `each` with the samples in `range` of the wanted ordinals of a target.
    fn scan_wanted(
        &self,
        number: u32,
        range: TimeRange,
        wanted: &[bool],
        mut each: impl FnMut(SampleRun<'_>),
    ) -> Result<(), CaptureError> {
        if !wanted.contains(&true) {
            return Ok(());
        }
        let target = self.target(number);
        self.scan_target(number, range, wanted, |columns| {
            for (row, &ordinal) in columns.ordinals.iter().enumerate() {
                let ordinal = ordinal as usize;
                if wanted[ordinal] {
                    each(SampleRun::new(target, ordinal, (columns, row), range));
                }
            }
        })
    }

    /// Time of the newest sample of each series of a target, by ordinal. Groups that cannot contain
    /// a newer sample are not decoded.
    pub(super) fn scan_newest(&self, number: u32) -> Result<Vec<Timestamp>, CaptureError> {
        let mut newest = vec![Timestamp::MIN; self.target(number).sets.len()];
        let raise = |newest: &mut [Timestamp], columns: &Columns| {
            for (row, ordinal) in columns.ordinals.iter().enumerate() {
                if let Some((at, _)) = columns.samples(row).last() {
                    let held = &mut newest[*ordinal as usize];
                    *held = Timestamp::from_millis(at).max(*held);
                }
            }
        };
        for columns in self.journal_columns(number) {
            raise(&mut newest, columns);
        }
        let mut blocks: Vec<&BlockRow> = self.blocks_in(number, TimeRange::ALL).collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.last));
        let mut columns = Columns::default();
        for block in blocks {
            let Some((body, header)) = self.block_header(block, newest.len())? else { continue };
            for group in 0..header.group_count() {
                let older = |ordinal: &u32| newest[*ordinal as usize].as_millis() < block.last;
                if header.group_ordinals(group).iter().any(older)
                    && self.group(block, (&body, &header), (group, usize::MAX), &mut columns)
                {
                    raise(&mut newest, &columns);
                }
            }
        }
        Ok(newest)
    }

    /// Calls `each` with every group of columns of a target that overlaps `range` and contains a
    /// wanted ordinal, in the order of writing.
    pub(super) fn scan_target(
        &self,
        number: u32,
        range: TimeRange,
        wanted: &[bool],
        mut each: impl FnMut(&Columns),
    ) -> Result<(), CaptureError> {
        let mut columns = Columns::default();
        for block in self.blocks_in(number, range) {
            let Some((body, header)) = self.block_header(block, wanted.len())? else { continue };
            for group in touched(&header, wanted) {
                if self.group(block, (&body, &header), group, &mut columns) {
                    each(&columns);
                }
            }
        }
        self.journal_columns(number).for_each(each);
        Ok(())
    }

    /// The instants at which a target has samples, ascending.
    pub(super) fn times_of(&self, number: u32) -> Result<Vec<i64>, CaptureError> {
        let series = self.target(number).sets.len();
        let mut times = BTreeSet::new();
        for block in self.blocks_in(number, TimeRange::ALL) {
            if let Some((_, header)) = self.block_header(block, series)? {
                times.extend(header.times);
            }
        }
        for columns in self.journal_columns(number) {
            times.extend(&columns.times);
        }
        Ok(times.into_iter().collect())
    }

    pub(super) fn blocks_in(
        &self,
        number: u32,
        range: TimeRange,
    ) -> impl Iterator<Item = &BlockRow> {
        let (start, end) = (range.start.as_millis(), range.end.as_millis());
        let own = self.blocks.of(number);
        own.filter(move |block| block.last >= start && block.first < end)
    }

    /// Reads a block and its header; `None` where it is damaged, has ordinals from `series` on, or
    /// has instants outside the bounds of its row.
    pub(super) fn block_header(
        &self,
        block: &BlockRow,
        series: usize,
    ) -> Result<Option<(Vec<u8>, BlockHeader)>, CaptureError> {
        let Some(body) = self.block_body(block)? else { return Ok(None) };
        match BlockHeader::decode(&body, series) {
            Ok(header) if header.is_within(block.first, block.last) => {
                return Ok(Some((body, header)));
            }
            Ok(_) => self.note_block(block, "", "it has instants outside its row's bounds"),
            Err(why) => self.note_block(block, "", why),
        }
        Ok(None)
    }

    /// Decodes rows of a group into `columns`. Returns whether they are whole; damage is noted.
    pub(super) fn group(
        &self,
        block: &BlockRow,
        (body, header): (&[u8], &BlockHeader),
        rows: (usize, usize),
        columns: &mut Columns,
    ) -> bool {
        let decoded = decode_group(body, header, rows, columns);
        decoded.map_err(|why| self.note_block(block, &format!(" group {}", rows.0), why)).is_ok()
    }

    /// The samples of a target in the journal.
    pub(super) fn journal_columns(&self, number: u32) -> impl Iterator<Item = &Columns> {
        self.journal.get(&number).into_iter().flatten()
    }
}

/// The groups of a block that contain a wanted ordinal, each with the number of rows up to its last
/// wanted one.
pub(super) fn touched(header: &BlockHeader, wanted: &[bool]) -> Vec<(usize, usize)> {
    let is_wanted = |ordinal: &u32| wanted[*ordinal as usize];
    let last = |group| header.group_ordinals(group).iter().rposition(is_wanted);
    (0..header.group_count()).filter_map(|group| Some((group, last(group)? + 1))).collect()
}
