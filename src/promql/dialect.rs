//! Which generation of Prometheus is spoken.
//!
//! What differs between the two stands where it is evaluated; what Prometheus 2 refuses to parse
//! stands in `syntax`.

/// Which generation of Prometheus an answer has to equal.
///
/// Before version 3 a window holds both its ends, `[t-r, t]`; since then it leaves out the earlier
/// one. Summation, extrapolation and the regular expressions' dot differ as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Prometheus 2.
    V2,
    /// Prometheus 3.
    V3,
}

impl Dialect {
    /// That of a server's version, such as `2.42.0`; an unknown one counts as the newest.
    pub fn of_version(version: &str) -> Self {
        let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
        if matches!(major, "0" | "1" | "2") { Self::V2 } else { Self::V3 }
    }
}
