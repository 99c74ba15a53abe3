//! Writes a capture: each tick durably into the journal, and the journal into sealed blocks from
//! time to time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::CaptureError;
use super::codec::{MAX_DOCUMENT, Packing, PdBatch, encode_journal, encode_pd, put_varint};
use super::digest::pd_hash;
use super::file::{CaptureFile, CommittedState, Table};
use super::journal::{JournalScrapes, PD_TARGET, columns_of, rows_of, split_row};
use super::lock::LockFile;
use super::new_file::FileMode;
use super::sealing::{PdBlocks, put_samples};
use super::series_index::{SampleBatch, SeriesIndex};
use super::series_segment::SeriesSegment;
use crate::model::{Event, Gap, GapReason, PdAnswer, PdOutcome, RunMeta, Timestamp};

/// Ticks after which the journal is sealed: one hour at 15 s per tick.
const SEAL_TICKS: u64 = 240;
/// Scrapes of one target after which the journal is sealed, independent of the number of ticks.
const SEAL_ROWS: usize = 480;
/// Samples after which the journal is sealed: a reader then holds less than 300 MB of it.
const SEAL_SAMPLES: usize = 16 << 20;
/// zstd level for labels as they arrive; `compact` uses a higher one.
const LABELS_LEVEL: i32 = 6;
/// Bytes of PD answers after which the journal is sealed: sealing them takes less than a second of
/// processor time. A cluster of a thousand stores produces them in minutes.
const SEAL_PD_BYTES: usize = 32 << 20;

/// The observations that one transaction writes.
#[derive(Default)]
pub struct Tick {
    /// Samples of all scraped series.
    pub samples: SampleBatch,
    /// Answers of PD members, failures included.
    pub pd: Vec<PdAnswer>,
    /// Gaps that were not stored before.
    pub gaps: Vec<Gap>,
    /// Gaps that are stored and were filled since: `healed_at` is set.
    pub healed: Vec<Gap>,
    /// Events for the timeline.
    pub events: Vec<Event>,
    /// Start of the range that was copied from Prometheus.
    pub copied_from: Option<Timestamp>,
    /// End of the range that was copied from Prometheus.
    pub copied_through: Option<Timestamp>,
}

/// Statistics of one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Number of samples written.
    pub samples: usize,
    /// Number of PD answers written; answers that the capture has already are not written again.
    pub pd_answers: usize,
    /// Bytes on disk, including the write-ahead log.
    pub file_bytes: u64,
    /// Whether the journal was sealed.
    pub sealed: bool,
}

/// Writes a capture; the only writer of its file.
pub struct CaptureWriter {
    file: CaptureFile,
    lock: LockFile,
    meta: RunMeta,
    meta_changed: bool,
    state: CommittedState,
    samples_sum: u128,
    pd_sum: u128,
    index: SeriesIndex,
    documents: HashMap<[u8; 32], u64>,
    /// Hashes of the answers that are written, so that a log can be imported twice.
    pd_written: HashSet<u128>,
    /// Gaps by the id of their row.
    open_gaps: BTreeMap<u64, Gap>,
    ticks_since_seal: u64,
    journal: Journal,
}

/// Counts of what the journal holds, by target.
#[derive(Default)]
struct Journal {
    /// Ids of rows, by target number.
    ids: BTreeMap<u32, Vec<u64>>,
    /// Number of scrapes, by target number.
    scrapes: BTreeMap<u32, usize>,
    samples: usize,
    /// Uncompressed bytes of PD answers and of their new documents.
    pd_bytes: usize,
}

impl Journal {
    fn is_long(&self) -> bool {
        self.samples >= SEAL_SAMPLES
            || self.pd_bytes >= SEAL_PD_BYTES
            || self.scrapes.values().any(|&count| count >= SEAL_ROWS)
    }
}

impl CaptureWriter {
    /// Creates a new capture that only its owner may read.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Exists`] where the file exists, [`CaptureError::Locked`] where another
    /// recorder has locked the run.
    pub fn create(path: &Path, meta: RunMeta) -> Result<Self, CaptureError> {
        Self::create_as(path, meta, FileMode::default())
    }

    /// As [`create`](Self::create), with the permissions of the file in `mode`.
    ///
    /// # Errors
    ///
    /// The same errors as [`create`](Self::create).
    pub fn create_as(path: &Path, meta: RunMeta, mode: FileMode) -> Result<Self, CaptureError> {
        let lock = LockFile::take(path)?;
        match CaptureFile::create(path, &meta, mode) {
            Ok(file) => Ok(Self::empty(file, lock, meta)),
            Err(error) => {
                lock.release();
                Err(error)
            }
        }
    }

