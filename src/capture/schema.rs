//! Checks that a database has exactly the tables that the migrations create.
//!
//! An untrusted file may contain views, triggers, generated columns or virtual tables. SQLite would
//! execute them as part of plain statements, so the schema is compared before anything else is
//! read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, limits::Limit};

/// Most steps of the virtual machine of SQLite for a statement that reads the schema: the schema of
/// a capture needs about a hundred, and SQLite parses all of it at once.
const MOST_STEPS: i32 = 2_000;
/// Most bytes of a schema entry that is read; those of a capture have about two hundred.
const LONGEST_ENTRY: i32 = 1 << 14;
/// Most foreign entries that are read and named in the error.
const FOREIGN_NAMED: usize = 4;
/// Most characters that are shown of the name of an entry.
const NAME_SHOWN: usize = 60;

/// A row of `sqlite_schema`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SchemaEntry {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

/// Describes what a database has beyond the schema that `steps` create, or lacks of it; `None`
/// where the schemas are equal.
///
/// # Errors
///
/// The error of SQLite where the schema cannot be read at all.
pub fn foreign(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<Option<String>> {
    let expected = expected(steps)?;
    let length = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_ENTRY)?;
    connection.progress_handler(MOST_STEPS, Some(|| true))?;
    let found = entries(connection, expected.len() + FOREIGN_NAMED);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, length)?;
    match found {
        Ok((found, roots)) => Ok(difference(&expected, &found, &roots)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                Ok(Some("more tables, views and triggers than a capture has".to_owned()))
            }
            Some(ErrorCode::TooBig) => {
                Ok(Some("an entry of the schema longer than any of a capture's".to_owned()))
            }
            _ => Err(error),
        },
    }
}

/// The schema that the migrations in `steps` create. It is made once in a process: making it takes as
/// long as all else that opening a small capture does.
fn expected(steps: &[&str]) -> rusqlite::Result<Arc<[SchemaEntry]>> {
    static KNOWN: Mutex<BTreeMap<String, Arc<[SchemaEntry]>>> = Mutex::new(BTreeMap::new());
    let sql = steps.concat();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entries) = known.get(&sql) {
        return Ok(Arc::clone(entries));
    }
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&sql)?;
    let made: Arc<[SchemaEntry]> = entries(&connection, usize::MAX)?.0.into();
    known.insert(sql, Arc::clone(&made));
    Ok(made)
}

/// Up to `most` entries of the schema in order, and the root pages of the tables.
fn entries(connection: &Connection, most: usize) -> rusqlite::Result<(Vec<SchemaEntry>, Vec<i64>)> {
    let sql = "SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema LIMIT ?1";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
    let (mut entries, mut roots) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let text = |column| Ok::<_, rusqlite::Error>(as_text(row.get_ref(column)?));
        entries.push(SchemaEntry {
            kind: text(0)?,
            name: text(1)?,
            table: text(2)?,
            sql: text(3)?,
        });
        roots.push(row.get_ref(4)?.as_i64().unwrap_or(0));
    }
    entries.sort();
    Ok((entries, roots))
}

/// A value as text; for other types a text that no table of the format has.
fn as_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    }
}

fn difference(expected: &[SchemaEntry], found: &[SchemaEntry], roots: &[i64]) -> Option<String> {
    if expected != found {
        let foreign = found.iter().filter(|entry| !expected.contains(entry));
        let altered = |entry: &SchemaEntry| expected.iter().any(|known| known.name == entry.name);
        let mut named: Vec<String> = foreign
            .map(|entry| match altered(entry) {
                true => format!("another {} than the format's", described(entry)),
                false => described(entry),
            })
            .collect();
        let missing = expected.iter().filter(|entry| !found.contains(entry));
        let replaced = |entry: &&SchemaEntry| found.iter().any(|other| other.name == entry.name);
        named.extend(
            missing.filter(|entry| !replaced(entry)).map(|e| format!("no {}", described(e))),
        );
        named.truncate(FOREIGN_NAMED);
        let doubled = || "a table that stands twice in the schema".to_owned();
        return Some(if named.is_empty() { doubled() } else { named.join(", ") });
    }
    // The first page belongs to the schema itself, and each other page to one table.
    let own: BTreeSet<i64> = roots.iter().copied().filter(|root| *root > 1).collect();
    (own.len() < roots.len()).then(|| "tables that share their pages".to_owned())
}

fn described(entry: &SchemaEntry) -> String {
    let kind = match entry.kind.as_str() {
        known @ ("table" | "index" | "view" | "trigger") => known,
        _ => "entry",
    };
    let name: String = entry.name.chars().take(NAME_SHOWN).collect();
    match kind {
        "trigger" | "index" => {
            let table: String = entry.table.chars().take(NAME_SHOWN).collect();
            format!("{kind} {name:?} on {table:?}")
        }
        _ => format!("{kind} {name:?}"),
    }
}
