//! Opens a capture for reading and keeps what every query needs: targets, block rows and the
//! journal.
//!
//! Damaged parts are left out and named; the rest is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock};

use sha2::{Digest, Sha256};

use super::CaptureError;
use super::block_rows::BlockRows;
use super::codec::{Columns, DecodeError, open_envelope};
use super::damage::Damage;
use super::digest::{ReadableContent, pd_hash};
use super::file::{CaptureFile, CommittedState, Table};
use super::journal::{JournalScrapes, PD_TARGET, columns_within, split_row};
use super::memory_budget::MemoryBudget;
use super::metric_index::MetricIndex;
use super::pd_answers::{PdBlob, UnpackAllowance};
use super::sealing::{block_context, bounds_hash};
use super::series_index::SeriesIndex;
use super::series_segment::SeriesSegment;
use super::{PdOrder, PdVisit};
use crate::model::{
    Event, Gap, Labels, Observed, RunMeta, TargetKey, TimeRange, Timestamp, known_stretch,
};

/// A visit of all PD answers of a capture in the order of sending.
pub const EVERY_ANSWER: PdVisit =
    PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };

/// A scrape target and its series.
pub struct Target {
    /// Labels `job` and `instance` of the target.
    pub key: TargetKey,
    /// The label sets without `job` and `instance`, by ordinal.
    pub sets: Vec<Labels>,
}

/// A row of the table `block` without its body.
#[derive(Clone, Copy, Debug)]
pub struct BlockRow {
    /// Id of the row, ascending from 1.
    pub id: u64,
    /// Number of the target; 0 for PD answers.
    pub target: u32,
    /// First instant in the block, in milliseconds.
    pub first: i64,
    /// Last instant in the block, in milliseconds.
    pub last: i64,
}

impl BlockRow {
    /// Reads the columns id, target, first and last instant; `None` where one is out of range.
    fn read(row: &rusqlite::Row<'_>) -> Option<Self> {
        Some(Self {
            id: u64::try_from(row.get::<_, i64>(0).ok()?).ok()?,
            target: u32::try_from(row.get::<_, i64>(1).ok()?).ok()?,
            first: row.get(2).ok()?,
            last: row.get(3).ok()?,
        })
    }
}

/// An open capture, as it was at one commit.
pub struct CaptureReader {
    file: CaptureFile,
    meta: RunMeta,
    state: CommittedState,
    pub(super) targets: Vec<Target>,
    pub(super) blocks: BlockRows,
    /// Samples that are not sealed yet, by target number (from 1).
    pub(super) journal: BTreeMap<u32, Vec<Columns>>,
    journal_ids: BTreeMap<u32, Vec<u64>>,
    /// Journal rows with PD answers that are not sealed yet.
    pub(super) journal_pd: Vec<PdBlob>,
    /// Built when it is first needed.
    pub(super) metrics: OnceLock<MetricIndex>,
    pub(super) damage: Mutex<Vec<Damage>>,
    /// Ids of the blocks whose checksums were checked.
    pub(super) checked: Mutex<HashSet<u64>>,
    /// The readable content of a damaged capture, once it was counted.
    pub(super) counted: OnceLock<ReadableContent>,
    /// Number of cells that [`select`](Self::select) has decoded so far.
    pub(super) decoded: AtomicU64,
}

/// Everything that a writer needs to continue a capture.
pub(super) struct ResumeContents {
    /// All series with the time of their newest sample.
    pub index: SeriesIndex,
    /// Rows of the journal by target number.
    pub journal: BTreeMap<u32, Vec<u64>>,
    /// Numbers of PD documents by their SHA-256.
    pub documents: HashMap<[u8; 32], u64>,
    /// Hashes of the PD answers that are written.
    pub pd_written: HashSet<u128>,
    /// About how many ticks the journal holds.
    pub journal_ticks: u64,
}

