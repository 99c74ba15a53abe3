//! What a recording has observed of its sources, read from its capture.

use std::collections::BTreeSet;

use crate::capture::{CaptureReader, EVERY_ANSWER};
use crate::diagnose::counted;
use crate::model::Source;
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

/// Whether a capture holds a sample that is not the recorder's own, or an answer of PD, or may hold one that cannot be
/// read.
pub fn observes_anything(reader: &CaptureReader) -> bool {
    has_samples(reader) || Observed::of(reader).map_or(true, |one| !one.is_nothing())
}

fn has_samples(reader: &CaptureReader) -> bool {
    reader.metrics().iter().any(|one| !record::is_own_metric(one))
}

/// That requests to PD were of no use, for a person.
pub fn none_succeeded(asked: u64) -> String {
    format!("none of {} to PD succeeded", counted(asked, "request"))
}
