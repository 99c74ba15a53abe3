//! Copies the past out of Prometheus at full speed, in slices of bounded size.
//!
//! How one slice is copied is in `copier`; live recording is in `recorder`.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::copier::{Copier, OpenTick, WindowStats, lock};
use super::error::RecordError;
use super::recorder::{Ending, Stop};
use crate::capture::{CaptureWriter, Tick};
use crate::model::{Gap, GapReason, Source, TimeRange, Timestamp};
use crate::record::coverage::healed;
use crate::source::SourceError;

/// The first slice is short, since the length of the next ones is estimated from it.
const FIRST_SLICE_MS: i64 = 60_000;
/// The number of samples that a slice should have, so that a batch stays below four million even where
/// the rate doubles from one slice to the next.
const SAMPLES_PER_SLICE: u64 = 2_000_000;
/// The longest slice, however few samples it has, so that a transaction stays bounded.
const LONGEST_SLICE_MS: i64 = 6 * 3_600_000;
/// The waits between attempts at a slice; after one more attempt the copy ends.
const RETRIES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// How long a running slice may take once the caller wants to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The progress of a copy of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryProgress {
    /// The part of the window that is copied, in milliseconds.
    pub done_ms: i64,
    /// The length of the window in milliseconds.
    pub total_ms: i64,
    /// The number of samples that were copied.
    pub samples: u64,
    /// Bytes of the answers' bodies.
    pub received_bytes: u64,
    /// The number of series in the capture.
    pub series: u64,
    /// The number of gaps in what was copied, each as long as a slice at most.
    pub gaps: u64,
    /// Size of the capture in bytes.
    pub file_bytes: u64,
}

impl HistoryProgress {
    /// The samples and the bytes of the file that the whole window will have, extrapolated from what is
    /// copied. `None` before the first slice.
    pub fn estimate(&self) -> Option<(u64, u64)> {
        let share = self.done_ms as f64 / self.total_ms.max(1) as f64;
        (share > 0.0).then(|| {
            ((self.samples as f64 / share) as u64, (self.file_bytes as f64 / share) as u64)
        })
    }
}

/// Copies `range` into `writer`, continuing where an earlier copy stopped. Returns the writer, and how
/// the copy ended.
///
/// Every slice is one durable transaction. A slice that fails is tried again with growing waits;
/// then the rest of the window becomes a gap, the capture is sealed, and the copy ends with an error.
/// Recording the same range into the same capture again continues there and heals the gap. When `stop`
/// asks for an end, the running slice has 1.5 s to finish.
///
/// # Errors
///
/// [`RecordError::History`] where Prometheus fails for good, [`RecordError::Capture`] where the
/// capture cannot be written.
pub async fn copy_history(
    copier: &Copier,
    writer: CaptureWriter,
    range: TimeRange,
    now: &(dyn Fn() -> Timestamp + Sync),
    mut stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&HistoryProgress),
) -> Result<(CaptureWriter, Ending), RecordError> {
    let copied = writer.copied_through().filter(|through| range.contains(*through));
    let first = copied.unwrap_or(range.start);
    let mut start = first;
    let mut slice_ms = FIRST_SLICE_MS;
    let mut state = HistoryProgress { total_ms: range.millis(), ..HistoryProgress::default() };
    let tick = Tick { gaps: gap_before(&writer, range).into_iter().collect(), ..Tick::default() };
    let open_tick = Mutex::new(OpenTick { writer, tick, feed: None });
    let mut is_abandoned = false;
    while start < range.end {
        let end = start.saturating_add_millis(slice_ms).min(range.end);
        let slice = TimeRange::new(start, end);
        let mut stopping = stop.clone();
        let result = tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop >= Stop::AtOnce) => {
                is_abandoned = true;
                break;
            }
            () = stop_timeout(&mut stopping) => break,
            result = copy_slice(copier, &open_tick, slice) => result,
        };
        match result {
            Ok(stats) => {
                let covered = TimeRange::new(first, end);
                commit(&open_tick, covered, &stats, now(), &mut state)?;
                state.done_ms = end - range.start;
                progress(&state);
                slice_ms = next_slice_ms(slice.millis(), stats.samples);
                start = end;
            }
            Err(error) => {
                let rest = TimeRange::new(start, range.end);
                give_up(&open_tick, rest, &error)?;
                return Err(RecordError::History(error));
            }
        }
        if *stop.borrow() != Stop::No {
            break;
        }
    }
    let open_tick = open_tick.into_inner().expect("nobody panics while holding the open tick");
    let ending = match (is_abandoned, start < range.end) {
        (true, _) => Ending::Abandoned,
        (false, true) => Ending::Early,
        (false, false) => Ending::Sealed,
    };
    Ok((open_tick.writer, ending))
}

