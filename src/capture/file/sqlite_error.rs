//! Converts errors of SQLite into errors of a capture.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::capture::CaptureError;
use crate::capture::new_file::folder_of;

/// Bytes that are written to test whether a disk is full: the initial size of the shared memory of
/// SQLite.
const PROBE_BYTES: usize = 1 << 15;

pub fn sqlite(path: &Path, source: rusqlite::Error) -> CaptureError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CaptureError::Full { path },
        Some(ErrorCode::SystemIoFailure) if lacks_space(&path, &source) => {
            CaptureError::Full { path }
        }
        Some(ErrorCode::SystemIoFailure) => CaptureError::Refused { path, source },
        Some(ErrorCode::NotADatabase) => {
            CaptureError::NotACapture { path, why: "it is not a SQLite database".to_owned() }
        }
        // `Unknown` is a statement that is wrong: each is one of ours, and right where the file has our tables.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => {
            CaptureError::Damaged { path, part: "the database".to_owned(), why: source.to_string() }
        }
        _ => CaptureError::Sqlite { path, source },
    }
}

pub(super) fn needs_copy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// Whether SQLite failed to write for lack of space without saying so. SQLite reports a full disk
/// only for `ENOSPC` on the pages of the database, but not for an exhausted quota or a full disk
/// under its shared memory. So a few pages are written as a test.
fn lacks_space(path: &Path, source: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let failed = source.sqlite_error().map_or(0, |error| error.extended_code);
    let writing = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
    ];
    if !writing.contains(&failed) {
        return false;
    }
    let written = tempfile::tempfile_in(folder_of(path)).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &[1; PROBE_BYTES])?;
        file.sync_all()
    });
    written.is_err_and(|error| CaptureError::io(path, error).is_full())
}
