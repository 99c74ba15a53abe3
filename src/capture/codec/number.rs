//! Adaptive coding of signed integers: sign, bit length and top bits by models, the lower bits
//! unmodelled.

use super::range_coder::{Bit, Coder};

/// Models for the bits below the highest one, by bit length.
pub struct TopBits([[Bit; 8]; 65]);

impl TopBits {
    pub fn new() -> Self {
        Self([[Bit::NEW; 8]; 65])
    }
}

/// Models for non-zero integers seen in one context.
#[derive(Clone, Copy)]
pub struct NumberModel {
    sign: [Bit; 2],
    length: [Bit; 64],
}

impl NumberModel {
    pub const NEW: Self = Self { sign: [Bit::NEW; 2], length: [Bit::NEW; 64] };

    /// Codes a number other than zero; `negative_before` says whether the last one was negative.
    #[inline]
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        top: &mut TopBits,
        value: i64,
        negative_before: bool,
    ) -> i64 {
        let negative = coder.bit(&mut self.sign[usize::from(negative_before)], value < 0);
        let magnitude = value.unsigned_abs();
        let length = code_tree(coder, &mut self.length, 63 - (magnitude | 1).leading_zeros()) + 1;
        let magnitude = code_below_top(coder, &mut top.0[length as usize], magnitude, length);
        if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 }
    }
}

/// Codes a number below `models.len()`, a power of two, as a path through a binary tree.
#[inline]
pub fn code_tree<C: Coder>(coder: &mut C, models: &mut [Bit], wanted: u32) -> u32 {
    let size = models.len() as u32;
    let mut node = 1_u32;
    for level in (0..size.trailing_zeros()).rev() {
        let bit = coder.open_bit(&mut models[node as usize], (wanted >> level) & 1 == 1);
        node = (node << 1) | u32::from(bit);
    }
    node - size
}

/// The bits of a number of `length` bits below its highest: three by a model, the others raw.
#[inline]
fn code_below_top<C: Coder>(
    coder: &mut C,
    models: &mut [Bit; 8],
    magnitude: u64,
    length: u32,
) -> u64 {
    let mut value = 1_u64;
    let mut left = length - 1;
    while left > 0 && value < 8 {
        left -= 1;
        let bit = coder.open_bit(&mut models[value as usize], (magnitude >> left) & 1 == 1);
        value = (value << 1) | u64::from(bit);
    }
    if left == 0 {
        return value;
    }
    let mask = (1_u64 << left) - 1;
    (value << left) | (coder.raw(magnitude & mask, left) & mask)
}
