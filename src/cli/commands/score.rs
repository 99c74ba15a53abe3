//! `operator score`: diagnosis against the sealed truths of labelled captures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::diagnose::{MODES, Nature};
use crate::model::escape_path;
use crate::report;
use crate::score::{self, RunComparison, RunScore};

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

/// Scores diagnosis on every capture of a folder that has a ground truth.
///
/// # Errors
///
/// Where the folder or a capture cannot be read.
pub fn run(global: &Global, args: &ScoreArgs) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for path in lookup::captures(&args.folder) {
        lines.extend(RunScore::of(lookup::run_name(&path), &path)?);
    }
    anyhow::ensure!(!lines.is_empty(), "no capture in {} has a truth", escape_path(&args.folder));
    match global.format {
        Format::Json => output::json(&lines)?,
        Format::Text => output::write(text(&lines).as_bytes())?,
    }
    Ok(())
}

fn text(lines: &[RunScore]) -> String {
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
    text.push_str(&report::table(&rows));
    text.push_str("\nBeside the baselines, which are told the true instant of the injection\n");
    text.push_str(&report::table(&comparison(lines)));
    text.push_str("\nConfusion: truth, said, runs\n");
    let mut confusion: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in lines {
        *confusion.entry((&line.truth, &line.said)).or_default() += 1;
    }
    let rows: Vec<Vec<String>> = confusion
        .into_iter()
        .map(|((truth, said), runs)| vec![truth.to_owned(), said.to_owned(), runs.to_string()])
        .collect();
    text.push_str(&report::table(&rows));
    text
}

/// The rows that compare diagnosis with its baselines.
fn comparison(lines: &[RunScore]) -> Vec<Vec<String>> {
    let faults = MODES.iter().filter(|mode| mode.nature == Nature::Fault).count();
    let comparisons = lines.iter().map(|line| RunComparison {
        class: &line.truth,
        own: line.own,
        baselines: &line.baselines,
    });
    let comparisons: Vec<RunComparison<'_>> = comparisons.collect();
    score::rows(&comparisons, 1.0 / faults as f64)
}
