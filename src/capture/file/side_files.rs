//! The files that SQLite opens beside a database: its write-ahead log, journal and shared memory.

use std::path::{Path, PathBuf};

use crate::capture::CaptureError;
use crate::capture::new_file::SIDE_SUFFIXES;

/// The files beside a database that SQLite opens by itself.
const SIDE_FILES: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Refuses a capture whose side files are not regular files: opening a named pipe would block
/// forever, and through a link another file would be read or written.
pub(super) fn check_side_files(path: &Path) -> Result<(), CaptureError> {
    let io = |source| CaptureError::Io { path: path.to_owned(), source };
    // SQLite follows links to the database, and looks for side files beside the target of the link.
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

/// The path with a suffix appended to its name, as SQLite names its side files.
pub fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Bytes of a capture on disk, including its write-ahead log; 0 where there is no file.
pub fn bytes_on_disk(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    size(path).saturating_add(size(&side_file(path, "-wal")))
}

/// Whether the capture has a write-ahead log: a recorder is writing it, or ended without sealing
/// it.
pub fn is_unsealed(path: &Path) -> bool {
    side_file(path, "-wal").exists()
}

/// Removes a file and the side files of SQLite. A file that does not exist is not an error.
///
/// # Errors
///
/// [`CaptureError`] where the operating system refuses.
pub fn remove_with_side_files(path: &Path) -> Result<(), CaptureError> {
    // The file itself is removed first: after a failure the rest must not look like a whole
    // capture.
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
