//! Splits scrapes into rows of the journal, and turns them into the columns of blocks.

use std::collections::BTreeMap;

use super::codec::{
    ABSENT, Columns, Cursor, DecodeError, JournalRow, STALE, VALUE, decode_journal,
};
use super::memory_budget::MemoryBudget;
use crate::model::STALE_NAN_BITS;

/// The target number of PD answers; scrape targets are numbered from 1.
pub const PD_TARGET: u32 = 0;

/// Splits the payload of a journal row into its target number and the encoded observations.
pub fn split_row(payload: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let mut cursor = Cursor::new(payload);
    let target = cursor.u32()?;
    Ok((target, cursor.take(cursor.remaining())?))
}

/// Scrapes that were read from the journal, by target number.
#[derive(Default)]
pub struct JournalScrapes(pub BTreeMap<u32, Vec<JournalRow>>);

impl JournalScrapes {
    /// Decodes a row that this process wrote, without limits.
    pub fn read(&mut self, target: u32, blob: &[u8]) -> Result<(), DecodeError> {
        self.read_within(target, blob, usize::MAX, &mut MemoryBudget::of_bytes(u64::MAX))
    }

    /// As [`read`](Self::read), for a row of an untrusted file: its target has `series` series, and
    /// its memory is charged to `budget`.
    pub fn read_within(
        &mut self,
        target: u32,
        blob: &[u8],
        series: usize,
        budget: &mut MemoryBudget,
    ) -> Result<(), DecodeError> {
        self.0.entry(target).or_default().extend(decode_journal(blob, series, budget)?);
        Ok(())
    }
}

/// Most samples in a journal row with more than one instant: unpacked, they need half of what a
/// reader accepts in one row.
const ROW_SAMPLES: usize = 1 << 23;

/// Cuts the scrapes of one target in one tick into journal rows; usually there is one.
pub fn rows_of(scrapes: &[JournalRow]) -> Vec<&[JournalRow]> {
    let mut rows = Vec::new();
    let (mut start, mut samples) = (0, 0);
    for (place, scrape) in scrapes.iter().enumerate() {
        if place > start && samples + scrape.samples.len() > ROW_SAMPLES {
            rows.push(&scrapes[start..place]);
            (start, samples) = (place, 0);
        }
        samples += scrape.samples.len();
    }
    rows.push(&scrapes[start..]);
    rows
}

/// Most instants in a sealed block.
pub const BLOCK_INSTANTS: usize = 480;
/// Most cells (series × instants) in a sealed block with more than one instant: decoded it needs
/// less than 150 MB, and its bytes fit in one row.
pub const BLOCK_CELLS: usize = 1 << 24;
/// Bytes of memory per cell of columns.
const SIZE_OF_CELL: usize = size_of::<u8>() + size_of::<u64>();

/// Turns scrapes into columns, each with a bounded number of instants and cells. Of two samples of
/// one series at one instant the first is kept.
pub fn columns_of(rows: Vec<JournalRow>) -> Vec<Columns> {
    columns_within(rows, &mut MemoryBudget::of_bytes(u64::MAX))
        .expect("the budget is that of any memory")
}

/// As [`columns_of`], with the memory of the columns charged to `budget`.
///
/// # Errors
///
/// [`DecodeError`] where the budget does not allow it.
pub fn columns_within(
    mut rows: Vec<JournalRow>,
    budget: &mut MemoryBudget,
) -> Result<Vec<Columns>, DecodeError> {
    rows.sort_by_key(|row| row.at);
    for JournalRow { samples, .. } in &mut rows {
        if !samples.is_sorted_by(|a, b| a.0 < b.0) {
            samples.sort_by_key(|(ordinal, _)| *ordinal);
            samples.dedup_by_key(|(ordinal, _)| *ordinal);
        }
    }
    let instants: Vec<&[JournalRow]> = rows.chunk_by(|a, b| a.at == b.at).collect();
    let mut columns = Vec::new();
    for instants in instants.chunks(BLOCK_INSTANTS) {
        push_columns(instants, &mut columns, budget)?;
    }
    Ok(columns)
}

fn push_columns(
    instants: &[&[JournalRow]],
    columns: &mut Vec<Columns>,
    budget: &mut MemoryBudget,
) -> Result<(), DecodeError> {
    let ordinals = ordinals_of(instants);
    let cells = ordinals.len() * instants.len();
    // If each instant has other series, most cells are empty.
    if cells > BLOCK_CELLS && instants.len() > 1 {
        let (early, late) = instants.split_at(instants.len() / 2);
        push_columns(early, columns, budget)?;
        return push_columns(late, columns, budget);
    }
    budget.take(cells, SIZE_OF_CELL)?;
    columns.push(columns_of_slice(instants, ordinals));
    Ok(())
}

/// Instants that are put into columns together: their values of one series share a cache line.
const INSTANTS_TOGETHER: usize = 8;

