//! Files of strangers, opened by the built program: what does not belong to the format, counts that
//! nothing stands behind, bytes that expand, and rows that were altered and sealed again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Row, Scene};
use testkit::mutate::bytes::{put_varint, seal};
use testkit::mutate::resealed;

/// The capture that is made hostile.
const BUNDLED: &str = "chaos-10.capture";
/// Kilobytes of address space that the program may ask for.
const ADDRESS_SPACE: &str = "2500000";
/// How long a command may take over a file of a few kilobytes.
const LONGEST: Duration = Duration::from_secs(10);
/// Processes that are given an altered capture.
const PROCESSES: u32 = 160;

/// Commands that read or write a capture.
const COMMANDS: &[&[&str]] = &[
    &["verify", "FILE"],
    &["show", "FILE"],
    &["replay", "FILE"],
    &["query", "FILE", "up"],
    &["rules", "replay", "FILE"],
    &["diff", "FILE", "FILE"],
    &["copy", "FILE", "OUT"],
    &["compact", "FILE", "OUT"],
    &["mark", "FILE", "hello", "--at", "+0s"],
    &["seal", "FILE", "--truth", "TRUTH", "--replace"],
];

/// Opens each kind of file with each command.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, sql) in FOREIGN {
        let path = made(scene, |connection| Ok(connection.execute_batch(sql)?))?;
        rows.push(row(scene, kind, &path, |_, code| code == 3)?);
    }
    for suffix in ["-wal", "-journal", "-shm"] {
        let path = made(scene, |_| Ok(()))?;
        let pipe = PathBuf::from(format!("{}{suffix}", path.display()));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)?;
        let kind = format!("a named pipe as {suffix}");
        // Who would write says that the file cannot be accessed.
        rows.push(row(scene, &kind, &path, |_, code| matches!(code, 3 | 8))?);
        std::fs::remove_file(pipe)?;
    }
    for (head, count) in [
        (2, "segments"),
        (2, "gaps"),
        (2, "journal_next"),
        (2, "blocks"),
        (3, "events"),
        (3, "truths"),
    ] {
        let path = made(scene, |connection| {
            change_head(connection, head, |value| value[count] = json!(1_u64 << 60))
        })?;
        let kind = format!("2^60 {count}");
        let names = |command: &str, code| command != "verify" || code == 3;
        rows.push(row(scene, &kind, &path, names)?);
    }
    for (kind, expand) in EXPANSIONS {
        let path = made(scene, expand)?;
        let names = |command: &str, code| command != "verify" || code == 3;
        rows.push(row(scene, kind, &path, names)?);
    }
    let folder = tempfile::tempdir_in(scene.scratch.path())?;
    std::fs::copy(scene.data.join(BUNDLED), folder.path().join(BUNDLED))?;
    let seen = resealed::run_processes(folder.path(), &scene.operator, PROCESSES, scene.seed);
    rows.push(Row {
        tried: format!("{PROCESSES} captures altered and sealed again"),
        holds: seen.is_ok(),
        seen: match seen {
            Ok(exits) => format!("{exits:?}"),
            Err(error) => format!("{error:#}"),
        },
    });
    Ok(rows)
}

const FOREIGN: &[(&str, &str)] = &[
    ("another table", "CREATE TABLE more (x)"),
    ("an index", "CREATE INDEX more ON gap (body)"),
    ("a view", "CREATE VIEW more AS SELECT 1"),
    (
        "a table that is an endless view",
        "ALTER TABLE block RENAME TO more; CREATE VIEW block AS WITH RECURSIVE c(x) AS \
         (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id, 0 AS target, x AS first_ms, \
         x AS last_ms, x'00' AS body FROM c",
    ),
    (
        "a generated column",
        "DROP TABLE gap; CREATE TABLE gap (id INTEGER PRIMARY KEY, body BLOB AS (zeroblob(1)))",
    ),
    (
        "a trigger that never ends",
        "CREATE TRIGGER more AFTER INSERT ON event BEGIN INSERT INTO gap SELECT 10 + x, \
         zeroblob(1000000) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
         SELECT x FROM c); END",
    ),
    (
        "100,000 tables",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema WITH RECURSIVE c(x) AS \
         (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) SELECT 'table', 't' || x, \
         't' || x, 2, 'CREATE TABLE t' || x || ' (a)' FROM c",
    ),
];

