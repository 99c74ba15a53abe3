//! `operator explain`.

use std::ffi::OsString;
use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::diagnose::draw;
use crate::model::escape_path;
use crate::report::{Color, explain_text};
use crate::session::{Session, View};

const EXAMPLES: &str = "\
Examples:
  operator explain chaos-02 F3
  operator explain latest F1 --format json

The findings of a run are named by `operator replay`.";

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The finding, such as F3
    #[arg(value_name = "FINDING")]
    finding: String,
    /// Columns of the text, the same on every terminal, so that its bytes are too
    #[arg(long, value_name = "COLUMNS", default_value_t = 80)]
    width: usize,
}

/// Shows the samples behind a finding.
///
/// # Errors
///
/// Where there is no such run or finding, or the capture cannot be read.
pub fn run(global: &Global, args: &ExplainArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let session = Session::open(&path)?;
    let cannot = || format!("cannot judge {}", escape_path(path.shown()));
    let window = session.load(View::WHOLE).with_context(cannot)?;
    let (evidence, verdict) = window.judged_as_of(window.end())?;
    let found = verdict.findings.iter().find(|one| one.id.eq_ignore_ascii_case(&args.finding));
    let Some(finding) = found else {
        let known: Vec<&str> = verdict.findings.iter().map(|one| one.id.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let text = format!("no finding {:?}: the run has {known}", args.finding);
        return Err(CliError::Usage(text).into());
    };
    let drawn = draw(&evidence, finding);
    match global.format {
        Format::Json => {
            let mut value = json!({ "finding": finding, "quantities": drawn });
            if let Some(damage) = &verdict.damage {
                value["damage"] = json!(damage);
            }
            output::json(&value)?;
        }
        Format::Text => {
            let colored = global.color.enabled(std::io::stdout().is_terminal());
            let color = if colored { Color::Ansi } else { Color::Plain };
            if let Some(damage) = &verdict.damage {
                output::line(&damage.summary)?;
            }
            let text = explain_text(finding, &drawn, evidence.window, (args.width, color));
            output::write(text.as_bytes())?;
        }
    }
    Ok(())
}
