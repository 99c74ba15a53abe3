//! Rows of the tables whose columns are an id and a body with a checksum.
//!
//! The table `block` has more columns; `sealing` writes it and the reader reads it.

use super::CaptureFile;
use crate::capture::CaptureError;
use crate::capture::codec::{open_envelope, seal_envelope};

/// Tables with the two columns id and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Segments of new series, one or more for each commit that has any.
    Series,
    /// Scrapes and PD answers that are not sealed yet.
    Journal,
    /// What was not observed, one gap a row.
    Gap,
    /// Events of the timeline, which other processes may add.
    Event,
    /// Sealed ground truths, which only scoring reads.
    Truth,
}

impl Table {
    /// Name of the table in SQL, which is also part of the checksum of its rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Journal => "journal",
            Self::Gap => "gap",
            Self::Event => "event",
            Self::Truth => "truth",
        }
    }
}

impl CaptureFile {
    /// Writes a row. The checksum of its body covers the names of table and id too.
    pub fn put_row(&self, table: Table, id: u64, payload: &[u8]) -> Result<(), CaptureError> {
        let sql = format!("INSERT OR REPLACE INTO {0} (id, body) VALUES (?1, ?2)", table.name());
        let body = seal_envelope(&format!("{} {id}", table.name()), payload);
        self.connection
            .prepare(&sql)
            .and_then(|mut statement| statement.execute((id as i64, body)))
            .map(drop)
            .map_err(|source| self.sqlite(source))
    }

    /// Reads the payload of one row and checks its checksum.
    pub fn row(&self, table: Table, id: u64) -> Result<Vec<u8>, CaptureError> {
        let part = format!("{} {id}", table.name());
        let sql = format!("SELECT body FROM {} WHERE id = ?1", table.name());
        let body: Vec<u8> = self
            .connection
            .query_row(&sql, [id as i64], |row| row.get(0))
            .map_err(|source| self.sqlite(source))?;
        open_envelope(&part, &body).map(<[u8]>::to_vec).map_err(|why| self.damaged(part, why))
    }

    /// Calls `each` for all rows of a table in ascending order of id. A damaged row is passed as an
    /// error. A run of rows that are missing among `expected` is passed as one error with the id of
    /// its first row.
    pub fn rows(
        &self,
        table: Table,
        expected: std::ops::Range<u64>,
        mut each: impl FnMut(u64, Result<&[u8], String>),
    ) -> Result<(), CaptureError> {
        let fail = |source| self.sqlite(source);
        let sql = format!("SELECT id, body FROM {} ORDER BY id", table.name());
        let mut statement = self.connection.prepare(&sql).map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        let mut next = expected.start;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    each(next, Err(error.to_string()));
                    return Ok(());
                }
            };
            let id = row.get::<_, i64>(0).ok().and_then(|id| u64::try_from(id).ok());
            let Some(id) = id.filter(|id| *id >= next && expected.contains(id)) else {
                each(next, Err("a row has an unexpected id".to_owned()));
                return Ok(());
            };
            if next < id {
                each(next, Err(missing(id - next)));
            }
            next = id + 1;
            let part = format!("{} {id}", table.name());
            match row.get_ref(1).map(|value| value.as_blob()) {
                Ok(Ok(body)) => each(id, open_envelope(&part, body).map_err(|why| why.to_string())),
                _ => each(id, Err("the body is not a blob".to_owned())),
            }
        }
        if next < expected.end {
            each(next, Err(missing(expected.end - next)));
        }
        Ok(())
    }

    /// The id of the next row of a table that has `count` rows.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Damaged`] where the id of the last row is not `count`.
    pub fn next_id(&self, table: Table, count: u64) -> Result<u64, CaptureError> {
        let sql = format!("SELECT coalesce(max(id), 0) FROM {}", table.name());
        let last = self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let last = last.map_err(|source| self.sqlite(source))?;
        if u64::try_from(last) == Ok(count) {
            return Ok(count.saturating_add(1));
        }
        let why = format!("{count} rows were committed, and the last that is there is {last}");
        Err(self.damaged(table.name(), why))
    }
}

/// Message for a run of missing rows.
fn missing(rows: u64) -> String {
    match rows {
        1 => "the row is missing".to_owned(),
        more => format!("{more} rows are missing"),
    }
}
