//! The blob of PD answers: new documents, then columns of requests and results.
//!
//! A blob is read as a stream, document by document, and only a short one is held unpacked as a whole: early
//! versions of the program sealed blobs of any size.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use zstd::stream::read::Decoder;

use super::bytes::{
    Cursor, DecodeError, MAX_WINDOW_LOG, pack, pack_long_distance, put_bytes, put_signed,
    put_varint, unpack,
};
use crate::model::{PdAnswer, PdOutcome};

mod rows;

pub use rows::PdRows;

/// Most bytes of a document. Answers of PD are read up to 16 MiB, lines of a PD log up to this
/// length.
pub const MAX_DOCUMENT: usize = 1 << 26;
/// Uncompressed bytes at which a writer starts the next blob. A single document may be longer.
pub const FULL_BLOB: usize = 32 << 20;
/// zstd level for blobs in the journal.
const JOURNAL_LEVEL: i32 = 1;
/// zstd level for blobs for which a high level would be too slow. With long-distance matching it
/// compresses the successive stores of a large cluster as well as level 9.
const FAST_LEVEL: i32 = 1;
/// zstd level for blobs of medium length, and the length after fast compression up to which it is
/// used.
const MIDDLE_LEVEL: i32 = 9;
const MIDDLE: usize = 512 << 10;
/// zstd level for blobs of up to so many uncompressed bytes. The higher levels took 10 to 42 times as long
/// on real answers and saved up to 4.4 %, some hundred bytes.
const SHORT_LEVEL: i32 = 10;
const SHORT: usize = 32 << 10;
/// Uncompressed bytes up to which a blob is unpacked at once: most blobs of a journal are that short, and a
/// stream of its own costs each as much as unpacking it.
const HELD_WHOLE: u64 = 256 << 10;
/// Approximate bytes of an answer in the columns.
const BYTES_OF_ANSWER: usize = 64;

/// Limits of a decoder, which bound what it allocates.
#[derive(Clone, Copy, Debug)]
pub struct PdLimits {
    /// Most bytes of one document.
    pub document: usize,
    /// Most answers in one blob.
    pub answers: usize,
    /// Most bytes of all columns of a blob, and of all its strings.
    pub columns: usize,
}

impl Default for PdLimits {
    fn default() -> Self {
        Self { document: MAX_DOCUMENT, answers: 1 << 22, columns: 1 << 26 }
    }
}

/// How much time compression may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A row of the journal, which is compressed again later.
    Journal,
    /// A block that a recorder seals between two ticks: less than a second of processor time.
    Sealed,
    /// A block of a compacted capture, where size is more important than time.
    Compacted,
}

/// PD answers and the documents that are new in this blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PdBatch {
    /// Number of the first document of this batch; documents are numbered across the whole capture.
    pub first_document: u64,
    /// New documents; each is stored once in the whole capture.
    pub documents: Vec<Arc<[u8]>>,
    /// Answers without their bodies, each with the number of the document that is its body.
    pub answers: Vec<(PdAnswer, Option<u64>)>,
    bytes: usize,
}

impl PdBatch {
    /// An empty batch; `first_document` is the number of the next new document.
    pub fn new(first_document: u64) -> Self {
        Self { first_document, ..Self::default() }
    }

    /// Adds the document with the next number.
    pub fn push_document(&mut self, document: Arc<[u8]>) {
        self.bytes += document.len();
        self.documents.push(document);
    }

    /// Adds an answer without its body, and the number of the document that is its body.
    pub fn push_answer(&mut self, answer: PdAnswer, document: Option<u64>) {
        self.bytes += plain_bytes(&answer);
        self.answers.push((answer, document));
    }

    /// Whether the batch would be too long with `bytes` more bytes.
    pub fn is_full_with(&self, bytes: usize) -> bool {
        !self.answers.is_empty() && self.bytes + bytes > FULL_BLOB
    }

