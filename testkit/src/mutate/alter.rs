//! Alters what the rows of a capture say, and makes every checksum right again.

use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::block::alter_block;
use super::bytes::{alter, number, pack, put_varint, seal, take, take_bytes, unpack};

/// What is altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    /// A value of the metadata, the state or the counts.
    Head,
    /// A value of a gap or an event.
    Json,
    /// Targets and label sets.
    Series,
    /// A row of the journal, of samples or of PD answers.
    Journal,
    /// A block of samples.
    Samples,
    /// A block of PD answers.
    Pd,
    /// The columns by which blocks are found.
    Columns,
    /// A row goes.
    Remove,
    /// A row stands twice.
    Repeat,
}

const EDITS: [Edit; 9] = [
    Edit::Head,
    Edit::Json,
    Edit::Series,
    Edit::Journal,
    Edit::Samples,
    Edit::Pd,
    Edit::Columns,
    Edit::Remove,
    Edit::Repeat,
];

/// Makes up to three edits in the capture at `path`; returns them.
pub fn alter_capture(path: &Path, random: &mut Rng) -> Result<Vec<Edit>> {
    let capture = Capture::open(path)?;
    let count = [1, 1, 1, 2, 3][random.usize(..5)];
    let edits: Vec<Edit> = (0..count).map(|_| EDITS[random.usize(..EDITS.len())]).collect();
    for edit in &edits {
        capture.edit(*edit, random).with_context(|| format!("cannot make the edit {edit:?}"))?;
    }
    // Heads that disagree with the rows are noticed at once; where they agree, decoders are reached.
    if random.u8(..4) > 0 {
        capture.count_again()?;
    }
    capture.connection.execute_batch("COMMIT")?;
    Ok(edits)
}

/// A capture that is open for alterations.
struct Capture {
    connection: Connection,
}

/// Where a body stands, with the columns that its checksum is bound to.
struct Place {
    table: &'static str,
    id: i64,
    columns: Option<[i64; 3]>,
}

impl Place {
    fn context(&self) -> String {
        match self.columns {
            Some([target, first, last]) => format!("block {} {target} {first} {last}", self.id),
            None => format!("{} {}", self.table, self.id),
        }
    }
}

