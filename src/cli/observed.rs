//! What a recording has observed of its sources, read from its capture.

use std::path::Path;

use crate::capture::{CaptureReader, EVERY_ANSWER};
use crate::cli::config::plan::Plan;
use crate::cli::exit::CliError;
use crate::diagnose::counted;
use crate::model::escape_path;
use crate::record;

/// Whether a capture holds anything but the recorder's own metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Samples, or an answer of PD.
    Something,
    /// Neither.
    Nothing {
        /// How many requests to PD there were, all of which failed.
        asked: u64,
    },
}

/// Looks for samples and for answers of PD.
///
/// # Errors
///
/// [`CaptureError`](crate::capture::CaptureError) where the capture cannot be read.
pub fn content(reader: &CaptureReader) -> anyhow::Result<Content> {
    // A run-in without what it leads to is nothing.
    if reader.meta().begins.is_some_and(|begins| reader.recorded().end <= begins) {
        return Ok(Content::Nothing { asked: 0 });
    }
    if reader.metrics().iter().any(|metric| !record::is_own_metric(metric)) {
        return Ok(Content::Something);
    }
    let (mut asked, mut answered) = (0, 0);
    reader.visit_pd_answers(EVERY_ANSWER, |answer| {
        asked += 1;
        answered += u64::from(answer.success().is_some());
        Ok(())
    })?;
    Ok(if answered > 0 { Content::Something } else { Content::Nothing { asked } })
}

/// Refuses a recording that has ended with nothing in it but the recorder's own metrics, and names what was
/// asked for and not there. A gap is something: it shows an outage. That no request to PD was ever answered is
/// more often a wrong URL than one.
///
/// # Errors
///
/// [`CliError::NothingRecorded`], or an error where the capture cannot be read.
pub fn refuse_empty(plan: &Plan, path: &Path) -> anyhow::Result<()> {
    let reader = CaptureReader::open(path)?;
    let Content::Nothing { asked } = content(&reader)? else { return Ok(()) };
    if asked > 0 {
        let requests = counted(asked, "request");
        let why = format!("none of {requests} to PD succeeded");
        return Err(CliError::NothingRecorded { path: escape_path(path), why }.into());
    }
    if !reader.gaps()?.is_empty() {
        return Ok(());
    }
    if plan.sources.scrape {
        let why = "PD listed no member or store that could be scraped".to_owned();
        return Err(CliError::NothingRecorded { path: escape_path(path), why }.into());
    }
    let selectors: Vec<String> = plan.selectors.iter().map(ToString::to_string).collect();
    let why = match selectors.is_empty() {
        true => "nothing was selected".to_owned(),
        false => format!("no samples of {}", selectors.join(", ")),
    };
    Err(CliError::NothingRecorded { path: escape_path(path), why }.into())
}
