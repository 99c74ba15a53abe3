//! The command line as a whole: which subcommands there are, and how the process ends.

use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches, Parser, Subcommand};

use super::commands::{
    attach, completions, copy, diff, doctor, explain, export, health, import, man, mark, query,
    record, redact, replay, report, rules, runs, score, seal, show, verify, watch,
};
use super::config::arguments;
use super::exit::{self, Code};
use super::global::Global;
use super::hint;
use super::terminal::output::AnyFormat;
use super::terminal::remarks::{self, remark};

/// Flight recorder and replay analyzer for TiKV clusters.
#[derive(Debug, Parser)]
#[command(name = "operator", version, max_term_width = 80, after_long_help = exit::TABLE)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a cluster into a capture, live or from what Prometheus still has
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
    /// Write a run's report: a page for a browser, Markdown or JSON
    Report(report::ReportArgs),
    /// Score diagnosis against the sealed truths of labelled captures
    Score(score::ScoreArgs),
    /// Compare the verdicts of two runs, or of two versions on one
    Diff(diff::DiffArgs),
    /// List the runs of a directory, or all that a name finds
    Runs(runs::RunsArgs),
    /// Show what a capture contains
    Show(show::ShowArgs),
    /// Check every checksum and invariant of a capture
    Verify(verify::VerifyArgs),
    /// Write a consistent copy of a capture, also while it is being recorded
    Copy(copy::CopyArgs),
    /// Write a copy of a capture in its smallest form
    Compact(copy::CopyArgs),
    /// Write a capture into one redacted file for an issue
    Export(export::ExportArgs),
    /// Add a capture that somebody exported to your own
    Import(import::ImportArgs),
    /// Redact text as an exported capture is, or look for secrets in a file
    Redact(redact::RedactArgs),
    /// Put an event on the timeline of a run, during or after its recording
    Mark(mark::MarkArgs),
    /// Put the logs of nodes into a capture, after its recording
    Attach(attach::AttachArgs),
    /// Seal the ground truth of a chaos run inside its capture, where replay cannot read it
    Seal(seal::SealArgs),
    /// Check endpoints, versions, permissions, clocks and disk before a recording
    Doctor(Box<doctor::DoctorArgs>),
    /// Check whether a recorder that listens commits; for the health checks of containers
    Health(health::HealthArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// Runs the program by the process's arguments. Returns its exit code, a [`Code`].
pub fn main() -> ExitCode {
    let command = command();
    let understood = arguments::with_replay(&command, std::env::args_os().collect());
    let understood = command
        .try_get_matches_from(understood)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let done = match understood {
        Ok((cli, matches)) => run(cli, &matches),
        Err(error) => arguments::explain(error),
    };
    match done {
        Ok(code) => code.into(),
        Err(error) if exit::is_broken_pipe(&error) => Code::Ok.into(),
        Err(error) => {
            remark(&format!("error: {}", exit::chain(&error)));
            if let Some(hint) = hint::hint(&error) {
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
        (AnyFormat::Html | AnyFormat::Markdown, None, Command::Report(_)) => {}
        (AnyFormat::Csv | AnyFormat::Parquet, None, Command::Query(_)) => {}
        (_, None, command) => {
            let formats = match command {
                Command::Replay(_) => "text, json or prompt",
                Command::Report(_) => "html, markdown or json",
                Command::Query(_) => "text, json, csv or parquet",
                _ => "text or json",
            };
            let why = format!("this command has no results in this format: use {formats}");
            return Err(exit::CliError::Usage(why).into());
        }
    }
    let global = &cli.global;
    let done = match cli.command {
        Command::Record(args) => return record::run(global, *args),
        Command::Watch(args) => watch::run(global, *args),
        Command::Query(args) => query::run(global, &args),
        Command::Replay(args) => return replay::run(global, &args),
        Command::Rules(args) => return rules::run(global, &args),
        Command::Explain(args) => explain::run(global, &args),
        Command::Report(args) => report::run(global, &args),
        Command::Score(args) => score::run(global, &args),
        Command::Diff(args) => return diff::run(global, &args),
        Command::Runs(args) => runs::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::Verify(args) => verify::run(global, &args),
        Command::Copy(args) => copy::run(global, &args, copy::Form::AsIs),
        Command::Compact(args) => copy::run(global, &args, copy::Form::Smallest),
        Command::Export(args) => export::run(global, &args),
        Command::Import(args) => import::run(global, &args),
        Command::Redact(args) => return redact::run(global, &args),
        Command::Mark(args) => mark::run(global, args),
        Command::Attach(args) => attach::run(global, &args),
        Command::Seal(args) => seal::run(global, &args),
        Command::Doctor(args) => doctor::run(global, *args),
        Command::Health(args) => health::run(global, &args),
        Command::Completions(args) => completions::run(&args, command()),
        Command::Man(args) => man::run(&args, command()),
    };
    done.map(|()| Code::Ok)
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

/// The program's arguments as clap sees them, for completions and manual pages.
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
