//! Writes a part of a capture into one file for somebody else.
//!
//! The file is made anew, never edited: SQLite leaves what was overwritten in free pages.

mod check;
mod digests;
mod options;
mod writing;

use std::path::Path;

use check::check;
pub(super) use check::look_into_truths;
use digests::size_and_digest;
use options::goes_along;
use writing::Source;

use super::ShareError;
use super::key::Key;
use super::pack::{Page, pack};
use super::pseudonyms::{Mapping, Originals};
use super::walk::{Walk, is_free_text};
use crate::capture::{CaptureError, CaptureReader, PdOrder, PdVisit, Rewrite};
use crate::model::{AsOf, Loss, TimeRange, Unreadable, unreadable_within};
use crate::session::{Session, View, recorded_versions};

pub use digests::file_sha256;
pub use options::{DamagedParts, Destination, Events, ExportOptions, Exported, Redaction, Truths};
pub use writing::NOT_PICKED;

/// The pseudonyms of everything in a capture, by this key.
///
/// # Errors
///
/// [`ShareError::Capture`] where it cannot be read.
pub fn mapping_of(from: &Path, key: &Key) -> Result<Mapping, ShareError> {
    Ok(mapping(&CaptureReader::open(from)?, from, key, Events::Included)?)
}

fn mapping(
    reader: &CaptureReader,
    from: &Path,
    key: &Key,
    events: Events,
) -> Result<Mapping, CaptureError> {
    let mut walk = Walk::through(Originals::default(), reader);
    walk.meta(reader.meta());
    reader.visit_series(|labels| drop(walk.labels(labels)));
    reader.gaps()?.into_iter().for_each(|gap| drop(walk.gap(gap)));
    let told = reader.events()?.into_iter().filter(|event| goes_along(event, events));
    told.for_each(|event| drop(walk.event(event)));
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
    reader.visit_pd_answers(visit, |answer| {
        walk.answer(answer);
        Ok(())
    })?;
    // Truths are written nowhere here: this only collects what they name.
    crate::capture::visit_truths(from, &mut |truth| drop(walk.truth(truth)))?;
    Ok(walk.into_content().mapping(key))
}

/// Makes the page around an exported capture.
pub type RenderPage<'a> = &'a dyn Fn(&Session) -> Result<Page, CaptureError>;

/// Exports the capture at `from` into a new file, as gzip.
///
/// # Errors
///
/// [`ShareError`] where a file cannot be accessed, an original was found in the result, or it is larger than
/// allowed. No file remains then.
pub fn export(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
) -> Result<Exported, ShareError> {
    export_as(from, to, options, None)
}

/// As [`export`], inside a page that `render` makes of the exported capture.
///
/// # Errors
///
/// As [`export`].
pub fn export_page(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
    render: RenderPage<'_>,
) -> Result<Exported, ShareError> {
    export_as(from, to, options, Some(render))
}

fn export_as(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
    render: Option<RenderPage<'_>>,
) -> Result<Exported, ShareError> {
    let reader = CaptureReader::open(from)?;
    let lost = lost(&reader, from, options)?;
    let mapping = match &options.redaction {
        Redaction::Pseudonyms(key) => Some(mapping(&reader, from, key, options.events)?),
        Redaction::Off => None,
    };
    let scratch = tempfile::tempdir().map_err(ShareError::io(&std::env::temp_dir()))?;
    let compact = scratch.path().join("compact.capture");
    let mapped = mapping.as_ref();
    let source = Source { reader: &reader, from, options, mapping: mapped, lost, render };
    let (verdict, page) = source.write_within(scratch.path(), &compact)?;
    let written = CaptureReader::open(&compact)?;
    if let Some(mapping) = &mapping {
        check(&reader, mapping, &written, (&compact, page.as_ref()))?;
    }
    let suffix = if page.is_some() { ".html" } else { ".capture.gz" };
    let path = to.path(&written.meta().run, suffix);
    pack(&compact, &path, page.as_ref(), options.mode)?;
    let (bytes, file_sha256) = size_and_digest(&path)?;
    let free_texts = written.events()?.iter().filter(|event| is_free_text(event)).count();
    let (pd_version, tikv_versions) = recorded_versions(&written)?;
    Ok(Exported {
        path,
        meta: written.meta().clone(),
        window: written.window(),
        pd_version,
        tikv_versions,
        bytes,
        file_sha256,
        capture_digest: written.digest()?,
        whole: source.verdict_on_whole(&verdict)?,
        verdict,
        free_texts: free_texts as u64,
        has_truth: written.has_truth(),
        mapping: mapping.unwrap_or_default(),
    })
}

/// What is lost of a capture in the range that is exported, in this file or before, and which parts of that held
/// what a verdict reads.
fn lost(
    reader: &CaptureReader,
    from: &Path,
    options: &ExportOptions,
) -> Result<Option<Lost>, ShareError> {
    let own = reader.own_loss()?;
    reader.gaps()?;
    reader.events()?;
    let parts = reader.damaged_rows();
    if (own.is_some() || parts > 0) && options.damaged == DamagedParts::Refused {
        return Err(ShareError::DamagedParts { path: from.to_owned(), parts: parts.max(1) });
    }
    let range = options.range;
    let Some(loss) = reader.loss()?.and_then(|loss| loss.within(range)) else { return Ok(None) };
    // Of another reader, which has read nothing but what a verdict needs.
    let session = Session::open(from)?;
    let window = session.load(View { range, as_of: AsOf::END })?;
    let unreadable = unreadable_within(&window.recording().unreadable, range);
    Ok(Some(Lost { loss, unreadable }))
}

/// What an export lacks because it was damaged.
#[derive(Clone)]
struct Lost {
    loss: Loss,
    /// The parts of it that held what a verdict reads.
    unreadable: Vec<Unreadable>,
}
