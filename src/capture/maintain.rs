//! Operations on a whole capture: copy, compact, remove, add an event, and seal or unseal a ground
//! truth.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest, Sha256};

use super::codec::{JournalRow, Packing};
use super::file::{
    CaptureFile, CommittedState, Table, bytes_on_disk, is_unsealed, remove_with_side_files,
};
use super::journal::{BLOCK_CELLS, BLOCK_INSTANTS, columns_of};
use super::lock::LockFile;
use super::new_file::{FileMode, UnfinishedFile};
use super::reader::Target;
use super::sealing::{PdBlocks, put_samples};
use super::series_index::{SeriesIndex, SeriesPlace};
use super::series_segment::{SeriesSegment, target_labels};
use super::writer::write_events;
use super::{CaptureError, CaptureReader, PdOrder, PdVisit};
use crate::model::{Event, Labels, PdOutcome, TimeRange, Timestamp};

/// zstd level for labels in a compacted capture.
const LABELS_LEVEL: i32 = 19;

/// Writes a consistent copy to `to`, which must not exist; a recorder may be running.
///
/// # Errors
///
/// [`CaptureError::Exists`], or what SQLite or the disk refuse; nothing remains at `to` then.
pub fn copy(from: &Path, to: &Path) -> Result<(), CaptureError> {
    copy_as(from, to, FileMode::default())
}

/// As [`copy`]; the permissions of the copy are those that both `mode` and the source allow.
///
/// # Errors
///
/// The same errors as [`copy`].
pub fn copy_as(from: &Path, to: &Path, mode: FileMode) -> Result<(), CaptureError> {
    let source = CaptureFile::open_to_read(from)?;
    let unfinished = UnfinishedFile::beside(to, FileMode::of(from)?.narrowed_to(mode))?;
    let target_error = |error| super::file::sqlite(to, error);
    let mut target = Connection::open(unfinished.path()).map_err(target_error)?;
    {
        let backup = Backup::new(&source.connection, &mut target).map_err(target_error)?;
        loop {
            match backup.step(-1).map_err(target_error)? {
                StepResult::Done => break,
                _ => continue,
            }
        }
    }
    target.execute_batch("PRAGMA journal_mode = DELETE").map_err(target_error)?;
    drop(target);
    unfinished.finish()
}

/// Writes the same content to `to` in fewer bytes: series sorted, blocks joined, documents packed
/// together. The same content gives the same bytes, independent of the order in which it was
/// written.
///
/// # Errors
///
/// [`CaptureError::Damaged`] where the source is damaged, [`CaptureError::Exists`], or what
/// SQLite or the disk refuse; nothing remains at `to` then.
pub fn compact(from: &Path, to: &Path) -> Result<(), CaptureError> {
    compact_as(from, to, FileMode::default())
}

/// As [`compact`]; the permissions of the result are those that both `mode` and the source allow.
///
/// # Errors
///
/// The same errors as [`compact`].
pub fn compact_as(from: &Path, to: &Path, mode: FileMode) -> Result<(), CaptureError> {
    let reader = CaptureReader::open(from)?;
    let unfinished = UnfinishedFile::beside(to, FileMode::of(from)?.narrowed_to(mode))?;
    let mut file = CaptureFile::fill_empty(unfinished.path())?;
    // Errors name the file that the caller asked for, not the temporary one.
    file.path = to.to_owned();
    file.run("BEGIN IMMEDIATE")?;
    write_compact(&reader, &file)?;
    file.run("COMMIT")?;
    file.run("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; VACUUM;")?;
    drop(file);
    unfinished.finish()
}

fn write_compact(reader: &CaptureReader, file: &CaptureFile) -> Result<(), CaptureError> {
    file.set_meta(reader.meta())?;
    let mut state = CommittedState {
        journal_first: 1,
        journal_next: 1,
        segments: 0,
        blocks: 0,
        bounds_sum: CommittedState::empty().bounds_sum,
        gaps: 0,
        documents: 0,
        ..reader.state().clone()
    };
    write_sorted_series(reader, file, &mut state)?;
    write_pd(reader, file, &mut state)?;
    for gap in reader.gaps()? {
        state.gaps += 1;
        let json = serde_json::to_vec(&gap).expect("gaps are plain structures");
        file.put_row(Table::Gap, state.gaps, &json)?;
    }
    write_events(file, &reader.events()?)?;
    copy_truths(reader, file)?;
    if let Some(damage) = reader.damage().into_iter().next() {
        return Err(reader.file().damaged(damage.part, damage.why));
    }
    file.set_state(&state)
}

