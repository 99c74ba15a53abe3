//! Reports as canonical JSON.

use serde::Serialize;

use crate::model::canonical_json;

/// The report as one line of canonical JSON (schema `operator.replay/1`; of a
/// [`Diagnosed`](super::Diagnosed) one with the verdict under `verdict`, schema
/// `operator.verdict/1`), ending in a newline.
///
/// Its `report_digest` is the SHA-256 of the same line without that field, without `verification` and
/// without the newline.
pub fn replay_json(report: &impl Serialize) -> String {
    let mut json = canonical_json(report);
    json.push('\n');
    json
}
