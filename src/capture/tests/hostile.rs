//! Files that a stranger made to do harm: each is refused, or read within bounds and named.

use std::os::unix::fs::symlink;

use rusqlite::Connection;

use super::super::codec::{JournalRow, encode_journal, pack, put_bytes, put_varint};
use super::super::file::{CaptureFile, CommittedState};
use super::*;

/// A finished capture of three ticks.
fn finished(scene: &Scene) -> PathBuf {
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    path
}

/// A finished capture over which statements were run.
fn altered(scene: &Scene, sql: &str) -> PathBuf {
    let path = finished(scene);
    Connection::open(&path).and_then(|connection| connection.execute_batch(sql)).expect("alters");
    path
}

/// A finished capture whose state was altered, and is sealed rightly.
fn with_state(scene: &Scene, alter: impl FnOnce(&mut CommittedState)) -> PathBuf {
    let path = finished(scene);
    let file = CaptureFile::open_to_write(&path).expect("opens");
    let mut state = file.state().expect("reads");
    alter(&mut state);
    file.set_state(&state).expect("writes");
    path
}

fn note() -> Event {
    Event {
        at: at(7),
        kind: EventKind("note".to_owned()),
        text: "hello".to_owned(),
        fields: Default::default(),
    }
}

/// What every way of opening a file says of it, each with what it is called.
fn refusals(scene: &Scene, path: &std::path::Path) -> Vec<(&'static str, Option<CaptureError>)> {
    let (twin, small) = (scene.path("twin.capture"), scene.path("small.capture"));
    vec![
        ("open", CaptureReader::open(path).err()),
        ("verify", verify(path).err()),
        ("mark", add_event(path, note()).err()),
        ("seal", seal_truth(path, b"truth").err()),
        ("unseal", unseal_truth(path).err()),
        ("copy", copy(path, &twin).err()),
        ("compact", compact(path, &small).err()),
        ("resume", CaptureWriter::resume(path).err()),
    ]
}

#[test]
fn whatever_does_not_belong_to_the_format_is_named_and_nothing_of_it_runs() {
    const BOMB: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x";
    let replaced =
        |table: &str, by: &str| format!("ALTER TABLE {table} RENAME TO real_{table}; {by}");
    let cases = [
        ("CREATE TABLE more (x)".to_owned(), "table \"more\""),
        ("CREATE INDEX more ON gap (body)".to_owned(), "index \"more\" on \"gap\""),
        ("CREATE VIEW more AS SELECT 1".to_owned(), "view \"more\""),
        (format!("CREATE VIEW more AS {BOMB} AS id FROM c"), "view \"more\""),
        (
            "CREATE TRIGGER more AFTER INSERT ON event BEGIN DELETE FROM block; END".to_owned(),
            "trigger \"more\" on \"event\"",
        ),
        (
            replaced("block", &format!("CREATE VIEW block AS {BOMB} AS id FROM c")),
            "another view \"block\"",
        ),
        (
            replaced("gap", "CREATE TABLE gap (id INTEGER PRIMARY KEY, body BLOB AS (x'00'))"),
            "another table \"gap\"",
        ),
        (
            replaced("gap", "CREATE TABLE gap (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID"),
            "another table \"gap\"",
        ),
        ("DROP TABLE truth".to_owned(), "no table \"truth\""),
        ("ALTER TABLE event ADD COLUMN more".to_owned(), "another table \"event\""),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql || ' STRICT';"
                .to_owned(),
            "another table",
        ),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = \
             (SELECT rootpage FROM sqlite_schema WHERE name = 'gap') WHERE name = 'event';"
                .to_owned(),
            "share their pages",
        ),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql || \
             printf('%.*c', 100000, ' ') WHERE name = 'gap';"
                .to_owned(),
            "longer than any",
        ),
    ];
    for (sql, named) in cases {
        let scene = Scene::new();
        let path = altered(&scene, &sql);
        let before = std::fs::read(&path).expect("reads");
        for (command, error) in refusals(&scene, &path) {
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("does not belong"), "{command} of {sql}: {text:?}");
            assert!(text.contains(named), "{command} of {sql}: {text}");
        }
        assert_eq!(std::fs::read(&path).expect("reads"), before, "{sql}");
    }
}

