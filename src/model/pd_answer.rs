//! One answer of PD's HTTP API as it came, before anything reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::gap::GapReason;
use super::time::Timestamp;

/// What came back for one request to one PD member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PdAnswer {
    /// When the request was sent.
    pub sent: Timestamp,
    /// The member's name; its URL's host and port where the name is not known.
    pub member: String,
    /// The member's client URL, without credentials.
    pub url: String,
    /// Path and query, such as `/pd/api/v1/stores?state=0&state=1&state=2`.
    pub path: String,
    /// Time from sending to the last byte or the error, in microseconds.
    pub elapsed_us: u32,
    /// The answer or why there is none.
    pub outcome: PdOutcome,
}

impl PdAnswer {
    /// When the recorder knew the answer: the sending plus the time it took, rounded up.
    pub fn observed(&self) -> Timestamp {
        self.sent.saturating_add_millis(i64::from(self.elapsed_us.div_ceil(1000)))
    }

    /// The body of a success, or `None`.
    pub fn success(&self) -> Option<&[u8]> {
        match &self.outcome {
            PdOutcome::Answered { status: 200..=299, body } => Some(body),
            _ => None,
        }
    }
}

/// An answer, whatever its status, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PdOutcome {
    /// The member answered.
    Answered {
        /// The HTTP status, 100 to 599.
        status: u16,
        /// The body as sent, after content decoding. Most answers repeat an earlier one, so those
        /// of a capture share their bodies: a day's would take a gigabyte otherwise.
        body: Arc<[u8]>,
    },
    /// The member did not answer, or not with something that can be kept.
    Failed {
        /// What kind of failure.
        reason: GapReason,
        /// What the client said, for a person.
        detail: String,
    },
}
