//! Exit codes, and the errors of the command line itself.

use std::io;
use std::path::Path;

use crate::capture::CaptureError;
use crate::diagnose::counted;
use crate::model::{RunName, RunNameError, TimeParseError, escape_path};
use crate::promql::ParseError;
use crate::record::{RecordError, SubjectError};
use crate::rules::{RuleFileError, RuleTestsError};
use crate::score::TruthError;
use crate::share::{KeyError, ShareError};
use crate::source::SourceError;

/// The exit codes of the program. They are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The command was successful; of a replay: no fault was found.
    Ok = 0,
    /// An error without a code of its own.
    Other = 1,
    /// The command line or the configuration is invalid.
    Usage = 2,
    /// The file is damaged, is no capture, or has a newer format.
    Damaged = 3,
    /// A verification or a digest did not agree.
    Mismatch = 4,
    /// No run with this name exists.
    NotFound = 5,
    /// A source cannot be reached or refuses access.
    Source = 6,
    /// Another recorder holds the run.
    Locked = 7,
    /// The disk is full, or a file cannot be accessed.
    Storage = 8,
    /// The command was successful, and a fault was found or an alert fired.
    Fault = 10,
    /// The command was successful, and whether there is a fault cannot be decided.
    CannotTell = 11,
    /// The recording is sealed, and the command that it ran failed.
    CommandFailed = 12,
    /// The recording ended and holds nothing.
    NothingRecorded = 13,
    /// The recording is sealed, and shorter than asked for, since a signal ended it.
    EndedEarly = 14,
    /// The command was interrupted before its end.
    Interrupted = 130,
}

impl From<Code> for std::process::ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// The table of exit codes, for `--help`.
pub const TABLE: &str = "\
Exit codes:
  0    done; of a replay: no fault was found
  1    another error
  2    the command line or the configuration cannot be understood
  3    the file is damaged, is no capture, or has a newer format
  4    a verification or a digest did not agree; a test of rules failed;
       verdicts differ (diff); fewer are right than --at-least (score);
       an address or a word was found (redact --check)
  5    no such run or file
  6    a source cannot be reached or refuses access
  7    another recorder holds the run
  8    the disk is full, or a file cannot be accessed
  10   replay found a fault; of rules: an alert fired
  11   replay cannot tell whether something is broken; of rules: one cannot be
       evaluated, none can fire (rules replay), one cannot fire (rules check)
  12   the command that a recording ran failed; the recording is complete, and
       `replay` tells its verdict
  13   the recording ended with nothing in it but the recorder's own metrics
  14   the recording was stopped before its planned end; it is sealed, and
       shorter
  130  interrupted before the end";

/// The errors of the command line itself.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments are invalid in a way that clap does not check; the text says why.
    #[error("{0}")]
    Usage(String),
    /// No run has this name.
    #[error("no run {name:?} in {searched}")]
    RunNotFound {
        /// The name that was given.
        name: String,
        /// The directories that were searched.
        searched: String,
        /// At most three names with a small edit distance, the nearest first.
        nearest: Vec<String>,
    },
    /// No file has this name, which can mean no run.
    #[error("no such file: {name:?}")]
    FileNotFound {
        /// The name that was given.
        name: String,
        /// A run whose name it would be without directory and suffix.
        run: Option<RunName>,
    },
    /// A directory was named in place of a capture.
    #[error("{0} is a directory, and no run")]
    Directory(String),
    /// Parts of the capture are damaged; the rest was printed.
    #[error("{path}: {} damaged", match count { 1 => "1 part is".to_owned(), more => format!("{more} parts are") })]
    DamageFound {
        /// The path of the capture, escaped.
        path: String,
        /// The number of damaged parts.
        count: usize,
    },
    /// Two evaluations of the same capture differ.
    #[error("two evaluations differ: digest {first} and digest {second}")]
    Mismatch {
        /// The digest of the first evaluation, or its JSON.
        first: String,
        /// The digest of the second evaluation, or its JSON.
        second: String,
    },
    /// The capture does not hold what findings cite; the text names it.
    #[error("the capture does not hold what is cited: {0}")]
    NotBorneOut(String),
    /// This number of checks of `doctor` failed.
    #[error("{} failed", counted(*.0 as u64, "check"))]
    DoctorFailed(usize),
    /// The recorder answers and does not commit; the text is its answer.
    #[error("the recorder is not healthy: {0}")]
    Unhealthy(String),
    /// A recording ended without a sample and without a success of PD.
    #[error("nothing was recorded into {path}: {why}")]
    NothingRecorded {
        /// The path of the capture, escaped.
        path: String,
        /// What was asked for and not there.
        why: String,
    },
    /// A recording ended without a sample of what its selectors ask for, and nothing else was asked for.
    #[error("nothing was recorded into {path}: no samples of {selectors}")]
    NothingSelected {
        /// The path of the capture, escaped.
        path: String,
        /// The selectors, one behind the other.
        selectors: String,
    },
    /// Nothing could be observed before the command of a recording was to run; the text says why.
    #[error("{0}")]
    CommandNotRun(String),
    /// Fewer captures were judged right than asked for.
    #[error(
        "{right} of {scored} captures have the right first cause, and --at-least asks for {bound}"
    )]
    BelowBound {
        /// The number of captures whose first cause is right.
        right: usize,
        /// The number of captures that were scored.
        scored: usize,
        /// The bound as it was given.
        bound: String,
    },
    /// A signal ended a recording before its planned end.
    #[error("stopped before the planned end: {path} is sealed, and shorter than asked for")]
    EndedEarly {
        /// The path of the capture, escaped.
        path: String,
    },
    /// The user stopped the command before the sources were found.
    #[error("stopped before the recording began")]
    NotBegun,
    /// A signal ended the questions to nodes.
    #[error("stopped before every node was asked; what they have said is attached")]
    NotAllAsked,
    /// A second signal ended the recording at once.
    #[error("left before the capture was sealed; every committed tick is in it")]
    Interrupted,
}

