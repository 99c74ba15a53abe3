//! Decodes Prometheus's XOR chunks (`tsdb/chunkenc/xor.go`) into samples.
//!
//! A chunk is a big-endian `u16` count of samples, then one bit stream: the first timestamp as a
//! zigzag varint and the first value in 64 bits; the second timestamp as an unsigned varint
//! difference; further ones as differences of differences in 0, 14, 17, 20 or 64 bits; and each
//! later value as the significant bits of its XOR with the one before. Every value is returned to the
//! bit, staleness markers and other NaNs included. Chunks of native histograms are not decoded.

use crate::model::{Sample, Timestamp};

/// A chunk that ends early or breaks its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk is cut short or malformed")]
pub(super) struct BrokenChunk;

/// Passes every sample of a chunk to `each`, in the chunk's order.
///
/// Never panics, and never yields more than 65,535 samples, whatever the bytes.
pub(super) fn decode(chunk: &[u8], mut each: impl FnMut(Sample)) -> Result<(), BrokenChunk> {
    let (count, stream) = chunk.split_first_chunk::<2>().ok_or(BrokenChunk)?;
    let count = u16::from_be_bytes(*count);
    if count == 0 {
        return Ok(());
    }
    let mut bits = Bits::new(stream);
    let mut at = unzigzag(bits.uvarint()?);
    let mut value = bits.take(64)?;
    let mut emit = |at: i64, value: u64| {
        each(Sample { at: Timestamp::from_millis(at), value: f64::from_bits(value) });
    };
    emit(at, value);
    let mut delta = 0_i64;
    let mut window = Window { leading: u32::MAX, trailing: 0 };
    for index in 1..count {
        // These additions wrap around as Go's do, so that invalid bytes cause no panic.
        delta = match index {
            1 => bits.uvarint()? as i64,
            _ => delta.wrapping_add(bits.delta_of_delta()?),
        };
        at = at.wrapping_add(delta);
        value ^= bits.value_xor(&mut window)?;
        emit(at, value);
    }
    Ok(())
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The position of the significant bits in the last XOR. `leading` above 64 means that there was none.
struct Window {
    leading: u32,
    trailing: u32,
}

/// A reader of bits, the most significant first.
struct Bits<'a> {
    rest: &'a [u8],
    /// Bits that were loaded and not yet taken, at the upper end; the others are zero.
    loaded: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, loaded: 0, count: 0 }
    }

    /// Loads at least 57 bits, or all that there are.
    #[inline]
    fn load(&mut self) {
        let bytes = ((64 - self.count) / 8) as usize;
        if let Some(word) = self.rest.first_chunk::<8>() {
            if bytes == 0 {
                return;
            }
            let fresh = u64::from_be_bytes(*word) & (u64::MAX << (64 - 8 * bytes));
            self.loaded |= fresh >> self.count;
            self.count += 8 * bytes as u32;
            self.rest = &self.rest[bytes..];
            return;
        }
        while self.count <= 56 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            self.loaded |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// Takes up to 64 bits.
    #[inline]
    fn take(&mut self, wanted: u32) -> Result<u64, BrokenChunk> {
        if wanted > 32 {
            let upper = self.take(wanted - 32)?;
            return Ok(upper << 32 | self.take(32)?);
        }
        if wanted == 0 {
            return Ok(0);
        }
        if self.count < wanted {
            self.load();
            if self.count < wanted {
                return Err(BrokenChunk);
            }
        }
        let taken = self.loaded >> (64 - wanted);
        self.loaded <<= wanted;
        self.count -= wanted;
        Ok(taken)
    }

    /// Takes an unsigned varint, as Go's `binary.ReadUvarint` does.
    fn uvarint(&mut self) -> Result<u64, BrokenChunk> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(8)?;
            if shift == 63 && byte > 1 {
                return Err(BrokenChunk);
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BrokenChunk)
    }

    #[inline]
    fn delta_of_delta(&mut self) -> Result<i64, BrokenChunk> {
        let mut ones = 0;
        while ones < 4 && self.take(1)? == 1 {
            ones += 1;
        }
        let width = match ones {
            0 => return Ok(0),
            1 => 14,
            2 => 17,
            3 => 20,
            _ => return Ok(self.take(64)? as i64),
        };
        let raw = self.take(width)? as i64;
        // The range is (-2^(n-1), 2^(n-1)], unlike two's complement.
        Ok(if raw > 1 << (width - 1) { raw - (1 << width) } else { raw })
    }

    #[inline]
    fn value_xor(&mut self, window: &mut Window) -> Result<u64, BrokenChunk> {
        if self.take(1)? == 0 {
            return Ok(0);
        }
        if self.take(1)? == 1 {
            let leading = self.take(5)? as u32;
            // 64 does not fit into six bits and is written as zero.
            let significant = match self.take(6)? as u32 {
                0 => 64,
                bits => bits,
            };
            let trailing = 64_u32.checked_sub(leading + significant).ok_or(BrokenChunk)?;
            *window = Window { leading, trailing };
        } else if window.leading > 64 {
            return Err(BrokenChunk);
        }
        let significant = 64 - window.leading - window.trailing;
        Ok(self.take(significant)? << window.trailing)
    }
}

