//! `operator runs`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::capture::CaptureReader;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{DEFAULT_DIR, Global, lookup};
use crate::model::{duration_text, escape_path, joined};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  operator runs
  operator runs data --format json";

/// Arguments of `runs`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunsArgs {
    /// The directory whose captures are listed, as --dir
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Lists the captures of a directory, and, where none is given, all runs that a name finds.
///
/// # Errors
///
/// Where a directory that was given cannot be read. A file that cannot is listed with the reason.
pub fn run(global: &Global, args: &RunsArgs) -> anyhow::Result<()> {
    let dir = args.folder.as_deref().unwrap_or(&global.dir);
    let given = dir != Path::new(DEFAULT_DIR);
    if dir.is_file() {
        let text = format!("{} is a file: `operator show` says what is in it", escape_path(dir));
        return Err(CliError::Usage(text).into());
    }
    if given {
        std::fs::read_dir(dir).map_err(|error| {
            anyhow::Error::new(error).context(format!("cannot list {}", escape_path(dir)))
        })?;
    }
    let list = if given { lookup::captures } else { lookup::all };
    let paths = list(dir);
    match global.format {
        Format::Json => {
            let runs: Vec<Value> = paths.iter().map(|path| describe(path)).collect();
            output::json(&json!({ "schema": 1, "runs": runs }))?;
        }
        Format::Text if paths.is_empty() => {
            let searched = if given { escape_path(dir) } else { lookup::searched(dir) };
            output::line(&format!(
                "no runs in {searched}; `operator record` makes one, and the bundled ones lie in data/ of the repository"
            ))?;
        }
        Format::Text => {
            let head = ["RUN", "SUBJECT", "FROM", "LENGTH", "SIZE", "GAPS"].map(str::to_owned);
            let mut rows = vec![head.to_vec()];
            rows.extend(paths.iter().map(|path| row(path)));
            output::write(report::table(&rows).as_bytes())?;
        }
    }
    Ok(())
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn describe(path: &Path) -> Value {
    let mut run = json!({ "file": lookup::path_text(path), "run": lookup::run_name(path), "bytes": bytes(path) });
    match CaptureReader::open(path) {
        Ok(reader) => {
            run["subject"] = json!(reader.meta().subject);
            run["window"] = json!(Some(reader.window()).filter(|window| !window.is_empty()));
            run["gaps"] = json!(reader.gaps().map_or(0, |gaps| joined(&gaps).len()));
        }
        Err(error) => run["error"] = json!(error.to_string()),
    }
    run
}

fn row(path: &Path) -> Vec<String> {
    let name = lookup::run_name(path);
    match CaptureReader::open(path) {
        Ok(reader) => {
            let window = reader.window();
            let gaps = reader
                .gaps()
                .map_or_else(|_| "?".to_owned(), |gaps| joined(&gaps).len().to_string());
            vec![
                name,
                reader.meta().subject.clone(),
                if window.is_empty() { "nothing".to_owned() } else { window.start.to_string() },
                duration_text(window.millis()),
                report::size(bytes(path)),
                gaps,
            ]
        }
        Err(error) => vec![name, format!("cannot be read: {error}")],
    }
}
