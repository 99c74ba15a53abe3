//! Protobuf's wire format: the fields of a message, read without copying, and written.
//!
//! What the fields of a message mean is said where the message is used.

/// Bytes that are not the expected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a protobuf message is cut short or malformed")]
pub(super) struct BrokenMessage;

/// The value of a field, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Iterates over the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field: its number, its value, and all its bytes including the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    pub(super) whole: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, or `None` at the end.
    #[inline]
    pub(super) fn next_field(&mut self) -> Result<Option<Field<'a>>, BrokenMessage> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let before = self.rest;
        let key = take_uvarint(&mut self.rest).ok_or(BrokenMessage)?;
        let value = match key & 7 {
            0 => Value::Varint(take_uvarint(&mut self.rest).ok_or(BrokenMessage)?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(BrokenMessage)?;
                self.rest = rest;
                Value::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = take_uvarint(&mut self.rest).ok_or(BrokenMessage)?;
                let length = usize::try_from(length).map_err(|_| BrokenMessage)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(BrokenMessage)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => {
                self.rest = self.rest.get(4..).ok_or(BrokenMessage)?;
                Value::Fixed32
            }
            _ => return Err(BrokenMessage),
        };
        let whole = &before[..before.len() - self.rest.len()];
        Ok(Some(Field { number: key >> 3, value, whole }))
    }
}

/// Takes an unsigned varint off the front; `None` where it is cut or longer than 64 bits.
#[inline]
pub(super) fn take_uvarint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        if index == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Appends an unsigned varint.
pub(super) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field with an unsigned varint.
pub(super) fn put_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    put_uvarint(out, number << 3);
    put_uvarint(out, value);
}

/// Appends a length-delimited field.
pub(super) fn put_bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_uvarint(out, number << 3 | 2);
    put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
