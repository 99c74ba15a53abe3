//! A replay together with its verdict.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::{FiredAlert, Verdict, counted};
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
    /// Critical alerts of the bundled rules that fired and that the verdict does not explain; absent where there
    /// are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unexplained_alerts: Vec<FiredAlert>,
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

/// How many alerts are named in a line.
const ALERTS_NAMED: usize = 4;

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
    /// The alerts that the verdict does not explain, in a line; `None` where there are none.
    pub fn alerts_text(&self) -> Option<String> {
        let all = &self.unexplained_alerts;
        // One that fired several times is named once.
        let mut named: Vec<String> = all.iter().map(FiredAlert::text).collect();
        named.dedup();
        let more = match named.len().saturating_sub(ALERTS_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        named.truncate(ALERTS_NAMED);
        let text = format!("alerts firing and not explained: {}{more}", named.join(", "));
        (!all.is_empty()).then_some(text)
    }

    /// Combines them, and computes `report_digest` again so that it covers all.
    pub fn new(
        mut replay: ReplayReport,
        verdict: Verdict,
        unexplained_alerts: Vec<FiredAlert>,
    ) -> Self {
        replay.report_digest = None;
        let mut whole = Self { replay, verdict, unexplained_alerts, verification: None };
        let digest = Sha256::digest(canonical_json(&whole).as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        whole.replay.report_digest = Some(digest);
        whole
    }
}
