//! The captures of a recording without an end: segments by time, of which the oldest are removed.
//!
//! A segment begins with a copy of the time before it, so each can be replayed by itself, every instant
//! with the same past that live diagnosis had. A segment with a fault inside ends a while after the
//! fault, gets a name of its own and is never removed; nor is one that a user marked. What the names of
//! segments mean is in `segment`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recorder::{Ending, Succession};
use super::segment::{
    Retention, Segment, capture_path, incident_name, incident_prefix, rename, segments, stamped,
};
use crate::capture::{
    self, CaptureError, CaptureReader, CaptureWriter, Tick, bytes_on_disk, copy_range,
};
use crate::model::{EventKind, RunMeta, RunName, TimeRange, Timestamp};

/// How long a segment continues after its fault has ended, so that it shows the recovery.
const AFTER_MS: i64 = 180_000;
/// How much is copied beyond the past that diagnosis looks at.
const MARGIN_MS: i64 = 120_000;
/// The wait until the next attempt where the disk was too full for another segment.
const RETRY_MS: i64 = 60_000;

/// What live diagnosis knows of faults in the current segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// The onset of the first cause since the segment began; `None` where there was none.
    pub since: Option<Timestamp>,
    /// The instant at which the last cause was over; `None` while one lasts.
    pub over: Option<Timestamp>,
}

/// Why a segment is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It ended longer ago than [`Retention::keep_ms`].
    Age,
    /// The run occupies more than [`Retention::max_bytes`].
    Size,
    /// The disk is full, and its space is needed.
    DiskFull,
}

impl DropReason {
    /// The name in JSON, such as `disk_full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
            Self::DiskFull => "disk_full",
        }
    }

    /// The reason as text for a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::Age => "older than is kept",
            Self::Size => "the run takes more than it may",
            Self::DiskFull => "the disk is full",
        }
    }
}

/// An event in the files of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentChange {
    /// The recording continues in a new segment.
    Began {
        /// The path of the new segment.
        path: PathBuf,
    },
    /// A segment is complete and was sealed.
    Sealed {
        /// The path of the segment from now on.
        path: PathBuf,
        /// The size of its file in bytes.
        bytes: u64,
    },
    /// A segment was removed.
    Dropped {
        /// The path that it had.
        path: PathBuf,
        /// The number of bytes that this freed.
        bytes: u64,
        /// Why it was removed.
        why: DropReason,
    },
}

/// Called for every event in the files of a recording.
pub type SegmentListener = Box<dyn FnMut(&SegmentChange)>;

/// The segments of a run that is being recorded.
pub struct Segments {
    dir: PathBuf,
    run: RunName,
    retention: Retention,
    segment: Segment,
    incident: Arc<Mutex<Incident>>,
    listener: SegmentListener,
    /// The size of the current segment's file when it began, in bytes.
    begun_bytes: Option<u64>,
    /// Sealed segments that a user marked as incidents.
    marked: BTreeSet<PathBuf>,
    /// No other segment is begun before this instant.
    not_before: Timestamp,
    /// Whether the warning about too many bytes was logged.
    excess_was_logged: bool,
}

impl Segments {
    /// The segments of `run` in `dir`, of which `segment` is the current one. Removes what is not kept.
    pub fn new(
        dir: &Path,
        run: RunName,
        retention: Retention,
        segment: Segment,
        incident: Arc<Mutex<Incident>>,
        listener: SegmentListener,
    ) -> Self {
        let mut segments = Self {
            dir: dir.to_owned(),
            run,
            retention,
            segment,
            incident,
            listener,
            begun_bytes: None,
            marked: BTreeSet::new(),
            not_before: Timestamp::MIN,
            excess_was_logged: false,
        };
        segments.prune(segments.segment.begun);
        segments
    }

    fn incident(&self) -> MutexGuard<'_, Incident> {
        self.incident.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the current segment ends now; `None` where it continues.
    fn end_of_segment(&self, now: Timestamp) -> Option<End> {
        let incident = *self.incident();
        let age = now - self.segment.begun;
        match incident {
            Incident { since: None, .. } => {
                (age >= self.retention.segment_ms() || self.has_grown(age)).then_some(End::Quiet)
            }
            Incident { since: Some(since), over } => {
                let over = over.is_some_and(|over| now - over >= AFTER_MS);
                (over || age >= self.retention.longest_ms()).then_some(End::Incident(since))
            }
        }
    }

