//! Writes sealed blocks, and reads back each one before the rows that it replaces are deleted.

use std::sync::Arc;

use super::CaptureError;
use super::codec::{
    BlockHeader, Columns, DecodeError, Packing, PdBatch, PdLimits, PdReader, decode_group,
    encode_block, encode_pd, open_envelope, seal_envelope,
};
use super::file::{CaptureFile, CommittedState};
use super::journal::PD_TARGET;
use crate::model::PdAnswer;

/// One in this many groups of samples is decoded when a block is read back: decoding all would need
/// a tenth of the time of recording. Checksums and limits are checked for all groups.
const DECODED_OF: usize = 8;

/// Writes samples of one target as a block.
///
/// # Errors
///
/// [`CaptureError`] where the disk refuses, or where reading back gives other samples.
pub fn put_samples(
    file: &CaptureFile,
    state: &mut CommittedState,
    target: u32,
    columns: &Columns,
) -> Result<(), CaptureError> {
    let bounds = (columns.times[0], columns.times[columns.times.len() - 1]);
    put_block(file, state, target, bounds, &encode_block(columns))?;
    let turn = state.blocks as usize % DECODED_OF;
    let is_decoded = |group: usize| group % DECODED_OF == turn;
    read_back(file, state, target, bounds, |block| holds_samples(block, columns, is_decoded))
}

fn holds_samples(
    block: &[u8],
    columns: &Columns,
    is_decoded: impl Fn(usize) -> bool,
) -> Result<bool, DecodeError> {
    let header = BlockHeader::decode(block, usize::MAX)?;
    if (&header.times, &header.ordinals) != (&columns.times, &columns.ordinals) {
        return Ok(false);
    }
    let (mut from, mut part) = (0, Columns::default());
    for group in 0..header.group_count() {
        // Decoding zero series of a group still checks its checksum.
        let series = if is_decoded(group) { usize::MAX } else { 0 };
        decode_group(block, &header, (group, series), &mut part)?;
        let cells = from..from + part.states.len();
        if part.states != columns.states[cells.clone()] || part.bits != columns.bits[cells] {
            return Ok(false);
        }
        from += header.group_ordinals(group).len() * header.times.len();
    }
    Ok(from == columns.states.len())
}

/// Cuts PD answers into blocks of bounded size, and writes them.
pub struct PdBlocks<'a> {
    file: &'a CaptureFile,
    state: &'a mut CommittedState,
    packing: Packing,
    batch: PdBatch,
    next_document: u64,
}

impl<'a> PdBlocks<'a> {
    /// Starts with no answer and no document.
    pub fn new(file: &'a CaptureFile, state: &'a mut CommittedState, packing: Packing) -> Self {
        Self { file, state, packing, batch: PdBatch::default(), next_document: 0 }
    }

    /// Adds the content of one blob, the documents in the order in which its answers refer to them.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] that names `part` where the blob is damaged, or where the disk refuses.
    pub fn take(&mut self, part: &str, blob: &[u8]) -> Result<(), CaptureError> {
        let file = self.file;
        let damaged = |why: DecodeError| file.damaged(part, why);
        let reader = || PdReader::new(blob, PdLimits::default());
        let rows = reader().and_then(|mut reader| reader.answers()).map_err(damaged)?;
        let mut documents = reader().map_err(damaged)?;
        for row in 0..rows.len() {
            let named = rows.document(row);
            while named.is_some_and(|number| documents.numbers().contains(&number)) {
                self.next(&mut documents).map_err(damaged)??;
            }
            self.answer(rows.answer(row, Arc::default()), named)?;
        }
        while !documents.numbers().is_empty() {
            self.next(&mut documents).map_err(damaged)??;
        }
        Ok(())
    }

    fn next(&mut self, documents: &mut PdReader) -> Result<Result<(), CaptureError>, DecodeError> {
        let number = documents.next_number();
        let document = documents.next_document()?;
        Ok(document.map_or(Ok(()), |document| self.document(number, document)))
    }

    /// Adds a document, to which the next answer refers.
    ///
    /// # Errors
    ///
    /// The same errors as [`put_samples`].
    pub fn document(&mut self, number: u64, document: Arc<[u8]>) -> Result<(), CaptureError> {
        let follows = number == self.next_document || self.batch.documents.is_empty();
        if self.batch.is_full_with(document.len()) || !follows {
            self.write()?;
        }
        if self.batch.documents.is_empty() {
            self.batch.first_document = number;
        }
        self.next_document = number.wrapping_add(1);
        self.batch.push_document(document);
        Ok(())
    }

    /// Adds an answer without its body, and the number of the document that is its body.
    ///
    /// # Errors
    ///
    /// The same errors as [`put_samples`].
    pub fn answer(&mut self, answer: PdAnswer, document: Option<u64>) -> Result<(), CaptureError> {
        if self.batch.is_full_with(0) {
            self.write()?;
        }
        self.batch.push_answer(answer, document);
        Ok(())
    }

    /// Writes the remaining answers.
    ///
    /// # Errors
    ///
    /// The same errors as [`put_samples`].
    pub fn finish(mut self) -> Result<(), CaptureError> {
        self.write()
    }

    fn write(&mut self) -> Result<(), CaptureError> {
        let batch = std::mem::replace(&mut self.batch, PdBatch::new(self.next_document));
        let Some(bounds) = batch.bounds() else { return Ok(()) };
        let blob = encode_pd(&batch, self.packing);
        put_block(self.file, self.state, PD_TARGET, bounds, &blob)?;
        drop(blob);
        read_back(self.file, self.state, PD_TARGET, bounds, |blob| holds_answers(blob, &batch))
    }
}

