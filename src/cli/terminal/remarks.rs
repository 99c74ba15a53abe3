//! Remarks on stderr: errors, warnings, progress and the log.
//!
//! Their reader may have gone, and the disk that they are written to may be full. Neither ends a
//! recording or changes an exit code, so a failure to write is ignored, here and only here. Everything is
//! [escaped](escape), and the secrets that were passed to [`hide`] are removed.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::terminal::output::Color;
use crate::cli::terminal::width;
use crate::model::escape;
use crate::source::Redactor;

/// The secrets that no remark may show. They belong to the process, as the log does, which also receives
/// the events of libraries.
static HIDDEN: RwLock<Redactor> = RwLock::new(Redactor::none());

/// The name of the run that is recorded, which is no secret where a path of a URL has it too: without it, nobody could
/// repeat a command that a remark advises.
static RUN: OnceLock<String> = OnceLock::new();

/// Removes these secrets from every remark from now on.
pub fn hide(secrets: &Redactor) {
    let mut hidden = HIDDEN.write().unwrap_or_else(PoisonError::into_inner);
    hidden.add(secrets);
    if let Some(run) = RUN.get() {
        *hidden = hidden.with_public_segment(run);
    }
}

/// Shows the name of the run in every remark, also where a part of a URL is the same word. Only the first name counts.
pub fn show_run(name: &str) {
    let run = RUN.get_or_init(|| name.to_owned());
    let mut hidden = HIDDEN.write().unwrap_or_else(PoisonError::into_inner);
    *hidden = hidden.with_public_segment(run);
}

/// Writes a line to stderr, which is broken where it is longer than a line of the terminal.
pub fn remark(text: &str) {
    let text = width::shown(&shown(text), width::columns(io::stderr()));
    to_stderr(format!("{text}\n").as_bytes());
}

/// A text without the secrets, escaped.
fn shown(text: &str) -> String {
    escape(&without_secrets(text))
}

/// A text without the secrets that were passed to [`hide`].
pub fn without_secrets(text: &str) -> String {
    HIDDEN.read().unwrap_or_else(PoisonError::into_inner).redact(text).to_string()
}

/// Writes lines to stderr that the caller has escaped, each broken where it is longer than a line of the terminal.
pub fn to_stderr_in_lines(text: &str) {
    to_stderr(width::shown_lines(text, width::columns(io::stderr())).as_bytes());
}

/// Writes bytes to stderr that the caller has escaped.
pub fn to_stderr(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// Starts the log on stderr, with the filter `level` or, where it is set, that of the environment variable
/// OPERATOR_LOG.
pub fn start_log(level: &str, color: Color) {
    let wanted = std::env::var("OPERATOR_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter =
        wanted.unwrap_or_else(|| level.parse().expect("the program's own filters are valid"));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(color.enabled(io::stderr().is_terminal()))
        .with_target(false)
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_writer(|| Unfailing);
    // A second subscriber in one process, as in a test, changes nothing.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// Writes the message of an event without a name, and its other fields with their names.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = shown(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

/// Stderr as a writer that never fails.
struct Unfailing;

impl Write for Unfailing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        to_stderr(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
