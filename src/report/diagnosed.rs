//! A replay together with its verdict.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::diagnose::{FiredAlert, Verdict, counted};
use crate::model::canonical_json;
use crate::report::ReplayReport;
use crate::session::{CitationCheck, CriticalAlerts};

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
    /// Why some of these rules or all were not evaluated; absent where all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts_not_evaluated: Option<String>,
    /// What `--verify` found; absent where nobody asked. The digest of the report does not cover it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Whether the build that exported the capture gave the same verdict, in a sentence; absent where nobody exported
    /// it, or only a part was judged. The digest of the report does not cover it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<String>,
}

/// That a replay was evaluated twice with one result, and that the capture holds what it cites.
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
        let looked_up = counted(citations.checked as u64, "citation");
        let evaluated = match citations.evaluated {
            0 => String::new(),
            some => format!(" ({some} by evaluating its expression)"),
        };
        let computed = match citations.computed {
            0 => String::new(),
            some => format!("; {some} computed of several samples, as cited"),
        };
        format!(
            "{evaluations} evaluations agree; {looked_up} looked up in the capture{evaluated}, all agree{computed}"
        )
    }
}

impl Diagnosed {
    /// The alerts that the verdict does not explain, and why others could not be looked for, in a line; `None`
    /// where all were looked for and there are none.
    pub fn alerts_text(&self) -> Option<String> {
        let not_evaluated = self.alerts_not_evaluated.as_ref();
        let not_evaluated = not_evaluated.map(|why| format!("alert rules not evaluated: {why}"));
        let parts: Vec<String> = self.fired_text().into_iter().chain(not_evaluated).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn fired_text(&self) -> Option<String> {
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
    pub fn new(mut replay: ReplayReport, verdict: Verdict, alerts: CriticalAlerts) -> Self {
        replay.report_digest = None;
        let CriticalAlerts { fired: unexplained_alerts, not_evaluated: alerts_not_evaluated } =
            alerts;
        let (verification, reporter) = (None, None);
        let mut whole = Self {
            replay,
            verdict,
            unexplained_alerts,
            alerts_not_evaluated,
            verification,
            reporter,
        };
        let digest = Sha256::digest(canonical_json(&whole).as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        whole.replay.report_digest = Some(digest);
        whole
    }
}
