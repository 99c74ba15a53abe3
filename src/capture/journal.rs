//! What the journal's rows hold, and how scrapes become the columns of a block.

use std::collections::BTreeMap;

use super::codec::{
    ABSENT, Columns, Cursor, DecodeError, JournalRow, STALE, VALUE, decode_journal,
};
use crate::model::STALE_NAN_BITS;

/// The target number under which PD answers stand; scrape targets are counted from 1.
pub const PD_TARGET: u32 = 0;

/// Splits the payload of a row of the journal into the number of its target and what is the
/// target's.
pub fn split_row(payload: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let mut cursor = Cursor::new(payload);
    let target = cursor.u32()?;
    Ok((target, cursor.take(cursor.remaining())?))
}

/// Scrapes that rows of the journal hold, by target number.
#[derive(Default)]
pub struct JournalScrapes(pub BTreeMap<u32, Vec<JournalRow>>);

impl JournalScrapes {
    /// Adds what one row holds.
    pub fn read(&mut self, target: u32, blob: &[u8]) -> Result<(), DecodeError> {
        self.0.entry(target).or_default().extend(decode_journal(blob)?);
        Ok(())
    }
}

/// Instants of a sealed block.
pub const BLOCK_INSTANTS: usize = 480;

/// Cells of a sealed block: what sixteen million samples take that stand as sparsely as one in four.
const BLOCK_CELLS: usize = 1 << 26;

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
    let mut columns = Vec::new();
    for instants in instants.chunks(BLOCK_INSTANTS) {
        add_columns(instants, BLOCK_CELLS, &mut columns);
    }
    columns
}

/// Where series come and go, few cells of many hold a sample, so time is halved until it fits.
fn add_columns(instants: &[&[JournalRow]], most_cells: usize, columns: &mut Vec<Columns>) {
    let ordinals = ordinals_of(instants);
    if ordinals.len().saturating_mul(instants.len()) > most_cells && instants.len() > 1 {
        let (early, late) = instants.split_at(instants.len() / 2);
        add_columns(early, most_cells, columns);
        add_columns(late, most_cells, columns);
    } else {
        columns.push(columns_of_slice(instants, ordinals));
    }
}

/// Cuts scrapes into parts of so many samples at most, or of one scrape.
pub fn cut(rows: &[JournalRow], most_samples: usize) -> Vec<&[JournalRow]> {
    let (mut parts, mut from, mut samples) = (Vec::new(), 0, 0);
    for (place, row) in rows.iter().enumerate() {
        if place > from && samples + row.samples.len() > most_samples {
            parts.push(&rows[from..place]);
            (from, samples) = (place, 0);
        }
        samples += row.samples.len();
    }
    parts.push(&rows[from..]);
    parts
}

/// Instants that are put into columns at once: their values of one series share a cache line.
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
        // Most scrapes bring every series; only others need to be looked at series by series.
        let mut whole: Vec<(usize, &[(u32, u64)])> = Vec::new();
        let mut partial: Vec<(usize, &[(u32, u64)])> = Vec::new();
        for (tick, rows) in (number * INSTANTS_TOGETHER..).zip(together) {
            match rows {
                [row] if row.samples.len() == ordinals.len() => whole.push((tick, &row.samples)),
                // Of two samples at one instant the first stays, so it is put last.
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

/// All ordinals that occur, ascending. Those of a row ascend.
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
    fn scrapes_are_cut_where_there_would_be_too_many_samples_or_cells() {
        let row =
            |at: i64| JournalRow { at, samples: vec![(at as u32 * 2, 1), (at as u32 * 2 + 1, 2)] };
        let rows: Vec<JournalRow> = (0..5).map(row).collect();
        let lengths = |most| cut(&rows, most).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!((lengths(1), lengths(4), lengths(99)), (vec![1; 5], vec![2, 2, 1], vec![5]));
        let instants: Vec<&[JournalRow]> = rows.chunks(1).collect();
        let cells = |most| {
            let mut columns = Vec::new();
            add_columns(&instants, most, &mut columns);
            assert_eq!(columns.iter().map(Columns::sample_count).sum::<u64>(), 10);
            columns.iter().map(|columns| columns.states.len()).collect::<Vec<_>>()
        };
        assert_eq!((cells(50), cells(49), cells(1)), (vec![50], vec![8, 18], vec![2; 5]));
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
