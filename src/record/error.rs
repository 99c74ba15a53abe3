//! What ends a recording.

use crate::capture::CaptureError;
use crate::model::LabelsError;
use crate::source::SourceError;

/// A recording cannot go on. A source that fails live is no such error: it becomes a gap.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The capture could not be written.
    #[error("cannot write the capture")]
    Capture(#[from] CaptureError),
    /// History could not be copied to its end; what was committed stays.
    #[error("cannot copy history from Prometheus")]
    History(#[source] SourceError),
    /// PD could not be sampled on a thread of its own.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The recorder's own series were refused.
    #[error("cannot record the recorder's own metrics")]
    OwnMetrics(#[from] LabelsError),
}
