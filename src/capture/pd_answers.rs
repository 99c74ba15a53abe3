//! Streams the answers of PD out of a capture, in an order of time.
//!
//! Blobs are read in the order of their first answer, and an answer is delivered once no later blob
//! can contain an earlier one. So memory does not grow with the capture: only the answers of
//! overlapping blobs, without their bodies, and the documents that were used last are held.

mod documents;
mod pending;

use std::collections::BinaryHeap;
use std::rc::Rc;

use documents::Documents;
use pending::{add_pending, hand_over};

use super::codec::{DecodeError, PdLimits, PdReader};
use super::file::Table;
use super::journal::{PD_TARGET, split_row};
use super::reader::{BlockRow, EVERY_ANSWER};
use super::{CaptureError, CaptureReader};
use crate::model::{Observed, PdAnswer, TimeRange};

/// Most answers, without their bodies, that are held at once because their blobs overlap in time.
const MAX_PENDING: usize = 1 << 22;
/// Most bytes that all blobs together may unpack to: this many, and this many times their length. A
/// day of a thousand stores unpacks to 12 GB, which is about fifty times its length.
const UNPACKED: u64 = 16 << 30;
const UNPACKED_RATIO: u64 = 8192;
/// The order in which answers are visited. Ties are broken by all fields of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PdOrder {
    /// By the time when the request was sent.
    Sent,
    /// By the time when the answer was received: [`PdAnswer::observed`].
    Observed,
}

/// Selects which answers are visited, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct PdVisit {
    /// Answers whose request was sent in this range are visited.
    pub range: TimeRange,
    /// Order of the visit.
    pub order: PdOrder,
    /// Seed for shuffling the answers before they are sorted, so that tests can compare two visits.
    pub shuffle_seed: Option<u64>,
}

/// A blob of PD answers: its location and the times of its first and last request.
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
    /// The blob in a row of the journal; `None` where it has no answer.
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

/// Counts the bytes that are unpacked, against the limit for the whole file.
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
    /// Calls `each` with the answers of PD one by one. Damaged answers are left out and noted.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read, and any error that `each` returns.
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

    /// PD answers sent in `range`, ordered by time, member and path. They have to fit into memory;
    /// [`visit_pd_answers`](Self::visit_pd_answers) streams them instead.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn pd_answers(&self, range: TimeRange) -> Result<Vec<PdAnswer>, CaptureError> {
        let mut answers = Vec::new();
        let visit = PdVisit { range, order: PdOrder::Sent, shuffle_seed: None };
        self.visit_pd_answers(visit, |answer| {
            answers.push(answer);
            Ok(())
        })?;
        Ok(answers)
    }

    /// Notes which parts of the answers of PD are damaged and which answers are lost with them. For
    /// an intact capture only checksums are read.
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

    /// Calls `each` with every document and its number, blob by blob.
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
