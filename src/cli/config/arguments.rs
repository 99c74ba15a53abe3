//! Checks of the command line itself: prints clap's errors, and refuses passwords in arguments.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;

use crate::cli::exit::{CliError, Code};
use crate::cli::terminal::output::{self, Color};
use crate::cli::terminal::remarks;
use crate::cli::{DEFAULT_DIR, lookup};
use crate::model::escape;
use crate::pd::without_userinfo;
use crate::source::names_user;

/// Arguments that are URLs.
const URLS: [&str; 5] = ["pd", "prometheus", "webhook", "alertmanager", "url"];

/// The arguments with `replay` before a file or the name of a run where a subcommand is expected: `operator FILE`.
pub fn with_replay(command: &clap::Command, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(first) = arguments.get(1) else { return arguments };
    let names_a_command = first == "help" || command.find_subcommand(first).is_some();
    if !names_a_command && is_capture(first) {
        arguments.insert(1, "replay".into());
    }
    arguments
}

/// Whether a text is a file, looks like the path of one, or is the name of a run.
fn is_capture(text: &OsStr) -> bool {
    let shown = text.to_string_lossy();
    let is_path = shown.contains('/') || shown.ends_with(lookup::SUFFIX);
    !shown.starts_with('-')
        && (is_path
            || Path::new(text).is_file()
            || lookup::find(Path::new(DEFAULT_DIR), text).is_ok())
}

/// Prints clap's output: help and version on stdout, errors on stderr.
///
/// # Errors
///
/// An I/O error where help or version cannot be written.
pub fn explain(mut error: clap::Error) -> anyhow::Result<Code> {
    if !error.use_stderr() {
        let text = rendered(&error, std::io::stdout().is_terminal());
        output::write(text.as_bytes())?;
        return Ok(Code::Ok);
    }
    suggest_options_only(&mut error);
    suggest_command(&mut error);
    suggest_place(&mut error);
    let quoted: Vec<(ContextKind, ContextValue)> =
        error.context().filter_map(|(kind, value)| Some((kind, escaped(value)?))).collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    let text = rendered(&error, std::io::stderr().is_terminal());
    remarks::to_stderr_in_lines(&text);
    Ok(Code::Usage)
}

/// Takes out the advice to put a misspelt option behind `--`, where it would mean a value.
fn suggest_options_only(error: &mut clap::Error) {
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
}

/// What a subcommand is called by people who have not seen its name, in the order of the help.
const CALLED: [(&str, &str); 20] = [
    ("capture", "record"),
    ("start", "record"),
    ("monitor", "watch"),
    ("analyse", "replay"),
    ("analyze", "replay"),
    ("diagnose", "replay"),
    ("why", "explain"),
    ("promql", "query"),
    ("alerts", "rules"),
    ("html", "report"),
    ("compare", "diff"),
    ("list", "runs"),
    ("ls", "runs"),
    ("info", "show"),
    ("check", "verify"),
    ("share", "export"),
    ("annotate", "mark"),
    ("note", "mark"),
    ("label", "seal"),
    ("truth", "seal"),
];

/// Suggests the subcommand that somebody means who calls it otherwise, where no name is similar.
fn suggest_command(error: &mut clap::Error) {
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        return;
    }
    let Some(ContextValue::String(wanted)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let Some((_, command)) = CALLED.iter().find(|(called, _)| called == wanted) else { return };
    let suggested = ContextValue::Strings(vec![(*command).to_owned()]);
    error.insert(ContextKind::SuggestedSubcommand, suggested);
}

/// Where an argument has no place: advises `--` before the command that a recording runs, and how a rule is named.
fn suggest_place(error: &mut clap::Error) {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return };
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if error.kind() != ErrorKind::UnknownArgument || argument.starts_with('-') {
        return;
    }
    let advice = if usage.contains("operator record") {
        "put -- before the command that is run: operator record … -- ./break.sh"
    } else if usage.contains("operator rules replay") {
        "name a rule with an equals sign, --near=RULE, and a file of rules by --rules FILE"
    } else {
        return;
    };
    let advice = ContextValue::StyledStrs(vec![advice.into()]);
    error.insert(ContextKind::Suggested, advice);
}

fn rendered(error: &clap::Error, is_terminal: bool) -> String {
    let text = error.render();
    if Color::Auto.enabled(is_terminal) { text.ansi().to_string() } else { text.to_string() }
}

/// The part of the command line that an error quotes, escaped; it may be a file name that the shell
/// expanded. `None` where nothing is quoted.
fn escaped(value: &ContextValue) -> Option<ContextValue> {
    let shown = |text: &String| escape(&without_userinfo(text));
    match value {
        ContextValue::String(text) => Some(ContextValue::String(shown(text))),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(shown).collect()))
        }
        _ => None,
    }
}

/// Refuses a URL with a user or a password in an argument, since every user who lists processes can read
/// it.
///
/// # Errors
///
/// [`CliError::Usage`], which names other ways to pass the URL and never quotes it.
pub fn refuse_passwords(matches: &ArgMatches) -> Result<(), CliError> {
    for id in URLS.into_iter().filter(|id| matches.try_contains_id(id).is_ok()) {
        let shows = matches.value_source(id) == Some(ValueSource::CommandLine)
            && matches.get_raw(id).is_some_and(|values| {
                values.into_iter().any(|urls| urls.to_string_lossy().split(',').any(names_user))
            });
        if shows {
            return Err(CliError::Usage(format!(
                "--{id}: a user or password in an argument shows in the list of processes: {}",
                instead(id)
            )));
        }
    }
    matches.subcommand().map_or(Ok(()), |(_, inner)| refuse_passwords(inner))
}

/// The other way to pass the secret of a URL.
fn instead(id: &str) -> &'static str {
    match id {
        "prometheus" => {
            "use --basic-user with --basic-password-file or OPERATOR_BASIC_PASSWORD, or put the URL \
             into PROMETHEUS_URL or the file of --config"
        }
        "webhook" => "put the URL into OPERATOR_WEBHOOK",
        "alertmanager" => "put the URL into OPERATOR_ALERTMANAGER",
        "pd" => "PD takes certificates only, see --cert-file and --key-file",
        _ => "it is not needed there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_alone_is_replayed_unless_it_is_called_like_a_command() {
        let command = clap::Command::new("operator").subcommand(clap::Command::new("src"));
        let of = |first: &str| {
            let arguments = ["operator", first].map(OsString::from).to_vec();
            with_replay(&command, arguments).len()
        };
        assert_eq!(of("Cargo.toml"), 3);
        assert_eq!(of("src"), 2);
        assert_eq!(of("no-such-file"), 2);
        assert_eq!(of("no/such/file"), 3);
        assert_eq!(of("chaos-02"), 3);
        assert_eq!(of("--help"), 2);
        assert_eq!(with_replay(&command, vec!["operator".into()]).len(), 1);
    }
}
