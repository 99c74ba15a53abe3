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
    /// The dialect of a server by its version, such as `2.42.0`, `v3.1.0` or, of a compatible server,
    /// `0.42.4 (PromQL 3)`. A version that is not understood counts as the newest generation.
    pub fn of_version(version: &str) -> Self {
        let said = version.split_once("(PromQL ").map(|(_, said)| said.trim_end_matches(')'));
        let version = said.unwrap_or(version.trim_start_matches('v'));
        let major = version.split('.').next().unwrap_or_default();
        if matches!(major, "0" | "1" | "2") { Self::V2 } else { Self::V3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_that_a_compatible_server_evaluates_counts_more_than_its_version() {
        assert_eq!(Dialect::of_version("2.42.0"), Dialect::V2);
        assert_eq!(Dialect::of_version("v3.1.0"), Dialect::V3);
        assert_eq!(Dialect::of_version("0.42.4 (PromQL 3)"), Dialect::V3);
        assert_eq!(Dialect::of_version("3.0.0 (PromQL 2)"), Dialect::V2);
        assert_eq!(Dialect::of_version("unknown"), Dialect::V3);
    }
}
