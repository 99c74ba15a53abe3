//! `operator verify`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::capture::{self, damaged_rows, is_in_page};
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::escape_path;
use crate::report;
use crate::share::file_sha256;

const EXAMPLES: &str = "\
Examples:
  operator verify chaos-01
  operator verify data/chaos-01.capture --format json

Exits with 3 where something is damaged, after naming all of it. Of a page, the capture inside is \
checked, and not what the page shows: replay it for that. Whoever exported a file can tell you its \
SHA-256, which is printed; everything else inside can be made anew by whoever alters it.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
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
    // What came on stdin lies in a file of our own.
    let is_file = path.shown() == &*path;
    let is_hole = is_mostly_hole(&path);
    let sha256 = (is_file && !is_hole).then(|| file_sha256(&path)).transpose()?;
    let covers = match is_file && is_in_page(&path) {
        true => "the capture inside, not the page around it",
        false => "the whole file",
    };
    match global.format {
        Format::Json => {
            let damage: Vec<_> = report
                .damage
                .iter()
                .map(|damage| json!({ "part": damage.part, "why": damage.why, "range": damage.range }))
                .collect();
            output::json(&json!({
                "schema": 1, "capture": lookup::path_text(path.shown()), "checked": report.checked, "covers": covers,
                "file_sha256": sha256, "damage": damage,
            }))?;
        }
        Format::Text => {
            for damage in &report.damage {
                let when = damage
                    .range
                    .map(|range| format!(" (covers {} to {})", range.start, range.end))
                    .unwrap_or_default();
                output::wrapped(&format!("damaged: {}: {}{when}", damage.part, damage.why))?;
            }
            let checked = report::count(report.checked);
            if report.damage.is_empty() {
                let path = escape_path(path.shown());
                output::wrapped(&format!(
                    "{path}: {checked} samples and answers of PD are what was written, in {covers}; \
                     unused bytes of the file are not checked"
                ))?;
            }
            if let Some(sha256) = sha256 {
                output::line(&format!("file, SHA-256  {sha256}"))?;
            } else if is_hole {
                output::line("file, SHA-256  not computed: most of the file is a hole")?;
            }
        }
    }
    Ok(CliError::unless_whole(path.shown(), damaged_rows(&report.damage))?)
}

/// Whether most of a file is a hole that takes no room: reading a terabyte of zeros takes a quarter of an hour.
fn is_mostly_hole(path: &Path) -> bool {
    const BLOCK: u64 = 512;
    fs::metadata(path).is_ok_and(|data| data.len() / 2 > data.blocks().saturating_mul(BLOCK))
}
