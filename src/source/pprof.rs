//! Go's profiles: gzipped messages of `profile.proto` of google/pprof, reduced to stacks with their values.
//!
//! Only names of functions are read: no labels, no mappings, no addresses.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

use super::protobuf::{BrokenMessage, Fields, Value, take_uvarint};

/// The most bytes of a profile after decompression: PD's heap of a large cluster is below 1 MB.
const MAX_BYTES: u64 = 32 << 20;

/// Why bytes are no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// They are not gzipped, or are cut short.
    #[error("the profile cannot be decompressed: {0}")]
    Gzip(std::io::Error),
    /// They are larger than is read.
    #[error("the profile is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// They are no profile.
    #[error("no profile: {0}")]
    Malformed(&'static str),
}

impl From<BrokenMessage> for ProfileError {
    fn from(_: BrokenMessage) -> Self {
        Self::Malformed("a message is cut short or malformed")
    }
}

/// A profile: what each stack holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The names of its values, such as `inuse_space`.
    pub values: Vec<String>,
    /// The stacks, each function once per frame, the innermost one first, with a value for each name.
    pub stacks: Vec<(Vec<String>, Vec<i64>)>,
}

impl Profile {
    /// Reads a gzipped profile.
    ///
    /// # Errors
    ///
    /// [`ProfileError`] where it is none.
    pub fn read(gzipped: &[u8]) -> Result<Self, ProfileError> {
        let mut bytes = Vec::new();
        let mut decoder = GzDecoder::new(gzipped).take(MAX_BYTES + 1);
        decoder.read_to_end(&mut bytes).map_err(ProfileError::Gzip)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ProfileError::TooLarge);
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, ProfileError> {
        let raw = Raw::parse(bytes)?;
        let text = |index: u64| {
            let found = usize::try_from(index).ok().and_then(|index| raw.strings.get(index));
            found.copied().unwrap_or_default()
        };
        let values: Vec<String> = raw.values.iter().map(|name| text(*name).to_owned()).collect();
        if values.is_empty() {
            return Err(ProfileError::Malformed("it names no values"));
        }
        let names: BTreeMap<u64, &str> =
            raw.functions.iter().map(|(id, name)| (*id, text(*name))).collect();
        let frames = |location: &u64| {
            let functions = raw.locations.get(location).into_iter().flatten();
            functions.map(|id| (*names.get(id).unwrap_or(&"")).to_owned())
        };
        let stacks = raw.samples.iter().filter(|(_, held)| held.len() == values.len());
        let stacks = stacks
            .map(|(locations, held)| (locations.iter().flat_map(frames).collect(), held.clone()));
        Ok(Self { stacks: stacks.collect(), values })
    }

    /// The value of each stack by name, those that hold none left out; `None` where there is no such value.
    pub fn of(&self, name: &str) -> Option<Vec<(&[String], u64)>> {
        let place = self.values.iter().position(|value| value == name)?;
        let held = self.stacks.iter().filter_map(|(frames, values)| {
            let value = u64::try_from(values[place]).ok().filter(|value| *value > 0)?;
            Some((frames.as_slice(), value))
        });
        Some(held.collect())
    }
}

/// A profile with its references.
#[derive(Default)]
struct Raw<'a> {
    /// Indices of the names of values.
    values: Vec<u64>,
    /// Ids of locations, and values.
    samples: Vec<(Vec<u64>, Vec<i64>)>,
    /// The functions of each location, innermost first.
    locations: BTreeMap<u64, Vec<u64>>,
    /// The index of the name of each function.
    functions: BTreeMap<u64, u64>,
    strings: Vec<&'a str>,
}

impl<'a> Raw<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ProfileError> {
        let mut raw = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next_field()? {
            let Value::Bytes(message) = field.value else { continue };
            match field.number {
                1 => raw.values.push(varint(message, 1)?),
                2 => raw.samples.push((varints(message, 1)?, signed(message, 2)?)),
                4 => {
                    raw.locations.insert(varint(message, 1)?, lines(message)?);
                }
                5 => {
                    raw.functions.insert(varint(message, 1)?, varint(message, 2)?);
                }
                6 => {
                    let text = std::str::from_utf8(message);
                    raw.strings
                        .push(text.map_err(|_| ProfileError::Malformed("a name is no text"))?);
                }
                _ => {}
            }
        }
        Ok(raw)
    }
}