    /// Opens a capture to continue it. All ticks that were committed before a crash are present.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Locked`] where another recorder has locked the run,
    /// [`CaptureError::Damaged`] where a part that is needed to continue is damaged.
    pub fn resume(path: &Path) -> Result<Self, CaptureError> {
        let lock = LockFile::take(path)?;
        let file = CaptureFile::open_to_write(path)?;
        let meta = file.meta()?;
        let mut writer = Self::empty(file, lock, meta);
        writer.reload()?;
        Ok(writer)
    }

    fn empty(file: CaptureFile, lock: LockFile, meta: RunMeta) -> Self {
        Self {
            file,
            lock,
            meta,
            meta_changed: false,
            state: CommittedState::empty(),
            samples_sum: 0,
            pd_sum: 0,
            index: SeriesIndex::default(),
            documents: HashMap::new(),
            pd_written: HashSet::new(),
            open_gaps: BTreeMap::new(),
            ticks_since_seal: 0,
            journal: Journal::default(),
        }
    }

    /// Returns to the committed state after a commit that failed. Batches that were filled before
    /// must not be committed any more. The metadata of the run is kept.
    ///
    /// # Errors
    ///
    /// The same errors as [`resume`](Self::resume).
    pub fn reload(&mut self) -> Result<(), CaptureError> {
        if !self.file.connection.is_autocommit() {
            self.file.run("ROLLBACK")?;
        }
        self.meta_changed = self.file.meta()? != self.meta;
        self.state = self.file.state()?;
        let reader = super::CaptureReader::over(CaptureFile::open_to_read(&self.file.path)?)?;
        let contents = reader.contents_to_resume()?;
        let sum = |text: &str| u128::from_str_radix(text, 16).unwrap_or(0);
        self.samples_sum = sum(&self.state.samples_sum);
        self.pd_sum = sum(&self.state.pd_sum);
        self.ticks_since_seal = contents.journal_ticks;
        self.index = contents.index;
        self.documents = contents.documents;
        self.pd_written = contents.pd_written;
        self.open_gaps = reader.gap_rows()?;
        self.open_gaps.retain(|_, gap| gap.healed_at.is_none());
        self.journal = Journal { ids: contents.journal, ..Journal::default() };
        Ok(())
    }

    /// Simulates a full disk for this writer.
    #[cfg(test)]
    pub(super) fn may_not_grow(&self, full: bool) {
        let pages = if full { 1 } else { i32::MAX };
        self.file.run(&format!("PRAGMA max_page_count = {pages}")).expect("it is a pragma");
    }

    /// Path of the file that is written.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Permissions of the file.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] where the file was removed.
    pub fn mode(&self) -> Result<FileMode, CaptureError> {
        FileMode::of(&self.file.path)
    }

    /// Metadata of the run.
    pub fn meta(&self) -> &RunMeta {
        &self.meta
    }

    /// Replaces the metadata of the run; durable with the next commit.
    pub fn set_meta(&mut self, meta: RunMeta) {
        self.meta_changed |= meta != self.meta;
        self.meta = meta;
    }

    /// Start of the range that was copied from Prometheus. Earlier samples of known series would be
    /// dropped as repetitions.
    pub fn copied_from(&self) -> Option<Timestamp> {
        self.state.copied_from
    }

    /// End of the range that was copied from Prometheus.
    pub fn copied_through(&self) -> Option<Timestamp> {
        self.state.copied_through
    }

    /// Gaps that were not filled yet, in the order in which they were written.
    pub fn open_gaps(&self) -> impl Iterator<Item = &Gap> {
        self.open_gaps.values()
    }

    /// Time of the newest observation.
    pub fn last_observed(&self) -> Option<Timestamp> {
        self.state.last_observed
    }

    /// Number of samples written so far.
    pub fn samples(&self) -> u64 {
        self.state.samples
    }

    /// The index that is needed to fill a [`SampleBatch`].
    pub fn index(&mut self) -> &mut SeriesIndex {
        &mut self.index
    }

