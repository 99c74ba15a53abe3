//! Behaviour of a capture file as a whole.

mod files;
mod hostile;
mod migrations;
mod one_pass;
mod pd_scale;

use std::path::PathBuf;

use super::*;
use crate::model::{
    EncodedLabels, Event, EventKind, Gap, GapReason, Labels, PdAnswer, PdOutcome, RunMeta, RunName,
    Sample, Source, TimeRange, Timestamp, stale_marker,
};

struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory can be made") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn meta() -> RunMeta {
    RunMeta {
        run: RunName::new("test").expect("valid"),
        subject: "tikv".to_owned(),
        created: at(0),
        cluster_id: None,
        endpoints: Default::default(),
        versions: Default::default(),
        selectors: vec![],
        copied_by: vec![],
        clock_offsets: vec![],
        told: Default::default(),
        begins: None,
        export: None,
        lost: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn push(writer: &mut CaptureWriter, tick: &mut Tick, labels: &Labels, samples: &[(i64, f64)]) {
    let mut encoded = Vec::new();
    labels.encode(&mut encoded);
    let samples: Vec<Sample> =
        samples.iter().map(|&(millis, value)| Sample { at: at(millis), value }).collect();
    tick.samples.push(writer.index(), EncodedLabels(&encoded), &samples).expect("labels read");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_capture_that_somebody_reads_is_sealed_all_the_same() {
    let scene = Scene::new();
    let path = scene.path("read.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let mut tick = Tick::default();
    push(&mut writer, &mut tick, &series("up", "a:1"), &[(1_000, 1.0), (2_000, 1.0)]);
    writer.commit(tick).expect("commits");
    let reading = rusqlite::Connection::open(&path).expect("opens");
    reading.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").expect("reads");
    writer.finish().expect("what was observed is sealed");
    drop(reading);
    let reader = CaptureReader::open(&path).expect("opens");
    let samples: usize = reader
        .select(&[], TimeRange::ALL)
        .expect("reads")
        .iter()
        .map(|one| one.samples.len())
        .sum();
    assert_eq!(samples, 2);
    assert_eq!(reader.damage().len(), 0);
}

fn series(metric: &str, instance: &str) -> Labels {
    Labels::from_pairs(&[("__name__", metric), ("job", "tikv"), ("instance", instance)])
}

fn ping(sent: i64, body: &str) -> PdAnswer {
    PdAnswer {
        sent: at(sent),
        member: "pd0".to_owned(),
        url: "http://pd0:2379".to_owned(),
        path: "/pd/api/v1/ping".to_owned(),
        elapsed_us: 900,
        outcome: PdOutcome::Answered { status: 200, body: body.as_bytes().into() },
    }
}

/// Three ticks with series that come and go, a gap, an event and PD answers.
fn write_three_ticks(writer: &mut CaptureWriter) {
    for tick_number in 0..3_i64 {
        let now = 1_000_000 + tick_number * 15_000;
        let mut tick = Tick { copied_through: Some(at(now)), ..Tick::default() };
        for store in ["a:20180", "b:20180"] {
            push(writer, &mut tick, &series("up", store), &[(now, 1.0)]);
            push(writer, &mut tick, &series("bytes", store), &[(now, 0.1 * now as f64)]);
        }
        if tick_number == 1 {
            push(writer, &mut tick, &series("late", "a:20180"), &[(now, f64::NAN)]);
            tick.gaps.push(Gap {
                range: TimeRange::new(at(1), at(2)),
                source: Source::Prometheus,
                reason: GapReason::Timeout,
                detail: "no answer".to_owned(),
                healed_at: None,
            });
            tick.events.push(Event {
                at: at(now),
                kind: EventKind("note".to_owned()),
                text: "hello".to_owned(),
                fields: Default::default(),
            });
        }
        if tick_number == 2 {
            push(writer, &mut tick, &series("late", "a:20180"), &[(now, stale_marker())]);
        }
        tick.pd = vec![ping(now, "same"), ping(now + 1, &format!("tick {tick_number}"))];
        writer.commit(tick).expect("the tick commits");
    }
}

fn dump(path: &std::path::Path) -> String {
    let reader = CaptureReader::open(path).expect("the capture opens");
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        reader.select(&[], TimeRange::ALL).expect("reads"),
        reader.pd_answers(TimeRange::ALL).expect("reads"),
        reader.gaps().expect("reads"),
        reader.events().expect("reads"),
        reader.damage(),
    )
}

#[test]
fn what_is_written_is_read_before_and_after_sealing() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    let live = dump(&path);
    assert!(live.contains("NaN") && live.contains("hello"), "{live}");
    writer.finish().expect("finishes");
    assert_eq!(dump(&path), live);
    assert_eq!(verify(&path).expect("verifies").damage, []);
    let left: Vec<_> = std::fs::read_dir(scene.directory.path()).expect("lists").collect();
    assert_eq!(left.len(), 1, "one file remains: {left:?}");
}

#[test]
fn a_writer_that_vanished_loses_no_committed_tick() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    let before = dump(&path);
    drop(writer);
    let mut writer = CaptureWriter::resume(&path).expect("resumes");
    assert_eq!(writer.copied_through(), Some(at(1_030_000)));
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    let after = dump(&path);
    let samples = |text: &str| text.matches("Sample {").count();
    assert_eq!(samples(&after), samples(&before), "a second copy of a window adds nothing");
    assert_eq!(verify(&path).expect("verifies").damage, []);
}

