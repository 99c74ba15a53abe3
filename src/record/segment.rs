//! Names of segments: which files of a directory belong to a run, and when each segment began.
//!
//! When segments end and which are removed is decided in `segments`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::CaptureReader;
use crate::model::{RunName, RunNameError, Timestamp};

/// The file name suffix of captures.
pub const CAPTURE_SUFFIX: &str = ".capture";

/// The number of segments in what is kept, by time and by bytes: at most this part of it is kept longer
/// than asked for.
const SEGMENTS_KEPT: i64 = 8;
/// The longest segment, in multiples of the past that it begins with. The shortest is one such past.
const LONGEST: i64 = 6;
/// A segment that ends by its size lasts at least the past divided by this, since each segment copies
/// that past again.
const SHORTEST_BY_SIZE: i64 = 6;

/// How much of a recording is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Segments that ended longer ago are removed, in milliseconds; `None` removes none by age.
    pub keep_ms: Option<i64>,
    /// While all captures of the run occupy more bytes, the oldest segments are removed.
    pub max_bytes: Option<u64>,
    /// The past that a segment begins with, in milliseconds: as far as diagnosis looks back.
    pub past_ms: i64,
}

impl Retention {
    /// The length of a segment in milliseconds.
    pub(super) fn segment_ms(&self) -> i64 {
        let longest = LONGEST * self.past_ms;
        self.keep_ms.map_or(longest, |keep| (keep / SEGMENTS_KEPT).clamp(self.past_ms, longest))
    }

    /// The greatest length of a segment in which a fault lasts, in milliseconds.
    pub(super) fn longest_ms(&self) -> i64 {
        self.keep_ms.map_or(LONGEST * self.past_ms, |keep| keep.max(self.past_ms))
    }

    /// The least length of a segment that ends by its size, in milliseconds.
    pub(super) fn shortest_ms(&self) -> i64 {
        self.past_ms / SHORTEST_BY_SIZE
    }

    /// The growth in bytes at which a segment ends; `None` where its size does not matter.
    pub(super) fn segment_bytes(&self) -> Option<u64> {
        self.max_bytes.map(|max| max / SEGMENTS_KEPT.unsigned_abs())
    }
}

/// A capture among the segments of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The name of the segment as a run.
    pub name: RunName,
    /// The path of its file.
    pub path: PathBuf,
    /// The instant at which it began, in whole seconds.
    pub begun: Timestamp,
}

impl Segment {
    /// A segment of `run` in `dir` that begins now.
    ///
    /// # Errors
    ///
    /// [`RunNameError`] where the run's name with the time appended is too long.
    pub fn new(dir: &Path, run: &RunName, now: Timestamp) -> Result<Self, RunNameError> {
        let name = stamped_name(run.as_str(), now)?;
        let path = capture_path(dir, &name);
        Ok(Self { name, path, begun: now })
    }

    /// The segment that a file is by its name; `None` where it is none of this run.
    fn of(path: &Path, run: &str) -> Option<Self> {
        let file = path.file_name()?.to_str()?;
        let name = file.strip_suffix(CAPTURE_SUFFIX)?;
        let stamp = name.strip_prefix(run)?.strip_prefix('-')?;
        let begun = from_stamp(stamp)?;
        Some(Self { name: RunName::new(name).ok()?, path: path.to_owned(), begun })
    }
}

/// A run's name from a word and a time: `tikv-20261124T161709Z`.
///
/// # Errors
///
/// [`RunNameError`] where the result is no name of a run.
pub fn stamped_name(word: &str, now: Timestamp) -> Result<RunName, RunNameError> {
    let time: String = now.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    RunName::new(&format!("{word}-{time}Z"))
}

/// Parses the time in a segment's name, such as `20261124T161709Z`.
fn from_stamp(stamp: &str) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| stamp.get(from..to);
    if stamp.len() != 16 {
        return None;
    }
    let (date, time) = (digits(0, 8)?, digits(8, 16)?);
    let text = format!(
        "{}-{}-{}{}:{}:{}",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        time.get(..3)?,
        time.get(3..5)?,
        time.get(5..)?
    );
    Timestamp::parse(&text, Timestamp::default()).ok()
}

pub(super) fn capture_path(dir: &Path, name: &RunName) -> PathBuf {
    dir.join(format!("{name}{CAPTURE_SUFFIX}"))
}

/// Whether a capture of this name is an incident of the run.
pub fn is_incident(run: &RunName, name: &str) -> bool {
    name.strip_prefix(&incident_prefix(run)).is_some_and(|rest| rest.starts_with('-'))
}

/// The beginning of the names of a run's incidents.
pub(super) fn incident_prefix(run: &RunName) -> String {
    format!("{run}-incident")
}

/// The segments of a run in a directory, ascending by their beginning. Empty where the directory cannot
/// be read.
pub fn segments(dir: &Path, run: &RunName) -> Vec<Segment> {
    stamped(dir, run.as_str())
}

/// The files named `word` and a time, ascending by time.
pub(super) fn stamped(dir: &Path, word: &str) -> Vec<Segment> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<Segment> = paths.filter_map(|path| Segment::of(&path, word)).collect();
    found.sort_by(|a, b| (a.begun, &a.path).cmp(&(b.begun, &b.path)));
    found
}

/// Whether a recording that starts again continues in the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumePolicy {
    /// Always, however long ago that segment ended: what is missing is copied.
    Always,
    /// Only where diagnosis still looks at its end, and it has not reached its length yet.
    WhileRecent,
}

/// The segment in which a recording starts: the newest one, or a new one.
///
/// # Errors
///
/// [`RunNameError`] where the run's name with the time appended is too long.
pub fn current_segment(
    dir: &Path,
    run: &RunName,
    retention: &Retention,
    policy: ResumePolicy,
    now: Timestamp,
) -> Result<Segment, RunNameError> {
    let newest = segments(dir, run).pop().filter(|newest| {
        let end = || CaptureReader::open(&newest.path).map(|reader| reader.window().end);
        let short = || now - newest.begun < retention.segment_ms();
        policy == ResumePolicy::Always
            || (short() && end().is_ok_and(|end| now - end < retention.past_ms))
    });
    newest.map_or_else(|| Segment::new(dir, run, now), Ok)
}

/// The name of a segment with an incident that began at `since`.
pub(super) fn incident_name(run: &RunName, since: Timestamp) -> Result<RunName, RunNameError> {
    stamped_name(&incident_prefix(run), since)
}

/// Renames a sealed segment, unless the new name exists. Returns whether it was renamed.
pub(super) fn rename(from: &Path, to: &Path) -> bool {
    if from == to || fs::symlink_metadata(to).is_ok() {
        return false;
    }
    let renamed = fs::rename(from, to);
    if let Err(error) = &renamed {
        tracing::warn!(%error, path = %from.display(), "the segment keeps its name");
    }
    renamed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_tells_by_its_name_when_it_began() {
        let run = RunName::new("watch").expect("a name");
        let begun = Timestamp::from_millis(1_795_537_029_000);
        let segment = Segment::new(Path::new("d"), &run, begun).expect("a name");
        assert_eq!(segment.name.as_str(), "watch-20261124T161709Z");
        assert_eq!(Segment::of(&segment.path, "watch"), Some(segment));
        for name in ["watch-incident-20261124T161709Z", "watch", "other-20261124T161709Z"] {
            let path = PathBuf::from(format!("d/{name}{CAPTURE_SUFFIX}"));
            assert_eq!(Segment::of(&path, "watch"), None, "{name}");
        }
    }
}
