//! Unpacks a gzipped capture, or the one inside a page, into a private temporary file, within bounds.
//!
//! Such a file comes from somebody else: the sizes in it are not believed, and nothing of it reaches the
//! disk before its first bytes are those of a capture.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::APPLICATION_ID;
use super::page::{EmbeddedCapture, PAGE_HEAD, is_page};
use crate::capture::CaptureError;

/// The first two bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of a SQLite database.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of SQLite's header up to the end of the application id, which is big-endian.
const HEAD: usize = 72;
/// Bytes that any file may unpack to.
const FREE_BYTES: u64 = 16 << 20;
/// Bytes more for each packed byte. The blocks of a capture are compressed already, so that real files
/// unpack to less than three times their size.
const MOST_RATIO: u64 = 16;

/// A capture in a temporary directory of its own, which is removed when this is dropped.
#[derive(Debug)]
pub struct UnpackedCapture {
    directory: tempfile::TempDir,
}

impl UnpackedCapture {
    /// Unpacks `from` if it is gzip or a page with a capture inside, and copies it otherwise. `shown` is what
    /// errors name.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotACapture`] where it holds something else, is cut short or altered, has bytes after
    /// its end, or unpacks to more than any capture of its size does.
    pub fn read(from: impl Read, shown: &Path) -> Result<Self, CaptureError> {
        let mut from = BufReader::new(Counted { inner: from, bytes: 0 });
        let head = io::BufRead::fill_buf(&mut from).map_err(|why| broken(shown, why))?;
        let unpacked = Self {
            directory: tempfile::tempdir().map_err(|source| CaptureError::io(shown, source))?,
        };
        let to = File::create_new(unpacked.path()).map_err(|why| CaptureError::io(shown, why))?;
        let mut to = BufWriter::new(to);
        if head.starts_with(&GZIP) {
            unpack(&mut from, &mut to, shown)?;
        } else if is_page(head) {
            let embedded = EmbeddedCapture::find(from, shown)?;
            let mut packed = BufReader::new(Counted { inner: embedded, bytes: 0 });
            unpack(&mut packed, &mut to, shown)?;
        } else {
            let head = read_head(&mut from, shown)?;
            to.write_all(&head).map_err(|why| CaptureError::io(shown, why))?;
            io::copy(&mut from, &mut to).map_err(|why| CaptureError::io(shown, why))?;
        }
        to.flush().map_err(|why| CaptureError::io(shown, why))?;
        Ok(unpacked)
    }

    /// The path of the unpacked file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("unpacked.capture")
    }

    /// The directory, for whoever keeps it while the file is open.
    pub(super) fn into_directory(self) -> tempfile::TempDir {
        self.directory
    }
}

/// The unpacked content of a file that is gzip or a page; `None` for any other file.
///
/// # Errors
///
/// The same errors as [`UnpackedCapture::read`].
pub(super) fn unpacked(path: &Path) -> Result<Option<UnpackedCapture>, CaptureError> {
    if !is_packed(path) {
        return Ok(None);
    }
    let file = File::open(path).map_err(|source| CaptureError::io(path, source))?;
    UnpackedCapture::read(file, path).map(Some)
}

/// Whether a regular file begins as gzip or a page does.
pub fn is_packed(path: &Path) -> bool {
    let mut head = Vec::new();
    // Opening a named pipe would block.
    let regular = std::fs::metadata(path).is_ok_and(|data| data.is_file());
    let read = |file: File| file.take(PAGE_HEAD as u64).read_to_end(&mut head);
    regular
        && File::open(path).and_then(read).is_ok()
        && (head.starts_with(&GZIP) || is_page(&head))
}

/// Whether a regular file is a page for browsers, of which only the capture inside is read.
pub fn is_in_page(path: &Path) -> bool {
    is_packed(path) && {
        let mut head = Vec::new();
        let read = |file: File| file.take(PAGE_HEAD as u64).read_to_end(&mut head);
        File::open(path).and_then(read).is_ok() && is_page(&head)
    }
}