#[test]
fn a_second_recorder_is_refused_by_pid() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let _writer = CaptureWriter::create(&path, meta()).expect("creates");
    match CaptureWriter::resume(&path) {
        Err(CaptureError::Locked { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("not refused: {:?}", other.err()),
    }
}

#[test]
fn compacting_keeps_content_and_digest_and_forgets_the_order_of_writing() {
    let scene = Scene::new();
    let (path, small) = (scene.path("run.capture"), scene.path("small.capture"));
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.seal().expect("seals");
    compact(&path, &small).expect("compacts");
    assert_eq!(dump(&small), dump(&path));
    assert_eq!(verify(&small).expect("verifies").damage, []);
    let digest = |path: &std::path::Path| {
        CaptureReader::open(path).expect("opens").digest().expect("digests")
    };
    assert_eq!(digest(&small), digest(&path));
    let again = scene.path("again.capture");
    compact(&small, &again).expect("compacts");
    assert_eq!(std::fs::read(&small).expect("reads"), std::fs::read(&again).expect("reads"));
}

#[test]
fn the_order_of_writing_shows_neither_in_the_digest_nor_in_compacted_bytes() {
    let scene = Scene::new();
    let (ticks, mut written) = (scene.path("ticks.capture"), Vec::new());
    let mut writer = CaptureWriter::create(&ticks, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    let source = CaptureReader::open(&ticks).expect("opens");
    let series = source.select(&[], TimeRange::ALL).expect("reads");
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let path = scene.path(&format!("{seed}.capture"));
        let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
        let mut answers = source.pd_answers(TimeRange::ALL).expect("reads");
        let mut order: Vec<usize> = (0..series.len()).collect();
        random.shuffle(&mut answers);
        random.shuffle(&mut order);
        for (turn, number) in order.into_iter().enumerate() {
            let mut tick = Tick { pd: answers.split_off(answers.len() / 2), ..Tick::default() };
            let samples = series[number].samples.iter();
            let samples: Vec<_> = samples.map(|s| (s.at.as_millis(), s.value)).collect();
            push(&mut writer, &mut tick, &series[number].labels, &samples);
            if turn == 0 {
                tick.copied_through = Some(at(1_030_000));
                tick.gaps = source.gaps().expect("reads");
                tick.events = source.events().expect("reads");
                tick.pd.append(&mut answers);
            }
            writer.commit(tick).expect("commits");
        }
        writer.finish().expect("finishes");
        let small = scene.path(&format!("{seed}.small"));
        compact(&path, &small).expect("compacts");
        let digest = CaptureReader::open(&path).expect("opens").digest().expect("digests");
        assert_eq!(digest, source.digest().expect("digests"));
        written.push(std::fs::read(&small).expect("reads"));
    }
    assert!(written.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn answers_that_are_written_again_stand_once() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let log = [ping(5, "a"), ping(6, "a")];
    let commit = |writer: &mut CaptureWriter| {
        let tick = Tick { pd: log.to_vec(), ..Tick::default() };
        writer.commit(tick).expect("commits").pd_answers
    };
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    assert_eq!((commit(&mut writer), commit(&mut writer)), (2, 0));
    writer.finish().expect("finishes");
    let mut writer = CaptureWriter::resume(&path).expect("resumes");
    assert_eq!(commit(&mut writer), 0);
    writer.finish().expect("finishes");
    let reader = CaptureReader::open(&path).expect("opens");
    assert_eq!(reader.pd_answers(TimeRange::ALL).expect("reads"), log);
    assert_eq!(verify(&path).expect("verifies").damage, []);
}

#[test]
fn a_copy_of_a_running_capture_is_consistent() {
    let scene = Scene::new();
    let (path, twin) = (scene.path("run.capture"), scene.path("twin.capture"));
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    copy(&path, &twin).expect("copies");
    assert_eq!(dump(&twin), dump(&path));
    assert!(matches!(copy(&path, &twin), Err(CaptureError::Exists { .. })));
}

#[test]
fn events_can_be_added_while_a_recorder_runs() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    let event = Event {
        at: at(7),
        kind: EventKind("note".to_owned()),
        text: "from beside".to_owned(),
        fields: Default::default(),
    };
    add_event(&path, event).expect("adds");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    let events = CaptureReader::open(&path).expect("opens").events().expect("reads");
    assert_eq!(events.len(), 3);
    assert_eq!(verify(&path).expect("verifies").damage, []);
}

#[test]
fn a_healed_gap_says_when() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    let healed =
        writer.open_gaps().map(|gap| Gap { healed_at: Some(at(9)), ..gap.clone() }).collect();
    writer.commit(Tick { healed, ..Tick::default() }).expect("commits");
    assert_eq!(writer.open_gaps().count(), 0);
    let gaps = CaptureReader::open(&path).expect("opens").gaps().expect("reads");
    assert_eq!(gaps[0].healed_at, Some(at(9)));
}

