//! `operator export`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;
use serde_json::json;

use crate::capture::{CaptureError, CaptureReader};
use crate::cli::config::headings::{OUTPUT, TIME};
use crate::cli::config::viewed::window;
use crate::cli::config::zone::ZoneArgs;

use crate::cli::exit::CliError;
use crate::cli::lookup::{PAGE_SUFFIX, STDIN as STDOUT};
use crate::cli::pseudonym_key::{PseudonymKey, write_private};
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::progress::Waiting;
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, clock, lookup};
use crate::diagnose::{counted, findings_called};
use crate::model::{Event, LabelMatcher, TimeRange, Timestamp, cut, escape_path};
use crate::promql::{Dialect, MatcherCache, parse_selector};
use crate::report::{self, HtmlPage, PageContent, html_page};
use crate::session::{Session, View};
use crate::share::{
    DamagedParts, Destination, Events, ExportOptions, Exported, Page, Redaction, ShareError,
    Truths, export, export_page, issue_comment,
};

/// How long before an incident an export begins: what is normal is judged from this.
const BEFORE_MS: i64 = 20 * 60_000;
/// How long after the begin of an incident an export ends.
const AFTER_MS: i64 = 10 * 60_000;

/// The heading of options about what of the capture is written.
const CONTENT: &str = "Content";
/// The heading of options about what is replaced.
const REDACTION: &str = "Redaction";

const EXAMPLES: &str = "\
Examples:
  operator export chaos-01  one redacted file, and Markdown for the issue
  operator export chaos-01 --html
      the same inside a page that shows what broke
  operator export latest --around F1
      twenty minutes before the finding, ten after
  operator export latest --from -30m -o slow.capture.gz
  operator export chaos-01 --max-size 8MB --map private.json

Hosts, addresses, names, paths and keys become pseudonyms, and so does every word that is not \
known to be a program's own. Names of PD members and pods are replaced as a whole, unless they only \
say what they are, as pd0 and tikv-3 do. The file is searched for every original before it gets its \
name. Every command that reads a run opens it as it is.

What stays visible: metrics and labels of programs, settings of PD and TiKV, versions, times, the \
shape of load, and plain words in notes, marks and output of commands (--no-events leaves those out, \
with lines of logs). A sealed truth travels along, redacted; --no-truth leaves it out.

Pseudonyms follow from a key that is made once, as .pseudonym-key in the directory of captures \
(--dir), so that further exports use the same names. It never goes along: who has it can guess \
originals. --map FILE writes the table of them.";

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// A run's name, `latest`, `-` for stdin, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file to write, which must not exist; `-` for stdout. Without it, RUN.capture.gz or RUN.html in the
    /// current directory, where RUN is the name that the run has in the file: a name of yours is a pseudonym there
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    output: Option<PathBuf>,
    /// Write a page for browsers, with the report and the capture inside
    #[arg(long, help_heading = OUTPUT)]
    html: bool,
    /// Begin here instead of at the capture's start
    #[arg(long, value_name = "T", allow_hyphen_values = true, help_heading = TIME)]
    from: Option<String>,
    /// End here instead of at the capture's end
    #[arg(long, value_name = "T", allow_hyphen_values = true, help_heading = TIME)]
    to: Option<String>,
    /// Only the time around a finding of the replay, an event by a part of its text, or an instant
    #[arg(long, value_name = "F1|EVENT|T", allow_hyphen_values = true, conflicts_with_all = ["from", "to"], help_heading = TIME)]
    around: Option<String>,
    #[command(flatten)]
    zone: ZoneArgs,
    /// Only series that this selector picks
    #[arg(long = "match", value_name = "SELECTOR", help_heading = CONTENT)]
    selector: Option<String>,
    /// The largest file that is allowed; what no failure mode reads goes first
    #[arg(long, value_name = "SIZE", default_value = "25MB", value_parser = file_size, help_heading = OUTPUT)]
    max_size: ByteSize,
    /// Leave everything as it was recorded: addresses, names, keys and paths
    #[arg(long, help_heading = REDACTION)]
    no_redact: bool,
    /// Leave out notes, marks, output of commands and lines of logs
    #[arg(long, help_heading = CONTENT)]
    no_events: bool,
    /// Export what can be read of a damaged capture; the file says what is lost
    #[arg(long, help_heading = CONTENT)]
    damaged: bool,
    /// Leave out sealed ground truths
    #[arg(long, help_heading = CONTENT)]
    no_truth: bool,
    /// A file with the key of the pseudonyms, instead of the one in the directory of captures
    #[arg(long, value_name = "FILE", conflicts_with = "no_redact", help_heading = REDACTION)]
    key: Option<PathBuf>,
    /// A file for the private table of pseudonyms; it must not exist
    #[arg(long, value_name = "FILE", conflicts_with = "no_redact", help_heading = REDACTION)]
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
    check_output(global, args)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    let was_redacted = CaptureReader::open(&from)?.meta().is_redacted();
    let key = match args.no_redact {
        true => None,
        false => Some(PseudonymKey::of(&global.dir, args.key.as_deref())?),
    };
    let options = options(global, args, &from, key.as_ref())?;
    if let Some(path) = args.map.as_ref().filter(|path| path.exists()) {
        let text = format!("{} exists already: name another file with --map", escape_path(path));
        return Err(CliError::Usage(text).into());
    }
    let scratch = tempfile::tempdir()?;
    let path = match &args.output {
        Some(path) if path == Path::new(STDOUT) => scratch.path().join("stdout"),
        Some(path) => path.clone(),
        None if args.no_redact => file_for(&from, args.html),
        None => PathBuf::new(),
    };
    let to = match path.as_os_str().is_empty() {
        true => Destination::Folder(&path),
        false => Destination::File(&path),
    };
    let waiting = Waiting::of(global, "exporting, and searching the file for every original");
    let exported = match args.html {
        true => export_page(&from, to, &options, &page),
        false => export(&from, to, &options),
    };
    drop(waiting);
    let exported = exported.inspect_err(|error| explain(global, error));
    let exported =
        exported.with_context(|| format!("cannot export {}", escape_path(from.shown())))?;
    // What was redacted before has pseudonyms already, and needs no key.
    let key = key.filter(|_| !was_redacted || exported.mapping.needs_key());
    let is_new = key.as_ref().is_some_and(PseudonymKey::is_new);
    let key = key.map(PseudonymKey::keep).transpose()?;
    if let Some(path) = &args.map {
        let table = serde_json::to_vec_pretty(&exported.mapping)?;
        write_private(path, &table)
            .with_context(|| format!("cannot write {}", escape_path(path)))?;
    }
    if !global.quiet {
        warn(args, &exported, was_redacted);
        if let Some(key) = key {
            let key = escape_path(&key);
            remark(&match is_new {
                true => format!(
                    "a new key of pseudonyms was made, {key}: exports with another key have other pseudonyms; keep it to yourself"
                ),
                false => format!("the key of the pseudonyms is {key}: keep it to yourself"),
            });
        }
    }
    if is_to_stdout(args) {
        return Ok(output::write(&std::fs::read(&exported.path)?)?);
    }
    print(global, &exported)
}

