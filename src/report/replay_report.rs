//! The report of a replay as a value, its digest, and the proof that it does not depend on the
//! order of computing.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::capture::{CaptureError, Damage};
use crate::model::{Gap, Observed, RunMeta, TimeRange, canonical_json, joined};
use crate::session::PdSource;
use crate::timeline::{
    Entry, Evaluation, Ordered, PdSummary, Recording, StateSummary, timeline_of,
};

/// Version of the report's JSON.
pub const SCHEMA: &str = "operator.replay/1";

/// What a replay tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What is known of the run.
    pub meta: RunMeta,
    /// The part of the run that was looked at.
    pub window: TimeRange,
    /// What was recorded.
    pub recorded: Recorded,
    /// What was not recorded.
    pub gaps: Vec<Gap>,
    /// Parts of the capture that could not be read.
    pub damage: Vec<DamageLine>,
    /// The cluster at the first complete round of answers.
    pub initial: StateSummary,
    /// The cluster at the end.
    pub last: StateSummary,
    /// What happened.
    pub timeline: Vec<Entry>,
    /// Digest of the content that was read, hexadecimal SHA-256.
    pub capture_digest: String,
    /// Digest of the content that was recorded, where damage makes it another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_digest: Option<String>,
    /// SHA-256 of [`canonical_json`] of this report without this field, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_digest: Option<String>,
}

/// How much was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Answers of PD with a success status.
    pub pd_answers: usize,
    /// Requests to PD that failed or were answered with an error.
    pub pd_failures: usize,
    /// Members that were asked.
    pub pd_members: Vec<String>,
    /// Series that the timeline read.
    pub series: usize,
    /// Their samples.
    pub samples: usize,
}

/// A part of the capture that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DamageLine {
    /// Which row or block.
    pub part: String,
    /// What does not hold.
    pub why: String,
    /// The time it covered, where known.
    pub range: Option<TimeRange>,
    /// Whose observations are lost with it; absent where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Observed>,
}

/// Two evaluations of the same recording that differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two evaluations differ at byte {offset} of the report: {sequential:?} and {shuffled:?}")]
pub struct Mismatch {
    /// Where the reports' canonical JSON differs first.
    pub offset: usize,
    /// What stands there when evaluated in sequence.
    pub sequential: String,
    /// What stands there when evaluated in another order.
    pub shuffled: String,
}

/// Makes the report of a recording that holds PD's answers. `damage` and `capture_digest` are the
/// reader's.
pub fn report(
    recording: &Recording,
    damage: &[Damage],
    capture_digest: &str,
    evaluation: Evaluation,
) -> ReplayReport {
    let pd = PdSummary::of(&recording.pd, evaluation);
    report_of(recording, pd, damage, capture_digest, evaluation)
}

/// The same where PD's answers have been read already, and may not be in the recording.
pub fn report_of(
    recording: &Recording,
    told: PdSummary,
    damage: &[Damage],
    capture_digest: &str,
    evaluation: Evaluation,
) -> ReplayReport {
    let ordered = Ordered::new(recording, evaluation);
    let gaps = joined(ordered.gaps.iter().copied());
    let recorded = recorded(&ordered, &told);
    let [initial, last] = told.ends(&ordered.series, recording.window);
    let timeline = timeline_of(&ordered, recording, evaluation.threads(), &gaps, told);
    let damage_line = |damage: &Damage| DamageLine {
        part: damage.part.clone(),
        why: damage.why.clone(),
        range: damage.range,
        lost: damage.lost.clone(),
    };
    let mut damage: Vec<DamageLine> = damage.iter().map(damage_line).collect();
    damage.sort();
    let mut report = ReplayReport {
        schema: SCHEMA,
        meta: recording.meta.clone(),
        window: recording.window,
        recorded,
        gaps,
        damage,
        initial,
        last,
        timeline,
        capture_digest: capture_digest.to_owned(),
        recorded_digest: None,
        report_digest: None,
    };
    let digest = Sha256::digest(canonical_json(&report).as_bytes());
    report.report_digest = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
    report
}

/// Computes the report in sequence and again shuffled over threads.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read; within, [`Mismatch`] where the two are not
/// the same bytes: a defect of this program.
pub fn verify(
    recording: &Recording,
    pd: PdSource<'_>,
) -> Result<Result<(), Mismatch>, CaptureError> {
    let with = |evaluation| -> Result<String, CaptureError> {
        let summary = pd.summary(evaluation)?;
        Ok(canonical_json(&report_of(recording, summary, &[], "", evaluation)))
    };
    let sequential = with(Evaluation::Sequential)?;
    for (seed, threads) in [(0x9e37_79b9_7f4a_7c15, 2), (0xd1b5_4a32_d192_ed03, 5)] {
        let shuffled = with(Evaluation::Shuffled { seed, threads })?;
        if let Some(mismatch) = first_difference(&sequential, &shuffled) {
            return Ok(Err(mismatch));
        }
    }
    Ok(Ok(()))
}

fn first_difference(sequential: &str, shuffled: &str) -> Option<Mismatch> {
    let (a, b) = (sequential.as_bytes(), shuffled.as_bytes());
    if a == b {
        return None;
    }
    let offset = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let around = |bytes: &[u8]| {
        let part = &bytes[offset.saturating_sub(20)..bytes.len().min(offset + 40)];
        String::from_utf8_lossy(part).into_owned()
    };
    Some(Mismatch { offset, sequential: around(a), shuffled: around(b) })
}

fn recorded(ordered: &Ordered<'_>, told: &PdSummary) -> Recorded {
    Recorded {
        pd_answers: told.good(),
        pd_failures: told.failed(),
        pd_members: told.members(),
        series: ordered.series.len(),
        samples: ordered.series.iter().map(|series| series.samples.len()).sum(),
    }
}
