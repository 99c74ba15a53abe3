//! Opening the SQLite file: identity, format version, migrations, and rows with checksums.

mod heads;
mod packed;
mod page;
mod rows;
mod side_files;
mod sqlite_error;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, limits::Limit};

use super::new_file::{FileMode, SIDE_SUFFIXES, create_new, is_taken, refuse_special, sync_folder};
use super::{CaptureError, schema};
use crate::model::RunMeta;

pub use heads::CommittedState;
pub use packed::{UnpackedCapture, is_in_page, is_packed};
pub use page::{CAPTURE_END, CAPTURE_TAG};
pub use rows::Table;
use side_files::check_side_files;
pub use side_files::{bytes_on_disk, is_unsealed, remove_with_side_files, side_file};
use sqlite_error::needs_copy;
pub use sqlite_error::sqlite;

/// SQLite's `application_id` of a capture: "opcp".
pub const APPLICATION_ID: i32 = 0x6f70_6370;
/// SQL of the numbered migrations from an empty file to the newest format. A released migration is
/// never edited.
pub const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_capture.sql")];
/// Number of the newest capture format, which is the number of migrations.
pub const FORMAT: u32 = MIGRATIONS.len() as u32;
/// Most bytes of a blob that is read, which bounds the memory that a damaged file can make a reader
/// allocate.
const MAX_BLOB_BYTES: i32 = 1 << 28;
/// A capture's connection and its path, which every error names.
pub struct CaptureFile {
    pub connection: Connection,
    pub path: PathBuf,
    /// Holds the migrated copy of an older capture, or the content of a packed one, for as long as it is
    /// read.
    _copy: Option<tempfile::TempDir>,
}

impl CaptureFile {
    /// Creates a new capture with `meta` and no observation, for writing.
    ///
    /// It is created under another name and renamed, so a process that dies meanwhile leaves either
    /// nothing at `path` or a whole capture. The caller holds the lock of the run.
    pub fn create(path: &Path, meta: &RunMeta, mode: FileMode) -> Result<Self, CaptureError> {
        if is_taken(path) {
            return Err(CaptureError::Exists { path: path.to_owned() });
        }
        let making = side_file(path, ".making");
        remove_with_side_files(&making)?;
        let made = Self::begin(&making, meta, mode);
        if made.is_err() {
            // The first error is returned; an error of the removal is ignored.
            let _ = remove_with_side_files(&making);
        }
        made?;
        std::fs::rename(&making, path).map_err(|source| CaptureError::io(path, source))?;
        sync_folder(path)?;
        Self::open_to_write(path)
    }

    fn begin(making: &Path, meta: &RunMeta, mode: FileMode) -> Result<(), CaptureError> {
        drop(create_new(making, mode)?);
        let file = Self::fill_empty(making)?;
        file.run("BEGIN")?;
        file.set_meta(meta)?;
        file.set_state(&CommittedState::empty())?;
        file.run("COMMIT")
    }

