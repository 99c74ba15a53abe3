//! Verifies a whole capture.

use std::path::{Path, PathBuf};

use super::damage::TOTALS;
use super::{CaptureError, CaptureReader, Damage, database_header};

/// Result of a verification.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Number of samples and PD answers that were read.
    pub checked: u64,
    /// The damage that was found; empty for an intact capture.
    pub damage: Vec<Damage>,
}

/// Reads everything: the structure and the header of the SQLite database, every checksum, and whether the rows are
/// those that were committed.
///
/// # Errors
///
/// [`CaptureError`] where the file cannot be opened as a capture.
pub fn verify(path: &Path) -> Result<VerifyReport, CaptureError> {
    let reader = CaptureReader::open(path)?;
    let mut damage = Vec::new();
    let mut found = |part: &str, why: String| {
        damage.push(Damage { part: part.to_owned(), why, range: None, lost: None });
    };
    let structure = reader
        .file()
        .connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match structure {
        Ok(verdict) if verdict == "ok" => {}
        Ok(verdict) => found("the database", verdict.replace('\n', "; ")),
        Err(error) => found("the database", error.to_string()),
    }
    // What is read may be a copy of an older or packed file.
    let opened = reader.file().connection.path().map(PathBuf::from);
    let opened = opened.filter(|path| !path.as_os_str().is_empty());
    match database_header::departures(opened.as_deref().unwrap_or(path)) {
        Ok(departures) => departures.into_iter().for_each(|why| found("the database", why)),
        Err(error) => found("the database", error.to_string()),
    }
    let state = reader.state().clone();
    let (samples, sum) = reader.recount()?;
    if samples != state.samples || format!("{sum:032x}") != state.samples_sum {
        found(TOTALS[0], differs(state.samples, samples));
    }
    let (answers, sum) = reader.recount_pd()?;
    if answers != state.pd_answers || format!("{sum:032x}") != state.pd_sum {
        found(TOTALS[1], differs(state.pd_answers, answers));
    }
    reader.gaps()?;
    reader.events()?;
    reader.check_truths()?;
    damage.extend(reader.damage());
    damage.sort();
    damage.dedup();
    Ok(VerifyReport { checked: samples + answers, damage })
}

fn differs(committed: u64, read: u64) -> String {
    if committed == read {
        format!("{read} were read, but not the ones that were committed")
    } else {
        format!("{committed} were committed, {read} were read")
    }
}
