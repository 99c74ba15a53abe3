//! Creates files with safe permissions, never through a link, and never half written under their
//! final name.
//!
//! Other users may write to a directory of captures, or it may come from an archive. So symbolic
//! links, pipes and devices are never opened for writing, and a file that takes time to write gets
//! its name when it is complete.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use super::CaptureError;
use super::file::side_file;

/// Suffixes of the side files of SQLite.
pub const SIDE_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Permission bits of a new file, from which the umask removes more.
///
/// The owner can always read and write; nobody can execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl Default for FileMode {
    /// Read and write for the owner only.
    fn default() -> Self {
        Self::OWNER
    }
}

impl FileMode {
    const OWNER: Self = Self(0o600);
    const ALL: u32 = 0o666;

    /// Parses an octal number such as `0640`. `None` where it is not one, where the owner could not
    /// read and write, or where it grants more than reading and writing.
    pub fn parse(text: &str) -> Option<Self> {
        let bits = u32::from_str_radix(text, 8).ok()?;
        let owner = bits & Self::OWNER.0 == Self::OWNER.0;
        (owner && bits & !Self::ALL == 0).then_some(Self(bits))
    }

    /// The permissions of an existing file.
    pub(super) fn of(path: &Path) -> Result<Self, CaptureError> {
        let data = std::fs::metadata(path).map_err(|source| CaptureError::io(path, source))?;
        Ok(Self(data.mode() & Self::ALL))
    }

    /// The permissions that both allow; the owner can always read and write.
    pub(super) fn narrowed_to(self, other: Self) -> Self {
        Self(self.0 & other.0 | Self::OWNER.0)
    }
}

/// Creates an empty file.
///
/// # Errors
///
/// [`CaptureError::Exists`] where anything exists at `path`, including a broken link.
pub fn create_new(path: &Path, mode: FileMode) -> Result<File, CaptureError> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(mode.0);
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CaptureError::Exists { path: path.to_owned() },
        _ => CaptureError::io(path, source),
    })
}

/// Opens the file at `path` for reading and writing, or creates an empty one.
///
/// # Errors
///
/// [`CaptureError::NotAFile`] where `path` is not a regular file or has hard links: the data would
/// go to another file.
pub fn open_or_create(path: &Path, mode: FileMode) -> Result<File, CaptureError> {
    refuse_special(path)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(mode.0);
    options.custom_flags(flags.bits().cast_signed());
    let io = |source| CaptureError::io(path, source);
    let file = options.open(path).map_err(io)?;
    // The file may have been replaced between the check and the opening.
    refuse(path, &file.metadata().map_err(io)?)?;
    Ok(file)
}

/// Refuses a path that is not a regular file, without opening it. A path where nothing exists is
/// accepted.
///
/// # Errors
///
/// [`CaptureError::NotAFile`] with the kind of file that was found.
pub fn refuse_special(path: &Path) -> Result<(), CaptureError> {
    match std::fs::symlink_metadata(path) {
        Ok(data) => refuse(path, &data),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CaptureError::io(path, error)),
    }
}

fn refuse(path: &Path, data: &std::fs::Metadata) -> Result<(), CaptureError> {
    let kind = data.file_type();
    let what = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if !kind.is_file() {
        "a device"
    } else if data.nlink() > 1 {
        "a file with a second name (a hard link)"
    } else {
        return Ok(());
    };
    Err(CaptureError::NotAFile { path: path.to_owned(), what })
}

/// Whether anything exists at `path`, including a broken link.
pub fn is_taken(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The directory that contains a file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Makes the directory entry of `path` durable.
///
/// # Errors
///
/// [`CaptureError`] where the operating system refuses.
pub fn sync_folder(path: &Path) -> Result<(), CaptureError> {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| CaptureError::io(path, source))
}

/// A file that is written under a temporary name in the directory of its target.
/// [`finish`](Self::finish) gives it the final name; if it is dropped before, it is removed.
pub struct UnfinishedFile {
    file: NamedTempFile,
    target: PathBuf,
    /// Dropped last, when the file is closed.
    _side_files: SideFiles,
}

impl UnfinishedFile {
    /// Creates an empty file that becomes `target`.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Exists`] where anything exists at `target`, [`CaptureError::Full`] and
    /// [`CaptureError::Io`] where no file can be created in its directory.
    pub fn beside(target: &Path, mode: FileMode) -> Result<Self, CaptureError> {
        if is_taken(target) {
            return Err(CaptureError::Exists { path: target.to_owned() });
        }
        let file = tempfile::Builder::new()
            .prefix(".operator-")
            .suffix(".partial")
            .permissions(Permissions::from_mode(mode.0))
            .tempfile_in(folder_of(target))
            // The error of the temporary file would name that one.
            .map_err(|source| CaptureError::io(target, source.kind().into()))?;
        let side_files = SideFiles(file.path().to_owned());
        Ok(Self { file, target: target.to_owned(), _side_files: side_files })
    }

    /// The temporary path under which it is written.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its final name. The caller has closed it and made its content durable.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Exists`] where another file got the name meanwhile.
    pub fn finish(self) -> Result<(), CaptureError> {
        let Self { file, target, _side_files } = self;
        match file.persist_noclobber(&target) {
            Ok(_) => sync_folder(&target),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CaptureError::Exists { path: target })
            }
            Err(failed) => Err(CaptureError::io(&target, failed.error)),
        }
    }
}

/// Removes the side files of SQLite when it is dropped.
struct SideFiles(PathBuf);

impl Drop for SideFiles {
    fn drop(&mut self) {
        for suffix in SIDE_SUFFIXES {
            // Usually there is no such file.
            let _ = std::fs::remove_file(side_file(&self.0, suffix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_lets_the_owner_read_and_write_and_nobody_execute() {
        assert_eq!(FileMode::parse("0640"), Some(FileMode(0o640)));
        assert_eq!(FileMode::parse("600"), Some(FileMode::default()));
        for wrong in ["", "0400", "0750", "4600", "0o640", "-640", "999", "rw-r-----"] {
            assert_eq!(FileMode::parse(wrong), None, "{wrong}");
        }
        assert_eq!(FileMode(0o644).narrowed_to(FileMode(0o640)), FileMode(0o640));
        assert_eq!(FileMode(0o600).narrowed_to(FileMode(0o666)), FileMode(0o600));
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_and_takes_no_name_that_is_taken() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let target = dir.path().join("a.capture");
        let left = || std::fs::read_dir(dir.path()).expect("it can be listed").count();
        let given_up =
            UnfinishedFile::beside(&target, FileMode::default()).expect("nothing is there");
        std::fs::write(side_file(given_up.path(), "-journal"), "undo").expect("writes");
        drop(given_up);
        assert_eq!(left(), 0);

        let late = UnfinishedFile::beside(&target, FileMode::default()).expect("nothing is there");
        std::os::unix::fs::symlink("nowhere", &target).expect("a link can be made");
        assert!(matches!(late.finish(), Err(CaptureError::Exists { .. })));
        let again = UnfinishedFile::beside(&target, FileMode::default());
        assert!(matches!(again, Err(CaptureError::Exists { .. })));
        assert_eq!(left(), 1);
    }
}
