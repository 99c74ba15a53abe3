//! Opening the SQLite file: identity, format version, migrations, and rows with checksums.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, limits::Limit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::codec::{open_envelope, seal_envelope};
use super::new_file::{
    FileMode, SIDE_SUFFIXES, create_new, folder_of, is_taken, refuse_special, sync_folder,
};
use super::{CaptureError, schema};
use crate::model::{RunMeta, Timestamp};

/// SQLite's `application_id` of a capture: "opcp".
pub const APPLICATION_ID: i32 = 0x6f70_6370;
/// Numbered steps from an empty file to the newest format. A released step is never edited.
pub const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_capture.sql")];
/// The newest format.
pub const FORMAT: u32 = MIGRATIONS.len() as u32;
/// The longest blob that is read, which bounds what a damaged file can make a reader allocate.
const MAX_BLOB_BYTES: i32 = 1 << 28;

/// What is written to see whether a disk is full: as much as SQLite's shared memory begins with.
const PROBE_BYTES: usize = 1 << 15;

const META: i64 = 1;
const STATE: i64 = 2;
const MARKS: i64 = 3;
/// Written by the migrations to format 2 and later ones.
const READS_SINCE: i64 = 4;

/// What the writer has committed so far; a reader checks the rows against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedState {
    /// Rows of `series`.
    pub segments: u64,
    /// Rows of `block`.
    pub blocks: u64,
    /// Sum of the hashes of what the blocks' checksums are bound to, in hexadecimal: a reader picks
    /// blocks by their bounds before it checks them. Empty where a capture was written without.
    #[serde(default)]
    pub bounds_sum: String,
    /// Rows of `gap`.
    pub gaps: u64,
    /// First id of `journal`.
    pub journal_first: u64,
    /// Id that the next row of `journal` gets.
    pub journal_next: u64,
    /// Samples.
    pub samples: u64,
    /// Sum of the samples' hashes, in hexadecimal.
    pub samples_sum: String,
    /// PD answers.
    pub pd_answers: u64,
    /// Sum of the PD answers' hashes, in hexadecimal.
    pub pd_sum: String,
    /// PD documents.
    pub documents: u64,
    /// From when on Prometheus has been copied.
    pub copied_from: Option<Timestamp>,
    /// How far Prometheus has been copied.
    pub copied_through: Option<Timestamp>,
    /// When something was last observed.
    pub last_observed: Option<Timestamp>,
}

/// What may be added while a recorder runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionCounts {
    /// Rows of `event`.
    pub events: u64,
    /// Rows of `truth`.
    pub truths: u64,
}

/// A capture's connection and its path, which every error names.
pub struct CaptureFile {
    pub connection: Connection,
    pub path: PathBuf,
    /// Holds the migrated copy of an older capture for as long as it is read.
    _copy: Option<tempfile::TempDir>,
}

impl CommittedState {
    /// Of a capture that holds nothing yet.
    pub fn empty() -> Self {
        let none = format!("{:032x}", 0);
        Self {
            journal_first: 1,
            journal_next: 1,
            samples_sum: none.clone(),
            pd_sum: none.clone(),
            bounds_sum: none,
            ..Self::default()
        }
    }
}

impl CaptureFile {
    /// Makes a new capture that holds `meta` and no observation, for writing.
    ///
    /// It is made under another name, so that a process that dies here leaves either nothing at
    /// `path` or a whole capture. The caller holds the run's lock.
    pub fn create(path: &Path, meta: &RunMeta, mode: FileMode) -> Result<Self, CaptureError> {
        if is_taken(path) {
            return Err(CaptureError::Exists { path: path.to_owned() });
        }
        let making = side_file(path, ".making");
        remove_with_side_files(&making)?;
        let made = Self::begin(&making, meta, mode);
        if made.is_err() {
            // The first error is the one that counts.
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
        file.set_meta(meta)?;
        file.set_state(&CommittedState::empty())
    }

    /// Turns an empty file into one of the newest format with empty tables. SQLite's side files
    /// take over its permissions.
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

    /// As [`open_to_write`](Self::open_to_write), where these steps lead to the newest format.
    pub fn open_to_write_by(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
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

    /// Opens for reading. An older format, or a write-ahead log in a directory that cannot be
    /// written to, is read from a temporary copy.
    pub fn open_to_read(path: &Path) -> Result<Self, CaptureError> {
        Self::open_to_read_by(path, &MIGRATIONS)
    }

    /// As [`open_to_read`](Self::open_to_read), where these steps lead to the newest format.
    pub fn open_to_read_by(path: &Path, steps: &[&str]) -> Result<Self, CaptureError> {
        let mut file = Self::open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // Without this SQLite refuses a file that ends early as a whole. Nothing is ever written
        // through this connection, and every row that is read has its own checksum.
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
        // What a process that died left behind belongs to the content: the write-ahead log, or
        // the journal that undoes the step it died in.
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

    /// Checks what the file is before anything in it is believed; returns its format.
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
            let why = "it is a SQLite database of something else".to_owned();
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

    /// The version of `operator` that a capture of a later format asks for. Nothing else of such a
    /// file is known, so whatever is not as `docs/capture-format.md` promises is no answer.
    fn reads_since(&self) -> Option<String> {
        let version: String = self.head(READS_SINCE).ok()??;
        let is_version = |text: &str| {
            text.len() <= 32
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte))
        };
        Some(version).filter(|version| is_version(version))
    }

    fn migrate(&self, from: u32, steps: &[&str]) -> Result<(), CaptureError> {
        for (step, sql) in steps.iter().enumerate().skip(from as usize) {
            let version = step + 1;
            self.run(&format!("BEGIN; {sql} PRAGMA user_version = {version}; COMMIT;"))?;
        }
        Ok(())
    }

    /// Bytes on disk, with the write-ahead log.
    pub fn bytes_on_disk(&self) -> u64 {
        bytes_on_disk(&self.path)
    }

    /// Runs statements that return nothing of interest.
    pub fn run(&self, sql: &str) -> Result<(), CaptureError> {
        self.connection.execute_batch(sql).map_err(|source| self.sqlite(source))
    }

    /// Wraps an error of SQLite.
    pub fn sqlite(&self, source: rusqlite::Error) -> CaptureError {
        sqlite(&self.path, source)
    }

    /// An error that names a damaged part.
    pub fn damaged(&self, part: impl Into<String>, why: impl ToString) -> CaptureError {
        CaptureError::Damaged { path: self.path.clone(), part: part.into(), why: why.to_string() }
    }

    fn head<T: DeserializeOwned>(&self, id: i64) -> Result<Option<T>, CaptureError> {
        let query = "SELECT body FROM head WHERE id = ?1";
        let as_blob = |row: &rusqlite::Row<'_>| {
            Ok(row.get_ref(0)?.as_blob().map(<[u8]>::to_vec).map_err(|_| "the body is not a blob"))
        };
        let body = self
            .connection
            .query_row(query, [id], as_blob)
            .optional()
            .map_err(|source| self.sqlite(source))?;
        let part = format!("head {id}");
        let Some(body) = body else { return Ok(None) };
        let body = body.map_err(|why| self.damaged(&part, why))?;
        let json = open_envelope(&part, &body).map_err(|why| self.damaged(&part, why))?;
        serde_json::from_slice(json).map(Some).map_err(|why| self.damaged(&part, why))
    }

