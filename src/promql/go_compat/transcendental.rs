//! Transcendental functions, to the bit as Go computes them on amd64.
//!
//! Go's are translations of Cephes (trigonometry), of FreeBSD's `msun` (logarithms) and of
//! SLEEF (`exp`, here with fused multiplication, which servers of the last decade have); its
//! evaluation order is kept. Whatever the machine, these give the same bits.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_E, LOG10_E, PI};

/// The natural logarithm: FreeBSD's `e_log.c`, but with a number below the normal ones taken apart
/// as if it were normal.
pub fn ln(x: f64) -> f64 {
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

fn log1p(x: f64) -> f64 {
    const LN2_HIGH: f64 = 0.6931471803691238;
    const LN2_LOW: f64 = 1.9082149292705877e-10;
    const L: [f64; 7] = [
        0.6666666666666735,
        0.3999999999940942,
        0.2857142874366239,
        0.22222198432149784,
        0.1818357216161805,
        0.15313837699209373,
        0.14798198605116586,
    ];
    if x < -1.0 || x.is_nan() {
        return f64::NAN;
    }
    if x == -1.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let size = x.abs();
    // The exponent, the rest of the mantissa and what rounding `1 + x` loses.
    let (mut k, mut f, mut mantissa, mut lost) = (1_i64, 0.0, 0_u64, 0.0);
    if size < 0.41421356237309503 {
        if size < 1.862645149230957e-09 {
            return if size < 5.551115123125783e-17 { x } else { x - x * x * 0.5 };
        }
        if x > -0.2928932188134525 {
            (k, f, mantissa) = (0, x, 1);
        }
    }
    if k != 0 {
        let sum = if size < 9007199254740992.0 { 1.0 + x } else { x };
        mantissa = sum.to_bits();
        k = (mantissa >> 52) as i64 - 1023;
        if size < 9007199254740992.0 {
            lost = if k > 0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
            lost /= sum;
        }
        mantissa &= 0x000f_ffff_ffff_ffff;
        if mantissa < 0x0006_a09e_667f_3bcd {
            f = f64::from_bits(mantissa | 0x3ff0_0000_0000_0000) - 1.0;
        } else {
            k += 1;
            f = f64::from_bits(mantissa | 0x3fe0_0000_0000_0000) - 1.0;
            mantissa = (0x0010_0000_0000_0000 - mantissa) >> 2;
        }
    }
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

/// An angle above zero as an octant and what is left of it.
fn octant(x: f64) -> (u64, f64) {
    const PI4_HIGH: f64 = 0.7853981256484985;
    const PI4_MIDDLE: f64 = 3.774894707930798e-08;
    const PI4_LOW: f64 = 2.6951514290790595e-15;
    if x >= 536870912.0 {
        return far_octant(x);
    }
    let mut octant = (x * 1.2732395447351628) as u64;
    octant += octant & 1;
    let whole = octant as f64;
    (octant & 7, ((x - whole * PI4_HIGH) - whole * PI4_MIDDLE) - whole * PI4_LOW)
}

/// Payne's and Hanek's reduction, for angles whose octant takes more digits of pi.
fn far_octant(x: f64) -> (u64, f64) {
    /// The digits of 4/pi.
    const DIGITS: [u64; 20] = [
        0x0000_0000_0000_0001,
        0x45f3_06dc_9c88_2a53,
        0xf84e_afa3_ea69_bb81,
        0xb6c5_2b32_7887_2083,
        0xfca2_c757_bd77_8ac3,
        0x6e48_dc74_849b_a5c0,
        0x0c92_5dd4_13a3_2439,
        0xfc3b_d639_6253_4e7d,
        0xd104_6bea_5d76_8909,
        0xd338_e04d_68be_fc82,
        0x7323_ac73_06a6_73e9,
        0x3908_bf17_7bf2_5076,
        0x3ff1_2fff_bc0b_301f,
        0xde5e_2316_b414_da3e,
        0xda6c_fd9e_4f96_136e,
        0x9e8c_7ecd_3cbf_d45a,
        0xea4f_758f_d7cb_e2f6,
        0x7a0e_73ef_14a5_25d4,
        0xd7f6_bf62_3f1a_ba10,
        0xac06_608d_f8f6_d757,
    ];
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023 - 52;
    let mantissa = u128::from((bits & 0x000f_ffff_ffff_ffff) | 1 << 52);
    let place = (exponent + 61) as usize;
    let (digit, shift) = (place / 64, (place % 64) as u32);
    let window =
        |from: usize| DIGITS[from] << shift | DIGITS[from + 1].checked_shr(64 - shift).unwrap_or(0);
    let product = |from: usize| u128::from(window(from)) * mantissa;
    let (first, second, third) = (product(digit) as u64, product(digit + 1), product(digit + 2));
    let sum = (u128::from(first) << 64).wrapping_add(second).wrapping_add(third >> 64);
    let (high, low) = ((sum >> 64) as u64, sum as u64);
    let octant = high >> 61;
    let high = high << 3 | low >> 61;
    let zeros = high.leading_zeros();
    let rest = high.checked_shl(zeros + 1).unwrap_or(0) | low.checked_shr(63 - zeros).unwrap_or(0);
    let rest = f64::from_bits(rest >> 12 | u64::from(1023 - (zeros + 1)) << 52);
    if octant & 1 == 1 {
        return ((octant + 1) & 7, (rest - 1.0) * FRAC_PI_4);
    }
    (octant, rest * FRAC_PI_4)
}

/// The sine of what an octant leaves.
fn sine_of_rest(z: f64) -> f64 {
    const S: [f64; 6] = [
        1.5896230157654656e-10,
        -2.5050747762857807e-08,
        2.7557313621385722e-06,
        -0.0001984126982958954,
        0.008333333333322118,
        -0.1666666666666663,
    ];
    let zz = z * z;
    z + z * zz * (((((S[0] * zz + S[1]) * zz + S[2]) * zz + S[3]) * zz + S[4]) * zz + S[5])
}

/// The cosine of what an octant leaves.
fn cosine_of_rest(z: f64) -> f64 {
    const C: [f64; 6] = [
        -1.1358536521387682e-11,
        2.087570084197473e-09,
        -2.755731417929674e-07,
        2.4801587288851704e-05,
        -0.0013888888888873056,
        0.041666666666666595,
    ];
    let zz = z * z;
    1.0 - 0.5 * zz
        + zz * zz * (((((C[0] * zz + C[1]) * zz + C[2]) * zz + C[3]) * zz + C[4]) * zz + C[5])
}

/// The sine.
pub fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = octant(x.abs());
    let y = if matches!(octant & 3, 1 | 2) { cosine_of_rest(z) } else { sine_of_rest(z) };
    if (x < 0.0) != (octant > 3) { -y } else { y }
}

/// The cosine.
pub fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (octant, z) = octant(x.abs());
    let y = if matches!(octant & 3, 1 | 2) { sine_of_rest(z) } else { cosine_of_rest(z) };
    if (octant > 3) != (octant & 3 > 1) { -y } else { y }
}

