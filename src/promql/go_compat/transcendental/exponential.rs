//! Logarithms and the exponential function. Translations of FreeBSD's `msun` (logarithms) and of
//! SLEEF (`exp`, with fused multiplication), in Go's order of evaluation.

use std::f64::consts::{LOG2_E, LOG10_E};

/// The natural logarithm of 2 in two parts, and the coefficients of `log(1 + s)`: those of FreeBSD's
/// `e_log.c` and `s_log1p.c`.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const L: [f64; 7] = [
    0.666_666_666_666_673_5,
    0.399_999_999_994_094_2,
    0.285_714_287_436_623_9,
    0.222_221_984_321_497_84,
    0.181_835_721_616_180_5,
    0.153_138_376_992_093_73,
    0.147_981_986_051_165_86,
];

/// The natural logarithm: FreeBSD's `e_log.c`, but with a number below the normal ones taken apart
/// as if it were normal.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x <= 0.0 {
        return if x == 0.0 { f64::NEG_INFINITY } else { f64::NAN };
    }
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1022.0;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3fe0_0000_0000_0000);
    if mantissa < std::f64::consts::FRAC_1_SQRT_2 {
        mantissa *= 2.0;
        exponent -= 1.0;
    }
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let (s2, s4) = (s * s, (s * s) * (s * s));
    let odd = s2 * (L[0] + s4 * (L[2] + s4 * (L[4] + s4 * L[6])));
    let even = s4 * (L[1] + s4 * (L[3] + s4 * L[5]));
    let half_square = 0.5 * f * f;
    exponent * LN2_HIGH
        - ((half_square - (s * (half_square + (odd + even)) + exponent * LN2_LOW)) - f)
}

/// The logarithm to base 2, exact for powers of two.
pub fn log2(x: f64) -> f64 {
    if !x.is_finite() || x <= 0.0 {
        return ln(x);
    }
    let (fraction, exponent) = libm::frexp(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln(fraction) * LOG2_E + f64::from(exponent)
}

/// The logarithm to base 10.
pub fn log10(x: f64) -> f64 {
    ln(x) * LOG10_E
}

/// The exponential function.
pub fn exp(x: f64) -> f64 {
    const LN2_HIGH: f64 = 0.693147180559663;
    const LN2_LOW: f64 = 2.8235290563031577e-13;
    // The inverses of the factorials, from 8 down to 2.
    const TAYLOR: [f64; 7] = [
        2.48015873015873e-05,
        0.0001984126984126984,
        0.001388888888888889,
        0.008333333333333333,
        0.041666666666666664,
        0.16666666666666666,
        0.5,
    ];
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x == f64::NEG_INFINITY {
        return 0.0;
    }
    if x > 7.09782712893384e2 {
        return f64::INFINITY;
    }
    // What is no 32-bit number is far below what underflows.
    let exponent = (x * LOG2_E).round_ties_even().max(f64::from(i32::MIN));
    let mut rest = LN2_HIGH.mul_add(-exponent, x);
    rest = LN2_LOW.mul_add(-exponent, rest);
    rest *= 0.0625;
    let mut sum = TAYLOR[0];
    for term in &TAYLOR[1..] {
        sum = rest.mul_add(sum, *term);
    }
    sum = rest.mul_add(sum, 1.0);
    rest *= sum;
    for _ in 0..3 {
        rest *= rest + 2.0;
    }
    rest = (rest + 2.0).mul_add(rest, 1.0);
    let biased = exponent as i64 + 0x3ff;
    match biased {
        0x7ff.. => f64::INFINITY,
        1.. => rest * f64::from_bits((biased as u64) << 52),
        -52.. => rest * f64::from_bits(((biased + 0x3fe) as u64) << 52) * f64::from_bits(1 << 52),
        _ => 0.0,
    }
}

/// The number `1 + x`, taken apart as `2^k (1 + f)`.
struct OnePlus {
    k: i64,
    f: f64,
    /// The mantissa that decides whether the polynomial is needed; 0 where `f` is tiny.
    mantissa: u64,
    /// What rounding `1 + x` loses, relative to the sum.
    lost: f64,
}

impl OnePlus {
    fn of(x: f64) -> Self {
        let size = x.abs();
        if size < 0.41421356237309503 && x > -0.2928932188134525 {
            return Self { k: 0, f: x, mantissa: 1, lost: 0.0 };
        }
        let sum = if size < 9007199254740992.0 { 1.0 + x } else { x };
        let mut k = (sum.to_bits() >> 52) as i64 - 1023;
        let mut lost = 0.0;
        if size < 9007199254740992.0 {
            lost = if k > 0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
            lost /= sum;
        }
        let mut mantissa = sum.to_bits() & 0x000f_ffff_ffff_ffff;
        let f;
        if mantissa < 0x0006_a09e_667f_3bcd {
            f = f64::from_bits(mantissa | 0x3ff0_0000_0000_0000) - 1.0;
        } else {
            k += 1;
            f = f64::from_bits(mantissa | 0x3fe0_0000_0000_0000) - 1.0;
            mantissa = (0x0010_0000_0000_0000 - mantissa) >> 2;
        }
        Self { k, f, mantissa, lost }
    }
}

/// The natural logarithm of `1 + x`: FreeBSD's `s_log1p.c`.
pub(super) fn log1p(x: f64) -> f64 {
    if x < -1.0 || x.is_nan() {
        return f64::NAN;
    }
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    if x.abs() < 1.862645149230957e-09 {
        return if x.abs() < 5.551115123125783e-17 { x } else { x - x * x * 0.5 };
    }
    let OnePlus { k, f, mantissa, lost } = OnePlus::of(x);
    let half_square = 0.5 * f * f;
    let exponent = k as f64;
    if mantissa == 0 {
        if f == 0.0 {
            return if k == 0 { 0.0 } else { exponent * LN2_HIGH + (lost + exponent * LN2_LOW) };
        }
        let rest = half_square * (1.0 - 0.6666666666666666 * f);
        if k == 0 {
            return f - rest;
        }
        return exponent * LN2_HIGH - ((rest - (exponent * LN2_LOW + lost)) - f);
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let rest = z * L.iter().rev().copied().reduce(|sum, term| term + z * sum).unwrap_or_default();
    if k == 0 {
        return f - (half_square - s * (half_square + rest));
    }
    exponent * LN2_HIGH
        - ((half_square - (s * (half_square + rest) + (exponent * LN2_LOW + lost))) - f)
}
