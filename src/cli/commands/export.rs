//! `operator export`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;
use serde_json::json;

use crate::capture::{CaptureError, CaptureReader};
use crate::cli::config::viewed::window;
use crate::cli::exit::CliError;
use crate::cli::pseudonym_key::{key, write_private};
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, clock, lookup};
use crate::diagnose::counted;
use crate::model::{Event, EventKind, LabelMatcher, TimeRange, Timestamp, escape_path};
use crate::promql::{Dialect, MatcherCache, parse_selector};
use crate::report::{self, HtmlPage, PageContent, html_page};
use crate::session::{Session, View};
use crate::share::{
    Destination, ExportOptions, Exported, Page, Redaction, ShareError, Truths, export, export_page,
    issue_comment,
};

/// How long before an incident an export begins: what is normal is judged from this.
const BEFORE_MS: i64 = 20 * 60_000;
/// How long after the begin of an incident an export ends.
const AFTER_MS: i64 = 10 * 60_000;

const EXAMPLES: &str = "\
Examples:
  operator export chaos-01  one redacted file, and Markdown for the issue
  operator export chaos-01 --html
      the same inside a page that shows what broke
  operator export latest --around F1
      twenty minutes before the finding, ten after
  operator export latest --from -30m -o slow.capture.gz
  operator export chaos-01 --max-size 8MB --map private.json

Hosts, addresses, names, paths and keys become pseudonyms; what is unknown is replaced too. The \
file is searched for every original before it gets its name. Every command opens it as it is.";

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// A run's name, `latest`, `-` for stdin, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file to write; it must not exist. Without it, RUN.capture.gz or RUN.html in the current directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a page for browsers, with the report and the capture inside
    #[arg(long)]
    html: bool,
    /// Begin here instead of at the capture's start
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<String>,
    /// End here instead of at the capture's end
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only the time around a finding of the replay, an event by its text, or an instant
    #[arg(long, value_name = "F1|EVENT|T", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    around: Option<String>,
    /// Only series that this selector picks
    #[arg(long = "match", value_name = "SELECTOR")]
    selector: Option<String>,
    /// The largest file that is allowed; what no failure mode reads goes first
    #[arg(long, value_name = "SIZE", default_value = "25MB")]
    max_size: ByteSize,
    /// Leave everything as it was recorded
    #[arg(long)]
    no_redact: bool,
    /// Leave out sealed ground truths
    #[arg(long)]
    no_truth: bool,
    /// A file with the key of the pseudonyms, instead of the one in the directory of captures
    #[arg(long, value_name = "FILE", conflicts_with = "no_redact")]
    key: Option<PathBuf>,
    /// A file for the private table of pseudonyms; it must not exist
    #[arg(long, value_name = "FILE", conflicts_with = "no_redact")]
    map: Option<PathBuf>,
}

/// Exports a capture and prints Markdown for an issue.
///
/// # Errors
///
/// Where there is no such run, a file cannot be accessed, the file would be too large, or an original was found
/// in it.
pub fn run(global: &Global, args: &ExportArgs) -> anyhow::Result<()> {
    let from = lookup::find(&global.dir, &args.run)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    let options = options(global, args, &from)?;
    if let Some(path) = args.map.as_ref().filter(|path| path.exists()) {
        let text = format!("{} exists already: name another file with --map", escape_path(path));
        return Err(CliError::Usage(text).into());
    }
    let to = match &args.output {
        Some(path) => Destination::File(path),
        None => Destination::Folder(Path::new("")),
    };
    let exported = match args.html {
        true => export_page(&from, to, &options, &page),
        false => export(&from, to, &options),
    };
    let exported = exported.inspect_err(|error| explain(global, error));
    let exported =
        exported.with_context(|| format!("cannot export {}", escape_path(from.shown())))?;
    if let Some(path) = &args.map {
        let table = serde_json::to_vec_pretty(&exported.mapping)?;
        write_private(path, &table)
            .with_context(|| format!("cannot write {}", escape_path(path)))?;
    }
    print(global, args, &exported)
}

/// The report of the exported capture, as the page around it.
fn page(session: &Session) -> Result<Page, CaptureError> {
    let report = report::run_report(session.load(View::WHOLE)?, session)?;
    let HtmlPage { before, after } = html_page(&report, PageContent::ReportAndCapture);
    Ok(Page { before, after })
}