/// A way to put much into a capture by few bytes.
type Expansion = fn(&Connection) -> Result<()>;

const EXPANSIONS: &[(&str, Expansion)] = &[
    ("8 x 2^24 empty label sets", |connection| {
        (0..8).try_for_each(|_| add_segment(connection, &sets_of(1 << 24, 0), 1 << 24))
    }),
    ("8 x 2^21 equal label sets", |connection| {
        (0..8).try_for_each(|_| add_segment(connection, &sets_of(1 << 21, 1), 1 << 21))
    }),
    ("a journal of 10^8 samples of one instant", |connection| {
        let mut plain = vec![1, 2];
        put_varint(&mut plain, 100_000_000);
        plain.resize(plain.len() + 200_000_000, 0);
        add_journal(connection, 1, &packed(&plain)?)
    }),
    ("a journal with ordinal 2^32 - 2", |connection| {
        let mut plain = vec![1, 2, 1];
        put_varint(&mut plain, u64::from(u32::MAX) - 1);
        plain.push(0);
        add_journal(connection, 1, &packed(&plain)?)
    }),
    ("a journal of a target that does not exist", |connection| {
        add_journal(connection, 7_777_777, &packed(&[1, 2, 1, 0, 0])?)
    }),
    ("a block without instants", |connection| add_block(connection, 0, 1, 1)),
    ("50 blocks of 2^30 cells without bytes", |connection| {
        (0..50).try_for_each(|_| add_block(connection, 4_096, 1 << 18, 512))
    }),
];

/// A bundled capture that was changed.
fn made(scene: &Scene, change: impl FnOnce(&Connection) -> Result<()>) -> Result<PathBuf> {
    let path = scene.scratch.path().join("stranger.capture");
    std::fs::copy(scene.data.join(BUNDLED), &path)?;
    let connection = Connection::open(&path)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")?;
    change(&connection)?;
    Ok(path)
}

