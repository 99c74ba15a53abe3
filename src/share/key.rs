//! The secret that decides the numbers of pseudonyms.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a [`Key`].
pub const KEY_BYTES: usize = 32;

/// The secret that decides the numbers of pseudonyms.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

/// A text that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is {} hexadecimal digits", KEY_BYTES * 2)]
pub struct KeyError;

impl Key {
    /// A key of random bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads what [`to_text`](Self::to_text) writes.
    ///
    /// # Errors
    ///
    /// [`KeyError`] where the text is anything else.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = from_hex(text.trim()).ok_or(KeyError)?;
        bytes.try_into().map(Self).map_err(|_| KeyError)
    }

    /// The key in hexadecimal and a line break, as it lies in a file.
    pub fn to_text(&self) -> String {
        to_hex(&self.0) + "\n"
    }

    /// The number that this key gives an original, at each of any number of attempts.
    pub(super) fn number(&self, original: &str, attempt: u64) -> u64 {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(&attempt.to_le_bytes());
        mac.update(original.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        u64::from_le_bytes(bytes[..8].try_into().expect("they are eight bytes"))
    }
}

/// The bytes that a text in hexadecimal means; `None` where it is none.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { text.as_bytes().chunks_exact(2).map(digits).collect() } else { None }
}

/// Bytes in hexadecimal, in lower case.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back() {
        let key = Key::new([7; KEY_BYTES]);
        assert_eq!(Key::parse(&key.to_text()), Ok(key.clone()));
        assert_eq!(Key::parse("07"), Err(KeyError));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