    /// Whether the current segment has grown by its part of the bytes.
    fn has_grown(&self, age: i64) -> bool {
        let begun = self.begun_bytes.unwrap_or_default();
        let grown = bytes_on_disk(&self.segment.path).saturating_sub(begun);
        self.retention.segment_bytes().is_some_and(|part| grown >= part)
            && age >= self.retention.shortest_ms()
    }

    /// Removes segments that ended before what is kept, then the oldest ones while all occupy too much.
    fn prune(&mut self, now: Timestamp) {
        let all = segments(&self.dir, &self.run);
        if let Some(keep) = self.retention.keep_ms {
            let oldest = now.saturating_add_millis(-keep);
            for pair in all.windows(2).filter(|pair| pair[1].begun < oldest) {
                self.drop_segment(&pair[0], DropReason::Age);
            }
        }
        let Some(max) = self.retention.max_bytes else { return };
        let mut left = all.iter();
        while self.bytes() > max {
            let Some(segment) = left.next() else { return self.log_excess(max) };
            self.drop_segment(segment, DropReason::Size);
        }
    }

    /// The bytes that all captures of the run occupy.
    fn bytes(&self) -> u64 {
        let all = [self.run.to_string(), incident_prefix(&self.run)];
        let all = all.iter().flat_map(|word| stamped(&self.dir, word));
        all.map(|segment| bytes_on_disk(&segment.path)).sum()
    }

    fn log_excess(&mut self, max: u64) {
        if !std::mem::replace(&mut self.excess_was_logged, true) {
            let taken = self.bytes();
            tracing::warn!(
                "{} takes {taken} bytes, more than the {max} that it may: the newest segment and \
                 incidents are never removed",
                self.run
            );
        }
    }

    /// Removes a segment, unless it is the current one, is gone, or is marked. Returns whether it was
    /// removed. A file that cannot be removed stays, with a warning.
    fn drop_segment(&mut self, segment: &Segment, why: DropReason) -> bool {
        let path = &segment.path;
        if *path == self.segment.path || !path.exists() || self.is_marked(path) {
            return false;
        }
        match capture::remove(path) {
            Ok(bytes) => {
                (self.listener)(&SegmentChange::Dropped { path: path.clone(), bytes, why });
                true
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "an old segment stays");
                false
            }
        }
    }

    /// Whether a user put an incident on the segment's timeline.
    fn is_marked(&mut self, path: &Path) -> bool {
        if self.marked.contains(path) {
            return true;
        }
        let events = CaptureReader::open(path).and_then(|reader| reader.events());
        let marked = events
            .is_ok_and(|events| events.iter().any(|event| event.kind.0 == EventKind::INCIDENT));
        if marked {
            self.marked.insert(path.to_owned());
        }
        marked
    }

    /// Creates the next segment with its copy of the past.
    fn begin(&self, writer: &CaptureWriter, next: &Segment) -> Result<CaptureWriter, CaptureError> {
        let now = next.begun;
        let meta = RunMeta { run: next.name.clone(), created: now, ..writer.meta().clone() };
        let mut successor = CaptureWriter::create_as(&next.path, meta, writer.mode()?)?;
        let seen = now.saturating_add_millis(-self.retention.past_ms - MARGIN_MS);
        let reader = CaptureReader::open(&self.segment.path)?;
        copy_range(&reader, TimeRange::new(seen, now), &mut successor)?;
        Ok(successor)
    }

    /// Creates the next segment, and gives the current one the name of its incident.
    fn begin_and_name(
        &mut self,
        writer: &mut CaptureWriter,
        next: &Segment,
        end: &End,
    ) -> Result<CaptureWriter, CaptureError> {
        let begun = self.begin(writer, next);
        let named = begun.and_then(|successor| {
            end.name(&self.run, writer)?;
            Ok(successor)
        });
        if named.is_err() && next.path.exists() {
            // An incomplete file would be taken for the newest segment.
            capture::remove(&next.path)?;
        }
        named
    }

    /// Seals the segments that an earlier recorder, or a full disk, left unsealed.
    fn seal_leftovers(&mut self) {
        for segment in segments(&self.dir, &self.run) {
            let unsealed = capture::is_unsealed(&segment.path);
            if segment.path == self.segment.path || !unsealed {
                continue;
            }
            let sealed = CaptureWriter::resume(&segment.path).and_then(|left| self.finish(left));
            if let Err(error) = sealed {
                let path = segment.path.display();
                tracing::warn!(%error, %path, "a segment stays unsealed; it can be read");
            }
        }
    }

    /// Seals a segment and, where it has an incident, renames its file to the name inside.
    fn finish(&mut self, writer: CaptureWriter) -> Result<(), CaptureError> {
        let from = writer.path().to_owned();
        let name = writer.meta().run.clone();
        let is_incident = name.as_str().starts_with(&incident_prefix(&self.run));
        let to = capture_path(&self.dir, &name);
        writer.finish()?;
        let path = if is_incident && rename(&from, &to) { to } else { from };
        let bytes = bytes_on_disk(&path);
        (self.listener)(&SegmentChange::Sealed { path, bytes });
        Ok(())
    }
}

