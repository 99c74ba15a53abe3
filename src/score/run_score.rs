//! The score of one labelled capture.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::baselines::BASELINES;
use super::comparison::MethodScore;
use super::first_alert;
use super::truth::Truth;
use crate::diagnose::{Cause, Outcome, Verdict};
use crate::model::{Timestamp, escape_path};
use crate::session::{Session, View, Window};

/// How diagnosis did on one capture.
#[derive(Debug, Serialize)]
pub struct RunScore {
    /// The name of the run.
    pub run: String,
    /// What was done: a mode, a change or `quiet`.
    pub truth: String,
    /// Something was broken; otherwise nothing, or it was planned.
    pub is_fault: bool,
    /// The mode of the first cause, or of the first change, or `quiet` or `cannot tell`.
    pub said: String,
    /// Whether the first cause is right in mode and place.
    pub top1: bool,
    /// Whether one of the first three causes is.
    pub top3: bool,
    /// Whether the first cause is at the right place.
    pub component: bool,
    /// Onset minus injection, in milliseconds.
    pub onset_error_ms: Option<i64>,
    /// From the injection to the first verdict of a fault, seen live.
    pub detected_after_ms: Option<i64>,
    /// From the injection to the first verdict that names the right cause.
    pub named_after_ms: Option<i64>,
    /// Causes that are none.
    pub false_causes: usize,
    /// What the capture has lost; absent where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Whether a critical alert of the bundled rules fired at or after the injection; absent where no instant of one
    /// is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_fired: Option<bool>,
    /// How each baseline method did, by its name.
    #[serde(rename = "rivals")]
    pub baselines: BTreeMap<&'static str, MethodScore>,
    /// How diagnosis did, to be compared with the baseline methods.
    #[serde(skip)]
    pub own: MethodScore,
}

/// Live verdicts are taken this often.
const TICK_MS: i64 = 15_000;

impl RunScore {
    /// Judges a capture, then opens its truth and compares; `None` where it has no truth.
    ///
    /// # Errors
    ///
    /// Where the capture or its truth cannot be read.
    pub fn of(run: String, path: &Path) -> anyhow::Result<Option<Self>> {
        let session = Session::open(path)?;
        let cannot = || format!("cannot judge {}", escape_path(path));
        let window = session.load(View::WHOLE).with_context(cannot)?;
        let verdict = window.verdict()?;
        let Some(truth) = Truth::unseal(path)? else { return Ok(None) };
        let mut score = score(run, &window, &verdict, &truth)?;
        if let Some(at) = truth.t_inject_ms.map(Timestamp::from_millis) {
            let evidence = window.evidence()?;
            let guess = first_alert::guess(path, &evidence, at)?;
            score.alert_fired = Some(guess.is_some());
            score.baselines.insert(first_alert::NAME, truth.judges(guess.as_ref()));
        }
        Ok(Some(score))
    }
}

fn score(
    run: String,
    window: &Window<'_>,
    verdict: &Verdict,
    truth: &Truth,
) -> anyhow::Result<RunScore> {
    let injected = truth.t_inject_ms.map(Timestamp::from_millis);
    let right = |cause: &&Cause| truth.is_named_by(cause) && truth.is_at(&cause.target);
    let hit = verdict.causes.iter().find(right);
    let quiet = truth.fault.is_none();
    let right_change = truth.change.as_deref().is_none_or(|change| {
        verdict.changes.iter().any(|one| one.mode == change && truth.is_at(&one.target))
    });
    let first = verdict.causes.first();
    let clean = verdict.outcome == Outcome::NoFault;
    let (top1, top3, component) = if quiet {
        (clean && right_change, clean && right_change, clean && right_change)
    } else {
        let among = verdict.causes.iter().take(3).any(|cause| right(&cause));
        let place = first.is_some_and(|cause| truth.is_at(&cause.target));
        (first.as_ref().is_some_and(right), among, place)
    };
    let (detected_after_ms, named_after_ms) = match injected.filter(|_| !quiet) {
        Some(at) => live(window, truth, at)?,
        None => (None, None),
    };
    let evidence = window.evidence()?;
    let baselines = BASELINES.iter().map(|baseline| {
        let guess = injected.and_then(|at| (baseline.guess)(&evidence, at));
        (baseline.name, truth.judges(guess.as_ref()))
    });
    let false_causes = verdict.causes.iter().filter(|cause| !right(cause)).count();
    let onset_error_ms = hit.zip(injected).map(|(cause, at)| cause.onset_ms - at);
    let own = MethodScore {
        cause: if quiet { clean } else { first.is_some_and(|cause| truth.is_named_by(cause)) },
        component: if quiet { clean } else { component },
        change: right_change,
        false_causes,
        named_after_ms,
        onset_error_ms,
    };
    Ok(RunScore {
        run,
        truth: truth.name().to_owned(),
        is_fault: !quiet,
        said: said(verdict),
        top1,
        top3,
        component,
        onset_error_ms,
        detected_after_ms,
        named_after_ms,
        false_causes,
        damage: window.damage(),
        alert_fired: None,
        baselines: baselines.collect(),
        own,
    })
}

/// What a verdict says in a word: the mode of its first cause or change, or that nothing is wrong.
fn said(verdict: &Verdict) -> String {
    let clean = verdict.outcome == Outcome::NoFault;
    let word = match (verdict.causes.first(), verdict.changes.first()) {
        (Some(cause), _) => cause.mode,
        (None, Some(change)) if clean => change.mode,
        (None, _) if clean => "quiet",
        (None, _) => "cannot tell",
    };
    word.to_owned()
}

/// When a fault, and when the right one, was named by somebody who watches.
fn live(
    window: &Window<'_>,
    truth: &Truth,
    injected: Timestamp,
) -> anyhow::Result<(Option<i64>, Option<i64>)> {
    let (mut detected, mut named) = (None, None);
    let mut at = injected;
    while at < window.end() && named.is_none() {
        at = at.saturating_add_millis(TICK_MS).min(window.end());
        let (_, verdict) = window.judged_as_of(at)?;
        if verdict.outcome == Outcome::Fault {
            detected = detected.or(Some(at - injected));
        }
        let first = verdict.causes.first();
        if first.is_some_and(|cause| truth.is_named_by(cause) && truth.is_at(&cause.target)) {
            named = Some(at - injected);
        }
    }
    Ok((detected, named))
}