/// Where an unredacted file goes that has no other name: into the current directory, called as the capture's file is.
/// Empty where that came on stdin.
fn file_for(from: &lookup::Found, html: bool) -> PathBuf {
    let suffix = if html { PAGE_SUFFIX } else { ".capture.gz" };
    match from.shown() == Path::new(STDOUT) {
        true => PathBuf::new(),
        false => PathBuf::from(format!("{}{suffix}", lookup::run_name(from.shown()))),
    }
}

fn is_to_stdout(args: &ExportArgs) -> bool {
    args.output.as_deref() == Some(Path::new(STDOUT))
}

/// # Errors
///
/// [`CliError::Usage`] where -o names a file of another type than is written, or nobody could read what goes to
/// stdout.
fn check_output(global: &Global, args: &ExportArgs) -> Result<(), CliError> {
    let Some(path) = &args.output else { return Ok(()) };
    if is_to_stdout(args) {
        let why = match global.format {
            Format::Json => "the file itself goes to stdout, where no JSON can stand beside it",
            Format::Text if io::stdout().is_terminal() => {
                "a packed file is not for a terminal: let stdout go to a file or another program"
            }
            Format::Text => return Ok(()),
        };
        return Err(CliError::Usage(why.to_owned()));
    }
    let (suffix, what) = match args.html {
        true => (PAGE_SUFFIX, "--html writes a page"),
        false => (lookup::PACKED_SUFFIX, "a capture is written as gzip"),
    };
    let name = path.to_string_lossy().to_lowercase();
    match name.ends_with(suffix) {
        true => Ok(()),
        false => Err(CliError::Usage(format!(
            "{what}, and {} does not end in {suffix}: name another file",
            escape_path(path)
        ))),
    }
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

fn print(global: &Global, exported: &Exported) -> anyhow::Result<()> {
    let markdown = issue_comment(exported);
    match global.format {
        Format::Json => {
            let mut value = json!({
                "schema": 1,
                "file": lookup::path_text(&exported.path),
                "bytes": exported.bytes,
                "file_sha256": exported.file_sha256,
                "capture_digest": exported.capture_digest,
                "export": exported.meta.export,
                "markdown": markdown,
            });
            if let Some(whole) = &exported.whole {
                value["whole"] = json!({ "outcome": whole.outcome, "verdict": whole.summary });
            }
            output::json(&value)?;
        }
        Format::Text => output::write(markdown.as_bytes())?,
    }
    Ok(())
}

/// Says what was written, what of it is not redacted, what is lost, and where a part is judged otherwise than the run.
fn warn(args: &ExportArgs, exported: &Exported, was_redacted: bool) {
    let path = match is_to_stdout(args) {
        true => "FILE".to_owned(),
        false => escape_path(&exported.path),
    };
    if !is_to_stdout(args) {
        remark(&format!("wrote {path} ({})", report::size(exported.bytes)));
    }
    let export = exported.meta.export.as_ref();
    let replaced: u64 = export.map_or(0, |export| export.replaced.values().sum());
    if replaced > 0 {
        let replaced = report::count(replaced);
        remark(&format!("replaced {replaced} originals, and found none of them in the file"));
    }
    if exported.has_truth {
        remark("a sealed truth is in it, which anybody can read; --no-truth leaves it out");
    }
    if let Some(lost) = export.and_then(|export| export.lost.as_ref()) {
        remark(&format!("warning: the capture is damaged, and the file holds the rest: {lost}"));
    }
    if let Some(whole) = &exported.whole {
        remark(&format!(
            "warning: of the whole run the verdict is \"{}\", of what the file holds \"{}\": export more of it",
            whole.summary, exported.verdict.summary
        ));
    }
    match (args.no_redact, was_redacted) {
        (true, false) => remark(
            "warning: nothing is redacted: whoever gets the file reads every address, name, path and key in it",
        ),
        (true, true) => remark(
            "what was redacted before stays so; what was added since is in the file as it is",
        ),
        (false, _) if exported.free_texts > 0 => remark(&format!(
            "warning: {} of persons or commands on the timeline: names are replaced and plain words stay; `operator replay {path}` shows them, --no-events leaves them out",
            counted(exported.free_texts, "text"),
        )),
        (false, _) => {}
    }
}

/// A size such as `8MB` or `25MiB`.
fn file_size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "not a size: write it as 8MB, 500KB or 25MiB".to_owned())
}

