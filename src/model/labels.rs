//! Label sets and what identifies them, in Prometheus's sense of the words.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::run::SCRAPED_BY;

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
///
/// Names and values lie in one buffer that clones share, because a large cluster has hundreds of
/// thousands of sets.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(String, String)>", into = "Vec<(String, String)>")]
pub struct Labels {
    /// Name, value, name, value and so on, without anything in between.
    text: Arc<str>,
    /// Where each of them ends.
    ends: Arc<[u32]>,
}

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
    /// Names and values take more than 4 GiB.
    #[error("labels take more than 4 GiB")]
    TooLong,
}

impl Labels {
    /// Sorts pairs into a label set. An empty value means an absent label, as in Prometheus.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where a name is empty or stands twice.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, LabelsError> {
        let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        Self::of(&mut pairs)
    }

    /// As [`new`](Self::new), from borrowed pairs, which are sorted in place.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where a name is empty or stands twice.
    pub fn of(pairs: &mut [(&str, &str)]) -> Result<Self, LabelsError> {
        sort_pairs(pairs)?;
        let length: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(length);
        let mut ends = Vec::with_capacity(pairs.len() * 2);
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            for part in [name, value] {
                text.push_str(part);
                ends.push(u32::try_from(text.len()).map_err(|_| LabelsError::TooLong)?);
            }
        }
        Ok(Self { text: text.into(), ends: ends.into() })
    }

    /// From string slices, for tests and for label sets written in code.
    ///
    /// # Panics
    ///
    /// Where a name is empty or stands twice.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self::of(&mut pairs.to_vec()).expect("label sets written in code have distinct names")
    }

    /// The value of `name`, or `None` where the label is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let bytes = self.text.as_bytes();
        let mut start = 0;
        for ends in self.ends.chunks_exact(2) {
            let (middle, end) = (ends[0] as usize, ends[1] as usize);
            // The first byte tells most names apart without a call.
            if middle - start == name.len()
                && bytes.get(start) == name.as_bytes().first()
                && &bytes[start..middle] == name.as_bytes()
            {
                return Some(&self.text[middle..end]);
            }
            start = end;
        }
        None
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

    /// Whether the series is one that the recorder scraped itself while Prometheus was away.
    pub fn is_scraped_by_recorder(&self) -> bool {
        self.get(SCRAPED_BY.0) == Some(SCRAPED_BY.1)
    }

    /// Pairs in ascending order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let (middle, end) = (ends[0] as usize, ends[1] as usize);
            let pair = (&self.text[start..middle], &self.text[middle..end]);
            start = end;
            pair
        })
    }

    /// The same without the labels of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        self.changed(names, &[])
    }

    /// The same with these labels added or replaced; an empty value removes one.
    #[must_use]
    pub fn with(&self, pairs: &[(&str, &str)]) -> Self {
        let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        self.changed(&names, pairs)
    }

    fn changed(&self, removed: &[&str], added: &[(&str, &str)]) -> Self {
        let kept = self.iter().filter(|(name, _)| !removed.contains(name));
        let mut pairs: Vec<_> = kept.chain(added.iter().copied()).collect();
        Self::of(&mut pairs).expect("what replaces labels has distinct names that are not empty")
    }

    /// Where a name or a value begins; they are counted together.
    fn start_of(&self, part: usize) -> usize {
        part.checked_sub(1).map_or(0, |last| self.ends[last] as usize)
    }

    /// A name or a value; they are counted together.
    fn part(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        Some(&self.text.as_bytes()[self.start_of(number)..end])
    }

    /// The value of the label at this place in the order of names; `None` where there are fewer.
    pub fn value_at(&self, place: usize) -> Option<&str> {
        let to = *self.ends.get(2 * place + 1)? as usize;
        Some(&self.text[self.start_of(2 * place + 1)..to])
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names and values.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Appends the canonical encoding: what Prometheus's remote protocols send for the labels of
    /// a `TimeSeries` (field 1, length-delimited, a `Label` message of name 1 and value 2).
    ///
    /// Choosing that encoding lets the recorder identify a series from the bytes of an answer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_pairs(self.iter(), out);
    }

    /// Identifies this label set.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_without(&[])
    }

    /// Identifies what [`without`](Self::without) would give.
    pub fn fingerprint_without(&self, removed: &[&str]) -> Fingerprint {
        let mut bytes = Vec::with_capacity(256);
        encode_pairs(self.iter().filter(|(name, _)| !removed.contains(name)), &mut bytes);
        Fingerprint::of_encoded(&bytes)
    }

    /// Identifies what [`with`](Self::with) would give, for labels that this set does not have.
    pub fn fingerprint_with(&self, added: &[(&str, &str)]) -> Fingerprint {
        let added = added.iter().copied().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<_> = self.iter().chain(added).collect();
        pairs.sort_unstable();
        let mut bytes = Vec::with_capacity(256);
        encode_pairs(pairs.into_iter(), &mut bytes);
        Fingerprint::of_encoded(&bytes)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Pair by pair, names before values; the shorter of two that agree comes first. That is the
    /// order of Prometheus's answers.
    fn cmp(&self, other: &Self) -> Ordering {
        // Texts whose parts end at the same places compare as their parts do. The first part that ends elsewhere
        // has another length, so it is another text.
        let ends = self.ends.iter().zip(other.ends.iter());
        let same = ends.take_while(|(a, b)| a == b).count();
        let end = self.start_of(same);
        let (a, b) = (self.text.as_bytes(), other.text.as_bytes());
        a[..end].cmp(&b[..end]).then_with(|| self.part(same).cmp(&other.part(same)))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Sorts pairs into the order of a label set.
fn sort_pairs(pairs: &mut [(&str, &str)]) -> Result<(), LabelsError> {
    if !pairs.is_sorted() {
        pairs.sort_unstable();
    }
    if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelsError::Duplicate(pair[0].0.to_owned()));
    }
    if pairs.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err(LabelsError::EmptyName);
    }
    Ok(())
}

