//! Finds the packed capture inside a page for browsers, and decodes its base64 piece by piece.
//!
//! Such a file comes from somebody else. It is read once from front to back, and no more than a few
//! kilobytes of it are held at a time, whatever it says of itself.

use std::io::{self, BufRead, Read};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::capture::CaptureError;

/// What stands right before the base64 of a packed capture. Text in a page has no `<`, so that this stands
/// nowhere else in one that this program wrote; and browsers run no script of this type.
pub const CAPTURE_TAG: &str = r#"<script type="application/gzip" id="capture">"#;
/// What stands right behind it.
pub const CAPTURE_END: &str = "</script>";

/// Bytes from which a page is known.
pub(super) const PAGE_HEAD: usize = 64;
/// Bytes of a page within which its capture begins: a page alone takes less than half a megabyte.
const MOST_BEFORE: u64 = 16 << 20;
/// Characters of base64 that are decoded at a time; a multiple of four.
const PIECE: usize = 1 << 12;

/// Whether a file that begins so is a page: browsers that save one keep its first line.
pub(super) fn is_page(head: &[u8]) -> bool {
    const DOCTYPE: &[u8] = b"<!doctype html";
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    head.get(..DOCTYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DOCTYPE))
}

/// The bytes of the capture inside a page, still packed.
#[derive(Debug)]
pub(super) struct EmbeddedCapture<R> {
    page: R,
    decoded: Vec<u8>,
    at: usize,
    is_over: bool,
}

impl<R: BufRead> EmbeddedCapture<R> {
    /// Reads a page up to its capture, or as far as one may begin.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotACapture`] where it holds none, and an error of the system where it cannot be read.
    /// `shown` is what errors name.
    pub(super) fn find(mut page: R, shown: &Path) -> Result<Self, CaptureError> {
        let found = skip_past(&mut page.by_ref().take(MOST_BEFORE), CAPTURE_TAG.as_bytes());
        if !found.map_err(|source| CaptureError::io(shown, source))? {
            let why = "the page holds no capture".to_owned();
            return Err(CaptureError::NotACapture { path: shown.to_owned(), why });
        }
        Ok(Self { page, decoded: Vec::new(), at: 0, is_over: false })
    }

    /// Decodes the next piece, up to the first `<`. White space is left out.
    fn fill(&mut self) -> io::Result<()> {
        let mut text = Vec::with_capacity(PIECE);
        while text.len() < PIECE && !self.is_over {
            let buffer = self.page.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the page is cut short"));
            }
            let mut taken = 0;
            for byte in buffer {
                if text.len() == PIECE || *byte == b'<' {
                    self.is_over = *byte == b'<';
                    break;
                }
                taken += 1;
                if !byte.is_ascii_whitespace() {
                    text.push(*byte);
                }
            }
            self.page.consume(taken);
        }
        let decoded = BASE64_STANDARD.decode(&text);
        self.decoded =
            decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.at = 0;
        Ok(())
    }
}

impl<R: BufRead> Read for EmbeddedCapture<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.decoded.len() && !self.is_over {
            self.fill()?;
        }
        let count = into.len().min(self.decoded.len() - self.at);
        into[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Reads up to the end of the first occurrence of `tag`, whose first byte stands nowhere else in it. `false`
/// where there is none.
fn skip_past(page: &mut impl BufRead, tag: &[u8]) -> io::Result<bool> {
    let mut matched = 0;
    loop {
        let buffer = page.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let mut taken = 0;
        for byte in buffer {
            taken += 1;
            matched = match *byte == tag[matched] {
                true => matched + 1,
                false => usize::from(*byte == tag[0]),
            };
            if matched == tag.len() {
                break;
            }
        }
        page.consume(taken);
        if matched == tag.len() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(page: &[u8]) -> Result<EmbeddedCapture<impl BufRead>, CaptureError> {
        // A buffer of seven bytes cuts the tag and the base64 everywhere.
        EmbeddedCapture::find(io::BufReader::with_capacity(7, page), Path::new("a.html"))
    }

    fn embedded(page: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        find(page).expect("there is a tag").read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_was_put_inside_is_found() {
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for length in [0, 1, 2, 3, 3_071, 3_072, 3_073, 20_000] {
            let text = BASE64_STANDARD.encode(&bytes[..length]);
            let (start, end) = text.split_at(text.len() / 3);
            let page =
                format!("<!DOCTYPE html><<script {CAPTURE_TAG}\n{start}\r\n {end}{CAPTURE_END}x");
            assert!(is_page(page.as_bytes()));
            assert_eq!(embedded(page.as_bytes()).expect("it is inside"), bytes[..length]);
        }
    }

    #[test]
    fn a_page_without_a_whole_capture_is_refused() {
        for page in ["<!DOCTYPE html>", "<!doctype html><script>", &CAPTURE_TAG[1..]] {
            let error = find(page.as_bytes()).map(drop).expect_err("nothing is inside");
            assert!(matches!(error, CaptureError::NotACapture { .. }), "{page}: {error}");
        }
        let error = embedded(CAPTURE_TAG.as_bytes()).expect_err("it is cut short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        for text in ["QUJ", "Q!JD", "QUJD=", "QQ==QUJD"] {
            let page = format!("{CAPTURE_TAG}{text}{CAPTURE_END}");
            let error = embedded(page.as_bytes()).expect_err("it is no base64");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }

    #[test]
    fn a_page_that_goes_on_and_on_is_given_up() {
        let endless = io::BufReader::new(io::repeat(b'<'));
        let error = EmbeddedCapture::find(endless, Path::new("a.html")).map(drop);
        assert!(matches!(error, Err(CaptureError::NotACapture { .. })));
    }

    #[test]
    fn a_page_is_known_by_its_first_line() {
        for head in ["<!DOCTYPE html>", "\u{feff}\n<!doctype HTML><html>"] {
            assert!(is_page(head.as_bytes()), "{head}");
        }
        for head in ["", "<html>", "SQLite format 3\0", "<!doctype xml"] {
            assert!(!is_page(head.as_bytes()), "{head}");
        }
    }
}
