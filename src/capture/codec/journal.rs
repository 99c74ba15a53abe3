//! The journal blob: the samples of one target in one tick, scrape by scrape.

use super::super::memory_budget::MemoryBudget;
use super::bytes::{Cursor, DecodeError, pack, put_signed, put_varint, unpack_within};

/// Most bytes that a journal blob may unpack to.
const MAX_UNPACKED: usize = 1 << 28;

/// Error for an ordinal that no series of the target has.
const UNKNOWN_SERIES: DecodeError = DecodeError("it names a series that is not in the capture");

/// Samples of one target at one instant: ordinals ascending, each with the value's bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Instant of the samples in milliseconds since the Unix epoch.
    pub at: i64,
    /// Ordinal and bits of the `f64`; the staleness marker is a value like any other here.
    pub samples: Vec<(u32, u64)>,
}

/// Encodes rows. Each value is XORed with the value of the same series in the previous row of this
/// blob, so a blob can be decoded on its own.
pub fn encode_journal(rows: &[JournalRow]) -> Vec<u8> {
    // Most ordinals need one byte, most values one or two.
    let mut plain = Vec::with_capacity(3 * rows.iter().map(|row| row.samples.len()).sum::<usize>());
    put_varint(&mut plain, rows.len() as u64);
    let mut last_at = 0;
    let mut last: &[(u32, u64)] = &[];
    for row in rows {
        put_signed(&mut plain, row.at.wrapping_sub(last_at));
        put_varint(&mut plain, row.samples.len() as u64);
        let mut next = 0;
        for &(ordinal, _) in &row.samples {
            put_varint(&mut plain, u64::from(ordinal - next));
            next = ordinal + 1;
        }
        let mut before = last.iter().peekable();
        for &(ordinal, bits) in &row.samples {
            put_varint(&mut plain, (bits ^ value_before(&mut before, ordinal)).swap_bytes());
        }
        last_at = row.at;
        last = &row.samples;
    }
    pack(&plain, 1)
}

fn value_before(
    before: &mut std::iter::Peekable<std::slice::Iter<'_, (u32, u64)>>,
    ordinal: u32,
) -> u64 {
    while before.next_if(|(candidate, _)| *candidate < ordinal).is_some() {}
    before.next_if(|(candidate, _)| *candidate == ordinal).map_or(0, |&(_, bits)| bits)
}

/// Decodes what [`encode_journal`] wrote for a target with `series` series, and charges the memory
/// of the rows to `budget`.
///
/// # Errors
///
/// [`DecodeError`] where the bytes are malformed, have an ordinal from `series` on, or expand to
/// more than the budget allows.
pub fn decode_journal(
    blob: &[u8],
    series: usize,
    budget: &mut MemoryBudget,
) -> Result<Vec<JournalRow>, DecodeError> {
    // A sample takes more in memory than in these bytes.
    let plain = unpack_within(blob, MAX_UNPACKED, budget)?;
    let mut cursor = Cursor::new(&plain);
    let mut rows: Vec<JournalRow> = Vec::new();
    let mut at = 0_i64;
    for _ in 0..cursor.count()? {
        at = at.wrapping_add(cursor.signed()?);
        let count = cursor.count()?;
        if count > series {
            return Err(UNKNOWN_SERIES);
        }
        budget.take(1, size_of::<JournalRow>())?;
        budget.take(count, size_of::<(u32, u64)>())?;
        let mut samples = Vec::with_capacity(count);
        let mut next = 0_u32;
        for _ in 0..count {
            let ordinal = next.checked_add(cursor.u32()?);
            let ordinal = ordinal.filter(|ordinal| (*ordinal as usize) < series);
            let ordinal = ordinal.ok_or(UNKNOWN_SERIES)?;
            samples.push((ordinal, 0));
            next = ordinal.saturating_add(1);
        }
        let mut before = rows.last().map_or(&[][..], |row| &row.samples).iter().peekable();
        for (ordinal, bits) in &mut samples {
            *bits = cursor.varint()?.swap_bytes() ^ value_before(&mut before, *ordinal);
        }
        rows.push(JournalRow { at, samples });
    }
    if cursor.is_empty() { Ok(rows) } else { Err(DecodeError("has bytes after its last row")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back() {
        let rows = vec![
            JournalRow { at: 1_795_537_009_127, samples: vec![(0, 5), (7, u64::MAX), (8, 0)] },
            JournalRow { at: 1_795_537_024_127, samples: vec![(0, 5), (8, 1), (900, 3)] },
            JournalRow { at: 12, samples: vec![] },
        ];
        let mut budget = MemoryBudget::of_bytes(1_000);
        assert_eq!(decode_journal(&encode_journal(&rows), 901, &mut budget), Ok(rows));
    }

    #[test]
    fn a_series_that_the_target_does_not_have_is_refused_before_room_is_made_for_it() {
        let row = |samples| [JournalRow { at: 1, samples }];
        let mut budget = MemoryBudget::of_bytes(1 << 20);
        for samples in [vec![(u32::MAX - 1, 5)], (0..1_000).map(|n| (n, 0)).collect()] {
            let error = decode_journal(&encode_journal(&row(samples)), 999, &mut budget);
            assert_eq!(error, Err(UNKNOWN_SERIES));
        }
    }

    #[test]
    fn rows_that_expand_to_more_than_the_budget_are_refused() {
        let rows: Vec<JournalRow> = (0..1_000)
            .map(|at| JournalRow { at, samples: (0..100).map(|n| (n, 0)).collect() })
            .collect();
        let blob = encode_journal(&rows);
        assert!(blob.len() < 2_000);
        assert!(decode_journal(&blob, 100, &mut MemoryBudget::of_bytes(1_700_000)).is_ok());
        assert!(decode_journal(&blob, 100, &mut MemoryBudget::of_bytes(1_600_000)).is_err());
    }
}