#[test]
fn a_schema_of_very_many_tables_is_refused_before_it_is_parsed() {
    let scene = Scene::new();
    let path = altered(
        &scene,
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema \
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) \
         SELECT 'table', 't' || x, 't' || x, 2, 'CREATE TABLE t' || x || ' (a)' FROM c;",
    );
    let begun = cpu_time();
    for (command, error) in refusals(&scene, &path) {
        let foreign = matches!(error, Some(CaptureError::Foreign { .. }));
        assert!(foreign, "{command}: {error:?}");
    }
    let took = cpu_time() - begun;
    assert!(took < 1.0, "{took} s of processor time");
}

/// Seconds of processor time of this thread.
fn cpu_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[test]
fn a_view_that_came_in_a_log_is_refused_like_one_in_the_file() {
    let scene = Scene::new();
    let path = finished(&scene);
    let connection = Connection::open(&path).expect("opens");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE VIEW more AS SELECT 1")
        .expect("alters");
    let brought = scene.path("brought.capture");
    for suffix in ["", "-wal"] {
        let from = scene.path(&format!("run.capture{suffix}"));
        std::fs::copy(from, scene.path(&format!("brought.capture{suffix}"))).expect("copies");
    }
    for (command, error) in refusals(&scene, &brought) {
        assert!(matches!(error, Some(CaptureError::Foreign { .. })), "{command}: {error:?}");
    }
}

#[test]
fn what_stands_beside_a_capture_in_place_of_a_log_is_never_opened() {
    for suffix in ["-wal", "-journal", "-shm"] {
        for kind in ["pipe", "link", "directory"] {
            let scene = Scene::new();
            let path = finished(&scene);
            let side = scene.path(&format!("run.capture{suffix}"));
            match kind {
                "pipe" => {
                    let mode = rustix::fs::Mode::from_raw_mode(0o600);
                    let pipe = rustix::fs::FileType::Fifo;
                    rustix::fs::mknodat(rustix::fs::CWD, &side, pipe, mode, 0).expect("is made");
                }
                "link" => symlink(scene.path("victim"), &side).expect("is made"),
                _ => std::fs::create_dir(&side).expect("is made"),
            }
            let linked = scene.path("linked.capture");
            symlink(&path, &linked).expect("is made");
            for path in [&path, &linked] {
                for (command, error) in refusals(&scene, path) {
                    let refused = matches!(
                        error,
                        Some(CaptureError::NotACapture { .. } | CaptureError::NotAFile { .. })
                    );
                    assert!(refused, "{command} beside a {kind} as {suffix}: {error:?}");
                }
            }
            assert!(!scene.path("victim").exists());
        }
    }
}

