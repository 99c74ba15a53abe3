//! The copy of one window out of Prometheus while a recording runs.
//!
//! What follows from its outcome is decided in `state`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clocks;
use super::copier::{Copier, OpenTick, WindowStats, live_window};
use crate::model::{TimeRange, Timestamp};
use crate::source::SourceError;

/// After an outage the recorder catches up in transactions of at most this length.
pub const LONGEST_SLICE_MS: i64 = 300_000;
/// How long Prometheus may take to answer with its time; after that the last known offset is used.
const CLOCK_OFFSET_TIMEOUT: Duration = Duration::from_secs(5);

/// A running copy of one window.
pub type PendingCopy<'a> = Pin<Box<dyn Future<Output = CopyResult> + 'a>>;

/// The outcome of copying one window.
pub struct CopyResult {
    /// The window.
    pub range: TimeRange,
    /// Prometheus's clock minus steady time, in milliseconds.
    pub offset_ms: i64,
    /// What was copied, or why nothing was.
    pub result: Result<WindowStats, SourceError>,
    /// How long that took.
    pub seconds: f64,
}

/// How far the copy lags behind Prometheus's present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyLag {
    /// So far that the next copy follows at once.
    Behind,
    /// No further than usual: the next copy is due after the interval.
    UpToDate,
}

/// Copies from `copied_through` up to the present of Prometheus's own clock, so that neither a wrong
/// clock of the recorder nor a step of either clock leaves out samples.
pub async fn copy(
    copier: &Copier,
    open_tick: &Mutex<OpenTick>,
    clocks: Clocks,
    (copied_through, offset_ms): (Timestamp, i64),
) -> CopyResult {
    let started = Instant::now();
    let steady = || clocks.read().steady;
    let measured = copier.client.clock_offset(&steady);
    let measured = tokio::time::timeout(CLOCK_OFFSET_TIMEOUT, measured).await.ok();
    let measured = measured.and_then(Result::ok);
    // A server that is down fails the copy below, which then reports why.
    let (offset_ms, uncertainty_ms) =
        measured.map_or((offset_ms, 0), |measured| (measured.offset_ms, measured.uncertainty_ms));
    // Diagnosis counts on samples up to the end of the copy, so it must not pass the server's present.
    let now = steady().saturating_add_millis(offset_ms.saturating_sub(uncertainty_ms));
    let range = live_window(copied_through.min(now), now, LONGEST_SLICE_MS);
    let result = copier.copy_window(open_tick, range).await;
    CopyResult { range, offset_ms, result, seconds: started.elapsed().as_secs_f64() }
}