/// Resolves [`SHUTDOWN_TIMEOUT`] after the caller wanted to stop. The samples of the running slice are
/// dropped then: a later copy reads them again.
async fn stop_timeout(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop > Stop::No).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(SHUTDOWN_TIMEOUT).await;
}

/// The gap between an earlier copy and this one, which no copy covers.
fn gap_before(writer: &CaptureWriter, range: TimeRange) -> Option<Gap> {
    let through = writer.copied_through().filter(|through| *through < range.start)?;
    Some(Gap {
        range: TimeRange::new(through, range.start),
        source: Source::Recorder,
        reason: GapReason::RecorderDown,
        detail: "no recorder was running, and this time was not copied".to_owned(),
        healed_at: None,
    })
}

async fn copy_slice(
    copier: &Copier,
    open_tick: &Mutex<OpenTick>,
    slice: TimeRange,
) -> Result<WindowStats, SourceError> {
    for wait in RETRIES {
        match copier.copy_window(open_tick, slice).await {
            Ok(stats) => return Ok(stats),
            Err(error) => tracing::warn!(%error, ?wait, "a slice failed and is tried again"),
        }
        sleep(wait).await;
    }
    copier.copy_window(open_tick, slice).await
}

fn commit(
    open_tick: &Mutex<OpenTick>,
    covered: TimeRange,
    stats: &WindowStats,
    now: Timestamp,
    progress: &mut HistoryProgress,
) -> Result<(), RecordError> {
    let mut open_tick = lock(open_tick);
    let mut tick = std::mem::take(&mut open_tick.tick);
    let healed = healed(open_tick.writer.open_gaps(), covered);
    tick.gaps.extend(stats.left_out.iter().cloned());
    progress.gaps += tick.gaps.len() as u64;
    tick.copied_from = Some(covered.start);
    tick.copied_through = Some(covered.end);
    tick.healed.extend(healed.map(|gap| Gap { healed_at: Some(now), ..gap.clone() }));
    let commit = open_tick.writer.commit(tick)?;
    progress.samples += commit.samples as u64;
    progress.received_bytes += stats.bytes;
    progress.series = open_tick.writer.index().len() as u64;
    progress.file_bytes = commit.file_bytes;
    Ok(())
}

fn give_up(
    open_tick: &Mutex<OpenTick>,
    rest: TimeRange,
    error: &SourceError,
) -> Result<(), RecordError> {
    let mut open_tick = lock(open_tick);
    let mut tick = std::mem::take(&mut open_tick.tick);
    tick.gaps.push(Gap {
        range: rest,
        source: Source::Prometheus,
        reason: error.gap_reason(),
        detail: error.to_string(),
        healed_at: None,
    });
    open_tick.writer.commit(tick)?;
    open_tick.writer.seal()?;
    Ok(())
}

/// The length of a slice with about [`SAMPLES_PER_SLICE`] samples, in milliseconds; at most four times
/// that of the last slice.
fn next_slice_ms(last_ms: i64, samples: u64) -> i64 {
    let ratio = SAMPLES_PER_SLICE as f64 / samples.max(1) as f64;
    let next = last_ms as f64 * ratio.min(4.0);
    (next as i64).clamp(1_000, LONGEST_SLICE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_grow_where_samples_are_few_and_shrink_where_they_are_many() {
        assert_eq!(next_slice_ms(60_000, 100_000), 240_000);
        assert_eq!(next_slice_ms(60_000, 4_000_000), 30_000);
        assert_eq!(next_slice_ms(60_000, 0), 240_000);
        assert_eq!(next_slice_ms(LONGEST_SLICE_MS, 0), LONGEST_SLICE_MS);
    }

    #[test]
    fn the_estimate_extends_what_is_copied() {
        let progress = HistoryProgress {
            done_ms: 10,
            total_ms: 100,
            samples: 7,
            file_bytes: 3,
            ..HistoryProgress::default()
        };
        assert_eq!(progress.estimate(), Some((70, 30)));
        assert_eq!(HistoryProgress::default().estimate(), None);
    }
}
