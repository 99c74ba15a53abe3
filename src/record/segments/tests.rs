//! Which segments end, which go and which stay.

use super::*;
use crate::model::{EncodedLabels, Event, Labels, Sample};
use crate::record::stamped_name;

const HOUR_MS: i64 = 3_600_000;

fn run() -> RunName {
    RunName::new("watch").expect("a name")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_537_029_000 + seconds * 1000)
}

/// Segments of a day, and what was said of them.
fn segments_of(
    dir: &Path,
    begun: Timestamp,
    max_bytes: Option<u64>,
) -> (Segments, Arc<Mutex<Vec<SegmentChange>>>) {
    let segment = Segment::new(dir, &run(), begun).expect("a name");
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let listener: SegmentListener = Box::new(move |change: &SegmentChange| {
        heard.lock().expect("nobody panicked").push(change.clone());
    });
    let retention = Retention { keep_ms: Some(24 * HOUR_MS), max_bytes, past_ms: HOUR_MS };
    (Segments::new(dir, run(), retention, segment, Arc::default(), listener), said)
}

fn tell(segments: &Segments, incident: Incident) {
    *segments.incident() = incident;
}

/// A capture under this name that holds nothing but `events`.
fn make(dir: &Path, name: &RunName, events: Vec<Event>) -> PathBuf {
    let path = capture_path(dir, name);
    let mut writer = writer_of(&path, name);
    writer.commit(Tick { events, ..Tick::default() }).expect("it can be written");
    writer.finish().expect("it can be sealed");
    path
}

fn writer_of(path: &Path, name: &RunName) -> CaptureWriter {
    let meta = serde_json::json!({"run": name, "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    CaptureWriter::create(path, meta).expect("it can be made")
}

fn begun_after(hours: i64) -> RunName {
    stamped_name("watch", at(hours * 3600)).expect("a name")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("it can be listed");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.filter_map(Result::ok).map(name).collect();
    names.sort();
    names
}

fn dropped(said: &Mutex<Vec<SegmentChange>>) -> Vec<(PathBuf, DropReason)> {
    let said = said.lock().expect("nobody panicked");
    let gone = said.iter().filter_map(|change| match change {
        SegmentChange::Dropped { path, why, .. } => Some((path.clone(), *why)),
        _ => None,
    });
    gone.collect()
}

#[test]
fn a_segment_ends_by_time_or_a_while_after_an_incident() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (segments, _) = segments_of(dir.path(), at(0), None);
    let ends = |seconds| segments.end_of_segment(at(seconds)).is_some();
    assert!(!ends(3 * 3600 - 1) && ends(3 * 3600));
    tell(&segments, Incident { since: Some(at(100)), over: None });
    assert!(!ends(3 * 3600) && ends(24 * 3600));
    tell(&segments, Incident { since: Some(at(100)), over: Some(at(200)) });
    assert!(!ends(379) && ends(380));
}

#[test]
fn a_segment_ends_when_it_has_taken_its_part_of_the_bytes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut segments, _) = segments_of(dir.path(), at(0), Some(80_000));
    std::fs::write(&segments.segment.path, vec![0; 30_000]).expect("the directory is writable");
    segments.begun_bytes = Some(20_001);
    assert!(segments.end_of_segment(at(7_200)).is_none());
    segments.begun_bytes = Some(20_000);
    assert!(segments.end_of_segment(at(599)).is_none());
    assert!(segments.end_of_segment(at(600)).is_some());
}

#[test]
fn what_is_kept_is_spared_and_incidents_are_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let oldest = make(dir.path(), &begun_after(0), Vec::new());
    for hours in [3, 6, 40] {
        make(dir.path(), &begun_after(hours), Vec::new());
    }
    make(dir.path(), &incident_name(&run(), at(10)).expect("a name"), Vec::new());
    make(dir.path(), &RunName::new("other").expect("a name"), Vec::new());
    let (_, said) = segments_of(dir.path(), at(29 * 3600), None);
    assert_eq!(dropped(&said), [(oldest, DropReason::Age)]);
    let left = names(dir.path());
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(left.iter().any(|name| name.starts_with("watch-incident-")));
}

