//! `operator mark`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use crate::capture::{self, CaptureReader};
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::model::{Event, EventKind, TimeRange, Timestamp};

const EXAMPLES: &str = "\
Examples:
  operator mark chaos-01 \"rolled out v8.5.1\"
  operator mark chaos-01 --event kind=fault-injected --event node=tikv3 \"disk throttled\"
  operator mark chaos-01 --at -5m \"latency complaints began\"

Works during a recording too.";

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
    /// When it happened: RFC 3339 with a zone, a time of day in UTC, unix seconds, `now`, or an offset: -5m
    /// from now, +5m from the start of the run
    #[arg(long, value_name = "T", default_value = "now", allow_hyphen_values = true)]
    at: String,
}

/// Adds an event to the timeline of a run.
///
/// # Errors
///
/// Where there is no such run, a field or the time cannot be read, or the file not be written.
pub fn run(global: &Global, args: MarkArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let at = instant(&args.at, &path)?;
    let event = event(at, args.text.unwrap_or_default(), &args.event)?;
    capture::add_event(&path, event.clone())?;
    match global.format {
        Format::Json => output::json(&event)?,
        Format::Text => output::line(&format!("{}  {}  {}", event.at, event.kind, event.text))?,
    }
    Ok(())
}

/// When it happened. Offsets from the start need the capture, and others leave it alone.
fn instant(text: &str, path: &Path) -> anyhow::Result<Timestamp> {
    let now = clock::now();
    if !text.trim_start().starts_with('+') {
        return Ok(Timestamp::parse(text, now)?);
    }
    let start = CaptureReader::open(path)?.window().start;
    Ok(Timestamp::parse_within(text, TimeRange::new(start, now))?)
}

fn event(at: Timestamp, text: String, fields: &[String]) -> Result<Event, CliError> {
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
    }
}
