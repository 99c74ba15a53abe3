//! stub
use crate::model::*;
use super::CaptureError;
use std::path::Path;
/// Which series exist, and how far each has been written.
pub struct SeriesIndex {}
impl SeriesIndex {
    /// How many series there are.
    pub fn len(&self) -> usize { todo!() }
}
/// Samples that go into one tick. Only what is newer than its series' last sample is kept, so overlapping fetches are safe.
#[derive(Default)]
pub struct SampleBatch {}
impl SampleBatch {
    /// Adds samples (ascending) of one series, skipping what was written before. Returns how many were new.
    pub fn push(&mut self, _index: &mut SeriesIndex, _labels: EncodedLabels<'_>, _samples: &[Sample]) -> Result<usize, LabelsError> { todo!() }
    /// samples held
    pub fn len(&self) -> usize { todo!() }
}
/// What one transaction writes.
#[derive(Default)]
pub struct Tick {
    /// samples
    pub samples: SampleBatch,
    /// PD answers
    pub pd: Vec<PdAnswer>,
    /// new gaps
    pub gaps: Vec<Gap>,
    /// gaps (as stored before, healed_at None) that are healed now; written back with `healed_at` set
    pub healed: Vec<Gap>,
    /// events
    pub events: Vec<Event>,
    /// Prometheus has been copied up to here
    pub copied_through: Option<Timestamp>,
}
/// What a commit cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitStats { /// samples written
 pub samples: usize, /// file size including the write-ahead log
 pub file_bytes: u64, /// whether the journal was sealed
 pub sealed: bool }
/// Writes a capture; the only writer of its file.
pub struct CaptureWriter {}
impl CaptureWriter {
    /// Makes a new capture; `Exists` where the file is there.
    pub fn create(_path: &Path, _meta: RunMeta) -> Result<Self, CaptureError> { todo!() }
    /// Opens an existing capture to go on (migrating in place), recovering what a crash left. `Locked` where another recorder has it.
    pub fn resume(_path: &Path) -> Result<Self, CaptureError> { todo!() }
    /// metadata
    pub fn meta(&self) -> &RunMeta { todo!() }
    /// changes metadata, durable with the next commit
    pub fn set_meta(&mut self, _meta: RunMeta) { todo!() }
    /// how far Prometheus has been copied
    pub fn copied_through(&self) -> Option<Timestamp> { todo!() }
    /// gaps not healed yet
    pub fn open_gaps(&self) -> Vec<Gap> { todo!() }
    /// end of the last commit's observations (for RecorderDown gaps on resume)
    pub fn last_observed(&self) -> Option<Timestamp> { todo!() }
    /// the index to fill batches with
    pub fn index(&mut self) -> &mut SeriesIndex { todo!() }
    /// One durable transaction. Seals the journal when it is long enough.
    pub fn commit(&mut self, _tick: Tick) -> Result<CommitStats, CaptureError> { todo!() }
    /// Seals what the journal holds.
    pub fn seal(&mut self) -> Result<(), CaptureError> { todo!() }
    /// Seals, folds the write-ahead log into the file and lets go of it: one file remains.
    pub fn finish(self) -> Result<(), CaptureError> { todo!() }
}
