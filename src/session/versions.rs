//! The versions of what was recorded, by PD's answers alone.

use std::collections::BTreeSet;

use crate::capture::{CaptureError, CaptureReader, PdOrder, PdVisit};
use crate::model::TimeRange;
use crate::pd::{MEMBERS, STATUS, STORES, Topology, VERSION, version};

/// The version of PD in the metadata of a capture, else the first that an answer of PD states; and those of TiKV in the
/// first list of stores.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn recorded_versions(
    reader: &CaptureReader,
) -> Result<(Option<String>, BTreeSet<String>), CaptureError> {
    let mut pd = reader.meta().versions.pd.clone();
    let mut tikv = BTreeSet::new();
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
    reader.visit_pd_answers(visit, |answer| {
        if pd.is_none() && [VERSION, STATUS, MEMBERS].contains(&answer.path.as_str()) {
            pd = answer.success().and_then(version);
        }
        if tikv.is_empty() && answer.path == STORES {
            let mut listed = Topology::default();
            // A list that cannot be read says nothing of versions, and the next one may.
            let _ = listed.apply(&answer);
            tikv = listed.tikv_versions();
        }
        Ok(())
    })?;
    Ok((pd, tikv))
}
