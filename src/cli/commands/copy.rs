//! `operator copy` and `operator compact`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::model::escape_path;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  operator copy chaos-01 evidence.capture
      a consistent copy, also while recording
  operator compact chaos-01 chaos-01-small.capture
      the smallest form, for attaching

An existing file is never overwritten, and where the disk is full, nothing is left of the new \
one. It may be read by nobody who may not read the capture; --file-mode lets others than the \
owner.";

/// Arguments of `copy` and `compact`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CopyArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// The form of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The same blocks as in the capture.
    AsIs,
    /// All blocks encoded again, in the smallest form.
    Smallest,
}

/// Copies a capture into a new file.
///
/// # Errors
///
/// Where there is no such run, or either file cannot be accessed.
pub fn run(global: &Global, args: &CopyArgs, form: Form) -> anyhow::Result<()> {
    let from = lookup::find(&global.dir, &args.run)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    match form {
        Form::AsIs => capture::copy_as(&from, &args.to, global.file_mode),
        Form::Smallest => capture::compact_as(&from, &args.to, global.file_mode),
    }
    .with_context(|| format!("cannot copy {}", escape_path(from.shown())))?;
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let (before, after) = (bytes(&from), bytes(&args.to));
    match global.format {
        Format::Json => output::json(&json!({
            "from": lookup::path_text(from.shown()), "to": lookup::path_text(&args.to), "from_bytes": before, "to_bytes": after,
        }))?,
        Format::Text => output::line(&format!(
            "wrote {} ({}; {} before)",
            escape_path(&args.to),
            report::size(after),
            report::size(before)
        ))?,
    }
    Ok(())
}
