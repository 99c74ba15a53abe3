//! `operator verify`.

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use crate::capture;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::escape_path;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  operator verify chaos-01
  operator verify captures/chaos-01.capture --format json

Exits with 3 where something is damaged, after naming all of it.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
}

/// Checks every checksum and invariant of a capture.
///
/// # Errors
///
/// Where there is no such run, it cannot be opened, or something inside is damaged.
pub fn run(global: &Global, args: &VerifyArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let report = capture::verify(&path)?;
    match global.format {
        Format::Json => {
            let damage: Vec<_> = report
                .damage
                .iter()
                .map(|damage| json!({ "part": damage.part, "why": damage.why, "range": damage.range }))
                .collect();
            output::json(&json!({
                "schema": 1, "capture": lookup::path_text(path.shown()), "checked": report.checked, "damage": damage,
            }))?;
        }
        Format::Text => {
            for damage in &report.damage {
                let when = damage
                    .range
                    .map(|range| format!(" (covers {} to {})", range.start, range.end))
                    .unwrap_or_default();
                output::line(&format!("damaged: {}: {}{when}", damage.part, damage.why))?;
            }
            let checked = report::count(report.checked);
            if report.damage.is_empty() {
                output::line(&format!(
                    "{}: {checked} checks, all good",
                    escape_path(path.shown())
                ))?;
            }
        }
    }
    Ok(CliError::unless_whole(path.shown(), report.damage.len())?)
}
