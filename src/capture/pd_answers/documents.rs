//! Reads the bodies of PD answers by their number, and caches those that were used last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::pending::Pending;
use super::{PdBlob, UnpackAllowance};
use crate::capture::codec::{DecodeError, PdLimits, PdReader, PdRows};
use crate::capture::{CaptureError, CaptureReader};
use crate::model::{Observed, PdAnswer, TimeRange, Timestamp};

/// A blob that unpacks to at most this many bytes is unpacked once, for answers and documents
/// together.
const UNPACKED_ONCE: u64 = 40 << 20;

/// Bytes of documents shorter than [`SMALL`] that are cached, and of longer ones. Documents that
/// are repeated often are small, and the stores of a large cluster would evict them from a common
/// cache.
const KEPT_SMALL: usize = 16 << 20;
const KEPT_LARGE: usize = 64 << 20;
const SMALL: usize = 4 << 10;

/// Bytes of further documents that are read when a blob is read for one of them.
const READ_AHEAD: usize = 16 << 20;

/// Most bytes of decompression windows of the blobs that are open at once.
const OPEN_WINDOWS: u64 = 256 << 20;
/// Window of a blob at most: zstd frames are written with no larger one.
const LONGEST_WINDOW: u64 = 128 << 20;

/// Most missing documents that are noted one by one.
const MISSING_NAMED: usize = 1_000;

/// Access to the documents of a capture by their numbers.
pub(super) struct Documents<'a> {
    reader: &'a CaptureReader,
    pub(super) blobs: Vec<PdBlob>,
    /// The numbers of documents in each blob; built when a document is needed that is not cached.
    directory: Option<Vec<(Range<u64>, usize)>>,
    small: DocumentCache,
    large: DocumentCache,
    /// The blobs' readers, the one that was used last at the end; at most two of one blob, of which one has come
    /// as far as any. A document that is needed again is read by the other.
    open: VecDeque<OpenBlob>,
    /// For each blob, the number up to which its documents were read.
    read_up_to: Vec<u64>,
    unpacking: UnpackAllowance,
    missing: usize,
}

/// A blob that is being read.
struct OpenBlob {
    /// Its place among the blobs.
    blob: usize,
    /// Bytes of its decompression window.
    window: u64,
    reader: PdReader,
}

impl<'a> Documents<'a> {
    pub(super) fn new(reader: &'a CaptureReader) -> Result<Self, CaptureError> {
        let sql = "SELECT total(length(body)) FROM block WHERE target = 0";
        let packed = reader.file().connection.query_row(sql, [], |row| row.get::<_, f64>(0));
        // A damaged table is named where its rows are read.
        let packed = packed.unwrap_or_default() as u64;
        let blobs = reader.pd_blobs();
        Ok(Self {
            reader,
            read_up_to: vec![0; blobs.len()],
            blobs,
            directory: None,
            small: DocumentCache::new(KEPT_SMALL),
            large: DocumentCache::new(KEPT_LARGE),
            open: VecDeque::new(),
            unpacking: UnpackAllowance::new(packed),
            missing: 0,
        })
    }

    pub(super) fn is_exhausted(&self) -> bool {
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
    pub(super) fn rows_of(&mut self, number: usize) -> Result<Option<PdRows>, CaptureError> {
        let blob = self.blobs[number];
        let Some(body) = self.reader.pd_body(blob)? else { return Ok(None) };
        match self.read_rows(number, blob, &body) {
            Ok(rows) => Ok(Some(rows)),
            Err(why) => {
                self.reader.note_pd(blob, why);
                Ok(None)
            }
        }
    }

    fn read_rows(
        &mut self,
        place: usize,
        blob: PdBlob,
        body: &[u8],
    ) -> Result<PdRows, DecodeError> {
        let mut reader = PdReader::new(body, PdLimits::default())?;
        self.unpacking.spend(reader.remaining())?;
        if reader.remaining() <= UNPACKED_ONCE {
            loop {
                let number = reader.next_number();
                let Some(document) = reader.next_document()? else { break };
                self.keep(number, document);
            }
            self.read_up_to[place] = reader.next_number();
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
    pub(super) fn answer(&mut self, pending: &Pending) -> Result<Option<PdAnswer>, CaptureError> {
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
        let Some(mut open) = self.open.pop_back() else { return Ok(None) };
        let before = open.reader.remaining();
        let found = self.read_to(&mut open, number);
        self.spend(before - open.reader.remaining());
        match found {
            Ok(found) => {
                self.open.push_back(open);
                Ok(found)
            }
            Err(why) => {
                self.reader.note_pd(self.blobs[blob], why);
                Ok(None)
            }
        }
    }

    /// Reads up to a document and [`READ_AHEAD`] bytes beyond, and caches what is read. What was read before is
    /// passed over: if it were cached again, it would evict what is needed next.
    fn read_to(
        &mut self,
        OpenBlob { blob, reader, .. }: &mut OpenBlob,
        number: u64,
    ) -> Result<Option<Arc<[u8]>>, DecodeError> {
        let before = self.read_up_to[*blob];
        while reader.next_number() < number.min(before) {
            if !reader.skip_document()? {
                return Ok(None);
            }
        }
        let (mut found, mut ahead) = (None, 0);
        while found.is_none() || (number >= before && ahead < READ_AHEAD) {
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
        self.read_up_to[*blob] = before.max(reader.next_number());
        Ok(found)
    }

    /// Makes sure that the last open reader is one of this blob that has not passed the document.
    fn open_at(&mut self, blob: usize, number: u64) -> Result<bool, CaptureError> {
        let fits = |(_, open): &(usize, &OpenBlob)| {
            open.blob == blob && open.reader.numbers().contains(&number)
        };
        let nearest = self.open.iter().enumerate().filter(fits);
        let nearest = nearest.max_by_key(|(_, open)| open.reader.next_number());
        if let Some((place, _)) = nearest {
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
        let foremost = |open: &OpenBlob| open.reader.next_number();
        let of_blob = self.open.iter().filter(|open| open.blob == blob);
        let front = of_blob.map(foremost).max();
        self.open.retain(|open| open.blob != blob || Some(foremost(open)) == front);
        while self.open.iter().map(|open| open.window).sum::<u64>() + window > OPEN_WINDOWS {
            self.open.pop_front();
        }
        self.open.push_back(OpenBlob { blob, window, reader });
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
        // A blob without documents may start at the same number as the blob that contains it.
        Ok(directory[..by].iter().rev().find_map(holds))
    }
}

/// A cache that keeps the documents that were used last.
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

/// Bytes of a document in memory, with its entries in the tables.
fn weight(document: &[u8]) -> usize {
    document.len() + 128
}
