//! Remarks on stderr: errors, warnings, progress and the log.
//!
//! Whoever reads them may go away, and the disk that they are written to may be full: that ends no
//! recording and changes no exit code, so that a failure to write is ignored, here and only here.
//! Everything is [escaped](escape), and the secrets that [`hide`] was told are taken out.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{PoisonError, RwLock};

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::cli::terminal::output::Color;
use crate::model::escape;
use crate::source::Redactor;

/// What no remark may show. Of the process, since the log is: it also takes the events of libraries.
static HIDDEN: RwLock<Redactor> = RwLock::new(Redactor::none());

/// Takes these secrets out of every remark from now on.
pub fn hide(secrets: &Redactor) {
    HIDDEN.write().unwrap_or_else(PoisonError::into_inner).add(secrets);
}

/// Writes a line to stderr.
pub fn remark(text: &str) {
    to_stderr(format!("{}\n", shown(text)).as_bytes());
}

/// Text without what is hidden, escaped.
fn shown(text: &str) -> String {
    escape(&HIDDEN.read().unwrap_or_else(PoisonError::into_inner).redact(text))
}

/// Writes what the caller has escaped.
pub fn to_stderr(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// Starts the log, on stderr, of what is at least as important as `level` says; OPERATOR_LOG in the
/// environment says otherwise.
pub fn start_log(level: &str, color: Color) {
    let filter = EnvFilter::try_from_env("OPERATOR_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // A second subscriber in one process, as in a test, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(color.enabled(io::stderr().is_terminal()))
        .with_target(false)
        .fmt_fields(debug_fn(write_field).delimited(" "))
        .with_writer(|| Unfailing)
        .try_init();
}

/// The text of an event as it is, and its other fields with their names.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = shown(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{text}"),
        name => write!(writer, "{name}={text}"),
    }
}

/// Stderr, to which every write succeeds.
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
