//! Packs a capture into gzip: the same capture gives the same bytes, at any time and for any user.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use super::ShareError;
use crate::capture::{FileMode, UnfinishedFile};

/// The code of an unknown operating system in gzip's header.
const UNKNOWN_SYSTEM: u8 = 255;

/// Packs the file at `from` into a new one at `to`. It gets its name when it is complete.
///
/// # Errors
///
/// [`ShareError`] where one of them cannot be accessed, or something is at `to`; nothing remains there then.
pub fn pack(from: &Path, to: &Path, mode: FileMode) -> Result<(), ShareError> {
    let unfinished = UnfinishedFile::beside(to, mode)?;
    let target = File::options().write(true).open(unfinished.path()).map_err(ShareError::io(to))?;
    let mut packed = GzBuilder::new()
        .mtime(0)
        .operating_system(UNKNOWN_SYSTEM)
        .write(BufWriter::new(target), Compression::best());
    let source = File::open(from).map_err(ShareError::io(from))?;
    io::copy(&mut BufReader::new(source), &mut packed).map_err(ShareError::io(to))?;
    let mut target = packed.finish().map_err(ShareError::io(to))?;
    target.flush().map_err(ShareError::io(to))?;
    target.get_ref().sync_all().map_err(ShareError::io(to))?;
    Ok(unfinished.finish()?)
}

/// The size of what [`pack`] would write, in bytes.
///
/// # Errors
///
/// [`ShareError`] where the file cannot be read.
pub fn packed_bytes(from: &Path) -> Result<u64, ShareError> {
    let mut packed = GzBuilder::new().write(Counter(0), Compression::best());
    let source = File::open(from).map_err(ShareError::io(from))?;
    io::copy(&mut BufReader::new(source), &mut packed).map_err(ShareError::io(from))?;
    Ok(packed.finish().map_err(ShareError::io(from))?.0)
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
            pack(&plain, &to, FileMode::default()).expect("nothing is there");
            std::fs::read(to).expect("it was written")
        };
        let (first, second) = (pack_as("a.gz"), pack_as("b.gz"));
        assert_eq!(first, second);
        assert_eq!(packed_bytes(&plain).expect("it can be read"), first.len() as u64);
        assert_eq!(first[4..8], [0; 4], "no time of making");
        assert!(pack(&plain, &dir.path().join("a.gz"), FileMode::default()).is_err());
    }
}