impl Capture {
    fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE;",
        )?;
        Ok(Self { connection })
    }

    fn edit(&self, edit: Edit, random: &mut Rng) -> Result<()> {
        match edit {
            Edit::Head => self.rewrite("head", "TRUE", random, alter_json),
            Edit::Json => {
                let table = ["gap", "event"][random.usize(..2)];
                self.rewrite(table, "TRUE", random, alter_json)
            }
            Edit::Series => self.rewrite("series", "TRUE", random, alter_series),
            Edit::Journal => self.rewrite("journal", "TRUE", random, alter_journal),
            Edit::Samples => self.rewrite("block", "target > 0", random, alter_block),
            Edit::Pd => self.rewrite("block", "target = 0", random, alter_packed),
            Edit::Columns => self.alter_columns(random),
            Edit::Remove => {
                let Some(place) = self.draw(drawn_table(random), "TRUE", random)? else {
                    return Ok(());
                };
                let sql = format!("DELETE FROM {} WHERE id = ?1", place.table);
                self.connection.execute(&sql, [place.id])?;
                Ok(())
            }
            Edit::Repeat => self.repeat(random),
        }
    }

    /// A row of a table.
    fn draw(
        &self,
        table: &'static str,
        condition: &str,
        random: &mut Rng,
    ) -> Result<Option<Place>> {
        let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id");
        let mut statement = self.connection.prepare(&sql)?;
        let ids: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Ok(None);
        }
        let id = ids[random.usize(..ids.len())];
        let columns = match table {
            "block" => {
                let sql = "SELECT target, first_ms, last_ms FROM block WHERE id = ?1";
                let read = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
                Some(self.connection.query_row(sql, [id], read)?)
            }
            _ => None,
        };
        Ok(Some(Place { table, id, columns }))
    }

    fn payload(&self, place: &Place) -> Result<Vec<u8>> {
        let sql = format!("SELECT body FROM {} WHERE id = ?1", place.table);
        let mut body: Vec<u8> = self.connection.query_row(&sql, [place.id], |row| row.get(0))?;
        Ok(body.split_off(4.min(body.len())))
    }

    fn put(&self, place: &Place, payload: &[u8]) -> Result<()> {
        let body = seal(&place.context(), payload);
        match place.columns {
            Some([target, first, last]) => self.connection.execute(
                "INSERT OR REPLACE INTO block (id, target, first_ms, last_ms, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (place.id, target, first, last, body),
            )?,
            None => self.connection.execute(
                &format!("INSERT OR REPLACE INTO {} (id, body) VALUES (?1, ?2)", place.table),
                (place.id, body),
            )?,
        };
        Ok(())
    }

    fn rewrite(
        &self,
        table: &'static str,
        condition: &str,
        random: &mut Rng,
        change: fn(&[u8], &mut Rng) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let Some(place) = self.draw(table, condition, random)? else { return Ok(()) };
        let payload = self.payload(&place)?;
        // What an earlier edit made of the row may be past taking apart.
        let changed = change(&payload, random).unwrap_or_else(|_| {
            let mut changed = payload.clone();
            alter(&mut changed, random);
            changed
        });
        self.put(&place, &changed)
    }

    fn alter_columns(&self, random: &mut Rng) -> Result<()> {
        let Some(mut place) = self.draw("block", "TRUE", random)? else { return Ok(()) };
        let payload = self.payload(&place)?;
        if let Some(columns) = &mut place.columns {
            let column = &mut columns[random.usize(..3)];
            *column = number(*column as u64, random) as i64;
        }
        self.put(&place, &payload)
    }

    fn repeat(&self, random: &mut Rng) -> Result<()> {
        let Some(mut place) = self.draw(drawn_table(random), "TRUE", random)? else {
            return Ok(());
        };
        let payload = self.payload(&place)?;
        let sql = format!("SELECT max(id) FROM {}", place.table);
        let last: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        for _ in 0..random.usize(1..20) {
            place.id = place.id.max(last) + 1;
            self.put(&place, &payload)?;
        }
        Ok(())
    }

    /// Makes the counts and the sum of the blocks' contexts those of the rows that are there.
    fn count_again(&self) -> Result<()> {
        let bounds = |table: &str| -> Result<(u64, u64)> {
            let sql = format!("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM {table}");
            Ok(self.connection.query_row(&sql, [], |row| {
                Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
            })?)
        };
        let mut sum = 0_u128;
        let sql = "SELECT id, target, first_ms, last_ms FROM block";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, columns) = (row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]);
            let context = Place { table: "block", id, columns: Some(columns) }.context();
            sum = sum.wrapping_add(xxhash_rust::xxh3::xxh3_128(context.as_bytes()));
        }
        let (first, last) = bounds("journal")?;
        self.change_head(2, |state| {
            state["segments"] = json!(bounds("series")?.1);
            state["blocks"] = json!(bounds("block")?.1);
            state["gaps"] = json!(bounds("gap")?.1);
            state["bounds_sum"] = json!(format!("{sum:032x}"));
            if last > 0 {
                state["journal_first"] = json!(first);
                state["journal_next"] = json!(last.wrapping_add(1));
            }
            Ok(())
        })?;
        self.change_head(3, |marks| {
            marks["events"] = json!(bounds("event")?.1);
            Ok(())
        })
    }

    fn change_head(&self, id: i64, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let place = Place { table: "head", id, columns: None };
        let Ok(payload) = self.payload(&place) else { return Ok(()) };
        match serde_json::from_slice::<Value>(&payload) {
            Ok(mut value) if value.is_object() => {
                change(&mut value)?;
                self.put(&place, value.to_string().as_bytes())
            }
            _ => Ok(()),
        }
    }
}

