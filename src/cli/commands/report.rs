//! `operator report`.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::capture::{FileMode, UnfinishedFile};
use crate::cli::config::headings::OUTPUT;
use crate::cli::config::viewed::ViewArgs;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, AnyFormat};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, lookup};
use crate::model::escape_path;
use crate::report::{PageContent, html_page, markdown, replay_json, run_report, size};
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  operator report chaos-02 -o chaos-02.html
      one page for a browser, which loads nothing
  operator report latest --format markdown  for an issue or a CI job's summary
  operator report chaos-02 --at 16:32 --format json
      as it looked then

`operator export --html` writes the same page with the redacted capture inside.";

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// A run's name, `latest`, `-` for stdin, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file to write; it must not exist. Without --format, a name that ends with .md or .json decides.
    /// Without a file, the report goes to stdout
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    output: Option<PathBuf>,
    #[command(flatten)]
    view: ViewArgs,
}

/// Writes the report of a run.
///
/// # Errors
///
/// Where there is no such run, it cannot be read, or a file cannot be written.
pub fn run(global: &Global, args: &ReportArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let mut session = Session::open(&path)?;
    let view = args.view.of(&mut session)?;
    let report = session
        .load(view)
        .and_then(|window| run_report(window, &session))
        .with_context(|| format!("cannot judge {}", escape_path(path.shown())))?;
    let format = format(global.wide_format, args.output.as_deref())?;
    let is_page = !matches!(format, AnyFormat::Json | AnyFormat::Markdown);
    if args.output.is_none() && is_page && std::io::stdout().is_terminal() {
        let text =
            "a page does not fit a terminal: write it with -o FILE.html, or take --format markdown";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let text = match format {
        AnyFormat::Json => replay_json(&report),
        AnyFormat::Markdown => markdown(&report),
        // Dispatch lets no other format through; text stands for the default.
        _ => html_page(&report, PageContent::Report).alone(),
    };
    match &args.output {
        None => output::write(text.as_bytes())?,
        Some(to) => {
            write_new(to, text.as_bytes(), global.file_mode)
                .with_context(|| format!("cannot write {}", escape_path(to)))?;
            if !global.quiet {
                remark(&format!("wrote {} ({})", escape_path(to), size(text.len() as u64)));
            }
        }
    }
    Ok(CliError::unless_whole(path.shown(), session.reader().damaged_rows())?)
}

/// The format that was asked for, else the one that the name of the file ends with.
///
/// # Errors
///
/// [`CliError::Usage`] where the name ends otherwise.
fn format(asked: AnyFormat, output: Option<&Path>) -> Result<AnyFormat, CliError> {
    let extension = output.and_then(Path::extension);
    match (asked, extension.and_then(OsStr::to_str)) {
        (AnyFormat::Text, Some("md")) => Ok(AnyFormat::Markdown),
        (AnyFormat::Text, Some("json")) => Ok(AnyFormat::Json),
        (AnyFormat::Text, Some(other)) if !["html", "htm"].contains(&other) => {
            let why = "a report is a page, Markdown or JSON: end the name with .html, .md or .json, or say --format";
            Err(CliError::Usage(why.to_owned()))
        }
        _ => Ok(asked),
    }
}

/// Writes a new file, which gets its name when it is complete.
fn write_new(to: &Path, bytes: &[u8], mode: FileMode) -> anyhow::Result<()> {
    let unfinished = UnfinishedFile::beside(to, mode)?;
    std::fs::write(unfinished.path(), bytes)?;
    Ok(unfinished.finish()?)
}
