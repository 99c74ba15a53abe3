//! Commits the open tick. While the disk is full, it removes what need not be kept, or waits.
//!
//! Gaps for the time of a full disk are not made here: `coverage` derives them from what was due.

use std::sync::Mutex;

use tokio::time::Instant;

use super::clock::Clocks;
use super::copier::{OpenTick, lock};
use super::error::RecordError;
use super::recorder::{Progress, Succession};
use crate::capture::{CaptureError, CommitStats, Tick};
use crate::model::{Gap, PdAnswer, TimeRange, Timestamp};
use crate::record::full_disk::DiskShortage;
use crate::record::self_metrics::SelfMetrics;

/// Writes the open tick again and again, each time as one durable transaction.
pub struct Committer<'a> {
    open_tick: &'a Mutex<OpenTick>,
    clocks: Clocks,
    succession: Option<Box<dyn Succession>>,
    shortage: Option<DiskShortage>,
    copy_is_lost: bool,
    /// The metrics that the recorder records about itself.
    pub self_metrics: SelfMetrics,
    /// The state that is reported after every commit.
    pub progress: Progress,
    report: &'a mut dyn FnMut(&Progress),
}

impl<'a> Committer<'a> {
    /// A committer that writes the tick of `open_tick` and calls `report` after every commit.
    pub fn new(
        open_tick: &'a Mutex<OpenTick>,
        clocks: Clocks,
        succession: Option<Box<dyn Succession>>,
        report: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        Self {
            open_tick,
            clocks,
            succession,
            shortage: None,
            copy_is_lost: false,
            self_metrics: SelfMetrics::default(),
            progress: Progress::default(),
            report,
        }
    }

    /// Whether nothing can be committed because the disk is full.
    pub fn is_short_of_space(&self) -> bool {
        self.shortage.is_some()
    }

    /// Whether these answers can be committed now, or held in memory until there is room.
    pub fn can_hold(&mut self, answers: &[PdAnswer]) -> bool {
        self.shortage.as_mut().is_none_or(|shortage| shortage.try_hold(answers))
    }

    /// Notes that a new copy starts, of which no sample is lost yet.
    pub fn start_copy(&mut self) {
        self.copy_is_lost = false;
    }

    /// Whether samples of the current copy could not be stored, so that it has to start again.
    pub fn copy_is_lost(&self) -> bool {
        self.copy_is_lost
    }

    /// Continues in another capture where that is due, and seals the capture before.
    ///
    /// # Errors
    ///
    /// [`RecordError::Capture`] where a capture cannot be written for another reason than a full disk.
    pub fn continue_in_successor(&mut self) -> Result<(), RecordError> {
        let Some(succession) = &mut self.succession else { return Ok(()) };
        if self.shortage.is_some() {
            return Ok(());
        }
        let mut open_tick = lock(self.open_tick);
        if let Some(next) = succession.successor(&mut open_tick.writer, self.clocks.read().at)? {
            succession.seal(std::mem::replace(&mut open_tick.writer, next))?;
        }
        Ok(())
    }

