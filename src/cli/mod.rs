//! The command line: parses arguments, calls the other modules, prints results and progress, and returns
//! exit codes.
//!
//! It is the only module that prints and that reads the system clock.

mod clock;
mod commands;
mod config;
mod exit;
mod lookup;
mod recording;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use crate::capture::FileMode;
use commands::{
    completions, copy, diff, doctor, explain, health, mark, query, record, replay, rules, runs,
    score, seal, show, verify, watch,
};
use config::arguments;
pub use exit::Code;
use terminal::output::{AnyFormat, Color, Format};
use terminal::remarks::{self, remark};

/// Flight recorder and replay analyzer for TiKV clusters.
#[derive(Debug, Parser)]
#[command(name = "operator", version, max_term_width = 100, after_long_help = exit::TABLE)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where captures are written, and looked for first.
const DEFAULT_DIR: &str = "captures";

/// What every subcommand understands.
#[derive(Debug, Args)]
struct Global {
    /// Where the captures of runs live
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Who may read the captures that are made: an octal number, from which the umask takes more away
    #[arg(long, global = true, value_name = "MODE", env = "OPERATOR_FILE_MODE", default_value = "0600", value_parser = file_mode)]
    file_mode: FileMode,
    /// What results look like
    #[arg(long = "format", global = true, value_enum, default_value_t, value_name = "FORMAT")]
    wide_format: AnyFormat,
    /// The format, for commands that know text and JSON only.
    #[arg(skip)]
    format: Format,
    /// Whether text is coloured; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t)]
    color: Color,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say less on stderr: no progress, only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

fn file_mode(text: &str) -> Result<FileMode, String> {
    let why = "give an octal number such as 0640, by which the owner reads and writes and nobody executes";
    FileMode::parse(text).ok_or_else(|| why.to_owned())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a cluster into a capture, live or out of the past
    Record(Box<record::RecordArgs>),
    /// Record a cluster and say what breaks as it breaks
    Watch(Box<watch::WatchArgs>),
    /// Replay a capture: what broke, where and why, and what happened
    Replay(replay::ReplayArgs),
    /// Evaluate PromQL over a capture
    Query(Box<query::QueryArgs>),
    /// Replay Prometheus's alert rules over a capture, or check them
    Rules(Box<rules::RulesArgs>),
    /// Show the samples behind a finding of a replay, drawn
    Explain(explain::ExplainArgs),
    /// Score diagnosis against the sealed truths of labelled captures
    Score(score::ScoreArgs),
    /// Compare the verdicts of two runs, or of two versions on one
    Diff(diff::DiffArgs),
    /// List the runs of a directory, or all that a name finds
    Runs(runs::RunsArgs),
    /// Tell what is inside a capture
    Show(show::ShowArgs),
    /// Check every checksum and invariant of a capture
    Verify(verify::VerifyArgs),
    /// Write a consistent copy of a capture, also while it is being recorded
    Copy(copy::CopyArgs),
    /// Write a copy of a capture in its smallest form
    Compact(copy::CopyArgs),
    /// Put an event on the timeline of a run, during or after its recording
    Mark(mark::MarkArgs),
    /// Seal the ground truth of a chaos run inside its capture, out of reach of replay
    Seal(seal::SealArgs),
    /// Check endpoints, versions, permissions, clocks and disk before a recording
    Doctor(Box<doctor::DoctorArgs>),
    /// Tell whether a recorder that listens commits; for the health checks of containers
    Health(health::HealthArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the program by the process's arguments. Returns its exit code, a [`Code`].
pub fn main() -> ExitCode {
    let understood = command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let done = match understood {
        Ok((cli, matches)) => run(cli, &matches),
        Err(error) => arguments::explain(error),
    };
    match done {
        Ok(code) => code.into(),
        Err(error) if exit::is_broken_pipe(&error) => Code::Ok.into(),
        Err(error) => {
            remark(&format!("error: {}", chain(&error)));
            if let Some(hint) = exit::hint(&error) {
                remark(&format!("hint: {hint}"));
            }
            exit::code(&error).into()
        }
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> anyhow::Result<Code> {
    arguments::refuse_passwords(matches)?;
    start_logging(&cli.global);
    dispatch(cli)
}

fn dispatch(mut cli: Cli) -> anyhow::Result<Code> {
    match (cli.global.wide_format, cli.global.wide_format.common(), &cli.command) {
        (_, Some(format), _) => cli.global.format = format,
        (AnyFormat::Prompt, None, Command::Replay(_)) => {}
        (AnyFormat::Csv | AnyFormat::Parquet, None, Command::Query(_)) => {}
        (_, None, _) => {
            let why = "this command has no results in this format: use text or json";
            return Err(exit::CliError::Usage(why.to_owned()).into());
        }
    }
    let global = &cli.global;
    let done = match cli.command {
        Command::Record(args) => record::run(global, *args),
        Command::Watch(args) => watch::run(global, *args),
        Command::Query(args) => query::run(global, &args),
        Command::Replay(args) => return replay::run(global, &args),
        Command::Rules(args) => return rules::run(global, &args),
        Command::Explain(args) => explain::run(global, &args),
        Command::Score(args) => score::run(global, &args),
        Command::Diff(args) => diff::run(global, &args),
        Command::Runs(args) => runs::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::Verify(args) => verify::run(global, &args),
        Command::Copy(args) => copy::run(global, &args, copy::Form::AsIs),
        Command::Compact(args) => copy::run(global, &args, copy::Form::Smallest),
        Command::Mark(args) => mark::run(global, args),
        Command::Seal(args) => seal::run(global, &args),
        Command::Doctor(args) => doctor::run(global, *args),
        Command::Health(args) => health::run(global, &args),
        Command::Completions(args) => completions::run(&args),
    };
    done.map(|()| Code::Ok)
}

/// An error with its causes in one line. A cause is left out where the message before ends with it.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let message = first_and_last_line(&cause.to_string());
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

fn start_logging(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "operator=info,warn",
        (false, 2) => "operator=debug,info",
        (false, _) => "trace",
    };
    remarks::start_log(level, global.color);
}

/// Runs a future on this thread alone. An answer of Prometheus arrives in tens of thousands of pieces, and
/// passing each to another thread costs several times the work on it.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// The program's arguments as clap sees them, for completions.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_is_one_line() {
        let error = regex::Regex::new(&"(".repeat(2)).expect_err("the group is open");
        let text = super::chain(&anyhow::Error::new(error).context("cannot read"));
        assert_eq!(text, "cannot read: regex parse error: error: unclosed group");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
