//! What can go wrong between the recorder and a source.

use std::time::Duration;

use crate::model::GapReason;

/// One exchange with a source failed. URLs stand as they may be stored, and the secrets that the
/// recorder sent are taken out of what a server said ([`Redactor`](super::Redactor)).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No connection, or one that broke off in the middle of an exchange.
    #[error("cannot reach {url}: {why}")]
    Connect {
        /// What was asked for.
        url: String,
        /// What the system said.
        why: String,
    },
    /// No complete answer in time.
    #[error("{url} did not answer within {after:?}")]
    Timeout {
        /// What was asked for.
        url: String,
        /// How long the recorder waited for the whole answer.
        after: Duration,
    },
    /// A status that is not a success.
    #[error("{url} answered with status {status}: {body_start}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The first few hundred bytes of the body, on one line.
        body_start: String,
    },
    /// An error that the server reports inside an answer, under whatever status.
    #[error("{url} reports {kind}: {message}")]
    Reported {
        /// What was asked for.
        url: String,
        /// The server's name for the error, such as `execution`.
        kind: String,
        /// What it said.
        message: String,
    },
    /// An answer that is not what was asked for.
    #[error("{url} sent a malformed answer: {why}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An answer larger than the recorder accepts.
    #[error("the answer of {url} exceeds {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// How much was accepted, in decoded bytes.
        limit: u64,
    },
    /// Credentials or a certificate were refused, by either side.
    #[error("{url} refused access: {why}")]
    Unauthorized {
        /// What was asked for.
        url: String,
        /// What was refused.
        why: String,
    },
    /// A redirect that is not followed: to another origin, or one too many.
    #[error("{url} redirects where the recorder does not follow: {why}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where to, or how often.
        why: String,
    },
    /// Native histograms, which captures do not hold.
    #[error("native histograms are not recorded: {series}")]
    NativeHistogram {
        /// The series.
        series: String,
    },
    /// The receiver of the data refused it; the exchange stopped there.
    #[error("the received data was refused: {why}")]
    Sink {
        /// What the receiver said.
        why: String,
    },
    /// Options from which no client or request can be made.
    #[error("{0}")]
    Options(String),
}

impl SourceError {
    /// The reason that a gap left by this error carries.
    pub fn gap_reason(&self) -> GapReason {
        match self {
            Self::Connect { .. } => GapReason::Connect,
            Self::Timeout { .. } => GapReason::Timeout,
            Self::Status { .. } | Self::Redirect { .. } => GapReason::Status,
            // What the receiver refuses is series whose labels are none, and what cannot be asked for
            // is no answer.
            Self::Reported { .. }
            | Self::Malformed { .. }
            | Self::Sink { .. }
            | Self::Options(_) => GapReason::Malformed,
            Self::TooLarge { .. } => GapReason::TooLarge,
            Self::Unauthorized { .. } => GapReason::Unauthorized,
            Self::NativeHistogram { .. } => GapReason::NativeHistogram,
        }
    }

    /// The same error of an exchange with `place`.
    pub(super) fn at(mut self, place: &str) -> Self {
        match &mut self {
            Self::Connect { url, .. }
            | Self::Timeout { url, .. }
            | Self::Status { url, .. }
            | Self::Reported { url, .. }
            | Self::Malformed { url, .. }
            | Self::TooLarge { url, .. }
            | Self::Unauthorized { url, .. }
            | Self::Redirect { url, .. } => place.clone_into(url),
            Self::NativeHistogram { .. } | Self::Sink { .. } | Self::Options(_) => {}
        }
        self
    }

    /// Whether asking for less, by a shorter window or fewer series, may succeed: time-outs,
    /// size limits, statuses 413, 422, 503 and 504, and Prometheus's sample limits.
    ///
    /// Prometheus answers 400 with `exceeded sample limit` where a remote read is too large, and
    /// 422 with `too many samples` where a query is (`storage/remote`, `promql/engine.go`). Where
    /// its own time runs out in the middle of a stream, it ends that with the words of Go's
    /// `context` package.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::TooLarge { .. } => true,
            Self::Status { status: 413 | 422 | 503 | 504, .. } => true,
            Self::Status { body_start: text, .. } => speaks_of_a_limit(text),
            Self::Reported { kind, message, .. } => {
                matches!(kind.as_str(), "timeout" | "canceled" | "unavailable" | "execution")
                    || speaks_of_a_limit(message)
            }
            _ => false,
        }
    }
}

fn speaks_of_a_limit(text: &str) -> bool {
    const WORDS: [&str; 6] = [
        "sample limit",
        "too many samples",
        "maximum resolution",
        "deadline exceeded",
        "timed out",
        "context canceled",
    ];
    WORDS.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, body_start: &str) -> SourceError {
        SourceError::Status {
            url: "http://p/".to_owned(),
            status,
            body_start: body_start.to_owned(),
        }
    }

    #[test]
    fn limits_are_told_from_failures() {
        assert!(status(422, "").is_limit());
        assert!(status(400, "exceeded sample limit (50000000)").is_limit());
        assert!(!status(400, "parse error").is_limit());
        assert!(!status(500, "").is_limit());
        let reported = |kind: &str, message: &str| SourceError::Reported {
            url: String::new(),
            kind: kind.to_owned(),
            message: message.to_owned(),
        };
        assert!(reported("execution", "query processing would load too many samples").is_limit());
        assert!(!reported("bad_data", "parse error").is_limit());
    }
}
