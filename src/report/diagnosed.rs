//! A replay together with its verdict.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::Verdict;
use crate::model::canonical_json;
use crate::report::ReplayReport;

/// The report of a replay and the verdict on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosed {
    /// The timeline and the state of the cluster.
    #[serde(flatten)]
    pub replay: ReplayReport,
    /// The diagnosis: outcome, causes and findings.
    pub verdict: Verdict,
}

impl Diagnosed {
    /// Combines the two, and computes `report_digest` again so that it covers both.
    pub fn new(mut replay: ReplayReport, verdict: Verdict) -> Self {
        replay.report_digest = None;
        let mut whole = Self { replay, verdict };
        let digest = Sha256::digest(canonical_json(&whole).as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        whole.replay.report_digest = Some(digest);
        whole
    }
}
