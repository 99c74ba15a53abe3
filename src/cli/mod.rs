//! Arguments, wiring, progress, exit codes.
//!
//! The only module that prints and that reads the system clock.

mod alarms;
mod clock;
mod completions;
mod copy;
mod diff;
mod doctor;
mod evidence;
mod exit;
mod explain;
mod exporter;
mod health;
mod hooks;
mod judged;
mod lookup;
mod mark;
mod metrics;
mod monitor;
mod output;
mod plan;
mod progress;
mod query;
mod record;
mod record_config;
mod recording;
mod replay;
mod ring;
mod rules;
mod rules_test;
mod runs;
mod score;
mod seal;
mod show;
mod sources;
mod standings;
mod subjects;
mod verify;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::capture::FileMode;
pub use exit::Code;
use output::{AnyFormat, Color, Format};

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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where stderr is closed, nobody is left to be told.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Ok }.into();
        }
    };
    start_logging(&cli.global);
    match dispatch(cli) {
        Ok(code) => code.into(),
        Err(error) if exit::is_broken_pipe(&error) => Code::Ok.into(),
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            if let Some(hint) = exit::hint(&error) {
                eprintln!("hint: {hint}");
            }
            exit::code(&error).into()
        }
    }
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

/// An error with its causes; a cause that the message before it ends with is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if text.is_empty() {
            text = message;
        } else if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
    }
    text
}

fn start_logging(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "operator=info,warn",
        (false, 2) => "operator=debug,info",
        (false, _) => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("OPERATOR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let stderr = std::io::stderr();
    // A second subscriber in one process, as in a test, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(global.color.enabled(stderr.is_terminal()))
        .with_target(false)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Runs a future on this thread alone. An answer of Prometheus's comes in tens of thousands of
/// pieces, and to hand each from thread to thread costs several times what is done with it.
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
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