/// Names the originals that were found, where the user asks for details.
fn explain(global: &Global, error: &ShareError) {
    let ShareError::Leaked(leaks) = error else { return };
    for leak in leaks.iter().filter(|_| global.verbose > 0) {
        remark(&format!("{:?} stands in {}, as {}", leak.secret, leak.place, leak.encoding));
    }
}

fn print(global: &Global, args: &ExportArgs, exported: &Exported) -> anyhow::Result<()> {
    let path = &exported.path;
    if !global.quiet {
        remark(&format!("wrote {} ({})", escape_path(path), report::size(exported.bytes)));
    }
    if !args.no_redact && !global.quiet {
        warn_of_notes(path)?;
    }
    let markdown = issue_comment(exported);
    match global.format {
        Format::Json => output::json(&json!({
            "schema": 1,
            "file": lookup::path_text(path),
            "bytes": exported.bytes,
            "file_sha256": exported.file_sha256,
            "capture_digest": exported.capture_digest,
            "export": exported.meta.export,
            "markdown": markdown,
        }))?,
        Format::Text => output::write(markdown.as_bytes())?,
    }
    Ok(())
}

/// Says that the plain words of what people wrote, and of what a command printed, stay.
fn warn_of_notes(path: &Path) -> anyhow::Result<()> {
    let events = CaptureReader::open(path)?.events()?;
    let is_note = |event: &&Event| event.kind.0 != EventKind::RECORDER && !event.text.is_empty();
    let count = events.iter().filter(is_note).count();
    if count > 0 {
        remark(&format!(
            "warning: {} on the timeline: names are replaced and plain words stay; `operator replay {}` shows them",
            counted(count as u64, "note"),
            escape_path(path)
        ));
    }
    Ok(())
}

fn options(global: &Global, args: &ExportArgs, from: &Path) -> anyhow::Result<ExportOptions> {
    let redaction = match args.no_redact {
        true => Redaction::Off,
        false => Redaction::Pseudonyms(key(&global.dir, args.key.as_deref())?),
    };
    Ok(ExportOptions {
        range: range(args, from)?,
        matchers: matchers(args.selector.as_deref())?,
        redaction,
        truths: if args.no_truth { Truths::LeftOut } else { Truths::Included },
        most_bytes: args.max_size.as_u64(),
        mode: global.file_mode,
    })
}

fn matchers(selector: Option<&str>) -> anyhow::Result<Vec<LabelMatcher>> {
    let Some(selector) = selector else { return Ok(Vec::new()) };
    let parsed = parse_selector(selector)?.matchers;
    Ok(MatcherCache::default().matchers(&parsed, Dialect::V3).map_err(CliError::Usage)?)
}

fn range(args: &ExportArgs, from: &Path) -> anyhow::Result<TimeRange> {
    if args.around.is_none() && args.from.is_none() && args.to.is_none() {
        return Ok(TimeRange::ALL);
    }
    let session = Session::open(from)?;
    match &args.around {
        Some(what) => {
            let at = instant(&session, what)?;
            let (start, end) =
                (at.saturating_add_millis(-BEFORE_MS), at.saturating_add_millis(AFTER_MS));
            Ok(TimeRange::new(start, end))
        }
        None => window(session.window(), args.from.as_deref(), args.to.as_deref()),
    }
}

/// When a finding began, an event happened, or an instant that is given as such.
fn instant(session: &Session, what: &str) -> anyhow::Result<Timestamp> {
    let is_finding = what.strip_prefix('F').is_some_and(|rest| rest.parse::<u32>().is_ok());
    if is_finding {
        let verdict = session.verdict()?;
        let found = verdict.findings.iter().find(|finding| finding.id == what);
        let missing = || CliError::Usage(format!("the replay of this run has no finding {what}"));
        return Ok(found.ok_or_else(missing)?.onset_ms);
    }
    let events = session.reader().events()?;
    match events.iter().find(|event| event.text == what || event.kind.0 == what) {
        Some(event) => Ok(event.at),
        None => Ok(Timestamp::parse_within(what, session.window())?),
    }
}
