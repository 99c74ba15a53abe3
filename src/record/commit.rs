//! Commits what has gathered. While the disk is full, it gives up what need not be kept, or waits.
//!
//! Which stretches of time a full disk leaves out is not told here: that follows from what is due.

use std::sync::Mutex;

use tokio::time::Instant;

use super::clock::Clocks;
use super::copier::{OpenTick, lock};
use super::error::RecordError;
use super::recorder::{Progress, Succession};
use crate::capture::{CaptureError, CommitStats, Tick};
use crate::model::{Gap, PdAnswer, TimeRange, Timestamp};
use crate::record::full_disk::Shortage;
use crate::record::self_metrics::OwnMetrics;

/// Writes the open_tick's ticks, each as one durable transaction.
pub struct Committer<'a> {
    open_tick: &'a Mutex<OpenTick>,
    clocks: Clocks,
    succession: Option<Box<dyn Succession>>,
    shortage: Option<Shortage>,
    copy_is_lost: bool,
    /// The recorder's own metrics.
    pub own: OwnMetrics,
    /// What is reported after every commit.
    pub standing: Progress,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<'a> Committer<'a> {
    /// Reports every commit to `progress`.
    pub fn new(
        open_tick: &'a Mutex<OpenTick>,
        clocks: Clocks,
        succession: Option<Box<dyn Succession>>,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        Self {
            open_tick,
            clocks,
            succession,
            shortage: None,
            copy_is_lost: false,
            own: OwnMetrics::default(),
            standing: Progress::default(),
            progress,
        }
    }

    /// Whether nothing can be committed for lack of space.
    pub fn is_short_of_space(&self) -> bool {
        self.shortage.is_some()
    }

    /// Whether these answers can be committed, now or when there is room.
    pub fn holds(&mut self, answers: &[PdAnswer]) -> bool {
        self.shortage.as_mut().is_none_or(|shortage| shortage.holds(answers))
    }

    /// Samples of a new copy gather from now on.
    pub fn copy_begins(&mut self) {
        self.copy_is_lost = false;
    }

    /// Whether samples of the copy that began last could not be stored: it has to begin anew.
    pub fn copy_is_lost(&self) -> bool {
        self.copy_is_lost
    }

    /// Goes on in another capture where it is time.
    ///
    /// # Errors
    ///
    /// Where a capture cannot be written for another reason than a full disk.
    pub fn pass_on(&mut self) -> Result<(), RecordError> {
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

    /// Commits, with a sample of the recorder's own metrics at `at`, unless the disk is full.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn commit_own(&mut self, at: Timestamp) -> Result<(), RecordError> {
        if !self.waits() {
            let mut open_tick = lock(self.open_tick);
            let OpenTick { writer, tick, feed } = &mut *open_tick;
            self.own.push(&mut tick.samples, writer.index(), at)?;
            if let Some(feed) = feed {
                feed.seen(at);
            }
        }
        self.commit()
    }

    /// Commits what has gathered, unless the disk is full.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be written for another reason.
    pub fn commit(&mut self) -> Result<(), RecordError> {
        if self.waits() {
            return Ok(());
        }
        if let Err(full) = self.write()? {
            self.wait_for_room(&full);
        }
        Ok(())
    }

    /// Commits what has gathered, at the end of a recording.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be written. A full disk is an error here.
    pub fn commit_last(&mut self) -> Result<(), RecordError> {
        Ok(self.write()??)
    }

    /// Whether the disk is full and it is not yet time to try again.
    fn waits(&self) -> bool {
        self.shortage.as_ref().is_some_and(|shortage| !shortage.is_due(Instant::now()))
    }

    /// The disk is full, and nothing may go.
    fn wait_for_room(&mut self, full: &CaptureError) {
        let now = Instant::now();
        match &mut self.shortage {
            Some(shortage) => shortage.lasts(now),
            shortage => {
                *shortage = Some(Shortage::new(now));
                tracing::warn!(error = %full, "recording goes on when there is room");
            }
        }
        self.standing.disk_full = true;
        (self.progress)(&self.standing);
    }

    /// Writes what has gathered; where the disk is full, what need not be kept goes first. Returns
    /// the error of a full disk where nothing may go.
    fn write(&mut self) -> Result<Result<(), CaptureError>, RecordError> {
        while let Err(full) = self.try_to_write()? {
            if !self.succession.as_mut().is_some_and(|succession| succession.make_room()) {
                return Ok(Err(full));
            }
        }
        if self.shortage.take().is_some() {
            self.standing.disk_full = false;
            tracing::warn!("the disk has room again");
        }
        (self.progress)(&self.standing);
        Ok(Ok(()))
    }

    /// One attempt. After a full disk the writer is as it was before, and what had gathered is held,
    /// but for the samples: their places in the capture went with the attempt.
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
                // One that cannot be read back either must not be written to any more.
                writer.reload()?;
                open_tick.tick = Tick { gaps: held_back(held.gaps), ..held };
                return Ok(Err(full));
            }
            committed => committed?,
        };
        if let Some(feed) = feed {
            feed.tick(&Tick { healed, ..held });
            feed.send();
        }
        let standing = &mut self.standing;
        standing.series = writer.index().len() as u64;
        standing.copied_through = writer.copied_through();
        let seconds = started.elapsed().as_secs_f64();
        self.own.commit(seconds, stats.samples as u64, stats.file_bytes);
        standing.at = self.clocks.read().at;
        standing.new_samples = stats.samples as u64;
        standing.samples += stats.samples as u64;
        standing.gaps += gaps as u64;
        standing.file_bytes = stats.file_bytes;
        standing.own = self.own.series();
        Ok(Ok(()))
    }
}

/// Gaps that are written later: segments that adjoin as one, because a disk may be full for long. What
/// a copy that is lost would have healed, the next one heals.
fn held_back(gaps: Vec<Gap>) -> Vec<Gap> {
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
        assert_eq!(held_back(gaps), held);
    }
}
