//! `operator explain`.

use std::ffi::OsString;
use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::cli::config::headings::OUTPUT;
use crate::cli::config::viewed::ViewArgs;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::diagnose::{
    Finding, FindingKind, MODES, Outcome, Verdict, draw, finding_names, findings_called,
};
use crate::model::{ProfileEvent, escape, escape_path, shell_word};
use crate::promql::parse_selector;
use crate::report::{Color, Seen, explain_text, findings_text, profiles_json, profiles_text};
use crate::session::{Judgement, Session};

const EXAMPLES: &str = "\
Examples:
  operator explain chaos-02  which findings there are
  operator explain chaos-02 F3
  operator explain chaos-02 F1 --at 16:32
      as `operator replay --at` numbers them
  operator explain chaos-02 silent_to_pd/store-4
      by name, which is the same at every instant
  operator explain latest F1 --format json

F1, F2 and so on count what was known as of one instant: the end of the run, or that of --at. Of \
another instant the same finding may have another number. A name does not change; its first parts \
are enough where they mean one finding.";

/// How much before and after a finding its series is shown, in milliseconds.
const AROUND_MS: i64 = 60_000;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The finding: its number, such as F3, or its name; without it, all are listed
    #[arg(value_name = "FINDING")]
    finding: Option<String>,
    #[command(flatten)]
    view: ViewArgs,
    /// Columns of the text, the same on every terminal, so that its bytes are too
    #[arg(long, value_name = "COLUMNS", default_value_t = 80, help_heading = OUTPUT)]
    width: usize,
}

/// Shows the samples behind a finding.
///
/// # Errors
///
/// Where there is no such run or finding, or the capture cannot be read.
pub fn run(global: &Global, args: &ExplainArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let mut session = Session::open(&path)?;
    let view = args.view.of(&mut session)?;
    let cannot = || format!("cannot judge {}", escape_path(path.shown()));
    let window = session.load(view).with_context(cannot)?;
    let (Judgement { verdict, .. }, evidence) =
        window.judge_with_evidence().with_context(cannot)?;
    args.view.unless_unmatched(&evidence)?;
    let Some(asked) = &args.finding else { return list(global, args, &verdict) };
    let (finding, name) = called(&verdict, asked)?;
    let drawn = draw(&evidence, finding);
    let profiles = profiles_of(&session, finding)?;
    match global.format {
        Format::Json => {
            let mut value = json!({
                "as_of": verdict.as_of_ms, "name": name, "finding": finding, "quantities": drawn,
            });
            if !profiles.is_empty() {
                value["profiles"] = profiles_json(&profiles);
            }
            if let Some(damage) = &verdict.damage {
                value["damage"] = json!(damage);
            }
            output::json(&value)?;
        }
        Format::Text => {
            if let Some(damage) = &verdict.damage {
                output::line(&damage.summary)?;
            }
            let is_end = args.view.is_from_the_end();
            let cause = verdict.cause_of(&finding.id);
            let seen = Seen { as_of: verdict.as_of_ms, is_end, cause };
            let page = (args.width, color(global));
            let text = explain_text((finding, &name), seen, &drawn, evidence.window, page);
            output::write(text.as_bytes())?;
            let (run, rest) =
                (path.called(&args.run), args.view.as_text() + &path.dir_flag(global));
            let run = shell_word(&run);
            command(&format!(
                "all samples: operator explain {run} {}{rest} --format json",
                finding.id
            ))?;
            let cited = finding.citations.iter().find(|one| one.reference.contains('{'));
            if let Some(cited) = cited {
                let dir = path.dir_flag(global);
                let window = session.window();
                let end = finding.end_ms.unwrap_or(verdict.as_of_ms);
                let start = finding.onset_ms.saturating_add_millis(-AROUND_MS).max(window.start);
                let end = end.saturating_add_millis(AROUND_MS).min(window.end);
                let rest = format!("{dir} --format csv");
                // Of a series, its samples; an expression has none, but values at steps.
                command(&match parse_selector(&cited.reference).is_ok() {
                    true => {
                        let length = (end - start + 999) / 1000;
                        let samples = shell_word(&format!("{}[{length}s]", cited.reference));
                        format!(
                            "the samples cited: operator query {run} {samples} --at {end}{rest}"
                        )
                    }
                    false => {
                        let values = shell_word(&cited.reference);
                        let span = format!("--from {start} --to {end}");
                        format!("the values cited: operator query {run} {values} {span}{rest}")
                    }
                })?;
            }
            if !profiles.is_empty() {
                output::write(format!("\n{}", profiles_text(&profiles)).as_bytes())?;
            }
        }
    }
    Ok(CliError::unless_whole(path.shown(), session.reader().damaged_rows())?)
}

/// Prints advice that ends with a command, which stays whole: one that is broken or cut cannot be pasted.
fn command(text: &str) -> std::io::Result<()> {
    output::write(format!("{}\n", escape(text)).as_bytes())
}

/// The finding that somebody means, with its name.
///
/// # Errors
///
/// [`CliError::Usage`] where there is none, or more than one.
fn called<'a>(verdict: &'a Verdict, asked: &str) -> Result<(&'a Finding, String), CliError> {
    let number = asked.parse::<u32>().map(|number| format!("F{number}"));
    let mut found = findings_called(&verdict.findings, number.as_deref().unwrap_or(asked));
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    let as_of = verdict.as_of_ms;
    if !found.is_empty() {
        let names: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
        let names = names.join(", ");
        return Err(CliError::Usage(format!("{asked:?} means several findings: {names}")));
    }
    let names = finding_names(&verdict.findings);
    let known = verdict.findings.iter().zip(&names);
    let known: Vec<String> = known.map(|(one, name)| format!("{} {name}", one.id)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    if MODES.iter().any(|mode| mode.name == asked) {
        return Err(CliError::Usage(format!(
            "{asked:?} is a failure mode and no finding: `operator replay RUN --why-not {asked}` says what became of it; findings are {known}"
        )));
    }
    Err(CliError::Usage(format!("no finding {asked:?} as of {as_of}: there is {known}")))
}

/// The profiles of the node whose memory a finding is about.
fn profiles_of(session: &Session, finding: &Finding) -> anyhow::Result<Vec<ProfileEvent>> {
    if finding.kind != FindingKind::MemoryRose {
        return Ok(Vec::new());
    }
    let events = session.reader().events()?;
    let mut profiles: Vec<ProfileEvent> =
        events.iter().filter_map(ProfileEvent::of_event).collect();
    profiles.retain(|profile| profile.node == finding.target.name);
    Ok(profiles)
}

/// Lists the findings, ascending by onset.
fn list(global: &Global, args: &ExplainArgs, verdict: &Verdict) -> anyhow::Result<()> {
    match global.format {
        Format::Json => {
            let names = finding_names(&verdict.findings);
            let value = json!({
                "as_of": verdict.as_of_ms, "findings": verdict.findings, "names": names,
            });
            output::json(&value)?;
        }
        Format::Text if verdict.findings.is_empty() => {
            let text = match verdict.outcome {
                Outcome::CannotTell => verdict.summary.as_str(),
                _ => "nothing departed from normal",
            };
            output::wrapped(&format!("no finding: {text}"))?;
        }
        Format::Text => {
            let text = findings_text(&verdict.findings, (args.width, color(global)));
            output::write(text.as_bytes())?;
        }
    }
    Ok(())
}

fn color(global: &Global) -> Color {
    match global.color.enabled(std::io::stdout().is_terminal()) {
        true => Color::Ansi,
        false => Color::Plain,
    }
}