#[test]
fn counts_that_no_rows_stand_behind_are_damage_and_cost_nothing() {
    const MANY: u64 = 1 << 60;
    type Claim = (&'static str, fn(&mut CommittedState));
    let counts: [Claim; 6] = [
        ("series", |state| state.segments = MANY),
        ("gap", |state| state.gaps = MANY),
        ("gap", |state| state.gaps = u64::MAX),
        ("journal", |state| state.journal_next = MANY),
        ("block", |state| state.blocks = MANY),
        ("series", |state| state.segments = u64::MAX),
    ];
    for (table, claim) in counts {
        let scene = Scene::new();
        let path = with_state(&scene, claim);
        let damage = verify(&path).expect("opens").damage;
        let named = damage
            .iter()
            .filter(|one| one.part.starts_with(table) && one.why.contains("rows are missing"));
        assert_eq!(named.count(), 1, "{table}: {damage:?}");
        let resumed = CaptureWriter::resume(&path).err();
        assert!(matches!(resumed, Some(CaptureError::Damaged { .. })), "{table}: {resumed:?}");
        compact(&path, &scene.path("small.capture")).expect_err("the source is damaged");
    }
    let scene = Scene::new();
    let path = finished(&scene);
    let file = CaptureFile::open_to_write(&path).expect("opens");
    let mut marks = file.marks().expect("reads");
    (marks.events, marks.truths) = (MANY, MANY);
    file.set_marks(&marks).expect("writes");
    drop(file);
    let damage = verify(&path).expect("opens").damage;
    let named = damage.iter().filter(|one| one.why.contains("rows are missing"));
    assert_eq!(named.count(), 2, "{damage:?}");
    assert!(matches!(add_event(&path, note()), Err(CaptureError::Damaged { .. })));
    assert!(matches!(seal_truth(&path, b"truth"), Err(CaptureError::Damaged { .. })));
}

/// Adds a row of the journal.
fn add_journal(path: &std::path::Path, target: u64, blob: &[u8]) {
    let file = CaptureFile::open_to_write(path).expect("opens");
    let mut state = file.state().expect("reads");
    let mut payload = Vec::new();
    put_varint(&mut payload, target);
    payload.extend_from_slice(blob);
    file.put_row(super::super::file::Table::Journal, state.journal_next, &payload).expect("writes");
    state.journal_next += 1;
    file.set_state(&state).expect("writes");
}

#[test]
fn rows_of_a_target_that_does_not_exist_are_damage() {
    let scene = Scene::new();
    let path = finished(&scene);
    add_journal(&path, 9, &encode_journal(&[JournalRow { at: 5, samples: vec![(0, 7)] }]));
    let damage = verify(&path).expect("opens").damage;
    assert!(damage.iter().any(|one| one.part.starts_with("journal")), "{damage:?}");

    let scene = Scene::new();
    let path = finished(&scene);
    let connection = Connection::open(&path).expect("opens");
    let body: Vec<u8> = connection
        .query_row("SELECT body FROM block WHERE target = 1", [], |row| row.get(0))
        .expect("reads");
    let (first, last): (i64, i64) = connection
        .query_row("SELECT first_ms, last_ms FROM block WHERE target = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("reads");
    drop(connection);
    let file = CaptureFile::open_to_write(&path).expect("opens");
    let mut state = file.state().expect("reads");
    super::super::sealing::put_block(&file, &mut state, 9, (first, last), &body[4..])
        .expect("writes");
    file.set_state(&state).expect("writes");
    drop(file);
    let damage = verify(&path).expect("opens").damage;
    assert!(damage.iter().any(|one| one.why.contains("its target is not")), "{damage:?}");
}

#[test]
fn a_block_without_instants_or_with_others_than_its_row_says_is_damage() {
    for (instants, first, last) in [(0, 5, 5), (2, 1_000, 1_001), (2, 5, 5)] {
        let scene = Scene::new();
        let path = finished(&scene);
        let mut header = Vec::new();
        put_varint(&mut header, instants);
        // 1 and 2, as second differences in zigzag.
        (0..instants).for_each(|_| put_varint(&mut header, 2));
        [1, 0, 1, 1, 1, 1].iter().for_each(|number| put_varint(&mut header, *number));
        header.extend(crc32c::crc32c(&[0x40]).to_le_bytes());
        let mut block = crc32c::crc32c(&header).to_le_bytes().to_vec();
        put_bytes(&mut block, &header);
        block.push(0x40);
        let file = CaptureFile::open_to_write(&path).expect("opens");
        let mut state = file.state().expect("reads");
        super::super::sealing::put_block(&file, &mut state, 1, (first, last), &block)
            .expect("writes");
        file.set_state(&state).expect("writes");
        drop(file);
        let damage = verify(&path).expect("opens").damage;
        let why = if instants == 0 { "no instant" } else { "outside its row's bounds" };
        assert!(damage.iter().any(|one| one.why.contains(why)), "{instants}: {damage:?}");
    }
}

/// A capture without samples whose series are those of these segments.
fn with_segments(scene: &Scene, segments: &[Vec<u8>]) -> PathBuf {
    let path = scene.path("run.capture");
    CaptureWriter::create(&path, meta()).and_then(CaptureWriter::finish).expect("creates");
    let file = CaptureFile::open_to_write(&path).expect("opens");
    let mut state = file.state().expect("reads");
    for segment in segments {
        state.segments += 1;
        file.put_row(super::super::file::Table::Series, state.segments, segment).expect("writes");
    }
    file.set_state(&state).expect("writes");
    path
}

/// A segment of one target whose label sets are all pairs out of so many long strings.
fn product(job: &str, side: u64) -> Vec<u8> {
    let mut plain = Vec::new();
    put_varint(&mut plain, side + 2);
    [b"a", b"b"].iter().for_each(|name| put_bytes(&mut plain, *name));
    for number in 0..side {
        put_bytes(&mut plain, format!("{number:>4000}").as_bytes());
    }
    [1, side * side, 2, 0, 1].iter().for_each(|number| put_varint(&mut plain, *number));
    for column in 0..2 {
        let mut last = 0_i64;
        for place in 0..side * side {
            let id = 2 + if column == 0 { place / side } else { place % side } as i64;
            put_varint(&mut plain, ((id - last) << 1 ^ (id - last) >> 63) as u64);
            last = id;
        }
    }
    let mut segment = Vec::new();
    put_varint(&mut segment, 1);
    [job, "i"].iter().for_each(|text| put_bytes(&mut segment, text.as_bytes()));
    [1, 0, side * side].iter().for_each(|number| put_varint(&mut segment, *number));
    segment.extend(pack(&plain, 19));
    segment
}

#[test]
fn small_segments_that_expand_to_gigabytes_of_labels_end_at_the_budget() {
    let scene = Scene::new();
    let segments: Vec<Vec<u8>> = (0..4).map(|n| product(&format!("j{n}"), 100)).collect();
    let path = with_segments(&scene, &segments);
    let bytes = std::fs::metadata(&path).expect("is there").len();
    assert!(bytes < 100_000, "{bytes}");
    let reader = CaptureReader::open(&path).expect("opens");
    let damage = reader.damage();
    let named = damage.iter().any(|one| one.why.contains("more memory"));
    let held: usize = reader.targets.iter().map(|target| target.sets.len()).sum();
    assert!(named && held == 100 * 100, "{held} series are held: {damage:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_journal_of_many_targets_is_never_held_as_scrapes_of_all_of_them() {
    // As scrapes it takes 16 bytes for each sample, as columns 9: both of all targets would be too much.
    const SERIES: u64 = 8_192;
    const SCRAPES: i64 = 256;
    let mut plain = Vec::new();
    put_varint(&mut plain, SERIES + 1);
    put_bytes(&mut plain, b"n");
    (0..SERIES).for_each(|number| put_bytes(&mut plain, number.to_string().as_bytes()));
    [1, SERIES, 1, 0].iter().for_each(|number| put_varint(&mut plain, *number));
    (0..SERIES).for_each(|_| put_varint(&mut plain, 2));
    let sets = pack(&plain, 3);
    let mut segment = Vec::new();
    put_varint(&mut segment, 3);
    for job in ["a", "b", "c"] {
        [job, "i"].iter().for_each(|text| put_bytes(&mut segment, text.as_bytes()));
        [1, 0, SERIES].iter().for_each(|number| put_varint(&mut segment, *number));
    }
    segment.extend(sets);
    let scene = Scene::new();
    let path = with_segments(&scene, &[segment]);
    let samples: Vec<(u32, u64)> = (0..SERIES as u32).map(|ordinal| (ordinal, 7)).collect();
    let rows: Vec<JournalRow> =
        (0..SCRAPES).map(|at| JournalRow { at, samples: samples.clone() }).collect();
    let blob = encode_journal(&rows);
    (1..=3).for_each(|target| add_journal(&path, target, &blob));
    let reader = CaptureReader::open(&path).expect("opens");
    assert_eq!(reader.damage(), []);
    let cells = reader.journal.values().flatten().map(|columns| columns.states.len());
    assert_eq!(cells.sum::<usize>(), 3 * (SERIES as usize) * SCRAPES as usize);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn series_with_very_long_labels_are_written_so_that_they_can_be_read() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let mut tick = Tick::default();
    for number in 0..800 {
        // No two labels have a text in common.
        let labels = Labels::from_pairs(&[
            ("__name__", "long"),
            ("instance", if number % 2 == 0 { "a:20180" } else { "b:20180" }),
            ("job", "tikv"),
            ("long", &("0".repeat(100_000) + &number.to_string())),
        ]);
        push(&mut writer, &mut tick, &labels, &[(1_000, f64::from(number))]);
    }
    writer.commit(tick).expect("commits");
    drop(writer);
    CaptureWriter::resume(&path).and_then(CaptureWriter::finish).expect("goes on");
    let small = scene.path("small.capture");
    compact(&path, &small).expect("compacts");
    for path in [&path, &small] {
        let reader = CaptureReader::open(path).expect("opens");
        assert_eq!(reader.damage(), []);
        assert!(reader.state().segments > 1);
        let (mut series, mut right) = (0, true);
        let scanned = reader.scan(&[], TimeRange::ALL, |run| {
            let number = run.set().get("long").and_then(|text| text.parse::<f64>().ok());
            right &= number == run.samples().next().map(|sample| sample.value);
            series += 1;
        });
        scanned.expect("reads");
        assert!(right && series == 800, "{series} series");
    }
}

#[test]
fn a_head_that_is_no_blob_is_damage() {
    let scene = Scene::new();
    let path = altered(&scene, "UPDATE head SET body = 'text' WHERE id = 2");
    assert!(matches!(CaptureReader::open(&path), Err(CaptureError::Damaged { .. })));
}
