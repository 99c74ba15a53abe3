//! What can go wrong when a capture is handed out.

use std::io;
use std::path::{Path, PathBuf};

use super::scan::Leak;
use crate::capture::CaptureError;
use crate::model::escape_path;

/// An export, or an audit of one, failed.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// A capture cannot be read or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A file that is no capture cannot be read or written.
    #[error("cannot access {path}", path = escape_path(path))]
    Io {
        /// The file that was acted on.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The redacted file still holds originals, so it was not finished.
    #[error("the redacted capture still holds {count} originals, the first in {place}, as {encoding}",
        count = .0.len(), place = .0[0].place, encoding = .0[0].encoding)]
    Leaked(Vec<Leak>),
    /// Parts of the capture are damaged, and nobody said that the rest is to be exported.
    #[error("{path}: {} damaged", match parts { 1 => "1 part is".to_owned(), more => format!("{more} parts are") }, path = escape_path(path))]
    DamagedParts {
        /// The capture.
        path: PathBuf,
        /// The number of damaged parts.
        parts: usize,
    },
    /// What a file holds cannot be examined.
    #[error("cannot look inside {path}: {why}", path = escape_path(path))]
    CannotLookInside {
        /// The file.
        path: PathBuf,
        /// What it is, or what is wrong with it.
        why: String,
    },
    /// A boundary of a histogram or a quantile would not be what was recorded, so the file was not finished.
    #[error("the export would alter the label `le` or `quantile` of {0}")]
    Altered(String),
    /// The smallest form of the file is larger than was allowed.
    #[error("the smallest export takes {bytes} bytes, more than {most}")]
    TooLarge {
        /// The size of the smallest form.
        bytes: u64,
        /// The most bytes that were allowed.
        most: u64,
    },
    /// There are too many originals to look for.
    #[error("cannot look for that many originals")]
    Scanner(#[from] aho_corasick::BuildError),
}

impl ShareError {
    /// An error of the operating system about a file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
