//! What the journal's rows hold, and how scrapes become the columns of a block.

use std::collections::BTreeMap;

use super::codec::{
    ABSENT, Columns, Cursor, DecodeError, JournalRow, PdBatch, STALE, VALUE, decode_journal,
    decode_pd,
};
use crate::model::STALE_NAN_BITS;

/// The target number under which PD answers stand; scrape targets are counted from 1.
pub const PD_TARGET: u32 = 0;

/// What rows of the journal hold.
#[derive(Default)]
pub struct JournalRows {
    /// Scrapes by target number.
    pub scrapes: BTreeMap<u32, Vec<JournalRow>>,
    /// PD answers.
    pub pd: PdBatch,
}

impl JournalRows {
    /// Adds what one row's payload holds, and tells whose it is.
    pub fn read(&mut self, payload: &[u8]) -> Result<u32, DecodeError> {
        let mut cursor = Cursor::new(payload);
        let target = cursor.u32()?;
        let blob = cursor.take(cursor.remaining())?;
        if target != PD_TARGET {
            self.scrapes.entry(target).or_default().extend(decode_journal(blob)?);
            return Ok(target);
        }
        let batch = decode_pd(blob)?;
        if self.pd.answers.is_empty() {
            self.pd.first_document = batch.first_document;
        }
        self.pd.documents.extend(batch.documents);
        self.pd.answers.extend(batch.answers);
        Ok(target)
    }
}

/// Instants of a sealed block.
pub const BLOCK_INSTANTS: usize = 480;

/// Turns scrapes into columns, cut at a number of instants. Of two samples of one series at one
/// instant the first stays.
pub fn columns_of(mut rows: Vec<JournalRow>) -> Vec<Columns> {
    rows.sort_by_key(|row| row.at);
    for JournalRow { samples, .. } in &mut rows {
        if !samples.is_sorted_by(|a, b| a.0 < b.0) {
            samples.sort_by_key(|(ordinal, _)| *ordinal);
            samples.dedup_by_key(|(ordinal, _)| *ordinal);
        }
    }
    let instants: Vec<&[JournalRow]> = rows.chunk_by(|a, b| a.at == b.at).collect();
    instants.chunks(BLOCK_INSTANTS).map(columns_of_slice).collect()
}

/// Instants that are put into columns at once: their values of one series share a cache line.
const INSTANTS_TOGETHER: usize = 8;

fn columns_of_slice(instants: &[&[JournalRow]]) -> Columns {
    let times: Vec<i64> = instants.iter().map(|rows| rows[0].at).collect();
    let samples = || instants.iter().flat_map(|rows| rows.iter()).flat_map(|row| &row.samples);
    let highest = samples().map(|(ordinal, _)| *ordinal as usize + 1).max().unwrap_or(0);
    let mut present = vec![false; highest];
    for (ordinal, _) in samples() {
        present[*ordinal as usize] = true;
    }
    let ordinals: Vec<u32> =
        (0..highest as u32).filter(|ordinal| present[*ordinal as usize]).collect();
    let mut states = vec![ABSENT; ordinals.len() * times.len()];
    let mut bits = vec![0; states.len()];
    for (number, together) in instants.chunks(INSTANTS_TOGETHER).enumerate() {
        let mut scrapes: Vec<(usize, &[(u32, u64)])> = Vec::new();
        for (tick, rows) in (number * INSTANTS_TOGETHER..).zip(together) {
            scrapes.extend(rows.iter().map(|row| (tick, &row.samples[..])));
        }
        for (row, &ordinal) in ordinals.iter().enumerate() {
            for (tick, rest) in &mut scrapes {
                let Some(((_, value), after)) =
                    rest.split_first().filter(|((next, _), _)| *next == ordinal)
                else {
                    continue;
                };
                *rest = after;
                let cell = row * times.len() + *tick;
                if states[cell] == ABSENT {
                    (states[cell], bits[cell]) =
                        if *value == STALE_NAN_BITS { (STALE, 0) } else { (VALUE, *value) };
                }
            }
        }
    }
    Columns { times, ordinals, states, bits }
}