    /// Adds a sample of each of the recorder's own metrics at `at` and commits, unless the disk is full.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn commit_own(&mut self, at: Timestamp) -> Result<(), RecordError> {
        if !self.is_waiting() {
            let mut open_tick = lock(self.open_tick);
            let OpenTick { writer, tick, feed } = &mut *open_tick;
            self.self_metrics.push(&mut tick.samples, writer.index(), at)?;
            if let Some(feed) = feed {
                feed.note_observation(at);
            }
        }
        self.commit()
    }

    /// Commits the open tick, unless the disk is full.
    ///
    /// # Errors
    ///
    /// [`RecordError::Capture`] where the capture cannot be written for another reason.
    pub fn commit(&mut self) -> Result<(), RecordError> {
        if self.is_waiting() {
            return Ok(());
        }
        if let Err(full) = self.write()? {
            self.wait_for_room(&full);
        }
        Ok(())
    }

    /// Commits the open tick at the end of a recording.
    ///
    /// # Errors
    ///
    /// [`RecordError::Capture`] where the capture cannot be written. A full disk is an error here.
    pub fn commit_last(&mut self) -> Result<(), RecordError> {
        Ok(self.write()??)
    }

    /// Whether the disk is full and the next attempt is not due yet.
    fn is_waiting(&self) -> bool {
        self.shortage.as_ref().is_some_and(|shortage| !shortage.is_due(Instant::now()))
    }

    /// Notes that the disk is full and nothing may be removed, and schedules the next attempt.
    fn wait_for_room(&mut self, full: &CaptureError) {
        let now = Instant::now();
        match &mut self.shortage {
            Some(shortage) => shortage.attempt_failed(now),
            shortage => {
                *shortage = Some(DiskShortage::new(now));
                tracing::warn!(error = %full, "recording goes on when there is room");
            }
        }
        self.progress.disk_full = true;
        (self.report)(&self.progress);
    }

    /// Writes the open tick. Where the disk is full, it first removes what need not be kept; the inner
    /// error is that of a full disk on which nothing may be removed.
    fn write(&mut self) -> Result<Result<(), CaptureError>, RecordError> {
        while let Err(full) = self.try_to_write()? {
            if !self.succession.as_mut().is_some_and(|succession| succession.make_room()) {
                return Ok(Err(full));
            }
        }
        if self.shortage.take().is_some() {
            self.progress.disk_full = false;
            tracing::warn!("the disk has room again");
        }
        (self.report)(&self.progress);
        Ok(Ok(()))
    }

    /// Makes one attempt to write the open tick. Where the disk is full, the writer is reset and the
    /// tick is kept except for its samples: they refer to series of the failed transaction.
    fn try_to_write(&mut self) -> Result<Result<(), CaptureError>, RecordError> {
        let started = Instant::now();
        let mut open_tick = lock(self.open_tick);
        let OpenTick { writer, tick, feed } = &mut *open_tick;
        let tick = std::mem::take(tick);
        let held = Tick {
            pd: tick.pd.clone(),
            gaps: tick.gaps.clone(),
            events: tick.events.clone(),
            ..Tick::default()
        };
        let healed = tick.healed.clone();
        let gaps = held.gaps.len();
        let stats: CommitStats = match writer.commit(tick) {
            Err(full) if full.is_full() => {
                self.copy_is_lost = true;
                // A capture that cannot be read back must not be written to any more.
                writer.reload()?;
                open_tick.tick = Tick { gaps: merge_adjoining(held.gaps), ..held };
                return Ok(Err(full));
            }
            committed => committed?,
        };
        if let Some(feed) = feed {
            feed.add_tick(&Tick { healed, ..held });
            feed.send();
        }
        let progress = &mut self.progress;
        progress.series = writer.index().len() as u64;
        progress.copied_through = writer.copied_through();
        let seconds = started.elapsed().as_secs_f64();
        self.self_metrics.count_commit(seconds, stats.samples as u64, stats.file_bytes);
        progress.at = self.clocks.read().at;
        progress.new_samples = stats.samples as u64;
        progress.samples += stats.samples as u64;
        progress.gaps += gaps as u64;
        progress.file_bytes = stats.file_bytes;
        progress.own = self.self_metrics.series();
        Ok(Ok(()))
    }
}

/// Merges adjoining gaps of the same cause, since a disk may be full for long, and removes the mark of
/// healing: the copy that healed them is lost, and the next copy heals them again.
fn merge_adjoining(gaps: Vec<Gap>) -> Vec<Gap> {
    let mut held: Vec<Gap> = Vec::new();
    for gap in gaps {
        let gap = Gap { healed_at: None, ..gap };
        let adjoins = |before: &&mut Gap| {
            let from = TimeRange::new(before.range.end, gap.range.end);
            Gap { range: from, ..(**before).clone() } == gap
        };
        match held.iter_mut().find(adjoins) {
            Some(before) => before.range.end = gap.range.end,
            None => held.push(gap),
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, Source};

    #[test]
    fn gaps_that_adjoin_are_held_as_one() {
        let gap = |source: &Source, from: i64, to: i64| Gap {
            range: TimeRange::new(Timestamp::from_millis(from), Timestamp::from_millis(to)),
            source: source.clone(),
            reason: GapReason::RecorderDown,
            detail: "no space".to_owned(),
            healed_at: None,
        };
        let (prometheus, member) = (Source::Prometheus, Source::PdMember("pd0".to_owned()));
        let healed = Gap { healed_at: Some(Timestamp::default()), ..gap(&prometheus, 0, 10) };
        let gaps = vec![
            healed,
            gap(&member, 5, 9),
            gap(&prometheus, 10, 20),
            gap(&prometheus, 20, 30),
            gap(&prometheus, 31, 40),
        ];
        let held = [gap(&prometheus, 0, 30), gap(&member, 5, 9), gap(&prometheus, 31, 40)];
        assert_eq!(merge_adjoining(gaps), held);
    }
}
