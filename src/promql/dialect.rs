//! The two generations of Prometheus whose answers differ.
//!
//! The differences between the two are in the evaluator, where each has an effect; what Prometheus
//! 2 does not parse is listed in `syntax::v3_features`.

/// The generation of Prometheus whose answers the engine gives, to the bit.
///
/// Before version 3 a window holds both its ends, `[t-r, t]`; since then it leaves out the earlier
/// one. Summation, extrapolation and the regular expressions' dot differ as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// The answers of Prometheus 2, up to its last release.
    V2,
    /// The answers of Prometheus 3.
    V3,
}

impl Dialect {
    /// The dialect of a server by its version, such as `2.42.0` or `v3.1.0`. A version that is not
    /// understood counts as the newest generation.
    pub fn of_version(version: &str) -> Self {
        let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
        if matches!(major, "0" | "1" | "2") { Self::V2 } else { Self::V3 }
    }
}