fn holds_answers(blob: &[u8], batch: &PdBatch) -> Result<bool, DecodeError> {
    let mut reader = PdReader::new(blob, PdLimits::default())?;
    let last = batch.first_document.wrapping_add(batch.documents.len() as u64);
    if reader.numbers() != (batch.first_document..last) {
        return Ok(false);
    }
    for document in &batch.documents {
        if reader.next_document()?.as_ref() != Some(document) {
            return Ok(false);
        }
    }
    let rows = reader.answers()?;
    let same = |(row, (answer, document)): (usize, &(PdAnswer, Option<u64>))| {
        rows.answer(row, Arc::default()) == *answer && rows.document(row) == *document
    };
    Ok(rows.len() == batch.answers.len() && batch.answers.iter().enumerate().all(same))
}

/// Writes the next row of `block`. The checksum covers the columns by which queries select.
pub fn put_block(
    file: &CaptureFile,
    state: &mut CommittedState,
    target: u32,
    (first, last): (i64, i64),
    body: &[u8],
) -> Result<(), CaptureError> {
    state.blocks += 1;
    let id = state.blocks;
    let context = block_context(id, target, first, last);
    // A capture of an early version has no sum, and the sum of its later blocks alone would not be that of all.
    if !state.bounds_sum.is_empty() {
        let held = u128::from_str_radix(&state.bounds_sum, 16).unwrap_or(0);
        state.bounds_sum = format!("{:032x}", held.wrapping_add(bounds_hash(&context)));
    }
    let sealed = seal_envelope(&context, body);
    let sql = "INSERT INTO block (id, target, first_ms, last_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    file.connection
        .prepare(sql)
        .and_then(|mut statement| statement.execute((id as i64, target, first, last, sealed)))
        .map(drop)
        .map_err(|source| file.sqlite(source))
}

/// The text that the checksum of a block covers in addition to its body.
pub fn block_context(id: u64, target: u32, first: i64, last: i64) -> String {
    format!("block {id} {target} {first} {last}")
}

/// Hash of the context of a block, for [`CommittedState::bounds_sum`].
pub fn bounds_hash(context: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(context.as_bytes())
}

/// Reads the newest block from the file and checks its body with `holds`.
fn read_back(
    file: &CaptureFile,
    state: &CommittedState,
    target: u32,
    (first, last): (i64, i64),
    holds: impl FnOnce(&[u8]) -> Result<bool, DecodeError>,
) -> Result<(), CaptureError> {
    let id = state.blocks;
    let sql = "SELECT body FROM block WHERE id = ?1";
    let body: Vec<u8> = file
        .connection
        .query_row(sql, [id as i64], |row| row.get(0))
        .map_err(|source| file.sqlite(source))?;
    let context = block_context(id, target, first, last);
    let damaged = |why: &str| file.damaged(format!("block {id}"), why);
    match open_envelope(&context, &body).and_then(holds) {
        Ok(true) => Ok(()),
        Ok(false) => Err(damaged("it does not hold what was sealed into it")),
        Err(why) => Err(damaged(&why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PdOutcome, Timestamp};

    #[test]
    fn a_block_that_holds_anything_else_is_noticed() {
        let columns = Columns {
            times: vec![1, 2],
            ordinals: vec![0, 3],
            states: vec![1; 4],
            bits: vec![5, 6, 7, 8],
        };
        let block = encode_block(&columns);
        let holds = |columns: &Columns| holds_samples(&block, columns, |_| true);
        assert_eq!(holds(&columns), Ok(true));
        for other in [
            Columns { times: vec![1, 3], ..columns.clone() },
            Columns { ordinals: vec![0, 4], ..columns.clone() },
            Columns { states: vec![1, 1, 1, 0], ..columns.clone() },
            Columns { bits: vec![5, 6, 7, 9], ..columns.clone() },
        ] {
            assert_eq!(holds(&other), Ok(false), "{other:?}");
        }
        let mut damaged = block.clone();
        *damaged.last_mut().expect("a block has bytes") ^= 1;
        assert!(holds_samples(&damaged, &columns, |_| false).is_err());
    }

    #[test]
    fn a_blob_that_holds_other_answers_is_noticed() {
        let batch = |first: u64, body: &[u8], elapsed_us| {
            let outcome = PdOutcome::Answered { status: 200, body: Arc::default() };
            let [member, url, path] = ["pd0", "http://h:2379", "/p"].map(str::to_owned);
            let sent = Timestamp::from_millis(7);
            let mut batch = PdBatch::new(first);
            batch.push_document(body.into());
            batch.push_answer(
                PdAnswer { sent, member, url, path, elapsed_us, outcome },
                Some(first),
            );
            batch
        };
        let written = batch(3, b"a", 1);
        let blob = encode_pd(&written, Packing::Sealed);
        assert_eq!(holds_answers(&blob, &written), Ok(true));
        for other in [batch(4, b"a", 1), batch(3, b"b", 1), batch(3, b"a", 2)] {
            assert_eq!(holds_answers(&blob, &other), Ok(false), "{other:?}");
        }
        let mut more = written.clone();
        more.push_answer(written.answers[0].0.clone(), None);
        assert_eq!(holds_answers(&blob, &more), Ok(false));
    }
}
