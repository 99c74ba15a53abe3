//! A replay together with its verdict.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::Verdict;
use crate::model::canonical_json;
use crate::report::ReplayReport;

/// What a replay tells, and what is made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosed {
    /// What happened.
    #[serde(flatten)]
    pub replay: ReplayReport,
    /// Why.
    pub verdict: Verdict,
}

impl Diagnosed {
    /// Puts the two together. `report_digest` then covers both.
    pub fn new(mut replay: ReplayReport, verdict: Verdict) -> Self {
        replay.report_digest = None;
        let mut whole = Self { replay, verdict };
        let digest = Sha256::digest(canonical_json(&whole).as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        whole.replay.report_digest = Some(digest);
        whole
    }
}