/// Why a segment ends.
enum End {
    /// It is long or large enough, and without a fault.
    Quiet,
    /// It had a fault that began at this instant.
    Incident(Timestamp),
}

impl End {
    /// Stores the name of the incident in the capture of `writer`.
    fn name(&self, run: &RunName, writer: &mut CaptureWriter) -> Result<(), CaptureError> {
        let Self::Incident(since) = self else { return Ok(()) };
        let Ok(name) = incident_name(run, *since) else { return Ok(()) };
        let meta = RunMeta { run: name, ..writer.meta().clone() };
        writer.set_meta(meta);
        writer.commit(Tick::default()).map(drop)
    }
}

impl Succession for Segments {
    fn successor(
        &mut self,
        writer: &mut CaptureWriter,
        now: Timestamp,
    ) -> Result<Option<CaptureWriter>, CaptureError> {
        self.begun_bytes.get_or_insert_with(|| bytes_on_disk(&self.segment.path));
        self.prune(now);
        if now < self.not_before {
            return Ok(None);
        }
        let Some(end) = self.end_of_segment(now) else { return Ok(None) };
        let Ok(next) = Segment::new(&self.dir, &self.run, now) else { return Ok(None) };
        loop {
            match self.begin_and_name(writer, &next, &end) {
                Ok(successor) => {
                    self.segment = next;
                    self.begun_bytes = None;
                    *self.incident() = Incident::default();
                    let path = self.segment.path.clone();
                    (self.listener)(&SegmentChange::Began { path });
                    return Ok(Some(successor));
                }
                Err(error) if error.is_full() => {
                    writer.reload()?;
                    if !self.make_room() {
                        tracing::warn!(%error, "the next segment cannot begin yet");
                        self.not_before = now.saturating_add_millis(RETRY_MS);
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn seal(&mut self, before: CaptureWriter) -> Result<(), CaptureError> {
        match self.finish(before) {
            Err(error) if error.is_full() => {
                self.make_room();
            }
            finished => finished?,
        }
        self.seal_leftovers();
        self.prune(self.segment.begun);
        Ok(())
    }

    fn make_room(&mut self) -> bool {
        let all = segments(&self.dir, &self.run);
        all.iter().any(|segment| self.drop_segment(segment, DropReason::DiskFull))
    }
}

/// Gives the last segment of an ended recording the name of its incident, if it had one, and returns its
/// path; `None` where there is no segment. An abandoned segment keeps its name, so that the next
/// recorder continues in it.
pub fn close(dir: &Path, run: &RunName, incident: Incident, ending: Ending) -> Option<PathBuf> {
    let last = segments(dir, run).pop()?;
    let name = incident.since.filter(|_| ending.is_sealed());
    let Some(Ok(name)) = name.map(|since| incident_name(run, since)) else {
        return Some(last.path);
    };
    let path = capture_path(dir, &name);
    Some(if rename(&last.path, &path) { path } else { last.path })
}

#[cfg(test)]
mod tests;
