//! `operator score`: diagnosis against the sealed truths of labelled captures.
//!
//! The one place that opens a truth. Diagnosis is finished before that, and is given a recording
//! that has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::capture::unseal_truth;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::diagnose::{Cause, MODES, Nature, Outcome, Target, Verdict, diagnose};
use crate::model::{Timestamp, escape_path};
use crate::score::first_alert;
use crate::score::{self, Contest, Standing};
use crate::score::{Guess, RIVALS};
use crate::session::Judged;

const EXAMPLES: &str = "\
Examples:
  operator score data
  operator score captures --format json

Scores every capture of the folder that has a truth sealed inside.";

/// Arguments of `score`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ScoreArgs {
    /// The folder with the captures
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// What was done to a cluster, as `operator seal` took it.
#[derive(Debug, Deserialize)]
struct Truth {
    fault: Option<String>,
    change: Option<String>,
    node: Option<String>,
    store_id: Option<u64>,
    address: Option<String>,
    t_inject_ms: Option<i64>,
}

/// One capture's score.
#[derive(Debug, Serialize)]
struct Line {
    run: String,
    truth: String,
    /// Something was broken; otherwise nothing, or it was planned.
    is_fault: bool,
    said: String,
    top1: bool,
    top3: bool,
    component: bool,
    /// Onset minus injection, in milliseconds.
    onset_error_ms: Option<i64>,
    /// From the injection to the first verdict of a fault, seen live.
    detected_after_ms: Option<i64>,
    /// From the injection to the first verdict that names the right cause.
    named_after_ms: Option<i64>,
    /// Causes that are none.
    false_causes: usize,
    /// What the capture has lost; absent where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    /// How each rival did.
    rivals: BTreeMap<&'static str, Standing>,
    #[serde(skip)]
    own: Standing,
}

/// Live verdicts are taken this often.
const TICK_MS: i64 = 15_000;

/// Scores a folder.
///
/// # Errors
///
/// Where the folder or a capture cannot be read.
pub fn run(global: &Global, args: &ScoreArgs) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for path in lookup::captures(&args.folder) {
        let judged = Judged::load(&path)?;
        let verdict = judged.verdict()?;
        if let Some(truth) = truth(&path)? {
            let mut line = line(lookup::run_name(&path), &judged, &verdict, &truth)?;
            if let Some(at) = truth.t_inject_ms.map(Timestamp::from_millis) {
                let evidence = judged.evidence(judged.recording.window.end)?;
                let guess = first_alert::guess(&path, &evidence, at)?;
                line.rivals.insert(first_alert::NAME, truth.judges(guess.as_ref()));
            }
            lines.push(line);
        }
    }
    anyhow::ensure!(!lines.is_empty(), "no capture in {} has a truth", escape_path(&args.folder));
    match global.format {
        Format::Json => output::json(&lines)?,
        Format::Text => output::write(text(&lines).as_bytes())?,
    }
    Ok(())
}

fn truth(path: &Path) -> anyhow::Result<Option<Truth>> {
    let Some(bytes) = unseal_truth(path)? else { return Ok(None) };
    let cannot = || format!("the truth in {} is unreadable", escape_path(path));
    Ok(Some(serde_json::from_slice(&bytes).with_context(cannot)?))
}

impl Truth {
    fn name(&self) -> &str {
        self.fault.as_deref().or(self.change.as_deref()).unwrap_or("quiet")
    }

    /// Whether a target is where it was done. Truths without a place are about the workload.
    fn is_at(&self, target: &Target) -> bool {
        if let (Some(a), Some(b)) = (self.store_id, target.store_id) {
            return a == b;
        }
        let host = |address: &str| address.split(':').next().unwrap_or(address).to_owned();
        match (&self.address, &target.address) {
            (Some(a), Some(b)) => host(a) == host(b),
            (None, _) => self.node.is_none() || self.node.as_ref() == Some(&target.name),
            (Some(a), None) => target.concerns.iter().any(|one| one.contains(host(a).as_str())),
        }
    }

    /// How a guess stands: silence is right where nothing was broken. A guess without a component
    /// names one only where its cause implies it, as that of a workload does.
    fn judges(&self, guess: Option<&Guess>) -> Standing {
        let Some(guess) = guess else {
            let quiet = self.fault.is_none();
            return Standing {
                cause: quiet,
                component: quiet,
                change: self.change.is_none(),
                ..Standing::default()
            };
        };
        let cause = Some(guess.mode) == self.fault.as_deref();
        let component = match &guess.target {
            Some(target) => self.node.is_some() && self.is_at(target),
            None => cause && self.node.is_none(),
        };
        let component = component && self.fault.is_some();
        let right = cause && component;
        let since = |at: Option<Timestamp>| {
            at.zip(self.t_inject_ms.map(Timestamp::from_millis)).map(|(at, injected)| at - injected)
        };
        Standing {
            cause,
            component,
            change: false,
            false_causes: usize::from(!right),
            named_after_ms: since(guess.named_at.filter(|_| right)),
            onset_error_ms: since(guess.onset.filter(|_| right)),
        }
    }

    fn is_named_by(&self, cause: &Cause) -> bool {
        self.fault.as_deref() == Some(cause.mode)
    }
}