/// Removes a capture and its side files. Returns the number of bytes that were freed.
///
/// # Errors
///
/// [`CaptureError::Locked`] where a recorder writes it, or what the operating system refuses.
pub fn remove(path: &Path) -> Result<u64, CaptureError> {
    let lock = match LockFile::take(path) {
        // The disk may be too full for a lock file; removing a capture makes room.
        Err(error) if error.is_full() => None,
        lock => Some(lock?),
    };
    let bytes = bytes_on_disk(path);
    let removed = remove_with_side_files(path);
    if let Some(lock) = lock {
        lock.release();
    }
    removed.map(|()| bytes)
}

fn write_sorted_series(
    reader: &CaptureReader,
    file: &CaptureFile,
    state: &mut CommittedState,
) -> Result<(), CaptureError> {
    let targets: Vec<&Target> =
        (1..=reader.target_count()).map(|number| reader.target(number)).collect();
    let mut budget = reader.budget_to_select();
    for target in &targets {
        for set in &target.sets {
            let text = set.text_len() + target.key.job.len() + target.key.instance.len();
            budget.take(1, text).map_err(|_| reader.oversized("the labels of all series"))?;
        }
    }
    let labels: Vec<Labels> = targets
        .iter()
        .flat_map(|target| (0..target.sets.len()).map(|ordinal| target.labels(ordinal)))
        .collect();
    let segment = SeriesSegment::new(&labels);
    if segment.sets.is_empty() {
        return Ok(());
    }
    let mut index = SeriesIndex::default();
    index.add_segment(&segment);
    for part in segment.cut() {
        state.segments += 1;
        file.put_row(Table::Series, state.segments, &part.encode(LABELS_LEVEL))?;
    }
    let mut pending = Vec::new();
    for (number, target) in (1..).zip(targets) {
        let extra = target_labels(&target.key);
        let place = |set: &Labels| index.place(set.fingerprint_with(&extra));
        let places: Vec<SeriesPlace> = target.sets.iter().filter_map(place).collect();
        if let Some(first) = places.first() {
            let ordinals: Vec<u32> = places.iter().map(|place| place.ordinal).collect();
            pending.push((first.target + 1, number, ordinals));
        }
    }
    pending.sort_unstable();
    for (target, number, ordinals) in pending {
        let instants = (BLOCK_CELLS / ordinals.len()).clamp(1, BLOCK_INSTANTS);
        for times in reader.times_of(number)?.chunks(instants) {
            for columns in columns_of(rows_at(reader, number, &ordinals, times)?) {
                put_samples(file, state, target, &columns)?;
            }
        }
    }
    Ok(())
}

/// A target's samples at some of its instants, under new ordinals.
fn rows_at(
    reader: &CaptureReader,
    number: u32,
    ordinals: &[u32],
    times: &[i64],
) -> Result<Vec<JournalRow>, CaptureError> {
    let mut rows: Vec<JournalRow> =
        times.iter().map(|&at| JournalRow { at, samples: Vec::new() }).collect();
    let bounds = times.first().zip(times.last()).map(|(&first, &last)| {
        let last = Timestamp::from_millis(last);
        TimeRange::new(Timestamp::from_millis(first), last.saturating_add_millis(1))
    });
    let Some(range) = bounds else { return Ok(rows) };
    reader.scan_target(number, range, &vec![true; ordinals.len()], |columns| {
        for (row, ordinal) in columns.ordinals.iter().enumerate() {
            for (at, bits) in columns.samples(row) {
                if let Ok(place) = times.binary_search(&at) {
                    rows[place].samples.push((ordinals[*ordinal as usize], bits));
                }
            }
        }
    })?;
    Ok(rows)
}

