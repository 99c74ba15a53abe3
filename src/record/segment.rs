//! Segments by their names: which files of a directory belong to a run, and when each began.

use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::CaptureReader;
use crate::model::{RunName, RunNameError, Timestamp};

/// The suffix of captures.
pub const CAPTURE_SUFFIX: &str = ".capture";

/// A segment is this part of what is kept, in time and in bytes, so that no more than that is kept
/// too long.
const SEGMENTS_KEPT: i64 = 8;
/// A segment is no longer than so many times the past that it begins with, and no shorter than it.
const LONGEST: i64 = 6;
/// A segment that ends by its size is this part of the past long at least: each copies that past anew.
const SHORTEST_BY_SIZE: i64 = 6;

/// How much of a recording is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Segments that ended longer ago go; without it, none goes by its age.
    pub keep_ms: Option<i64>,
    /// While all captures of the run take more, the oldest segments go.
    pub max_bytes: Option<u64>,
    /// How much of the past a segment begins with: as far as a judgement looks back.
    pub past_ms: i64,
}

impl Retention {
    /// How long a segment is.
    pub(super) fn segment_ms(&self) -> i64 {
        let longest = LONGEST * self.past_ms;
        self.keep_ms.map_or(longest, |keep| (keep / SEGMENTS_KEPT).clamp(self.past_ms, longest))
    }

    /// How long a segment with a fault that lasts may become.
    pub(super) fn longest_ms(&self) -> i64 {
        self.keep_ms.map_or(LONGEST * self.past_ms, |keep| keep.max(self.past_ms))
    }

    /// How long a segment that ends by its size is at least.
    pub(super) fn shortest_ms(&self) -> i64 {
        self.past_ms / SHORTEST_BY_SIZE
    }

    /// How much a segment may grow; `None` where its size does not matter.
    pub(super) fn segment_bytes(&self) -> Option<u64> {
        self.max_bytes.map(|max| max / SEGMENTS_KEPT.unsigned_abs())
    }
}

/// A capture among the segments of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name as a run.
    pub name: RunName,
    /// Where it lies.
    pub path: PathBuf,
    /// When it began.
    pub begun: Timestamp,
}

impl Segment {
    /// One that begins now.
    ///
    /// # Errors
    ///
    /// Where the run's name leaves no room for a time.
    pub fn new(dir: &Path, run: &RunName, now: Timestamp) -> Result<Self, RunNameError> {
        let name = stamped_name(run.as_str(), now)?;
        let path = capture_path(dir, &name);
        Ok(Self { name, path, begun: now })
    }

    /// A file that is a segment of this run, by its name.
    fn of(path: &Path, run: &str) -> Option<Self> {
        let file = path.file_name()?.to_str()?;
        let name = file.strip_suffix(CAPTURE_SUFFIX)?;
        let stamp = name.strip_prefix(run)?.strip_prefix('-')?;
        let begun = from_stamp(stamp)?;
        Some(Self { name: RunName::new(name).ok()?, path: path.to_owned(), begun })
    }
}

/// A name from a word and the time: `tikv-20261124T161709Z`.
///
/// # Errors
///
/// Where the word cannot be the beginning of a run's name.
pub fn stamped_name(word: &str, now: Timestamp) -> Result<RunName, RunNameError> {
    let time: String = now.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    RunName::new(&format!("{word}-{time}Z"))
}

/// Reads `20261124T161709Z`.
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

/// What the names of a run's incidents begin with.
pub(super) fn incidents_of(run: &RunName) -> String {
    format!("{run}-incident")
}

/// The segments of a run in a directory, by when they began.
pub fn segments(dir: &Path, run: &RunName) -> Vec<Segment> {
    stamped(dir, run.as_str())
}

pub(super) fn stamped(dir: &Path, word: &str) -> Vec<Segment> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<Segment> = paths.filter_map(|path| Segment::of(&path, word)).collect();
    found.sort_by(|a, b| (a.begun, &a.path).cmp(&(b.begun, &b.path)));
    found
}

/// What a recording that begins again goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// The newest segment, however long ago it ended: what is missing is copied.
    Always,
    /// The newest segment, where what it holds has not slid out of sight and it is not too long.
    WhileRecent,
}

/// The segment to begin with: the newest, or a new one.
///
/// # Errors
///
/// Where the run's name leaves no room for a time.
pub fn current_segment(
    dir: &Path,
    run: &RunName,
    retention: &Retention,
    go_on: GoOn,
    now: Timestamp,
) -> Result<Segment, RunNameError> {
    let newest = segments(dir, run).pop().filter(|newest| {
        let end = || CaptureReader::open(&newest.path).map(|reader| reader.window().end);
        let short = || now - newest.begun < retention.segment_ms();
        go_on == GoOn::Always || (short() && end().is_ok_and(|end| now - end < retention.past_ms))
    });
    newest.map_or_else(|| Segment::new(dir, run, now), Ok)
}

/// The name of a segment with an incident.
pub(super) fn incident_name(run: &RunName, since: Timestamp) -> Result<RunName, RunNameError> {
    stamped_name(&incidents_of(run), since)
}

/// Renames a sealed segment, unless something has that name. Returns whether it did.
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
