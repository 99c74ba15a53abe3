//! Splits the stream of a remote read into frames (`storage/remote/chunked.go`). A frame is a varint
//! length, the payload's CRC-32C in big-endian order, and the payload.
//!
//! The payload is decoded in `proto`.

use crate::source::protobuf::take_uvarint;

/// The largest payload that is accepted, in bytes. Prometheus sends frames of about 1 MiB; a series
/// with many chunks may exceed that.
pub(super) const MAX_FRAME_BYTES: usize = 64 << 20;

/// The error of a stream that is not a sequence of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrokenFrame {
    #[error("a frame's length is malformed or exceeds {MAX_FRAME_BYTES} bytes")]
    Length,
    #[error("a frame's checksum does not match")]
    Checksum,
    #[error("the stream ends within a frame")]
    Cut,
}

/// Splits a byte stream into frames. It holds at most one frame and the last piece that arrived.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    start: usize,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame's payload, or `None` until more bytes have arrived.
    pub(super) fn next_frame(&mut self) -> Result<Option<&[u8]>, BrokenFrame> {
        let mut rest = &self.buffer[self.start..];
        let Some(length) = take_uvarint(&mut rest) else {
            // Ten bytes hold any varint.
            return if rest.len() < 10 { Ok(None) } else { Err(BrokenFrame::Length) };
        };
        let length = usize::try_from(length).map_err(|_| BrokenFrame::Length)?;
        if length > MAX_FRAME_BYTES {
            return Err(BrokenFrame::Length);
        }
        let Some((checksum, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        if crc32c::crc32c(payload) != u32::from_be_bytes(*checksum) {
            return Err(BrokenFrame::Checksum);
        }
        let end = self.buffer.len() - rest.len() + length;
        self.start = end;
        Ok(Some(&self.buffer[end - length..end]))
    }

    /// Checks that the stream ended between frames.
    pub(super) fn finish(&self) -> Result<(), BrokenFrame> {
        if self.start == self.buffer.len() { Ok(()) } else { Err(BrokenFrame::Cut) }
    }

    /// The bytes after the last frame. Servers write an error that they meet midway there, as text.
    pub(super) fn remainder(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::protobuf::put_uvarint;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_uvarint(&mut bytes, payload.len() as u64);
        bytes.extend(crc32c::crc32c(payload).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn cut(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, BrokenFrame> {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for bytes in stream.chunks(piece) {
            frames.push(bytes);
            while let Some(payload) = frames.next_frame()? {
                found.push(payload.to_vec());
            }
        }
        frames.finish().map(|()| found)
    }

    #[test]
    fn the_checksum_is_castagnoli() {
        // The check value of CRC-32C for "123456789" is 0xe3069283.
        let stream = [&[9, 0xe3, 0x06, 0x92, 0x83][..], b"123456789"].concat();
        assert_eq!(cut(&stream, 100), Ok(vec![b"123456789".to_vec()]));
    }

    #[test]
    fn a_flipped_bit_a_cut_and_an_enormous_length_are_refused() {
        let mut stream = frame(b"abc");
        stream[6] ^= 1;
        assert_eq!(cut(&stream, 100), Err(BrokenFrame::Checksum));
        assert_eq!(cut(&frame(b"abc")[..7], 100), Err(BrokenFrame::Cut));
        assert_eq!(cut(&[0xff, 0xff, 0xff, 0xff, 0x0f], 100), Err(BrokenFrame::Length));
        assert_eq!(cut(&[0xff; 12], 100), Err(BrokenFrame::Length));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            piece in 1_usize..50,
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload)).collect();
            prop_assert_eq!(cut(&stream, piece), Ok(payloads));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = cut(&bytes, 7);
        }
    }
}