/// The functions of a location's lines.
fn lines(location: &[u8]) -> Result<Vec<u64>, BrokenMessage> {
    let mut found = Vec::new();
    let mut fields = Fields::of(location);
    while let Some(field) = fields.next_field()? {
        if let (4, Value::Bytes(line)) = (field.number, field.value) {
            found.push(varint(line, 1)?);
        }
    }
    Ok(found)
}

/// The last value of a field with a number; 0 where it is absent.
fn varint(message: &[u8], number: u64) -> Result<u64, BrokenMessage> {
    Ok(varints(message, number)?.pop().unwrap_or_default())
}

fn signed(message: &[u8], number: u64) -> Result<Vec<i64>, BrokenMessage> {
    Ok(varints(message, number)?.into_iter().map(|value| value as i64).collect())
}

/// All values of a field with numbers, packed or one by one.
fn varints(message: &[u8], number: u64) -> Result<Vec<u64>, BrokenMessage> {
    let mut found = Vec::new();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match field.value {
            Value::Varint(value) if field.number == number => found.push(value),
            Value::Bytes(mut packed) if field.number == number => {
                while !packed.is_empty() {
                    found.push(take_uvarint(&mut packed).ok_or(BrokenMessage)?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::protobuf::{put_bytes_field, put_uvarint, put_varint_field};

    /// A message of fields with numbers.
    fn message(fields: &[(u64, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, value)| put_varint_field(&mut out, *number, *value));
        out
    }

    /// Two stacks: `grow` called by `main` with 7 objects of 700 bytes, and `main` alone with nothing.
    fn profile() -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes_field(&mut out, 1, &message(&[(1, 1), (2, 0)]));
        put_bytes_field(&mut out, 1, &message(&[(1, 2), (2, 0)]));
        let packed = |values: &[u64]| {
            let mut packed = Vec::new();
            values.iter().for_each(|value| put_uvarint(&mut packed, *value));
            packed
        };
        let mut sample = Vec::new();
        put_bytes_field(&mut sample, 1, &packed(&[11, 12]));
        put_bytes_field(&mut sample, 2, &packed(&[7, 700]));
        put_bytes_field(&mut out, 2, &sample);
        put_bytes_field(&mut out, 2, &message(&[(1, 12), (2, 0), (2, 0)]));
        for (location, function) in [(11, 21), (12, 22)] {
            let mut one = message(&[(1, location), (3, 0x4000)]);
            put_bytes_field(&mut one, 4, &message(&[(1, function), (2, 81)]));
            put_bytes_field(&mut out, 4, &one);
        }
        put_bytes_field(&mut out, 5, &message(&[(1, 21), (2, 3), (4, 0)]));
        put_bytes_field(&mut out, 5, &message(&[(1, 22), (2, 4), (4, 0)]));
        for text in ["", "inuse_objects", "inuse_space", "main.grow", "main.main"] {
            put_bytes_field(&mut out, 6, text.as_bytes());
        }
        out
    }

    #[test]
    fn stacks_have_the_names_of_their_functions_and_their_values() {
        let read = Profile::parse(&profile()).expect("it is one");
        assert_eq!(read.values, ["inuse_objects", "inuse_space"]);
        let held = read.of("inuse_space").expect("it has it");
        let frames = ["main.grow".to_owned(), "main.main".to_owned()];
        assert_eq!(held, [(&frames[..], 700)]);
        assert_eq!(read.of("alloc_space"), None);
    }

    #[test]
    fn what_is_no_profile_is_an_error() {
        assert!(matches!(Profile::read(b"<html>"), Err(ProfileError::Gzip(_))));
        assert!(matches!(Profile::parse(&[]), Err(ProfileError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Profile::parse(&bytes);
            let cut = profile();
            let _ = Profile::parse(&cut[..bytes.len().min(cut.len())]);
        }
    }
}
