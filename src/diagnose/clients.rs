//! What clients had of a fault: the requests that TiKV served before, during and after it.
//!
//! Only its shape, as it stands in JSON. What was served is computed in `observations`, and judged in
//! `hypotheses`.

use serde::Serialize;

use crate::model::Timestamp;

/// What clients had of the first cause of a verdict, or of its first change where there is no cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clients {
    /// Whether they suffered; absent where the verdict has neither a cause nor a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// The mode of that cause or change; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<&'static str>,
    /// All of this in a sentence without a full stop.
    pub text: String,
    /// The busiest type of request that suffered; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_affected: Option<String>,
    /// What was served in each stretch, ascending in time.
    pub stretches: Vec<Stretch>,
    /// The same of the statements that TiDB servers ran, of all types together; absent where none is recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Stretch>,
    /// The fewest requests within one scrape interval during the fault; absent where none is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<Least>,
    /// The type of request that took longest within one scrape interval during the fault, where that is far longer
    /// than in any interval before; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest: Option<Slowest>,
    /// Stores of which it is not known what they served, in sentences without a full stop.
    pub not_counted: Vec<String>,
    /// How the numbers are computed, a sentence for each kind; empty where there are none.
    pub computed: Vec<&'static str>,
}

/// Whether clients suffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Fewer requests were served, they took longer, or more of them failed.
    Seen,
    /// As many requests were served as before, as fast, and no more failed.
    NoneSeen,
    /// Too little was recorded.
    CannotTell,
}

/// Which stretch of time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Up to two minutes before the earliest onset, as far as every server's requests are counted.
    Before,
    /// From the onset to the end.
    During,
    /// Up to two minutes after the end.
    After,
    /// All that was observed: nothing happened.
    Throughout,
}

impl Part {
    /// The name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
            Self::Throughout => "throughout",
        }
    }
}

/// What was served in a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stretch {
    /// Which stretch it is.
    pub part: Part,
    /// When it begins.
    pub start_ms: Timestamp,
    /// When it ends.
    pub end_ms: Timestamp,
    /// What was served of all types together.
    pub all: ServedRates,
    /// What was served of each type that had any request, the busiest first.
    pub types: Vec<TypeRates>,
}

/// What was served of one type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TypeRates {
    /// The label `type` of TiKV's metrics, such as `raw_get`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was served of it.
    #[serde(flatten)]
    pub rates: ServedRates,
}

/// Requests in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServedRates {
    /// Requests a second, in hundredths.
    pub requests_per_second: f64,
    /// Failed requests a second, in hundredths.
    pub failed_per_second: f64,
    /// The milliseconds in which 99 of 100 requests were served, in hundredths; absent where fewer than 200
    /// requests were observed, or no buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

/// The fewest requests within one scrape interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Least {
    /// When that interval begins.
    pub at_ms: Timestamp,
    /// Requests a second in it, in hundredths.
    pub requests_per_second: f64,
}

/// How long the requests of a type took within one scrape interval, beside the slowest one before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slowest {
    /// When that interval begins.
    pub at_ms: Timestamp,
    /// The label `type` of TiKV's metrics, such as `raw_put`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The milliseconds in which 99 of 100 were served in it, in hundredths.
    pub p99_ms: f64,
    /// The same of the slowest interval before the fault.
    pub before_p99_ms: f64,
}
