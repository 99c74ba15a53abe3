//! A binary range coder with adaptive probabilities.
//!
//! The arithmetic is that of LZMA's (32-bit range, carry through a cached byte; Martin 1979),
//! with 16-bit probabilities that average a fast and a slow estimate.

const TOP: u32 = 1 << 24;

/// An adaptive estimate of how probable a zero is.
#[derive(Clone, Copy, Debug)]
pub struct Bit {
    fast: u16,
    slow: u16,
}

impl Bit {
    pub const NEW: Self = Self { fast: 1 << 15, slow: 1 << 15 };

    #[inline]
    fn zero(self) -> u32 {
        ((u32::from(self.fast) + u32::from(self.slow)) >> 1).clamp(24, 65_536 - 24)
    }

    #[inline]
    fn learn(&mut self, bit: bool) {
        if bit {
            self.fast -= self.fast >> 4;
            self.slow -= self.slow >> 6;
        } else {
            self.fast += (u16::MAX - self.fast) >> 4;
            self.slow += (u16::MAX - self.slow) >> 6;
        }
    }

    /// As [`learn`](Self::learn), with the bit repeated in all bits of `mask`.
    #[inline]
    fn learn_open(&mut self, mask: u16) {
        let moved = |from: u16, by: u32| {
            let distance = (from ^ !mask) >> by;
            from.wrapping_add((distance ^ mask).wrapping_sub(mask))
        };
        self.fast = moved(self.fast, 4);
        self.slow = moved(self.slow, 6);
    }
}

/// One direction of coding. Encoder and decoder run the same model code over it, so the two
/// cannot disagree.
pub trait Coder {
    /// Codes one bit by an adaptive probability. The encoder takes `bit`; the decoder ignores it.
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool;
    /// As [`bit`](Self::bit), for a bit that is unpredictable to the processor.
    fn open_bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        self.bit(model, bit)
    }
    /// Codes the low `count` bits (at most 64) of `value` without a model.
    fn raw(&mut self, value: u64, count: u32) -> u64;
}

/// Encodes bits into bytes.
pub struct Encoder {
    out: Vec<u8>,
    low: u64,
    range: u32,
    cache: u8,
    pending: u64,
}

impl Encoder {
    pub fn new() -> Self {
        Self { out: Vec::new(), low: 0, range: u32::MAX, cache: 0, pending: 1 }
    }

    #[inline]
    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > 0xffff_ffff {
            let carry = (self.low >> 32) as u8;
            let mut byte = self.cache;
            for _ in 0..self.pending {
                self.out.push(byte.wrapping_add(carry));
                byte = 0xff;
            }
            self.pending = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// Shifts bytes until the range is wide enough for the next bit.
    #[inline]
    fn normalize(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Returns the coded bytes without trailing zeros, which the decoder reads as if they were
    /// there.
    pub fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

impl Coder for Encoder {
    #[inline]
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        let bound = (self.range >> 16) * model.zero();
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        model.learn(bit);
        self.normalize();
        bit
    }

    #[inline]
    fn raw(&mut self, value: u64, count: u32) -> u64 {
        let mut left = count;
        while left > 0 {
            let take = left.min(16);
            left -= take;
            let part = (value >> left) as u32 & ((1 << take) - 1);
            self.range >>= take;
            self.low += u64::from(part) * u64::from(self.range);
            self.normalize();
        }
        value
    }
}

/// Decodes bits from bytes. After the end it reads zeros.
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
    code: u32,
    range: u32,
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { bytes, position: 0, code: 0, range: u32::MAX };
        for _ in 0..5 {
            decoder.shift();
        }
        decoder
    }

    #[inline]
    fn shift(&mut self) {
        let byte = self.bytes.get(self.position).copied().unwrap_or(0);
        self.position += 1;
        self.code = (self.code << 8) | u32::from(byte);
    }

    /// Shifts bytes until the range is wide enough for the next bit.
    #[inline]
    fn normalize(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Whether unread bytes remain, which a decoder of a whole stream never leaves.
    pub fn has_rest(&self) -> bool {
        self.position < self.bytes.len()
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn bit(&mut self, model: &mut Bit, _: bool) -> bool {
        let bound = (self.range >> 16) * model.zero();
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        model.learn(bit);
        self.normalize();
        bit
    }

    /// Without a branch on the bit, because the processor could not predict it.
    #[inline]
    fn open_bit(&mut self, model: &mut Bit, _: bool) -> bool {
        let bound = (self.range >> 16) * model.zero();
        let bit = self.code >= bound;
        let mask = u32::from(bit).wrapping_neg();
        self.code -= bound & mask;
        self.range = (bound & !mask) | ((self.range - bound) & mask);
        model.learn_open(mask as u16);
        self.normalize();
        bit
    }

    #[inline]
    fn raw(&mut self, _: u64, count: u32) -> u64 {
        let mut value = 0;
        let mut left = count;
        while left > 0 {
            let take = left.min(16);
            left -= take;
            self.range >>= take;
            // A damaged stream can hold a code past the range; the mask keeps the part in bounds.
            let part = (self.code / self.range).min((1 << take) - 1);
            self.code = self.code.wrapping_sub(part.wrapping_mul(self.range));
            value = (value << take) | u64::from(part);
            self.normalize();
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_raw_numbers_read_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let script: Vec<(bool, u64, u32)> = (0..20_000)
            .map(|_| {
                let count = random.u32(0..=64);
                let value = random.u64(..) & u64::MAX.checked_shr(64 - count).unwrap_or(0);
                (random.u8(..) == 0, value, count)
            })
            .collect();
        let mut encoder = Encoder::new();
        let mut model = Bit::NEW;
        for &(bit, value, count) in &script {
            encoder.bit(&mut model, bit);
            encoder.raw(value, count);
        }
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes);
        let mut model = Bit::NEW;
        for &(bit, value, count) in &script {
            assert_eq!(decoder.bit(&mut model, false), bit);
            assert_eq!(decoder.raw(0, count), value);
        }
    }

    #[test]
    fn both_ways_of_learning_agree() {
        let (mut open, mut plain) = (Bit::NEW, Bit::NEW);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let bit = random.u8(..) < 20;
            plain.learn(bit);
            open.learn_open(if bit { u16::MAX } else { 0 });
            assert_eq!((open.fast, open.slow), (plain.fast, plain.slow));
        }
    }

    #[test]
    fn a_rare_bit_costs_little() {
        let mut encoder = Encoder::new();
        let mut model = Bit::NEW;
        for _ in 0..100_000 {
            encoder.bit(&mut model, false);
        }
        assert!(encoder.finish().len() < 40);
    }
}
