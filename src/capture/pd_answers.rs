//! Streams PD's answers out of a capture, in an order of time.
//!
//! Blobs are read in the order in which they begin, and an answer is handed over once no later
//! blob can hold one before it. So what is held does not grow with the capture: the answers of the
//! blobs that overlap, without their bodies, and the documents that were read last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::codec::{DecodeError, PdLimits, PdReader, PdRows};
use super::file::Table;
use super::journal::{PD_TARGET, split_row};
use super::reader::{BlockRow, EVERY_ANSWER};
use super::{CaptureError, CaptureReader};
use crate::model::{Observed, PdAnswer, PdOutcome, TimeRange, Timestamp};

/// Answers that are held at once without their bodies, of blobs that overlap in time.
const MAX_PENDING: usize = 1 << 22;
/// A blob that unpacks to so much at most is unpacked once, for answers and documents together.
const UNPACKED_ONCE: u64 = 40 << 20;
/// Bytes of documents below [`SMALL`] that are kept, and of others. Documents that come again and
/// again are small, and would be driven out by the stores of a large cluster.
const KEPT_SMALL: usize = 16 << 20;
const KEPT_LARGE: usize = 96 << 20;
const SMALL: usize = 4 << 10;
/// Bytes of documents that are read further once a blob is read for one of them.
const READ_AHEAD: usize = 16 << 20;
/// Bytes of plain text of the blobs that are open to read documents: their windows.
const OPEN_WINDOWS: u64 = 256 << 20;
const LONGEST_WINDOW: u64 = 128 << 20;
/// What all blobs together may unpack to: so much, and so many times their length. A day of a
/// thousand stores unpacks to 12 GB and to some fifty times its length.
const UNPACKED: u64 = 16 << 30;
const UNPACKED_RATIO: u64 = 8192;
/// Bytes of answers that differ in their bodies alone, up to which they are put in order by these.
const TWIN_BYTES: usize = 32 << 20;
/// Missing documents that are named one by one.
const MISSING_NAMED: usize = 1_000;

/// In which order answers are handed over. Ties are broken by all that the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PdOrder {
    /// By when they were asked for.
    Sent,
    /// By when they were known: [`PdAnswer::observed`].
    Observed,
}

/// Which answers are visited, and how.
#[derive(Clone, Copy, Debug)]
pub struct PdVisit {
    /// Those sent in this range.
    pub range: TimeRange,
    /// In this order.
    pub order: PdOrder,
    /// Disorders what is read before it is put in order, so that two visits can be compared.
    pub disorder: Option<u64>,
}

/// Where PD answers stand, and from when to when they were sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct PdBlob {
    place: BlobLocation,
    pub first: i64,
    pub last: i64,
}

#[derive(Clone, Copy, Debug)]
enum BlobLocation {
    Block(BlockRow),
    Journal(u64),
}

impl PdBlob {
    /// A row of the journal; `None` where it holds no answer.
    pub(super) fn in_journal(
        id: u64,
        blob: &[u8],
        unpacking: &mut UnpackAllowance,
    ) -> Result<Option<Self>, DecodeError> {
        let mut reader = PdReader::new(blob, PdLimits::default())?;
        unpacking.packed += blob.len() as u64;
        unpacking.spend(reader.remaining())?;
        let rows = reader.answers()?;
        let times = (0..rows.len()).map(|row| rows.sent(row));
        let bounds = times.map(|at| (at, at)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Ok(bounds.map(|(first, last)| Self { place: BlobLocation::Journal(id), first, last }))
    }

    fn overlaps(&self, range: TimeRange) -> bool {
        self.first < range.end.as_millis() && self.last >= range.start.as_millis()
    }
}

/// What may still be unpacked.
#[derive(Debug, Default)]
pub(super) struct UnpackAllowance {
    packed: u64,
    spent: u64,
}

impl UnpackAllowance {
    fn new(packed: u64) -> Self {
        Self { packed, spent: 0 }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), DecodeError> {
        self.spent = self.spent.saturating_add(bytes);
        if self.is_exhausted() {
            return Err(DecodeError("they unpack to more than the format allows"));
        }
        Ok(())
    }

