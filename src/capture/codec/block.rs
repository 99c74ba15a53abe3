//! The sealed block: samples of one scrape target over a range of time.
//!
//! A block has a header (instants, series, directory of groups) and groups of neighbouring series.
//! Each group is coded and has a checksum of its own, so a query decodes only the groups that it
//! needs, and a damaged byte loses only one group. `docs/capture-format.md` specifies the bytes.
//!
//! Series are in the order of their ordinals, in which the parts of one histogram are neighbours:
//! its count, its sum, then its buckets from `+Inf` down. An observation increments every bucket
//! above it, so the increment of a bucket is coded as its difference from that of its neighbour.

use super::bytes::{Cursor, DecodeError, put_signed, put_varint};
use super::group::{Direction, code_group};
use super::range_coder::{Decoder, Encoder};
use crate::model::STALE_NAN_BITS;

/// Target number of samples in a group: larger groups compress better, smaller ones are faster to
/// search.
const GROUP_SAMPLES: usize = 128 * 1024;
/// Most cells (series × instants) that a decoder accepts in one group, which bounds what it
/// allocates.
const MAX_GROUP_CELLS: usize = 1 << 21;
/// Most cells that a decoder accepts in one block, which bounds the time it needs.
const MAX_BLOCK_CELLS: usize = 1 << 30;
/// Most cells of a block for each of its bytes. The arithmetic coder needs more than a byte for
/// 6,000 cells even where all are zero, so a header that claims more is false.
const MAX_CELLS_PER_BYTE: usize = 1 << 14;
/// Most instants in one block.
const MAX_INSTANTS: usize = 4096;

/// A cell holds no sample.
pub const ABSENT: u8 = 0;
/// A cell holds a value.
pub const VALUE: u8 = 1;
/// A cell holds the staleness marker.
pub const STALE: u8 = 2;

/// Samples of several series at common instants, as a matrix of series by instants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Instants in milliseconds, strictly ascending.
    pub times: Vec<i64>,
    /// Ordinals of series of the target, strictly ascending.
    pub ordinals: Vec<u32>,
    /// State of each cell: [`ABSENT`], [`VALUE`] or [`STALE`]; a row of `times.len()` cells per
    /// series.
    pub states: Vec<u8>,
    /// Bits of the `f64` where the cell holds a value, else 0. Same shape as `states`.
    pub bits: Vec<u64>,
}

impl Columns {
    /// Number of samples, including staleness markers.
    pub fn sample_count(&self) -> u64 {
        self.states.iter().filter(|&&state| state != ABSENT).count() as u64
    }

    /// Whether every sample of the series in `row` is `0.0`.
    pub fn is_zero(&self, row: usize) -> bool {
        let cells = row * self.times.len()..(row + 1) * self.times.len();
        // A staleness marker has no bits either.
        self.bits[cells.clone()].iter().all(|bits| *bits == 0)
            && self.states[cells].iter().all(|state| *state != STALE)
    }

    /// Samples of the series in `row`: instant in milliseconds and bits of the value.
    pub fn samples(&self, row: usize) -> impl Iterator<Item = (i64, u64)> {
        let cells = row * self.times.len()..(row + 1) * self.times.len();
        self.times.iter().zip(&self.states[cells.clone()]).zip(&self.bits[cells]).filter_map(
            |((&at, &state), &bits)| match state {
                ABSENT => None,
                STALE => Some((at, STALE_NAN_BITS)),
                _ => Some((at, bits)),
            },
        )
    }
}

/// The decoded header of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Instants in milliseconds, strictly ascending.
    pub times: Vec<i64>,
    /// Ordinals of series of the target, strictly ascending.
    pub ordinals: Vec<u32>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    series: std::ops::Range<usize>,
    bytes: std::ops::Range<usize>,
    checksum: u32,
}

