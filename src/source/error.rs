//! The errors of an exchange with a source.

use std::time::Duration;

use super::obstacle::Obstacle;
use crate::model::GapReason;

/// The error of one exchange with a source. URLs are without secrets, and the secrets that the recorder
/// sent are removed from what a server answered ([`Redactor`](super::Redactor)).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The connection could not be made, or was closed in the middle of an exchange.
    #[error("cannot reach {url}: {why}")]
    Connect {
        /// The URL of the request, without secrets.
        url: String,
        /// The system's error message.
        why: String,
    },
    /// The connection could not be made or was of no use, and the cause is known.
    #[error("cannot reach {url}: {obstacle}")]
    Blocked {
        /// The URL of the request, without secrets.
        url: String,
        /// The cause.
        obstacle: Obstacle,
    },
    /// No complete answer arrived in time.
    #[error("{url} did not answer within {after:?}")]
    Timeout {
        /// The URL of the request, without secrets.
        url: String,
        /// How long the recorder waited for the whole answer.
        after: Duration,
    },
    /// The status of the answer is not a success.
    #[error("{url} answered with status {status}: {body_start}")]
    Status {
        /// The URL of the request, without secrets.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The first few hundred bytes of the body, on one line.
        body_start: String,
    },
    /// The server reports an error inside an answer, whatever its status is.
    #[error("{url} reports {kind}: {message}")]
    Reported {
        /// The URL of the request, without secrets.
        url: String,
        /// The server's name for the error, such as `execution`.
        kind: String,
        /// The server's error message.
        message: String,
    },
    /// The answer does not have the expected form.
    #[error("{url} sent a malformed answer: {why}")]
    Malformed {
        /// The URL of the request, without secrets.
        url: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// The answer is larger than the recorder accepts.
    #[error("the answer of {url} exceeds {limit} bytes")]
    TooLarge {
        /// The URL of the request, without secrets.
        url: String,
        /// The accepted size, in bytes after decompression.
        limit: u64,
    },
    /// Credentials or a certificate were refused, by the server or by the recorder.
    #[error("{url} refused access: {why}")]
    Unauthorized {
        /// The URL of the request, without secrets.
        url: String,
        /// What was refused.
        why: String,
    },
    /// The server redirects to another origin or too often; such a redirect is not followed.
    #[error("{url} redirects where the recorder does not follow: {why}")]
    Redirect {
        /// The URL of the request, without secrets.
        url: String,
        /// The target of the redirect, or the number of redirects.
        why: String,
    },
    /// A series has native histograms, which captures cannot hold.
    #[error("native histograms are not recorded: {series}")]
    NativeHistogram {
        /// The labels of the series.
        series: String,
    },
    /// The receiver of the data refused it, and the exchange was ended.
    #[error("the received data was refused: {why}")]
    Sink {
        /// The receiver's error message.
        why: String,
    },
    /// The options do not allow a client or a request to be made.
    #[error("{0}")]
    Options(String),
}

impl SourceError {
    /// The reason that a gap left by this error carries.
    pub fn gap_reason(&self) -> GapReason {
        match self {
            Self::Blocked { obstacle, .. } if obstacle.is_about_certificates() => {
                GapReason::Unauthorized
            }
            Self::Connect { .. } | Self::Blocked { .. } => GapReason::Connect,
            Self::Timeout { .. } => GapReason::Timeout,
            Self::Status { .. } | Self::Redirect { .. } => GapReason::Status,
            // The receiver refuses series with invalid labels, and a request that cannot be sent has
            // no valid answer.
            Self::Reported { .. }
            | Self::Malformed { .. }
            | Self::Sink { .. }
            | Self::Options(_) => GapReason::Malformed,
            Self::TooLarge { .. } => GapReason::TooLarge,
            Self::Unauthorized { .. } => GapReason::Unauthorized,
            Self::NativeHistogram { .. } => GapReason::NativeHistogram,
        }
    }

    /// The same error with `place` as its URL.
    pub(super) fn at(mut self, place: &str) -> Self {
        match &mut self {
            Self::Connect { url, .. }
            | Self::Blocked { url, .. }
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

    /// Whether a smaller request, by a shorter window or fewer series, may succeed: timeouts,
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
            Self::Status { body_start: text, .. } => names_a_limit(text),
            Self::Reported { kind, message, .. } => {
                matches!(kind.as_str(), "timeout" | "canceled" | "unavailable" | "execution")
                    || names_a_limit(message)
            }
            _ => false,
        }
    }
}

fn names_a_limit(text: &str) -> bool {
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