fn drawn_table(random: &mut Rng) -> &'static str {
    ["series", "journal", "block", "gap", "event"][random.usize(..5)]
}

/// Alters a value of a JSON document.
fn alter_json(payload: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(payload)?;
    if random.u8(..12) == 0 {
        let mut text = payload.to_vec();
        alter(&mut text, random);
        return Ok(text);
    }
    let place = drawn(&mut document, random);
    *place = match (&*place, random.u8(..8)) {
        (_, 0) => Value::Null,
        (_, 1) => json!([]),
        (Value::String(text), 2) => json!(text.repeat(random.usize(..3_000))),
        (Value::String(text), _) => {
            let mut bytes = text.clone().into_bytes();
            alter(&mut bytes, random);
            json!(String::from_utf8_lossy(&bytes))
        }
        (Value::Number(held), turn) => {
            let other = number(held.as_u64().unwrap_or(7), random);
            if turn % 2 == 0 { json!(other) } else { json!(other as i64) }
        }
        (Value::Array(list), _) => repeated(list, random.usize(..50)),
        _ => json!(number(1, random)),
    };
    Ok(serde_json::to_vec(&document)?)
}

/// A value somewhere in a document, mostly a leaf.
fn drawn<'a>(value: &'a mut Value, random: &mut Rng) -> &'a mut Value {
    let length = match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if length == 0 || random.u8(..10) == 0 {
        return value;
    }
    let nth = random.usize(..length);
    match value {
        Value::Array(list) => drawn(&mut list[nth], random),
        Value::Object(map) => {
            let inner = map.values_mut().nth(nth);
            drawn(inner.expect("the number is below the length"), random)
        }
        leaf => leaf,
    }
}

fn repeated(list: &[Value], times: usize) -> Value {
    Value::Array(std::iter::repeat_n(list, times).flatten().cloned().collect())
}

/// Alters the targets in front of a segment, or the label sets behind them.
fn alter_series(payload: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut rest = payload;
    for _ in 0..take(&mut rest)? {
        take_bytes(&mut rest)?;
        take_bytes(&mut rest)?;
        for _ in 0..2 * take(&mut rest)? {
            take(&mut rest)?;
        }
    }
    let (mut targets, packed) = (payload[..payload.len() - rest.len()].to_vec(), rest);
    if random.u8(..3) == 0 {
        alter(&mut targets, random);
        return Ok([&targets, packed].concat());
    }
    if random.u8(..8) == 0 {
        return Ok([targets, pack(&run_of_one(random), random)?].concat());
    }
    Ok([targets, alter_packed(packed, random)?].concat())
}

/// Very many label sets out of very few bytes.
fn run_of_one(random: &mut Rng) -> Vec<u8> {
    let (sets, width) = (1_u64 << random.u32(..22), random.u64(..3));
    let mut plain = Vec::new();
    put_varint(&mut plain, 2);
    for text in ["__name__", "up"] {
        put_varint(&mut plain, text.len() as u64);
        plain.extend_from_slice(text.as_bytes());
    }
    put_varint(&mut plain, 1);
    put_varint(&mut plain, sets);
    put_varint(&mut plain, width);
    plain.extend((0..width).map(|name| name as u8));
    plain.extend(vec![0; (sets * width) as usize]);
    plain
}

fn alter_journal(payload: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut rest = payload;
    let target = take(&mut rest)?;
    let mut altered = Vec::new();
    let other = random.u8(..8) == 0;
    put_varint(&mut altered, if other { number(target, random) } else { target });
    altered.extend(if other { rest.to_vec() } else { alter_packed(rest, random)? });
    Ok(altered)
}

fn alter_packed(packed: &[u8], random: &mut Rng) -> Result<Vec<u8>> {
    let mut plain = unpack(packed)?;
    alter(&mut plain, random);
    pack(&plain, random)
}
