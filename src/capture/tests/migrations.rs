//! Formats older and newer than this program's.
//!
//! As long as there is one format only, a synthetic second one stands for those to come.

use rusqlite::Connection;

use super::super::file::{APPLICATION_ID, CaptureFile, MIGRATIONS};
use super::*;

/// A step that such a format might take: a new table, filled from what is there.
const NEXT: &str = "CREATE TABLE tally (id INTEGER PRIMARY KEY, gaps INTEGER NOT NULL);
    INSERT INTO tally SELECT 1, count(*) FROM gap;";

fn with_next() -> Vec<&'static str> {
    [&MIGRATIONS[..], &[NEXT]].concat()
}

/// Every table and index as SQLite keeps them.
fn schema(connection: &Connection) -> Vec<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql";
    let mut statement = connection.prepare(sql).expect("the schema can be read");
    let rows = statement.query_map([], |row| row.get(0)).expect("it has rows");
    rows.collect::<Result<_, _>>().expect("they are text")
}

fn version(connection: &Connection) -> u32 {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("it is a number")
}

/// An empty capture of the format that the first `count` steps lead to.
fn of_format(path: &std::path::Path, steps: &[&str]) {
    let connection = Connection::open(path).expect("opens");
    let version = steps.len();
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; BEGIN; {} PRAGMA user_version = {version}; COMMIT;",
            steps.concat()
        ))
        .expect("makes the tables");
}

/// A finished capture of three ticks.
fn finished() -> (Scene, PathBuf) {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    writer.finish().expect("finishes");
    (scene, path)
}

#[test]
fn every_older_format_is_migrated_to_the_tables_of_the_newest() {
    let scene = Scene::new();
    let fresh = scene.path("fresh.capture");
    of_format(&fresh, &with_next());
    let expected = schema(&Connection::open(&fresh).expect("opens"));
    for count in 1..=MIGRATIONS.len() {
        let path = scene.path(&format!("{count}.capture"));
        of_format(&path, &with_next()[..count]);
        let file = CaptureFile::open_to_write_by(&path, &with_next()).expect("migrates");
        assert_eq!(version(&file.connection), FORMAT + 1);
        assert_eq!(schema(&file.connection), expected, "from format {count}");
    }
}

#[test]
fn an_older_capture_is_read_through_a_migrated_copy_and_stays_as_it_is() {
    let (scene, path) = finished();
    let (before, content) = (std::fs::read(&path).expect("reads"), dump(&path));
    let file = CaptureFile::open_to_read_by(&path, &with_next()).expect("opens");
    assert_eq!(version(&file.connection), FORMAT + 1);
    let gaps: u32 = file
        .connection
        .query_row("SELECT gaps FROM tally", [], |row| row.get(0))
        .expect("the step ran on the copy");
    assert_eq!(gaps, 1);
    let reader = CaptureReader::over(file).expect("reads");
    let read = format!(
        "{:?}\n{:?}",
        reader.select(&[], TimeRange::ALL).expect("reads"),
        reader.pd_answers(TimeRange::ALL).expect("reads")
    );
    assert!(content.starts_with(&read), "the migrated copy holds the same");
    drop(reader);
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let left: Vec<_> = std::fs::read_dir(scene.directory.path()).expect("lists").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn an_older_capture_with_a_log_is_read_with_what_stands_in_the_log() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    write_three_ticks(&mut writer);
    let file = CaptureFile::open_to_read_by(&path, &with_next()).expect("opens");
    let reader = CaptureReader::over(file).expect("reads");
    let series = reader.select(&[], TimeRange::ALL).expect("reads");
    assert_eq!(series.iter().map(|one| one.samples.len()).sum::<usize>(), 14);
    writer.finish().expect("the recorder goes on undisturbed");
}

#[test]
fn recording_goes_on_in_an_older_capture_once_it_is_migrated_in_place() {
    let (_scene, path) = finished();
    let content = dump(&path);
    drop(CaptureFile::open_to_write_by(&path, &with_next()).expect("migrates"));
    let error = CaptureReader::open(&path).err();
    let Some(CaptureError::Newer { found, supported, .. }) = error else {
        panic!("this program reads a format that it does not know: {error:?}")
    };
    assert_eq!((found, supported), (FORMAT + 1, FORMAT));
    assert!(matches!(CaptureWriter::resume(&path), Err(CaptureError::Newer { .. })));
    let reader = CaptureFile::open_to_read_by(&path, &with_next());
    let reader = CaptureReader::over(reader.expect("opens")).expect("reads");
    let series = format!("{:?}", reader.select(&[], TimeRange::ALL).expect("reads"));
    assert!(content.starts_with(&series));
}

#[test]
fn a_capture_of_a_later_format_says_which_version_reads_it() {
    for (json, expected) in
        [(&b"\"0.9.1\""[..], Some("0.9.1")), (b"\"\\u001b[2J\"", None), (b"7", None)]
    {
        let (_scene, path) = finished();
        let file = CaptureFile::open_to_write_by(&path, &with_next()).expect("migrates");
        let body = super::super::codec::seal_envelope("head 4", json);
        file.connection
            .execute("INSERT INTO head (id, body) VALUES (4, ?1)", [body])
            .expect("writes");
        drop(file);
        let Some(CaptureError::Newer { reads_since, .. }) = CaptureReader::open(&path).err() else {
            panic!("this program reads a format that it does not know")
        };
        assert_eq!(reads_since.as_deref(), expected);
    }
}

#[test]
fn a_step_that_fails_leaves_the_capture_as_it_was() {
    let (_scene, path) = finished();
    let content = dump(&path);
    let broken = [&MIGRATIONS[..], &["DELETE FROM gap; CREATE TABLE gap (id INTEGER);"]].concat();
    assert!(CaptureFile::open_to_write_by(&path, &broken).is_err());
    assert_eq!(dump(&path), content);
}