    /// Writes a tick in one durable transaction, and seals the journal if it is long enough.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the disk refuses. Nothing of the tick is in the file then, and the
    /// writer must be [reloaded](Self::reload) before further use.
    pub fn commit(&mut self, mut tick: Tick) -> Result<CommitStats, CaptureError> {
        self.file.run("BEGIN IMMEDIATE")?;
        let samples = self.write_samples(&mut tick.samples)?;
        let pd_answers = self.write_pd(tick.pd)?;
        self.write_gaps(tick.gaps, &tick.healed)?;
        write_events(&self.file, &tick.events)?;
        self.state.copied_through = tick.copied_through.max(self.state.copied_through);
        let starts = tick.copied_from.into_iter().chain(self.state.copied_from);
        self.state.copied_from = starts.min();
        if std::mem::take(&mut self.meta_changed) {
            self.file.set_meta(&self.meta)?;
        }
        self.ticks_since_seal += 1;
        let sealed = self.ticks_since_seal >= SEAL_TICKS || self.journal.is_long();
        if sealed {
            self.seal_journal()?;
        }
        self.write_state()?;
        self.file.run("COMMIT")?;
        Ok(CommitStats { samples, pd_answers, file_bytes: self.file.bytes_on_disk(), sealed })
    }

    /// Moves the content of the journal into sealed blocks.
    ///
    /// # Errors
    ///
    /// The same errors as [`commit`](Self::commit).
    pub fn seal(&mut self) -> Result<(), CaptureError> {
        self.file.run("BEGIN IMMEDIATE")?;
        self.seal_journal()?;
        self.write_state()?;
        self.file.run("COMMIT")
    }

    /// Seals the journal and merges the write-ahead log into the file, so that one file remains. While
    /// somebody reads the file for longer than SQLite waits, the log stays beside it, complete; whoever
    /// has it open last merges it.
    ///
    /// # Errors
    ///
    /// The same errors as [`commit`](Self::commit).
    pub fn finish(mut self) -> Result<(), CaptureError> {
        self.seal()?;
        // The copy of `VACUUM` goes through the write-ahead log, which is merged before and after: without one, whoever
        // is killed between the end of the transaction and the shortening of the file leaves bytes behind the
        // database's end.
        match self.file.run("PRAGMA wal_checkpoint(TRUNCATE); VACUUM;") {
            // `VACUUM` writes a copy of all pages. Without room for the copy, or while somebody reads the file, it
            // stays as it is.
            Err(error) if error.is_full() || error.is_busy() => {}
            vacuumed => vacuumed?,
        }
        match self.file.run("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;") {
            // What was observed is sealed by then, whoever reads the file.
            Err(error) if error.is_busy() => {}
            merged => merged?,
        }
        drop(self.file);
        self.lock.release();
        Ok(())
    }

    fn write_state(&mut self) -> Result<(), CaptureError> {
        self.state.samples_sum = format!("{:032x}", self.samples_sum);
        self.state.pd_sum = format!("{:032x}", self.pd_sum);
        self.file.set_state(&self.state)
    }

    fn write_samples(&mut self, batch: &mut SampleBatch) -> Result<usize, CaptureError> {
        if let Some(segment) = batch.settle(&mut self.index) {
            self.write_segment(segment)?;
        }
        self.samples_sum = self.samples_sum.wrapping_add(batch.take_sum());
        let mut written = 0;
        for (target, rows) in batch.take_rows() {
            written += rows.iter().map(|row| row.samples.len()).sum::<usize>();
            let newest = rows.last().map(|row| Timestamp::from_millis(row.at));
            self.state.last_observed = self.state.last_observed.max(newest);
            *self.journal.scrapes.entry(target + 1).or_default() += rows.len();
            for row in rows_of(&rows) {
                self.append_journal(target + 1, &encode_journal(row))?;
            }
        }
        self.journal.samples += written;
        self.state.samples += written as u64;
        Ok(written)
    }

    fn write_segment(&mut self, segment: SeriesSegment) -> Result<(), CaptureError> {
        for part in segment.cut() {
            self.state.segments += 1;
            self.file.put_row(Table::Series, self.state.segments, &part.encode(LABELS_LEVEL))?;
        }
        Ok(())
    }

    fn append_journal(&mut self, target: u32, blob: &[u8]) -> Result<(), CaptureError> {
        let mut payload = Vec::with_capacity(blob.len() + 5);
        put_varint(&mut payload, u64::from(target));
        payload.extend_from_slice(blob);
        self.file.put_row(Table::Journal, self.state.journal_next, &payload)?;
        self.journal.ids.entry(target).or_default().push(self.state.journal_next);
        self.state.journal_next += 1;
        Ok(())
    }