fn options(
    global: &Global,
    args: &ExportArgs,
    from: &Path,
    key: Option<&PseudonymKey>,
) -> anyhow::Result<ExportOptions> {
    let redaction = key.map_or(Redaction::Off, |key| Redaction::Pseudonyms(key.key().clone()));
    Ok(ExportOptions {
        range: range(args, from)?,
        matchers: matchers(args.selector.as_deref())?,
        redaction,
        truths: if args.no_truth { Truths::LeftOut } else { Truths::Included },
        events: if args.no_events { Events::LeftOut } else { Events::Included },
        damaged: if args.damaged { DamagedParts::LeftOut } else { DamagedParts::Refused },
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
            let at = instant(&session, what, args.zone)?;
            let (start, end) =
                (at.saturating_add_millis(-BEFORE_MS), at.saturating_add_millis(AFTER_MS));
            let (range, whole) = (TimeRange::new(start, end), session.window());
            if !range.overlaps(&whole) {
                let covers = format!("the capture covers {} to {}", whole.start, whole.end);
                let text = format!("nothing was recorded around {at}: {covers}");
                return Err(CliError::Usage(text).into());
            }
            Ok(range)
        }
        None => {
            let whole = session.window();
            window(whole, args.from.as_deref(), args.to.as_deref(), args.zone.at(whole.end))
        }
    }
}

/// When a finding began, an event happened, or an instant that is given as such.
fn instant(session: &Session, what: &str, zone: ZoneArgs) -> anyhow::Result<Timestamp> {
    let is_number = what.strip_prefix('F').is_some_and(|rest| rest.parse::<u32>().is_ok());
    if is_number || what.contains('/') {
        let verdict = session.verdict()?;
        match findings_called(&verdict.findings, what).as_slice() {
            [(only, _)] => return Ok(only.onset_ms),
            [] if is_number => {
                let text = format!("the replay of this run has no finding {what}");
                return Err(CliError::Usage(text).into());
            }
            _ => {}
        }
    }
    let events = session.reader().events()?;
    if let Some(event) = events.iter().find(|event| event.text == what || event.kind.0 == what) {
        return Ok(event.at);
    }
    let whole = session.window();
    let time = Timestamp::parse_within(what, whole, zone.at(whole.end));
    if let Ok(at) = time {
        return Ok(at);
    }
    let wanted = what.to_lowercase();
    let having = |event: &&Event| event.text.to_lowercase().contains(&wanted);
    let found: Vec<&Event> = events.iter().filter(having).collect();
    match found.as_slice() {
        [only] => Ok(only.at),
        [] if events.is_empty() => Ok(time?),
        [] => Err(CliError::Usage(format!(
            "{what:?} is no finding, instant or event of this run; its events are {}",
            listed(&events.iter().collect::<Vec<_>>())
        ))
        .into()),
        several => Err(CliError::Usage(format!(
            "{} have {what:?} in their text: {}; name an instant",
            counted(several.len() as u64, "event"),
            listed(several)
        ))
        .into()),
    }
}

/// The first events with their instants, for an error.
fn listed(events: &[&Event]) -> String {
    const LISTED: usize = 8;
    let shown = events.iter().take(LISTED);
    let shown = shown.map(|event| format!("{} {:?}", event.at, cut(&event.text, 60)));
    let more = events.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}
