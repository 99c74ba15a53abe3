//! `operator import`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::{self, CaptureError, CaptureReader};
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::model::shell_word;
use crate::model::{RunName, escape_path};

const EXAMPLES: &str = "\
Examples:
  operator import chaos-01.capture.gz           captures/chaos-01.capture
  operator import attached.gz --run issue-4711  under another name
  curl … | operator import -

The name of the run inside decides the file's name; a number follows where that is taken. What \
the file is called, and any path in it, is not followed.";

/// Names that are tried before giving up.
const MOST_NAMES: u32 = 1000;

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// A capture, packed or not; `-` for stdin
    #[arg(value_name = "FILE")]
    file: OsString,
    /// The name of the run, instead of the one inside
    #[arg(long = "run", value_name = "NAME")]
    run: Option<String>,
}

/// Copies a capture into the directory of captures.
///
/// # Errors
///
/// Where the file is no whole capture, or cannot be written.
pub fn run(global: &Global, args: &ImportArgs) -> anyhow::Result<()> {
    let from = lookup::find(&global.dir, &args.file)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    let name = match &args.run {
        Some(name) => RunName::new(name)?,
        None => CaptureReader::open(&from)?.meta().run.clone(),
    };
    let cannot = || format!("cannot import {}", escape_path(from.shown()));
    fs::create_dir_all(&global.dir).with_context(cannot)?;
    let to = copy(global, &from, &name).with_context(cannot)?;
    match global.format {
        Format::Json => output::json(&json!({
            "from": lookup::path_text(from.shown()), "to": lookup::path_text(&to), "run": lookup::run_name(&to),
        }))?,
        Format::Text => {
            output::line(&format!("imported as {}", escape_path(&to)))?;
            output::line(&format!("next: operator replay {}", shell_word(&lookup::run_name(&to))))?;
        }
    }
    Ok(())
}

/// Copies to the first name that is free: `RUN`, `RUN-2`, `RUN-3` and so on.
fn copy(global: &Global, from: &lookup::Found, name: &RunName) -> anyhow::Result<PathBuf> {
    for number in 1..=MOST_NAMES {
        let file = match number {
            1 => format!("{name}{}", lookup::SUFFIX),
            _ => format!("{name}-{number}{}", lookup::SUFFIX),
        };
        let to = global.dir.join(file);
        match capture::copy_as(from, &to, global.file_mode) {
            Err(CaptureError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(to),
        }
    }
    Err(CliError::Usage(format!("{MOST_NAMES} runs are called {name}: name another with --run"))
        .into())
}
