//! The header of the SQLite file: which of its bytes are held against what this program writes.
//!
//! SQLite itself checks the magic, the page size and the fractions; no checksum covers the header.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::file::side_file;

/// Bytes of the header, by <https://www.sqlite.org/fileformat2.html#the_database_header>.
const HEADER: usize = 100;
/// The least and the greatest number of a version of SQLite 3.
const SQLITE_VERSIONS: std::ops::Range<u32> = 3_000_000..4_000_000;
/// More changes of the schema than any capture has seen: a migration makes one, and compacting some.
const MOST_SCHEMA_CHANGES: u32 = 1 << 16;
/// Fields of four bytes with the one value that a capture has there: the format of the schema, settings that are
/// never made, the encoding, and what SQLite reserves.
const FIXED: [(usize, u32); 10] =
    [(44, 4), (48, 0), (52, 0), (56, 1), (64, 0), (72, 0), (76, 0), (80, 0), (84, 0), (88, 0)];

/// What the header of the database at `path`, or its length, says that no capture says; a sentence each, without a
/// full stop.
///
/// # Errors
///
/// An error of the system where the file cannot be read.
pub fn departures(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let mut found = in_header(&header);
    // Beside a write-ahead log the file itself may lag behind.
    let is_settled = !side_file(path, "-wal").exists();
    if is_settled && found.is_empty() {
        let pages = u64::from(u32_at(&header, 28));
        let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 1 << 16,
            bytes => u64::from(bytes),
        };
        let (length, expected) = (file.metadata()?.len(), pages * page_bytes);
        if length > expected {
            found.push(format!("{} bytes follow its end", length - expected));
        } else if length < expected {
            found.push(format!("{} bytes are missing at its end", expected - length));
        }
    }
    Ok(found)
}

fn in_header(header: &[u8; HEADER]) -> Vec<String> {
    let mut found = Vec::new();
    let mut unless = |right: bool, at: usize| {
        if !right {
            found.push(format!("byte {at} of its header is not as any capture has it"));
        }
    };
    let journaled = header[18] == header[19] && [1, 2].contains(&header[18]);
    unless(journaled, 18);
    unless(header[20] == 0, 20);
    // The counter of changes, and what it was when the size and the version were written.
    unless(u32_at(header, 24) == u32_at(header, 92), 24);
    unless(u32_at(header, 40) < MOST_SCHEMA_CHANGES, 40);
    for (at, value) in FIXED {
        unless(u32_at(header, at) == value, at);
    }
    unless(SQLITE_VERSIONS.contains(&u32_at(header, 96)), 96);
    found
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::verify;

    #[test]
    fn a_header_that_was_altered_is_found_out() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("altered.capture");
        let whole = std::fs::read("data/pd/pd-01.capture").expect("it is bundled");
        let is_whole = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("the directory is writable");
            verify(&path).is_ok_and(|report| report.damage.is_empty())
        };
        assert!(is_whole(&whole), "it is whole");
        assert!(!is_whole(&[&whole[..], b"12345"].concat()), "bytes follow");
        // Low bytes of the cookie and of SQLite's version may be anything; see the specification.
        for at in (0..HEADER).filter(|at| ![42, 43, 97, 98, 99].contains(at)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            assert!(!is_whole(&bytes), "byte {at}");
        }
    }
}
