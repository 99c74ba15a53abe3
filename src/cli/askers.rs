//! Whoever asks nodes about the faults that `watch` tells: for their logs, and for profiles.

use std::path::Path;

use super::fault_profiles::FaultProfiles;
use super::incident_logs::IncidentLogs;
use crate::capture::CaptureError;
use crate::record::{SegmentChange, SegmentListener};
use crate::watch::Audience;

/// Whoever asks nodes about faults.
#[derive(Clone)]
pub struct Askers {
    /// Asks for logs; `None` without `--logs`.
    pub logs: Option<IncidentLogs>,
    /// Takes profiles; `None` without `--profiles`.
    pub profiles: Option<FaultProfiles>,
}

impl Askers {
    /// Takes in what a capture holds in which the recording continues.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be read.
    pub fn resume(&self, capture: &Path) -> Result<(), CaptureError> {
        self.logs.as_ref().map_or(Ok(()), |logs| logs.resume(capture))
    }

    /// A listener that also lets them know of segments.
    pub fn beside(&self, mut listener: SegmentListener) -> SegmentListener {
        let profiles = self.profiles.clone();
        if let Some(logs) = &self.logs {
            listener = logs.beside(listener);
        }
        Box::new(move |change| {
            listener(change);
            if let (SegmentChange::Began { .. }, Some(profiles)) = (change, &profiles) {
                profiles.begin_segment();
            }
        })
    }

    /// An audience that also lets them know of faults.
    pub fn after(&self, mut audience: Audience) -> Audience {
        if let Some(logs) = &self.logs {
            audience = logs.after(audience);
        }
        if let Some(profiles) = &self.profiles {
            audience = profiles.after(audience);
        }
        audience
    }

    /// Waits until all nodes were asked, of the last incident too.
    pub fn finish(&self, last: &Path) {
        if let Some(profiles) = &self.profiles {
            profiles.finish();
        }
        if let Some(logs) = &self.logs {
            logs.ask(last);
            logs.finish();
        }
    }
}
