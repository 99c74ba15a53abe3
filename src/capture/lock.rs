//! The lock that makes sure that a capture has one writer.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::CaptureError;
use super::file::side_file;
use super::new_file::{FileMode, open_or_create};

/// The lock that a recorder holds. It is a separate file, so that the locks of SQLite are not
/// affected.
pub struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    /// Acquires the lock of a capture.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Locked`] where another recorder holds it, [`CaptureError::NotAFile`] where a
    /// link or another special file has its name.
    pub fn take(capture: &Path) -> Result<Self, CaptureError> {
        let path = side_file(capture, ".lock");
        let io = |source| CaptureError::io(&path, source);
        let mut file = open_or_create(&path, FileMode::default())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let pid = pid.trim().to_owned();
                return Err(CaptureError::Locked { path: capture.to_owned(), pid });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        if !is_at(&file, &path) {
            // The recorder that held it removed the file between our opening and our locking.
            return Self::take(capture);
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        match write!(file, "{}", std::process::id()).map_err(io) {
            // The lock is valid without the process id, and `remove` needs locks on a full disk.
            Err(error) if !error.is_full() => Err(error),
            _ => Ok(Self { file, path }),
        }
    }

    /// Releases the lock and removes its file.
    pub fn release(self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Whether the open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}