    /// Approximate number of uncompressed bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Earliest and latest time of sending, in milliseconds; `None` where there is no answer.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let times = self.answers.iter().map(|(answer, _)| answer.sent.as_millis());
        times.map(|at| (at, at)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

/// Approximate uncompressed bytes of an answer without its body.
fn plain_bytes(answer: &PdAnswer) -> usize {
    let detail = match &answer.outcome {
        PdOutcome::Answered { .. } => 0,
        PdOutcome::Failed { detail, .. } => detail.len(),
    };
    BYTES_OF_ANSWER + answer.member.len() + answer.url.len() + answer.path.len() + detail
}

/// Encodes a batch as a blob.
pub fn encode_pd(batch: &PdBatch, packing: Packing) -> Vec<u8> {
    let mut strings: Vec<&str> = Vec::new();
    let mut ids: HashMap<&str, u64> = HashMap::new();
    let mut intern = |text| {
        *ids.entry(text).or_insert_with(|| {
            strings.push(text);
            strings.len() as u64 - 1
        })
    };
    let mut columns: [Vec<u8>; 7] = Default::default();
    let mut last = 0_i64;
    for (answer, document) in &batch.answers {
        let sent = answer.sent.as_millis();
        put_signed(&mut columns[0], sent.wrapping_sub(last));
        last = sent;
        put_varint(&mut columns[1], intern(&answer.member));
        put_varint(&mut columns[2], intern(&answer.url));
        put_varint(&mut columns[3], intern(&answer.path));
        put_varint(&mut columns[4], u64::from(answer.elapsed_us));
        match &answer.outcome {
            PdOutcome::Answered { status, .. } => {
                put_varint(&mut columns[5], u64::from(*status));
                let document = document.expect("an answer has a document");
                put_signed(&mut columns[6], document.wrapping_sub(batch.first_document) as i64);
            }
            PdOutcome::Failed { reason, detail } => {
                put_varint(&mut columns[5], 0);
                put_varint(&mut columns[6], intern(reason.name()));
                put_varint(&mut columns[6], intern(detail));
            }
        }
    }
    let mut plain = Vec::with_capacity(batch.bytes);
    put_varint(&mut plain, batch.first_document);
    put_varint(&mut plain, batch.documents.len() as u64);
    for document in &batch.documents {
        put_bytes(&mut plain, document);
    }
    put_varint(&mut plain, strings.len() as u64);
    for text in strings {
        put_bytes(&mut plain, text.as_bytes());
    }
    put_varint(&mut plain, batch.answers.len() as u64);
    for column in columns {
        put_bytes(&mut plain, &column);
    }
    pack_within(&plain, packing)
}

/// Chooses the zstd level by time. The time of a high level grows with the content that is not
/// repeated, which the length after a low level shows: content that the low level packs into 160
/// KiB takes 1.3 s at level 17, and content of 1 MiB takes 20 s at level 19.
fn pack_within(plain: &[u8], packing: Packing) -> Vec<u8> {
    let (level, affordable) = match packing {
        Packing::Journal => return pack(plain, JOURNAL_LEVEL),
        Packing::Sealed => (17, 160 << 10),
        Packing::Compacted => (19, 1 << 20),
    };
    if plain.len() <= SHORT {
        return pack(plain, SHORT_LEVEL);
    }
    let fast = pack_long_distance(plain, FAST_LEVEL);
    if fast.len() <= affordable {
        return pack(plain, level);
    }
    let middle = (fast.len() <= MIDDLE).then(|| pack_long_distance(plain, MIDDLE_LEVEL));
    middle.filter(|middle| middle.len() < fast.len()).unwrap_or(fast)
}

/// Decodes a blob of PD answers: first the documents in order, then the answers.
pub struct PdReader {
    plain: Box<dyn Read + Send>,
    /// Uncompressed bytes that remain, as the blob claims.
    remaining: u64,
    first_document: u64,
    next_document: u64,
    documents_left: u64,
    limits: PdLimits,
}

impl PdReader {
    /// Starts to decode what [`encode_pd`] wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are malformed or exceed `limits`, as in all methods of this
    /// type.
    pub fn new(blob: &[u8], limits: PdLimits) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(blob);
        let remaining = cursor.varint()?;
        let plain: Box<dyn Read + Send> = if remaining <= HELD_WHOLE {
            Box::new(io::Cursor::new(unpack(&mut Cursor::new(blob), HELD_WHOLE as usize)?))
        } else {
            let frame = io::Cursor::new(cursor.take(cursor.remaining())?.to_vec());
            let no_memory = |_| DecodeError("no memory to unpack");
            let mut decoder = Decoder::with_buffer(frame).map_err(no_memory)?.single_frame();
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(no_memory)?;
            Box::new(BufReader::with_capacity(64 << 10, decoder))
        };
        let mut reader = Self {
            plain,
            remaining,
            first_document: 0,
            next_document: 0,
            documents_left: 0,
            limits,
        };
        reader.first_document = reader.varint()?;
        reader.next_document = reader.first_document;
        reader.documents_left = reader.count()?;
        Ok(reader)
    }

    /// Uncompressed bytes that have not been read yet, as the blob claims.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Number of the next document.
    pub fn next_number(&self) -> u64 {
        self.next_document
    }

    /// Numbers of the documents that have not been read yet.
    pub fn numbers(&self) -> std::ops::Range<u64> {
        self.next_document..self.next_document.saturating_add(self.documents_left)
    }

    /// Reads the next document; `None` after the last one.
    pub fn next_document(&mut self) -> Result<Option<Arc<[u8]>>, DecodeError> {
        let Some(length) = self.begin_document()? else { return Ok(None) };
        Ok(Some(self.bytes(length)?.into()))
    }

    /// Skips the next document; `false` after the last one.
    pub fn skip_document(&mut self) -> Result<bool, DecodeError> {
        let Some(length) = self.begin_document()? else { return Ok(false) };
        let skipped = io::copy(&mut self.plain.by_ref().take(length as u64), &mut io::sink());
        if skipped.map_err(not_a_frame)? != length as u64 {
            return Err(DecodeError("ends early"));
        }
        self.remaining -= length as u64;
        Ok(true)
    }

    fn begin_document(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.documents_left == 0 {
            return Ok(None);
        }
        let length = self.count()?;
        if length > self.limits.document as u64 {
            return Err(DecodeError("a document is longer than the format allows"));
        }
        self.documents_left -= 1;
        self.next_document = self.next_document.wrapping_add(1);
        Ok(Some(length as usize))
    }

    /// Reads the answers, which follow the documents; the remaining documents are skipped.
    pub fn answers(&mut self) -> Result<PdRows, DecodeError> {
        while self.skip_document()? {}
        let mut room = self.limits.columns;
        let mut strings = Vec::new();
        for _ in 0..self.count()? {
            let text = String::from_utf8(self.bytes_within(&mut room)?);
            strings.push(text.map_err(|_| DecodeError("a name is not UTF-8"))?.into());
        }
        let count = self.count()?;
        if count > self.limits.answers as u64 {
            return Err(DecodeError("has more answers than the format allows"));
        }
        let mut room = self.limits.columns;
        let mut columns: [Vec<u8>; 7] = Default::default();
        for column in &mut columns {
            *column = self.bytes_within(&mut room)?;
        }
        if self.remaining > 0 || self.plain.read(&mut [0]).map_err(not_a_frame)? > 0 {
            return Err(DecodeError("has bytes after its last answer"));
        }
        PdRows::decode(strings, count as usize, &columns, self.first_document)
    }

    fn bytes_within(&mut self, room: &mut usize) -> Result<Vec<u8>, DecodeError> {
        let length = self.count()? as usize;
        // Strings need memory even where they are empty.
        let taken = length.saturating_add(size_of::<Arc<str>>());
        *room =
            room.checked_sub(taken).ok_or(DecodeError("has more text than the format allows"))?;
        self.bytes(length)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let length = bytes.len() as u64;
        self.remaining = self.remaining.checked_sub(length).ok_or(DecodeError("ends early"))?;
        self.plain.read_exact(bytes).map_err(not_a_frame)
    }

    /// Reads a count of items that need at least one byte each, and checks it against the remaining
    /// bytes.
    fn count(&mut self) -> Result<u64, DecodeError> {
        let count = self.varint()?;
        if count > self.remaining {
            return Err(DecodeError("a count exceeds the bytes that remain"));
        }
        Ok(count)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut bytes = [0; 10];
        for length in 1..=bytes.len() {
            self.fill(&mut bytes[length - 1..length])?;
            if bytes[length - 1] < 0x80 {
                return Cursor::new(&bytes[..length]).varint();
            }
        }
        Err(DecodeError("an integer has more than ten bytes"))
    }
}

fn not_a_frame(_: io::Error) -> DecodeError {
    DecodeError("is not a zstd frame of the stated length")
}

#[cfg(test)]
mod tests;
