//! `operator score`: diagnosis against the sealed truths of labelled captures.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::CaptureReader;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, lookup};
use crate::diagnose::{MODES, Nature, counted};
use crate::model::escape_path;
use crate::report;
use crate::score::{self, Detail, RunComparison, RunScore};

const EXAMPLES: &str = "\
Examples:
  operator score data
  operator score captures --format json
  operator score chaos-01             one run
  operator score data --at-least 90%  for CI

Scores every capture of the folder that has a truth sealed inside (`operator seal --help` says \
what a truth is). Exits with 4 where fewer first causes are right in mode and place than \
--at-least asks for. In JSON, a capture without a truth has \"truth\": null and nothing else.

  said      the first cause; = where it is the truth's
  top-1     whether both the mode and the place of the first cause are right
  place     whether the place of the first cause is right
  onset     the stated onset minus the true instant of the injection
  detected  from that instant to the first live verdict of a fault; verdicts are
            made every 15 s from that instant on, so it may be 15 s less
  named     likewise to the first one whose first cause is right in mode and
            place
  false     how many causes are not the truth's
  -         there was no fault, so nothing to detect

The second table has medians of named and onset. The baselines are given the true instant of \
the injection. \"better\" means that operator did better than the baseline on some run and worse \
on none. Whoever alone is right does better. Where both are right, whoever alone says what was \
planned does better; else whoever names the fault sooner; else whoever states the nearer onset.";

/// Arguments of `score`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ScoreArgs {
    /// A folder with captures; or one of them, by its name, `latest` or its path
    #[arg(value_name = "FOLDER|RUN")]
    what: PathBuf,
    /// Fail where fewer captures than this have the right first cause: a number, or a percentage such as 90%
    #[arg(long, value_name = "N", value_parser = Bound::parse)]
    at_least: Option<Bound>,
    /// Compare with the baselines for each kind of fault, and not only over all
    #[arg(long)]
    baselines: bool,
}

/// The least number of captures that have to be judged right.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Captures(usize),
    Percent(f64),
}