    /// Writes the answers that are new, in as many rows as needed.
    fn write_pd(&mut self, answers: Vec<PdAnswer>) -> Result<usize, CaptureError> {
        let mut batch = PdBatch::new(self.state.documents);
        let mut written = 0;
        for answer in answers {
            let mut answer = storable(answer);
            let hash = pd_hash(&answer);
            if !self.pd_written.insert(hash) {
                continue;
            }
            written += 1;
            self.pd_sum = self.pd_sum.wrapping_add(hash);
            self.state.last_observed = self.state.last_observed.max(Some(answer.observed()));
            let PdOutcome::Answered { body, .. } = &mut answer.outcome else {
                batch.push_answer(answer, None);
                continue;
            };
            let body = std::mem::take(body);
            if batch.is_full_with(body.len()) {
                let next = PdBatch::new(self.state.documents);
                self.append_pd(&std::mem::replace(&mut batch, next))?;
            }
            let next = self.state.documents;
            let number = *self.documents.entry(Sha256::digest(&body).into()).or_insert(next);
            if number == next {
                self.state.documents += 1;
                batch.push_document(body);
            }
            batch.push_answer(answer, Some(number));
        }
        self.state.pd_answers += written as u64;
        self.append_pd(&batch)?;
        Ok(written)
    }

    fn append_pd(&mut self, batch: &PdBatch) -> Result<(), CaptureError> {
        if batch.answers.is_empty() {
            return Ok(());
        }
        self.journal.pd_bytes += batch.bytes();
        self.append_journal(PD_TARGET, &encode_pd(batch, Packing::Journal))
    }

    fn write_gaps(&mut self, gaps: Vec<Gap>, healed: &[Gap]) -> Result<(), CaptureError> {
        for gap in healed {
            let open = Gap { healed_at: None, ..gap.clone() };
            let known = self.open_gaps.iter().find(|(_, stored)| **stored == open);
            if let Some(id) = known.map(|(id, _)| *id) {
                self.file.put_row(Table::Gap, id, &json(gap))?;
                self.open_gaps.remove(&id);
            }
        }
        for gap in gaps {
            self.state.gaps += 1;
            self.file.put_row(Table::Gap, self.state.gaps, &json(&gap))?;
            if gap.healed_at.is_none() {
                self.open_gaps.insert(self.state.gaps, gap);
            }
        }
        Ok(())
    }

    fn seal_journal(&mut self) -> Result<(), CaptureError> {
        for (target, ids) in std::mem::take(&mut self.journal).ids {
            if target == PD_TARGET {
                self.seal_pd(ids)?;
            } else {
                self.seal_scrapes(target, ids)?;
            }
        }
        self.file.run("DELETE FROM journal")?;
        self.state.journal_first = self.state.journal_next;
        self.ticks_since_seal = 0;
        Ok(())
    }

    fn seal_scrapes(&mut self, target: u32, ids: Vec<u64>) -> Result<(), CaptureError> {
        let mut scrapes = JournalScrapes::default();
        for id in ids {
            let payload = self.file.row(Table::Journal, id)?;
            let read = split_row(&payload).and_then(|(target, blob)| scrapes.read(target, blob));
            read.map_err(|why| self.file.damaged(format!("journal {id}"), why))?;
        }
        for columns in scrapes.0.remove(&target).into_iter().flat_map(columns_of) {
            put_samples(&self.file, &mut self.state, target, &columns)?;
        }
        Ok(())
    }

    fn seal_pd(&mut self, ids: Vec<u64>) -> Result<(), CaptureError> {
        let Self { file, state, .. } = self;
        let mut blocks = PdBlocks::new(file, state, Packing::Sealed);
        for id in ids {
            let part = format!("journal {id}");
            let payload = file.row(Table::Journal, id)?;
            let (_, blob) = split_row(&payload).map_err(|why| file.damaged(&part, why))?;
            blocks.take(&part, blob)?;
        }
        blocks.finish()
    }
}

/// Replaces an answer whose body is too long for a capture by a failure. No source of the program
/// returns such a body.
fn storable(mut answer: PdAnswer) -> PdAnswer {
    if let PdOutcome::Answered { body, .. } = &answer.outcome
        && body.len() > MAX_DOCUMENT
    {
        let detail = format!("{} bytes, more than a capture holds of one answer", body.len());
        answer.outcome = PdOutcome::Failed { reason: GapReason::TooLarge, detail };
    }
    answer
}

/// Adds events to the timeline; a recorder may be running.
pub fn write_events(file: &CaptureFile, events: &[Event]) -> Result<(), CaptureError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut marks = file.marks()?;
    for event in events {
        marks.events = file.next_id(Table::Event, marks.events)?;
        file.put_row(Table::Event, marks.events, &json(event))?;
    }
    file.set_marks(&marks)
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("gaps and events are plain structures")
}