fn columns_of_slice(instants: &[&[JournalRow]], ordinals: Vec<u32>) -> Columns {
    let times: Vec<i64> = instants.iter().map(|rows| rows[0].at).collect();
    let mut states = vec![ABSENT; ordinals.len() * times.len()];
    let mut bits = vec![0; states.len()];
    let mut put = |cell: usize, value: u64| {
        (states[cell], bits[cell]) =
            if value == STALE_NAN_BITS { (STALE, 0) } else { (VALUE, value) };
    };
    for (number, together) in instants.chunks(INSTANTS_TOGETHER).enumerate() {
        // Most scrapes have every series; only the others have to be matched series by series.
        let mut whole: Vec<(usize, &[(u32, u64)])> = Vec::new();
        let mut partial: Vec<(usize, &[(u32, u64)])> = Vec::new();
        for (tick, rows) in (number * INSTANTS_TOGETHER..).zip(together) {
            match rows {
                [row] if row.samples.len() == ordinals.len() => whole.push((tick, &row.samples)),
                // Of two samples at one instant the first is kept, so it is written last.
                _ => partial.extend(rows.iter().rev().map(|row| (tick, &row.samples[..]))),
            }
        }
        for (row, &ordinal) in ordinals.iter().enumerate() {
            for (tick, samples) in &whole {
                put(row * times.len() + tick, samples[row].1);
            }
            for (tick, rest) in &mut partial {
                if let Some(((_, value), after)) =
                    rest.split_first().filter(|((next, _), _)| *next == ordinal)
                {
                    *rest = after;
                    put(row * times.len() + *tick, *value);
                }
            }
        }
    }
    Columns { times, ordinals, states, bits }
}

/// All ordinals that occur, ascending. The ordinals of each row ascend already.
fn ordinals_of(instants: &[&[JournalRow]]) -> Vec<u32> {
    let rows = || instants.iter().flat_map(|rows| rows.iter());
    let highest = rows().filter_map(|row| row.samples.last()).map(|(ordinal, _)| *ordinal).max();
    let mut present = vec![false; highest.map_or(0, |highest| highest as usize + 1)];
    for (ordinal, _) in rows().flat_map(|row| &row.samples) {
        present[*ordinal as usize] = true;
    }
    (0..).zip(present).filter_map(|(ordinal, present)| present.then_some(ordinal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_of_many_millions_of_samples_is_cut_into_rows_that_can_be_read() {
        let scrape = |at| JournalRow { at, samples: vec![(0, 0); ROW_SAMPLES / 4] };
        let scrapes: Vec<JournalRow> = (0..10).map(scrape).collect();
        let lengths: Vec<usize> = rows_of(&scrapes).iter().map(|row| row.len()).collect();
        assert_eq!(lengths, [4, 4, 2]);
        assert_eq!(rows_of(&scrapes[..1]), [&scrapes[..1]]);
    }

    #[test]
    fn instants_of_which_each_brings_other_series_are_cut_into_more_blocks() {
        let row = |at: i64| {
            let first = at as u32 * 1_000;
            JournalRow { at, samples: (first..first + 1_000).map(|ordinal| (ordinal, 7)).collect() }
        };
        let columns = columns_of((0..400).map(row).collect());
        assert!(columns.len() > 1);
        assert!(columns.iter().all(|columns| columns.states.len() <= BLOCK_CELLS));
        assert_eq!(columns.iter().map(Columns::sample_count).sum::<u64>(), 400_000);
        let rows = (0..400).map(row).collect();
        assert!(columns_within(rows, &mut MemoryBudget::of_bytes(1 << 20)).is_err());
    }

    #[test]
    fn every_sample_finds_its_cell_and_the_first_of_an_instant_stays() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut rows = Vec::new();
            let mut expected: BTreeMap<(u32, i64), u64> = BTreeMap::new();
            for _ in 0..random.usize(1..30) {
                let at = random.i64(0..20);
                let all = random.bool();
                let mut samples = Vec::new();
                for ordinal in 0..12 {
                    if all || random.bool() {
                        samples.push((ordinal, random.u64(1..)));
                    }
                }
                for &(ordinal, bits) in &samples {
                    expected.entry((ordinal, at)).or_insert(bits);
                }
                rows.push(JournalRow { at, samples });
            }
            let mut found = BTreeMap::new();
            for columns in columns_of(rows) {
                let states = columns.states.chunks(columns.times.len());
                let bits = columns.bits.chunks(columns.times.len());
                for ((ordinal, states), bits) in columns.ordinals.iter().zip(states).zip(bits) {
                    for (cell, at) in columns.times.iter().enumerate() {
                        if states[cell] == VALUE {
                            found.insert((*ordinal, *at), bits[cell]);
                        }
                    }
                }
            }
            assert_eq!(found, expected);
        }
    }
}