impl CliError {
    /// The result of a command that has printed what it could read of a capture.
    ///
    /// # Errors
    ///
    /// [`CliError::DamageFound`] where parts could not be read.
    pub fn unless_whole(path: &Path, damaged_parts: usize) -> Result<(), Self> {
        match damaged_parts {
            0 => Ok(()),
            count => Err(Self::DamageFound { path: escape_path(path), count }),
        }
    }
}

/// An error with its causes in one line. A cause is left out where the message before ends with it.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        // Some libraries give the kind of an I/O error alone, whose words nobody knows.
        let message = match first_and_last_line(&cause.to_string()) {
            kind if kind == "entity not found" => "no such file or directory".to_owned(),
            message => message,
        };
        if text.is_empty() {
            text = message;
        } else if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
    }
    text
}

/// The first and the last line of a message. Parsers of TOML and of regular expressions write what failed
/// first, the reason last, and between them the text that they read, which is left out.
fn first_and_last_line(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{}: {last}", first.trim_end_matches(':')),
        _ => message.to_owned(),
    }
}

/// The exit code of an error: that of the first cause that has one, else [`Code::Other`].
pub fn code(error: &anyhow::Error) -> Code {
    error.chain().find_map(code_of).unwrap_or(Code::Other)
}

/// Whether the error is that the reader of stdout has closed it, which is not reported.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// One error of a chain.
pub(super) type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn code_of(cause: Cause<'_>) -> Option<Code> {
    if let Some(error) = cause.downcast_ref::<CliError>() {
        return Some(code_of_cli(error));
    }
    if let Some(error) = cause.downcast_ref::<CaptureError>() {
        return Some(code_of_capture(error));
    }
    if let Some(error) = cause.downcast_ref::<ShareError>() {
        return Some(code_of_share(error));
    }
    if let Some(RecordError::SelfMetrics(_)) = cause.downcast_ref::<RecordError>() {
        return Some(Code::Other);
    }
    if let Some(error) = cause.downcast_ref::<SourceError>() {
        let options = matches!(error, SourceError::Options(_));
        return Some(if options { Code::Usage } else { Code::Source });
    }
    if cause.is::<ParseError>()
        || cause.is::<RunNameError>()
        || cause.is::<KeyError>()
        || cause.is::<TimeParseError>()
        || cause.is::<TruthError>()
        || cause.is::<SubjectError>()
        || cause.is::<RuleFileError>()
        || cause.is::<RuleTestsError>()
        || cause.is::<toml::de::Error>()
    {
        return Some(Code::Usage);
    }
    cause.downcast_ref::<io::Error>().map(code_of_io)
}

fn code_of_io(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        _ => Code::Storage,
    }
}

fn code_of_cli(error: &CliError) -> Code {
    match error {
        CliError::Usage(_) => Code::Usage,
        CliError::RunNotFound { .. } | CliError::FileNotFound { .. } | CliError::Directory(_) => {
            Code::NotFound
        }
        CliError::DamageFound { .. } => Code::Damaged,
        CliError::Mismatch { .. } | CliError::NotBorneOut(_) | CliError::BelowBound { .. } => {
            Code::Mismatch
        }
        CliError::NothingRecorded { .. }
        | CliError::NothingSelected { .. }
        | CliError::CommandNotRun(_) => Code::NothingRecorded,
        CliError::EndedEarly { .. } => Code::EndedEarly,
        CliError::DoctorFailed(_) | CliError::Unhealthy(_) => Code::Source,
        CliError::NotBegun | CliError::NotAllAsked | CliError::Interrupted => Code::Interrupted,
    }
}

fn code_of_capture(error: &CaptureError) -> Code {
    match error {
        CaptureError::NotFound { .. } => Code::NotFound,
        CaptureError::NotACapture { .. }
        | CaptureError::Foreign { .. }
        | CaptureError::Oversized { .. }
        | CaptureError::Newer { .. }
        | CaptureError::Damaged { .. } => Code::Damaged,
        CaptureError::Locked { .. } => Code::Locked,
        CaptureError::Exists { .. }
        | CaptureError::NotAFile { .. }
        | CaptureError::Packed { .. }
        | CaptureError::Full { .. }
        | CaptureError::Refused { .. }
        | CaptureError::Io { .. }
        | CaptureError::Sqlite { .. } => Code::Storage,
    }
}

fn code_of_share(error: &ShareError) -> Code {
    match error {
        ShareError::Leaked(_) | ShareError::Altered(_) => Code::Mismatch,
        ShareError::DamagedParts { .. } | ShareError::CannotLookInside { .. } => Code::Damaged,
        ShareError::Io { source, .. } => code_of_io(source),
        ShareError::TooLarge { .. } | ShareError::Scanner(_) => Code::Other,
        ShareError::Capture(error) => code_of_capture(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = regex::Regex::new(&"(".repeat(2)).expect_err("the group is open");
        let text = chain(&anyhow::Error::new(error).context("cannot read"));
        assert_eq!(text, "cannot read: regex parse error: error: unclosed group");
    }

    #[test]
    fn the_first_cause_with_a_code_decides() {
        let locked = CaptureError::Locked { path: "a.capture".into(), pid: "7".to_owned() };
        let error = anyhow::Error::new(RecordError::Capture(locked)).context("cannot record");
        assert_eq!(code(&error), Code::Locked);
        assert!(crate::cli::hint::hint(&error).is_some_and(|hint| hint.contains("--run")));
    }
}
