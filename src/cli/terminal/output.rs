//! Writes results to stdout, as text or JSON.
//!
//! Remarks on stderr are in [`remarks`](crate::cli::terminal::remarks).

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::terminal::width;
use crate::model::{escape, escape_json};

/// The format of results that every command has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// JSON: one document, or one line for each event of a command that goes on.
    Json,
}

/// What results may look like; every command knows the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AnyFormat {
    /// Text for people to read.
    #[default]
    #[value(alias = "table")]
    Text,
    /// For machines; one document, or one line each for what goes on.
    Json,
    /// Of `replay`: the evidence, compact and cited, to paste into an assistant.
    Prompt,
    /// Of `query`: a line for each sample, a column for each label.
    Csv,
    /// Of `query`: the same as Parquet.
    Parquet,
    /// Of `report`: a page for browsers; its default.
    Html,
    /// Of `report`: for an issue comment.
    Markdown,
}

impl AnyFormat {
    /// The format, where every command knows it.
    pub fn common(self) -> Option<Format> {
        match self {
            Self::Text => Some(Format::Text),
            Self::Json => Some(Format::Json),
            Self::Prompt | Self::Csv | Self::Parquet | Self::Html | Self::Markdown => None,
        }
    }
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Coloured wherever it goes.
    Always,
    /// Plain wherever it goes.
    Never,
}

impl Color {
    /// Whether to colour what goes to a stream that is a terminal or not.
    pub fn enabled(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

/// Columns of text that is broken the same way everywhere, so that its bytes are the same.
const REPORT_COLUMNS: usize = 80;

/// Writes bytes to stdout unchanged: pages whose parts were escaped, and Parquet.
///
/// # Errors
///
/// An I/O error where stdout is closed or the disk behind it is full.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write to stdout: {error}")))
}

/// Writes one line of text to stdout, [escaped](escape), which is broken where it is longer than a line of the
/// terminal.
///
/// # Errors
///
/// As [`write`].
pub fn line(text: &str) -> io::Result<()> {
    let text = width::shown(&escape(text), width::columns(io::stdout()));
    write(format!("{text}\n").as_bytes())
}

/// As [`line`], broken as a report is wherever it goes.
///
/// # Errors
///
/// As [`write`].
pub fn wrapped(text: &str) -> io::Result<()> {
    write(format!("{}\n", width::shown(&escape(text), Some(REPORT_COLUMNS))).as_bytes())
}

/// Writes `value` to stdout as one line of JSON.
///
/// # Errors
///
/// As [`write`].
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    write(format!("{}\n", escape_json(&text)).as_bytes())
}

/// Writes `value` to stdout as an indented JSON document.
///
/// # Errors
///
/// As [`write`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    write(format!("{}\n", escape_json(&text)).as_bytes())
}
