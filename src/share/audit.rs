//! Audits a file that somebody else redacted.

use std::path::Path;

use super::ShareError;
use super::scan::{Leak, Scanner, Secrets, addresses_in, addresses_of};
use crate::capture::{CaptureError, CaptureReader};

/// Looks for these words, and for addresses, in a file: in what a capture holds, packed or not, or in any other
/// file as it is.
///
/// # Errors
///
/// [`ShareError`] where the file cannot be read.
pub fn audit(path: &Path, words: &[String]) -> Result<Vec<Leak>, ShareError> {
    let mut secrets = Secrets::default();
    words.iter().for_each(|word| secrets.add(word.as_bytes()));
    let mut scanner = Scanner::new(&secrets)?;
    let bytes = std::fs::read(path).map_err(ShareError::io(path))?;
    let mut leaks = match CaptureReader::open(path) {
        Ok(reader) => {
            scanner.capture(&reader)?;
            scanner.raw("the bytes of the file", &bytes);
            addresses_in(&reader)?
        }
        Err(CaptureError::NotACapture { .. }) => {
            scanner.text("the file", &bytes);
            addresses_of("the file", &bytes)
        }
        Err(error) => return Err(error.into()),
    };
    leaks.extend(scanner.into_leaks());
    leaks.sort();
    leaks.dedup();
    Ok(leaks)
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
}