    fn is_exhausted(&self) -> bool {
        self.spent > UNPACKED.saturating_add(self.packed.saturating_mul(UNPACKED_RATIO))
    }
}

impl CaptureReader {
    /// Hands over PD's answers one by one. What is damaged is left out and named.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read, and whatever `each` ends in.
    pub fn visit_pd_answers(
        &self,
        visit: PdVisit,
        mut each: impl FnMut(PdAnswer) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let mut documents = Documents::new(self)?;
        let mut wanted: Vec<usize> = (0..documents.blobs.len())
            .filter(|&number| documents.blobs[number].overlaps(visit.range))
            .collect();
        wanted.sort_by_key(|&number| documents.blobs[number].first);
        let mut pending = BinaryHeap::new();
        for number in wanted {
            let first = documents.blobs[number].first;
            hand_over(&mut pending, Some(first), &mut documents, &mut each)?;
            let Some(rows) = documents.rows_of(number)?.map(Rc::new) else { continue };
            add_pending(&rows, visit, &mut pending);
            if pending.len() > MAX_PENDING {
                let why = format!("more than {MAX_PENDING} overlap; ask for less of the time");
                self.note_lost("PD answers".to_owned(), why, Some(visit.range), Some(Observed::Pd));
                return Ok(());
            }
            if documents.is_exhausted() {
                return Ok(());
            }
        }
        hand_over(&mut pending, None, &mut documents, &mut each)
    }

    /// PD answers sent in `range`, ordered by when, by member and by path. For a part of a run that
    /// fits into memory: [`visit_pd_answers`](Self::visit_pd_answers) holds no more than it has to.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn pd_answers(&self, range: TimeRange) -> Result<Vec<PdAnswer>, CaptureError> {
        let mut answers = Vec::new();
        let visit = PdVisit { range, order: PdOrder::Sent, disorder: None };
        self.visit_pd_answers(visit, |answer| {
            answers.push(answer);
            Ok(())
        })?;
        Ok(answers)
    }

