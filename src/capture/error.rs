//! What can go wrong with a capture file.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::escape_path;

/// An operation on a capture failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No file of that name.
    #[error("no capture at {path}", path = escape_path(path))]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// Not a capture: another kind of file, or a foreign database.
    #[error("{path} is not a capture: {why}", path = escape_path(path))]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// A capture's database that holds tables, views or triggers which are not the format's, or
    /// lacks some that are. SQLite would run what such a file brings, so nothing else is read.
    #[error("{path} holds what does not belong to a capture: {what}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is there or missing, by name.
        what: String,
    },
    /// What was asked for takes more memory than a reader gives to a file of this size.
    #[error("{path}: {part} takes more memory than a file of its size is given ({limit_bytes} bytes)", path = path.display())]
    Oversized {
        /// The file.
        path: PathBuf,
        /// What was to be held.
        part: String,
        /// How much a reader of this file holds at most.
        limit_bytes: u64,
    },
    /// Written by a later version of the program.
    #[error("{path} has capture format {found}, but this version reads formats 1 to {supported}", path = escape_path(path))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
        /// The oldest version of `operator` that reads it, where the file says so.
        reads_since: Option<String>,
    },
    /// Another recorder holds the run.
    #[error("another recorder (pid {pid}) is writing {path}", path = escape_path(path))]
    Locked {
        /// The file.
        path: PathBuf,
        /// The other recorder's process id; empty where it could not be read.
        pid: String,
    },
    /// The file exists where a new one was to be made.
    #[error("{path} exists already", path = escape_path(path))]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Something else than a regular file stands where one is to be written.
    #[error("{path} is {what}, and nothing is written through that", path = path.display())]
    NotAFile {
        /// What was to be written.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// Stored bytes do not match their checksum or their form.
    #[error("{path}: {part} is damaged: {why}", path = escape_path(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which row or block.
        part: String,
        /// What does not hold.
        why: String,
    },
    /// The disk is full, or a quota is used up.
    #[error("no space left on the disk that holds {path}", path = escape_path(path))]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The disk, or a limit of the system, refused to read or write.
    #[error("the system refused to read or write {path}", path = escape_path(path))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The operating system refused.
    #[error("cannot access {path}", path = escape_path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("SQLite failed on {path}", path = escape_path(path))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl CaptureError {
    /// Wraps an error of the operating system.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    /// Whether there would be none with more space on the disk.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
