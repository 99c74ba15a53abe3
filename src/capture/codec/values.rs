//! Represents values as integers: exact decimals, decimals with a residue, or the order of floats.

use super::block::VALUE;

/// How the values of a series are represented as integers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All are `+0.0`.
    Zero,
    /// Each is exactly `k / 10^scale`.
    Decimal(u32),
    /// Each is the `f64` nearest to `k / 10^scale`, plus a number of units in the last place.
    Scaled(u32),
    /// The rank of the float in the order of all floats.
    Raw,
}

impl Kind {
    const SCALED: [u32; 3] = [3, 6, 9];

    /// The number of the kind in the coded stream.
    pub fn code(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::Decimal(scale) => 1 + scale,
            Self::Scaled(scale) => 11 + scale / 3 - 1,
            Self::Raw => 14,
        }
    }

    /// The kind with this [`code`](Self::code).
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Zero,
            1..=10 => Self::Decimal(code - 1),
            11..=13 => Self::Scaled(Self::SCALED[code as usize - 11]),
            _ => Self::Raw,
        }
    }
}

/// Buffers that are reused from series to series.
#[derive(Default)]
pub struct Scratch {
    /// Indices of the cells that hold a value.
    pub places: Vec<u32>,
    /// One integer for each entry of `places`.
    pub main: Vec<i64>,
    /// Units in the last place that [`Kind::Scaled`] adds.
    pub rest: Vec<i64>,
}

impl Scratch {
    /// Finds the cells that hold a value; all of them where the series is `full`.
    pub fn find_places(&mut self, states: &[u8], full: bool) {
        self.places.clear();
        if full {
            self.places.extend(0..states.len() as u32);
            return;
        }
        self.places.resize(states.len(), 0);
        let mut held = 0;
        // Without a branch, because the processor could not predict it.
        for (place, &state) in (0..).zip(states) {
            self.places[held] = place;
            held += usize::from(state == VALUE);
        }
        self.places.truncate(held);
    }

    /// Finds the kind that needs the fewest bits for the values, and fills in its integers.
    pub fn split(&mut self, bits: &[u64]) -> Kind {
        if self.places.iter().all(|&place| bits[place as usize] == 0) {
            return Kind::Zero;
        }
        for scale in 0..POWERS.len() as u32 {
            self.main.clear();
            let values = self.places.iter().map(|&place| bits[place as usize]);
            self.main.extend(values.map_while(|bits| exact_decimal(bits, scale)));
            if self.main.len() == self.places.len() {
                return Kind::Decimal(scale);
            }
        }
        let kinds = Kind::SCALED.map(Kind::Scaled).into_iter().chain([Kind::Raw]);
        let best = kinds.min_by_key(|&kind| self.fill(kind, bits)).expect("there are kinds");
        self.fill(best, bits);
        best
    }

    /// Fills in the integers of an inexact kind, and returns approximately how many bits they need.
    fn fill(&mut self, kind: Kind, bits: &[u64]) -> u32 {
        self.main.clear();
        self.rest.clear();
        for bits in self.places.iter().map(|&place| bits[place as usize]) {
            match kind {
                Kind::Scaled(scale) => {
                    let (number, residue) = inexact_decimal(bits, scale);
                    self.main.push(number);
                    self.rest.push(residue);
                }
                _ => self.main.push(ordered(bits)),
            }
        }
        cost(&self.main) + cost(&self.rest)
    }

    /// Converts the integers back into values.
    pub fn join(&self, kind: Kind, bits: &mut [u64]) {
        let places = self.places.iter().map(|&place| place as usize);
        match kind {
            Kind::Zero => places.for_each(|place| bits[place] = 0),
            Kind::Decimal(scale) => {
                let power = POWERS[scale as usize];
                for (place, &number) in places.zip(&self.main) {
                    bits[place] = (number as f64 / power).to_bits();
                }
            }
            Kind::Scaled(scale) => {
                let power = POWERS[scale as usize];
                for ((place, &number), &residue) in places.zip(&self.main).zip(&self.rest) {
                    let near = ordered((number as f64 / power).to_bits());
                    bits[place] = ordered(near.wrapping_add(residue) as u64) as u64;
                }
            }
            Kind::Raw => {
                for (place, &number) in places.zip(&self.main) {
                    bits[place] = ordered(number as u64) as u64;
                }
            }
        }
    }
}

/// Number of bits in the magnitude of a number.
pub fn bit_length(value: i64) -> u32 {
    64 - value.unsigned_abs().leading_zeros()
}

fn cost(numbers: &[i64]) -> u32 {
    let steps = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    numbers.first().map_or(0, |&first| bit_length(first)) + steps.map(bit_length).sum::<u32>()
}

const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Integers up to here are exact as `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn exact_decimal(bits: u64, scale: u32) -> Option<i64> {
    let power = POWERS[scale as usize];
    let number = (f64::from_bits(bits) * power).round();
    // The conversion to an integer and back distinguishes `-0.0` from `0.0`.
    let fits = number.abs() <= EXACT && (number as i64 as f64 / power).to_bits() == bits;
    fits.then_some(number as i64)
}

fn inexact_decimal(bits: u64, scale: u32) -> (i64, i64) {
    let power = POWERS[scale as usize];
    let scaled = (f64::from_bits(bits) * power).round();
    let number = if scaled.abs() <= EXACT { scaled as i64 } else { 0 };
    (number, ordered(bits).wrapping_sub(ordered((number as f64 / power).to_bits())))
}

/// Maps floats to integers in the same order; its own inverse on the bits.
fn ordered(bits: u64) -> i64 {
    let signed = bits as i64;
    signed ^ (((signed >> 63) as u64) >> 1) as i64
}
