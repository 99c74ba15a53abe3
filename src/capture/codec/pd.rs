//! PD answers as a blob: new documents, then columns of what was asked and how it ended.
//!
//! A blob is read as a stream, document by document, so that what it unpacks to is never held
//! whole: builds before this one sealed whatever had come, however much it was.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use zstd::stream::read::Decoder;

use super::bytes::{
    Cursor, DecodeError, MAX_WINDOW_LOG, pack, pack_long_distance, put_bytes, put_signed,
    put_varint,
};
use crate::model::{GapReason, PdAnswer, PdOutcome, Timestamp};

/// The longest document, in bytes. Answers of PD are read up to 16 MiB, lines of a PD log up to
/// this.
pub const MAX_DOCUMENT: usize = 1 << 26;
/// Plain bytes at which a writer begins the next blob. A single document may be longer.
pub const FULL_BLOB: usize = 32 << 20;
/// zstd's level for blobs in the journal.
const JOURNAL_LEVEL: i32 = 1;
/// zstd's level for blobs that a high level would take too long for. With long-distance matching
/// it packs the successive stores of a large cluster as level 9 does.
const FAST_LEVEL: i32 = 1;
/// zstd's level for blobs in between, and up to which length they are.
const MIDDLE_LEVEL: i32 = 9;
const MIDDLE: usize = 512 << 10;
/// What an answer takes in the columns, about.
const BYTES_OF_ANSWER: usize = 64;

/// What a decoder accepts, which bounds what it allocates.
#[derive(Clone, Copy, Debug)]
pub struct PdLimits {
    /// Bytes of one document.
    pub document: usize,
    /// Answers of one blob.
    pub answers: usize,
    /// Bytes of all columns of a blob, and of all its strings.
    pub columns: usize,
}

impl Default for PdLimits {
    fn default() -> Self {
        Self { document: MAX_DOCUMENT, answers: 1 << 22, columns: 1 << 26 }
    }
}

/// How much time packing may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A row of the journal, which is packed again later.
    Journal,
    /// A block that a recorder seals between two ticks: below a second of processor time.
    Sealed,
    /// A block of a compacted capture, where size comes first.
    Compacted,
}

/// PD answers and the documents that stand in this blob for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PdBatch {
    /// Number of the first document here; documents are numbered through the whole capture.
    pub first_document: u64,
    /// Documents, each once in the whole capture.
    pub documents: Vec<Arc<[u8]>>,
    /// Answers whose bodies are left out, and the document that is the body.
    pub answers: Vec<(PdAnswer, Option<u64>)>,
    bytes: usize,
}

impl PdBatch {
    /// A batch without answers; `first_document` is the number of the next new document.
    pub fn new(first_document: u64) -> Self {
        Self { first_document, ..Self::default() }
    }

    /// Adds the document with the next number.
    pub fn push_document(&mut self, document: Arc<[u8]>) {
        self.bytes += document.len();
        self.documents.push(document);
    }

    /// Adds an answer without its body, and the document that is its body.
    pub fn push_answer(&mut self, answer: PdAnswer, document: Option<u64>) {
        self.bytes += plain_bytes(&answer);
        self.answers.push((answer, document));
    }

    /// Whether so many bytes more belong into the next blob.
    pub fn is_full_with(&self, bytes: usize) -> bool {
        !self.answers.is_empty() && self.bytes + bytes > FULL_BLOB
    }