/// The tangent.
pub fn tan(x: f64) -> f64 {
    const P: [f64; 3] = [-13093.693918138379, 1153516.6483858742, -17956525.197648488];
    const Q: [f64; 4] =
        [13681.296347069296, -1320892.3444021097, 25008380.18233579, -53869575.592945464];
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return f64::NAN;
    }
    let (octant, z) = octant(x.abs());
    let zz = z * z;
    let mut y = z;
    if zz > 1e-14 {
        let above = (P[0] * zz + P[1]) * zz + P[2];
        let below = (((zz + Q[0]) * zz + Q[1]) * zz + Q[2]) * zz + Q[3];
        y = z + z * (zz * above / below);
    }
    if octant & 2 == 2 {
        y = -1.0 / y;
    }
    if x < 0.0 { -y } else { y }
}

/// The arctangent of a number up to 0.66.
fn atan_of_small(x: f64) -> f64 {
    const P: [f64; 5] = [
        -0.8750608600031904,
        -16.157537187333652,
        -75.00855792314705,
        -122.88666844901361,
        -64.85021904942025,
    ];
    const Q: [f64; 5] = [
        24.858464901423062,
        165.02700983169885,
        432.88106049129027,
        485.3903996359137,
        194.5506571482614,
    ];
    let z = x * x;
    let above = (((P[0] * z + P[1]) * z + P[2]) * z + P[3]) * z + P[4];
    let below = ((((z + Q[0]) * z + Q[1]) * z + Q[2]) * z + Q[3]) * z + Q[4];
    x * (z * above / below) + x
}

/// The arctangent of a number that is not negative.
fn atan_of_positive(x: f64) -> f64 {
    const PI2_LOW: f64 = 6.123233995736766e-17;
    if x <= 0.66 {
        atan_of_small(x)
    } else if x > 2.414213562373095 {
        FRAC_PI_2 - atan_of_small(1.0 / x) + PI2_LOW
    } else {
        FRAC_PI_4 + atan_of_small((x - 1.0) / (x + 1.0)) + 0.5 * PI2_LOW
    }
}