/// An encoder, with which tests check the decoder. The recorder itself never encodes chunks.
#[cfg(test)]
pub(super) mod encoder {
    use super::Window;
    use crate::model::Sample;

    #[derive(Default)]
    struct Writer {
        bytes: Vec<u8>,
        used: u32,
    }

    impl Writer {
        fn put(&mut self, value: u64, width: u32) {
            for position in (0..width).rev() {
                if self.used.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                let bit = (value >> position & 1) as u8;
                *self.bytes.last_mut().expect("a byte was pushed") |= bit << (7 - self.used % 8);
                self.used += 1;
            }
        }

        fn uvarint(&mut self, mut value: u64) {
            while value >= 0x80 {
                self.put(value & 0x7f | 0x80, 8);
                value >>= 7;
            }
            self.put(value, 8);
        }

        /// Writes a difference of differences of timestamps.
        fn delta_of_delta(&mut self, dod: i64) {
            let fits = |width: u32| -(1 << (width - 1)) < dod && dod <= 1 << (width - 1);
            let (prefix, prefix_width, width) = match dod {
                0 => return self.put(0, 1),
                _ if fits(14) => (0b10, 2, 14),
                _ if fits(17) => (0b110, 3, 17),
                _ if fits(20) => (0b1110, 4, 20),
                _ => (0b1111, 4, 64),
            };
            self.put(prefix, prefix_width);
            self.put(dod as u64, width);
        }

        /// Writes the XOR of two values, within `window` where its significant bits fit.
        fn value_xor(&mut self, xor: u64, window: &mut Window) {
            if xor == 0 {
                return self.put(0, 1);
            }
            let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
            if window.leading <= leading && window.trailing <= trailing {
                self.put(0b10, 2);
            } else {
                *window = Window { leading, trailing };
                self.put(0b11, 2);
                self.put(u64::from(leading), 5);
                self.put(u64::from(64 - leading - trailing) & 63, 6);
            }
            self.put(xor >> window.trailing, 64 - window.leading - window.trailing);
        }
    }

