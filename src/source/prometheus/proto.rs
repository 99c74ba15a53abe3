//! Encodes and decodes the messages of the remote-read protocol, without copying.
//!
//! Messages are those of `prompb/remote.proto` and `prompb/types.proto`. Fields that the recorder does
//! not use are skipped, as protobuf requires. The samples inside chunks are decoded in `xor`.

use std::borrow::Cow;

use super::selector::Selector;
use crate::model::{Comparison, EncodedLabels, Sample, TimeRange, Timestamp};
use crate::source::protobuf::{BrokenMessage, Fields, Value, put_bytes_field, put_varint_field};

/// The kinds of answer that a request accepts, by preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    /// Streamed XOR chunks, or samples from a server that does not know them.
    Chunks,
    /// One message of samples.
    Samples,
}

/// A `ReadRequest` for the samples of `range` of every selector.
pub(super) fn read_request(selectors: &[Selector], range: TimeRange, accept: Accept) -> Vec<u8> {
    let mut request = Vec::new();
    // The protocol's bounds are inclusive.
    let (start, end) = (range.start.as_millis(), range.end.as_millis().saturating_sub(1));
    for selector in selectors {
        let mut query = Vec::new();
        put_varint_field(&mut query, 1, start as u64);
        put_varint_field(&mut query, 2, end as u64);
        for matcher in selector.matchers() {
            let mut message = Vec::new();
            let kind = match matcher.comparison {
                Comparison::Equal => 0,
                Comparison::NotEqual => 1,
                Comparison::Regex => 2,
                Comparison::NotRegex => 3,
            };
            put_varint_field(&mut message, 1, kind);
            put_bytes_field(&mut message, 2, matcher.name.as_bytes());
            put_bytes_field(&mut message, 3, matcher.value.as_bytes());
            put_bytes_field(&mut query, 3, &message);
        }
        // With these hints the server does not read blocks and chunks outside the window.
        let mut hints = Vec::new();
        put_varint_field(&mut hints, 3, start as u64);
        put_varint_field(&mut hints, 4, end as u64);
        put_bytes_field(&mut query, 4, &hints);
        put_bytes_field(&mut request, 1, &query);
    }
    let types: &[u8] = match accept {
        Accept::Chunks => &[1, 0],
        Accept::Samples => &[0],
    };
    put_bytes_field(&mut request, 2, types);
    request
}

/// The label fields of a series as contiguous bytes. They are borrowed where they are adjacent in the
/// message, as every known sender writes them, and copied otherwise.
#[derive(Debug, Default)]
pub(super) struct LabelBytes<'a>(Cow<'a, [u8]>);

impl<'a> LabelBytes<'a> {
    /// Adds a field of `message`.
    fn push(&mut self, message: &'a [u8], whole: &'a [u8]) {
        let start = whole.as_ptr().addr() - message.as_ptr().addr();
        match &mut self.0 {
            bytes if bytes.is_empty() => *bytes = Cow::Borrowed(whole),
            Cow::Borrowed(held) => {
                let held_start = held.as_ptr().addr() - message.as_ptr().addr();
                if held_start + held.len() == start {
                    *held = &message[held_start..start + whole.len()];
                } else {
                    self.0 = Cow::Owned([held, whole].concat());
                }
            }
            Cow::Owned(bytes) => bytes.extend_from_slice(whole),
        }
    }

    pub(super) fn labels(&self) -> EncodedLabels<'_> {
        EncodedLabels(&self.0)
    }
}

/// How a chunk is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkKind {
    Xor,
    Histogram,
    Unknown(u64),
}

/// A chunk of a `ChunkedSeries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) min_ms: i64,
    pub(super) max_ms: i64,
    pub(super) kind: ChunkKind,
    pub(super) data: &'a [u8],
}

/// Decodes a `ChunkedReadResponse`: passes the bytes of each series to `each`.
pub(super) fn each_chunked_series<E: From<BrokenMessage>>(
    message: &[u8],
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        if let (1, Value::Bytes(series)) = (field.number, field.value) {
            each(series)?;
        }
    }
    Ok(())
}

/// Decodes a `ChunkedSeries`: returns its labels, and puts its chunks into `chunks`.
pub(super) fn chunked_series<'a>(
    series: &'a [u8],
    chunks: &mut Vec<Chunk<'a>>,
) -> Result<LabelBytes<'a>, BrokenMessage> {
    chunks.clear();
    let mut labels = LabelBytes::default();
    let mut fields = Fields::of(series);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(_)) => labels.push(series, field.whole),
            (2, Value::Bytes(chunk)) => chunks.push(chunk_of(chunk)?),
            _ => {}
        }
    }
    Ok(labels)
}

