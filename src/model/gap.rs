//! What was not observed, and why.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{TimeRange, Timestamp};

/// Where an observation comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Source {
    /// The Prometheus server as a whole.
    Prometheus,
    /// One PD member, by name where it is known and else by URL.
    PdMember(String),
    /// The recorder itself.
    Recorder,
}

impl Source {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "prometheus" => Some(Self::Prometheus),
            "recorder" => Some(Self::Recorder),
            other => other.strip_prefix("pd/").map(|name| Self::PdMember(name.to_owned())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prometheus => formatter.write_str("prometheus"),
            Self::PdMember(name) => write!(formatter, "pd/{name}"),
            Self::Recorder => formatter.write_str("recorder"),
        }
    }
}

/// Why nothing was observed. The names are stable: they stand in captures and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// No connection: refused, reset, unreachable, name not resolved.
    Connect,
    /// No answer in time.
    Timeout,
    /// An HTTP status that is not a success.
    Status,
    /// An answer that is not what was asked for: HTML, half a JSON, a broken frame, an error
    /// body under a success status.
    Malformed,
    /// An answer larger than the recorder accepts.
    TooLarge,
    /// Credentials or a certificate were refused.
    Unauthorized,
    /// Native histograms, which captures do not hold.
    NativeHistogram,
    /// The recorder was not running, or had no space to store what came.
    RecorderDown,
    /// The source no longer holds, or never held, what was asked for.
    NotRetained,
    /// Anything else; the detail says what. Of Prometheus, series that cannot be read, and what a server leaves out
    /// that does not answer completely.
    Other,
}

impl GapReason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Timeout,
        Self::Status,
        Self::Malformed,
        Self::TooLarge,
        Self::Unauthorized,
        Self::NativeHistogram,
        Self::RecorderDown,
        Self::NotRetained,
        Self::Other,
    ];

    /// The name that stands in captures and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::NativeHistogram => "native_histogram",
            Self::RecorderDown => "recorder_down",
            Self::NotRetained => "not_retained",
            Self::Other => "other",
        }
    }

    /// Reads what [`name`](Self::name) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == text)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A stretch of time that one source does not cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// From when to when.
    pub range: TimeRange,
    /// The source that was not observed.
    pub source: Source,
    /// Why nothing was observed.
    pub reason: GapReason,
    /// What was asked for and what came instead, for a person; never a secret.
    pub detail: String,
    /// When the recorder fetched what had been missing after all; until then, and for good
    /// where this is `None`, nothing in `range` may be read as zero or as absence.
    pub healed_at: Option<Timestamp>,
}

impl Gap {
    /// Whether it leaves out single metrics or series of a source that answered otherwise.
    pub fn is_partial(&self) -> bool {
        matches!(
            self.reason,
            GapReason::NativeHistogram
                | GapReason::TooLarge
                | GapReason::NotRetained
                | GapReason::Other
        )
    }

    /// Whether at an instant nothing was known of what it leaves out.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.range.start <= at && self.healed_at.is_none_or(|healed| healed > at)
    }
}

/// Outages: segments of one source and reason that adjoin are one, with the first one's detail.
/// A recorder writes a long outage in segments, lest its own end lose the knowledge of it. Sorted
/// as [`Gap`] sorts.
pub fn joined<'a>(gaps: impl IntoIterator<Item = &'a Gap>) -> Vec<Gap> {
    let mut segments: Vec<&Gap> = gaps.into_iter().collect();
    segments.sort_unstable();
    let mut outages: Vec<Gap> = Vec::new();
    // Where an outage ends and what it is, with its place among the outages: the first that a
    // segment adjoins takes it.
    let mut ends: BTreeSet<(Timestamp, &Source, GapReason, bool, usize)> = BTreeSet::new();
    for gap in segments {
        let key = |end, place| (end, &gap.source, gap.reason, gap.healed_at.is_some(), place);
        let start = gap.range.start;
        let adjoined = ends.range(key(start, 0)..=key(start, usize::MAX)).next().copied();
        let place = match adjoined {
            Some(found) => {
                ends.remove(&found);
                let outage = &mut outages[found.4];
                outage.range.end = gap.range.end;
                outage.healed_at = outage.healed_at.max(gap.healed_at);
                found.4
            }
            None => {
                outages.push(gap.clone());
                outages.len() - 1
            }
        };
        ends.insert(key(gap.range.end, place));
    }
    outages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources_and_reasons_read_back() {
        for source in [Source::Prometheus, Source::Recorder, Source::PdMember("pd0".to_owned())] {
            assert_eq!(Source::parse(&source.to_string()), Some(source));
        }
        for reason in GapReason::ALL {
            assert_eq!(GapReason::parse(reason.name()), Some(reason));
        }
    }

    #[test]
    fn segments_that_adjoin_are_one_outage() {
        let gap = |start, end, reason, healed_at: Option<i64>| Gap {
            range: TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end)),
            source: Source::Prometheus,
            reason,
            detail: start.to_string(),
            healed_at: healed_at.map(Timestamp::from_millis),
        };
        let segments = [
            gap(20, 30, GapReason::Connect, Some(60)),
            gap(0, 10, GapReason::Connect, Some(50)),
            gap(10, 20, GapReason::Connect, Some(70)),
            gap(30, 40, GapReason::Timeout, Some(60)),
            gap(40, 50, GapReason::Timeout, None),
        ];
        let whole = Gap { detail: "0".to_owned(), ..gap(0, 30, GapReason::Connect, Some(70)) };
        assert_eq!(joined(&segments), [&[whole], &segments[3..]].concat());
    }
}