impl BlockHeader {
    /// Decodes the header of a block of a target with `series` series.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the header is damaged, has an ordinal from `series` on, or has more
    /// cells than the format allows or the bytes of the block can hold.
    pub fn decode(block: &[u8], series: usize) -> Result<Self, DecodeError> {
        let (stored, rest) =
            block.split_first_chunk::<4>().ok_or(DecodeError("shorter than its checksum"))?;
        let mut outer = Cursor::new(rest);
        let header = outer.bytes()?;
        if crc32c::crc32c(header) != u32::from_le_bytes(*stored) {
            return Err(DecodeError("checksum of the header does not match"));
        }
        let body_start = block.len() - outer.remaining();
        let mut cursor = Cursor::new(header);
        let times = decode_times(&mut cursor)?;
        let ordinals = decode_ordinals(&mut cursor, series)?;
        let cells = ordinals.len().saturating_mul(times.len());
        if cells > MAX_BLOCK_CELLS {
            return Err(DecodeError("a block has more cells than the format allows"));
        }
        if cells / MAX_CELLS_PER_BYTE > block.len() {
            return Err(DecodeError("a block has more cells than its bytes can hold"));
        }
        let count = cursor.count()?;
        let mut groups = Vec::with_capacity(count);
        let (mut series, mut byte) = (0_usize, body_start);
        for _ in 0..count {
            let series_end = series.saturating_add(cursor.u32()? as usize);
            let byte_end = byte.saturating_add(cursor.u32()? as usize);
            let checksum = cursor.take(4)?.try_into().map_err(|_| DecodeError("ends early"))?;
            let cells = (series_end - series).saturating_mul(times.len());
            if series_end > ordinals.len() || byte_end > block.len() || cells > MAX_GROUP_CELLS {
                return Err(DecodeError("a group lies outside its block"));
            }
            groups.push(Group {
                series: series..series_end,
                bytes: byte..byte_end,
                checksum: u32::from_le_bytes(checksum),
            });
            (series, byte) = (series_end, byte_end);
        }
        if series != ordinals.len() || byte != block.len() || !cursor.is_empty() {
            return Err(DecodeError("the directory does not cover the block"));
        }
        Ok(Self { times, ordinals, groups })
    }

    /// Whether all instants are between `first` and `last`, both inclusive.
    pub fn is_within(&self, first: i64, last: i64) -> bool {
        self.times.first() >= Some(&first) && self.times.last() <= Some(&last)
    }

    /// Number of groups in the block.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Ordinals of the series in `group`.
    pub fn group_ordinals(&self, group: usize) -> &[u32] {
        &self.ordinals[self.groups[group].series.clone()]
    }
}

fn encode_header(columns: &Columns, groups: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, columns.times.len() as u64);
    let (mut last, mut step) = (0_i64, 0_i64);
    for &time in &columns.times {
        let delta = time.wrapping_sub(last);
        put_signed(&mut out, delta.wrapping_sub(step));
        (last, step) = (time, if last == 0 { 0 } else { delta });
    }
    encode_ordinals(&mut out, &columns.ordinals);
    put_varint(&mut out, groups.len() as u64);
    for (series, bytes) in groups {
        put_varint(&mut out, *series as u64);
        put_varint(&mut out, bytes.len() as u64);
        out.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    }
    out
}