/// The arctangent.
pub fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        atan_of_positive(x)
    } else {
        -atan_of_positive(-x)
    }
}

/// The angle of a point.
pub fn atan2(y: f64, x: f64) -> f64 {
    if y.is_nan() || x.is_nan() {
        return f64::NAN;
    }
    if y == 0.0 {
        return if x.is_sign_positive() { y } else { PI.copysign(y) };
    }
    if x == 0.0 {
        return FRAC_PI_2.copysign(y);
    }
    match (x.is_infinite(), y.is_infinite(), x > 0.0) {
        (true, true, true) => FRAC_PI_4.copysign(y),
        (true, false, true) => 0.0_f64.copysign(y),
        (true, true, false) => 2.356194490192345_f64.copysign(y),
        (true, false, false) => PI.copysign(y),
        (false, true, _) => FRAC_PI_2.copysign(y),
        (false, false, true) => atan(y / x),
        (false, false, false) => {
            let angle = atan(y / x);
            if angle <= 0.0 { angle + PI } else { angle - PI }
        }
    }
}

/// The arcsine.
pub fn asin(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let size = x.abs();
    if size > 1.0 || x.is_nan() {
        return f64::NAN;
    }
    let beside = (1.0 - size * size).sqrt();
    let angle = if size > 0.7 {
        FRAC_PI_2 - atan_of_positive(beside / size)
    } else {
        atan_of_positive(size / beside)
    };
    if x < 0.0 { -angle } else { angle }
}

/// The arccosine.
pub fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// The hyperbolic sine.
pub fn sinh(x: f64) -> f64 {
    const P: [f64; 4] =
        [-630767.3640497717, -89912.72022039509, -2894.211355989564, -26.30563213397497];
    const Q: [f64; 3] = [-630767.3640497717, 15215.17378790019, -173.6789535582337];
    let size = if x < 0.0 { -x } else { x };
    let y = if size > 21.0 {
        exp(size) * 0.5
    } else if size > 0.5 {
        let power = exp(size);
        (power - 1.0 / power) * 0.5
    } else {
        let square = size * size;
        let above = (((P[3] * square + P[2]) * square + P[1]) * square + P[0]) * size;
        above / (((square + Q[2]) * square + Q[1]) * square + Q[0])
    };
    if x < 0.0 { -y } else { y }
}

/// The hyperbolic cosine.
pub fn cosh(x: f64) -> f64 {
    let power = exp(x.abs());
    if x.abs() > 21.0 { power * 0.5 } else { (power + 1.0 / power) * 0.5 }
}

/// The hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    const P: [f64; 3] = [-0.9643991794250523, -99.28772310019185, -1614.6876844170845];
    const Q: [f64; 3] = [112.81167849163293, 2235.4883906010045, 4844.063053251255];
    let size = x.abs();
    if size > 44.014845965556525 {
        return 1.0_f64.copysign(x);
    }
    if size >= 0.625 {
        return (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    }
    if x == 0.0 {
        return x;
    }
    let square = x * x;
    let above = (P[0] * square + P[1]) * square + P[2];
    let below = ((square + Q[0]) * square + Q[1]) * square + Q[2];
    x + x * square * above / below
}

/// The inverse of the hyperbolic sine.
pub fn asinh(x: f64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    let size = if x < 0.0 { -x } else { x };
    let y = if size > 268435456.0 {
        ln(size) + LN_2
    } else if size > 2.0 {
        ln(2.0 * size + 1.0 / ((size * size + 1.0).sqrt() + size))
    } else if size < 3.725290298461914e-09 {
        size
    } else {
        log1p(size + size * size / (1.0 + (1.0 + size * size).sqrt()))
    };
    if x < 0.0 { -y } else { y }
}

/// The inverse of the hyperbolic cosine.
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        f64::NAN
    } else if x == 1.0 {
        0.0
    } else if x >= 268435456.0 {
        ln(x) + LN_2
    } else if x > 2.0 {
        ln(2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt()))
    } else {
        let t = x - 1.0;
        log1p(t + (2.0 * t + t * t).sqrt())
    }
}