    /// Notes which parts of PD's answers are damaged and which answers are lost with them. Of a whole
    /// capture only checksums are looked at.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn find_damaged_pd_answers(&self) -> Result<(), CaptureError> {
        let mut is_whole = true;
        for blob in self.pd_blobs() {
            is_whole &= self.pd_body(blob)?.is_some();
        }
        if is_whole { Ok(()) } else { self.visit_pd_answers(EVERY_ANSWER, |_| Ok(())) }
    }

    /// Lets `each` at every document and its number, blob by blob.
    pub(super) fn visit_pd_documents(
        &self,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(), CaptureError> {
        for blob in self.pd_blobs() {
            let Some(body) = self.pd_body(blob)? else { continue };
            let read = PdReader::new(&body, PdLimits::default()).and_then(|mut reader| {
                loop {
                    let number = reader.next_number();
                    let Some(document) = reader.next_document()? else { return Ok(()) };
                    each(number, &document);
                }
            });
            if let Err(why) = read {
                self.note_pd(blob, why);
            }
        }
        Ok(())
    }

    /// All blobs of PD answers, in the order of writing.
    fn pd_blobs(&self) -> Vec<PdBlob> {
        let blocks = self.blocks.iter().filter(|block| block.target == PD_TARGET);
        let block = |block: &BlockRow| PdBlob {
            place: BlobLocation::Block(*block),
            first: block.first,
            last: block.last,
        };
        blocks.map(block).chain(self.journal_pd.iter().copied()).collect()
    }

    /// A blob's bytes; `None` where they are damaged.
    fn pd_body(&self, blob: PdBlob) -> Result<Option<Vec<u8>>, CaptureError> {
        let id = match blob.place {
            BlobLocation::Block(block) => return self.block_body(&block),
            BlobLocation::Journal(id) => id,
        };
        match self.file().row(Table::Journal, id) {
            Ok(payload) => Ok(split_row(&payload).ok().map(|(_, blob)| blob.to_vec())),
            Err(CaptureError::Damaged { part, why, .. }) => {
                self.note_lost(part, why, None, Some(Observed::Pd));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn note_pd(&self, blob: PdBlob, why: DecodeError) {
        match blob.place {
            BlobLocation::Block(block) => self.note_block(&block, "", why),
            BlobLocation::Journal(id) => {
                let part = format!("journal {id}");
                self.note_lost(part, why.to_string(), None, Some(Observed::Pd));
            }
        }
    }
}

/// An answer that waits until none before it can come.
struct Pending {
    at: i64,
    rows: Rc<PdRows>,
    row: usize,
}

fn add_pending(rows: &Rc<PdRows>, visit: PdVisit, pending: &mut BinaryHeap<Pending>) {
    let inside = |row: &usize| visit.range.contains(Timestamp::from_millis(rows.sent(*row)));
    let at = |row| match visit.order {
        PdOrder::Sent => rows.sent(row),
        PdOrder::Observed => rows.observed(row),
    };
    let waiting = |row| Pending { at: at(row), rows: Rc::clone(rows), row };
    let Some(seed) = visit.disorder else {
        pending.extend((0..rows.len()).filter(inside).map(waiting));
        return;
    };
    let mut disordered: Vec<usize> = (0..rows.len()).filter(inside).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut disordered);
    pending.extend(disordered.into_iter().map(waiting));
}

impl Pending {
    fn document(&self) -> Option<u64> {
        self.rows.document(self.row)
    }

    /// Orders by all but the body.
    fn cmp_without_body(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.rows.cmp(self.row, &other.rows, other.row))
    }
}

/// The earliest is the greatest, which is what a heap gives first.
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.cmp_without_body(other);
        order.then_with(|| self.document().cmp(&other.document())).reverse()
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pending {}

/// Hands over what waits and lies before `until`.
fn hand_over(
    pending: &mut BinaryHeap<Pending>,
    until: Option<i64>,
    documents: &mut Documents<'_>,
    each: &mut impl FnMut(PdAnswer) -> Result<(), CaptureError>,
) -> Result<(), CaptureError> {
    let due = |next: &&Pending| until.is_none_or(|until| next.at < until);
    while pending.peek().filter(due).is_some() {
        let Some(next) = pending.pop() else { break };
        let mut answers = vec![documents.answer(&next)?];
        let mut bytes = held_bytes(&answers[0]);
        // Answers that differ in their bodies alone are ordered by these.
        while bytes < TWIN_BYTES
            && let Some(other) = pending.peek()
            && next.cmp_without_body(other).is_eq()
            && let Some(other) = pending.pop()
        {
            let answer = documents.answer(&other)?;
            bytes += held_bytes(&answer);
            answers.push(answer);
        }
        if documents.is_exhausted() {
            pending.clear();
            return Ok(());
        }
        answers.sort();
        answers.into_iter().flatten().try_for_each(&mut *each)?;
    }
    Ok(())
}

/// What an answer takes in memory, about.
fn held_bytes(answer: &Option<PdAnswer>) -> usize {
    let body = match answer {
        Some(PdAnswer { outcome: PdOutcome::Answered { body, .. }, .. }) => body.len(),
        _ => 0,
    };
    size_of::<PdAnswer>() + body
}

/// The documents of a capture by their numbers.
struct Documents<'a> {
    reader: &'a CaptureReader,
    blobs: Vec<PdBlob>,
    /// Which blob holds which numbers; made when a document is needed that was not kept.
    directory: Option<Vec<(Range<u64>, usize)>>,
    small: DocumentCache,
    large: DocumentCache,
    /// Blobs that are being read, with the plain bytes that they had in all.
    open: VecDeque<(usize, u64, PdReader)>,
    unpacking: UnpackAllowance,
    missing: usize,
}