fn decode_times(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, DecodeError> {
    let count = cursor.count()?;
    if count == 0 {
        return Err(DecodeError("a block has no instant"));
    }
    if count > MAX_INSTANTS {
        return Err(DecodeError("a block has more instants than the format allows"));
    }
    let mut times = Vec::with_capacity(count);
    let (mut last, mut step) = (0_i64, 0_i64);
    for index in 0..count {
        let delta = step.wrapping_add(cursor.signed()?);
        let time = last.wrapping_add(delta);
        if index > 0 && time <= last {
            return Err(DecodeError("instants do not ascend"));
        }
        times.push(time);
        (last, step) = (time, if last == 0 { 0 } else { delta });
    }
    Ok(times)
}

/// Encodes ordinals as runs: the number that is skipped, then the number of consecutive ones.
fn encode_ordinals(out: &mut Vec<u8>, ordinals: &[u32]) {
    let mut runs = Vec::new();
    let mut next = 0_u32;
    for chunk in ordinals.chunk_by(|a, b| a + 1 == *b) {
        runs.push((chunk[0] - next, chunk.len()));
        next = chunk[0] + chunk.len() as u32;
    }
    put_varint(out, runs.len() as u64);
    for (skipped, length) in runs {
        put_varint(out, u64::from(skipped));
        put_varint(out, length as u64);
    }
}

fn decode_ordinals(cursor: &mut Cursor<'_>, series: usize) -> Result<Vec<u32>, DecodeError> {
    const MAX_SERIES: usize = 1 << 23;
    let mut ordinals = Vec::new();
    let mut next = 0_u32;
    for _ in 0..cursor.count()? {
        let start = next.checked_add(cursor.u32()?);
        let length = cursor.u32()?;
        let (start, end) = start
            .and_then(|start| Some((start, start.checked_add(length)?)))
            .ok_or(DecodeError("an ordinal exceeds 32 bits"))?;
        if end as usize > series {
            return Err(DecodeError("it names a series that is not in the capture"));
        }
        if ordinals.len() + length as usize > MAX_SERIES {
            return Err(DecodeError("a block has more series than the format allows"));
        }
        ordinals.extend(start..end);
        next = end;
    }
    Ok(ordinals)
}

/// Encodes columns as a block.
///
/// # Panics
///
/// If `columns` violates its invariants, has no instant, or more than [`MAX_INSTANTS`].
pub fn encode_block(columns: &Columns) -> Vec<u8> {
    let instants = columns.times.len();
    assert!((1..=MAX_INSTANTS).contains(&instants), "a block has 1 to 4096 instants");
    let per_group = (GROUP_SAMPLES / instants).max(1);
    let groups: Vec<(usize, Vec<u8>)> = (0..columns.ordinals.len())
        .step_by(per_group)
        .map(|first| {
            let end = (first + per_group).min(columns.ordinals.len());
            let mut states = columns.states[first * instants..end * instants].to_vec();
            let mut bits = columns.bits[first * instants..end * instants].to_vec();
            let mut encoder = Encoder::new();
            code_group(&mut encoder, instants, &mut states, &mut bits, Direction::Encode);
            (end - first, encoder.finish())
        })
        .collect();
    let header = encode_header(columns, &groups);
    let mut out = crc32c::crc32c(&header).to_le_bytes().to_vec();
    put_varint(&mut out, header.len() as u64);
    out.extend(header);
    for (_, bytes) in groups {
        out.extend(bytes);
    }
    out
}

/// Decodes the first `rows` series of one group of a block; all of them where it has fewer. What `columns` held
/// goes; its memory is used again, which saves whoever decodes one group after another a third of the time.
///
/// # Errors
///
/// [`DecodeError`] where the bytes of the group do not match their checksum or are malformed.
pub fn decode_group(
    block: &[u8],
    header: &BlockHeader,
    (group, rows): (usize, usize),
    columns: &mut Columns,
) -> Result<(), DecodeError> {
    let Group { series, bytes, checksum } = &header.groups[group];
    let coded = &block[bytes.clone()];
    if crc32c::crc32c(coded) != *checksum {
        return Err(DecodeError("checksum of a group does not match"));
    }
    let rows = rows.min(series.len());
    let cells = rows * header.times.len();
    let Columns { times, ordinals, states, bits } = columns;
    times.clone_from(&header.times);
    ordinals.clear();
    ordinals.extend_from_slice(&header.ordinals[series.clone()][..rows]);
    states.clear();
    states.resize(cells, ABSENT);
    bits.clear();
    bits.resize(cells, 0);
    let mut decoder = Decoder::new(coded);
    code_group(&mut decoder, header.times.len(), states, bits, Direction::Decode);
    if rows == series.len() && decoder.has_rest() {
        return Err(DecodeError("a group has bytes after its last sample"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(columns: &Columns) -> Columns {
        let block = encode_block(columns);
        let header = BlockHeader::decode(&block, usize::MAX).expect("a fresh header reads");
        let mut whole = Columns { times: header.times.clone(), ..Columns::default() };
        for group in 0..header.group_count() {
            let mut part = Columns::default();
            decode_group(&block, &header, (group, usize::MAX), &mut part)
                .expect("a fresh group reads");
            whole.ordinals.extend(part.ordinals);
            whole.states.extend(part.states);
            whole.bits.extend(part.bits);
        }
        whole
    }

    fn columns(rows: &[&[f64]]) -> Columns {
        let instants = rows[0].len();
        Columns {
            times: (0..instants as i64).map(|tick| 1_795_537_009_127 + tick * 15_000).collect(),
            ordinals: (0..rows.len() as u32).collect(),
            states: vec![VALUE; rows.len() * instants],
            bits: rows.iter().flat_map(|row| row.iter().map(|value| value.to_bits())).collect(),
        }
    }

    #[test]
    fn values_of_every_kind_read_back_to_the_bit() {
        let written = columns(&[
            &[0.0, 0.0, 0.0, 0.0],
            &[-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY],
            &[1.0, 2.0, 1e300, f64::from_bits(0x7ff8_dead_beef_0001)],
            &[f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN],
            &[0.1, 0.25, 17.123_456_789, 1795.5],
            &[0.1 + 0.2, 1.0 / 3.0, 2.0 / 3.0, 1e-9],
            &[4096.0, 8192.0, 1_048_576.0, 0.0],
            &[9_007_199_254_740_992.0, -9_007_199_254_740_992.0, 1.0, -1.0],
            &[18_446_744_073_709_551_615.0, 0.0, 1e19, 4.4e17],
        ]);
        assert_eq!(read_back(&written), written);
    }

    #[test]
    fn absent_and_stale_cells_read_back() {
        let mut written = columns(&[&[1.0, 2.0, 3.0], &[5.0, 0.0, 7.0], &[0.0, 0.0, 0.0]]);
        written.states = vec![VALUE, VALUE, STALE, VALUE, ABSENT, VALUE, ABSENT, STALE, ABSENT];
        for (bits, &state) in written.bits.iter_mut().zip(&written.states) {
            *bits = if state == VALUE { *bits } else { 0 };
        }
        assert_eq!(read_back(&written), written);
        assert_eq!(written.samples(0).last(), Some((written.times[2], STALE_NAN_BITS)));
    }

    /// A block whose groups are empty: the decoder reads zeros past the end.
    fn claimed(instants: u64, series: u64, per_group: u64) -> Vec<u8> {
        let mut header = Vec::new();
        put_varint(&mut header, instants);
        (0..instants).for_each(|_| put_signed(&mut header, 1));
        for number in [1, 0, series, series.div_ceil(per_group)] {
            put_varint(&mut header, number);
        }
        for first in (0..series).step_by(per_group as usize) {
            put_varint(&mut header, per_group.min(series - first));
            put_varint(&mut header, 0);
            header.extend(crc32c::crc32c(&[]).to_le_bytes());
        }
        let mut block = crc32c::crc32c(&header).to_le_bytes().to_vec();
        super::super::put_bytes(&mut block, &header);
        block
    }

    #[test]
    fn a_block_has_instants_known_series_and_bytes_for_its_cells() {
        let decoded = |block: &[u8], series| BlockHeader::decode(block, series).map(|_| ());
        assert_eq!(decoded(&claimed(3, 5, 5), 5), Ok(()));
        assert_eq!(decoded(&claimed(0, 5, 5), 5), Err(DecodeError("a block has no instant")));
        assert!(decoded(&claimed(3, 5, 5), 4).is_err_and(|why| why.0.contains("not in the")));
        let bomb = claimed(4096, 1 << 18, 512);
        let error = Err(DecodeError("a block has more cells than its bytes can hold"));
        assert_eq!(decoded(&bomb, usize::MAX), error);
    }

    #[test]
    fn blocks_of_nothing_but_zeros_have_bytes_for_their_cells() {
        for (instants, series) in [(1, 200_000), (480, 3_000), (4096, 500)] {
            let written = Columns {
                times: (0..instants).collect(),
                ordinals: (0..series).collect(),
                states: vec![VALUE; instants as usize * series as usize],
                bits: vec![0; instants as usize * series as usize],
            };
            let block = encode_block(&written);
            let cells = written.states.len();
            assert!(cells / block.len() < MAX_CELLS_PER_BYTE / 2, "{} bytes", block.len());
            assert!(BlockHeader::decode(&block, series as usize).is_ok());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let block = encode_block(&columns(&[&[1.5, 2.5, 3.5], &[1.0, 7.0, 7.0]]));
        for position in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            let read = BlockHeader::decode(&damaged, usize::MAX).and_then(|header| {
                let whole = (0, usize::MAX);
                decode_group(&damaged, &header, whole, &mut Columns::default())
            });
            assert!(read.is_err(), "bit {position}");
        }
    }

    proptest! {
        #[test]
        fn any_cells_read_back(
            rows in prop::collection::vec(
                prop::collection::vec((0_u8..3, any::<u64>(), 0_u8..4), 7), 1..12,
            ),
        ) {
            let mut written = columns(&[&[0.0; 7]]);
            written.ordinals = (0..rows.len() as u32).map(|ordinal| ordinal * 3).collect();
            written.states.clear();
            written.bits.clear();
            for &(state, raw, shape) in rows.iter().flatten() {
                let bits = match shape {
                    0 => raw,
                    1 => ((raw % 1000) as f64).to_bits(),
                    2 => ((raw % 100_000) as f64 / 1e9).to_bits(),
                    _ => ((raw as i32) as f64 * 1.1).to_bits(),
                };
                let bits = if bits == STALE_NAN_BITS { 0 } else { bits };
                written.states.push(state);
                written.bits.push(if state == VALUE { bits } else { 0 });
            }
            prop_assert_eq!(read_back(&written), written);
        }

        #[test]
        fn garbage_neither_panics_nor_runs_away(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut states = vec![ABSENT; 40];
            let mut bits = vec![0; 40];
            code_group(&mut Decoder::new(&bytes), 8, &mut states, &mut bits, Direction::Decode);
            let _ = BlockHeader::decode(&bytes, 1_000_000);
        }
    }
}
