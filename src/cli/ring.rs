//! The captures of a watched run: a ring of segments by time, and those that hold an incident.
//!
//! A segment begins with a copy of the hour before it, so each replays by itself, every instant
//! with the same past that the live judgement had. A segment with a fault inside ends once the
//! fault has been over for a while, takes a name of its own and is never removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::lookup::{self, SUFFIX};
use super::plan::generated_name;
use crate::capture::{CaptureError, CaptureReader, CaptureWriter, Tick, excerpt};
use crate::diagnose::HORIZON_MS;
use crate::model::{RunMeta, RunName, RunNameError, TimeRange, Timestamp, escape_path};
use crate::record::{Ending, Succession};

/// How long after a fault its segment goes on: recovery is part of the story.
const AFTER_MS: i64 = 180_000;
/// The shortest and the longest segment; in between it is an eighth of what is kept, so that the
/// ring holds at most that much too long.
const SEGMENT_MS: (i64, i64) = (HORIZON_MS, 6 * HORIZON_MS);
/// What is copied beyond the hour that a judgement sees.
const MARGIN_MS: i64 = 120_000;

/// What the monitor knows of faults, for the ring to act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// When a cause was first told, since the last segment began.
    pub since: Option<Timestamp>,
    /// When none lasted any more; `None` while one does.
    pub over: Option<Timestamp>,
}

/// The ring of one run.
pub struct Ring {
    dir: PathBuf,
    run: RunName,
    keep_ms: i64,
    segment: Segment,
    incident: Arc<Mutex<Incident>>,
    /// The segment before, and the name that it takes once it is closed.
    closing: Option<(PathBuf, PathBuf)>,
}

/// A capture of the ring.
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
    fn new(dir: &Path, run: &RunName, now: Timestamp) -> Result<Self, RunNameError> {
        let name = generated_name(run.as_str(), now)?;
        let path = dir.join(format!("{name}{SUFFIX}"));
        Ok(Self { name, path, begun: now })
    }

    /// A file that is a segment of this run, by its name.
    fn of(path: &Path, run: &RunName) -> Option<Self> {
        let name = lookup::run_name(path);
        let stamp = name.strip_prefix(run.as_str())?.strip_prefix('-')?;
        let begun = from_stamp(stamp)?;
        Some(Self { name: RunName::new(&name).ok()?, path: path.to_owned(), begun })
    }
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

/// The segments of a run in a directory, by when they began.
fn segments(dir: &Path, run: &RunName) -> Vec<Segment> {
    let captures = lookup::captures(dir);
    let mut found: Vec<Segment> =
        captures.iter().filter_map(|path| Segment::of(path, run)).collect();
    found.sort_by_key(|segment| segment.begun);
    found
}

/// The segment to go on with: the newest, where what it holds has not slid out of sight and it is
/// not too long; else a new one.
///
/// # Errors
///
/// Where the run's name leaves no room for a time.
pub fn current(
    dir: &Path,
    run: &RunName,
    keep_ms: i64,
    now: Timestamp,
) -> Result<Segment, RunNameError> {
    let newest = segments(dir, run).pop().filter(|newest| {
        let end = CaptureReader::open(&newest.path).map(|reader| reader.window().end);
        let recent = end.is_ok_and(|end| now - end < HORIZON_MS);
        recent && now - newest.begun < segment_ms(keep_ms)
    });
    newest.map_or_else(|| Segment::new(dir, run, now), Ok)
}

fn segment_ms(keep_ms: i64) -> i64 {
    (keep_ms / 8).clamp(SEGMENT_MS.0, SEGMENT_MS.1)
}

impl Ring {
    /// A ring that goes on with `segment`.
    pub fn new(
        dir: &Path,
        run: RunName,
        keep_ms: i64,
        segment: Segment,
        incident: Arc<Mutex<Incident>>,
    ) -> Self {
        let ring = Self { dir: dir.to_owned(), run, keep_ms, segment, incident, closing: None };
        ring.prune(ring.segment.begun);
        ring
    }

    /// What the segment is called when it ends now: `None` where it goes on.
    fn end_of_segment(&self, now: Timestamp) -> Option<End> {
        let incident = *self.incident.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now - self.segment.begun;
        match incident {
            Incident { since: None, .. } => (age >= segment_ms(self.keep_ms)).then_some(End::Quiet),
            Incident { since: Some(since), over } => {
                let over = over.is_some_and(|over| now - over >= AFTER_MS);
                (over || age >= self.keep_ms.max(SEGMENT_MS.0)).then_some(End::Incident(since))
            }
        }
    }