/// The inverse of the hyperbolic tangent.
pub fn atanh(x: f64) -> f64 {
    let size = if x < 0.0 { -x } else { x };
    if size > 1.0 || x.is_nan() {
        return f64::NAN;
    }
    let y = if size == 1.0 {
        f64::INFINITY
    } else if size < 3.725290298461914e-09 {
        size
    } else if size < 0.5 {
        let twice = size + size;
        0.5 * log1p(twice + twice * size / (1.0 - size))
    } else {
        0.5 * log1p((size + size) / (1.0 - size))
    };
    if x < 0.0 { -y } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_go() {
        type Function = fn(f64) -> f64;
        let cases: [(&str, Function, f64, u64); 32] = [
            ("exp", exp, -0.8060609621710308, 0x3fdc_9552_3184_feba),
            ("exp", exp, -736.2064455931448, 0x0000_0000_0000_0eb5),
            ("ln", ln, 9.892020842955818, 0x4002_5575_baa7_02d2),
            ("ln", ln, 843366667056289.5, 0x4041_2f28_7b93_131a),
            ("log2", log2, 9.892020842955818, 0x400a_733b_35fc_ce77),
            ("log2", log2, 843366667056289.5, 0x4048_caa4_c4b1_abd4),
            ("log10", log10, 9.892020842955818, 0x3fef_d95f_f9df_c28e),
            ("log10", log10, 843366667056289.5, 0x402d_da1e_d366_eb5d),
            ("sin", sin, -0.8060609621710308, 0xbfe7_1710_becb_4867),
            ("sin", sin, 652235778514288.4, 0xbfe5_7182_a7ad_a4b2),
            ("cos", cos, -0.8060609621710308, 0x3fe6_27b2_f292_07d0),
            ("cos", cos, 652235778514288.4, 0xbfe7_c0a2_efba_74d1),
            ("tan", tan, -0.8060609621710308, 0xbff0_acdd_bbe8_7d10),
            ("tan", tan, 652235778514288.4, 0x3fec_e39e_64f7_2069),
            ("asin", asin, -0.8060609621710308, 0xbfed_ffb8_9c63_d220),
            ("asin", asin, 0.9999848391731923, 0x3ff9_0b6d_53d8_8c20),
            ("acos", acos, -0.8060609621710308, 0x4004_10eb_d13b_0b14),
            ("acos", acos, 0.9999848391731923, 0x3f76_8e00_6ba0_f800),
            ("atan", atan, -0.8060609621710308, 0xbfe5_b5a9_e5a4_d925),
            ("atan", atan, 652235778514288.4, 0x3ff9_21fb_5444_2d11),
            ("sinh", sinh, -0.8060609621710308, 0xbfec_ade7_5d1d_83f0),
            ("sinh", sinh, -709.395533686958, 0xffd5_ba1e_0d7a_14aa),
            ("cosh", cosh, -0.8060609621710308, 0x3ff5_7c48_3af0_01a6),
            ("cosh", cosh, -709.395533686958, 0x7fd5_ba1e_0d7a_14aa),
            ("tanh", tanh, -0.8060609621710308, 0xbfe5_5b6f_7c2b_f2d1),
            ("tanh", tanh, -99113525434.01204, 0xbff0_0000_0000_0000),
            ("asinh", asinh, -0.8060609621710308, 0xbfe7_98bb_77ae_8f2a),
            ("asinh", asinh, 652235778514288.4, 0x4041_66fc_4b63_1abb),
            ("acosh", acosh, 9.892020842955818, 0x4007_dbc5_d2fc_bac1),
            ("acosh", acosh, 843366667056289.5, 0x4041_87e1_878e_fc02),
            ("atanh", atanh, -0.8060609621710308, 0xbff1_d9d3_1227_af57),
            ("atanh", atanh, 0.9999848391731923, 0x4017_9472_6450_8b69),
        ];
        for (name, function, x, bits) in cases {
            assert_eq!(function(x).to_bits(), bits, "{name}({x})");
        }
        assert_eq!(atan2(1.0, -3.0).to_bits(), 0x4006_8f09_5fdf_593c);
    }

    #[test]
    fn edges_are_those_of_go() {
        // What Prometheus answers to `ln(5e-324)`.
        assert_eq!(ln(5e-324), -709.089_565_712_824_1);
        assert!(ln(-1.0).is_nan() && ln(0.0) == f64::NEG_INFINITY);
        assert_eq!((log2(1024.0), log10(1.0)), (10.0, 0.0));
        assert_eq!((exp(-746.0), exp(710.0)), (0.0, f64::INFINITY));
        assert!(acosh(-1e9).is_nan());
        assert!(acos(1.1).is_nan() && acosh(0.9).is_nan() && sin(f64::INFINITY).is_nan());
        assert!(tanh(-0.0).is_sign_negative() && atan2(-0.0, 1.0).is_sign_negative());
    }
}
