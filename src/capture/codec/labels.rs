//! Label sets as a blob: strings once, then runs of label sets that have the same names.

use std::collections::HashMap;

use super::bytes::{Cursor, DecodeError, pack, put_bytes, put_signed, put_varint, unpack};
use crate::model::Labels;

/// Bytes that a label blob may unpack to.
const MAX_UNPACKED: usize = 1 << 28;
/// Labels that one blob may expand to, which bounds what a decoder allocates.
const MAX_LABELS: usize = 1 << 26;

/// Encodes label sets in the order given, compressed at one of zstd's levels.
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
                let (_, value) = set.iter().nth(column).expect("a run has the same names");
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

/// Decodes what [`encode_label_sets`] wrote.
///
/// # Errors
///
/// [`DecodeError`] where the bytes have another form or are not label sets.
pub fn decode_label_sets(blob: &[u8]) -> Result<Vec<Labels>, DecodeError> {
    let plain = unpack(&mut Cursor::new(blob), MAX_UNPACKED)?;
    let mut cursor = Cursor::new(&plain);
    let mut strings = Vec::new();
    for _ in 0..cursor.count()? {
        let text = std::str::from_utf8(cursor.bytes()?);
        strings.push(text.map_err(|_| DecodeError("a label is not UTF-8"))?);
    }
    let string = |id: i64| {
        let found = usize::try_from(id).ok().and_then(|id| strings.get(id));
        found.copied().ok_or(DecodeError("a string is missing"))
    };
    let mut sets = Vec::new();
    let mut expanded = 0_usize;
    for _ in 0..cursor.count()? {
        let (length, width) = (cursor.varint()? as usize, cursor.count()?);
        expanded =
            length.checked_mul(width.max(1)).map_or(usize::MAX, |n| n.saturating_add(expanded));
        if expanded > MAX_LABELS || (width > 0 && length > cursor.remaining()) {
            return Err(DecodeError("has more labels than the format allows"));
        }
        let mut names = Vec::with_capacity(width);
        for _ in 0..width {
            names.push(string(cursor.varint()? as i64)?);
        }
        let mut values = Vec::with_capacity(width * length);
        for _ in 0..width {
            let mut id = 0_i64;
            for _ in 0..length {
                id = id.wrapping_add(cursor.signed()?);
                values.push(string(id)?);
            }
        }
        let mut pairs = Vec::with_capacity(width);
        for row in 0..length {
            pairs.clear();
            let values = values.iter().skip(row).step_by(length);
            pairs.extend(names.iter().copied().zip(values.copied()));
            sets.push(Labels::of(&mut pairs).map_err(|_| DecodeError("a label stands twice"))?);
        }
    }
    if cursor.is_empty() {
        Ok(sets)
    } else {
        Err(DecodeError("has bytes after its last label set"))
    }
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
        assert_eq!(decode_label_sets(&encode_label_sets(&sets, 1)), Ok(sets));
    }
}