    /// Removes segments that ended before what is kept. A file that cannot be removed stays.
    fn prune(&self, now: Timestamp) {
        let all = segments(&self.dir, &self.run);
        let oldest = now.saturating_add_millis(-self.keep_ms);
        for pair in all.windows(2).filter(|pair| pair[1].begun < oldest) {
            if pair[0].path != self.segment.path
                && let Err(error) = fs::remove_file(&pair[0].path)
            {
                tracing::warn!(%error, path = %escape_path(&pair[0].path), "an old segment stays");
            }
        }
    }
}

/// Why a segment ends.
enum End {
    Quiet,
    /// A fault that was told since.
    Incident(Timestamp),
}

/// The name of a segment with an incident.
fn incident_name(run: &RunName, since: Timestamp) -> Result<RunName, RunNameError> {
    generated_name(&format!("{run}-incident"), since)
}

impl Succession for Ring {
    fn successor(
        &mut self,
        writer: &mut CaptureWriter,
        now: Timestamp,
    ) -> Result<Option<CaptureWriter>, CaptureError> {
        let Some(end) = self.end_of_segment(now) else { return Ok(None) };
        let Ok(next) = Segment::new(&self.dir, &self.run, now) else { return Ok(None) };
        let meta = RunMeta { run: next.name.clone(), created: now, ..writer.meta().clone() };
        let mut successor = CaptureWriter::create(&next.path, meta)?;
        let seen = TimeRange::new(now.saturating_add_millis(-HORIZON_MS - MARGIN_MS), now);
        excerpt(&CaptureReader::open(&self.segment.path)?, seen, &mut successor)?;
        let name = match end {
            End::Quiet => self.segment.name.clone(),
            End::Incident(since) => named_after_incident(&self.run, since, writer)?,
        };
        let path = self.dir.join(format!("{name}{SUFFIX}"));
        self.closing = Some((std::mem::replace(&mut self.segment, next).path, path));
        *self.incident.lock().unwrap_or_else(PoisonError::into_inner) = Incident::default();
        Ok(Some(successor))
    }

    fn sealed(&mut self) {
        if let Some((from, to)) = self.closing.take() {
            rename(&from, &to);
        }
        self.prune(self.segment.begun);
    }
}

/// Gives the last segment of a recording that has ended the name of its incident, if it had one,
/// and returns where it lies. An abandoned one keeps its name, so that the next watch goes on with
/// it.
pub fn close(dir: &Path, run: &RunName, incident: Incident, ending: Ending) -> Option<PathBuf> {
    let last = segments(dir, run).pop()?;
    let name = incident.since.filter(|_| ending == Ending::Sealed);
    let Some(Ok(name)) = name.map(|since| incident_name(run, since)) else {
        return Some(last.path);
    };
    let path = dir.join(format!("{name}{SUFFIX}"));
    Some(if rename(&last.path, &path) { path } else { last.path })
}

/// Gives what a writer holds the name of its incident.
fn named_after_incident(
    run: &RunName,
    since: Timestamp,
    writer: &mut CaptureWriter,
) -> Result<RunName, CaptureError> {
    let before = writer.meta().clone();
    let Ok(name) = incident_name(run, since) else { return Ok(before.run) };
    writer.set_meta(RunMeta { run: name.clone(), ..before });
    writer.commit(Tick::default())?;
    Ok(name)
}

