//! `operator diff`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::Code;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::{canonical_json, escape_path};
use crate::session::{Session, View};

const EXAMPLES: &str = "\
Examples:
  operator diff chaos-02 chaos-08
  operator replay chaos-02 --format json > before.json  with one version
  operator diff before.json chaos-02                    with another

Each side is a run, a capture, or a file that `operator replay --format json` wrote. Exits with \
0 where the verdicts name the same causes and changes, 4 where they differ.";

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// One side: a run, or the JSON of a replay
    #[arg(value_name = "A")]
    a: OsString,
    /// The other side
    #[arg(value_name = "B")]
    b: OsString,
}

/// Compares the verdicts of two sides, and prints the causes and changes in which they differ. Returns
/// [`Code::Mismatch`] where they do.
///
/// # Errors
///
/// Where a side cannot be read.
pub fn run(global: &Global, args: &DiffArgs) -> anyhow::Result<Code> {
    let (a, b) = (verdict(global, &args.a)?, verdict(global, &args.b)?);
    let (only_a, only_b) = (names(&a, &b), names(&b, &a));
    let same = a["outcome"] == b["outcome"] && only_a.is_empty() && only_b.is_empty();
    let code = if same { Code::Ok } else { Code::Mismatch };
    let is_damaged = [&a, &b].iter().any(|side| !side["damage"].is_null());
    if global.format == Format::Json {
        let mut value = json!({
            "same": same,
            "outcome": [a["outcome"], b["outcome"]],
            "only_a": only_a,
            "only_b": only_b,
        });
        if is_damaged {
            value["damage"] = json!([a["damage"], b["damage"]]);
        }
        output::json(&value)?;
        return Ok(code);
    }
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let damaged = [("A", &a), ("B", &b)].map(|(name, side)| (name, &side["damage"]["summary"]));
    let damaged = damaged.iter().filter(|(_, summary)| summary.is_string());
    let mut lines: Vec<String> =
        damaged.map(|(name, summary)| format!("{name} is {}", text(summary))).collect();
    lines.push(format!("outcome  {} | {}", text(&a["outcome"]), text(&b["outcome"])));
    lines.extend(only_a.iter().map(|name| format!("- {name}")));
    lines.extend(only_b.iter().map(|name| format!("+ {name}")));
    if same {
        lines.push("the verdicts name the same causes and changes".to_owned());
    }
    lines.iter().try_for_each(|line| output::line(line))?;
    Ok(code)
}

/// The verdict of a run, or that of a saved report.
fn verdict(global: &Global, side: &OsStr) -> anyhow::Result<Value> {
    let path = Path::new(side);
    let saved = path.extension().is_some_and(|extension| extension == "json") && path.is_file();
    if saved {
        let cannot = || format!("cannot read {}", escape_path(path));
        let bytes = fs::read(path).with_context(cannot)?;
        let report: Value = serde_json::from_slice(&bytes).with_context(cannot)?;
        let verdict = report.get("verdict").cloned();
        return verdict.with_context(|| format!("{} holds no verdict", escape_path(path)));
    }
    let path = lookup::find(&global.dir, side)?;
    let session = Session::open(&path)?;
    let cannot = || format!("cannot judge {}", escape_path(path.shown()));
    let window = session.load(View::WHOLE).with_context(cannot)?;
    Ok(serde_json::from_str(&canonical_json(&window.verdict()?))?)
}

/// The causes and changes that one side names and the other does not.
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
