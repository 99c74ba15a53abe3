//! `operator diff`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::judged::Judged;
use super::output::{self, Format};
use super::{Global, lookup};
use crate::replay::canonical_json;

const EXAMPLES: &str = "\
Examples:
  operator diff chaos-02 chaos-08
  operator replay chaos-02 --format json > before.json     with one version
  operator diff before.json chaos-02                       with another

Each side is a run, a capture, or a file that `operator replay --format json` wrote.";

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// One side
    #[arg(value_name = "A")]
    a: String,
    /// The other
    #[arg(value_name = "B")]
    b: String,
}

/// Compares two verdicts.
///
/// # Errors
///
/// Where a side cannot be read.
pub fn run(global: &Global, args: &DiffArgs) -> anyhow::Result<()> {
    let (a, b) = (verdict(global, &args.a)?, verdict(global, &args.b)?);
    let (only_a, only_b) = (names(&a, &b), names(&b, &a));
    let same = a["outcome"] == b["outcome"] && only_a.is_empty() && only_b.is_empty();
    if global.format == Format::Json {
        output::json(&json!({
            "same": same,
            "outcome": [a["outcome"], b["outcome"]],
            "only_a": only_a,
            "only_b": only_b,
        }))?;
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let mut lines = vec![format!("outcome  {} | {}", text(&a["outcome"]), text(&b["outcome"]))];
    lines.extend(only_a.iter().map(|name| format!("- {name}")));
    lines.extend(only_b.iter().map(|name| format!("+ {name}")));
    if same {
        lines.push("the verdicts name the same causes and changes".to_owned());
    }
    output::line(&lines.join("\n"))?;
    Ok(())
}

/// The verdict of a run, or out of a report that was saved.
fn verdict(global: &Global, side: &str) -> anyhow::Result<Value> {
    let path = Path::new(side);
    let saved = path.extension().is_some_and(|extension| extension == "json") && path.is_file();
    if saved {
        let cannot = || format!("cannot read {side}");
        let bytes = fs::read(path).with_context(cannot)?;
        let report: Value = serde_json::from_slice(&bytes).with_context(cannot)?;
        let verdict = report.get("verdict").cloned();
        return verdict.with_context(|| format!("{side} holds no verdict"));
    }
    let judged = Judged::load(&lookup::find(&global.dir, side)?)?;
    Ok(serde_json::from_str(&canonical_json(&judged.verdict()?))?)
}

/// Causes and changes of one side that the other does not name.
fn names(side: &Value, other: &Value) -> Vec<String> {
    let of = |verdict: &Value| -> Vec<String> {
        let lists = ["causes", "changes"].map(|list| verdict[list].as_array().cloned());
        let one = |cause: &Value| {
            format!(
                "{}  {}",
                cause["mode"].as_str().unwrap_or("?"),
                cause["target"]["name"].as_str().unwrap_or("?")
            )
        };
        lists.into_iter().flatten().flatten().map(|cause| one(&cause)).collect()
    };
    let known = of(other);
    of(side).into_iter().filter(|name| !known.contains(name)).collect()
}