#[test]
fn a_segment_that_somebody_marked_is_spared_by_age_by_size_and_by_a_full_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let event = |kind: &str| Event {
        at: at(5),
        kind: EventKind(kind.to_owned()),
        text: String::new(),
        fields: Default::default(),
    };
    let marked = make(dir.path(), &begun_after(0), vec![event(EventKind::INCIDENT)]);
    make(dir.path(), &begun_after(3), vec![event(EventKind::NOTE)]);
    make(dir.path(), &begun_after(90), Vec::new());
    let (mut segments, said) = segments_of(dir.path(), at(100 * 3600), Some(1));
    assert_eq!(dropped(&said).len(), 2);
    assert!(!segments.make_room());
    assert_eq!(segments.bytes(), bytes_on_disk(&marked));
}

#[test]
fn the_oldest_segments_go_until_the_rest_fits_and_incidents_count() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let paths: Vec<PathBuf> =
        (0..4).map(|hours| make(dir.path(), &begun_after(hours), Vec::new())).collect();
    make(dir.path(), &incident_name(&run(), at(10)).expect("a name"), Vec::new());
    let each = bytes_on_disk(&paths[0]);
    let (mut segments, said) = segments_of(dir.path(), at(5 * 3600), Some(3 * each));
    let size = DropReason::Size;
    assert_eq!(dropped(&said), [(paths[0].clone(), size), (paths[1].clone(), size)]);

    // Nothing of what is left may go but these two, oldest first; never the one that is written.
    writer_of(&segments.segment.path.clone(), &segments.segment.name.clone())
        .finish()
        .expect("it can be sealed");
    assert!(segments.make_room() && segments.make_room() && !segments.make_room());
    let full = DropReason::DiskFull;
    assert_eq!(dropped(&said)[2..], [(paths[2].clone(), full), (paths[3].clone(), full)]);
}

#[test]
fn a_segment_that_another_recorder_writes_stays() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = capture_path(dir.path(), &begun_after(0));
    let writer = writer_of(&path, &begun_after(0));
    let (mut segments, _) = segments_of(dir.path(), at(5 * 3600), None);
    assert!(!segments.make_room());
    writer.finish().expect("it can be sealed");
    assert!(segments.make_room());
    assert_eq!(names(dir.path()), [""; 0]);
}

/// A writer of a segment that holds a sample every 15 s of the four hours since it began.
fn four_hours(segment: &Segment) -> CaptureWriter {
    let mut writer = writer_of(&segment.path, &segment.name);
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
    let (mut segments, said) = segments_of(dir.path(), at(0), None);
    let mut writer = four_hours(&segments.segment);
    tell(&segments, Incident { since: Some(at(13_000)), over: Some(at(14_000)) });
    let next = segments.successor(&mut writer, at(4 * 3600)).expect("it can be written");
    let next = next.expect("it is time");
    assert_eq!(next.copied_through(), Some(at(4 * 3600)));
    segments.seal(writer).expect("it can be sealed");
    next.finish().expect("it can be sealed");

    let name = incident_name(&run(), at(13_000)).expect("a name");
    let path = capture_path(dir.path(), &name);
    let kept = CaptureReader::open(&path).expect("the incident is kept");
    assert_eq!((kept.meta().run.clone(), kept.window().start), (name, at(0)));
    let next = CaptureReader::open(&segments.segment.path).expect("the next segment is there");
    assert_eq!(next.window().start, at(3 * 3600 - 120));
    assert_eq!(*segments.incident(), Incident::default());
    let said = said.lock().expect("nobody panicked");
    let (began, bytes) = (segments.segment.path.clone(), bytes_on_disk(&path));
    assert_eq!(
        said[..],
        [SegmentChange::Began { path: began }, SegmentChange::Sealed { path, bytes }]
    );
}

#[test]
fn what_was_left_unsealed_is_sealed_with_the_next_segment() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut segments, _) = segments_of(dir.path(), at(0), None);
    let left = Segment::new(dir.path(), &run(), at(-3600)).expect("a name");
    let incident = incident_name(&run(), at(-3000)).expect("a name");
    let mut abandoned = writer_of(&left.path, &incident);
    abandoned.commit(Tick::default()).expect("it can be written");
    drop(abandoned);
    // SQLite folds the log in when its last connection closes; a recorder that is killed does not.
    let log = left.path.with_extension("capture-wal");
    std::fs::write(&log, "").expect("the directory is writable");
    assert!(capture::is_unsealed(&left.path));

    segments.seal(four_hours(&segments.segment.clone())).expect("it can be sealed");
    let sealed = [&segments.segment.name, &incident].map(|name| format!("{name}.capture"));
    assert_eq!(names(dir.path()), sealed);
}
