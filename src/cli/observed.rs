//! What a recording has observed of its sources, read from its capture.

use std::collections::BTreeSet;
use std::path::Path;

use crate::capture::{CaptureReader, EVERY_ANSWER};
use crate::cli::config::plan::Plan;
use crate::cli::exit::CliError;
use crate::diagnose::counted;
use crate::model::{Source, escape_path};
use crate::record;

/// What a capture holds of its sources, the recorder's own metrics aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Whether there are samples.
    pub has_samples: bool,
    /// How many requests to PD there were.
    pub asked: u64,
    /// Whether any of them succeeded.
    pub pd_answered: bool,
    /// The sources of which something is missing.
    pub gaps: BTreeSet<Source>,
}

impl Observed {
    /// Looks for samples, for answers of PD and for gaps.
    ///
    /// # Errors
    ///
    /// [`CaptureError`](crate::capture::CaptureError) where the capture cannot be read.
    pub fn of(reader: &CaptureReader) -> anyhow::Result<Self> {
        let gaps = reader.gaps()?.into_iter().map(|gap| gap.source).collect();
        let mut observed = Self { gaps, ..Self::default() };
        // A run-in without what it leads to is nothing.
        if reader.meta().begins.is_some_and(|begins| reader.recorded().end <= begins) {
            return Ok(observed);
        }
        observed.has_samples = has_samples(reader);
        reader.visit_pd_answers(EVERY_ANSWER, |answer| {
            observed.asked += 1;
            observed.pd_answered |= answer.success().is_some();
            Ok(())
        })?;
        Ok(observed)
    }

    /// Whether there is neither a sample nor an answer.
    pub fn is_nothing(&self) -> bool {
        !self.has_samples && !self.pd_answered
    }
}

/// Whether a capture holds a sample that is not the recorder's own, or an answer of PD. One that cannot be read
/// holds none.
pub fn observes_anything(reader: &CaptureReader) -> bool {
    has_samples(reader) || Observed::of(reader).is_ok_and(|one| !one.is_nothing())
}

fn has_samples(reader: &CaptureReader) -> bool {
    reader.metrics().iter().any(|one| !record::is_own_metric(one))
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
    let observed = Observed::of(&reader)?;
    if !observed.is_nothing() {
        return Ok(());
    }
    let selectors: Vec<String> = plan.selectors.iter().map(ToString::to_string).collect();
    let why = if observed.asked > 0 {
        none_succeeded(observed.asked)
    } else if observed.gaps.contains(&Source::Prometheus) {
        return Ok(());
    } else if plan.sources.scrapes_alone() {
        "PD listed no member or store that could be scraped".to_owned()
    } else if plan.sources.prometheus.is_none() {
        "no request to PD was answered".to_owned()
    } else if selectors.is_empty() {
        "nothing was selected".to_owned()
    } else {
        format!("no samples of {}", selectors.join(", "))
    };
    Err(CliError::NothingRecorded { path: escape_path(path), why }.into())
}

/// That requests to PD were of no use, for a person.
pub fn none_succeeded(asked: u64) -> String {
    format!("none of {} to PD succeeded", counted(asked, "request"))
}
