//! Packs a capture into gzip, alone or inside a page: the same capture gives the same bytes, at any time and for
//! any user.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use base64::prelude::BASE64_STANDARD;
use base64::write::EncoderWriter;
use flate2::{Compression, GzBuilder};

use super::ShareError;
use crate::capture::{CAPTURE_END, CAPTURE_TAG, FileMode, UnfinishedFile};

/// The code of an unknown operating system in gzip's header.
const UNKNOWN_SYSTEM: u8 = 255;

/// A page in two parts, between which a packed capture stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Everything before the capture.
    pub before: String,
    /// Everything after it.
    pub after: String,
}

/// Packs the file at `from` into a new one at `to`, inside `page` where there is one. It gets its name when it
/// is complete.
///
/// # Errors
///
/// [`ShareError`] where one of them cannot be accessed, or something is at `to`; nothing remains there then.
pub fn pack(from: &Path, to: &Path, page: Option<&Page>, mode: FileMode) -> Result<(), ShareError> {
    let unfinished = UnfinishedFile::beside(to, mode)?;
    let target = File::options().write(true).open(unfinished.path()).map_err(ShareError::io(to))?;
    let source = File::open(from).map_err(ShareError::io(from))?;
    let mut target = BufWriter::new(target);
    write_packed(source, &mut target, page).map_err(ShareError::io(to))?;
    target.flush().map_err(ShareError::io(to))?;
    target.get_ref().sync_all().map_err(ShareError::io(to))?;
    Ok(unfinished.finish()?)
}

/// The size of what [`pack`] would write, in bytes.
///
/// # Errors
///
/// [`ShareError`] where the file cannot be read.
pub fn packed_bytes(from: &Path, page: Option<&Page>) -> Result<u64, ShareError> {
    let mut counter = Counter(0);
    let source = File::open(from).map_err(ShareError::io(from))?;
    write_packed(source, &mut counter, page).map_err(ShareError::io(from))?;
    Ok(counter.0)
}

fn write_packed(source: File, to: &mut impl Write, page: Option<&Page>) -> io::Result<()> {
    let Some(page) = page else { return write_gzip(source, to).map(drop) };
    write!(to, "{}{CAPTURE_TAG}", page.before)?;
    write_gzip(source, EncoderWriter::new(&mut *to, &BASE64_STANDARD))?.finish()?;
    write!(to, "{CAPTURE_END}{}", page.after)
}

/// Writes a file as gzip and returns where it was written.
fn write_gzip<W: Write>(source: File, to: W) -> io::Result<W> {
    let mut packed =
        GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(to, Compression::best());
    io::copy(&mut BufReader::new(source), &mut packed)?;
    packed.finish()
}

/// Counts bytes and keeps none.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_gives_the_same_bytes_and_no_more_than_was_announced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let plain = dir.path().join("plain");
        std::fs::write(&plain, vec![7; 100_000]).expect("the directory is writable");
        let pack_as = |name: &str| {
            let to = dir.path().join(name);
            pack(&plain, &to, None, FileMode::default()).expect("nothing is there");
            std::fs::read(to).expect("it was written")
        };
        let (first, second) = (pack_as("a.gz"), pack_as("b.gz"));
        assert_eq!(first, second);
        assert_eq!(packed_bytes(&plain, None).expect("it can be read"), first.len() as u64);
        assert_eq!(first[4..8], [0; 4], "no time of making");
        assert!(pack(&plain, &dir.path().join("a.gz"), None, FileMode::default()).is_err());
    }

    #[test]
    fn a_page_holds_the_same_gzip() {
        use base64::Engine;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("plain"), b"a capture").expect("the directory is writable");
        let page = Page { before: "<p>".to_owned(), after: "</p>".to_owned() };
        pack(&path("plain"), &path("a.gz"), None, FileMode::default()).expect("nothing is there");
        pack(&path("plain"), &path("a.html"), Some(&page), FileMode::default())
            .expect("nothing is there");
        let gzip = std::fs::read(path("a.gz")).expect("it was written");
        let text = std::fs::read_to_string(path("a.html")).expect("it was written");
        let encoded = BASE64_STANDARD.encode(gzip);
        assert_eq!(text, format!("<p>{CAPTURE_TAG}{encoded}{CAPTURE_END}</p>"));
        let announced = packed_bytes(&path("plain"), Some(&page)).expect("it can be read");
        assert_eq!(announced, text.len() as u64);
    }
}