impl Bound {
    fn parse(text: &str) -> Result<Self, String> {
        let why = || "give a number of captures, or a percentage from 0% to 100%".to_owned();
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent =
                    percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
                percent.map(Self::Percent).ok_or_else(why)
            }
            None => text.parse().map(Self::Captures).map_err(|_| why()),
        }
    }

    /// Refuses a number of captures that so many captures with a truth can never reach.
    fn check_reach(self, scored: usize) -> Result<(), CliError> {
        let Self::Captures(least) = self else { return Ok(()) };
        if least <= scored {
            return Ok(());
        }
        let have = counted_have(scored, "a truth");
        let meant = match least {
            // So many more than there are is a share of them, and not one too many.
            50..=100 if least > 2 * scored => format!(": is {least}% meant?"),
            _ => format!(": at most {scored} can be asked for"),
        };
        Err(CliError::Usage(format!("--at-least asks for {least} captures, and {have}{meant}")))
    }

    fn check(self, lines: &[RunScore]) -> Result<(), CliError> {
        let (right, scored) = (lines.iter().filter(|line| line.top1).count(), lines.len());
        let holds = match self {
            Self::Captures(least) => right >= least,
            Self::Percent(least) => right as f64 * 100.0 >= least * scored as f64,
        };
        if holds {
            Ok(())
        } else {
            Err(CliError::BelowBound { right, scored, bound: self.to_string() })
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Captures(captures) => write!(formatter, "{captures}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

/// Scores diagnosis on every capture of a folder that has a ground truth, or on one capture.
///
/// # Errors
///
/// Where a capture or its truth cannot be read, or fewer are judged right than asked for.
pub fn run(global: &Global, args: &ScoreArgs) -> anyhow::Result<()> {
    let mut unlabelled = Vec::new();
    let mut labelled = Vec::new();
    let is_folder = args.what.is_dir();
    if is_folder {
        for path in lookup::captures(&args.what) {
            let has_truth = CaptureReader::open(&path)?.has_truth();
            if has_truth { &mut labelled } else { &mut unlabelled }.push(path);
        }
        anyhow::ensure!(
            !labelled.is_empty(),
            "no capture in {} has a truth",
            escape_path(&args.what)
        );
        if let Some(bound) = args.at_least {
            bound.check_reach(labelled.len())?;
        }
    }
    let mut lines = Vec::new();
    for path in &labelled {
        lines.extend(RunScore::of(lookup::run_name(path), path)?);
    }
    if !is_folder {
        let path = lookup::find(&global.dir, &args.what)?;
        if let Some(bound) = args.at_least {
            bound.check_reach(1)?;
        }
        let score = RunScore::of(lookup::run_name(path.shown()), &path)?;
        lines.push(score.with_context(|| format!("{} has no truth", escape_path(path.shown())))?);
    }
    let unlabelled: Vec<String> = unlabelled.iter().map(|path| lookup::run_name(path)).collect();
    if !unlabelled.is_empty() {
        let have = counted_have(unlabelled.len(), "no truth");
        remark(&format!("{have}: {}", unlabelled.join(", ")));
    }
    match global.format {
        Format::Json => {
            let mut all = lines.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            all.extend(unlabelled.iter().map(|run| json!({ "run": run, "truth": null })));
            output::json(&all)?;
        }
        Format::Text => output::write(text(&lines, args.baselines).as_bytes())?,
    }
    if let Some(bound) = args.at_least {
        bound.check(&lines)?;
        let right = lines.iter().filter(|line| line.top1).count();
        remark(&format!("{right} of {} are right: at least {bound} were asked for", lines.len()));
    }
    Ok(())
}

/// `1 capture has no truth`.
fn counted_have(captures: usize, what: &str) -> String {
    let have = if captures == 1 { "has" } else { "have" };
    format!("{} {have} {what}", counted(captures as u64, "capture"))
}

fn text(lines: &[RunScore], each_class: bool) -> String {
    let seconds = |millis: Option<i64>| {
        millis.map_or_else(|| "-".to_owned(), |millis| format!("{:.0}s", millis as f64 / 1000.0))
    };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut rows = vec![
        ["run", "truth", "said", "top-1", "place", "onset", "detected", "named", "false"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(lines.iter().map(|line| {
        vec![
            line.run.clone(),
            line.truth.clone(),
            if line.said == line.truth { "=".to_owned() } else { line.said.clone() },
            yes(line.top1),
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
    text.push_str(&report::table(&rows));
    let right = lines.iter().filter(|line| line.top1).count();
    text.push_str(&format!("{right} of {} are right in mode and place\n", lines.len()));
    text.push_str("\nCompared with simpler methods, which are told when the fault was injected\n");
    let detail = if each_class { Detail::EachClass } else { Detail::All };
    text.push_str(&report::table(&comparison(lines, detail)));
    let silent = lines.iter().filter(|line| line.alert_fired == Some(false));
    let silent: Vec<&str> = silent.map(|line| line.run.as_str()).collect();
    if !silent.is_empty() {
        text.push_str(&format!(
            "\nno critical alert fired in {}; `operator rules replay` tells of others\n",
            silent.join(", ")
        ));
    }
    text
}

/// The rows that compare diagnosis with its baselines.
fn comparison(lines: &[RunScore], detail: Detail) -> Vec<Vec<String>> {
    let faults = MODES.iter().filter(|mode| mode.nature == Nature::Fault).count();
    let comparisons = lines.iter().map(|line| RunComparison {
        class: &line.truth,
        own: line.own,
        baselines: &line.baselines,
    });
    let comparisons: Vec<RunComparison<'_>> = comparisons.collect();
    score::rows(&comparisons, 1.0 / faults as f64, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_a_percentage() {
        assert_eq!(Bound::parse("9"), Ok(Bound::Captures(9)));
        assert_eq!(Bound::parse("90%"), Ok(Bound::Percent(90.0)));
        for text in ["", "-1", "0.9", "101%", "NaN%", "%"] {
            assert!(Bound::parse(text).is_err(), "{text}");
        }
    }
}