impl<'a> Documents<'a> {
    fn new(reader: &'a CaptureReader) -> Result<Self, CaptureError> {
        let sql = "SELECT total(length(body)) FROM block WHERE target = 0";
        let packed = reader.file().connection.query_row(sql, [], |row| row.get::<_, f64>(0));
        // A damaged table is named where its rows are read.
        let packed = packed.unwrap_or_default() as u64;
        Ok(Self {
            reader,
            blobs: reader.pd_blobs(),
            directory: None,
            small: DocumentCache::new(KEPT_SMALL),
            large: DocumentCache::new(KEPT_LARGE),
            open: VecDeque::new(),
            unpacking: UnpackAllowance::new(packed),
            missing: 0,
        })
    }

    fn is_exhausted(&self) -> bool {
        self.unpacking.is_exhausted()
    }

    fn spend(&mut self, bytes: u64) {
        if let Err(why) = self.unpacking.spend(bytes) {
            self.reader.note_lost(
                "PD answers".to_owned(),
                why.to_string(),
                None,
                Some(Observed::Pd),
            );
        }
    }

    /// The answers of a blob; `None` where it is damaged.
    fn rows_of(&mut self, number: usize) -> Result<Option<PdRows>, CaptureError> {
        let blob = self.blobs[number];
        let Some(body) = self.reader.pd_body(blob)? else { return Ok(None) };
        match self.read_rows(blob, &body) {
            Ok(rows) => Ok(Some(rows)),
            Err(why) => {
                self.reader.note_pd(blob, why);
                Ok(None)
            }
        }
    }

    fn read_rows(&mut self, blob: PdBlob, body: &[u8]) -> Result<PdRows, DecodeError> {
        let mut reader = PdReader::new(body, PdLimits::default())?;
        self.unpacking.spend(reader.remaining())?;
        if reader.remaining() <= UNPACKED_ONCE {
            loop {
                let number = reader.next_number();
                let Some(document) = reader.next_document()? else { break };
                self.keep(number, document);
            }
        }
        let rows = reader.answers()?;
        let inside = |row| (blob.first..=blob.last).contains(&rows.sent(row));
        if !(0..rows.len()).all(inside) {
            return Err(DecodeError("an answer lies outside its bounds"));
        }
        Ok(rows)
    }

    fn keep(&mut self, number: u64, document: Arc<[u8]>) {
        let kept = if document.len() < SMALL { &mut self.small } else { &mut self.large };
        kept.keep(number, document);
    }

    /// An answer with its body; `None` where that is damaged.
    fn answer(&mut self, pending: &Pending) -> Result<Option<PdAnswer>, CaptureError> {
        let Some(number) = pending.document() else {
            return Ok(Some(pending.rows.answer(pending.row, Arc::default())));
        };
        let document = self.document(number)?;
        if document.is_none() && !self.is_exhausted() {
            self.note_missing(number, pending.rows.sent(pending.row));
        }
        Ok(document.map(|body| pending.rows.answer(pending.row, body)))
    }

    fn note_missing(&mut self, number: u64, sent: i64) {
        self.missing += 1;
        let sent = Timestamp::from_millis(sent);
        let range = TimeRange::new(sent, sent.saturating_add_millis(1));
        match self.missing.cmp(&MISSING_NAMED) {
            Ordering::Less => {
                let part = format!("PD document {number}");
                let why = "it was in a damaged part".to_owned();
                self.reader.note_lost(part, why, Some(range), Some(Observed::Pd));
            }
            Ordering::Equal => {
                let why = "they were in damaged parts".to_owned();
                let part = "further PD documents".to_owned();
                self.reader.note_lost(part, why, Some(range), Some(Observed::Pd));
            }
            Ordering::Greater => {}
        }
    }

    fn document(&mut self, number: u64) -> Result<Option<Arc<[u8]>>, CaptureError> {
        if let Some(kept) = self.small.get(number).or_else(|| self.large.get(number)) {
            return Ok(Some(kept));
        }
        let Some(blob) = self.blob_of(number)? else { return Ok(None) };
        if self.is_exhausted() || !self.open_at(blob, number)? {
            return Ok(None);
        }
        let Some((blob, whole, mut reader)) = self.open.pop_back() else { return Ok(None) };
        let before = reader.remaining();
        let found = self.read_to(&mut reader, number);
        self.spend(before - reader.remaining());
        match found {
            Ok(found) => {
                self.open.push_back((blob, whole, reader));
                Ok(found)
            }
            Err(why) => {
                self.reader.note_pd(self.blobs[blob], why);
                Ok(None)
            }
        }
    }

