//! `operator mark`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use crate::capture::{self, CaptureReader, is_packed, is_unsealed};
use crate::cli::config::zone::ZoneArgs;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::model::{Event, EventKind, TimeRange, Timestamp, duration_text, escape_path};

const EXAMPLES: &str = "\
Examples:
  operator mark prod \"rolled out v8.5.1\"  while it is recorded: now
  operator mark chaos-01 --at +2m --event kind=fault-injected --event \\
      node=tikv3 \"disk throttled\"
  operator mark chaos-01 --at -5m \"latency complaints began\"

A time outside of the run is refused, since no replay would show it. A mark cannot be taken back: mark a \
copy (`operator copy`) where you are not sure.";

/// Arguments of `mark`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MarkArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// What happened, for a person
    #[arg(value_name = "TEXT", required_unless_present = "event")]
    text: Option<String>,
    /// A field of the event; `kind=…` says what it is about (a lowercase word; default: note)
    #[arg(long, value_name = "KEY=VALUE")]
    event: Vec<String>,
    /// When it happened, within the run: a date and time, a time of day in UTC, unix seconds, `now`, or an
    /// offset: +5m from the start of the run, -5m from its end, or from now while it is recorded
    /// [default: now; of a run that is over, it has to be said]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    at: Option<String>,
    #[command(flatten)]
    zone: ZoneArgs,
}

/// Adds an event to the timeline of a run.
///
/// # Errors
///
/// Where there is no such run, a field or the time cannot be read, or the file not be written.
pub fn run(global: &Global, args: MarkArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let at = instant((args.at.as_deref(), args.zone), &path, clock::now())?;
    let event = event(at, args.text.unwrap_or_default(), &args.event)?;
    capture::add_event(&path, event.clone())?;
    match global.format {
        Format::Json => output::json(&event)?,
        Format::Text => output::wrapped(&format!(
            "marked {}: {}  {}  {}",
            escape_path(path.shown()),
            event.at,
            event.kind,
            event.text
        ))?,
    }
    Ok(())
}

/// When it happened, which is a time within the run. A run that is not sealed is being recorded, and lasts until
/// now.
fn instant(
    (text, zone): (Option<&str>, ZoneArgs),
    path: &Path,
    now: Timestamp,
) -> anyhow::Result<Timestamp> {
    let recorded = CaptureReader::open(path)?.window();
    let is_going_on = recorded.is_empty() || is_unsealed(path);
    let end = if is_going_on { now.max(recorded.end) } else { recorded.end };
    let start = if recorded.is_empty() { end } else { recorded.start };
    let run = TimeRange::new(start, end);
    let at = match text.map(str::trim) {
        None | Some("now") => now,
        Some(text) => Timestamp::parse_within(text, run, zone.at(run.end))?,
    };
    // That a packed capture takes no event is said where one is written.
    // A sealed run ends before its end; one that is being recorded has reached it.
    let is_inside = run.contains(at) || is_going_on && at == run.end;
    if is_inside || recorded.is_empty() || is_packed(path) {
        return Ok(at);
    }
    let advice = match text {
        None => "say when it happened with --at, such as --at +5m from its start".to_owned(),
        Some(_) => format!("the run is {} long", duration_text(run.millis())),
    };
    let text = format!("{at} is outside of the run, {} to {}: {advice}", run.start, run.end);
    Err(CliError::Usage(text).into())
}

fn event(at: Timestamp, text: String, fields: &[String]) -> Result<Event, CliError> {
    if text.trim().is_empty() && fields.is_empty() {
        return Err(CliError::Usage("a mark needs a text, or a kind by --event".to_owned()));
    }
    let mut kind = EventKind::NOTE.to_owned();
    let mut rest = BTreeMap::new();
    for field in fields {
        let (key, value) = field
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| CliError::Usage(format!("cannot read {field:?}: use KEY=VALUE")))?;
        if key == "kind" {
            kind = value.to_owned();
        } else if rest.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(CliError::Usage(format!("field {key:?} stands twice")));
        }
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if kind.is_empty() || !kind.chars().all(word) {
        return Err(CliError::Usage(format!("{kind:?} cannot be a kind: use a lowercase word")));
    }
    if kind == EventKind::LOG {
        let why = "a line of a log is evidence and is not marked by hand: use `operator attach`";
        return Err(CliError::Usage(why.to_owned()));
    }
    if kind == EventKind::SETTINGS {
        let why = "settings of stores are evidence and are not marked by hand: `operator record` reads them";
        return Err(CliError::Usage(why.to_owned()));
    }
    if kind == EventKind::PROFILE {
        let why =
            "a profile is evidence and is not marked by hand: use `operator attach --profiles`";
        return Err(CliError::Usage(why.to_owned()));
    }
    Ok(Event { at, kind: EventKind(kind), text, fields: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_taken_out_of_the_fields() {
        let fields = ["kind=fault-injected".to_owned(), "node=tikv3".to_owned()];
        let event = event(Timestamp::default(), String::new(), &fields).expect("fields are fine");
        assert_eq!(event.kind.0, "fault-injected");
        assert_eq!(event.fields.get("node").map(String::as_str), Some("tikv3"));
    }

    #[test]
    fn fields_without_a_key_are_refused() {
        assert!(event(Timestamp::default(), String::new(), &["=x".to_owned()]).is_err());
        assert!(event(Timestamp::default(), String::new(), &["kind=A B".to_owned()]).is_err());
        assert!(event(Timestamp::default(), String::new(), &["kind=log".to_owned()]).is_err());
        assert!(event(Timestamp::default(), String::new(), &["kind=settings".to_owned()]).is_err());
        assert!(event(Timestamp::default(), String::new(), &["kind=profile".to_owned()]).is_err());
    }
}