#[test]
fn healing_after_resuming_changes_no_other_gap() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    // Written in another order than that of their time.
    let gap = |start| Gap {
        range: TimeRange::new(at(start), at(start + 1)),
        source: Source::Prometheus,
        reason: GapReason::Timeout,
        detail: "no answer".to_owned(),
        healed_at: None,
    };
    writer
        .commit(Tick { gaps: [5, 1, 3].map(gap).to_vec(), ..Tick::default() })
        .expect("the gaps commit");
    drop(writer);

    let mut writer = CaptureWriter::resume(&path).expect("resumes");
    let healed = Gap { healed_at: Some(at(9)), ..gap(1) };
    writer.commit(Tick { healed: vec![healed.clone()], ..Tick::default() }).expect("commits");
    assert!(writer.open_gaps().eq([&gap(5), &gap(3)]));
    let gaps = CaptureReader::open(&path).expect("opens").gaps().expect("reads");
    assert_eq!(gaps, [healed, gap(3), gap(5)]);
}

#[test]
fn files_that_are_no_captures_are_refused_by_what_they_are() {
    let scene = Scene::new();
    let text = scene.path("text");
    std::fs::write(
        &text,
        "not a database, but long enough to have a header of its own ".repeat(40),
    )
    .expect("writes");
    let foreign = scene.path("foreign");
    rusqlite::Connection::open(&foreign)
        .and_then(|connection| connection.execute_batch("CREATE TABLE t (x)"))
        .expect("makes a database");
    for path in [&text, &foreign, &scene.path("")] {
        let error = CaptureReader::open(path).err();
        assert!(matches!(error, Some(CaptureError::NotACapture { .. })), "{path:?}: {error:?}");
    }
    let missing = CaptureReader::open(&scene.path("missing")).err();
    assert!(matches!(missing, Some(CaptureError::NotFound { .. })), "{missing:?}");
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    CaptureWriter::create(&path, meta()).and_then(CaptureWriter::finish).expect("creates");
    rusqlite::Connection::open(&path)
        .and_then(|connection| connection.execute_batch("PRAGMA user_version = 99"))
        .expect("alters");
    let error = CaptureReader::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("99") && error.contains(&FORMAT.to_string()), "{error}");
}