fn unpack<R: Read>(
    from: &mut BufReader<Counted<R>>,
    to: &mut impl Write,
    shown: &Path,
) -> Result<(), CaptureError> {
    let mut decoder = GzDecoder::new(&mut *from);
    let head = read_head(&mut decoder, shown)?;
    to.write_all(&head).map_err(|why| CaptureError::io(shown, why))?;
    let mut written = head.len() as u64;
    let mut piece = vec![0; 1 << 16];
    loop {
        let count = decoder.read(&mut piece).map_err(|why| broken(shown, why))?;
        if count == 0 {
            break;
        }
        written += count as u64;
        let packed = decoder.get_ref().get_ref().bytes;
        if written > FREE_BYTES.saturating_add(packed.saturating_mul(MOST_RATIO)) {
            let why = format!("{packed} bytes of it unpack to more than {written}");
            return Err(CaptureError::NotACapture { path: shown.to_owned(), why });
        }
        to.write_all(&piece[..count]).map_err(|why| CaptureError::io(shown, why))?;
    }
    drop(decoder);
    match from.read(&mut piece[..1]) {
        Ok(0) => Ok(()),
        Ok(_) => {
            let why = "bytes follow the end of its gzip".to_owned();
            Err(CaptureError::NotACapture { path: shown.to_owned(), why })
        }
        Err(why) => Err(broken(shown, why)),
    }
}

/// The first bytes, if they are those of a capture.
fn read_head(from: &mut impl Read, shown: &Path) -> Result<Vec<u8>, CaptureError> {
    let mut head = Vec::with_capacity(HEAD);
    from.take(HEAD as u64).read_to_end(&mut head).map_err(|why| broken(shown, why))?;
    let id = APPLICATION_ID.to_be_bytes();
    if head.len() == HEAD && head.starts_with(SQLITE) && head.ends_with(&id) {
        return Ok(head);
    }
    let why = "what it holds does not begin as a capture does".to_owned();
    Err(CaptureError::NotACapture { path: shown.to_owned(), why })
}

/// An error of reading: of the packed bytes themselves, or of the system.
fn broken(shown: &Path, source: io::Error) -> CaptureError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match source.kind() {
        InvalidData | InvalidInput | UnexpectedEof => CaptureError::NotACapture {
            path: shown.to_owned(),
            why: format!("its gzip is broken: {source}"),
        },
        _ => CaptureError::io(shown, source),
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    const SHOWN: &str = "a.capture.gz";

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    fn head() -> Vec<u8> {
        let mut head = SQLITE.to_vec();
        head.resize(HEAD - 4, 0);
        head.extend(APPLICATION_ID.to_be_bytes());
        head
    }

    fn why_not(bytes: &[u8]) -> String {
        match UnpackedCapture::read(bytes, Path::new(SHOWN)) {
            Err(CaptureError::NotACapture { path, why }) if path == Path::new(SHOWN) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_packed_and_a_plain_capture_are_the_same_file_which_goes_away() {
        let plain = [head(), (0..100_000_u32).flat_map(u32::to_le_bytes).collect()].concat();
        for given in [gzip(&plain), plain.clone()] {
            let unpacked = UnpackedCapture::read(&*given, Path::new(SHOWN)).expect("it is whole");
            let path = unpacked.path();
            assert!(std::fs::read(&path).expect("it can be read") == plain);
            drop(unpacked);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_is_not_a_whole_capture_is_refused() {
        let whole = gzip(&[head(), vec![7; 1000]].concat());
        assert!(why_not(&whole[..whole.len() - 9]).contains("broken"));
        assert!(why_not(&[&whole[..], b"x"].concat()).contains("follow"));
        assert!(why_not(&[whole.clone(), whole.clone()].concat()).contains("follow"));
        let mut altered = whole.clone();
        *altered.last_mut().expect("it is not empty") ^= 1;
        assert!(why_not(&altered).contains("broken"));
        for other in [gzip(&[0; 1 << 20]), gzip(b""), gzip(&head()[..HEAD - 1]), b"".to_vec()] {
            assert!(why_not(&other).contains("does not begin"));
        }
    }

    #[test]
    fn a_bomb_is_given_up_long_before_its_end() {
        let zeros = FREE_BYTES as usize * 2;
        assert!(why_not(&gzip(&[head(), vec![0; zeros]].concat())).contains("unpack"));
    }
}
