//! Reads a log line by line, plain or compressed by gzip, holding one line of bounded length.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// The longest part of a line that is kept, in bytes. A configuration at start takes tens of kilobytes.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// The first two bytes of a file that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// Its bytes, at most [`MAX_LINE_BYTES`] of them.
    pub bytes: &'a [u8],
    /// Its number, counted from one.
    pub number: u64,
    /// How many bytes the whole line takes, its end included.
    pub len: u64,
}

impl RawLine<'_> {
    /// Whether the line is longer than what is kept of it.
    pub fn is_cut(&self) -> bool {
        self.len > self.bytes.len() as u64 + 2
    }
}

/// The lines of a log.
pub struct LogLines<'a> {
    input: Box<dyn BufRead + 'a>,
    buffer: Vec<u8>,
    number: u64,
}

impl<'a> LogLines<'a> {
    /// Reads a log, compressed where it begins with gzip's magic bytes and plain otherwise.
    ///
    /// # Errors
    ///
    /// The reader's error on the first two bytes.
    pub fn new(mut reader: impl Read + 'a) -> io::Result<Self> {
        let mut head = Vec::with_capacity(GZIP.len());
        reader.by_ref().take(GZIP.len() as u64).read_to_end(&mut head)?;
        let is_gzip = head == GZIP;
        let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(reader));
        let input: Box<dyn BufRead + 'a> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { input, buffer: Vec::new(), number: 0 })
    }

    /// The next line; `None` at the end of the log.
    ///
    /// # Errors
    ///
    /// The reader's error, also where compressed data is damaged or cut short. Lines before it were
    /// returned.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buffer.clear();
        let mut len = 0;
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                available => available?,
            };
            let end = memchr::memchr(b'\n', available);
            let taken = end.map_or(available.len(), |end| end + 1);
            let room = MAX_LINE_BYTES - self.buffer.len();
            self.buffer.extend_from_slice(&available[..end.unwrap_or(taken).min(room)]);
            self.input.consume(taken);
            len += taken as u64;
            if end.is_some() || taken == 0 {
                break;
            }
        }
        if len == 0 {
            return Ok(None);
        }
        self.number += 1;
        let bytes = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        Ok(Some(RawLine { bytes, number: self.number, len }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(log: &[u8]) -> Vec<(String, u64, bool)> {
        let mut lines = LogLines::new(log).expect("memory can be read");
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().expect("memory can be read") {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            found.push((text, line.number, line.is_cut()));
        }
        found
    }

    #[test]
    fn a_compressed_log_has_the_lines_of_the_plain_one() {
        let plain = b"one\r\n\ntwo";
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).expect("memory takes it");
        let packed = encoder.finish().expect("memory takes it");
        let expected = [("one", 1, false), ("", 2, false), ("two", 3, false)];
        let expected = expected.map(|(text, number, cut)| (text.to_owned(), number, cut));
        assert_eq!(read(plain), expected);
        assert_eq!(read(&packed), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let log = [&vec![b'x'; MAX_LINE_BYTES + 3][..], b"\nnext\n"].concat();
        let found = read(&log);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.len(), found[0].2), (MAX_LINE_BYTES, true));
        assert_eq!(found[1], ("next".to_owned(), 2, false));
    }
}
