//! The blob of label sets: each string once, then runs of label sets that have the same names.

use std::collections::HashMap;

use super::super::memory_budget::MemoryBudget;
use super::bytes::{Cursor, DecodeError, pack, put_bytes, put_signed, put_varint, unpack_within};
use crate::model::Labels;

/// Most bytes that a label blob may unpack to.
const MAX_UNPACKED: usize = 1 << 28;
/// Most labels that one blob may expand to, which bounds what a decoder allocates.
const MAX_LABELS: usize = 1 << 26;
/// Bytes of memory of a label set beside its text, including the overhead of the allocator.
const SIZE_OF_SET: usize = size_of::<Labels>() + 48;
/// Bytes of memory of a label beside its text.
const SIZE_OF_LABEL: usize = 8;

/// Encodes label sets in the given order, compressed at the given zstd level.
pub fn encode_label_sets(sets: &[Labels], level: i32) -> Vec<u8> {
    let mut strings: Vec<&str> = Vec::new();
    let mut ids: HashMap<&str, u64> = HashMap::new();
    let mut intern = |text| {
        *ids.entry(text).or_insert_with(|| {
            strings.push(text);
            strings.len() as u64 - 1
        })
    };
    let mut body = Vec::new();
    let mut runs = 0_u64;
    for run in sets.chunk_by(same_names_and_metric) {
        runs += 1;
        put_varint(&mut body, run.len() as u64);
        put_varint(&mut body, run[0].len() as u64);
        for (name, _) in run[0].iter() {
            put_varint(&mut body, intern(name));
        }
        for column in 0..run[0].len() {
            let mut last = 0_i64;
            for set in run {
                let value = set.value_at(column).expect("a run has the same names");
                let id = intern(value) as i64;
                put_signed(&mut body, id - last);
                last = id;
            }
        }
    }
    let mut plain = Vec::new();
    put_varint(&mut plain, strings.len() as u64);
    for text in strings {
        put_bytes(&mut plain, text.as_bytes());
    }
    put_varint(&mut plain, runs);
    plain.extend(body);
    pack(&plain, level)
}

fn same_names_and_metric(a: &Labels, b: &Labels) -> bool {
    a.metric() == b.metric() && a.iter().map(|(name, _)| name).eq(b.iter().map(|(name, _)| name))
}

/// Decodes what [`encode_label_sets`] wrote, and charges the memory of the sets to `budget`.
///
/// # Errors
///
/// [`DecodeError`] where the bytes are malformed, a set has a label twice, or they expand to more
/// than the budget allows.
pub fn decode_label_sets(
    blob: &[u8],
    budget: &mut MemoryBudget,
) -> Result<Vec<Labels>, DecodeError> {
    // What a set takes in memory is more than its share of these bytes.
    let plain = unpack_within(blob, MAX_UNPACKED, budget)?;
    let mut cursor = Cursor::new(&plain);
    let count = cursor.count()?;
    budget.allow(count, size_of::<&str>())?;
    let mut strings = Vec::with_capacity(count);
    for _ in 0..count {
        let text = std::str::from_utf8(cursor.bytes()?);
        strings.push(text.map_err(|_| DecodeError("a label is not UTF-8"))?);
    }
    let mut sets = Vec::new();
    let mut expanded = 0_usize;
    for _ in 0..cursor.count()? {
        let (length, width) = (cursor.varint()? as usize, cursor.count()?);
        let labels = length.max(1).saturating_mul(width.max(1));
        expanded = expanded.saturating_add(labels);
        if expanded > MAX_LABELS || (width > 0 && length > cursor.remaining()) {
            return Err(DecodeError("has more labels than the format allows"));
        }
        decode_run(&mut cursor, &strings, (length, width), &mut sets, budget)?;
    }
    if cursor.is_empty() {
        Ok(sets)
    } else {
        Err(DecodeError("has bytes after its last label set"))
    }
}

