//! The files that SQLite opens beside a database: its write-ahead log, journal and shared memory.

use std::path::{Path, PathBuf};

use crate::capture::CaptureError;
use crate::capture::new_file::SIDE_SUFFIXES;

/// The files beside a database that SQLite opens by itself.
const SIDE_FILES: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Refuses a capture beside which stands something else than SQLite's own files: opening a named
/// pipe would wait for ever, and a link would have another file read or written.
pub(super) fn check_side_files(path: &Path) -> Result<(), CaptureError> {
    let io = |source| CaptureError::Io { path: path.to_owned(), source };
    // SQLite follows links to the database, and then looks beside what they lead to.
    let database = path.canonicalize().map_err(io)?;
    for suffix in SIDE_FILES {
        match std::fs::symlink_metadata(side_file(&database, suffix)) {
            Ok(data) if data.is_file() => {}
            Ok(_) => {
                let why = format!("the {suffix} beside it is a link, a directory or a device");
                return Err(CaptureError::NotACapture { path: path.to_owned(), why });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(io(source)),
        }
    }
    Ok(())
}

/// Appends to a file's name, as SQLite names its side files.
pub fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What a capture takes on the disk, with the write-ahead log; 0 where there is none.
pub fn bytes_on_disk(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    size(path).saturating_add(size(&side_file(path, "-wal")))
}

/// Whether something is left in a capture's write-ahead log: a recorder is writing it, or ended
/// without sealing it.
pub fn is_unsealed(path: &Path) -> bool {
    side_file(path, "-wal").exists()
}

/// Removes a file and what SQLite left beside it; what is not there is removed already.
///
/// # Errors
///
/// What the operating system refuses.
pub fn remove_with_side_files(path: &Path) -> Result<(), CaptureError> {
    // The file first: what remains of it after a failure must not look whole.
    for suffix in [""].iter().chain(&SIDE_SUFFIXES) {
        let path = side_file(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CaptureError::io(&path, error));
            }
            _ => {}
        }
    }
    Ok(())
}
