//! Labels, series and samples, in Prometheus's sense of the words.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::time::Timestamp;

/// Bits of the NaN by which Prometheus marks the end of a series
/// (`model/value/value.go`, `StaleNaN`). Any other NaN is an ordinary value.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a value.
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the staleness marker, by its bits.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One value at one instant.
///
/// Equality is that of the value's bits, so that a NaN equals itself and `-0.0` is not `0.0`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When the target was scraped, by Prometheus's clock.
    pub at: Timestamp,
    /// The value, to the bit.
    pub value: f64,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && self.value.to_bits() == other.value.to_bits()
    }
}

impl Eq for Sample {}

/// A series' samples in ascending order of time, each instant once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What identifies the series.
    pub labels: Labels,
    /// Its samples, strictly ascending in time.
    pub samples: Vec<Sample>,
}

/// Identifies a label set: XXH3-128 of its canonical encoding ([`Labels::encode`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Of bytes that are already in the canonical encoding.
    pub fn of_encoded(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// A label set: names in ascending byte order, each once, no empty value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(String, String)>", into = "Vec<(String, String)>")]
pub struct Labels(Vec<(String, String)>);

/// Why pairs do not form a label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// A name stands twice.
    #[error("label {0:?} stands twice")]
    Duplicate(String),
    /// A name is empty.
    #[error("a label has an empty name")]
    EmptyName,
    /// Bytes are not the protobuf encoding of labels in UTF-8.
    #[error("labels are not in the remote-read encoding")]
    Encoding,
}

impl Labels {
    /// Sorts pairs into a label set. An empty value means an absent label, as in Prometheus.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where a name is empty or stands twice.
    pub fn new(mut pairs: Vec<(String, String)>) -> Result<Self, LabelsError> {
        pairs.sort();
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelsError::Duplicate(pair[0].0.clone()));
        }
        if pairs.first().is_some_and(|(name, _)| name.is_empty()) {
            return Err(LabelsError::EmptyName);
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// From string slices, for tests and for label sets written in code.
    ///
    /// # Panics
    ///
    /// Where a name is empty or stands twice.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::new(owned.collect()).expect("label sets written in code have distinct names")
    }

    /// The value of `name`, or `None` where the label is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .binary_search_by(|(candidate, _)| candidate.as_str().cmp(name))
            .ok()
            .map(|index| self.0[index].1.as_str())
    }

    /// The metric name; empty where there is none.
    pub fn metric(&self) -> &str {
        self.get("__name__").unwrap_or_default()
    }

    /// The scrape target that the series belongs to.
    pub fn target(&self) -> TargetKey {
        TargetKey {
            job: self.get("job").unwrap_or_default().to_owned(),
            instance: self.get("instance").unwrap_or_default().to_owned(),
        }
    }

    /// Pairs in ascending order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the canonical encoding: what Prometheus's remote protocols send for the labels of
    /// a `TimeSeries` (field 1, length-delimited, a `Label` message of name 1 and value 2).
    ///
    /// Choosing that encoding lets the recorder identify a series from the bytes of an answer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            let body = field_len(name.len()) + field_len(value.len());
            out.push(0x0a);
            put_varint(out, body);
            out.push(0x0a);
            put_varint(out, name.len());
            out.extend_from_slice(name.as_bytes());
            out.push(0x12);
            put_varint(out, value.len());
            out.extend_from_slice(value.as_bytes());
        }
    }

    /// Identifies this label set.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Vec::with_capacity(256);
        self.encode(&mut bytes);
        Fingerprint::of_encoded(&bytes)
    }
}

/// A label set as a remote protocol sent it: the encoding of [`Labels::encode`], not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedLabels<'a>(pub &'a [u8]);

impl EncodedLabels<'_> {
    /// Identifies the bytes. Equals [`Labels::fingerprint`] where the sender sorted the names and
    /// left out empty values, as Prometheus does; otherwise only [`decode`](Self::decode) tells.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_encoded(self.0)
    }

    /// Reads the label set.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the bytes are not the encoding of a label set.
    pub fn decode(&self) -> Result<Labels, LabelsError> {
        let mut rest = self.0;
        let mut pairs = Vec::with_capacity(12);
        while !rest.is_empty() {
            let mut label = take_field(&mut rest, 0x0a)?;
            let (mut name, mut value) = (&b""[..], &b""[..]);
            while let Some(&key) = label.first() {
                match key {
                    0x0a => name = take_field(&mut label, key)?,
                    0x12 => value = take_field(&mut label, key)?,
                    _ => return Err(LabelsError::Encoding),
                }
            }
            pairs.push((text(name)?, text(value)?));
        }
        Labels::new(pairs)
    }
}