/// Decodes `length` label sets that have the same `width` names.
fn decode_run(
    cursor: &mut Cursor<'_>,
    strings: &[&str],
    (length, width): (usize, usize),
    sets: &mut Vec<Labels>,
    budget: &mut MemoryBudget,
) -> Result<(), DecodeError> {
    let string = |id: i64| {
        let found = usize::try_from(id).ok().and_then(|id| strings.get(id));
        found.copied().ok_or(DecodeError("a string is missing"))
    };
    budget.allow(width, 3 * size_of::<(&str, &str)>())?;
    let mut names = Vec::with_capacity(width);
    for _ in 0..width {
        names.push(string(cursor.varint()? as i64)?);
    }
    // The columns are stored one after another, so each one has its own cursor, and rows are read
    // from all of them.
    let mut columns = Vec::with_capacity(width);
    for _ in 0..width {
        columns.push((*cursor, 0_i64));
        for _ in 0..length {
            cursor.varint()?;
        }
    }
    let mut pairs = Vec::with_capacity(width);
    for _ in 0..length {
        pairs.clear();
        for (name, (column, id)) in names.iter().zip(&mut columns) {
            *id = id.wrapping_add(column.signed()?);
            pairs.push((*name, string(*id)?));
        }
        let text: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        budget.take(1, text + width * SIZE_OF_LABEL + SIZE_OF_SET)?;
        let set = Labels::of(&mut pairs).map_err(|_| DecodeError("a label stands twice"))?;
        // Sets are sorted, so equal ones are neighbours.
        if sets.last() == Some(&set) {
            return Err(DecodeError("a label set stands twice"));
        }
        sets.push(set);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_read_back_in_order() {
        let sets = vec![
            Labels::from_pairs(&[("__name__", "b_bucket"), ("le", "+Inf")]),
            Labels::from_pairs(&[("__name__", "b_bucket"), ("le", "0.5")]),
            Labels::default(),
            Labels::from_pairs(&[("__name__", "a"), ("type", "λ\n")]),
        ];
        let mut budget = MemoryBudget::of_bytes(10_000);
        assert_eq!(decode_label_sets(&encode_label_sets(&sets, 1), &mut budget), Ok(sets));
    }

    /// A blob of one run of label sets with these names, whose values are the first string.
    fn run_of(length: u64, names: &[&str]) -> Vec<u8> {
        let mut plain = Vec::new();
        put_varint(&mut plain, names.len() as u64);
        names.iter().for_each(|name| put_bytes(&mut plain, name.as_bytes()));
        put_varint(&mut plain, 1);
        put_varint(&mut plain, length);
        put_varint(&mut plain, names.len() as u64);
        (0..names.len() as u64).for_each(|id| put_varint(&mut plain, id));
        plain.extend(vec![0; length as usize * names.len()]);
        pack(&plain, 3)
    }

    #[test]
    fn a_label_set_stands_once_though_a_run_of_them_takes_no_bytes() {
        let mut budget = MemoryBudget::of_bytes(1 << 21);
        assert_eq!(decode_label_sets(&run_of(1, &[]), &mut budget), Ok(vec![Labels::default()]));
        for bomb in [run_of(1 << 24, &[]), run_of(1 << 20, &["__name__"])] {
            let error = decode_label_sets(&bomb, &mut budget);
            assert_eq!(error, Err(DecodeError("a label set stands twice")));
        }
    }

    #[test]
    fn a_long_text_that_many_sets_share_is_taken_from_the_budget_for_each() {
        let long = "x".repeat(100_000);
        let set = |n: u32| Labels::from_pairs(&[("long", &long), ("n", &n.to_string())]);
        let blob = encode_label_sets(&(0..50).map(set).collect::<Vec<_>>(), 3);
        assert!(blob.len() < 1_000);
        assert!(decode_label_sets(&blob, &mut MemoryBudget::of_bytes(6_000_000)).is_ok());
        assert!(decode_label_sets(&blob, &mut MemoryBudget::of_bytes(4_000_000)).is_err());
    }
}