/// Appends what [`Labels::encode`] would write for these pairs, which are sorted in place. An empty value
/// means an absent label.
///
/// # Errors
///
/// [`LabelsError`] where a name is empty or stands twice.
pub fn encode_labels(pairs: &mut [(&str, &str)], out: &mut Vec<u8>) -> Result<(), LabelsError> {
    sort_pairs(pairs)?;
    encode_pairs(pairs.iter().copied().filter(|(_, value)| !value.is_empty()), out);
    Ok(())
}

fn encode_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for (name, value) in pairs {
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

/// A label set as a remote protocol sent it: the encoding of [`Labels::encode`], not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedLabels<'a>(pub &'a [u8]);

impl EncodedLabels<'_> {
    /// Identifies the bytes. Equals [`Labels::fingerprint`] where the sender sorted the names and
    /// left out empty values, as Prometheus does; otherwise only [`decode`](Self::decode) tells.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_encoded(self.0)
    }

    /// The metric's name, without reading the rest; `None` where there is none or the bytes are
    /// not the encoding of a label set.
    pub fn metric(&self) -> Option<&str> {
        let mut rest = self.0;
        while !rest.is_empty() {
            let mut label = take_field(&mut rest, 0x0a).ok()?;
            if take_field(&mut label, 0x0a).ok()? == b"__name__" {
                return text(take_field(&mut label, 0x12).ok()?).ok();
            }
        }
        None
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
        Labels::of(&mut pairs)
    }
}

impl fmt::Display for EncodedLabels<'_> {
    /// As much of the label set as can be read, as it was sent: `{name="value",…}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "{";
        while let Ok(mut label) = take_field(&mut rest, 0x0a) {
            let name = take_field(&mut label, 0x0a).unwrap_or_default();
            let value = take_field(&mut label, 0x12).unwrap_or_default();
            write!(formatter, "{separator}{}=", String::from_utf8_lossy(name))?;
            write_quoted(formatter, &String::from_utf8_lossy(value))?;
            separator = ",";
        }
        formatter.write_str(if separator == "{" { "{}" } else { "}" })
    }
}

fn text(bytes: &[u8]) -> Result<&str, LabelsError> {
    std::str::from_utf8(bytes).map_err(|_| LabelsError::Encoding)
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
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl fmt::Display for Labels {
    /// `metric{name="value",…}` with Prometheus's escapes; names that are no identifiers stand in
    /// quotes, that of the metric first among the labels.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.metric();
        let mut separator = '{';
        if metric.is_empty() || is_metric_name(metric) {
            formatter.write_str(metric)?;
        } else {
            formatter.write_str("{")?;
            write_quoted(formatter, metric)?;
            separator = ',';
        }
        for (name, value) in self.iter().filter(|(name, _)| *name != "__name__") {
            write!(formatter, "{separator}")?;
            if is_label_name(name) {
                formatter.write_str(name)?;
            } else {
                write_quoted(formatter, name)?;
            }
            formatter.write_str("=")?;
            write_quoted(formatter, value)?;
            separator = ',';
        }
        match separator {
            ',' => formatter.write_str("}"),
            _ if metric.is_empty() => formatter.write_str("{}"),
            _ => Ok(()),
        }
    }
}

fn write_quoted(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '\\' => formatter.write_str("\\\\")?,
            '"' => formatter.write_str("\\\"")?,
            '\n' => formatter.write_str("\\n")?,
            other => write!(formatter, "{other}")?,
        }
    }
    formatter.write_str("\"")
}

/// Whether a label's name is written without quotes.
pub fn is_label_name(name: &str) -> bool {
    is_name(name, |c| c == '_' || c.is_ascii_alphabetic())
}

/// Whether a metric's name is written without quotes.
pub fn is_metric_name(name: &str) -> bool {
    is_name(name, |c| matches!(c, '_' | ':') || c.is_ascii_alphabetic())
}

fn is_name(name: &str, starts: impl Fn(char) -> bool) -> bool {
    name.starts_with(&starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
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
        assert_eq!([0, 1, 2].map(|place| labels.value_at(place)), [Some("up"), Some("pd"), None]);
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
    fn labels_are_added_replaced_and_removed() {
        let labels = Labels::from_pairs(&[("__name__", "up"), ("job", "pd")]);
        let changed = labels.with(&[("instance", "a"), ("job", "tikv")]);
        assert_eq!(changed.to_string(), "up{instance=\"a\",job=\"tikv\"}");
        assert_eq!(changed.without(&["job", "instance"]).to_string(), "up");
    }

    #[test]
    fn sets_are_ordered_pair_by_pair() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs);
        assert!(set(&[("a", "1")]) < set(&[("a", "1"), ("b", "1")]));
        assert!(set(&[("a", "1"), ("b", "2")]) < set(&[("a", "12")]));
        assert!(set(&[("a", "9")]) < set(&[("ab", "1")]));
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_pairs(
            a in proptest::collection::btree_map("[ab]{1,2}", "[xy]{1,3}", 0..4),
            b in proptest::collection::btree_map("[ab]{1,2}", "[xy]{1,3}", 0..4),
        ) {
            let [a, b] = [a, b].map(|pairs| Labels::new(pairs.into_iter().collect()).expect("sound"));
            proptest::prop_assert_eq!(a.cmp(&b), a.iter().cmp(b.iter()));
        }
    }
}
