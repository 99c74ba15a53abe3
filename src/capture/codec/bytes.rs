//! Variable-length integers, bounded reading, and the checksummed envelope around every blob.

use std::cell::RefCell;
use std::io;

use super::super::memory_budget::MemoryBudget;

/// Stored bytes are not in the form that the format requires; the text names the check that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub &'static str);

/// Prefixes `payload` with a CRC-32C over `context` and the payload, so that a blob that was moved
/// to another row fails the check.
pub fn seal_envelope(context: &str, payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(payload.len() + 4);
    sealed.extend_from_slice(&checksum(context, payload).to_le_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// Checks and removes the checksum that [`seal_envelope`] added.
///
/// # Errors
///
/// [`DecodeError`] where the blob is too short or the checksum does not match.
pub fn open_envelope<'a>(context: &str, sealed: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let (stored, payload) =
        sealed.split_first_chunk::<4>().ok_or(DecodeError("shorter than its checksum"))?;
    if u32::from_le_bytes(*stored) == checksum(context, payload) {
        Ok(payload)
    } else {
        Err(DecodeError("checksum does not match"))
    }
}

fn checksum(context: &str, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(context.as_bytes()), payload)
}

/// Appends `value` as unsigned LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as zigzag LEB128.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and that many bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put_` functions wrote, with bounds checks.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Number of bytes that were not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.rest.len() {
            return Err(DecodeError("ends early"));
        }
        let (head, tail) = self.rest.split_at(length);
        self.rest = tail;
        Ok(head)
    }

    /// Reads what [`put_varint`] wrote.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError("an integer has more than ten bytes"))
    }

    /// Reads what [`put_signed`] wrote.
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Reads what [`put_varint`] wrote of an integer of 32 bits.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError("an integer exceeds 32 bits"))
    }

    /// Reads a count of items that need at least one byte each, and checks it against the remaining
    /// bytes.
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        match usize::try_from(self.varint()?) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(DecodeError("a count exceeds the bytes that remain")),
        }
    }

    /// Reads what [`put_bytes`] wrote.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.count()?;
        self.take(length)
    }
}

/// The base-2 logarithm of the longest window of a zstd frame.
pub const MAX_WINDOW_LOG: u32 = 27;

/// Compresses with zstd, after the length of the uncompressed bytes as a varint.
pub fn pack(plain: &[u8], level: i32) -> Vec<u8> {
    pack_with(plain, level, false)
}

/// As [`pack`], with long-distance matching of zstd: repetitions megabytes apart are found at a low
/// level too.
pub fn pack_long_distance(plain: &[u8], level: i32) -> Vec<u8> {
    pack_with(plain, level, true)
}

fn pack_with(plain: &[u8], level: i32, long_distance: bool) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    let mut compressor =
        zstd::bulk::Compressor::new(level).expect("the levels in use are zstd's own");
    let window = (usize::BITS - plain.len().max(1).leading_zeros()).clamp(17, MAX_WINDOW_LOG);
    for parameter in [
        zstd::zstd_safe::CParameter::WindowLog(window),
        zstd::zstd_safe::CParameter::ContentSizeFlag(false),
        zstd::zstd_safe::CParameter::EnableLongDistanceMatching(long_distance),
    ] {
        compressor.set_parameter(parameter).expect("parameters are within zstd's limits");
    }
    out.extend(compressor.compress(plain).expect("the output buffer is as large as it may become"));
    out
}

/// Decompresses what [`pack`] wrote, and allocates at most `limit` bytes.
pub fn unpack(cursor: &mut Cursor<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let length = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
    if length > limit {
        return Err(DecodeError("claims to unpack to more than the format allows"));
    }
    let frame = cursor.take(cursor.remaining())?;
    let plain = with_decompressor(|decompressor| decompressor.decompress(frame, length))
        .map_err(|_| DecodeError("no memory to unpack"))?
        .map_err(|_| DecodeError("is not a zstd frame of the stated length"))?;
    if plain.len() == length { Ok(plain) } else { Err(DecodeError("unpacks to another length")) }
}

/// As [`unpack`], of a whole blob whose content is held from then on: what it claims has to fit into `budget`.
pub fn unpack_within(
    blob: &[u8],
    limit: usize,
    budget: &MemoryBudget,
) -> Result<Vec<u8>, DecodeError> {
    let claimed = Cursor::new(blob).varint()?;
    budget.allow(1, usize::try_from(claimed).unwrap_or(usize::MAX))?;
    unpack(&mut Cursor::new(blob), limit)
}

/// Lends the decompressor of this thread. It is kept, since making one takes longer than to unpack a small blob.
fn with_decompressor<T>(
    decompress: impl FnOnce(&mut zstd::bulk::Decompressor<'static>) -> T,
) -> io::Result<T> {
    thread_local! {
        static KEPT: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| {
        let mut decompressor = match kept.take() {
            Some(decompressor) => decompressor,
            None => {
                let mut made = zstd::bulk::Decompressor::new()?;
                made.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                made
            }
        };
        let result = decompress(&mut decompressor);
        *kept = Some(decompressor);
        Ok(result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_back_at_their_limits() {
        let mut out = Vec::new();
        for value in [0, 127, 128, u64::MAX] {
            put_varint(&mut out, value);
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            put_signed(&mut out, value);
        }
        let mut cursor = Cursor::new(&out);
        assert_eq!([0, 127, 128, u64::MAX].map(Ok), [(); 4].map(|()| cursor.varint()));
        assert_eq!([0, -1, i64::MIN, i64::MAX].map(Ok), [(); 4].map(|()| cursor.signed()));
        assert!(cursor.varint().is_err());
    }

    #[test]
    fn an_envelope_moved_to_another_row_is_refused() {
        let sealed = seal_envelope("block 1", b"payload");
        assert_eq!(open_envelope("block 1", &sealed), Ok(&b"payload"[..]));
        assert!(open_envelope("block 2", &sealed).is_err());
    }

    #[test]
    fn packing_reads_back_and_is_bounded() {
        let packed = pack(&[7; 5000], 3);
        assert_eq!(unpack(&mut Cursor::new(&packed), 5000), Ok(vec![7; 5000]));
        assert!(unpack(&mut Cursor::new(&packed), 4999).is_err());
    }
}
