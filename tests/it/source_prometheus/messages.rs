//! The messages of remote read, encoded by hand.

use operator::model::Labels;

pub(super) fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn field(key: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    varint(&mut out, payload.len());
    out.extend_from_slice(payload);
    out
}

pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, payload.len());
    out.extend(crc32c::crc32c(payload).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// An XOR chunk with samples of value 1 at 1000, 31000 and 61000 ms.
pub(super) fn chunk() -> Vec<u8> {
    // Count; zigzag varint of 1000; 1.0; varint of 30000; a zero bit for the same value; then a
    // zero bit each for the same distance and the same value.
    let mut data = vec![0, 3, 0xd0, 0x0f];
    data.extend(1.0_f64.to_be_bytes());
    data.extend([0xb0, 0xea, 0x01, 0]);
    let mut message = vec![0x08];
    varint(&mut message, 1_000);
    message.push(0x10);
    varint(&mut message, 61_000);
    message.extend([0x18, 1]);
    message.extend(field(0x22, &data));
    message
}

pub(super) fn chunked(labels: &[(&str, &str)], chunk: &[u8]) -> Vec<u8> {
    let mut series = Vec::new();
    Labels::from_pairs(labels).encode(&mut series);
    series.extend(field(0x12, chunk));
    field(0x0a, &series)
}
