//! Hyperbolic functions and their inverses. Translations of Cephes and of FreeBSD's `msun` in Go's
//! order of evaluation.

use std::f64::consts::LN_2;

use super::exponential::{exp, ln, log1p};

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