fn chunk_of(message: &[u8]) -> Result<Chunk<'_>, BrokenMessage> {
    let mut chunk = Chunk { min_ms: 0, max_ms: 0, kind: ChunkKind::Unknown(0), data: &[] };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(min)) => chunk.min_ms = min as i64,
            (2, Value::Varint(max)) => chunk.max_ms = max as i64,
            (3, Value::Varint(1)) => chunk.kind = ChunkKind::Xor,
            (3, Value::Varint(2 | 3)) => chunk.kind = ChunkKind::Histogram,
            (3, Value::Varint(other)) => chunk.kind = ChunkKind::Unknown(other),
            (4, Value::Bytes(data)) => chunk.data = data,
            _ => {}
        }
    }
    Ok(chunk)
}

/// Decodes a `ReadResponse`: passes the bytes of each `TimeSeries` to `each`.
pub(super) fn each_time_series<E: From<BrokenMessage>>(
    message: &[u8],
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut results = Fields::of(message);
    while let Some(result) = results.next_field()? {
        let (1, Value::Bytes(result)) = (result.number, result.value) else { continue };
        let mut fields = Fields::of(result);
        while let Some(field) = fields.next_field()? {
            if let (1, Value::Bytes(series)) = (field.number, field.value) {
                each(series)?;
            }
        }
    }
    Ok(())
}

/// Whether a series has native histograms beside its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Histograms {
    Absent,
    Present,
}

/// Decodes a `TimeSeries`: returns its labels, and puts its samples into `samples`.
pub(super) fn time_series<'a>(
    series: &'a [u8],
    samples: &mut Vec<Sample>,
) -> Result<(LabelBytes<'a>, Histograms), BrokenMessage> {
    samples.clear();
    let mut labels = LabelBytes::default();
    let mut histograms = Histograms::Absent;
    let mut fields = Fields::of(series);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(_)) => labels.push(series, field.whole),
            (2, Value::Bytes(sample)) => samples.push(sample_of(sample)?),
            (4, Value::Bytes(_)) => histograms = Histograms::Present,
            _ => {}
        }
    }
    Ok((labels, histograms))
}

fn sample_of(message: &[u8]) -> Result<Sample, BrokenMessage> {
    // Proto3 leaves out zeros.
    let (mut at, mut bits) = (0, 0);
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Fixed64(value)) => bits = value,
            (2, Value::Varint(value)) => at = value as i64,
            _ => {}
        }
    }
    Ok(Sample { at: Timestamp::from_millis(at), value: f64::from_bits(bits) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Labels;

    #[test]
    fn a_request_is_the_message_of_remote_proto() {
        let selector = Selector::parse("up").expect("parses");
        let range = TimeRange::new(Timestamp::from_millis(1), Timestamp::from_millis(6));
        let bytes = read_request(&[selector], range, Accept::Chunks);
        let expected = [
            0x0a, 28, // queries
            0x08, 1, 0x10, 5, // start 1, end 5, inclusive
            0x1a, 16, 0x08, 0, // matcher, equal
            0x12, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', // name
            0x1a, 2, b'u', b'p', // value
            0x22, 4, 0x18, 1, 0x20, 5, // hints
            0x12, 2, 1, 0, // accepted types
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn labels_that_do_not_stand_together_are_collected() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        Labels::from_pairs(&[("a", "1")]).encode(&mut first);
        Labels::from_pairs(&[("b", "2")]).encode(&mut second);
        let message = [&first[..], &[0x12, 0], &second[..]].concat();
        let mut chunks = Vec::new();
        let labels = chunked_series(&message, &mut chunks).expect("reads");
        let expected = Labels::from_pairs(&[("a", "1"), ("b", "2")]);
        assert_eq!(labels.labels().decode(), Ok(expected));
        assert_eq!(chunks.len(), 1);
    }

    #[test]
    fn labels_that_stand_together_are_borrowed() {
        let mut message = Vec::new();
        Labels::from_pairs(&[("a", "1"), ("b", "2")]).encode(&mut message);
        let labels = chunked_series(&message, &mut Vec::new()).expect("reads");
        assert!(matches!(labels.0, Cow::Borrowed(bytes) if bytes == message));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = chunked_series(&bytes, &mut Vec::new());
            let _ = time_series(&bytes, &mut Vec::new());
            let _ = each_time_series::<BrokenMessage>(&bytes, |_| Ok(()));
        }
    }
}