    fn set_head<T: Serialize>(&self, id: i64, value: &T) -> Result<(), CaptureError> {
        let json = serde_json::to_vec(value).expect("heads are plain structures");
        let body = seal_envelope(&format!("head {id}"), &json);
        self.connection
            .prepare("INSERT OR REPLACE INTO head (id, body) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute((id, body)))
            .map(drop)
            .map_err(|source| self.sqlite(source))
    }

    /// What is known of the run.
    pub fn meta(&self) -> Result<RunMeta, CaptureError> {
        self.head(META)?.ok_or_else(|| self.damaged("head 1", "is missing"))
    }

    /// Replaces what is known of the run.
    pub fn set_meta(&self, meta: &RunMeta) -> Result<(), CaptureError> {
        self.set_head(META, meta)
    }

    /// What has been committed.
    pub fn state(&self) -> Result<CommittedState, CaptureError> {
        self.head(STATE)?.ok_or_else(|| self.damaged("head 2", "is missing"))
    }

    /// Replaces what has been committed.
    pub fn set_state(&self, state: &CommittedState) -> Result<(), CaptureError> {
        self.set_head(STATE, state)
    }

    /// Counts of what may be added while a recorder runs.
    pub fn marks(&self) -> Result<AdditionCounts, CaptureError> {
        Ok(self.head(MARKS)?.unwrap_or_default())
    }

    /// Replaces those counts.
    pub fn set_marks(&self, marks: &AdditionCounts) -> Result<(), CaptureError> {
        self.set_head(MARKS, marks)
    }

    /// Writes a row whose envelope is bound to the table and the id.
    pub fn put_row(&self, table: Table, id: u64, payload: &[u8]) -> Result<(), CaptureError> {
        let sql = format!("INSERT OR REPLACE INTO {0} (id, body) VALUES (?1, ?2)", table.name());
        let body = seal_envelope(&format!("{} {id}", table.name()), payload);
        self.connection
            .prepare(&sql)
            .and_then(|mut statement| statement.execute((id as i64, body)))
            .map(drop)
            .map_err(|source| self.sqlite(source))
    }

    /// Reads the payload of one row.
    pub fn row(&self, table: Table, id: u64) -> Result<Vec<u8>, CaptureError> {
        let part = format!("{} {id}", table.name());
        let sql = format!("SELECT body FROM {} WHERE id = ?1", table.name());
        let body: Vec<u8> = self
            .connection
            .query_row(&sql, [id as i64], |row| row.get(0))
            .map_err(|source| self.sqlite(source))?;
        open_envelope(&part, &body).map(<[u8]>::to_vec).map_err(|why| self.damaged(part, why))
    }

    /// Reads all rows of a table in ascending order of id. A row that is damaged is handed over
    /// as its error, and so is each run of rows that are missing among `expected`, however long,
    /// under the id of its first.
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

    /// The id of a table's next row, where `count` rows are there.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Damaged`] where the last of the rows is another one.
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

/// What is said of rows that follow one another and are missing.
fn missing(rows: u64) -> String {
    match rows {
        1 => "the row is missing".to_owned(),
        more => format!("{more} rows are missing"),
    }
}

/// Tables whose rows are an id and a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Series,
    Journal,
    Gap,
    Event,
    Truth,
}

impl Table {
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

/// The files beside a database that SQLite opens by itself.
const SIDE_FILES: [&str; 3] = ["-wal", "-journal", "-shm"];

/// Refuses a capture beside which stands something else than SQLite's own files: opening a named
/// pipe would wait for ever, and a link would have another file read or written.
fn check_side_files(path: &Path) -> Result<(), CaptureError> {
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

fn needs_copy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

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
        Some(ErrorCode::DatabaseCorrupt) => {
            CaptureError::Damaged { path, part: "the database".to_owned(), why: source.to_string() }
        }
        _ => CaptureError::Sqlite { path, source },
    }
}

/// Whether SQLite failed to write for lack of space where it does not say so: it calls only `ENOSPC`
/// of a file's own pages a full disk, and neither a used-up quota nor a full disk under its shared
/// memory. So a few pages are written to see.
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
