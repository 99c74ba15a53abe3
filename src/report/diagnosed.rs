//! A replay together with its verdict.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::{Verdict, counted};
use crate::model::canonical_json;
use crate::report::ReplayReport;
use crate::session::CitationCheck;

/// The report of a replay and the verdict on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosed {
    /// The timeline and the state of the cluster.
    #[serde(flatten)]
    pub replay: ReplayReport,
    /// The diagnosis: outcome, causes and findings.
    pub verdict: Verdict,
    /// What `--verify` found; absent where nobody asked. The digest of the report does not cover it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
}

/// That a replay was evaluated twice with one result, and that the capture bears out what it cites.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// How many evaluations, each in an order of its own, gave the same bytes.
    pub evaluations: usize,
    /// The citations that were looked up in the capture.
    pub citations: CitationCheck,
}

impl Verification {
    /// What was found, in a line.
    pub fn text(&self) -> String {
        let Self { evaluations, citations } = self;
        format!(
            "{evaluations} evaluations agree; {} looked up in the capture, all agree; {} computed of several samples",
            counted(citations.checked as u64, "citation"),
            citations.computed
        )
    }
}

impl Diagnosed {
    /// Combines the two, and computes `report_digest` again so that it covers both.
    pub fn new(mut replay: ReplayReport, verdict: Verdict) -> Self {
        replay.report_digest = None;
        let mut whole = Self { replay, verdict, verification: None };
        let digest = Sha256::digest(canonical_json(&whole).as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        whole.replay.report_digest = Some(digest);
        whole
    }
}
