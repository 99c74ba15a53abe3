//! The errors that end a recording.

use crate::capture::CaptureError;
use crate::model::LabelsError;
use crate::source::SourceError;

/// An error that ends a recording. A source that fails while recording live is no error but a gap.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The capture could not be written.
    #[error("cannot write the capture")]
    Capture(#[from] CaptureError),
    /// Prometheus failed before all of the history was copied; the committed part stays.
    #[error("cannot copy history from Prometheus")]
    History(#[source] SourceError),
    /// The thread that samples PD could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The recorder's own series were refused by the capture.
    #[error("cannot record the recorder's own metrics")]
    SelfMetrics(#[from] LabelsError),
}