fn line(run: String, judged: &Judged, verdict: &Verdict, truth: &Truth) -> anyhow::Result<Line> {
    let injected = truth.t_inject_ms.map(Timestamp::from_millis);
    let right = |cause: &&Cause| truth.is_named_by(cause) && truth.is_at(&cause.target);
    let hit = verdict.causes.iter().find(right);
    let quiet = truth.fault.is_none();
    let right_change = truth.change.as_deref().is_none_or(|change| {
        verdict.changes.iter().any(|one| one.mode == change && truth.is_at(&one.target))
    });
    let first = verdict.causes.first();
    let clean = verdict.outcome == Outcome::NoFault;
    let (top1, top3, component) = match quiet {
        true => (clean && right_change, clean && right_change, clean && right_change),
        false => (
            first.as_ref().is_some_and(right),
            verdict.causes.iter().take(3).any(|cause| right(&cause)),
            first.is_some_and(|cause| truth.is_at(&cause.target)),
        ),
    };
    let (detected, named) = match injected.filter(|_| !quiet) {
        Some(at) => live(judged, truth, at)?,
        None => (None, None),
    };
    let evidence = judged.evidence(judged.recording.window.end)?;
    let rivals = RIVALS.iter().map(|rival| {
        let guess = injected.and_then(|at| (rival.guess)(&evidence, at));
        (rival.name, truth.judges(guess.as_ref()))
    });
    let said = first.map_or_else(
        || match verdict.changes.first() {
            Some(change) if clean => change.mode.to_owned(),
            _ if clean => "quiet".to_owned(),
            _ => "cannot tell".to_owned(),
        },
        |cause| cause.mode.to_owned(),
    );
    let false_causes = verdict.causes.iter().filter(|cause| !right(cause)).count();
    let onset_error_ms = hit.zip(injected).map(|(cause, at)| cause.onset_ms - at);
    let named_after_ms = named;
    let own = Standing {
        cause: match quiet {
            true => clean,
            false => first.is_some_and(|cause| truth.is_named_by(cause)),
        },
        component: if quiet { clean } else { component },
        change: right_change,
        false_causes,
        named_after_ms,
        onset_error_ms,
    };
    Ok(Line {
        run,
        truth: truth.name().to_owned(),
        is_fault: !quiet,
        said,
        top1,
        top3,
        component,
        onset_error_ms,
        detected_after_ms: detected,
        named_after_ms,
        false_causes,
        damage: judged.damage(),
        rivals: rivals.collect(),
        own,
    })
}

/// When a fault, and when the right one, was named by somebody who watches.
fn live(
    judged: &Judged,
    truth: &Truth,
    injected: Timestamp,
) -> anyhow::Result<(Option<i64>, Option<i64>)> {
    let (mut detected, mut named) = (None, None);
    let mut at = injected;
    while at < judged.recording.window.end && named.is_none() {
        at = at.saturating_add_millis(TICK_MS).min(judged.recording.window.end);
        let verdict = diagnose(&judged.evidence(at)?);
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

fn text(lines: &[Line]) -> String {
    let seconds = |millis: Option<i64>| {
        millis.map_or_else(|| "-".to_owned(), |millis| format!("{:.0}s", millis as f64 / 1000.0))
    };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut rows = vec![
        [
            "run",
            "truth",
            "said",
            "top-1",
            "top-3",
            "place",
            "onset off",
            "detected",
            "named",
            "false",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(lines.iter().map(|line| {
        vec![
            line.run.clone(),
            line.truth.clone(),
            line.said.clone(),
            yes(line.top1),
            yes(line.top3),
            yes(line.component),
            seconds(line.onset_error_ms),
            seconds(line.detected_after_ms),
            seconds(line.named_after_ms),
            line.false_causes.to_string(),
        ]
    }));
    let damaged = lines.iter().filter_map(|line| Some((&line.run, line.damage.as_ref()?)));
    let damaged: Vec<String> =
        damaged.map(|(run, damage)| format!("{run} is {damage}\n")).collect();
    let mut text = damaged.concat();
    text.push_str(&output::table(&rows));
    text.push_str("\nBeside the baselines, which are told the true instant of the injection\n");
    text.push_str(&output::table(&comparison(lines)));
    text.push_str("\nConfusion: truth, said, runs\n");
    let mut confusion: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in lines {
        *confusion.entry((&line.truth, &line.said)).or_default() += 1;
    }
    let rows: Vec<Vec<String>> = confusion
        .into_iter()
        .map(|((truth, said), runs)| vec![truth.to_owned(), said.to_owned(), runs.to_string()])
        .collect();
    text.push_str(&output::table(&rows));
    text
}

/// Diagnosis beside its rivals.
fn comparison(lines: &[Line]) -> Vec<Vec<String>> {
    let faults = MODES.iter().filter(|mode| mode.nature == Nature::Fault).count();
    let contests = lines.iter().map(|line| Contest {
        class: &line.truth,
        own: line.own,
        rivals: &line.rivals,
    });
    let contests: Vec<Contest<'_>> = contests.collect();
    score::rows(&contests, 1.0 / faults as f64)
}