    /// Turns an empty file into a capture of the newest format with empty tables. The side files of
    /// SQLite get the permissions of the file.
    pub fn fill_empty(path: &Path) -> Result<Self, CaptureError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|source| sqlite(path, source))?;
        let file = Self { connection, path: path.to_owned(), _copy: None };
        file.run("PRAGMA page_size = 1024;")?;
        file.run(&format!("PRAGMA application_id = {APPLICATION_ID};"))?;
        file.settle()?;
        file.migrate(0, &MIGRATIONS)?;
        Ok(file)
    }

    /// Opens for writing, migrating an older format in place.
    pub fn open_to_write(path: &Path) -> Result<Self, CaptureError> {
        Self::open_to_write_by(path, &MIGRATIONS)
    }

    /// As [`open_to_write`](Self::open_to_write), with these migrations instead of [`MIGRATIONS`].
    pub fn open_to_write_by(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
        if is_packed(path) {
            return Err(CaptureError::Packed { path: path.to_owned() });
        }
        for suffix in SIDE_SUFFIXES {
            refuse_special(&side_file(path, suffix))?;
        }
        let mut file = Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = file.check(steps)?;
        file.run("PRAGMA journal_mode = WAL;")?;
        file.settle()?;
        file.migrate(version, steps)?;
        Ok(file)
    }

    /// Opens for reading. An older format, a gzipped capture, or a write-ahead log in a directory that
    /// cannot be written to, is read from a temporary copy.
    pub fn open_to_read(path: &Path) -> Result<Self, CaptureError> {
        Self::open_to_read_by(path, &MIGRATIONS)
    }

    /// As [`open_to_read`](Self::open_to_read), with these migrations instead of [`MIGRATIONS`].
    pub fn open_to_read_by(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
        match packed::unpacked(path)? {
            None => Self::open_plain(path, steps),
            Some(unpacked) => Self::open_unpacked(path, unpacked, steps),
        }
    }

    /// Opens the content of a packed capture. Errors and sizes are those of the packed file at `path`.
    fn open_unpacked(
        path: &Path,
        unpacked: UnpackedCapture,
        steps: &[&str],
    ) -> Result<Self, CaptureError> {
        let opened = Self::open_plain(&unpacked.path(), steps);
        let mut file = opened.map_err(|error| error.about(path))?;
        file.path = path.to_owned();
        if file._copy.is_none() {
            file._copy = Some(unpacked.into_directory());
        }
        Ok(file)
    }

    fn open_plain(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
        let mut file = Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // Without this, SQLite refuses a truncated file as a whole. Nothing is written through this
        // connection, and every row that is read has its own checksum.
        file.run("PRAGMA writable_schema = ON;")?;
        match file.check(steps) {
            Ok(version) if version as usize == steps.len() => Ok(file),
            Ok(_) => Self::open_copy(path, steps),
            Err(CaptureError::Sqlite { source, .. }) if needs_copy(&source) => {
                Self::open_copy(path, steps)
            }
            Err(error) => Err(error),
        }
    }

    fn open_copy(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
        let io = |source| CaptureError::Io { path: path.to_owned(), source };
        let directory = tempfile::tempdir().map_err(io)?;
        let copy = directory.path().join("copy.capture");
        std::fs::copy(path, &copy).map_err(io)?;
        // The files that a killed process left behind are part of the content: the write-ahead log,
        // or the journal that rolls back an incomplete migration.
        let beside = path.canonicalize().map_err(io)?;
        for suffix in ["-wal", "-journal"] {
            let log = side_file(&beside, suffix);
            if log.exists() {
                std::fs::copy(&log, side_file(&copy, suffix)).map_err(io)?;
            }
        }
        let mut file = Self::open_to_write_by(&copy, steps)?;
        file.path = path.to_owned();
        file._copy = Some(directory);
        Ok(file)
    }

    fn open_with(path: &Path, flags: OpenFlags) -> Result<Self, CaptureError> {
        let data = std::fs::metadata(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CaptureError::NotFound { path: path.to_owned() },
            _ => CaptureError::Io { path: path.to_owned(), source },
        })?;
        if !data.is_file() {
            let why = "it is a directory or a device".to_owned();
            return Err(CaptureError::NotACapture { path: path.to_owned(), why });
        }
        check_side_files(path)?;
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags);
        let connection = connection.map_err(|source| sqlite(path, source))?;
        Ok(Self { connection, path: path.to_owned(), _copy: None })
    }

    /// Checks identity, version and schema before anything else is read; returns the format number.
    fn check(&mut self, steps: &[&str]) -> Result<u32, CaptureError> {
        let version = self.check_identity(steps)?;
        let foreign = schema::foreign(&mut self.connection, &steps[..version as usize]);
        match foreign.map_err(|source| self.sqlite(source))? {
            None => Ok(version),
            Some(what) => Err(CaptureError::Foreign { path: self.path.clone(), what }),
        }
    }

    fn settle(&self) -> Result<(), CaptureError> {
        self.run("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;")
    }

    fn check_identity(&self, steps: &[&str]) -> Result<u32, CaptureError> {
        let fail = |source| self.sqlite(source);
        self.connection.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
        self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_BLOB_BYTES).map_err(fail)?;
        self.run("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
        for runs in
            [DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW]
        {
            self.connection.set_db_config(runs, false).map_err(fail)?;
        }
        let pragma = |name: &str| {
            self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let identity = pragma("application_id").map_err(fail)?;
        if identity != i64::from(APPLICATION_ID) {
            let is_empty = std::fs::metadata(&self.path).is_ok_and(|data| data.len() == 0);
            let why = if is_empty {
                "the file is empty"
            } else {
                "it is a SQLite database of something else"
            };
            let why = why.to_owned();
            return Err(CaptureError::NotACapture { path: self.path.clone(), why });
        }
        let version = u32::try_from(pragma("user_version").map_err(fail)?).unwrap_or(0);
        let supported = steps.len() as u32;
        match version {
            0 => Err(CaptureError::NotACapture {
                path: self.path.clone(),
                why: "its making was cut short".to_owned(),
            }),
            known if known <= supported => Ok(known),
            found => {
                let (path, reads_since) = (self.path.clone(), self.reads_since());
                Err(CaptureError::Newer { path, found, supported, reads_since })
            }
        }
    }

    fn migrate(&self, from: u32, steps: &[&str]) -> Result<(), CaptureError> {
        for (step, sql) in steps.iter().enumerate().skip(from as usize) {
            let version = step + 1;
            self.run(&format!("BEGIN; {sql} PRAGMA user_version = {version}; COMMIT;"))?;
        }
        Ok(())
    }

    /// Bytes on disk, including the write-ahead log.
    pub fn bytes_on_disk(&self) -> u64 {
        bytes_on_disk(&self.path)
    }

    /// Runs statements that return nothing of interest.
    pub fn run(&self, sql: &str) -> Result<(), CaptureError> {
        self.connection.execute_batch(sql).map_err(|source| self.sqlite(source))
    }

    /// Converts an error of SQLite into an error that names this file.
    pub fn sqlite(&self, source: rusqlite::Error) -> CaptureError {
        sqlite(&self.path, source)
    }

    /// An error that names a damaged part.
    pub fn damaged(&self, part: impl Into<String>, why: impl ToString) -> CaptureError {
        CaptureError::Damaged { path: self.path.clone(), part: part.into(), why: why.to_string() }
    }
}
