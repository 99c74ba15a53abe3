//! `operator seal`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::escape_path;
use crate::report;

/// The largest ground truth, in bytes. It is usually a page of text.
const MAX_TRUTH_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  operator seal chaos-01 --truth truth.json

The truth is for scoring. `replay` cannot read it, and `show` only says that it is there.";

/// Arguments of `seal`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SealArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file that tells what was done to the cluster
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
}

/// Seals a ground truth inside a capture.
///
/// # Errors
///
/// Where there is no such run, the truth cannot be read, or the capture not be written.
pub fn run(global: &Global, args: &SealArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let cannot_read = || format!("cannot read {}", escape_path(&args.truth));
    let bytes = fs::metadata(&args.truth).with_context(cannot_read)?.len();
    anyhow::ensure!(
        bytes <= MAX_TRUTH_BYTES,
        "{} is larger than {}",
        escape_path(&args.truth),
        report::size(MAX_TRUTH_BYTES)
    );
    let truth = fs::read(&args.truth).with_context(cannot_read)?;
    capture::seal_truth(&path, &truth)?;
    match global.format {
        Format::Json => output::json(
            &json!({ "capture": lookup::path_text(path.shown()), "truth_bytes": truth.len() }),
        )?,
        Format::Text => {
            output::line(&format!("sealed a truth inside {}", escape_path(path.shown())))?
        }
    }
    Ok(())
}