fn text(bytes: &[u8]) -> Result<String, LabelsError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| LabelsError::Encoding)
}

/// Takes one length-delimited protobuf field with the key byte `key` off the front of `rest`.
fn take_field<'a>(rest: &mut &'a [u8], key: u8) -> Result<&'a [u8], LabelsError> {
    let (&found, mut tail) = rest.split_first().ok_or(LabelsError::Encoding)?;
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let (&byte, after) = tail.split_first().ok_or(LabelsError::Encoding)?;
        tail = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            if found != key || length > tail.len() {
                return Err(LabelsError::Encoding);
            }
            let (payload, after) = tail.split_at(length);
            *rest = after;
            return Ok(payload);
        }
    }
    Err(LabelsError::Encoding)
}

fn field_len(payload: usize) -> usize {
    1 + varint_len(payload) + payload
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl TryFrom<Vec<(String, String)>> for Labels {
    type Error = LabelsError;

    fn try_from(pairs: Vec<(String, String)>) -> Result<Self, LabelsError> {
        Self::new(pairs)
    }
}

impl From<Labels> for Vec<(String, String)> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

impl fmt::Display for Labels {
    /// `metric{name="value",…}` with Prometheus's escapes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.metric())?;
        let mut separator = '{';
        for (name, value) in self.iter().filter(|(name, _)| *name != "__name__") {
            write!(formatter, "{separator}{name}=\"")?;
            for character in value.chars() {
                match character {
                    '\\' => formatter.write_str("\\\\")?,
                    '"' => formatter.write_str("\\\"")?,
                    '\n' => formatter.write_str("\\n")?,
                    other => write!(formatter, "{other}")?,
                }
            }
            formatter.write_str("\"")?;
            separator = ',';
        }
        match separator {
            ',' => formatter.write_str("}"),
            _ if self.metric().is_empty() => formatter.write_str("{}"),
            _ => Ok(()),
        }
    }
}

/// What Prometheus scrapes: a job and an instance. Series that carry neither label, such as
/// those of recording rules, belong to the target whose parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetKey {
    /// The `job` label.
    pub job: String,
    /// The `instance` label.
    pub instance: String,
}

impl fmt::Display for TargetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.job, self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_sort_and_drop_empty_values() {
        let labels = Labels::from_pairs(&[("job", "pd"), ("__name__", "up"), ("zone", "")]);
        assert_eq!(labels.to_string(), "up{job=\"pd\"}");
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let pairs = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(Labels::new(pairs), Err(LabelsError::Duplicate("a".to_owned())));
    }

    #[test]
    fn the_encoding_is_that_of_a_remote_read_time_series() {
        let mut bytes = Vec::new();
        Labels::from_pairs(&[("a", "bc")]).encode(&mut bytes);
        assert_eq!(bytes, [0x0a, 7, 0x0a, 1, b'a', 0x12, 2, b'b', b'c']);
        assert_eq!(EncodedLabels(&bytes).decode(), Ok(Labels::from_pairs(&[("a", "bc")])));
    }

    #[test]
    fn a_cut_encoding_is_refused_at_every_length() {
        let mut bytes = Vec::new();
        Labels::from_pairs(&[("job", "tikv"), ("le", "+Inf")]).encode(&mut bytes);
        let whole = EncodedLabels(&bytes).decode().expect("the whole reads");
        for end in 1..bytes.len() {
            assert_ne!(EncodedLabels(&bytes[..end]).decode(), Ok(whole.clone()), "{end}");
        }
    }

    #[test]
    fn samples_compare_by_bits() {
        let at = Timestamp::from_millis(1);
        assert_eq!(Sample { at, value: stale_marker() }, Sample { at, value: stale_marker() });
        assert_ne!(Sample { at, value: 0.0 }, Sample { at, value: -0.0 });
    }
}
