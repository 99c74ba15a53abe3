//! The files of a capture: who may read them, and what stands in their way.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::model::{LabelMatcher, MatchOp};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("it is ours");
}

fn names(scene: &Scene) -> Vec<String> {
    let entries = std::fs::read_dir(scene.directory.path()).expect("it can be listed");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.filter_map(Result::ok).map(name).collect();
    names.sort();
    names
}

fn written(path: &Path, mode: FileMode) -> CaptureWriter {
    let mut writer = CaptureWriter::create_as(path, meta(), mode).expect("creates");
    write_three_ticks(&mut writer);
    writer
}

#[test]
fn a_lock_that_leads_elsewhere_is_refused_and_what_it_leads_to_is_not_touched() {
    let scene = Scene::new();
    let (path, lock) = (scene.path("run.capture"), scene.path("run.capture.lock"));
    let victim = scene.path("victim");
    std::fs::write(&victim, "precious").expect("writes");
    let pipe = |at: &Path| {
        mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
    };
    type Way<'a> = (&'a str, &'a dyn Fn(&Path));
    let ways: [Way<'_>; 5] = [
        ("a symbolic link", &|at| symlink("victim", at).expect("a link")),
        ("a symbolic link", &|at| symlink("made-by-nobody", at).expect("a link")),
        ("a hard link", &|at| std::fs::hard_link(&victim, at).expect("a link")),
        ("a named pipe", &pipe),
        ("a directory", &|at| std::fs::create_dir(at).expect("a directory")),
    ];
    for (what, put) in ways {
        put(&lock);
        for taken in [CaptureWriter::create(&path, meta()), CaptureWriter::resume(&path)] {
            let error = taken.err().expect("it is refused");
            assert!(matches!(error, CaptureError::NotAFile { .. }), "{what}: {error}");
            assert!(error.to_string().contains(what), "{error}");
        }
        std::fs::remove_dir(&lock).or_else(|_| std::fs::remove_file(&lock)).expect("it is ours");
        assert_eq!(std::fs::read(&victim).expect("it is there"), b"precious", "{what}");
        assert_eq!(names(&scene), ["victim"], "{what}");
    }
}

#[test]
fn nothing_is_written_through_a_link_in_place_of_a_capture_or_of_a_file_beside_it() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    symlink("elsewhere", scene.path("run.capture.making")).expect("a link");
    symlink("elsewhere-journal", scene.path("run.capture.making-journal")).expect("a link");
    written(&path, FileMode::default()).finish().expect("finishes");
    assert_eq!(names(&scene), ["run.capture"]);

    let target = scene.path("target.capture");
    symlink("elsewhere", &target).expect("a link");
    let refused = [
        CaptureWriter::create(&target, meta()).map(drop),
        copy(&path, &target),
        compact(&path, &target),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(CaptureError::Exists { .. })), "{refused:?}");
    }
    assert_eq!(names(&scene), ["run.capture", "target.capture"]);

    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = scene.path(&format!("run.capture{suffix}"));
        mknodat(CWD, &beside, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
        let refused = CaptureWriter::resume(&path).map(drop);
        assert!(matches!(refused, Err(CaptureError::NotAFile { .. })), "{suffix}: {refused:?}");
        std::fs::remove_file(&beside).expect("it is ours");
    }
    CaptureWriter::resume(&path).and_then(CaptureWriter::finish).expect("goes on");
}

#[test]
fn new_files_are_read_by_nobody_else_unless_it_is_said() {
    let scene = Scene::new();
    for (name, said, bits) in [("own", "0600", 0o600), ("group", "0640", 0o640)] {
        let path = scene.path(name);
        let writer = written(&path, FileMode::parse(said).expect("a mode"));
        assert_eq!(mode(&scene.path(&format!("{name}.lock"))), 0o600);
        for suffix in ["", "-wal", "-shm"] {
            assert_eq!(mode(&scene.path(&format!("{name}{suffix}"))), bits, "{name}{suffix}");
        }
        writer.finish().expect("finishes");
        assert_eq!(mode(&path), bits, "{name}");
    }
}

#[test]
fn a_copy_is_read_by_nobody_who_may_not_read_its_source() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    written(&path, FileMode::default()).finish().expect("finishes");
    for (source, said, bits) in [
        (0o600, "0644", 0o600),
        (0o644, "0600", 0o600),
        (0o644, "0640", 0o640),
        (0o400, "0600", 0o600),
    ] {
        set_mode(&path, source);
        let said = FileMode::parse(said).expect("a mode");
        let (twin, small) = (scene.path("twin"), scene.path("small"));
        copy_as(&path, &twin, said).expect("copies");
        compact_as(&path, &small, said).expect("compacts");
        assert_eq!((mode(&twin), mode(&small)), (bits, bits), "{source:o} {said:?}");
        std::fs::remove_file(twin).and_then(|()| std::fs::remove_file(small)).expect("ours");
    }
}

#[test]
fn what_cannot_be_compacted_leaves_nothing() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    written(&path, FileMode::default()).finish().expect("finishes");
    rusqlite::Connection::open(&path)
        .and_then(|connection| connection.execute_batch("UPDATE gap SET body = x'00'"))
        .expect("alters");
    let before = names(&scene);
    let compacted = compact(&path, &scene.path("small.capture"));
    assert!(matches!(compacted, Err(CaptureError::Damaged { .. })), "{compacted:?}");
    assert_eq!(names(&scene), before);
}

#[test]
fn a_writer_that_is_reloaded_after_a_full_disk_goes_on_from_what_is_committed() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = written(&path, FileMode::default());
    let before = dump(&path);
    let tick = |writer: &mut CaptureWriter| {
        let mut tick = Tick { copied_through: Some(at(2_000_000)), ..Tick::default() };
        for number in 0..400 {
            let labels = series(&format!("metric_{number}"), "late");
            push(writer, &mut tick, &labels, &[(1_900_000, f64::from(number).sqrt())]);
        }
        tick
    };
    writer.may_not_grow(true);
    let too_much = tick(&mut writer);
    let full = writer.commit(too_much).expect_err("there is no room");
    assert!(full.is_full(), "{full}");
    assert_eq!(dump(&path), before);

    writer.reload().expect("what is committed reads");
    assert_eq!(writer.copied_through(), Some(at(1_030_000)));
    writer.may_not_grow(false);
    let again = tick(&mut writer);
    assert_eq!(writer.commit(again).expect("there is room").samples, 400);
    writer.finish().expect("finishes");
    assert_eq!(verify(&path).expect("verifies").damage, []);
    let late =
        LabelMatcher { name: "instance".to_owned(), op: MatchOp::Equal, value: "late".to_owned() };
    let late = CaptureReader::open(&path).expect("opens").select(&[late], TimeRange::ALL);
    assert_eq!(late.expect("reads").len(), 400);
}
