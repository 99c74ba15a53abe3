//! Looks for originals in what was written, before it gets its name.

use std::path::Path;

use crate::capture::{CaptureError, CaptureReader, visit_truths};
use crate::share::ShareError;
use crate::share::pack::Page;
use crate::share::pseudonyms::Mapping;
use crate::share::scan::{Scanner, Secrets};

/// Looks for every original in the redacted capture at `compact`, and in the page for it.
pub(super) fn check(
    recorded: &CaptureReader,
    mapping: &Mapping,
    written: &CaptureReader,
    (compact, page): (&Path, Option<&Page>),
) -> Result<(), ShareError> {
    let mut secrets = Secrets::default();
    mapping.originals().for_each(|original| secrets.add(original.as_bytes()));
    mapping.keys().for_each(|key| secrets.add_key(&key));
    secrets.add_addresses_of(recorded)?;
    let mut scanner = Scanner::new(&secrets)?;
    scanner.export(written)?;
    look_into_truths(compact, &mut |place, truth| scanner.text(place, truth))?;
    let bytes = std::fs::read(compact).map_err(ShareError::io(compact))?;
    scanner.raw("the bytes of the file", &bytes);
    let mut leaks = scanner.into_leaks();
    if let Some(page) = page {
        // All that a page says of the run stands in the capture. Its own words are ordinary ones, and a host
        // may be called like one of them.
        let mut scanner = Scanner::new(&secrets.without_words())?;
        scanner.text("the page", page.before.as_bytes());
        scanner.text("the page", page.after.as_bytes());
        leaks.extend(scanner.into_leaks());
    }
    match leaks {
        leaks if leaks.is_empty() => Ok(()),
        leaks => Err(ShareError::Leaked(leaks)),
    }
}

/// Looks with `look` into every sealed truth of the capture at `path`, which nobody reads otherwise.
pub(in crate::share) fn look_into_truths(
    path: &Path,
    look: &mut dyn FnMut(&str, &[u8]),
) -> Result<(), CaptureError> {
    visit_truths(path, &mut |truth| look("a sealed truth", &truth))
}