#[test]
fn no_damaged_byte_is_accepted_in_silence() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    let sound = std::fs::read(&path).expect("reads");
    let content = dump(&path);
    let target = scene.path("damaged.capture");
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..600 {
        let mut bytes = sound.clone();
        for _ in 0..random.usize(1..4) {
            let position = random.usize(..bytes.len());
            bytes[position] ^= 1 << random.u8(..8);
        }
        if random.u8(..5) == 0 {
            bytes.truncate(random.usize(..bytes.len()));
        }
        std::fs::write(&target, &bytes).expect("writes");
        let sound_by_its_own_account = verify(&target).is_ok_and(|report| report.damage.is_empty());
        if sound_by_its_own_account {
            assert_eq!(dump(&target), content, "damage was accepted");
        }
    }
}

#[test]
fn a_capture_whose_sealing_was_killed_reads_as_it_was_before() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    let content = dump(&path);
    let connection = rusqlite::Connection::open(&path).expect("opens");
    // So small a cache spills pages into the file before the transaction ends.
    let alter = "PRAGMA cache_size = 1; BEGIN; UPDATE block SET body = randomblob(4096); \
                 UPDATE head SET body = randomblob(4096);";
    connection.execute_batch(alter).expect("alters");
    let killed = scene.path("killed.capture");
    std::fs::copy(&path, &killed).expect("copies");
    std::fs::copy(scene.path("run.capture-journal"), scene.path("killed.capture-journal"))
        .expect("SQLite keeps a journal");
    connection.execute_batch("ROLLBACK").expect("rolls back");
    let torn = std::fs::read(&killed).expect("reads") != std::fs::read(&path).expect("reads");
    assert!(torn, "the copy was taken in the middle of a change");
    assert_eq!(dump(&killed), content);
    assert_eq!(verify(&killed).expect("verifies").damage, []);
}

#[test]
fn a_capture_without_a_tick_is_sound() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    drop(CaptureWriter::create(&path, meta()).expect("creates"));
    assert_eq!(verify(&path).expect("verifies").damage, []);
    CaptureWriter::resume(&path).and_then(CaptureWriter::finish).expect("goes on");
}

#[test]
fn what_a_killed_making_left_behind_is_replaced() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    std::fs::write(scene.path("run.capture.making"), "half a file").expect("writes");
    std::fs::write(scene.path("run.capture.making-journal"), "half a journal").expect("writes");
    let writer = CaptureWriter::create(&path, meta()).expect("creates");
    assert!(!scene.path("run.capture.making").exists());
    writer.finish().expect("finishes");
    assert_eq!(verify(&path).expect("verifies").damage, []);
}

#[test]
fn wrong_bounds_of_a_block_are_named_though_its_body_is_never_read() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    rusqlite::Connection::open(&path)
        .and_then(|connection| {
            connection.execute_batch("UPDATE block SET last_ms = 7 WHERE id = 1")
        })
        .expect("alters");
    let reader = CaptureReader::open(&path).expect("opens");
    assert!(reader.damage()[0].why.contains("bounds"), "{:?}", reader.damage());
}