/// Renames a sealed segment, unless something has that name. Returns whether it did.
fn rename(from: &Path, to: &Path) -> bool {
    if from == to || to.exists() {
        return false;
    }
    let renamed = fs::rename(from, to);
    if let Err(error) = &renamed {
        tracing::warn!(%error, path = %escape_path(from), "the segment keeps its name");
    }
    renamed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EncodedLabels, Labels, Sample};

    fn run() -> RunName {
        RunName::new("watch").expect("a name")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_537_029_000 + seconds * 1000)
    }

    fn ring(dir: &Path, begun: Timestamp) -> Ring {
        let segment = Segment::new(dir, &run(), begun).expect("a name");
        Ring::new(dir, run(), 24 * HORIZON_MS, segment, Arc::default())
    }

    #[test]
    fn a_segment_tells_by_its_name_when_it_began() {
        let segment = Segment::new(Path::new("d"), &run(), at(0)).expect("a name");
        assert_eq!(Segment::of(&segment.path, &run()), Some(segment));
        for name in ["watch-incident-20261124T161709Z", "watch", "other-20261124T161709Z"] {
            let path = PathBuf::from(format!("d/{name}{SUFFIX}"));
            assert_eq!(Segment::of(&path, &run()), None, "{name}");
        }
    }

    #[test]
    fn a_segment_ends_by_time_or_a_while_after_an_incident() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ring = ring(dir.path(), at(0));
        let ends = |seconds| ring.end_of_segment(at(seconds)).is_some();
        assert!(!ends(3 * 3600 - 1) && ends(3 * 3600));
        let tell = |incident| *ring.incident.lock().expect("nobody panicked") = incident;
        tell(Incident { since: Some(at(100)), over: None });
        assert!(!ends(3 * 3600) && ends(24 * 3600));
        tell(Incident { since: Some(at(100)), over: Some(at(200)) });
        assert!(!ends(379) && ends(380));
    }

    #[test]
    fn what_is_kept_is_spared_and_incidents_are_too() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let make = |name: &str| {
            let path = dir.path().join(format!("{name}{SUFFIX}"));
            fs::write(path, b"").expect("the directory is writable");
        };
        for hours in [0, 3, 6, 40] {
            make(generated_name("watch", at(hours * 3600)).expect("a name").as_str());
        }
        make(incident_name(&run(), at(10)).expect("a name").as_str());
        make("other");
        drop(ring(dir.path(), at(29 * 3600)));
        let left: Vec<String> =
            lookup::captures(dir.path()).iter().map(|path| lookup::run_name(path)).collect();
        assert_eq!(left.len(), 5, "{left:?}");
        assert!(left.iter().any(|name| name.starts_with("watch-incident-")));
        assert!(!left.contains(&generated_name("watch", at(0)).expect("a name").to_string()));
    }

    /// A writer of a segment that holds a sample every 15 s of the four hours since it began.
    fn four_hours(segment: &Segment) -> CaptureWriter {
        let meta = serde_json::json!({"run": segment.name, "subject": "tikv", "created": 0});
        let meta = serde_json::from_value(meta).expect("a run's metadata");
        let mut writer = CaptureWriter::create(&segment.path, meta).expect("it can be made");
        let mut labels = Vec::new();
        let pairs = [("__name__", "up"), ("job", "tikv"), ("instance", "a")];
        Labels::from_pairs(&pairs).encode(&mut labels);
        let sample = |step: i64| Sample { at: segment.begun + step * 15_000, value: 1.0 };
        let samples: Vec<Sample> = (0..960).map(sample).collect();
        let mut tick = Tick { copied_through: Some(at(4 * 3600)), ..Tick::default() };
        let labels = EncodedLabels(&labels);
        tick.samples.push(writer.index(), labels, &samples).expect("labels are well formed");
        writer.commit(tick).expect("it can be written");
        writer
    }

    #[test]
    fn a_segment_with_an_incident_is_followed_by_one_that_begins_an_hour_earlier() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut ring = ring(dir.path(), at(0));
        let mut writer = four_hours(&ring.segment);
        let over = Incident { since: Some(at(13_000)), over: Some(at(14_000)) };
        *ring.incident.lock().expect("nobody panicked") = over;
        let next = ring.successor(&mut writer, at(4 * 3600)).expect("it can be written");
        let next = next.expect("it is time");
        assert_eq!(next.copied_through(), Some(at(4 * 3600)));
        writer.finish().expect("it can be sealed");
        ring.sealed();
        next.finish().expect("it can be sealed");

        let name = incident_name(&run(), at(13_000)).expect("a name");
        let kept = dir.path().join(format!("{name}{SUFFIX}"));
        let kept = CaptureReader::open(&kept).expect("the incident is kept");
        assert_eq!((kept.meta().run.clone(), kept.window().start), (name, at(0)));
        let next = CaptureReader::open(&ring.segment.path).expect("the next segment is there");
        assert_eq!(next.window().start, at(3 * 3600 - 120));
        assert_eq!(*ring.incident.lock().expect("nobody panicked"), Incident::default());
    }
}
