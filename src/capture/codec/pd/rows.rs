//! The decoded answers of one blob, without their bodies.
//!
//! `PdReader` reads the documents, which are the bodies, before them.

use std::sync::Arc;

use super::super::bytes::{Cursor, DecodeError};
use crate::model::{GapReason, PdAnswer, PdOutcome, Timestamp};

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
    pub(super) fn decode(
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
        // Each answer needs at least one byte of the first column.
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

    /// Number of answers in the blob.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Time when the request of a row was sent, in milliseconds.
    pub fn sent(&self, row: usize) -> i64 {
        self.rows[row].sent
    }

    /// Number of the document that is the body of a row; `None` for a failure.
    pub fn document(&self, row: usize) -> Option<u64> {
        match self.rows[row].result {
            PdResult::Answered { document, .. } => Some(document),
            PdResult::Failed { .. } => None,
        }
    }

    /// The answer of a row with this body, which is ignored for a failure.
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

    /// Time when the answer of a row was received, in milliseconds: see [`PdAnswer::observed`].
    pub fn observed(&self, row: usize) -> i64 {
        let row = &self.rows[row];
        row.sent.saturating_add(i64::from(row.elapsed_us.div_ceil(1000)))
    }

    /// Compares two rows, of the same or of different blobs, by all fields but the body.
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