impl CaptureReader {
    /// Opens a capture. An older format is migrated in a temporary copy.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file is not a capture, has a newer format, or its metadata or
    /// counts are damaged, without which nothing can be read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::over(CaptureFile::open_to_read(path)?)
    }

    pub(super) fn over(file: CaptureFile) -> Result<Self, CaptureError> {
        // One transaction, so that later commits of a recorder are not seen.
        file.run("BEGIN")?;
        let mut reader = Self {
            meta: file.meta()?,
            state: file.state()?,
            file,
            targets: Vec::new(),
            blocks: BlockRows::default(),
            journal: BTreeMap::new(),
            journal_ids: BTreeMap::new(),
            journal_pd: Vec::new(),
            metrics: OnceLock::new(),
            damage: Mutex::new(Vec::new()),
            checked: Mutex::default(),
            counted: OnceLock::new(),
            decoded: AtomicU64::new(0),
        };
        let mut budget = reader.budget_to_open();
        reader.read_segments(&mut budget)?;
        reader.read_block_rows()?;
        reader.read_journal(&mut budget)?;
        Ok(reader)
    }

    /// The error for a request that needs more memory than the budget of this file.
    pub(super) fn oversized(&self, part: &str) -> CaptureError {
        let (path, part) = (self.file.path.clone(), part.to_owned());
        CaptureError::Oversized { path, part, limit_bytes: self.budget_to_select().limit_bytes() }
    }

    /// The memory budget of what is held of this file, unspent.
    fn budget_to_open(&self) -> MemoryBudget {
        MemoryBudget::to_open(self.file.bytes_on_disk())
    }

    /// The memory budget of one selection of this file, unspent.
    pub(super) fn budget_to_select(&self) -> MemoryBudget {
        MemoryBudget::to_select(self.file.bytes_on_disk())
    }

    /// Metadata of the run.
    pub fn meta(&self) -> &RunMeta {
        &self.meta
    }

    /// From where the run [begins](crate::model::RunMeta::begins) to the end of what was [recorded](Self::recorded),
    /// also where that was damaged in the capture that this one was made of.
    pub fn window(&self) -> TimeRange {
        let lost = self.meta.lost_before().filter_map(|lost| known_stretch(&lost.parts));
        let whole = lost.fold(self.recorded(), |whole, lost| match whole.is_empty() {
            true => lost,
            false => whole.hull(&lost),
        });
        match self.meta().begins.filter(|begins| whole.contains(*begins)) {
            Some(begins) => TimeRange::new(begins, whole.end),
            None => whole,
        }
    }

    /// Where samples begin of what rules over `window` are evaluated on: with the run-in where the window begins with
    /// the run, else with the window.
    pub fn run_in_from(&self, window: TimeRange) -> Timestamp {
        match window.start == self.window().start {
            true => self.recorded().start.min(window.start),
            false => window.start,
        }
    }

    /// The smallest range that contains all samples and PD answers, those of the run-in too; empty where there are
    /// none.
    pub fn recorded(&self) -> TimeRange {
        let blocks = self.blocks.iter().map(|block| (block.first, block.last));
        let journal = self.journal.values().flatten();
        let journal =
            journal.map(|columns| (columns.times[0], columns.times[columns.times.len() - 1]));
        let pd = self.journal_pd.iter().map(|blob| (blob.first, blob.last));
        let bounds = blocks.chain(journal).chain(pd);
        match bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
            Some((first, last)) => TimeRange::new(
                Timestamp::from_millis(first),
                Timestamp::from_millis(last).saturating_add_millis(1),
            ),
            None => TimeRange::new(Timestamp::default(), Timestamp::default()),
        }
    }

    /// All gaps, in order of time.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn gaps(&self) -> Result<Vec<Gap>, CaptureError> {
        Ok(sorted(self.gap_rows()?))
    }

    /// All gaps by the id of their row, which stays the same when a gap is filled.
    pub(super) fn gap_rows(&self) -> Result<BTreeMap<u64, Gap>, CaptureError> {
        self.documents_of(Table::Gap, self.state.gaps)
    }

    /// All events, in order of time.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn events(&self) -> Result<Vec<Event>, CaptureError> {
        let marks = match self.file.marks() {
            Ok(marks) => marks,
            Err(CaptureError::Damaged { part, why, .. }) => {
                self.note_lost(part, why, None, None);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        Ok(sorted(self.documents_of(Table::Event, marks.events)?))
    }

    fn documents_of<T>(&self, table: Table, count: u64) -> Result<BTreeMap<u64, T>, CaptureError>
    where
        T: serde::de::DeserializeOwned,
    {
        let mut found = BTreeMap::new();
        self.file.rows(table, 1..count.saturating_add(1), |id, payload| {
            let read = payload
                .and_then(|json| serde_json::from_slice(json).map_err(|error| error.to_string()));
            match read {
                Ok(value) => drop(found.insert(id, value)),
                Err(why) => {
                    // Without its gap, data that was not observed would look absent. No observation
                    // depends on an event.
                    let lost = (table == Table::Gap).then_some(Observed::Anything);
                    self.note_lost(format!("{} {id}", table.name()), why, None, lost);
                }
            }
        })?;
        Ok(found)
    }

    pub(super) fn state(&self) -> &CommittedState {
        &self.state
    }

    pub(super) fn file(&self) -> &CaptureFile {
        &self.file
    }

    pub(super) fn target_count(&self) -> u32 {
        self.targets.len() as u32
    }

    pub(super) fn target(&self, number: u32) -> &Target {
        &self.targets[number as usize - 1]
    }

    pub(super) fn contents_to_resume(&self) -> Result<ResumeContents, CaptureError> {
        // Reading gaps and events notes those that are damaged.
        self.gap_rows()?;
        self.events()?;
        let (mut index, mut budget) = (SeriesIndex::default(), self.budget_to_open());
        let segments = 1..self.state.segments.saturating_add(1);
        self.file.rows(Table::Series, segments, |_, payload| {
            let segment = payload.ok().and_then(|p| SeriesSegment::decode(p, &mut budget).ok());
            if let Some(segment) = segment {
                index.add_segment(&segment);
            }
        })?;
        let numbers = 1..=self.target_count();
        let newest: Result<Vec<_>, _> = numbers.map(|number| self.scan_newest(number)).collect();
        index.set_newest(&newest?);
        let mut documents = HashMap::new();
        self.visit_pd_documents(|number, document| {
            documents.insert(Sha256::digest(document).into(), number);
        })?;
        let mut pd_written = HashSet::new();
        self.visit_pd_answers(EVERY_ANSWER, |answer| {
            pd_written.insert(pd_hash(&answer));
            Ok(())
        })?;
        if let Some(damage) = self.damage().into_iter().next() {
            return Err(self.file.damaged(damage.part, damage.why));
        }
        let journal_ticks = self.state.journal_next.saturating_sub(self.state.journal_first);
        let journal_ticks = journal_ticks / (u64::from(self.target_count()) + 1).max(1);
        let journal = self.journal_ids.clone();
        Ok(ResumeContents { index, journal, documents, pd_written, journal_ticks })
    }

    /// Reads the body of a block; `None` where it is damaged.
    ///
    /// A block of samples has its own checksums for the header and each group, so after a failed
    /// checksum of the body its intact groups can still be read.
    pub(super) fn block_body(&self, block: &BlockRow) -> Result<Option<Vec<u8>>, CaptureError> {
        self.checked.lock().expect("nothing panics while it adds a number").insert(block.id);
        let sql = "SELECT body FROM block WHERE id = ?1";
        let body: Result<Vec<u8>, _> =
            self.file.connection.query_row(sql, [block.id as i64], |row| row.get(0));
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                self.note_block(block, "", error);
                return Ok(None);
            }
        };
        let context = block_context(block.id, block.target, block.first, block.last);
        match open_envelope(&context, &body) {
            Ok(payload) => Ok(Some(payload.to_vec())),
            Err(why) => {
                let salvageable = block.target != PD_TARGET && body.len() > 4;
                if salvageable {
                    // The checksums of header and groups show which parts are lost.
                    self.note_part(block, "", why, None);
                    return Ok(Some(body[4..].to_vec()));
                }
                self.note_block(block, "", why);
                Ok(None)
            }
        }
    }

    fn read_segments(&mut self, budget: &mut MemoryBudget) -> Result<(), CaptureError> {
        let mut numbers: BTreeMap<TargetKey, usize> = BTreeMap::new();
        let mut targets: Vec<Target> = Vec::new();
        let mut damaged = false;
        self.file.rows(
            Table::Series,
            1..self.state.segments.saturating_add(1),
            |id, payload| {
                // Later segments continue the numbers of earlier ones, so none is usable after a
                // damaged one.
                if damaged {
                    return;
                }
                let read = payload.and_then(|bytes| {
                    SeriesSegment::decode(bytes, budget).map_err(|why| why.to_string())
                });
                match read {
                    Ok(segment) => {
                        for (key, list) in segment.targets {
                            let number = *numbers.entry(key.clone()).or_insert_with(|| {
                                targets.push(Target { key, sets: Vec::new() });
                                targets.len() - 1
                            });
                            let sets = list.iter().map(|&set| segment.sets[set as usize].clone());
                            targets[number].sets.extend(sets);
                        }
                    }
                    Err(why) => {
                        damaged = true;
                        self.note(format!("series {id}"), why, None);
                    }
                }
            },
        )?;
        self.targets = targets;
        Ok(())
    }

    fn read_block_rows(&mut self) -> Result<(), CaptureError> {
        let blocks = self.block_rows()?;
        if (blocks.len() as u64) < self.state.blocks {
            let missing = self.state.blocks - blocks.len() as u64;
            self.note("block".to_owned(), format!("{missing} rows are missing"), None);
        }
        let sum = blocks.iter().fold(0_u128, |sum, block| {
            let context = block_context(block.id, block.target, block.first, block.last);
            sum.wrapping_add(bounds_hash(&context))
        });
        // Blocks are selected by their bounds, so wrong bounds would hide samples unnoticed.
        let committed = &self.state.bounds_sum;
        if !committed.is_empty() && *committed != format!("{sum:032x}") {
            let why = "the bounds of the rows are not those that were committed".to_owned();
            self.note("block".to_owned(), why, None);
        }
        for block in blocks.iter().filter(|block| block.target > self.target_count()) {
            self.note_block(block, "", "its target is not in the capture");
        }
        self.blocks = BlockRows::new(blocks);
        Ok(())
    }

    /// Rows of `block` in ascending order of id, up to the first that is damaged, which is noted.
    fn block_rows(&self) -> Result<Vec<BlockRow>, CaptureError> {
        let sql = "SELECT id, target, first_ms, last_ms FROM block ORDER BY id";
        let mut blocks: Vec<BlockRow> = Vec::new();
        let mut statement =
            self.file.connection.prepare(sql).map_err(|source| self.file.sqlite(source))?;
        let mut rows = statement.query([]).map_err(|source| self.file.sqlite(source))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    self.note("block".to_owned(), error.to_string(), None);
                    break;
                }
            };
            let follows = |block: &BlockRow| {
                block.id <= self.state.blocks && blocks.last().is_none_or(|last| last.id < block.id)
            };
            match BlockRow::read(row).filter(follows) {
                Some(block) => blocks.push(block),
                None => {
                    self.note("block".to_owned(), "a row has an unexpected form".to_owned(), None);
                    break;
                }
            }
        }
        Ok(blocks)
    }

    fn read_journal(&mut self, budget: &mut MemoryBudget) -> Result<(), CaptureError> {
        let mut rows: BTreeMap<u32, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        let (mut answers, mut unpacking) = (Vec::new(), UnpackAllowance::default());
        let mut ids: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let range = self.state.journal_first..self.state.journal_next;
        self.file.rows(Table::Journal, range, |id, payload| {
            let mut read = |row| -> Result<(), DecodeError> {
                let (target, blob) = split_row(row)?;
                if target == PD_TARGET {
                    answers.extend(PdBlob::in_journal(id, blob, &mut unpacking)?);
                    ids.entry(target).or_default().push(id);
                } else if target > self.target_count() {
                    return Err(DecodeError("its target is not in the capture"));
                } else {
                    rows.entry(target).or_default().push((id, blob.to_vec()));
                }
                Ok(())
            };
            if let Err(why) = payload.and_then(|row| read(row).map_err(|why| why.to_string())) {
                self.note(format!("journal {id}"), why, None);
            }
        })?;
        // Decoded target by target: the scrapes of all of them take three times as much as their columns.
        let mut journal = BTreeMap::new();
        for (target, rows) in rows {
            let series = self.target(target).sets.len();
            let mut scrapes = JournalScrapes::default();
            let left = budget.left_bytes();
            for (id, blob) in rows {
                match scrapes.read_within(target, &blob, series, budget) {
                    Ok(()) => ids.entry(target).or_default().push(id),
                    Err(why) => self.note(format!("journal {id}"), why.to_string(), None),
                }
            }
            let of_scrapes = left - budget.left_bytes();
            for rows in scrapes.0.into_values() {
                match columns_within(rows, budget) {
                    Ok(columns) => drop(journal.insert(target, columns)),
                    Err(why) => {
                        self.note(format!("journal of target {target}"), why.to_string(), None);
                    }
                }
            }
            budget.give_back(of_scrapes);
        }
        self.journal = journal;
        self.journal_ids = ids;
        self.journal_pd = answers;
        Ok(())
    }
}

fn sorted<T: Ord>(rows: BTreeMap<u64, T>) -> Vec<T> {
    let mut values: Vec<T> = rows.into_values().collect();
    values.sort();
    values
}