/// Runs every command over a file, each over a copy of it.
fn row(
    scene: &Scene,
    kind: &str,
    path: &Path,
    expected: impl Fn(&str, i32) -> bool,
) -> Result<Row> {
    let (mut codes, mut longest, mut holds) = (Vec::new(), Duration::ZERO, true);
    let original = std::fs::read(path)?;
    for arguments in COMMANDS {
        let command = arguments[0];
        let out = scene.scratch.path().join("out.capture");
        let truth = scene.scratch.path().join("truth.json");
        std::fs::write(&truth, r#"{"fault": null}"#)?;
        let replaced = arguments.iter().map(|argument| match *argument {
            "FILE" => path.to_owned(),
            "OUT" => out.clone(),
            "TRUTH" => truth.clone(),
            other => PathBuf::from(other),
        });
        let script = format!("ulimit -v {ADDRESS_SPACE}; exec timeout 30 \"$0\" \"$@\"");
        let begun = now();
        let mut program = Command::new("sh");
        let program = program.args(["-c", &script]).arg(&scene.operator).args(replaced);
        let code = program.output()?.status.code().unwrap_or(-1);
        let took = begun.elapsed();
        holds &= (0..=11).contains(&code) && expected(command, code) && took <= LONGEST;
        longest = longest.max(took);
        codes.push(format!("{command} {code}"));
        let _ = std::fs::remove_file(out);
        std::fs::write(path, &original)?;
    }
    let seen = format!("{}; {:.1} s at most", codes.join(", "), longest.as_secs_f64());
    Ok(Row { tried: kind.to_owned(), seen, holds })
}

#[expect(clippy::disallowed_methods, reason = "how long the program takes is what is asked")]
fn now() -> Instant {
    Instant::now()
}

fn change_head(connection: &Connection, id: i64, change: impl FnOnce(&mut Value)) -> Result<()> {
    let sql = "SELECT body FROM head WHERE id = ?1";
    let body: Option<Vec<u8>> = connection.query_row(sql, [id], |row| row.get(0)).ok();
    // The counts of events and truths come with the first of them.
    let json = body.as_ref().and_then(|body| body.get(4..));
    let mut value: Value = serde_json::from_slice(json.unwrap_or(b"{\"events\":0,\"truths\":0}"))?;
    change(&mut value);
    let body = seal(&format!("head {id}"), value.to_string().as_bytes());
    connection.execute("INSERT OR REPLACE INTO head VALUES (?1, ?2)", (id, body))?;
    Ok(())
}

/// Raises a count of the state by one; returns what it was.
fn count_up(connection: &Connection, count: &str) -> Result<u64> {
    let mut held = None;
    change_head(connection, 2, |state| {
        held = state[count].as_u64();
        state[count] = json!(held.unwrap_or(0) + 1);
    })?;
    held.context("the state has no such count")
}

fn packed(plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    out.extend(zstd::bulk::compress(plain, 19)?);
    Ok(out)
}

/// So many equal label sets with so many labels, not packed.
fn sets_of(sets: u64, labels: u64) -> Vec<u8> {
    let mut plain = vec![1, 1, b'a', 1];
    put_varint(&mut plain, sets);
    put_varint(&mut plain, labels);
    plain.resize(plain.len() + (labels + sets * labels) as usize, 0);
    plain
}

fn add_segment(connection: &Connection, sets: &[u8], series: u64) -> Result<()> {
    let id = count_up(connection, "segments")? + 1;
    let mut payload = vec![1, 1, b'j', 1, b'i', 1, 0];
    put_varint(&mut payload, series);
    payload.extend(packed(sets)?);
    let body = seal(&format!("series {id}"), &payload);
    connection.execute("INSERT INTO series VALUES (?1, ?2)", (id as i64, body))?;
    Ok(())
}

fn add_journal(connection: &Connection, target: u64, blob: &[u8]) -> Result<()> {
    let id = count_up(connection, "journal_next")?;
    let mut payload = Vec::new();
    put_varint(&mut payload, target);
    payload.extend_from_slice(blob);
    let body = seal(&format!("journal {id}"), &payload);
    connection.execute("INSERT INTO journal VALUES (?1, ?2)", (id as i64, body))?;
    Ok(())
}

/// A block of the first target whose groups have no bytes.
fn add_block(connection: &Connection, instants: u64, series: u64, per_group: u64) -> Result<()> {
    let mut header = Vec::new();
    put_varint(&mut header, instants);
    // The first instant is 1, and each is one later than the one before.
    (0..instants).for_each(|place| put_varint(&mut header, if place < 2 { 2 } else { 0 }));
    [1, 0, series, series.div_ceil(per_group)].iter().for_each(|n| put_varint(&mut header, *n));
    for _ in 0..series.div_ceil(per_group) {
        put_varint(&mut header, per_group);
        put_varint(&mut header, 0);
        header.extend(crc32c::crc32c(&[]).to_le_bytes());
    }
    let mut block = crc32c::crc32c(&header).to_le_bytes().to_vec();
    put_varint(&mut block, header.len() as u64);
    block.extend(header);
    let id = count_up(connection, "blocks")? + 1;
    let last = instants.max(1) as i64;
    let body = seal(&format!("block {id} 1 1 {last}"), &block);
    let sql = "INSERT INTO block VALUES (?1, 1, 1, ?2, ?3)";
    connection.execute(sql, (id as i64, last, body))?;
    Ok(())
}