    /// Encodes ascending samples as Prometheus's appender does.
    pub(in crate::source::prometheus) fn encode(samples: &[Sample]) -> Vec<u8> {
        let mut out = Writer::default();
        let (mut at, mut delta, mut value) = (0, 0, 0);
        let mut window = Window { leading: u32::MAX, trailing: 0 };
        for (index, sample) in samples.iter().enumerate() {
            let (new_at, new_value) = (sample.at.as_millis(), sample.value.to_bits());
            let new_delta = new_at.wrapping_sub(at);
            match index {
                0 => out.uvarint(((new_at << 1) ^ (new_at >> 63)) as u64),
                1 => out.uvarint(new_delta as u64),
                _ => out.delta_of_delta(new_delta.wrapping_sub(delta)),
            }
            match index {
                0 => out.put(new_value, 64),
                _ => out.value_xor(new_value ^ value, &mut window),
            }
            (at, delta, value) = (new_at, new_delta, new_value);
        }
        let mut chunk = (samples.len() as u16).to_be_bytes().to_vec();
        chunk.extend(out.bytes);
        chunk
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::stale_marker;

    fn decoded(chunk: &[u8]) -> Result<Vec<Sample>, BrokenChunk> {
        let mut samples = Vec::new();
        decode(chunk, |sample| samples.push(sample)).map(|()| samples)
    }

    fn samples(pairs: &[(i64, f64)]) -> Vec<Sample> {
        let sample = |&(at, value)| Sample { at: Timestamp::from_millis(at), value };
        pairs.iter().map(sample).collect()
    }

    #[test]
    fn a_chunk_written_by_hand_reads() {
        // Two samples; first at 1 (zigzag 2) with value 1.0; the second 15 ms later, unchanged:
        // a varint of 15, then a single zero bit.
        let chunk = [0, 2, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 15, 0];
        assert_eq!(decoded(&chunk), Ok(samples(&[(1, 1.0), (16, 1.0)])));
    }

    #[test]
    fn a_significant_width_of_zero_means_sixty_four() {
        // The second value is the complement of the first: bits 11, 00000, 000000, then 64 ones.
        let mut chunk = vec![0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0b1100_0000, 0b0000_0111];
        chunk.extend([0xff; 7]);
        chunk.push(0b1111_1000);
        let values: Vec<u64> =
            decoded(&chunk).expect("reads").iter().map(|sample| sample.value.to_bits()).collect();
        assert_eq!(values, [0, u64::MAX]);
    }

    #[test]
    fn staleness_markers_keep_their_bits() {
        let written = samples(&[(0, 1.5), (15_000, stale_marker()), (30_000, f64::NAN)]);
        assert_eq!(decoded(&encoder::encode(&written)), Ok(written));
    }

    #[test]
    fn the_ends_of_each_width_read_back() {
        for dod in
            [8191, 8192, 8193, -8191, -8192, 65536, 65537, -65536, 524_288, 524_289, -524_288]
        {
            let written = samples(&[(0, 0.0), (1 << 40, 0.0), ((2 << 40) + dod, 0.0)]);
            assert_eq!(decoded(&encoder::encode(&written)), Ok(written), "{dod}");
        }
    }

    #[test]
    fn an_empty_chunk_has_no_samples_and_a_headless_one_is_refused() {
        assert_eq!(decoded(&[0, 0]), Ok(Vec::new()));
        assert_eq!(decoded(&[0]), Err(BrokenChunk));
    }

    proptest! {
        #[test]
        fn reading_returns_what_was_written(
            pairs in proptest::collection::vec((any::<i64>(), any::<u64>()), 1..200),
        ) {
            let mut written: Vec<Sample> = pairs
                .iter()
                .map(|&(at, bits)| Sample {
                    at: Timestamp::from_millis(at),
                    value: f64::from_bits(bits),
                })
                .collect();
            written.sort_by_key(|sample| sample.at);
            prop_assert_eq!(decoded(&encoder::encode(&written)), Ok(written));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decoded(&bytes);
        }

        #[test]
        fn a_cut_chunk_is_refused(count in 2_usize..50, cut in 1_usize..20) {
            let written: Vec<Sample> = (0..count)
                .map(|index| Sample {
                    at: Timestamp::from_millis(index as i64 * 15_000),
                    value: index as f64 * 0.1,
                })
                .collect();
            let chunk = encoder::encode(&written);
            let end = chunk.len().saturating_sub(cut);
            prop_assert_eq!(decoded(&chunk[..end]), Err(BrokenChunk));
        }
    }
}
