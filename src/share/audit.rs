//! Audits a file that somebody else redacted.

use std::fs::File;
use std::path::Path;

use super::ShareError;
use super::export::look_into_truths;
use super::scan::{Leak, Scanner, Secrets, addresses_in, addresses_of};
use crate::capture::{
    CAPTURE_END, CAPTURE_TAG, CaptureError, CaptureReader, UnpackedCapture, is_packed,
};

/// Looks for these words, and for addresses, in a file: in what a capture holds, packed or not, in what a page says
/// around it, or in text as it is. Words that [`is_looked_for`] refuses are left out.
///
/// # Errors
///
/// [`ShareError::CannotLookInside`] where the file is neither a whole capture nor text, so that nothing can be said
/// of it; another [`ShareError`] where it cannot be read.
pub fn audit(path: &Path, words: &[String]) -> Result<Vec<Leak>, ShareError> {
    let mut secrets = Secrets::default();
    words.iter().for_each(|word| secrets.add(word.as_bytes()));
    let mut scanner = Scanner::new(&secrets)?;
    let bytes = std::fs::read(path).map_err(ShareError::io(path))?;
    let mut leaks = match CaptureReader::open(path) {
        Ok(reader) => {
            scanner.capture(&reader)?;
            let mut found = addresses_in(&reader)?;
            let mut look = |place: &str, text: &[u8]| {
                scanner.text(place, text);
                found.extend(addresses_of(place, text));
            };
            let packed = is_packed(path);
            let (words_before, words_after) = around_capture(&bytes);
            look("the page", words_before);
            look("the page", words_after);
            let unpacked = packed.then(|| unpacked(path)).transpose()?;
            let inside = unpacked.as_ref().map_or(path.to_owned(), UnpackedCapture::path);
            look_into_truths(&inside, &mut look)?;
            let inside = std::fs::read(&inside).map_err(ShareError::io(path))?;
            scanner.raw("the bytes of the file", &inside);
            reader.own_loss()?;
            if let Some(damage) = reader.damage().first() {
                return Err(closed(path, format!("{}: {}", damage.part, damage.why)));
            }
            found
        }
        Err(CaptureError::NotACapture { why, .. }) => {
            if let Some(why) = why_no_text(path, &bytes, why) {
                return Err(closed(path, why));
            }
            scanner.text("the file", &bytes);
            addresses_of("the file", &bytes)
        }
        Err(error @ (CaptureError::NotFound { .. } | CaptureError::Io { .. })) => {
            return Err(error.into());
        }
        Err(error) => return Err(closed(path, error.to_string())),
    };
    leaks.extend(scanner.into_leaks());
    leaks.sort();
    leaks.dedup();
    Ok(leaks)
}

/// Whether a word is looked for: ones of less than three bytes, and numbers of up to six digits, stand everywhere.
pub fn is_looked_for(word: &str) -> bool {
    let mut secrets = Secrets::default();
    secrets.add(word.as_bytes());
    !secrets.is_empty()
}

/// What a page says before and behind the capture in it; nothing of a file that is none.
fn around_capture(bytes: &[u8]) -> (&[u8], &[u8]) {
    let place = |of: &[u8], what: &[u8]| of.windows(what.len()).position(|window| window == what);
    let Some(begin) = place(bytes, CAPTURE_TAG.as_bytes()) else { return (&[], &[]) };
    let rest = &bytes[begin + CAPTURE_TAG.len()..];
    let end = place(rest, CAPTURE_END.as_bytes()).unwrap_or(rest.len());
    (&bytes[..begin], &rest[end..])
}

fn unpacked(path: &Path) -> Result<UnpackedCapture, ShareError> {
    let file = File::open(path).map_err(ShareError::io(path))?;
    Ok(UnpackedCapture::read(file, path)?)
}

fn closed(path: &Path, why: String) -> ShareError {
    ShareError::CannotLookInside { path: path.to_owned(), why }
}

/// Why a file that is no whole capture cannot be examined as text; `None` where it can. A page without a capture is
/// text, and one in which a capture stands is not.
fn why_no_text(path: &Path, bytes: &[u8], why: String) -> Option<String> {
    const PAGE: &[u8] = b"<";
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    let is_text = std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|c| !c.is_control() || c.is_whitespace() || c == '\u{1b}' || c == '\u{8}')
    });
    if !is_text {
        Some(if is_packed(path) { why } else { "it is neither a capture nor text".to_owned() })
    } else if holds(CAPTURE_TAG.as_bytes()) {
        Some(why)
    } else {
        (is_packed(path) && !bytes.trim_ascii_start().starts_with(PAGE)).then_some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_listed_word_or_an_address_is_found_out() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("note.md");
        std::fs::write(&file, "acme at 10.9.8.7, host-1 at 127.0.0.1").expect("it is writable");
        let leaks = audit(&file, &["acme".to_owned(), "other".to_owned()]).expect("it is there");
        let found: Vec<&str> = leaks.iter().map(|leak| leak.secret.as_str()).collect();
        assert_eq!(found, ["10.9.8.7", "acme"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_called_clean() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let page = format!("<!DOCTYPE html><p>{CAPTURE_TAG}QUJD</script>");
        for (name, bytes) in [
            ("gzip", &b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..]),
            ("zip", b"PK\x03\x04\x14\0\0\0"),
            ("sqlite", b"SQLite format 3\0\0\0"),
            ("latin-1", b"caf\xe9"),
            ("page", page.as_bytes()),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, bytes).expect("it is writable");
            let result = audit(&file, &[]);
            assert!(
                matches!(result, Err(ShareError::CannotLookInside { .. })),
                "{name}: {result:?}"
            );
        }
        let file = dir.path().join("report.html");
        std::fs::write(&file, "<!DOCTYPE html><p>10.9.8.7").expect("it is writable");
        assert_eq!(audit(&file, &[]).expect("it is text").len(), 1);
    }
}
