//! Transcendental functions, to the bit as Go computes them on amd64.
//!
//! Go's are translations of Cephes (trigonometry), of FreeBSD's `msun` (logarithms) and of
//! SLEEF (`exp`, here with fused multiplication, which servers of the last decade have); its
//! evaluation order is kept. Whatever the machine, these give the same bits.

mod exponential;
mod hyperbolic;
mod trigonometric;

pub use exponential::{exp, ln, log2, log10};
pub use hyperbolic::{acosh, asinh, atanh, cosh, sinh, tanh};
pub use trigonometric::{acos, asin, atan, atan2, cos, sin, tan};

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