    /// Reads up to a document and some way beyond, and keeps what comes.
    fn read_to(
        &mut self,
        reader: &mut PdReader,
        number: u64,
    ) -> Result<Option<Arc<[u8]>>, DecodeError> {
        let (mut found, mut ahead) = (None, 0);
        while found.is_none() || ahead < READ_AHEAD {
            let next = reader.next_number();
            let Some(document) = reader.next_document()? else { break };
            if next == number {
                found = Some(Arc::clone(&document));
            }
            if found.is_some() {
                ahead += document.len();
            }
            self.keep(next, document);
        }
        Ok(found)
    }

    /// Puts a reader of the blob that has not passed the document at the end of the open ones.
    fn open_at(&mut self, blob: usize, number: u64) -> Result<bool, CaptureError> {
        let fits = |(of, _, reader): &(usize, u64, PdReader)| {
            *of == blob && reader.numbers().contains(&number)
        };
        if let Some(place) = self.open.iter().position(fits) {
            let open = self.open.remove(place);
            self.open.extend(open);
            return Ok(true);
        }
        let Some(body) = self.reader.pd_body(self.blobs[blob])? else { return Ok(false) };
        let reader = match PdReader::new(&body, PdLimits::default()) {
            Ok(reader) => reader,
            Err(why) => {
                self.reader.note_pd(self.blobs[blob], why);
                return Ok(false);
            }
        };
        let window = reader.remaining().min(LONGEST_WINDOW);
        self.open.retain(|(of, ..)| *of != blob);
        while self.open.iter().map(|(_, window, _)| window).sum::<u64>() + window > OPEN_WINDOWS {
            self.open.pop_front();
        }
        self.open.push_back((blob, window, reader));
        Ok(true)
    }

    fn blob_of(&mut self, number: u64) -> Result<Option<usize>, CaptureError> {
        if self.directory.is_none() {
            let mut directory = Vec::new();
            for (place, blob) in self.blobs.iter().enumerate() {
                let Some(body) = self.reader.pd_body(*blob)? else { continue };
                match PdReader::new(&body, PdLimits::default()) {
                    Ok(reader) => directory.push((reader.numbers(), place)),
                    Err(why) => self.reader.note_pd(*blob, why),
                }
            }
            directory.sort_by_key(|(numbers, _)| numbers.start);
            self.directory = Some(directory);
        }
        let directory = self.directory.as_deref().unwrap_or_default();
        let by = directory.partition_point(|(numbers, _)| numbers.start <= number);
        let holds =
            |(numbers, place): &(Range<u64>, usize)| numbers.contains(&number).then_some(*place);
        // A blob without documents may begin at the same number as the one that holds it.
        Ok(directory[..by].iter().rev().find_map(holds))
    }
}

/// The documents that were used last.
struct DocumentCache {
    held: HashMap<u64, (u64, Arc<[u8]>)>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    bytes: usize,
    limit: usize,
}

impl DocumentCache {
    fn new(limit: usize) -> Self {
        Self { held: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0, limit }
    }

    fn get(&mut self, number: u64) -> Option<Arc<[u8]>> {
        let (used, document) = self.held.get_mut(&number)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, number);
        Some(Arc::clone(document))
    }

    fn keep(&mut self, number: u64, document: Arc<[u8]>) {
        self.uses += 1;
        self.bytes += weight(&document);
        self.by_use.insert(self.uses, number);
        if let Some((used, before)) = self.held.insert(number, (self.uses, document)) {
            self.bytes -= weight(&before);
            self.by_use.remove(&used);
        }
        while self.bytes > self.limit
            && self.held.len() > 1
            && let Some((_, oldest)) = self.by_use.pop_first()
            && let Some((_, document)) = self.held.remove(&oldest)
        {
            self.bytes -= weight(&document);
        }
    }
}

/// What a document takes, with its place in the tables.
fn weight(document: &[u8]) -> usize {
    document.len() + 128
}