fn write_pd(
    reader: &CaptureReader,
    file: &CaptureFile,
    state: &mut CommittedState,
) -> Result<(), CaptureError> {
    let mut numbers: HashMap<[u8; 32], u64> = HashMap::new();
    let mut blocks = PdBlocks::new(file, state, Packing::Compacted);
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
    reader.visit_pd_answers(visit, |mut answer| {
        let PdOutcome::Answered { body, .. } = &mut answer.outcome else {
            return blocks.answer(answer, None);
        };
        let body = std::mem::take(body);
        let next = numbers.len() as u64;
        let number = *numbers.entry(Sha256::digest(&body).into()).or_insert(next);
        if number == next {
            blocks.document(number, body)?;
        }
        blocks.answer(answer, Some(number))
    })?;
    blocks.finish()?;
    state.documents = numbers.len() as u64;
    Ok(())
}

fn copy_truths(reader: &CaptureReader, file: &CaptureFile) -> Result<(), CaptureError> {
    for truth in read_truths(reader.file())? {
        put_truth(file, &truth)?;
    }
    Ok(())
}

pub(super) fn read_truths(file: &CaptureFile) -> Result<Vec<Vec<u8>>, CaptureError> {
    let mut truths = Vec::new();
    let count = file.marks()?.truths;
    file.rows(Table::Truth, 1..count.saturating_add(1), |_, payload| {
        truths.extend(payload.ok().map(<[u8]>::to_vec));
    })?;
    Ok(truths)
}

pub(super) fn put_truth(file: &CaptureFile, truth: &[u8]) -> Result<(), CaptureError> {
    let mut marks = file.marks()?;
    marks.truths = file.next_id(Table::Truth, marks.truths)?;
    file.put_row(Table::Truth, marks.truths, truth)?;
    file.set_marks(&marks)
}

/// Adds an event to the timeline, during a recording or after it.
///
/// # Errors
///
/// [`CaptureError`] where the file cannot be opened or written.
pub fn add_event(path: &Path, event: Event) -> Result<(), CaptureError> {
    alter(path, |file| write_events(file, &[event]))
}

/// Stores a ground truth in the capture, in place of any other, for scoring; replay has no way to read it.
///
/// # Errors
///
/// [`CaptureError`] where the file cannot be opened or written.
pub fn seal_truth(path: &Path, truth: &[u8]) -> Result<(), CaptureError> {
    alter(path, |file| {
        delete_truths(file)?;
        put_truth(file, truth)
    })
}

/// Takes every ground truth out of the capture, and its bytes out of the file.
///
/// # Errors
///
/// [`CaptureError`] where the file cannot be opened or written.
pub fn remove_truths(path: &Path) -> Result<(), CaptureError> {
    alter(path, delete_truths)
}

fn delete_truths(file: &CaptureFile) -> Result<(), CaptureError> {
    let mut marks = file.marks()?;
    // Where rows are missing, the file is damaged, and stays as it is.
    file.next_id(Table::Truth, marks.truths)?;
    file.run("PRAGMA secure_delete = ON; DELETE FROM truth;")?;
    marks.truths = 0;
    file.set_marks(&marks)
}

/// The ground truth in the capture, the last one if there are several. Only scoring may use it.
///
/// This is the only access to a ground truth. It is not a method of [`CaptureReader`], which is all
/// that replay and diagnosis get.
///
/// # Errors
///
/// [`CaptureError`] where the file cannot be opened or read.
pub fn unseal_truth(path: &Path) -> Result<Option<Vec<u8>>, CaptureError> {
    Ok(read_truths(&CaptureFile::open_to_read(path)?)?.pop())
}

pub(super) fn alter(
    path: &Path,
    change: impl FnOnce(&CaptureFile) -> Result<(), CaptureError>,
) -> Result<(), CaptureError> {
    let live = is_unsealed(path);
    let file = CaptureFile::open_to_write(path)?;
    file.run("BEGIN IMMEDIATE")?;
    change(&file)?;
    file.run("COMMIT")?;
    if !live {
        file.run("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;")?;
    }
    Ok(())
}
