//! Trigonometric functions and their inverses. Translations of Cephes in Go's order of evaluation.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// A positive angle as an octant, made even and modulo 8, and the remaining angle.
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

/// Payne-Hanek reduction, for angles whose octant needs more digits of π.
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

/// The sine of the angle that remains beside an octant.
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

/// The cosine of the angle that remains beside an octant.
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

/// The sine of an angle in radians.
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

/// The cosine of an angle in radians.
pub fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (octant, z) = octant(x.abs());
    let y = if matches!(octant & 3, 1 | 2) { sine_of_rest(z) } else { cosine_of_rest(z) };
    if (octant > 3) != (octant & 3 > 1) { -y } else { y }
}

/// The tangent of an angle in radians.
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

/// The arctangent, in radians between -π/2 and π/2.
pub fn atan(x: f64) -> f64 {
    if x == 0.0 {
        x
    } else if x > 0.0 {
        atan_of_positive(x)
    } else {
        -atan_of_positive(-x)
    }
}

/// The angle of the point `(x, y)`, in radians between -π and π.
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

/// The arcsine, in radians between -π/2 and π/2; NaN beyond -1 and 1.
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

/// The arccosine, in radians between 0 and π; NaN beyond -1 and 1.
pub fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}
