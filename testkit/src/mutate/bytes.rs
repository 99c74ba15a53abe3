//! Bytes of a capture by the format's document: numbers, packed bytes, envelopes, and ways to alter
//! them so that a decoder is led astray and not merely refused.

use anyhow::{Context, Result};
use fastrand::Rng;

/// Numbers at which counts, lengths and instants turn over.
const TURNS: [u64; 22] = [
    0,
    1,
    2,
    127,
    128,
    480,
    4096,
    4097,
    1 << 14,
    1 << 16,
    1 << 20,
    1 << 23,
    1 << 24,
    1 << 28,
    (1 << 31) - 1,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 32,
    1 << 53,
    1 << 60,
    i64::MAX as u64,
    u64::MAX,
];

/// A number that is likely to do harm in the place of `held`.
pub fn number(held: u64, random: &mut Rng) -> u64 {
    match random.u8(..6) {
        0 => held.wrapping_add(1),
        1 => held.wrapping_sub(1),
        2 => held.wrapping_mul(random.u64(2..2_000)),
        3 => random.u64(..) >> random.u32(..64),
        _ => TURNS[random.usize(..TURNS.len())],
    }
}

/// Appends a number in LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number in LEB128, and how many bytes it takes.
pub fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * place as u32).unwrap_or(0);
        if *byte < 0x80 {
            return Some((value, place + 1));
        }
    }
    None
}

/// Takes a number off the front.
pub fn take(bytes: &mut &[u8]) -> Result<u64> {
    let (value, length) = varint(bytes).context("no number stands here")?;
    *bytes = &bytes[length..];
    Ok(value)
}

/// Takes a length and that many bytes off the front.
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = take(bytes)? as usize;
    let (taken, rest) = bytes.split_at_checked(length).context("ends early")?;
    *bytes = rest;
    Ok(taken)
}

/// The plain bytes of packed ones.
pub fn unpack(mut packed: &[u8]) -> Result<Vec<u8>> {
    let length = take(&mut packed)? as usize;
    Ok(zstd::bulk::decompress(packed, length.max(1))?)
}

/// Packed bytes of plain ones; now and then another length is stated.
pub fn pack(plain: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let length = plain.len() as u64;
    put_varint(&mut out, if random.u8(..40) == 0 { number(length, random) } else { length });
    out.extend(zstd::bulk::compress(plain, 1)?);
    Ok(out)
}

/// A payload behind its checksum, which is bound to `context`.
pub fn seal(context: &str, payload: &[u8]) -> Vec<u8> {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(context.as_bytes()), payload);
    let mut sealed = checksum.to_le_bytes().to_vec();
    sealed.extend_from_slice(payload);
    sealed
}

/// Alters bytes that consist of numbers, lengths and texts.
pub fn alter(bytes: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(1..4) {
        // What stands in front decides what the rest means.
        let most = if random.bool() { bytes.len() } else { bytes.len().min(24) };
        let at = random.usize(..most.max(1)).min(bytes.len());
        let span = at..(at + random.usize(1..40)).min(bytes.len());
        match random.u8(..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(span)),
            3 => bytes.truncate(at),
            4 => {
                let repeated = bytes[span].repeat(random.usize(1..200));
                bytes.splice(at..at, repeated);
            }
            5 => {
                let zeros = vec![0; 1 << random.u32(..18)];
                bytes.splice(at..at, zeros);
            }
            _ => {
                let Some((held, length)) = varint(&bytes[at..]) else { continue };
                let mut other = Vec::new();
                put_varint(&mut other, number(held, random));
                bytes.splice(at..at + length, other);
            }
        }
    }
}
