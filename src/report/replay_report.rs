//! The report of a replay as a value, with its digest, and the check that it does not depend on the order
//! of evaluation.
//!
//! Its forms as bytes are in `json` and `replay_text`.

use std::collections::BTreeSet;

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

/// The report of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayReport {
    /// The version of this JSON, [`SCHEMA`].
    pub schema: &'static str,
    /// The metadata of the run.
    pub meta: RunMeta,
    /// The part of the run that was replayed.
    pub window: TimeRange,
    /// The amount of data that was read.
    pub recorded: Recorded,
    /// The times for which observations are missing, adjoining gaps joined.
    pub gaps: Vec<Gap>,
    /// Parts of the capture that could not be read.
    pub damage: Vec<DamageLine>,
    /// The cluster at the first complete round of answers.
    pub initial: StateSummary,
    /// The cluster at the end.
    pub last: StateSummary,
    /// The changes of the cluster, ascending by time.
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

/// How much data the report is based on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The number of PD's answers with a success status.
    pub pd_answers: usize,
    /// The number of requests to PD that failed or were answered with an error.
    pub pd_failures: usize,
    /// The names of the PD members that were asked.
    pub pd_members: Vec<String>,
    /// The number of series that the timeline read.
    pub series: usize,
    /// The number of samples in these series.
    pub samples: usize,
}

impl ReplayReport {
    /// The version of PD: what the recorder noted, else what the members answered at the end, else at the start.
    /// Several where they differ; `None` where nothing says.
    pub fn pd_version(&self) -> Option<String> {
        let answered = [&self.last, &self.initial].into_iter().find_map(|state| {
            let versions = state.members.iter().map(|(_, version)| version.as_str());
            let versions: BTreeSet<&str> = versions.filter(|version| !version.is_empty()).collect();
            (!versions.is_empty()).then(|| Vec::from_iter(versions).join(" and "))
        });
        self.meta.versions.pd.clone().or(answered)
    }

    /// The version of TiKV as PD lists it, at the end, else at the start. Several where stores differ; `None` where PD
    /// lists none.
    pub fn tikv_version(&self) -> Option<String> {
        let versions = [&self.last, &self.initial].map(|state| &state.tikv_versions);
        let known = versions.into_iter().find(|versions| !versions.is_empty())?;
        Some(known.iter().map(String::as_str).collect::<Vec<_>>().join(" and "))
    }
}

/// A part of the capture that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DamageLine {
    /// The damaged row or block of the capture.
    pub part: String,
    /// What is wrong with it.
    pub why: String,
    /// The time that the part covered; `None` where that is unknown.
    pub range: Option<TimeRange>,
    /// The source whose observations are lost with it; absent where none are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Observed>,
}

/// Two evaluations of the same recording that differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two evaluations differ at byte {offset} of the report: {sequential:?} and {shuffled:?}")]
pub struct Mismatch {
    /// The first byte at which the canonical JSON of the two reports differs.
    pub offset: usize,
    /// The JSON at that place when evaluated in sequence.
    pub sequential: String,
    /// The JSON at that place when evaluated in another order.
    pub shuffled: String,
}

/// Makes the report of a recording that includes PD's answers. `damage` and `capture_digest` are those of
/// the reader.
pub fn report(
    recording: &Recording,
    damage: &[Damage],
    capture_digest: &str,
    evaluation: Evaluation,
) -> ReplayReport {
    let pd = PdSummary::of(&recording.pd, evaluation);
    report_of(recording, pd, damage, capture_digest, evaluation)
}

/// As [`report`], for PD's answers that have been summarised already and need not be in the recording.
pub fn report_of(
    recording: &Recording,
    pd: PdSummary,
    damage: &[Damage],
    capture_digest: &str,
    evaluation: Evaluation,
) -> ReplayReport {
    let ordered = Ordered::new(recording, evaluation);
    let gaps = joined(ordered.gaps.iter().copied());
    let recorded = recorded(&ordered, &pd);
    let [initial, last] = pd.ends(&ordered.series, recording.window);
    let timeline = timeline_of(&ordered, recording, evaluation.threads(), &gaps, pd);
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

/// Computes the report in sequence, and again in another order on several threads.
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
