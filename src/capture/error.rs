//! Errors of reading and writing a capture file.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::escape_path;

/// An operation on a capture failed. Each variant names the file that was acted on.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no file at this path.
    #[error("no capture at {path}", path = escape_path(path))]
    NotFound {
        /// Path of the capture file.
        path: PathBuf,
    },
    /// The file is not a capture: another kind of file, or a SQLite database of something else.
    #[error("{path} is not a capture: {why}", path = escape_path(path))]
    NotACapture {
        /// Path of the capture file.
        path: PathBuf,
        /// What kind of file it is instead.
        why: String,
    },
    /// The database holds tables, views or triggers that the format does not have, or lacks some
    /// that it has. SQLite would execute such views and triggers, so nothing else is read from the
    /// file.
    #[error("{path} holds what does not belong to a capture: {what}", path = path.display())]
    Foreign {
        /// Path of the capture file.
        path: PathBuf,
        /// Names of the entries that are foreign or missing.
        what: String,
    },
    /// The request needs more memory than a reader allows for a file of this size.
    #[error("{path}: {part} takes more memory than a file of its size is given ({limit_bytes} bytes)", path = path.display())]
    Oversized {
        /// Path of the capture file.
        path: PathBuf,
        /// The data that would have been held in memory.
        part: String,
        /// Most bytes that a reader holds for this file.
        limit_bytes: u64,
    },
    /// The file was written by a later version of the program.
    #[error("{path} has capture format {found}, but this version reads formats 1 to {supported}", path = escape_path(path))]
    Newer {
        /// Path of the capture file.
        path: PathBuf,
        /// Format number that the file states.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
        /// The oldest version of `operator` that reads it, where the file says so.
        reads_since: Option<String>,
    },
    /// Another recorder holds the lock of this run.
    #[error("another recorder (pid {pid}) is writing {path}", path = escape_path(path))]
    Locked {
        /// Path of the capture file.
        path: PathBuf,
        /// Process id of the other recorder; empty where it could not be read.
        pid: String,
    },
    /// A file exists where a new one was to be created.
    #[error("{path} exists already", path = escape_path(path))]
    Exists {
        /// Path of the capture file.
        path: PathBuf,
    },
    /// The path to be written is a link, directory or device instead of a regular file.
    #[error("{path} is {what}, and nothing is written through that", path = path.display())]
    NotAFile {
        /// Path of the file to be written.
        path: PathBuf,
        /// Kind of file that was found there.
        what: &'static str,
    },
    /// The capture is gzipped, which is only read.
    #[error("{path} is packed, and nothing is written into that", path = escape_path(path))]
    Packed {
        /// Path of the packed file.
        path: PathBuf,
    },
    /// Stored bytes do not match their checksum or are not in the expected form.
    #[error("{path}: {part} is damaged: {why}", path = escape_path(path))]
    Damaged {
        /// Path of the capture file.
        path: PathBuf,
        /// The row or block that is damaged.
        part: String,
        /// The check that failed.
        why: String,
    },
    /// The disk is full, or a quota is used up.
    #[error("no space left on the disk that holds {path}", path = escape_path(path))]
    Full {
        /// Path of the capture file.
        path: PathBuf,
    },
    /// The disk or a limit of the operating system refused to read or write.
    #[error("the system refused to read or write {path}", path = escape_path(path))]
    Refused {
        /// Path of the capture file.
        path: PathBuf,
        /// The error that the system or SQLite returned.
        source: rusqlite::Error,
    },
    /// The operating system refused access to the file.
    #[error("cannot access {path}", path = escape_path(path))]
    Io {
        /// Path of the capture file.
        path: PathBuf,
        /// The error that the system or SQLite returned.
        source: std::io::Error,
    },
    /// SQLite reported an error that is none of the above.
    #[error("SQLite failed on {path}", path = escape_path(path))]
    Sqlite {
        /// Path of the capture file.
        path: PathBuf,
        /// The error that the system or SQLite returned.
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

    /// The same error about another path.
    pub(super) fn about(mut self, other: &Path) -> Self {
        match &mut self {
            Self::NotFound { path }
            | Self::NotACapture { path, .. }
            | Self::Foreign { path, .. }
            | Self::Oversized { path, .. }
            | Self::Newer { path, .. }
            | Self::Locked { path, .. }
            | Self::Exists { path }
            | Self::NotAFile { path, .. }
            | Self::Packed { path }
            | Self::Damaged { path, .. }
            | Self::Full { path }
            | Self::Refused { path, .. }
            | Self::Io { path, .. }
            | Self::Sqlite { path, .. } => other.clone_into(path),
        }
        self
    }

    /// Whether somebody else has the file open and holds on to what it was.
    pub fn is_busy(&self) -> bool {
        let code = match self {
            Self::Sqlite { source, .. } => source.sqlite_error_code(),
            _ => None,
        };
        matches!(
            code,
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        )
    }

    /// Whether the error is lack of disk space.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
