//! Checks everything that a capture claims about itself.

use std::path::Path;

use super::file::Table;
use super::{CaptureError, CaptureReader, Damage};

/// What verification looked at and what it found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Samples and PD answers that were read and counted.
    pub checked: u64,
    /// What is damaged; empty for a sound capture.
    pub damage: Vec<Damage>,
}

/// Reads everything: SQLite's own structure, every checksum, and whether the rows that are there
/// are the ones that were committed.
///
/// # Errors
///
/// [`CaptureError`] where so little can be read that there is nothing to check.
pub fn verify(path: &Path) -> Result<VerifyReport, CaptureError> {
    let reader = CaptureReader::open(path)?;
    let mut damage = Vec::new();
    let mut found = |part: &str, why: String| {
        damage.push(Damage { part: part.to_owned(), why, range: None });
    };
    let structure = reader
        .file()
        .connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match structure {
        Ok(verdict) if verdict == "ok" => {}
        Ok(verdict) => found("the database", verdict),
        Err(error) => found("the database", error.to_string()),
    }
    let state = reader.state().clone();
    let (samples, sum) = reader.recount()?;
    if samples != state.samples || format!("{sum:032x}") != state.samples_sum {
        let committed = state.samples;
        found("samples", format!("{committed} were committed, and {samples} others were read"));
    }
    let (answers, sum) = reader.recount_pd()?;
    if answers != state.pd_answers || format!("{sum:032x}") != state.pd_sum {
        let committed = state.pd_answers;
        found("PD answers", format!("{committed} were committed, and {answers} others were read"));
    }
    reader.gaps()?;
    reader.events()?;
    let marks = reader.file().marks()?;
    reader.file().rows(Table::Truth, 1..marks.truths.saturating_add(1), |id, payload| {
        if let Err(why) = payload {
            found(&format!("truth {id}"), why);
        }
    })?;
    damage.extend(reader.damage());
    damage.sort();
    damage.dedup();
    Ok(VerifyReport { checked: samples + answers, damage })
}