    /// Plain bytes, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The instants of sending of the first and the last answer; `None` where there is none.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let times = self.answers.iter().map(|(answer, _)| answer.sent.as_millis());
        times.map(|at| (at, at)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

/// Plain bytes that an answer takes without its body, about.
fn plain_bytes(answer: &PdAnswer) -> usize {
    let detail = match &answer.outcome {
        PdOutcome::Answered { .. } => 0,
        PdOutcome::Failed { detail, .. } => detail.len(),
    };
    BYTES_OF_ANSWER + answer.member.len() + answer.url.len() + answer.path.len() + detail
}

/// Encodes a batch.
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

/// A high level's time grows with what it cannot find twice, which the length after a low level
/// tells: what that packs into 160 KiB takes 1.3 s at level 17, what it packs into 1 MiB 20 s at
/// level 19.
fn pack_within(plain: &[u8], packing: Packing) -> Vec<u8> {
    let (level, affordable) = match packing {
        Packing::Journal => return pack(plain, JOURNAL_LEVEL),
        Packing::Sealed => (17, 160 << 10),
        Packing::Compacted => (19, 1 << 20),
    };
    let fast = pack_long_distance(plain, FAST_LEVEL);
    if fast.len() <= affordable {
        return pack(plain, level);
    }
    let middle = (fast.len() <= MIDDLE).then(|| pack_long_distance(plain, MIDDLE_LEVEL));
    middle.filter(|middle| middle.len() < fast.len()).unwrap_or(fast)
}

/// Reads a blob of PD answers: the documents in order, then the answers.
pub struct PdReader {
    plain: BufReader<Decoder<'static, io::Cursor<Vec<u8>>>>,
    /// Plain bytes that are still to come, as the blob claims.
    remaining: u64,
    first_document: u64,
    next_document: u64,
    documents_left: u64,
    limits: PdLimits,
}

impl PdReader {
    /// Begins to read what [`encode_pd`] wrote.
    ///
    /// # Errors
    ///
    /// As all functions here: [`DecodeError`] where the bytes have another form or exceed
    /// `limits`.
    pub fn new(blob: &[u8], limits: PdLimits) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(blob);
        let remaining = cursor.varint()?;
        let frame = io::Cursor::new(cursor.take(cursor.remaining())?.to_vec());
        let no_memory = |_| DecodeError("no memory to unpack");
        let mut decoder = Decoder::with_buffer(frame).map_err(no_memory)?.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(no_memory)?;
        let plain = BufReader::with_capacity(64 << 10, decoder);
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

    /// Plain bytes that have not been read yet, as the blob claims.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The number of the document that comes next.
    pub fn next_number(&self) -> u64 {
        self.next_document
    }

    /// The numbers of the documents that are still to come.
    pub fn numbers(&self) -> std::ops::Range<u64> {
        self.next_document..self.next_document.saturating_add(self.documents_left)
    }

    /// The next document; `None` after the last one.
    pub fn next_document(&mut self) -> Result<Option<Arc<[u8]>>, DecodeError> {
        let Some(length) = self.begin_document()? else { return Ok(None) };
        Ok(Some(self.bytes(length)?.into()))
    }

    /// Passes over the next document; `false` after the last one.
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

    /// The answers, which stand behind the documents; those that are left are passed over.
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
        // Strings take room even where they are empty.
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

    /// A count of things of which each takes at least one byte of what remains.
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

/// The answers of one blob, without their bodies and with their text shared.
#[derive(Debug, PartialEq, Eq)]
pub struct PdRows {
    strings: Vec<Arc<str>>,
    rows: Vec<PdRow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PdRow {
    sent: i64,
    member: u32,
    url: u32,
    path: u32,
    elapsed_us: u32,
    result: PdResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PdResult {
    Answered { status: u16, document: u64 },
    Failed { reason: GapReason, detail: u32 },
}

impl PdRows {
    fn decode(
        strings: Vec<Arc<str>>,
        count: usize,
        columns: &[Vec<u8>; 7],
        first_document: u64,
    ) -> Result<Self, DecodeError> {
        let string = |cursor: &mut Cursor<'_>| {
            let id = cursor.u32()?;
            let known = (id as usize) < strings.len();
            known.then_some(id).ok_or(DecodeError("a string is missing"))
        };
        let mut columns = columns.each_ref().map(|column| Cursor::new(column));
        let [sent, member, url, path, elapsed, status, result] = &mut columns;
        // Each answer takes a byte of the first column at least.
        let mut rows = Vec::with_capacity(count.min(sent.remaining()));
        let mut at = 0_i64;
        for _ in 0..count {
            at = at.wrapping_add(sent.signed()?);
            let (member, url, path) = (string(member)?, string(url)?, string(path)?);
            let elapsed_us = elapsed.u32()?;
            let result = match status.varint()? {
                0 => {
                    let reason = GapReason::parse(&strings[string(result)? as usize]);
                    let reason = reason.ok_or(DecodeError("a failure has an unknown reason"))?;
                    PdResult::Failed { reason, detail: string(result)? }
                }
                status => {
                    let status = u16::try_from(status);
                    let status = status.map_err(|_| DecodeError("a status exceeds 16 bits"))?;
                    let document = first_document.wrapping_add(result.signed()? as u64);
                    PdResult::Answered { status, document }
                }
            };
            rows.push(PdRow { sent: at, member, url, path, elapsed_us, result });
        }
        if columns.iter().all(Cursor::is_empty) {
            Ok(Self { strings, rows })
        } else {
            Err(DecodeError("has bytes after its last answer"))
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// When a row's request was sent.
    pub fn sent(&self, row: usize) -> i64 {
        self.rows[row].sent
    }

    /// The document that is a row's body; `None` of a failure.
    pub fn document(&self, row: usize) -> Option<u64> {
        match self.rows[row].result {
            PdResult::Answered { document, .. } => Some(document),
            PdResult::Failed { .. } => None,
        }
    }

    /// A row's answer with this body, which a failure has none of.
    pub fn answer(&self, row: usize, body: Arc<[u8]>) -> PdAnswer {
        let row = &self.rows[row];
        let text = |id: u32| self.strings[id as usize].to_string();
        PdAnswer {
            sent: Timestamp::from_millis(row.sent),
            member: text(row.member),
            url: text(row.url),
            path: text(row.path),
            elapsed_us: row.elapsed_us,
            outcome: match row.result {
                PdResult::Answered { status, .. } => PdOutcome::Answered { status, body },
                PdResult::Failed { reason, detail } => {
                    PdOutcome::Failed { reason, detail: text(detail) }
                }
            },
        }
    }

    /// When a row's answer was known, in milliseconds: see [`PdAnswer::observed`].
    pub fn observed(&self, row: usize) -> i64 {
        let row = &self.rows[row];
        row.sent.saturating_add(i64::from(row.elapsed_us.div_ceil(1000)))
    }

    /// Orders two rows, of the same or of different blobs, as their answers without the bodies.
    pub fn cmp(&self, row: usize, other: &Self, other_row: usize) -> std::cmp::Ordering {
        self.key(row).cmp(&other.key(other_row))
    }

    fn key(&self, row: usize) -> impl Ord + '_ {
        let row = &self.rows[row];
        let text = |id: u32| &*self.strings[id as usize];
        let result = match row.result {
            PdResult::Answered { status, .. } => (None, Some(status)),
            PdResult::Failed { reason, detail } => (Some((reason, text(detail))), None),
        };
        (row.sent, text(row.member), text(row.url), text(row.path), row.elapsed_us, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sent: i64, outcome: PdOutcome) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::from_millis(sent),
            member: "pd0".to_owned(),
            url: "http://10.77.0.10:2379".to_owned(),
            path: "/pd/api/v1/ping".to_owned(),
            elapsed_us: 1490,
            outcome,
        }
    }

    fn answered(sent: i64, status: u16) -> PdAnswer {
        answer(sent, PdOutcome::Answered { status, body: Arc::default() })
    }

    fn failed(sent: i64) -> PdAnswer {
        let detail = "refused".to_owned();
        answer(sent, PdOutcome::Failed { reason: GapReason::Connect, detail })
    }

    /// Documents and, where they can be read too, answers.
    fn read(blob: &[u8], limits: PdLimits) -> Result<PdBatch, DecodeError> {
        let mut reader = PdReader::new(blob, limits)?;
        let mut batch = PdBatch::new(reader.next_number());
        while let Some(document) = reader.next_document()? {
            batch.push_document(document);
        }
        let rows = reader.answers()?;
        for row in 0..rows.len() {
            batch.push_answer(rows.answer(row, Arc::default()), rows.document(row));
        }
        Ok(batch)
    }

    fn many(documents: usize, length: usize) -> PdBatch {
        let mut batch = PdBatch::new(7);
        for number in 0..documents {
            let text = format!("{number:>length$}");
            batch.push_document(text.into_bytes().into());
            batch.push_answer(answered(number as i64, 200), Some(7 + number as u64));
        }
        batch
    }

    #[test]
    fn answers_and_failures_read_back() {
        let mut batch = PdBatch::new(3);
        batch.push_document(Arc::from(*b"[]\n"));
        batch.push_answer(answered(10, 200), Some(1));
        batch.push_answer(answered(9, 500), Some(3));
        batch.push_answer(failed(12), None);
        for packing in [Packing::Journal, Packing::Sealed, Packing::Compacted] {
            assert_eq!(read(&encode_pd(&batch, packing), PdLimits::default()), Ok(batch.clone()));
        }
    }

    #[test]
    fn documents_are_read_one_by_one_however_many_and_passed_over_for_the_answers() {
        let limits = PdLimits { document: 1_000, ..PdLimits::default() };
        let batch = many(500, 1_000);
        let blob = encode_pd(&batch, Packing::Sealed);
        assert_eq!(read(&blob, limits), Ok(batch.clone()));
        let mut reader = PdReader::new(&blob, limits).expect("begins");
        assert_eq!(reader.numbers(), 7..507);
        assert_eq!(reader.next_document().expect("reads").as_ref(), Some(&batch.documents[0]));
        assert!(reader.skip_document().expect("reads"));
        assert_eq!(reader.next_document().expect("reads").as_ref(), Some(&batch.documents[2]));
        let rows = reader.answers().expect("answers read");
        assert_eq!((rows.len(), rows.document(499), rows.sent(499)), (500, Some(506), 499));
    }

    #[test]
    fn what_exceeds_a_limit_is_refused_before_it_is_held() {
        let blob = encode_pd(&many(3, 1_001), Packing::Sealed);
        let refused = |limits| read(&blob, limits).expect_err("is refused").0;
        let limits = PdLimits { document: 1_000, ..PdLimits::default() };
        assert_eq!(refused(limits), "a document is longer than the format allows");
        let limits = PdLimits { answers: 2, ..PdLimits::default() };
        assert_eq!(refused(limits), "has more answers than the format allows");
        let limits = PdLimits { columns: 100, ..PdLimits::default() };
        assert_eq!(refused(limits), "has more text than the format allows");
    }

    #[test]
    fn a_blob_that_claims_another_length_is_refused() {
        let blob = encode_pd(&many(3, 100), Packing::Journal);
        let length = Cursor::new(&blob).varint().expect("begins with its length");
        for claimed in [0, 1, length - 1, length + 1, u64::MAX] {
            let mut other = Vec::new();
            put_varint(&mut other, claimed);
            let mut frame = Cursor::new(&blob);
            frame.varint().expect("begins with its length");
            other.extend_from_slice(frame.take(frame.remaining()).expect("takes the rest"));
            assert!(read(&other, PdLimits::default()).is_err(), "{claimed}");
        }
    }

    #[test]
    fn rows_are_ordered_as_their_answers() {
        let mut batch = PdBatch::new(0);
        batch.push_document(Arc::from(*b"x"));
        for sent in [5, 3] {
            batch.push_answer(failed(sent), None);
            batch.push_answer(answered(sent, 500), Some(0));
            batch.push_answer(answered(sent, 200), Some(0));
        }
        let blob = encode_pd(&batch, Packing::Journal);
        let rows = PdReader::new(&blob, PdLimits::default()).and_then(|mut one| one.answers());
        let rows = rows.expect("answers read");
        let all = || 0..rows.len();
        for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
            let (whole_a, whole_b) = (&batch.answers[a].0, &batch.answers[b].0);
            assert_eq!(rows.cmp(a, &rows, b), whole_a.cmp(whole_b), "{whole_a:?} {whole_b:?}");
            assert_eq!(rows.observed(a), whole_a.observed().as_millis());
        }
    }
}
