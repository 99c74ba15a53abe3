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

The name of the run inside decides the file's name; a number follows where another run has it, \
here or where runs are looked for by name. What is there already is not copied again. What the \
file is called, and any path in it, is not followed.";

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
    let from = lookup::find_to_read(&args.file)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    let reader = CaptureReader::open(&from)?;
    let name = match &args.run {
        Some(name) => RunName::new(name)?,
        None => reader.meta().run.clone(),
    };
    let cannot = || format!("cannot import {}", escape_path(from.shown()));
    let digest = reader.digest().with_context(cannot)?;
    fs::create_dir_all(&global.dir).with_context(cannot)?;
    let imported = copy(global, (&from, &digest), &name).with_context(cannot)?;
    let to = &imported.path;
    let run = lookup::run_name(to);
    match global.format {
        Format::Json => output::json(&json!({
            "from": lookup::path_text(from.shown()), "to": lookup::path_text(to), "run": run, "was_there": imported.was_there,
        }))?,
        Format::Text => {
            let how = if imported.was_there { "already there as" } else { "imported as" };
            output::line(&format!("{how} {}", escape_path(to)))?;
            output::line(&format!(
                "next: operator replay {}{}",
                shell_word(&run),
                global.dir_flag()
            ))?;
        }
    }
    for other in &imported.others {
        global.tell(&format!("another run has that name: {}", escape_path(other)));
    }
    Ok(())
}

/// Where a capture was imported to.
struct Imported {
    path: PathBuf,
    /// Whether the same content was there before.
    was_there: bool,
    /// Captures of other runs with the names that came first.
    others: Vec<PathBuf>,
}

/// Copies to the first name that no other run has, here or where names are looked for: `RUN`, `RUN-2`, `RUN-3` and
/// so on; nowhere, where one of these is the same.
fn copy(
    global: &Global,
    (from, digest): (&lookup::Found, &str),
    name: &RunName,
) -> anyhow::Result<Imported> {
    let mut others = Vec::new();
    for number in 1..=MOST_NAMES {
        let name = match number {
            1 => name.clone(),
            _ => RunName::new(&format!("{name}-{number}"))?,
        };
        if let Some(path) = lookup::file_of_run(&global.dir, &name) {
            let there = CaptureReader::open(&path).and_then(|reader| reader.digest());
            if there.is_ok_and(|there| there == digest) {
                return Ok(Imported { path, was_there: true, others });
            }
            others.push(path);
            continue;
        }
        let path = global.dir.join(format!("{name}{}", lookup::SUFFIX));
        match capture::copy_as(from, &path, global.file_mode) {
            Err(CaptureError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(Imported { path, was_there: false, others }),
        }
    }
    Err(CliError::Usage(format!("{MOST_NAMES} runs are called {name}: name another with --run"))
        .into())
}
